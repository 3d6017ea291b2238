"""From the button of one machine to the light of the other."""

import re

from process import wait_until


def press(button, lamp, payload):
    button.command("press", f"^pressed {payload}$")
    lamp.expect(f"^led {payload}$")


def test_a_press_turns_the_light_on_and_the_next_one_off(pair):
    for payload in ("ON", "OFF", "ON"):
        press(*pair, payload)


def test_every_press_is_one_message(any_broker, pair, start_sub):
    button, lamp = pair
    watcher = start_sub("mosquitto", any_broker, "-t", "esp32/data")
    for _ in range(10):
        for payload in ("ON", "OFF"):
            press(button, lamp, payload)
            assert watcher.next_line() == payload
    assert button.status()["presses"] == "20"


def test_lines_that_are_typed_faster_than_they_are_taken_are_not_lost(start_machine):
    machine = start_machine()
    machine.expect("^led OFF$")
    machine.send("\n".join(["press"] * 300))
    for _ in range(150):
        machine.expect("^pressed ON$")
        machine.expect("^pressed OFF$")
    assert machine.status()["presses"] == "300"


def test_one_board_can_be_both(any_broker, start_machine):
    board = start_machine(any_broker, "both").connected()
    board.command("press", "^led ON$")
    board.command("press", "^led OFF$")


def test_a_lamp_that_comes_later_takes_the_state(any_broker, start_machine):
    button = start_machine(any_broker, "publisher").connected()
    button.command("press", "^pressed ON$")
    lamp = start_machine(any_broker, "subscriber").connected()
    lamp.expect("^led ON$")


def test_the_light_comes_back_after_a_restart(pair):
    button, lamp = pair
    press(button, lamp, "ON")
    lamp.send("restart")
    lamp.expect("^last restart: restart by the program$")
    lamp.expect("^led OFF$")
    lamp.connected()
    lamp.expect("^led ON$")


def test_pairs_do_not_share_a_light(any_broker, start_machine):
    first, second = (start_machine(any_broker, pair=name).connected() for name in ("table-1", "table-2"))
    first.command("press", "^led ON$")
    wait_until(lambda: first.status()["unsent"] == "no", "the first press at the broker")
    # Were it its own, it would be on, and this press would switch it off.
    second.command("press", "^pressed ON$")
    wait_until(lambda: second.status()["unsent"] == "no", "the second press at the broker")
    assert first.status()["light"] == second.status()["light"] == "ON"


def test_a_board_says_goodbye_and_the_machine_ends(any_broker, start_machine, start_sub):
    board = start_machine(any_broker, "publisher").connected()
    watcher = start_sub("mosquitto", any_broker, "-t", f"declic/{board.board_id}/status")
    assert watcher.lines()[0] == "online"
    board.send("quit")
    board.expect("^stopped$")
    assert board.wait() == 0
    assert watcher.next_line() == "offline"


def test_a_machine_that_is_switched_off_leaves_its_will(any_broker, start_machine, start_sub):
    board = start_machine(any_broker, "publisher").connected()
    watcher = start_sub("mosquitto", any_broker, "-t", f"declic/{board.board_id}/status")
    assert watcher.lines()[0] == "online"
    board.kill()
    assert watcher.next_line() == "offline"


def test_all_versions_are_spoken(any_broker, start_machine):
    for version in ("5", "3.1.1"):
        board = start_machine(any_broker, "publisher", mqtt=version)
        board.expect(rf"^connected \(MQTT {re.escape(version)}")
