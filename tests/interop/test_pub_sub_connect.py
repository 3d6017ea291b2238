"""What `pub` and `sub` say in CONNECT, read by a listener of the test's own.

Each flag is given to mosquitto_pub or mosquitto_sub too, and both must say the same.
"""

import pytest

from brokers import HOST
from conftest import tool
from wire import CONNACK, packet

BOTH = [pytest.param("declic", marks=pytest.mark.needs_declic), "mosquitto"]
ACCEPTED = {4: packet(CONNACK, 0, b"\x00\x00"), 5: packet(CONNACK, 0, b"\x00\x00\x00")}


@pytest.fixture(params=BOTH)
def connect_of(request, listener, spawn):
    """Runs `pub` or `sub` with flags; returns the CONNECT it sends."""

    def connect_of(verb, *flags):
        message = ["-t", "a", "-m", "x"] if verb == "pub" else ["-t", "a"]
        process = spawn([*tool(request.param, verb), "-h", HOST, "-p", str(listener.port), *message, *flags])
        wire, connect = listener.accept()
        wire.send(ACCEPTED[connect.level])
        wire.read()  # the SUBSCRIBE or the PUBLISH: it is content with the answer
        process.kill()
        wire.close()
        return connect

    return connect_of


@pytest.fixture(params=["pub", "sub"])
def verb(request):
    return request.param


@pytest.mark.parametrize(("flag", "level"), [("mqttv311", 4), ("311", 4), ("mqttv5", 5), ("5", 5)])
def test_v_upper_case_chooses_the_version(connect_of, verb, flag, level):
    assert connect_of(verb, "-V", flag).level == level


@pytest.mark.parametrize("version", ["311", "5"])
@pytest.mark.parametrize("client_id", ["me", "a+b#c/$d", "é" * 10])
def test_i_is_the_client_id(connect_of, verb, version, client_id):
    assert connect_of(verb, "-V", version, "-i", client_id).client_id == client_id


@pytest.mark.parametrize("version", ["311", "5"])
def test_u_and_p_upper_case_are_the_credentials(connect_of, verb, version):
    connect = connect_of(verb, "-V", version, "-u", "marie", "-P", "p:à ss")
    assert (connect.username, connect.password.decode()) == ("marie", "p:à ss")


@pytest.mark.parametrize("version", ["311", "5"])
def test_nothing_is_said_that_was_not_asked_for(connect_of, verb, version):
    connect = connect_of(verb, "-V", version)
    assert (connect.username, connect.password, connect.will) == (None, None, None)
    assert connect.clean


@pytest.mark.parametrize("version", ["311", "5"])
def test_k_is_the_keep_alive_and_60_if_not_said(connect_of, verb, version):
    assert connect_of(verb, "-V", version, "-k", "17").keepalive == 17
    assert connect_of(verb, "-V", version).keepalive == 60


@pytest.mark.parametrize("version", ["311", "5"])
def test_the_will_flags_make_the_will(connect_of, verb, version):
    flags = ("--will-topic", "w/é", "--will-payload", "gone", "--will-qos", "2", "--will-retain")
    assert connect_of(verb, "-V", version, *flags).will == ("w/é", b"gone", 2, True)
    assert connect_of(verb, "-V", version, "--will-topic", "w").will == ("w", b"", 0, False)


@pytest.mark.parametrize("version", ["311", "5"])
def test_c_asks_for_a_session_that_stays(connect_of, version):
    assert connect_of("sub", "-V", version, "-c", "-i", "me").clean is False


def test_x_is_the_session_expiry(connect_of):
    connect = connect_of("sub", "-V", "5", "-c", "-i", "me", "-x", "3600")
    assert connect.properties.get("session_expiry") == 3600


@pytest.mark.needs_declic
@pytest.mark.parametrize(("code", "level"), [(0x01, 4), (0x84, 5)], ids=["3.1.1 answer", "5.0 answer"])
def test_a_broker_without_5_0_is_asked_again_in_3_1_1(listener, spawn, verb, code, level):
    message = ["-t", "a", "-m", "x", "-q", "1"] if verb == "pub" else ["-t", "a", "-C", "1"]
    process = spawn([*tool("declic", verb), "-h", HOST, "-p", str(listener.port), *message])
    wire, first = listener.accept()
    assert first.level == 5, "5.0 is tried first"
    wire.send(packet(CONNACK, 0, bytes([0, code]) + (b"\x00" if level == 5 else b"")))
    wire.close()
    wire, second = listener.accept()
    assert second.level == 4
    wire.send(ACCEPTED[4])
    assert wire.read() is not None
    process.kill()
    wire.close()


@pytest.mark.needs_declic
def test_a_version_that_was_asked_for_and_refused_is_an_error(listener, spawn, verb):
    message = ["-m", "x"] if verb == "pub" else []
    process = spawn([*tool("declic", verb), "-h", HOST, "-p", str(listener.port), "-t", "a", *message, "-V", "5"])
    wire, _ = listener.accept()
    wire.send(packet(CONNACK, 0, b"\x00\x84\x00"))
    wire.close()
    assert process.wait() == 4
    (line,) = process.lines("err")
    assert line.startswith("error: ")
