"""Our broker with Debian's mosquitto_pub and mosquitto_sub, in 3.1.1 and 5.0."""

import json
import os

import pytest

from conftest import at
from peers import fresh
from process import run


@pytest.fixture(params=["mqttv311", "mqttv5"])
def version(request):
    return request.param


@pytest.fixture
def publish(broker, version):
    """Runs mosquitto_pub to its end, which must be a good one."""

    def publish(*flags, stdin=b""):
        done = run(["mosquitto_pub", *at(broker), "-V", version, *flags], stdin=stdin)
        assert (done.returncode, done.stderr) == (0, b"")
        return done

    return publish


@pytest.fixture
def subscribe(broker, version, spawn):
    """Starts mosquitto_sub and waits until its subscription is acknowledged."""

    def subscribe(*flags):
        sub = spawn(["stdbuf", "-oL", "mosquitto_sub", *at(broker), "-V", version, "-d", *flags])
        sub.expect(r"^Subscribed \(mid: \d+\)")
        return sub

    return subscribe


def message(sub):
    """The next message of a mosquitto_sub that prints JSON; its log lines are passed over."""
    return json.loads(sub.expect(r"^\{.*\}$").group(0))


@pytest.mark.parametrize("granted", ["0", "1", "2"])
@pytest.mark.parametrize("sent", ["0", "1", "2"])
def test_a_message_goes_through_at_the_lower_of_both_qos(publish, subscribe, sent, granted):
    sub = subscribe("-t", "room/lamp", "-q", granted, "-F", "%j")
    publish("-t", "room/lamp", "-m", "ON", "-q", sent)
    got = message(sub)
    assert (got["topic"], got["payload"], got["qos"], got["retain"]) == (
        "room/lamp", "ON", min(int(sent), int(granted)), 0)


def test_retained_messages_are_delivered_then_cleared(publish, subscribe):
    publish("-t", "state/lamp", "-m", "ON", "-q", "1", "-r")
    publish("-t", "state/fan", "-m", "OFF", "-q", "1", "-r")
    first = subscribe("-t", "state/#", "-q", "1", "-F", "%j")
    assert {(got["topic"], got["payload"], got["retain"]) for got in (message(first), message(first))} == {
        ("state/lamp", "ON", 1), ("state/fan", "OFF", 1)}
    publish("-t", "state/fan", "-n", "-r", "-q", "1")
    publish("-t", "state/lamp", "-n", "-q", "1")
    second = subscribe("-t", "state/#", "-q", "1", "-F", "%j")
    got = message(second)
    assert (got["topic"], got["payload"], got["retain"]) == ("state/lamp", "ON", 1)
    publish("-t", "state/end", "-m", "live", "-q", "1")
    assert message(second)["topic"] == "state/end"


def test_retained_only_shows_them_and_ends(broker, publish, version):
    publish("-t", "state/lamp", "-m", "ON", "-q", "1", "-r")
    flags = [*at(broker), "-V", version, "-t", "state/#", "--retained-only", "-W", "10", "-C", "1"]
    done = run(["mosquitto_sub", *flags], timeout=20)
    assert (done.returncode, done.stdout) == (0, b"ON\n")


def test_remove_retained_clears_each(broker, publish, subscribe, version):
    publish("-t", "state/lamp", "-m", "ON", "-q", "1", "-r")
    watching = subscribe("-t", "state/#", "-q", "1", "-F", "%j")
    assert message(watching)["payload"] == "ON"
    subscribe("-t", "state/lamp", "--remove-retained")
    assert message(watching)["payloadlen"] == 0
    publish("-t", "state/end", "-m", "end", "-q", "1", "-r")
    done = run(["mosquitto_sub", *at(broker), "-V", version, "-t", "state/#", "-C", "1", "-v"])
    assert done.stdout == b"state/end end\n"


