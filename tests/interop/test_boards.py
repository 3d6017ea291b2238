"""Our boards (`declic board`) with our broker and with Mosquitto: from the button to the light."""

import signal

import pytest

from brokers import DECLIC, HOST
from process import wait_until
from wire import CONNACK, packet

pytestmark = pytest.mark.needs_declic

BUTTON_ID, LAMP_ID = "c0ffee0000b1", "c0ffee0000a1"


@pytest.fixture
def watcher(any_broker, peer_of):
    """A paho client that looks on, MQTT 5.0, on the broker of the boards."""
    return peer_of("paho", 5, on=any_broker).connect()


@pytest.fixture
def pair(any_broker, start_board):
    """A button and a lamp, connected."""
    return start_board("publisher", any_broker), start_board("subscriber", any_broker)


def press(button, lamp, payload):
    button.send("press")
    button.expect(f"^pressed {payload}$")
    lamp.expect(f"^light {payload}$")


def subscribed_lamp(start_board, broker, watcher, *flags, topic="esp32/data"):
    """A lamp whose subscription is known to be live, its light off, nothing retained."""
    lamp = start_board("subscriber", broker, *flags)
    watcher.publish(topic, b"ON", qos=1, retain=True)
    lamp.expect("^light ON$")
    watcher.publish(topic, b"OFF", qos=1, retain=True)
    lamp.expect("^light OFF$")
    watcher.publish(topic, b"", qos=1, retain=True)
    return lamp


def test_a_press_turns_the_light_on_and_the_next_one_off(pair):
    button, lamp = pair
    for payload in ("ON", "OFF", "ON", "OFF"):
        press(button, lamp, payload)


def test_one_press_is_one_retained_qos_1_message(any_broker, start_board, watcher):
    watcher.subscribe("esp32/data", qos=2, retain_as_published=True)
    button = start_board("publisher", any_broker)
    for payload in (b"ON", b"OFF", b"ON"):
        button.send("press")
        message = watcher.receive()
        assert (message.payload, message.qos, message.retain) == (payload, 1, True)
    assert watcher.fence() == []


def test_a_late_lamp_shows_the_retained_state(any_broker, start_board, watcher):
    watcher.subscribe("esp32/data", qos=1)
    button = start_board("publisher", any_broker)
    button.send("press")
    assert watcher.receive().payload == b"ON"
    start_board("subscriber", any_broker).expect("^light ON$")


def test_many_lamps_follow_one_button(any_broker, start_board):
    lamps = [start_board("subscriber", any_broker) for _ in range(5)]
    button = start_board("publisher", any_broker)
    for payload in ("ON", "OFF", "ON"):
        button.send("press")
        for lamp in lamps:
            lamp.expect(f"^light {payload}$")


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_the_qos_is_a_setting(any_broker, start_board, watcher, qos):
    watcher.subscribe("esp32/data", qos=2)
    lamp = subscribed_lamp(start_board, any_broker, watcher, "--qos", qos)
    watcher.fence()
    button = start_board("publisher", any_broker, "--qos", qos)
    press(button, lamp, "ON")
    assert watcher.receive().qos == int(qos)


def test_retain_can_be_switched_off(any_broker, start_board, watcher):
    watcher.subscribe("esp32/data", qos=1, retain_as_published=True)
    button = start_board("publisher", any_broker, "--no-retain")
    button.send("press")
    assert watcher.receive().retain is False


def test_topic_and_payloads_are_settings(any_broker, start_board, watcher):
    watcher.subscribe("house/lamp", qos=1)
    flags = ("--topic", "house/lamp", "--on", "licht an", "--off", "0")
    button, lamp = start_board("publisher", any_broker, *flags), start_board("subscriber", any_broker, *flags)
    for light, payload in (("ON", b"licht an"), ("OFF", b"0")):
        button.send("press")
        lamp.expect(f"^light {light}$")
        assert watcher.receive().payload == payload


