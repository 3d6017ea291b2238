"""What goes wrong, and how it is said: one line with cause and remedy, an exit code that means it."""

import re
import socket

import pytest

from brokers import DECLIC, HOST, KINDS
from conftest import at
from process import LIMIT, home_environment, run, wait_until
from wire import CONNACK, Wire, packet

pytestmark = pytest.mark.needs_declic

FAILED, USAGE, UNREACHABLE, REFUSED, CANNOT_LISTEN = 1, 2, 3, 4, 5

PUB, SUB = ["pub", "-t", "a", "-m", "x"], ["sub", "-t", "a"]


@pytest.fixture
def declic(home):
    """Runs declic to its end."""

    def declic(*arguments, stdin=b""):
        return run([DECLIC, *arguments], stdin=stdin, env=home_environment(home, RUST_BACKTRACE="1"))

    return declic


def one_line(done, code, *mentions):
    """Checks an error: its code, one line `error: <what>: <cause>. <remedy>`, nothing on stdout."""
    stderr = done.stderr.decode()
    assert done.returncode == code, stderr
    assert "panicked" not in stderr and "backtrace" not in stderr
    assert done.stdout == b""
    (line,) = stderr.splitlines()
    assert re.match(r"error: \S.*", line), line
    for word in mentions:
        assert word in line, f"{word!r} is not mentioned in {line!r}"
    return line


def with_remedy(line):
    """More than the cause: a second sentence says what to do."""
    assert re.fullmatch(r"error: .+: .+[.?!] \S.*", line), line
    return line


@pytest.fixture
def taken():
    """A port that someone listens on who is no broker."""
    with socket.create_server((HOST, 0)) as holder:
        yield holder.getsockname()[1]


@pytest.fixture
def nobody():
    """A port that refuses connections for as long as the test runs: bound, not listening."""
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


@pytest.mark.parametrize("verb", ["broker", "up"])
def test_a_port_in_use_is_said(declic, taken, verb):
    with_remedy(one_line(declic(verb, "--listen", f"{HOST}:{taken}"), CANNOT_LISTEN, str(taken)))


def test_an_address_of_another_machine_cannot_be_listened_on(declic):
    one_line(declic("broker", "--listen", "192.0.2.1:0", "--anonymous"), CANNOT_LISTEN, "192.0.2.1")


@pytest.mark.parametrize("verb", [PUB, SUB], ids=["pub", "sub"])
def test_no_broker_is_said_with_its_address(declic, nobody, verb):
    line = one_line(declic(*verb, "-h", HOST, "-p", str(nobody)), UNREACHABLE, HOST, str(nobody), "refused")
    with_remedy(line)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("version", [[], ["-V", "311"], ["-V", "5"]], ids=["any", "v311", "v5"])
@pytest.mark.parametrize("verb", [PUB, SUB], ids=["pub", "sub"])
def test_a_wrong_password_is_said(declic, start_broker, verb, version, kind):
    broker = start_broker(kind, users={"marie": "right"})
    done = declic(*verb, *at(broker), *version, "-u", "marie", "-P", "wrong-secret")
    line = with_remedy(one_line(done, REFUSED))
    assert "wrong-secret" not in line, "a password was printed"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_missing_password_is_said(declic, start_broker, kind):
    broker = start_broker(kind, users={"marie": "right"})
    with_remedy(one_line(declic(*PUB, *at(broker)), REFUSED))


def test_a_board_with_a_wrong_password_says_so(start_broker, spawn):
    # A board may go on trying, as a real one does, or end; it says why, without the password.
    broker = start_broker(users={"marie": "right"})
    url = f"mqtt://marie:wrong-secret@{HOST}:{broker.port}"
    board = spawn([DECLIC, "board", "--role", "publisher", "--broker", url])
    wait_until(lambda: board.lines() or board.lines("err"), "the board says something")
    (line,) = (board.lines() + board.lines("err"))[:1]
    assert re.search("(?i)password|not authori[sz]ed", line), line
    assert re.search(r"[.?!] \S", line), f"no remedy: {line}"
    assert not any("wrong-secret" in line for line in board.lines() + board.lines("err"))
    assert board.returncode in (None, REFUSED)


