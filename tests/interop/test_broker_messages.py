"""Our broker with client libraries: delivery, topics, retained messages, in 3.1.1 and 5.0."""

import pytest

from peers import fresh
from wire import PUBACK, PUBLISH, SUBACK, SUBSCRIBE, Wire, packet, string

ANY_ID = ["a+b", "a#b", "$dollar", "a/b/c", "+", "#", "déclic é ☃", "x" * 200]


@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("sent", [0, 1, 2])
def test_a_message_arrives_once_at_the_lower_of_both_qos(peer, sent, granted):
    subscriber, publisher = peer.connect(), peer.connect()
    assert subscriber.subscribe("room/lamp", qos=granted) == granted
    publisher.publish("room/lamp", b"\x00ON\xff", qos=sent)
    message = subscriber.receive()
    assert (message.topic, message.payload) == ("room/lamp", b"\x00ON\xff")
    assert (message.qos, message.retain) == (min(sent, granted), False)
    assert subscriber.fence() == []


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_many_messages_arrive_in_order_each_once(peer, qos):
    subscriber, publisher = peer.connect(), peer.connect()
    subscriber.subscribe("count", qos=qos)
    for number in range(150):
        publisher.publish("count", str(number), qos=qos)
    assert [int(subscriber.receive().payload) for _ in range(150)] == list(range(150))
    assert subscriber.fence() == []


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_payload_of_one_mebibyte_arrives_whole(peer, qos):
    payload = bytes(range(256)) * 4096
    subscriber, publisher = peer.connect(), peer.connect()
    subscriber.subscribe("big", qos=qos)
    publisher.publish("big", payload, qos=qos)
    assert subscriber.receive().payload == payload


def test_an_empty_payload_arrives(peer):
    client = peer.connect()
    client.subscribe("empty", qos=1)
    client.publish("empty", b"", qos=1)
    assert client.receive().payload == b""


def test_a_client_receives_what_it_publishes_itself(peer):
    client = peer.connect()
    client.subscribe("echo", qos=2)
    client.publish("echo", b"x", qos=2)
    assert client.receive().payload == b"x"


@pytest.mark.parametrize(("topic_filter", "matching", "other"), [
    ("a/+/c", ["a/b/c", "a//c"], ["a/b", "a/b/c/d", "a/b/d"]),
    ("a/#", ["a", "a/b", "a/b/c", "a/"], ["b", "ab"]),
    ("+/+", ["a/b", "/b", "/"], ["a", "a/b/c"]),
    ("+", ["a"], ["/a", "a/"]),
    ("#", ["a", "/", "a/b/c"], []),
    ("A/b", ["A/b"], ["a/b", "A/B"]),
])
def test_wildcards_match_whole_levels(peer, topic_filter, matching, other):
    subscriber, publisher = peer.connect(), peer.connect()
    subscriber.subscribe(topic_filter, qos=1)
    for topic in other + matching:
        publisher.publish(topic, topic, qos=1)
    assert [message.topic for message in subscriber.fence()] == matching


def test_wildcards_at_the_start_do_not_match_topics_that_start_with_a_dollar(peer):
    # v3.1.1 and v5 [MQTT-4.7.2-1]
    subscriber, publisher = peer.connect(), peer.connect()
    subscriber.subscribe("#", qos=1)
    subscriber.subscribe("+/broker/#", qos=1)
    subscriber.subscribe("+/lamp", qos=1)
    publisher.publish("$house/lamp", b"hidden", qos=1)
    publisher.publish("house/lamp", b"seen", qos=1)
    topics = {message.topic for message in subscriber.fence()}
    assert topics == {"house/lamp"}


def test_overlapping_filters_deliver_at_the_highest_qos_of_them(peer):
    # v3.1.1 [MQTT-3.3.5-1]: one delivery at the maximum QoS; more are allowed for the others.
    subscriber, publisher = peer.connect(), peer.connect()
    subscriber.subscribe("a/#", qos=0)
    subscriber.subscribe("a/b", qos=2)
    publisher.publish("a/b", b"x", qos=2)
    messages = subscriber.fence()
    assert 1 <= len(messages) <= 2
    assert max(message.qos for message in messages) == 2


def test_a_repeated_subscribe_replaces_the_first(peer):
    # v3.1.1 [MQTT-3.8.4-3]
    subscriber, publisher = peer.connect(), peer.connect()
    subscriber.subscribe("a/b", qos=2)
    assert subscriber.subscribe("a/b", qos=0) == 0
    publisher.publish("a/b", b"x", qos=2)
    assert [message.qos for message in subscriber.fence()] == [0]


def test_nothing_arrives_after_unsubscribe(peer):
    subscriber, publisher = peer.connect(), peer.connect()
    subscriber.subscribe("a/b", qos=1)
    subscriber.unsubscribe("a/b")
    publisher.publish("a/b", b"x", qos=1)
    assert subscriber.fence() == []


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_retained_message_reaches_a_late_subscriber_with_the_retain_flag(peer, qos):
    subscriber, publisher = peer.connect(), peer.connect()
    publisher.publish("state", b"old", qos=qos, retain=True)
    publisher.publish("state", b"new", qos=qos, retain=True)
    publisher.fence()
    subscriber.subscribe("state", qos=2)
    message = subscriber.receive()
    assert (message.payload, message.qos, message.retain) == (b"new", qos, True)
    assert subscriber.fence() == []


