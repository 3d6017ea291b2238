"""Our broker with MQTT 5.0 clients: what 3.1.1 has no words for."""

import pytest

from peers import fresh
from process import wait_until
from wire import DISCONNECT, PUBACK, Wire, packet, string

PROPERTIES = {
    "payload_format": 1,
    "content_type": "application/json",
    "response_topic": "answers/here",
    "correlation_data": b"\x00\xff\x01",
    "user": [("key", "one"), ("key", "two"), ("clé", "é")],
}


def connected(broker, **options):
    """A bare MQTT 5.0 connection."""
    wire = Wire(broker.port, 5)
    present, code, properties = wire.connect(fresh("wire"), **options)
    assert (present, code) == (False, 0)
    return wire, properties


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_properties_of_a_publish_reach_the_subscriber_unaltered(peer5, qos):
    # v5 [MQTT-3.3.2-4], [MQTT-3.3.2-15], [MQTT-3.3.2-16], [MQTT-3.3.2-17], [MQTT-3.3.2-20]
    subscriber, publisher = peer5.connect(), peer5.connect()
    subscriber.subscribe("a", qos=qos)
    publisher.publish("a", b"{}", qos=qos, properties=PROPERTIES)
    got = subscriber.receive().properties
    assert {name: got.get(name) for name in PROPERTIES} == PROPERTIES


def test_the_properties_of_a_retained_publish_are_retained(peer5):
    subscriber, publisher = peer5.connect(), peer5.connect()
    publisher.publish("a", b"{}", qos=1, retain=True, properties=PROPERTIES)
    subscriber.subscribe("a", qos=1)
    got = subscriber.receive().properties
    assert {name: got.get(name) for name in PROPERTIES} == PROPERTIES


def test_no_property_is_added_that_nobody_asked_for(broker, observer):
    wire, _ = connected(broker)
    wire.subscribe("a", 1)
    observer.publish("a", b"x", qos=1)
    assert wire.received().properties == {}


def test_no_local_keeps_ones_own_messages_away(peer5):
    # v5 [MQTT-3.8.3-3]
    own, other = peer5.connect(), peer5.connect()
    own.subscribe("a", qos=1, no_local=True)
    own.publish("a", b"own", qos=1)
    other.publish("a", b"other", qos=1)
    assert [message.payload for message in own.fence()] == [b"other"]


def test_retain_as_published_keeps_the_retain_flag(peer5):
    # v5 [MQTT-3.3.1-12], [MQTT-3.3.1-13]
    keeps, clears, publisher = peer5.connect(), peer5.connect(), peer5.connect()
    keeps.subscribe("a", qos=1, retain_as_published=True)
    clears.subscribe("a", qos=1)
    publisher.publish("a", b"x", qos=1, retain=True)
    publisher.publish("a", b"y", qos=1)
    assert [message.retain for message in keeps.fence()] == [True, False]
    assert [message.retain for message in clears.fence()] == [False, False]


def test_retain_handling_says_when_retained_messages_are_sent(peer5):
    # v5 [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]
    client = peer5.connect()
    client.publish("a", b"x", qos=1, retain=True)
    client.subscribe("a", qos=1, retain_handling=2)
    assert client.fence() == [], "2: never"
    client.subscribe("a", qos=1, retain_handling=1)
    assert client.fence() == [], "1: only for a new subscription"
    client.unsubscribe("a")
    client.subscribe("a", qos=1, retain_handling=1)
    assert len(client.fence()) == 1, "1: for a new subscription"
    client.subscribe("a", qos=1, retain_handling=0)
    assert len(client.fence()) == 1, "0: each time"


def test_a_subscription_identifier_comes_with_the_message(peer5):
    # v5 [MQTT-3.3.4-3]
    client = peer5.connect()
    client.subscribe("a/#", qos=1, identifier=268_435_455)
    client.publish("a/b", b"x", qos=1)
    assert client.receive().properties["identifiers"] == [268_435_455]


def test_overlapping_subscriptions_give_all_their_identifiers(peer5):
    # v5 [MQTT-3.3.4-4]: one copy with all identifiers, or one copy for each.
    client = peer5.connect()
    client.subscribe("a/#", qos=1, identifier=1)
    client.subscribe("a/b", qos=2, identifier=2)
    client.subscribe("+/b", qos=0)
    client.publish("a/b", b"x", qos=2)
    found = [number for message in client.fence() for number in message.properties["identifiers"]]
    assert sorted(found) == [1, 2]