@pytest.mark.parametrize("topic", ["a/#", "a/+/b", "#", "+", ""])
def test_a_topic_that_cannot_be_published_to_is_said(declic, broker, topic):
    done = declic("pub", *at(broker), "-t", topic, "-m", "x")
    with_remedy(one_line(done, USAGE))


@pytest.mark.parametrize("topic_filter", ["a/#/b", "a+", "#a", ""])
def test_a_filter_that_is_none_is_said(declic, broker, topic_filter):
    with_remedy(one_line(declic("sub", *at(broker), "-t", topic_filter), USAGE))


def test_a_wrong_topic_is_said_before_the_broker_is_asked(declic, nobody):
    one_line(declic("pub", "-h", HOST, "-p", str(nobody), "-t", "a/#", "-m", "x"), USAGE, "a/#")


@pytest.mark.parametrize("arguments", [
    ["pub", "-t", "a", "-m", "x", "-q", "3"],
    ["pub", "-t", "a", "-m", "x", "-V", "mqttv7"],
    ["pub", "-t", "a", "-m", "x", "-p", "70000"],
    ["pub", "-t", "a", "-m", "x", "--no-such-flag"],
    ["pub", "-m", "x"],
    ["pub", "-t", "a"],
    ["sub"],
    ["sub", "-t", "a", "-C", "many"],
    ["board", "--role", "cook", "--broker", f"mqtt://{HOST}:1"],
    ["board", "--role", "both", "--broker", "http://x"],
    ["broker", "--listen", "nowhere"],
    ["launch"],
], ids=" ".join)
def test_wrong_usage_ends_with_2(declic, arguments):
    done = declic(*arguments)
    assert done.returncode == USAGE, done
    assert done.stdout == b""
    assert done.stderr.startswith(b"error: ")
    assert b"panicked" not in done.stderr


def test_a_payload_file_that_is_not_there_is_said(declic, broker):
    done = declic("pub", *at(broker), "-t", "a", "-f", "/nowhere/to/be/found")
    assert done.returncode in (FAILED, USAGE)
    one_line(done, done.returncode, "/nowhere/to/be/found")


def test_a_users_file_that_is_not_there_is_said(declic):
    done = declic("broker", "--listen", f"{HOST}:0", "--users", "/nowhere/to/be/found")
    assert done.returncode in (FAILED, USAGE)
    one_line(done, done.returncode, "/nowhere/to/be/found")


@pytest.mark.parametrize("text", ["marie\n", ":secret\n", "\xff\xfe\n"], ids=["no colon", "no name", "not UTF-8"])
def test_a_malformed_users_file_is_said_and_nobody_is_let_in(declic, tmp_path, text):
    path = tmp_path / "users"
    path.write_bytes(text.encode("latin-1"))
    done = declic("broker", "--listen", f"{HOST}:0", "--users", str(path))
    assert done.returncode in (FAILED, USAGE)
    one_line(done, done.returncode, str(path))


def test_an_empty_users_file_does_not_mean_everyone(spawn, tmp_path):
    path = tmp_path / "users"
    path.write_text("")
    process = spawn([DECLIC, "broker", "--listen", f"{HOST}:0", "--users", str(path)])
    try:
        port = int(process.expect(r"^listening on mqtt://127\.0\.0\.1:(\d+)$").group(1))
    except AssertionError:
        assert process.wait() != 0  # refusing to start is as good
        return
    assert Wire(port).connect("anyone")[1] in (4, 5)


def test_a_listener_for_the_network_needs_a_word_on_who_may_connect(declic):
    line = one_line(declic("broker", "--listen", "0.0.0.0:0"), USAGE)
    assert any(flag in line for flag in ("--users", "--lan", "--anonymous")), line


