"""`declic up` without a terminal: commands as lines in, events as lines out."""

import re
import signal
import socket

import pytest

from brokers import DECLIC, HOST
from conftest import at
from process import LIMIT, run

pytestmark = pytest.mark.needs_declic

LISTENING = r"^listening on mqtt://127\.0\.0\.1:(\d+)$"


@pytest.fixture
def up(spawn):
    """A running `declic up` on a free port, ready."""
    process = spawn([DECLIC, "up", "--listen", f"{HOST}:0"])
    process.port = int(process.expect(LISTENING).group(1))
    process.expect("^ready$")
    return process


def test_its_first_line_says_where_it_listens(spawn):
    process = spawn([DECLIC, "up", "--listen", f"{HOST}:0"])
    assert re.match(LISTENING, process.next_line())


def test_ready_is_said_once_after_both_boards_have_connected(up):
    up.send("status")
    up.expect("^status ")
    lines = up.lines()
    assert lines.count("ready") == 1
    before = lines[: lines.index("ready")]
    assert "publisher connected" in before
    assert "subscriber connected" in before


def test_two_presses_turn_the_light_on_and_off(up):
    for payload in ("ON", "OFF"):
        up.send("press")
        up.expect(f"^publisher pressed {payload}$")
        up.expect(f"^subscriber light {payload}$")
    up.send("quit")
    assert up.wait() == 0
    events = [line for line in up.lines() if re.match("^(publisher pressed|subscriber light)", line)]
    assert events == ["publisher pressed ON", "subscriber light ON", "publisher pressed OFF", "subscriber light OFF"]


def test_presses_sent_in_one_write_are_each_a_press(up):
    up.send_bytes(b"press\n" * 6)
    for payload in ("ON", "OFF") * 3:
        up.expect(f"^subscriber light {payload}$")


def test_a_script_may_send_its_presses_before_it_is_ready(spawn):
    process = spawn([DECLIC, "up", "--listen", f"{HOST}:0"])
    process.send_bytes(b"press\n")
    process.expect("^subscriber light ON$")
    process.send_bytes(b"quit\n")
    assert process.wait() == 0


def test_status_tells_of_both_boards(up):
    up.send("press")
    up.expect("^subscriber light ON$")
    up.send("status")
    told = {up.expect("^status (publisher|subscriber) .+").group(1) for _ in range(2)}
    assert told == {"publisher", "subscriber"}


def test_commands_are_obeyed_in_order_so_quit_waits_for_the_answer_to_status(up):
    up.send_bytes(b"status\nquit\n")
    assert up.wait() == 0
    told = "\n".join(line for line in up.lines() if line.startswith("status "))
    assert "publisher" in told and "subscriber" in told


def test_quit_leaves_nothing_on_standard_error(up):
    up.send("quit")
    assert up.wait() == 0
    assert "panicked" not in up.text()
    assert not any(line.startswith("error") for line in up.lines("err")), up.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(up, number):
    assert up.stop(number) == 0
    assert "panicked" not in up.text()


def test_without_input_it_runs_as_a_service(spawn):
    process = spawn([DECLIC, "up", "--listen", f"{HOST}:0"])
    process.close_stdin()
    process.expect("^ready$")
    assert process.returncode is None
    assert process.stop() == 0


def test_input_that_ends_leaves_it_running(up):
    up.send("press")
    up.close_stdin()
    up.expect("^subscriber light ON$")
    assert run(["mosquitto_pub", *at(up), "-t", "esp32/data", "-m", "OFF", "-q", "1"]).returncode == 0
    up.expect("^subscriber light OFF$")
    assert up.stop() == 0


def test_an_unknown_command_does_no_harm(up):
    up.send("launch")
    up.send("press")
    up.expect("^subscriber light ON$")


def test_any_client_joins(up, spawn):
    watching = spawn(["mosquitto_sub", *at(up), "-t", "esp32/data", "-C", "2", "-v"])
    assert run(["mosquitto_pub", *at(up), "-t", "esp32/data", "-m", "ON", "-q", "1", "-r"]).returncode == 0
    up.expect("^subscriber light ON$")
    watching.expect("^esp32/data ON$")
    # The publisher may take up the state it hears of or not: what it sends is what arrives.
    up.send("press")
    payload = up.expect("^publisher pressed (ON|OFF)$").group(1)
    watching.expect(f"^esp32/data {payload}$")
    assert watching.wait() == 0


def test_it_starts_again_on_the_port_it_had(up, spawn):
    assert up.stop() == 0
    again = spawn([DECLIC, "up", "--listen", f"{HOST}:{up.port}"])
    assert int(again.expect(LISTENING).group(1)) == up.port
    again.expect("^ready$")


def test_a_taken_port_that_was_asked_for_is_an_error(up):
    done = run([DECLIC, "up", "--listen", f"{HOST}:{up.port}"])
    assert done.returncode == 5
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert str(up.port) in line


@pytest.fixture
def port_1883_taken():
    """Port 1883 in use on loopback, by the test or by whoever has it already."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((HOST, 1883))
            holder.listen()
        except OSError:
            pass
        yield


@pytest.mark.parametrize("verb", [["up"], []], ids=["declic up", "declic"])
@pytest.mark.usefixtures("port_1883_taken")
def test_a_taken_1883_that_was_not_asked_for_means_another_port_which_is_said(spawn, verb):
    process = spawn([DECLIC, *verb])
    port = int(process.expect(LISTENING, timeout=LIMIT).group(1))
    assert port != 1883
    process.expect("^ready$")
    process.expect("1883", stream="err")
    process.send("press")
    process.expect("^subscriber light ON$")
    process.send("quit")
    assert process.wait() == 0


@pytest.mark.usefixtures("port_1883_taken")
def test_two_at_once_do_not_disturb_each_other(spawn):
    both = [spawn([DECLIC, "up"]) for _ in range(2)]
    ports = {process.expect(LISTENING).group(1) for process in both}
    assert len(ports) == 2
    for process in both:
        process.expect("^ready$")
    for process in both:
        process.send("press")
        process.expect("^subscriber light ON$")
    for process in both:
        process.send("status")
        process.expect("^status ")
        assert process.lines().count("subscriber light ON") == 1