@pytest.mark.mosquitto_differs(reason="v5 [MQTT-3.3.4-6]: it takes the publish")
def test_a_publisher_may_not_send_a_subscription_identifier(broker):
    # v5 [MQTT-3.3.4-6]
    wire, _ = connected(broker)
    wire.publish("a", b"x", qos=1, props={"identifier": 5})
    assert all(got.kind == DISCONNECT for got in wire.expect_close())


def test_the_message_expiry_interval_is_passed_on(peer5):
    subscriber, publisher = peer5.connect(), peer5.connect()
    subscriber.subscribe("a", qos=1)
    publisher.publish("a", b"x", qos=1, properties={"message_expiry": 3600})
    assert 3590 <= subscriber.receive().properties["message_expiry"] <= 3600


def test_the_message_expiry_interval_counts_down_while_the_message_waits(peer5):
    # v5 [MQTT-3.3.2-6]
    publisher = peer5.connect()
    publisher.publish("a", b"x", qos=1, retain=True, properties={"message_expiry": 3600})

    def left():
        subscriber = peer5.connect()
        subscriber.subscribe("a", qos=1)
        interval = subscriber.receive().properties["message_expiry"]
        subscriber.disconnect()
        return interval < 3600

    wait_until(left, "less than the whole interval is left")


def test_an_expired_retained_message_is_not_sent(peer5):
    publisher, subscriber = peer5.connect(), peer5.connect()
    publisher.publish("a", b"x", qos=1, retain=True, properties={"message_expiry": 1})

    def expired():
        subscriber.subscribe("a", qos=1)
        return subscriber.fence() == []

    wait_until(expired, "the retained message expires")


def test_an_expired_message_is_not_sent_to_a_returning_session(peer5):
    # v5 [MQTT-3.3.2-5]
    publisher, client_id = peer5.connect(), fresh("away")
    client = peer5.connect(client_id, persistent=True)
    client.subscribe("#", qos=1)
    client.disconnect()
    publisher.publish("mail", b"expires", qos=1, properties={"message_expiry": 1})
    publisher.publish("mail", b"stays", qos=1)
    publisher.publish("clock", b"tick", qos=1, retain=True, properties={"message_expiry": 2})
    clock = peer5.connect()

    def expired():
        clock.subscribe("clock", qos=1)
        return clock.fence() == []

    wait_until(expired, "more than a second has passed for the broker")
    client = peer5.connect(client_id, persistent=True)
    assert b"expires" not in [message.payload for message in client.fence()]


def test_a_topic_alias_stands_for_the_topic_it_came_with(broker, observer):
    # v5 section 3.3.2.3.4
    wire, properties = connected(broker)
    assert properties.get("topic_alias_maximum", 0) >= 1, "the broker allows no topic alias"
    observer.subscribe("#", qos=1)
    for topic, payload in (("a", b"1"), ("", b"2"), ("b", b"3"), ("", b"4")):
        wire.publish(topic, payload, qos=1, props={"topic_alias": 1})
        wire.expect(PUBACK)
    got = [observer.receive() for _ in range(4)]
    assert [(message.topic, message.payload) for message in got] == [
        ("a", b"1"), ("a", b"2"), ("b", b"3"), ("b", b"4"),
    ]
    assert all("topic_alias" not in message.properties for message in got)


def test_topic_aliases_that_mqttjs_assigns_are_understood(peer_of, observer):
    observer.subscribe("#", qos=1)
    client = peer_of("mqttjs", 5).connect(assign_aliases=True)
    assert client.connack["topic_alias_maximum"] >= 1
    topics = [f"sensor/{number % 3}" for number in range(12)]
    for topic in topics:
        client.publish(topic, topic, qos=1)
    assert [observer.receive().topic for _ in topics] == topics


@pytest.mark.parametrize("alias", [0, 65535])
def test_a_topic_alias_out_of_range_ends_the_connection(broker, alias):
    # v5 [MQTT-3.3.2-8], [MQTT-3.3.2-9]
    wire, properties = connected(broker)
    assert properties.get("topic_alias_maximum", 0) < 65535
    wire.publish("a", b"x", qos=1, props={"topic_alias": alias})
    rest = wire.expect_close()
    assert [got.kind for got in rest] == [DISCONNECT]
    assert rest[0].body[0] in (0x94, 0x82, 0x81)


