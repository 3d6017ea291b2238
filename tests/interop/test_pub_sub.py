"""`declic pub` and `declic sub`, on our broker and on Mosquitto.

Each rule is asked of mosquitto_pub and mosquitto_sub too: what they do is what ours must do.
"""

import os

import pytest

from conftest import at, tool
from peers import fresh
from process import run, wait_until
from wire import PUBACK, Wire

TIMED_OUT = 27


@pytest.fixture(params=[
    pytest.param(("declic", "declic"), marks=pytest.mark.needs_declic),
    pytest.param(("declic", "mosquitto"), marks=pytest.mark.needs_declic),
    ("mosquitto", "mosquitto"),
], ids=lambda pair: f"{pair[0]}-tools-on-{pair[1]}")
def bench(request, start_broker, start_sub, peer_of, spawn):
    """A tool set and a broker."""
    tools, broker = request.param

    class Bench:
        kind = tools
        at_broker = start_broker(broker)
        watcher = peer_of("paho", 5, on=at_broker).connect()

        def pub(self, *flags, stdin=b"", code=0):
            done = run([*tool(tools, "pub"), *at(self.at_broker), *flags], stdin=stdin)
            assert done.returncode == code, done
            if code == 0:
                assert (done.stdout, done.stderr) == (b"", b"")
            return done

        def sub(self, *flags, timeout=20):
            """Runs it to its end."""
            return run([*tool(tools, "sub"), *at(self.at_broker), *flags], timeout=timeout)

        def start_sub(self, *flags):
            """Starts it and waits until its subscriptions are live."""
            return start_sub(tools, self.at_broker, *flags)

        def start(self, verb, *flags):
            return spawn([*tool(tools, verb), *at(self.at_broker), *flags])

        def backlog(self, topic, *messages):
            """A session with these messages waiting; returns the flags that resume it."""
            client_id = fresh("backlog")
            wire = Wire(self.at_broker.port)
            wire.connect(client_id, clean=False)
            wire.subscribe(topic, 1)
            wire.disconnect()
            for at_topic, payload in messages:
                self.watcher.publish(at_topic, payload, qos=1)
            return ["-i", client_id, "-c", "-V", "311", "-q", "1", "-t", topic, "-C", str(len(messages))]

    return Bench()


