"""The tutorial's boards, replayed byte for byte, with our broker and our boards, both ways round."""

import pytest

from brokers import DECLIC, HOST
from conftest import at
from process import run
from tutorial import DELIVERED, PUBLISHER, SUBSCRIBER, TutorialPublisher, TutorialSubscriber, payloads

ours = pytest.mark.needs_declic
PRESSED = payloads(DELIVERED)


def test_the_recordings_say_what_is_known_of_the_tutorial():
    connect = PUBLISHER[0][1]
    assert connect.endswith(b"ESP32_Publisher") and connect[9:12] == b"\x02\x00\x00", "clean, keep-alive 0"
    assert SUBSCRIBER[0][1].endswith(b"ESP32_Subscriber")
    assert [len(data) for sender, data in SUBSCRIBER[2:4]] == [2, 15], "the header in a write of its own"
    sent = b"".join(data for sender, data in PUBLISHER[2:] if sender == "client")
    assert sent == DELIVERED, "what one sent is what the other was sent"
    assert PRESSED == ["ON", "OFF"] * 5


def test_tutorial_to_tutorial_is_byte_for_byte_what_was_recorded(broker):
    subscriber, publisher = TutorialSubscriber(broker.port), TutorialPublisher(broker.port)
    publisher.press()
    assert subscriber.read(len(DELIVERED)) == DELIVERED


def test_the_tutorials_boards_may_leave_without_disconnect_and_return(broker):
    for _ in range(3):
        subscriber, publisher = TutorialSubscriber(broker.port), TutorialPublisher(broker.port)
        publisher.press()
        publisher.power_off()
        assert subscriber.read(len(DELIVERED)) == DELIVERED
        subscriber.power_off()


def test_a_board_that_lost_power_returns_while_its_old_connection_still_stands(broker):
    before = TutorialSubscriber(broker.port)
    after, publisher = TutorialSubscriber(broker.port), TutorialPublisher(broker.port)
    before.wait_closed()
    publisher.press()
    assert after.read(len(DELIVERED)) == DELIVERED


def test_any_client_sees_the_tutorials_presses_and_can_switch_its_light(broker, observer):
    observer.subscribe("esp32/data", qos=2)
    subscriber, publisher = TutorialSubscriber(broker.port), TutorialPublisher(broker.port)
    publisher.press()
    got = [observer.receive() for _ in PRESSED]
    assert [message.payload.decode() for message in got] == PRESSED
    assert {(message.qos, message.retain) for message in got} == {(0, False)}
    assert subscriber.read(len(DELIVERED)) == DELIVERED
    assert run(["mosquitto_pub", *at(broker), "-t", "esp32/data", "-q", "2", "-r", "-m", "ON"]).returncode == 0
    assert subscriber.next_message() == (0x30, "esp32/data", b"ON")


def test_a_late_tutorial_board_gets_the_retained_state_with_the_retain_flag(broker, observer):
    observer.publish("esp32/data", b"ON", qos=1, retain=True)
    subscriber = TutorialSubscriber(broker.port)
    assert subscriber.next_message() == (0x31, "esp32/data", b"ON")
    observer.publish("esp32/data", b"OFF", qos=1, retain=True)
    assert subscriber.next_message() == (0x30, "esp32/data", b"OFF")


@ours
def test_tutorial_publisher_to_our_subscriber(broker, start_board, observer):
    lamp = start_board("subscriber", broker)
    observer.publish("esp32/data", b"ON", qos=1, retain=True)
    lamp.expect("^light ON$")
    observer.publish("esp32/data", b"OFF", qos=1, retain=True)
    lamp.expect("^light OFF$")
    TutorialPublisher(broker.port).press()
    for payload in PRESSED:
        assert lamp.expect("^light (ON|OFF)$").group(1) == payload


@ours
def test_our_publisher_to_tutorial_subscriber(broker, start_board):
    subscriber, button = TutorialSubscriber(broker.port), start_board("publisher", broker)
    for payload in ("ON", "OFF", "ON"):
        button.send("press")
        assert subscriber.next_message() == (0x30, "esp32/data", payload.encode())


@ours
def test_our_publisher_to_a_late_tutorial_subscriber(broker, start_board, observer):
    observer.subscribe("esp32/data", qos=1)
    button = start_board("publisher", broker)
    button.send("press")
    assert observer.receive().payload == b"ON"
    subscriber = TutorialSubscriber(broker.port)
    assert subscriber.next_message() == (0x31, "esp32/data", b"ON")
    button.send("press")
    assert subscriber.next_message() == (0x30, "esp32/data", b"OFF")


@ours
def test_our_publisher_to_our_subscriber_beside_the_tutorials(broker, start_board):
    lamp, button = start_board("subscriber", broker), start_board("publisher", broker)
    tutorial_lamp, tutorial_button = TutorialSubscriber(broker.port), TutorialPublisher(broker.port)
    button.send("press")
    lamp.expect("^light ON$")
    assert tutorial_lamp.next_message()[2] == b"ON"
    button.send("press")
    lamp.expect("^light OFF$")
    assert tutorial_lamp.next_message()[2] == b"OFF"
    tutorial_button.press_once()
    lamp.expect("^light ON$")
    assert tutorial_lamp.next_message()[2] == b"ON"


class Up:
    """A running `declic up`, as far as the tutorial's boards are concerned."""

    def __init__(self, process):
        self.process = process
        self.port = int(process.expect(r"^listening on mqtt://127\.0\.0\.1:(\d+)$").group(1))
        process.expect("^ready$")


@pytest.fixture
def up(spawn):
    return Up(spawn([DECLIC, "up", "--listen", f"{HOST}:0"]))


@ours
def test_the_tutorials_publisher_joins_a_running_declic_up(up):
    TutorialPublisher(up.port).press()
    for payload in PRESSED:
        assert up.process.expect("^subscriber light (ON|OFF)$").group(1) == payload


@ours
def test_the_tutorials_subscriber_joins_a_running_declic_up(up):
    subscriber = TutorialSubscriber(up.port)
    for payload in ("ON", "OFF"):
        up.process.send("press")
        up.process.expect(f"^subscriber light {payload}$")
        assert subscriber.next_message() == (0x30, "esp32/data", payload.encode())


@ours
def test_both_tutorial_boards_join_a_running_declic_up_and_leave_it_in_order(up):
    subscriber, publisher = TutorialSubscriber(up.port), TutorialPublisher(up.port)
    publisher.press()
    assert subscriber.read(len(DELIVERED)) == DELIVERED
    publisher.power_off()
    subscriber.power_off()
    up.process.send("press")
    up.process.expect("^publisher pressed (ON|OFF)$")
    up.process.send("quit")
    assert up.process.wait() == 0
