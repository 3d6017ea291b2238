"""Our broker with client libraries and bare bytes: last wills."""

import pytest

from peers import Will, fresh
from wire import DISCONNECT, Wire, packet


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_will_is_published_after_an_abrupt_close(peer, observer, qos):
    # v3.1.1 and v5 [MQTT-3.1.2-8]
    observer.subscribe("will", qos=2)
    client = peer.connect(will=Will("will", b"gone\x00", qos))
    client.abort()
    message = observer.receive()
    assert (message.payload, message.qos, message.retain) == (b"gone\x00", qos, False)
    assert observer.fence() == []


def test_a_will_is_not_published_after_disconnect(peer, observer):
    # v3.1.1 and v5 [MQTT-3.14.4-3]
    observer.subscribe("will/#", qos=2)
    peer.connect(will=Will("will/orderly", b"gone", 1)).disconnect()
    peer.connect(will=Will("will/abrupt", b"gone", 1)).abort()
    assert observer.receive().topic == "will/abrupt"
    assert observer.fence() == []


def test_a_retained_will_is_retained(peer, observer):
    observer.subscribe("will", qos=1)
    peer.connect(will=Will("will", b"offline", 1, retain=True)).abort()
    assert observer.receive().retain is False
    late = peer.connect()
    late.subscribe("will", qos=1)
    message = late.receive()
    assert (message.payload, message.retain) == (b"offline", True)


def test_an_empty_retained_will_clears_the_retained_message(peer, observer):
    observer.publish("will", b"online", qos=1, retain=True)
    observer.subscribe("will", qos=1)
    assert observer.receive().payload == b"online"
    peer.connect(will=Will("will", b"", 1, retain=True)).abort()
    assert observer.receive().payload == b""
    late = peer.connect()
    late.subscribe("will", qos=1)
    assert late.fence() == []


def test_a_takeover_publishes_the_will_of_the_connection_it_ends(peer, observer):
    observer.subscribe("will", qos=1)
    client_id = fresh("twin")
    peer.connect(client_id, will=Will("will", b"first", 1))
    peer.connect(client_id, will=Will("will", b"second", 1)).disconnect()
    assert [message.payload for message in observer.fence()] == [b"first"]


def test_a_will_is_published_when_the_keep_alive_runs_out(broker, observer):
    observer.subscribe("will", qos=1)
    wire = Wire(broker.port)
    wire.connect(fresh("silent"), keepalive=1, will={"topic": "will", "payload": b"gone", "qos": 1})
    assert observer.receive().payload == b"gone"
    wire.expect_close()


def test_a_will_is_published_after_a_malformed_packet(broker, observer):
    observer.subscribe("will", qos=1)
    wire = Wire(broker.port)
    wire.connect(fresh("broken"), will={"topic": "will", "payload": b"gone", "qos": 1})
    wire.send(b"\x00\x00")
    wire.expect_close()
    assert observer.receive().payload == b"gone"


def test_disconnect_with_will_publishes_the_will(broker, observer):
    # v5 section 3.14.2.1, reason code 0x04
    observer.subscribe("will", qos=1)
    wire = Wire(broker.port, 5)
    wire.connect(fresh("leaving"), will={"topic": "will", "payload": b"gone", "qos": 1})
    wire.send(packet(DISCONNECT, 0, b"\x04\x00"))
    assert observer.receive().payload == b"gone"


def test_the_properties_of_a_will_reach_the_subscriber(broker, observer):
    observer.subscribe("will", qos=1)
    wire = Wire(broker.port, 5)
    properties = {
        "payload_format": 1,
        "content_type": "text/plain",
        "response_topic": "answer",
        "correlation_data": b"\x00\x01",
        "user": [("board", "c3"), ("board", "c6")],
    }
    wire.connect(fresh("leaving"), will={"topic": "will", "payload": b"gone", "qos": 1, "properties": properties})
    wire.close()
    got = observer.receive().properties
    assert {name: got.get(name) for name in properties} == properties


def test_a_delayed_will_waits_and_a_return_in_time_cancels_it(broker, observer):
    # v5 [MQTT-3.1.3-9]
    observer.subscribe("will/#", qos=1)
    client_id = fresh("flapping")
    later = {"qos": 1, "payload": b"gone", "properties": {"will_delay": 1}}
    long = {"session_expiry": 60}
    wire = Wire(broker.port, 5)
    wire.connect(client_id, clean=False, will={"topic": "will/cancelled", **later}, props=long)
    wire.close()
    wire = Wire(broker.port, 5)
    assert wire.connect(client_id, clean=False, props=long)[0]
    other = Wire(broker.port, 5)
    other.connect(fresh("other"), clean=False, will={"topic": "will/delayed", **later}, props=long)
    other.close()
    assert observer.fence() == [], "a delayed will was published at once"
    assert observer.receive().topic == "will/delayed"


@pytest.mark.mosquitto_differs(reason="v5 [MQTT-3.1.2-8]: it waits for the delay though the session has ended")
def test_the_end_of_the_session_publishes_a_will_that_is_still_delayed(broker, observer):
    # v5 [MQTT-3.1.2-8]: at the delay or the session's end, whichever is first.
    observer.subscribe("will", qos=1)
    wire = Wire(broker.port, 5)
    will = {"topic": "will", "payload": b"gone", "qos": 1, "properties": {"will_delay": 3600}}
    wire.connect(fresh("brief"), will=will, props={"session_expiry": 0})
    wire.close()
    assert observer.receive().payload == b"gone"