@pytest.mark.parametrize("version", ["311", "mqttv311", "5", "mqttv5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_pub_sends_a_message_at_its_qos(bench, qos, version):
    bench.watcher.subscribe("a/b", qos=2)
    bench.pub("-t", "a/b", "-m", "hello é", "-q", qos, "-V", version)
    message = bench.watcher.receive()
    assert (message.topic, message.payload.decode(), message.qos, message.retain) == ("a/b", "hello é", int(qos), False)
    assert bench.watcher.fence() == []


def test_pub_sends_at_qos_0_and_without_retain_if_nothing_is_said(bench):
    bench.watcher.subscribe("a", qos=2, retain_as_published=True)
    bench.pub("-t", "a", "-m", "x")
    message = bench.watcher.receive()
    assert (message.qos, message.retain) == (0, False)


@pytest.mark.parametrize("version", ["311", "5"])
def test_pub_r_retains_and_r_with_n_clears(bench, version):
    bench.pub("-t", "a", "-m", "x", "-r", "-q", "1", "-V", version)
    bench.watcher.subscribe("a", qos=1)
    message = bench.watcher.receive()
    assert (message.payload, message.retain) == (b"x", True)
    bench.pub("-t", "a", "-n", "-r", "-q", "1", "-V", version)
    bench.watcher.receive()
    bench.watcher.subscribe("a", qos=1)
    assert bench.watcher.fence() == []


def test_pub_n_sends_an_empty_message(bench):
    bench.watcher.subscribe("a", qos=1)
    bench.pub("-t", "a", "-n", "-q", "1")
    assert bench.watcher.receive().payload == b""


def test_pub_l_sends_each_line(bench):
    bench.watcher.subscribe("a", qos=2)
    lines = [f"line {number} é" for number in range(50)]
    bench.pub("-t", "a", "-q", "2", "-l", stdin="\n".join(lines).encode() + b"\n")
    assert [bench.watcher.receive().payload.decode() for _ in lines] == lines
    assert bench.watcher.fence() == []


def test_pub_l_sends_a_line_as_soon_as_it_is_there(bench):
    bench.watcher.subscribe("a", qos=1)
    process = bench.start("pub", "-t", "a", "-q", "1", "-l")
    for line in ("one", "two"):
        process.send(line)
        assert bench.watcher.receive().payload.decode() == line
    process.close_stdin()
    assert process.wait() == 0


def test_pub_s_sends_all_of_standard_input_as_one_message(bench):
    bench.watcher.subscribe("a", qos=1)
    bench.pub("-t", "a", "-q", "1", "-s", stdin=b"one\ntwo\x00\xff\n")
    assert bench.watcher.receive().payload == b"one\ntwo\x00\xff\n"


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_pub_f_sends_a_file(bench, tmp_path, qos):
    path = tmp_path / "payload"
    path.write_bytes(os.urandom(1 << 20))
    bench.watcher.subscribe("a", qos=2)
    bench.pub("-t", "a", "-q", qos, "-f", str(path))
    assert bench.watcher.receive().payload == path.read_bytes()


def test_pub_repeats(bench):
    bench.watcher.subscribe("a", qos=1)
    bench.pub("-t", "a", "-m", "x", "-q", "1", "--repeat", "3", "--repeat-delay", "0.01")
    assert [message.payload for message in bench.watcher.fence()] == [b"x"] * 3


@pytest.mark.parametrize("version", ["311", "5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_sub_prints_the_payload_of_each_message(bench, qos, version):
    sub = bench.start_sub("-t", "a/#", "-q", qos, "-V", version)
    for payload in ("ON", "OFF", "é ☃"):
        bench.watcher.publish("a/b", payload, qos=2)
        assert sub.next_line() == payload


def test_sub_takes_several_topics(bench):
    sub = bench.start_sub("-t", "one", "-t", "two/+", "-v")
    for topic in ("one", "two/x"):
        bench.watcher.publish(topic, "x", qos=1)
        assert sub.next_line() == f"{topic} x"


def test_sub_t_upper_case_filters_out(bench):
    sub = bench.start_sub("-t", "a/#", "-T", "a/noise/#", "-v")
    bench.watcher.publish("a/noise/x", "hidden", qos=1)
    bench.watcher.publish("a/b", "seen", qos=1)
    assert sub.next_line() == "a/b seen"


def test_sub_c_ends_after_so_many_messages(bench):
    flags = bench.backlog("a", ("a", "1"), ("a", "2"), ("a", "3"))
    done = bench.sub(*flags)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n2\n3\n", b"")


MESSAGES = [("a/b", "ON"), ("a/b", "two\nlines"), ("a/é", "é ☃"), ("a/b", b"\x00\x01\xff\xfe"), ("a/b", " ")]


@pytest.mark.parametrize("flags", [[], ["-v"], ["-N"], ["-v", "-N"]], ids=lambda flags: " ".join(flags) or "plain")
def test_sub_prints_byte_for_byte_what_mosquitto_sub_prints(bench, flags):
    theirs = bench.backlog("a/#", *MESSAGES)
    ours = bench.backlog("a/#", *MESSAGES)
    expected = run(["mosquitto_sub", *at(bench.at_broker), *theirs, *flags])
    assert expected.returncode == 0
    done = bench.sub(*ours, *flags)
    assert (done.returncode, done.stdout) == (0, expected.stdout)


@pytest.mark.parametrize("flags", [[], ["-v"]], ids=["plain", "-v"])
def test_sub_prints_an_empty_message_as_mosquitto_sub_does(bench, flags):
    messages = [("a", "before"), ("a", b""), ("a", "after")]
    theirs, ours = bench.backlog("a", *messages), bench.backlog("a", *messages)
    expected = run(["mosquitto_sub", *at(bench.at_broker), *theirs, *flags])
    done = bench.sub(*ours, *flags)
    assert (done.returncode, done.stdout) == (expected.returncode, expected.stdout)


def test_sub_w_ends_with_27_when_nothing_comes(bench):
    done = bench.sub("-t", "silence", "-W", "1")
    assert (done.returncode, done.stdout) == (TIMED_OUT, b"")


def test_sub_w_does_not_hurt_when_messages_come_in_time(bench):
    done = bench.sub(*bench.backlog("a", ("a", "x")), "-W", "30")
    assert (done.returncode, done.stdout) == (0, b"x\n")


def test_sub_r_upper_case_leaves_out_stale_retained_messages(bench):
    bench.watcher.publish("a", "stale", qos=1, retain=True)
    sub = bench.start("sub", "-t", "a", "-q", "1", "-R")

    def live():
        bench.watcher.publish("a", "live", qos=1)
        return sub.lines()

    wait_until(live, "a live message is printed")
    assert set(sub.lines()) == {"live"}


def test_sub_retained_only_leaves_out_the_others(bench):
    bench.watcher.publish("a/1", "kept", qos=1, retain=True)
    sub = bench.start_sub("-t", "a/#", "--retained-only", "-v")
    assert "a/1 kept" in sub.lines()


@pytest.mark.parametrize("version", ["311", "5"])
def test_sub_c_lower_case_keeps_the_session(bench, version):
    client_id = fresh("kept")
    session = ["-i", client_id, "-c", "-q", "1", "-t", "mail", "-V", version]
    session += ["-x", "3600"] if version == "5" else []
    bench.watcher.publish("mail", "first", qos=1, retain=True)
    assert bench.sub(*session, "-C", "1").stdout == b"first\n"
    bench.watcher.publish("mail", "missed", qos=1)
    # The retained message comes again with the new SUBSCRIBE; what was missed comes with the session.
    done = bench.sub(*session, "-C", "2", "-W", "10")
    assert sorted(done.stdout.split()) == [b"first", b"missed"]


@pytest.mark.parametrize("version", ["311", "5"])
def test_a_killed_sub_leaves_its_will(bench, version):
    bench.watcher.subscribe("will", qos=2, retain_as_published=True)
    will = ("--will-topic", "will", "--will-payload", "gone", "--will-qos", "2", "--will-retain")
    bench.start_sub("-t", "x", "-V", version, *will).kill()
    message = bench.watcher.receive()
    assert (message.payload, message.qos, message.retain) == (b"gone", 2, True)


@pytest.mark.parametrize("version", ["311", "5"])
def test_pub_leaves_no_will_behind(bench, version):
    bench.watcher.subscribe("#", qos=1)
    will = ("--will-topic", "will", "--will-payload", "gone", "--will-qos", "1")
    bench.pub("-t", "a", "-m", "x", "-q", "1", "-V", version, *will)
    bench.watcher.fence()
    other = Wire(bench.at_broker.port)
    other.connect(fresh("other"))
    other.publish("end", "x", qos=1)
    other.expect(PUBACK)
    assert [message.topic for message in bench.watcher.fence()] == ["end"]


def test_a_closed_pipe_ends_sub_without_complaint(bench, spawn, tmp_path):
    # As in `sub -t a | head -n 1`; mosquitto_sub is ended by SIGPIPE, 128 + 13 for the shell.
    program = " ".join(map(str, [*tool(bench.kind, "sub"), *at(bench.at_broker), "-t", "a"]))
    shell = spawn(["bash", "-c", f"{program} 2>{tmp_path}/err | head -n 1; exit ${{PIPESTATUS[0]}}"])

    def ended():
        bench.watcher.publish("a", "x", qos=1)
        return shell.returncode is not None

    wait_until(ended, "sub ends after its reader has gone")
    assert shell.wait() in (0, 141)
    assert shell.lines() == ["x"]
    assert (tmp_path / "err").read_text() == ""
