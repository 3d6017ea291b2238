"""Our broker: who may connect, with what protocol version, and what a refusal looks like."""

import re

import pytest

from conftest import at
from peers import Refused, fresh
from process import run
from wire import CONNACK, DISCONNECT, SUBSCRIBE, Wire, connect_packet, packet, string

USERS = {"marie": "p:à ss", "bob": "hunter2"}


@pytest.fixture
def guarded(start_broker):
    """A broker that knows two users."""
    return start_broker(users=USERS)


def test_the_right_password_is_accepted(guarded, peer):
    for name, password in USERS.items():
        client = type(peer)(peer.library, peer.version, guarded, peer._make, peer._clients).connect(
            username=name, password=password)
        client.subscribe("a", qos=1)
        client.publish("a", b"x", qos=1)
        assert client.receive().payload == b"x"


@pytest.mark.parametrize(("username", "password"), [
    ("marie", "wrong"), ("marie", ""), ("nobody", "hunter2"), ("marie", "hunter2"), (None, None),
], ids=["wrong password", "empty password", "unknown user", "another's password", "nothing"])
def test_anything_else_is_refused_with_the_reason(guarded, peer, username, password):
    # v3.1.1 codes 4 and 5, v5 codes 0x86 and 0x87
    stranger = type(peer)(peer.library, peer.version, guarded, peer._make, peer._clients)
    with pytest.raises(Refused) as refused:
        stranger.connect(username=username, password=password)
    assert refused.value.reason in ("bad user name or password", "not authorized")


def test_a_user_name_without_a_password_is_refused(guarded):
    for level, codes in ((4, (4, 5)), (5, (0x86, 0x87))):
        wire = Wire(guarded.port, level)
        assert wire.connect(fresh("wire"), username="marie")[1] in codes
        assert wire.expect_close() == []


def test_a_refused_client_publishes_no_will(guarded, peer_of):
    observer = peer_of("paho", 5, on=guarded).connect(username="bob", password="hunter2")
    observer.subscribe("will", qos=1)
    wire = Wire(guarded.port)
    will = {"topic": "will", "payload": b"gone", "qos": 1}
    assert wire.connect(fresh("wire"), username="bob", password="wrong", will=will)[1] in (4, 5)
    wire.expect_close()
    assert observer.fence() == []


def test_a_refused_client_does_not_take_over_a_session(guarded, peer_of):
    client = peer_of("paho", 5, on=guarded).connect("twin", username="bob", password="hunter2")
    wire = Wire(guarded.port)
    assert wire.connect("twin", username="bob", password="wrong")[1] in (4, 5)
    wire.expect_close()
    assert client.fence() == []


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub_says_why_it_was_refused(guarded, version):
    done = run(["mosquitto_pub", *at(guarded), "-V", version, "-t", "a", "-m", "x", "-u", "bob", "-P", "wrong"])
    assert done.returncode != 0
    assert re.search("not authori[sz]ed|bad user ?name or password", done.stderr.decode(), re.IGNORECASE)


def test_a_user_name_and_a_password_do_no_harm_where_none_is_asked_for(peer):
    client = peer.connect(username="anyone", password="anything")
    client.subscribe("a", qos=1)
    client.publish("a", b"x", qos=1)
    assert client.receive().payload == b"x"


@pytest.mark.parametrize("level", [6, 0, 255])
def test_an_unknown_protocol_level_is_refused_with_its_code(broker, level):
    # v3.1.1 [MQTT-3.1.2-2]: 0x01; v5 [MQTT-3.1.2-2]: 0x84. Then the connection is closed.
    wire = Wire(broker.port)
    wire.send(connect_packet("x", level=level))
    packets = wire.expect_close()
    assert [got.kind for got in packets] == [CONNACK]
    assert packets[0].body[:2] in (b"\x00\x01", b"\x00\x84")


@pytest.mark.parametrize("name", ["MQTX", "mqtt", "", "HTTP"])
def test_another_protocol_is_closed_on(broker, name):
    # v3.1.1 [MQTT-3.1.2-1]
    wire = Wire(broker.port)
    wire.send(connect_packet("x", name=name))
    assert all(got.kind == CONNACK and got.body[1] != 0 for got in wire.expect_close())


@pytest.mark.parametrize("first", [
    packet(SUBSCRIBE, 2, b"\x00\x01" + string("a") + b"\x00"),
    packet(DISCONNECT, 0, b""),
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x10\xff\xff\xff\xff\x7f",
    pytest.param(b"\x10\xff\xff\xff\x7f", marks=pytest.mark.mosquitto_differs(
        reason="no clause: it waits for all 256 MiB of a CONNECT; ours sets a limit on the first packet")),
], ids=["subscribe", "disconnect", "http", "overlong length", "the longest CONNECT there is"])
def test_anything_but_connect_first_is_closed_on(broker, first):
    # v3.1.1 and v5 [MQTT-3.1.0-1]
    wire = Wire(broker.port)
    wire.send(first)
    wire.expect_close()
    assert Wire(broker.port).connect(fresh("next"))[1] == 0, "the broker is no longer there"


@pytest.mark.parametrize("broken", [
    packet(SUBSCRIBE, 2, b"\x00\x01" + string("a/#/b") + b"\x00"),
    packet(SUBSCRIBE, 2, b"\x00\x01" + string("a+") + b"\x00"),
    packet(SUBSCRIBE, 2, b"\x00\x01" + string("a") + b"\x03"),
    packet(SUBSCRIBE, 2, b"\x00\x01"),
    packet(SUBSCRIBE, 0, b"\x00\x01" + string("a") + b"\x00"),
    packet(SUBSCRIBE, 2, b"\x00\x00" + string("a") + b"\x00"),
    packet(3, 0, string("a/#") + b"x"),
    packet(3, 6, string("a") + b"\x00\x01x"),
    packet(3, 2, string("a") + b"\x00\x00x"),
    packet(3, 0, b"\x00\xffa"),
    packet(3, 0, string(b"\xff\xfe") + b"x"),
    packet(3, 0, string(b"a\x00b") + b"x"),
    packet(2, 0, b"\x00\x00"),
    packet(15, 0, b""),
    packet(0, 0, b""),
], ids=["# in the middle", "+ beside a letter", "subscribe QoS 3", "no filter", "subscribe flags", "id 0 in subscribe",
        "wildcard in a topic", "QoS 3", "id 0 in publish", "topic overruns", "not UTF-8", "NUL in a topic", "CONNACK",
        "AUTH in 3.1.1", "type 0"])
def test_a_malformed_packet_ends_that_connection_and_no_other(broker, observer, broken):
    wire = Wire(broker.port)
    wire.connect(fresh("broken"))
    wire.send(broken)
    for got in wire.expect_close():
        assert (got.kind, got.body[-1:]) == (9, b"\x80"), f"an answer to a malformed packet: {got}"
    assert observer.fence() == []