def test_pairs_do_not_share_a_lamp(any_broker, start_board, watcher):
    lamps = {
        pair: subscribed_lamp(start_board, any_broker, watcher, "--pair", pair, topic=f"esp32/data/{pair}")
        for pair in ("one", "two")
    }
    press(start_board("publisher", any_broker, "--pair", "one"), lamps["one"], "ON")
    watcher.publish("esp32/data/two", b"ON", qos=1)
    watcher.publish("esp32/data/two", b"OFF", qos=1)
    lamps["two"].expect("^light OFF$")
    assert [line for line in lamps["two"].lines() if line.startswith("light")] == [
        "light ON", "light OFF", "light ON", "light OFF"], "the other pair's press came through"


def test_a_board_of_both_roles_is_not_confused_by_its_own_echo(any_broker, start_board, watcher):
    watcher.subscribe("esp32/data", qos=1)
    both, lamp = start_board("both", any_broker), start_board("subscriber", any_broker)
    for payload in ("ON", "OFF", "ON", "OFF"):
        press(both, lamp, payload)
        assert watcher.receive().payload == payload.encode()
    assert watcher.fence() == []


def test_a_message_from_anyone_switches_the_light(any_broker, start_board, watcher):
    lamp = subscribed_lamp(start_board, any_broker, watcher)
    for payload in ("ON", "OFF"):
        for qos in (0, 1, 2):
            watcher.publish("esp32/data", payload, qos=qos)
        lamp.expect(f"^light {payload}$")


def test_a_killed_broker_that_returns_finds_the_boards_again(any_broker, pair):
    button, lamp = pair
    press(button, lamp, "ON")
    any_broker.kill()
    for board in pair:
        board.expect("^disconnected: .+")
    any_broker.start()
    for board in pair:
        board.expect("^connected to ", timeout=30)
    press(button, lamp, "OFF")
    press(button, lamp, "ON")


def test_an_orderly_restart_of_the_broker_finds_the_boards_again(any_broker, pair):
    button, lamp = pair
    press(button, lamp, "ON")
    assert any_broker.stop() == 0
    for board in pair:
        board.expect("^disconnected: .+")
    any_broker.start()
    for board in pair:
        board.expect("^connected to ", timeout=30)
    press(button, lamp, "OFF")


def test_a_press_while_the_broker_is_away_reaches_the_lamp_afterwards(any_broker, pair):
    button, lamp = pair
    any_broker.kill()
    for board in pair:
        board.expect("^disconnected: .+")
    button.send("press")
    any_broker.start()
    lamp.expect("^light ON$", timeout=30)
    press(button, lamp, "OFF")


def test_online_is_retained_and_a_killed_board_is_offline(any_broker, start_board, watcher):
    topic = f"declic/{BUTTON_ID}/status"
    watcher.subscribe("declic/+/status", qos=1, retain_as_published=True)
    button = start_board("publisher", any_broker, board_id=BUTTON_ID)
    message = watcher.receive()
    assert (message.topic, message.payload, message.retain) == (topic, b"online", True)
    button.kill()
    message = watcher.receive()
    assert (message.topic, message.payload, message.retain) == (topic, b"offline", True)
    start_board("publisher", any_broker, board_id=BUTTON_ID)
    assert watcher.receive().payload == b"online"


def test_a_late_observer_reads_the_state_of_each_board(any_broker, start_board, peer_of):
    start_board("publisher", any_broker, board_id=BUTTON_ID)
    lamp = start_board("subscriber", any_broker, board_id=LAMP_ID)
    early = peer_of("paho", 5, on=any_broker).connect()
    early.subscribe("declic/+/status", qos=1)
    assert {early.receive().topic for _ in range(2)} == {f"declic/{BUTTON_ID}/status", f"declic/{LAMP_ID}/status"}
    lamp.kill()
    assert early.receive().payload == b"offline"
    late = peer_of("paho", 5, on=any_broker).connect()
    late.subscribe("declic/+/status", qos=1)
    states = {message.topic: (message.payload, message.retain) for message in (late.receive(), late.receive())}
    assert states == {
        f"declic/{BUTTON_ID}/status": (b"online", True),
        f"declic/{LAMP_ID}/status": (b"offline", True),
    }