def test_session_expiry_0_ends_the_session_with_the_connection(peer5):
    client_id = fresh("brief")
    client = peer5.connect(client_id, clean=False, session_expiry=0)
    client.subscribe("a", qos=1)
    client.disconnect()
    assert not peer5.connect(client_id, persistent=True).session_present


def test_a_session_is_gone_after_its_expiry_interval(broker, observer):
    # v5 section 3.1.2.11.2; a retained message that expires later than the session is the clock.
    client_id = fresh("brief")
    observer.publish("clock", b"x", qos=1, retain=True, properties={"message_expiry": 3})
    wire = Wire(broker.port, 5)
    wire.connect(client_id, clean=False, props={"session_expiry": 1})
    wire.close()

    def later():
        observer.subscribe("clock", qos=1)
        return observer.fence() == []

    wait_until(later, "the session's interval has passed for the broker")
    wire = Wire(broker.port, 5)
    assert not wire.connect(client_id, clean=False)[0]


def test_a_return_in_time_keeps_the_session(broker):
    wire, client_id = Wire(broker.port, 5), fresh("flapping")
    wire.connect(client_id, clean=False, props={"session_expiry": 60})
    wire.close()
    wire = Wire(broker.port, 5)
    assert wire.connect(client_id, clean=False)[0]


def test_disconnect_may_shorten_the_session(broker):
    # v5 section 3.14.2.2.2
    wire, client_id, long = Wire(broker.port, 5), fresh("leaving"), {"session_expiry": 3600}
    wire.connect(client_id, clean=False, props=long)
    wire.send(packet(DISCONNECT, 0, b"\x00\x05\x11\x00\x00\x00\x00"))
    wire.expect_close()
    wire = Wire(broker.port, 5)
    assert not wire.connect(client_id, clean=False, props=long)[0]


def test_an_empty_client_id_is_given_one(peer_of):
    # v5 [MQTT-3.1.3-7]; rumqttc cannot leave it empty in all modes, so the other two ask.
    assigned = [peer_of(library, 5).connect("").assigned_id for library in ("paho", "mqttjs", "paho")]
    assert all(assigned)
    assert len(set(assigned)) == 3


def test_a_session_resumes_with_the_assigned_client_id(peer_of, observer):
    paho = peer_of("paho", 5)
    client = paho.connect("", persistent=True)
    client.subscribe("mail", qos=1)
    client.disconnect()
    observer.publish("mail", b"x", qos=1)
    client = paho.connect(client.assigned_id, persistent=True)
    assert client.session_present
    assert client.receive().payload == b"x"


@pytest.mark.mosquitto_differs(reason="v5 [MQTT-3.1.4-3]: it closes without DISCONNECT")
def test_a_takeover_tells_the_first_connection_why(broker):
    # v5 [MQTT-3.1.4-3]: DISCONNECT with 0x8E
    client_id = fresh("twin")
    first, second = Wire(broker.port, 5), Wire(broker.port, 5)
    first.connect(client_id)
    second.connect(client_id)
    rest = first.expect_close()
    assert [(got.kind, got.body[0]) for got in rest] == [(DISCONNECT, 0x8E)]


def test_at_most_receive_maximum_messages_wait_for_an_acknowledgement(broker, observer):
    # v5 [MQTT-3.3.4-9]
    wire, _ = connected(broker, props={"receive_maximum": 3})
    wire.subscribe("a", 1)
    for number in range(10):
        observer.publish("a", str(number), qos=1)
    first = [wire.received() for _ in range(3)]
    assert wire.ping() == [], "more than the receive maximum"
    got = list(first)
    for message in first:
        wire.acknowledge(PUBACK, message.packet_id)
    while len(got) < 10:
        got.append(wire.received())
        wire.acknowledge(PUBACK, got[-1].packet_id)
    assert [int(message.payload) for message in got] == list(range(10))


def test_no_packet_is_larger_than_the_clients_maximum(broker, observer):
    # v5 [MQTT-3.1.2-24], [MQTT-3.1.2-25]
    wire, _ = connected(broker, props={"maximum_packet_size": 100})
    wire.subscribe("a", 1)
    observer.publish("a", b"x" * 200, qos=1)
    observer.publish("a", b"small", qos=1)
    assert wire.received().payload == b"small"


def test_a_second_connect_ends_the_connection(broker):
    # v5 [MQTT-3.1.0-2]
    wire, _ = connected(broker)
    wire.send(packet(1, 0, string("MQTT") + b"\x05\x02\x00\x00\x00" + string("again")))
    assert all(got.kind == DISCONNECT for got in wire.expect_close())
