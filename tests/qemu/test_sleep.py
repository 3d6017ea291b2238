"""A button on a battery: it sleeps between presses, as with the setting `sleep`."""


def test_a_press_wakes_the_board_and_arrives(any_broker, start_machine, flash, start_sub):
    lamp = start_machine(any_broker, "subscriber").connected()
    button = start_machine(any_broker, "publisher", flash=flash, sleep=1).connected()
    watcher = start_sub("mosquitto", any_broker, "-t", f"declic/{button.board_id}/button")
    for count, payload in enumerate(("ON", "OFF", "ON"), start=1):
        button.expect("^asleep")
        button.send("press")
        button.logged("^start: deep sleep$")
        lamp.logged(f"^led {payload}$")
        event = f'{{"event_type":"press","count":{count},"boot":1}}'
        assert watcher.next_line() == event, "its numbers go on"

