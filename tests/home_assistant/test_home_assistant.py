"""What Home Assistant makes of a board: its own discovery, validation and entities."""

import json

# Boards wait up to ten seconds after Home Assistant has started.
AGAIN_LIMIT = 30

SETTINGS = ("--set", "home-assistant=on", "--set", "double-press=300", "--set", "hold-press=700")
KITCHEN = (*SETTINGS, "--name", "kitchen")


def state(home_assistant, entity, value="\\S+", timeout=AGAIN_LIMIT):
    """Waits for that state of an entity; returns its attributes."""
    found = home_assistant.expect(f"^state {entity} {value} (.*)$", timeout=timeout)
    return json.loads(found.group(1))


def nothing_was_refused(home_assistant):
    """Home Assistant warns of what it does not understand, and leaves it out."""
    told = [line for line in home_assistant.lines("err") if ":homeassistant.components.mqtt" in line]
    assert told == [], home_assistant.text()


def test_a_board_is_there_with_all_its_parts_and_they_work(broker, start_board, start_home_assistant):
    board = start_board("both", broker, *KITCHEN)
    home_assistant = start_home_assistant(broker)
    seen = {}
    while len(seen) < 4:
        found = home_assistant.expect(r"^state (\S+) (\S+) (.*)$", timeout=AGAIN_LIMIT)
        seen[found.group(1)] = json.loads(found.group(3))
    # The signal is only announced by a board with Wi-Fi.
    assert sorted(seen) == ["button.kitchen", "event.kitchen_button", "light.kitchen", "sensor.kitchen_uptime"]
    assert seen["event.kitchen_button"]["event_types"] == ["press", "double", "hold"]
    assert seen["light.kitchen"]["supported_color_modes"] == ["onoff"]
    assert seen["sensor.kitchen_uptime"]["unit_of_measurement"] == "s"
    assert seen["button.kitchen"]["device_class"] == "restart"
    home_assistant.send("triggers")
    home_assistant.expect("^triggers button_double_press button_long_press button_short_press$")
    home_assistant.send("device")
    device = json.loads(home_assistant.expect("^device (.*)$").group(1))
    assert (device[0], device[2]) == ("kitchen", "Déclic")

    state(home_assistant, "light.kitchen", "off")
    home_assistant.send("call light turn_on light.kitchen")
    board.expect("^light ON$")
    state(home_assistant, "light.kitchen", "on")
    board.send("press")
    attributes = state(home_assistant, "event.kitchen_button", r"\d+-\S+")
    assert attributes["event_type"] == "press"
    home_assistant.send("call button press button.kitchen")
    board.expect("^restarted$")
    board.expect("^connected ")
    board.send("quit")
    state(home_assistant, "light.kitchen", "unavailable")
    nothing_was_refused(home_assistant)


def test_a_board_that_comes_later_is_there_at_once(any_broker, start_board, start_home_assistant):
    home_assistant = start_home_assistant(any_broker)
    start_board("both", any_broker, *KITCHEN)
    state(home_assistant, "light.kitchen", "off")
    nothing_was_refused(home_assistant)


def test_switched_off_it_is_gone_and_stays_gone(broker, start_board, start_home_assistant):
    board = start_board("both", broker, *KITCHEN)
    home_assistant = start_home_assistant(broker)
    state(home_assistant, "light.kitchen", "off")
    for line in ("set home-assistant off", "save", "restart"):
        board.send(line)
    home_assistant.expect(r"^gone light\.kitchen$", timeout=AGAIN_LIMIT)
    board.expect("^connected ")
    board.send("get home-assistant")
    board.expect("^home-assistant=off$")
    nothing_was_refused(home_assistant)
