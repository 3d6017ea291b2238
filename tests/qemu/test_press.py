"""From the button of one machine to the light of the other."""


def press(button, lamp, payload):
    assert button.press() == payload
    lamp.logged(f"^led {payload}$")


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


def test_one_board_can_be_both(any_broker, start_machine):
    board = start_machine(any_broker, "both").connected()
    for payload in ("ON", "OFF"):
        press(board, board, payload)


def test_a_lamp_that_comes_later_takes_the_state(any_broker, start_machine):
    button = start_machine(any_broker, "publisher").connected()
    assert button.press() == "ON"
    lamp = start_machine(any_broker, "subscriber").connected()
    lamp.logged("^led ON$")


def test_the_light_comes_back_after_a_restart(pair):
    button, lamp = pair
    press(button, lamp, "ON")
    assert lamp.command("restart") == ["ok"]
    lamp.logged("restart by the program$")
    lamp.logged("^led OFF$")
    lamp.connected()
    lamp.logged("^led ON$")


def test_pairs_do_not_share_a_light(any_broker, start_machine):
    first, second = (start_machine(any_broker, pair=name).connected() for name in ("table-1", "table-2"))
    assert first.press() == "ON"
    first.settled()
    # Were it its own, it would be on, and this press would switch it off.
    assert second.press() == "ON"
    second.settled()
    assert first.status()["light"] == second.status()["light"] == "ON"


def test_a_light_can_be_switched_from_home(any_broker, pair, start_sub):
    _, lamp = pair
    watcher = start_sub("mosquitto", any_broker, "-t", f"declic/{lamp.board_id}/led")
    for word, payload in (("on", "ON"), ("off", "OFF")):
        assert lamp.command(f"led {word}") == ["ok"]
        lamp.logged(f"^led {payload}$")
        assert watcher.next_line() == payload


def test_a_board_says_goodbye_and_the_machine_ends(any_broker, start_machine, start_sub):
    board = start_machine(any_broker, "publisher").connected()
    watcher = start_sub("mosquitto", any_broker, "-t", f"declic/{board.board_id}/status")
    assert watcher.lines()[0] == "online"
    assert board.switch_off() == 0
    assert watcher.next_line() == "offline"


def test_a_machine_that_is_switched_off_leaves_its_will(any_broker, start_machine, start_sub):
    board = start_machine(any_broker, "publisher").connected()
    watcher = start_sub("mosquitto", any_broker, "-t", f"declic/{board.board_id}/status")
    assert watcher.lines()[0] == "online"
    board.kill()
    assert watcher.next_line() == "offline"


def test_both_versions_are_spoken(any_broker, start_machine):
    for version, name in (("5", "5.0"), ("3.1.1", "3.1.1")):
        board = start_machine(any_broker, "publisher", mqtt=version).connected()
        assert board.status()["mqtt"] == name
