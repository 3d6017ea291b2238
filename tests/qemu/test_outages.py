"""What boards do when the broker, the network or the other machine is away."""

import signal

from process import wait_until


def press(button, lamp, payload):
    assert button.press() == payload
    lamp.logged(f"^led {payload}$")


def test_after_a_killed_broker_is_back_a_press_works(any_broker, pair):
    press(*pair, "ON")
    any_broker.kill()
    for board in pair:
        board.logged("^disconnected: ")
    any_broker.start()
    for board in pair:
        board.connected()
    press(*pair, "OFF")
    press(*pair, "ON")


def test_a_press_while_the_broker_was_away_arrives_once(any_broker, pair, start_sub):
    button, lamp = pair
    any_broker.kill()
    for board in pair:
        board.logged("^disconnected: ")
    assert button.press() == "ON"
    # It is held still until somebody looks on, so that nothing of it is missed.
    button.send_signal(signal.SIGSTOP)
    any_broker.start()
    watcher = start_sub("mosquitto", any_broker, "-t", "esp32/data")
    button.send_signal(signal.SIGCONT)
    assert watcher.next_line() == "ON"
    lamp.logged("^led ON$")
    button.connected()
    button.settled()
    press(button, lamp, "OFF")
    assert watcher.next_line() == "OFF", "the first press came once"


def test_of_many_presses_while_the_broker_was_away_the_newest_state_counts(any_broker, pair):
    button, lamp = pair
    any_broker.kill()
    for board in pair:
        board.logged("^disconnected: ")
    for payload in ("ON", "OFF", "ON"):
        assert button.press() == payload
    any_broker.start()
    lamp.logged("^led ON$")
    button.connected()
    press(button, lamp, "OFF")


def test_a_press_that_the_broker_did_not_answer_comes_after_all(any_broker, pair):
    """The broker's machine hangs: the connection stands, and nobody is there."""
    button, lamp = pair
    any_broker.process.send_signal(signal.SIGSTOP)
    try:
        assert button.press() == "ON"
        assert button.status()["unsent"] == "yes"
    finally:
        any_broker.process.send_signal(signal.SIGCONT)
    lamp.logged("^led ON$")
    button.settled()


def test_a_half_open_connection_is_noticed(any_broker, start_machine):
    button, lamp = (
        start_machine(any_broker, role, keep_alive=1, ping_timeout=1, connect_timeout=1).connected()
        for role in ("publisher", "subscriber")
    )
    any_broker.process.send_signal(signal.SIGSTOP)
    try:
        for board in (button, lamp):
            board.logged("^disconnected: ")
    finally:
        any_broker.process.send_signal(signal.SIGCONT)
    for board in (button, lamp):
        board.connected()
    press(button, lamp, "ON")


def test_a_pulled_cable_is_noticed_and_a_plugged_one_used(any_broker, pair):
    button, lamp = pair
    lamp.plug(False)
    lamp.logged("^disconnected: the network is down$")
    assert button.press() == "ON"
    button.settled()
    lamp.plug(True)
    # What the broker has kept may come before its answer to the subscription, or after it.
    lamp.logged("^led ON$")
    wait_until(lambda: lamp.status()["subscribed"] == "yes", "the subscription")
    press(button, lamp, "OFF")


def test_a_press_without_a_cable_is_not_held_up(any_broker, pair):
    button, lamp = pair
    button.plug(False)
    button.logged("^disconnected: the network is down$")
    assert button.press() == "ON"
    button.plug(True)
    lamp.logged("^led ON$")


def test_a_machine_that_starts_before_its_broker_waits_for_it(any_broker, start_machine):
    any_broker.kill()
    board = start_machine(any_broker)
    for _ in range(3):
        board.logged("connection refused; does the broker run, and on that port")
    any_broker.start()
    board.connected()


def test_the_broker_may_be_killed_again_and_again(any_broker, pair):
    for turn in range(5):
        any_broker.kill()
        for board in pair:
            board.logged("^disconnected: ")
        any_broker.start()
        for board in pair:
            board.connected()
        press(*pair, "OFF" if turn % 2 else "ON")
    assert all(board.status()["reconnects"] == "5" for board in pair)