def test_a_killed_mosquitto_sub_leaves_its_will(subscribe):
    watching = subscribe("-t", "gone", "-q", "1", "-F", "%j")
    doomed = subscribe("-t", "x", "--will-topic", "gone", "--will-payload", "bye", "--will-qos", "1", "--will-retain")
    doomed.kill()
    got = message(watching)
    assert (got["payload"], got["qos"]) == ("bye", 1)
    assert message(subscribe("-t", "gone", "-q", "1", "-F", "%j"))["retain"] == 1


def test_an_orderly_mosquitto_sub_leaves_no_will(subscribe, publish):
    watching = subscribe("-t", "gone", "-q", "1", "-F", "%j")
    # It ends by itself after one message; a signal would make it send DISCONNECT with will.
    brief = subscribe("-t", "x", "-C", "1", "--will-topic", "gone", "--will-payload", "bye", "--will-qos", "1")
    publish("-t", "x", "-m", "end", "-q", "1")
    assert brief.wait() == 0
    publish("-t", "gone", "-m", "last", "-q", "1")
    assert message(watching)["payload"] == "last"


@pytest.mark.parametrize("qos", ["1", "2"])
def test_a_persistent_session_gets_what_it_missed(publish, broker, version, qos):
    client_id = fresh("away")
    session = [*at(broker), "-V", version, "-i", client_id, "-c", "-q", "2", "-t", "mail", "-F", "%q %p"]
    if version == "mqttv5":
        session += ["-x", "3600"]
    assert run(["mosquitto_sub", *session, "-E"]).returncode == 0
    for number in range(20):
        publish("-t", "mail", "-m", str(number), "-q", qos)
    done = run(["mosquitto_sub", *session, "-C", "20", "-W", "10"])
    assert done.stdout.decode().split("\n")[:-1] == [f"{qos} {number}" for number in range(20)]


def test_lines_of_standard_input_each_make_a_message(publish, subscribe):
    sub = subscribe("-t", "lines", "-q", "1", "-F", "%j")
    publish("-t", "lines", "-q", "1", "-l", stdin=b"".join(b"line %d\n" % number for number in range(100)))
    assert [message(sub)["payload"] for _ in range(100)] == [f"line {number}" for number in range(100)]


@pytest.mark.parametrize("qos", ["0", "2"])
def test_a_file_of_one_mebibyte_goes_through_whole(broker, publish, subscribe, tmp_path, qos):
    path = tmp_path / "payload"
    path.write_bytes(os.urandom(1 << 20))
    sub = subscribe("-t", "file", "-q", qos, "-C", "1", "-F", "%l %x")
    publish("-t", "file", "-q", qos, "-f", str(path))
    assert sub.expect(r"^1048576 ([0-9a-f]+)$").group(1) == path.read_bytes().hex()
    assert sub.wait() == 0


@pytest.mark.parametrize("version", ["mqttv5"], indirect=True)
def test_properties_from_the_command_line_arrive(publish, subscribe):
    sub = subscribe("-t", "a", "-q", "1", "-F", "%R|%D|%C|%P|%p", "-D", "subscribe", "subscription-identifier", "7")
    publish("-t", "a", "-m", "x", "-q", "1", "-D", "publish", "response-topic", "answers",
            "-D", "publish", "correlation-data", "c1", "-D", "publish", "content-type", "text/plain",
            "-D", "publish", "user-property", "key", "value")
    sub.expect(r"^answers\|c1\|text/plain\|key:value\|x$")


@pytest.mark.parametrize("version", ["mqttv5"], indirect=True)
def test_retain_as_published_is_honoured(publish, subscribe):
    kept = subscribe("-t", "a", "-q", "1", "-F", "%j", "--retain-as-published")
    publish("-t", "a", "-m", "x", "-q", "1", "-r")
    assert message(kept)["retain"] == 1


def test_many_clients_at_once_each_get_every_message(publish, subscribe):
    subs = [subscribe("-t", "all", "-q", "1", "-F", "%j") for _ in range(12)]
    for number in range(10):
        publish("-t", "all", "-m", str(number), "-q", "1")
    for sub in subs:
        assert [message(sub)["payload"] for _ in range(10)] == [str(number) for number in range(10)]