@pytest.mark.parametrize("verb", [PUB, SUB], ids=["pub", "sub"])
@pytest.mark.parametrize("code", [2, 3], ids=["identifier rejected", "server unavailable"])
def test_any_refusal_is_said(spawn, listener, verb, code):
    process = spawn([DECLIC, *verb, "-h", HOST, "-p", str(listener.port), "-V", "311"])
    wire, _ = listener.accept()
    wire.send(packet(CONNACK, 0, bytes([0, code])))
    wire.close()
    assert process.wait() == REFUSED
    (line,) = process.lines("err")
    assert line.startswith("error: ")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 64, b""],
                         ids=["http", "noise", "closed at once"])
def test_a_server_that_is_no_broker_is_said(spawn, listener, answer):
    process = spawn([DECLIC, *PUB, "-h", HOST, "-p", str(listener.port), "-V", "311"])
    wire, _ = listener.accept()
    wire.send(answer)
    wire.close()
    assert process.wait() in (FAILED, UNREACHABLE, REFUSED)
    (line,) = process.lines("err")
    assert line.startswith("error: ")
    assert "panicked" not in line


def test_a_qos_1_pub_that_is_cut_off_before_its_acknowledgement_fails(spawn, listener):
    process = spawn([DECLIC, *PUB, "-q", "1", "-h", HOST, "-p", str(listener.port), "-V", "311"])
    wire, _ = listener.accept()
    wire.send(packet(CONNACK, 0, b"\x00\x00"))
    assert wire.read() is not None
    wire.close()
    listener.close()
    assert process.wait(3 * LIMIT) != 0
    assert process.lines("err")[-1].startswith("error: ")


@pytest.mark.parametrize("verb", [[], ["up"], ["broker"], ["board"], ["pub"], ["sub"]], ids=" ".join)
def test_help_names_every_flag_and_ends_with_0(declic, verb):
    done = declic(*verb, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Usage" in done.stdout
    wanted = {
        "pub": ["-h", "-p", "-t", "-m", "-q", "-r", "-i", "-u", "-P", "-V", "-l", "-n", "-s", "-f", "-k", "--will-topic"],
        "sub": ["-h", "-p", "-t", "-q", "-i", "-u", "-P", "-V", "-C", "-v", "-W", "-N", "-R", "-T", "-k", "--will-topic"],
        "broker": ["--listen", "--users", "--lan", "--anonymous"],
        "up": ["--listen", "--lan", "--anonymous"],
        "board": ["--role", "--broker", "--topic", "--id", "--no-retain"],
    }.get("".join(verb), ["up", "broker", "board", "pub", "sub"])
    for flag in wanted:
        assert flag in done.stdout.decode(), f"{flag} is not in the help"


def test_the_version_is_told(declic):
    done = declic("--version")
    assert done.returncode == 0
    assert re.match(rb"declic \d+\.\d+\.\d+", done.stdout)


def test_a_broker_ends_in_good_order_on_a_signal(start_broker):
    broker = start_broker("declic")
    wire = Wire(broker.port, 5)
    wire.connect("present")
    assert broker.stop() == 0
    wire.expect_close()
    assert "panicked" not in broker.process.text()


def test_a_broker_that_was_killed_starts_again_on_its_port_at_once(start_broker):
    broker = start_broker("declic")
    Wire(broker.port).connect("present")
    port = broker.port
    for _ in range(3):
        broker.kill()
        broker.start()
        assert broker.port == port
        assert Wire(port).connect("back")[1] == 0


def test_a_broker_listens_on_each_address_that_is_given(spawn):
    process = spawn([DECLIC, "broker", "--listen", f"{HOST}:0", "--listen", f"{HOST}:0"])
    ports = [int(process.expect(r"^listening on mqtt://127\.0\.0\.1:(\d+)$").group(1)) for _ in range(2)]
    assert len(set(ports)) == 2
    for port in ports:
        assert Wire(port).connect(f"on-{port}")[1] == 0