def test_a_board_that_quits_says_that_it_is_offline(any_broker, start_board, watcher):
    watcher.subscribe(f"declic/{BUTTON_ID}/status", qos=1)
    button = start_board("publisher", any_broker, board_id=BUTTON_ID)
    assert watcher.receive().payload == b"online"
    button.send("quit")
    assert button.wait() == 0
    assert watcher.receive().payload == b"offline"


def test_boards_without_a_given_id_have_ids_of_their_own(any_broker, spawn):
    started = [spawn([DECLIC, "board", "--role", role, "--broker", any_broker.url])
               for role in ("publisher", "subscriber")]
    ids = [board.expect(r"^connected to \S+ as (declic[0-9a-f]{12}) \(MQTT 5\.0\)$").group(1) for board in started]
    assert ids[0] != ids[1]
    button, lamp = started
    press(button, lamp, "ON")
    assert not any(line.startswith("disconnected") for board in started for line in board.lines())


def test_status_is_told_in_lines(pair):
    for board in pair:
        board.send("status")
        board.expect("^status .+")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_board_in_good_order(any_broker, start_board, number):
    assert start_board("both", any_broker).stop(number) == 0


def test_a_board_whose_input_ends_stays(any_broker, start_board, watcher):
    lamp = start_board("subscriber", any_broker)
    lamp.close_stdin()
    watcher.publish("esp32/data", b"ON", qos=1, retain=True)
    lamp.expect("^light ON$")
    assert lamp.stop() == 0


def test_an_unknown_command_is_said_and_does_no_harm(pair):
    button, lamp = pair
    button.send("pres")
    press(button, lamp, "ON")


@pytest.mark.parametrize("kind", ["declic", "mosquitto"])
def test_a_board_with_its_password_is_let_in(start_broker, start_board, kind):
    broker = start_broker(kind, users={"board": "s3cret"})
    login = ("--user", "board", "--password", "s3cret")
    button, lamp = start_board("publisher", broker, *login), start_board("subscriber", broker, *login)
    press(button, lamp, "ON")


def test_credentials_may_be_part_of_the_broker_url(start_broker, spawn):
    broker = start_broker(users={"board": "s3cret"})
    url = f"mqtt://board:s3cret@{HOST}:{broker.port}"
    board = spawn([DECLIC, "board", "--role", "both", "--broker", url, "--id", BUTTON_ID])
    told = board.expect("^connected to .*").group(0)
    assert "s3cret" not in told, "a password was printed"


def test_a_broker_that_speaks_only_3_1_1_is_spoken_to_in_3_1_1(listener, spawn):
    url = f"mqtt://{HOST}:{listener.port}"
    board = spawn([DECLIC, "board", "--role", "publisher", "--broker", url, "--id", BUTTON_ID])
    wire, first = listener.accept()
    assert first.level == 5
    wire.send(packet(CONNACK, 0, b"\x00\x01"))
    wire.close()
    wire, second = listener.accept()
    assert (second.level, second.client_id) == (4, first.client_id)
    assert (first.will, second.will) == ((f"declic/{BUTTON_ID}/status", b"offline", second.will[2], True),) * 2
    wire.send(packet(CONNACK, 0, b"\x00\x00"))
    board.expect(r"^connected to \S+ as \S+ \(MQTT 3\.1\.1\)$")


def test_a_board_started_before_its_broker_finds_it_or_says_that_there_is_none(start_broker, spawn):
    broker = start_broker()
    broker.kill()
    board = spawn([DECLIC, "board", "--role", "publisher", "--broker", broker.url, "--id", BUTTON_ID])
    wait_until(lambda: board.lines() or board.lines("err") or board.returncode is not None, "something is said")
    if board.returncode is None:
        broker.start()
        board.expect("^connected to ", timeout=30)
    else:
        assert board.returncode == 3


