"""Our broker with client libraries and bare bytes: sessions that outlive a connection, keep-alive."""

import pytest

from peers import fresh
from wire import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Wire


@pytest.mark.parametrize("qos", [1, 2])
def test_messages_sent_while_away_arrive_after_reconnect(peer, observer, qos):
    client_id = fresh("away")
    client = peer.connect(client_id, persistent=True)
    assert not client.session_present
    client.subscribe("mail", qos=2)
    client.disconnect()
    for number in range(30):
        observer.publish("mail", str(number), qos=qos)
    client = peer.connect(client_id, persistent=True)
    assert client.session_present
    messages = [client.receive() for _ in range(30)]
    assert [int(message.payload) for message in messages] == list(range(30))
    assert {message.qos for message in messages} == {qos}
    assert client.fence() == []


def test_messages_sent_after_an_abrupt_close_arrive_after_reconnect(peer, observer):
    client_id = fresh("away")
    client = peer.connect(client_id, persistent=True)
    client.subscribe("mail", qos=1)
    client.abort()
    observer.publish("mail", b"x", qos=1)
    client = peer.connect(client_id, persistent=True)
    assert client.session_present
    assert client.receive().payload == b"x"


def test_subscriptions_outlive_the_connection(peer, observer):
    client_id = fresh("away")
    client = peer.connect(client_id, persistent=True)
    client.subscribe("mail", qos=1)
    client.disconnect()
    client = peer.connect(client_id, persistent=True)
    observer.publish("mail", b"x", qos=1)
    assert client.receive().payload == b"x"


def test_retained_messages_are_not_sent_again_when_a_session_resumes(peer, observer):
    observer.publish("state", b"x", qos=1, retain=True)
    client_id = fresh("away")
    client = peer.connect(client_id, persistent=True)
    client.subscribe("state", qos=1)
    assert client.receive().payload == b"x"
    client.fence()
    client.disconnect()
    client = peer.connect(client_id, persistent=True)
    assert client.fence() == []


def test_a_clean_start_discards_the_session(peer, observer):
    client_id = fresh("away")
    client = peer.connect(client_id, persistent=True)
    client.subscribe("mail", qos=1)
    client.disconnect()
    observer.publish("mail", b"x", qos=1)
    client = peer.connect(client_id, clean=True)
    assert not client.session_present
    observer.publish("mail", b"y", qos=1)
    assert client.fence() == []
    client.disconnect()
    assert not peer.connect(client_id, persistent=True).session_present


def test_a_clean_session_ends_with_its_connection(peer):
    client_id = fresh("brief")
    client = peer.connect(client_id)
    client.subscribe("mail", qos=1)
    client.disconnect()
    assert not peer.connect(client_id, persistent=True).session_present


def test_a_takeover_keeps_the_session(peer, observer):
    client_id = fresh("twin")
    first = peer.connect(client_id, persistent=True)
    first.subscribe("mail", qos=1)
    second = peer.connect(client_id, persistent=True)
    assert second.session_present
    first.wait_closed()
    observer.publish("mail", b"x", qos=1)
    assert second.receive().payload == b"x"


def test_a_session_of_one_version_resumes_in_the_other(peer_of, observer):
    client_id = fresh("moving")
    client = peer_of("paho", 311).connect(client_id, persistent=True)
    client.subscribe("mail", qos=1)
    client.disconnect()
    observer.publish("mail", b"x", qos=1)
    client = peer_of("paho", 5).connect(client_id, persistent=True)
    assert client.session_present
    assert client.receive().payload == b"x"


@pytest.fixture(params=[4, 5], ids=["v311", "v5"])
def level(request):
    return request.param


def kept(level):
    """CONNECT options of a session that is kept."""
    return {"clean": False, "props": {"session_expiry": 3600} if level == 5 else None}


@pytest.mark.parametrize("qos", [1, 2])
def test_an_unacknowledged_message_is_sent_again_with_dup_and_the_same_id(broker, observer, level, qos):
    # v3.1.1 and v5 [MQTT-4.4.0-1]
    wire, client_id = Wire(broker.port, level), fresh("wire")
    wire.connect(client_id, **kept(level))
    wire.subscribe("mail", qos)
    observer.publish("mail", b"x", qos=2)
    first = wire.received()
    assert (first.payload, first.qos, first.dup) == (b"x", qos, False)
    wire.close()
    wire = Wire(broker.port, level)
    assert wire.connect(client_id, **kept(level))[:2] == (True, 0)
    again = wire.received()
    assert (again.payload, again.qos, again.dup, again.packet_id) == (b"x", qos, True, first.packet_id)
    if qos == 1:
        wire.acknowledge(PUBACK, again.packet_id)
    else:
        wire.acknowledge(PUBREC, again.packet_id)
        assert wire.expect(PUBREL).packet_id == again.packet_id
        wire.acknowledge(PUBCOMP, again.packet_id)
    wire.ping()
    wire.close()
    wire = Wire(broker.port, level)
    wire.connect(client_id, **kept(level))
    assert wire.ping() == [], "an acknowledged message was sent again"