def test_a_retained_publish_reaches_a_present_subscriber_without_the_retain_flag(peer):
    # v3.1.1 [MQTT-3.3.1-9]; v5 with Retain As Published 0 [MQTT-3.3.1-12]
    subscriber, publisher = peer.connect(), peer.connect()
    subscriber.subscribe("state", qos=1)
    publisher.publish("state", b"x", qos=1, retain=True)
    assert [message.retain for message in subscriber.fence()] == [False]


def test_an_empty_retained_publish_clears_the_retained_message_and_is_delivered(peer):
    # v3.1.1 [MQTT-3.3.1-10], [MQTT-3.3.1-11]
    present, publisher, late = peer.connect(), peer.connect(), peer.connect()
    publisher.publish("state", b"x", qos=1, retain=True)
    present.subscribe("state", qos=1)
    assert present.receive().payload == b"x"
    publisher.publish("state", b"", qos=1, retain=True)
    cleared = present.receive()
    assert (cleared.payload, cleared.retain) == (b"", False)
    late.subscribe("state", qos=1)
    assert late.fence() == []


def test_an_empty_publish_without_retain_leaves_the_retained_message(peer):
    # v3.1.1 [MQTT-3.3.1-12], v5 [MQTT-3.3.1-8]
    subscriber, publisher = peer.connect(), peer.connect()
    publisher.publish("state", b"x", qos=1, retain=True)
    publisher.publish("state", b"", qos=1, retain=False)
    publisher.publish("state", b"y", qos=1, retain=False)
    subscriber.subscribe("state", qos=1)
    assert [message.payload for message in subscriber.fence()] == [b"x"]


def test_more_retained_messages_than_any_receive_window_all_arrive(peer):
    subscriber, publisher = peer.connect(), peer.connect()
    topics = [f"state/{number}" for number in range(150)]
    for topic in topics:
        publisher.publish(topic, topic, qos=1, retain=True)
    subscriber.subscribe("state/#", qos=2)
    messages = [subscriber.receive() for _ in topics]
    assert sorted(message.topic for message in messages) == sorted(topics)
    assert all(message.retain for message in messages)


def test_a_retained_publish_that_meets_a_subscribe_arrives_once(broker):
    # Whichever the broker reads first: as a live message or as the retained one, never as both.
    subscriber, publisher = Wire(broker.port), Wire(broker.port)
    subscriber.connect(fresh("subscriber"))
    publisher.connect(fresh("publisher"))
    for number in range(100):
        topic = f"state/{number}"
        subscribe = packet(SUBSCRIBE, 2, b"\x00\x07" + string(topic) + b"\x00")
        if number % 2:
            subscriber.send(subscribe)
            publisher.publish(topic, b"x", qos=1, retain=True)
        else:
            publisher.publish(topic, b"x", qos=1, retain=True)
            subscriber.send(subscribe)
        publisher.expect(PUBACK)
        kinds = [subscriber.read().kind for _ in range(2)]
        assert sorted(kinds) == [PUBLISH, SUBACK], f"attempt {number}"
        # A PINGRESP may overtake a retained message: only now does it say that nothing follows.
        assert subscriber.ping() == [], f"attempt {number}"


def test_a_repeated_subscribe_sends_the_retained_messages_again(peer):
    # v3.1.1 [MQTT-3.8.4-3]; v5 with Retain Handling 0 [MQTT-3.3.1-9]
    subscriber, publisher = peer.connect(), peer.connect()
    publisher.publish("state", b"x", qos=1, retain=True)
    for _ in range(2):
        subscriber.subscribe("state", qos=1)
        message = subscriber.receive()
        assert (message.payload, message.retain) == (b"x", True)


@pytest.mark.parametrize("client_id", ANY_ID)
def test_any_client_id_is_accepted(peer, client_id):
    client = peer.connect(client_id)
    client.subscribe("id", qos=1)
    client.publish("id", b"x", qos=1)
    assert client.receive().payload == b"x"


def test_a_topic_in_any_language_arrives_as_it_was_sent(peer):
    topic = "maison/pièce à vivre/ランプ/☃/🔘"
    client = peer.connect()
    client.subscribe("maison/#", qos=1)
    client.publish(topic, "é".encode(), qos=1)
    assert client.receive().topic == topic


def test_a_second_connection_with_the_same_id_takes_over(peer):
    # v3.1.1 [MQTT-3.1.4-2], v5 [MQTT-3.1.4-3]
    client_id = fresh("twin")
    first = peer.connect(client_id)
    second = peer.connect(client_id)
    first.wait_closed()
    second.subscribe("a", qos=1)
    second.publish("a", b"x", qos=1)
    assert second.receive().payload == b"x"