def test_a_released_qos_2_message_resumes_at_pubrel(broker, observer, level):
    # v3.1.1 and v5 [MQTT-4.4.0-1]: the PUBLISH is not sent again once PUBREC was received.
    wire, client_id = Wire(broker.port, level), fresh("wire")
    wire.connect(client_id, **kept(level))
    wire.subscribe("mail", 2)
    observer.publish("mail", b"x", qos=2)
    packet_id = wire.received().packet_id
    wire.acknowledge(PUBREC, packet_id)
    wire.expect(PUBREL)
    wire.close()
    wire = Wire(broker.port, level)
    wire.connect(client_id, **kept(level))
    assert wire.expect(PUBREL).packet_id == packet_id
    wire.acknowledge(PUBCOMP, packet_id)
    assert wire.ping() == []


def test_a_qos_2_message_sent_twice_is_delivered_once(broker, observer, level):
    # v3.1.1 [MQTT-4.3.3-2], v5 [MQTT-4.3.3-10]
    observer.subscribe("mail", qos=2)
    wire = Wire(broker.port, level)
    wire.connect(fresh("wire"))
    packet_id = wire.publish("mail", b"x", qos=2)
    assert wire.expect(PUBREC).packet_id == packet_id
    wire.publish("mail", b"x", qos=2, dup=True, packet_id=packet_id)
    assert wire.expect(PUBREC).packet_id == packet_id
    wire.acknowledge(PUBREL, packet_id)
    assert wire.expect(PUBCOMP).packet_id == packet_id
    assert [message.payload for message in observer.fence()] == [b"x"]
    wire.publish("mail", b"y", qos=2, packet_id=packet_id)
    wire.expect(PUBREC)
    wire.acknowledge(PUBREL, packet_id)
    wire.expect(PUBCOMP)
    assert [message.payload for message in observer.fence()] == [b"y"]


def test_a_qos_2_message_resent_after_reconnect_is_delivered_once(broker, observer, level):
    observer.subscribe("mail", qos=2)
    wire, client_id = Wire(broker.port, level), fresh("wire")
    wire.connect(client_id, **kept(level))
    packet_id = wire.publish("mail", b"x", qos=2)
    wire.expect(PUBREC)
    wire.close()
    wire = Wire(broker.port, level)
    assert wire.connect(client_id, **kept(level))[0]
    wire.publish("mail", b"x", qos=2, dup=True, packet_id=packet_id)
    assert wire.expect(PUBREC).packet_id == packet_id
    wire.acknowledge(PUBREL, packet_id)
    assert wire.expect(PUBCOMP).packet_id == packet_id
    assert [message.payload for message in observer.fence()] == [b"x"]


def test_a_pubrel_for_nothing_is_answered_with_pubcomp(broker, level):
    wire = Wire(broker.port, level)
    wire.connect(fresh("wire"))
    wire.acknowledge(PUBREL, 77)
    assert wire.expect(PUBCOMP).packet_id == 77
    wire.ping()


def test_an_empty_client_id_is_accepted_with_a_clean_session(broker, level):
    # v3.1.1 [MQTT-3.1.3-6]
    wire = Wire(broker.port, level)
    assert wire.connect("", clean=True)[:2] == (False, 0)
    wire.ping()


def test_an_empty_client_id_without_a_clean_session_is_refused_in_3_1_1(broker):
    # v3.1.1 [MQTT-3.1.3-8]
    wire = Wire(broker.port)
    assert wire.connect("", clean=False)[:2] == (False, 2)
    assert wire.expect_close() == []


def test_a_silent_client_is_dropped_after_its_keep_alive_and_one_without_is_not(broker, level):
    # v3.1.1 [MQTT-3.1.2-24], v5 [MQTT-3.1.2-22]; keep-alive 0 turns the mechanism off.
    patient, silent = Wire(broker.port, level), Wire(broker.port, level)
    assert patient.connect(fresh("patient"), keepalive=0)[1] == 0
    assert silent.connect(fresh("silent"), keepalive=1)[1] == 0
    silent.expect_close()
    assert patient.ping() == []


def test_pings_keep_a_connection(broker, level):
    kept_alive, silent = Wire(broker.port, level), Wire(broker.port, level)
    kept_alive.connect(fresh("alive"), keepalive=1)
    silent.connect(fresh("silent"), keepalive=1)
    while True:
        kept_alive.ping()
        try:
            if silent.read(timeout=0.3) is None:
                break
        except AssertionError:
            pass  # still open: ping again
    assert kept_alive.ping() == []


def test_a_publish_is_delivered_however_its_bytes_are_split(broker, observer, level):
    observer.subscribe("a/b", qos=0)
    wire = Wire(broker.port, level)
    wire.connect(fresh("wire"))
    body = b"\x00\x03a/b" + (b"\x00" if level == 5 else b"") + b"ON"
    for byte in bytes([PUBLISH << 4, len(body)]) + body:
        wire.send(bytes([byte]))
    assert observer.receive().payload == b"ON"
