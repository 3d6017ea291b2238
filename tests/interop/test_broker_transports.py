"""Our broker over TLS, WebSocket and secure WebSocket, with each peer that speaks them."""

import pytest

from brokers import UNDER_TEST
from certificates import key_of
from conftest import VERSIONS
from peers import Over, Refused, Will
from process import run

pytestmark = pytest.mark.skipif(UNDER_TEST != "declic", reason="listeners of our broker")

SCHEMES = ("mqtts", "ws", "wss")


@pytest.fixture
def everywhere(start_everywhere, authority):
    """Our broker, open to everyone."""
    return start_everywhere(authority)


def over(broker, scheme, authority, certificate=None):
    """How to get to a broker."""
    ca = authority.ca if scheme in ("mqtts", "wss") else None
    return Over(broker.ports[scheme], ca, certificate, scheme.startswith("ws"))


def mosquitto(verb, broker, authority, *flags, certificate=None):
    """The command line of one of Mosquitto's clients, over TLS."""
    argv = [f"mosquitto_{verb}", "-h", "localhost", "-p", str(broker.ports["mqtts"]), "--cafile", authority.ca]
    if certificate:
        argv += ["--cert", certificate, "--key", key_of(certificate)]
    return [*argv, *flags]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("library", ["paho", "mqttjs"])
def test_messages_of_every_size_and_qos_go_both_ways(everywhere, authority, peer_of, library, version, scheme):
    way = over(everywhere, scheme, authority)
    near = peer_of(library, version, on=everywhere).connect(over=way)
    far = peer_of("paho", version, on=everywhere).connect()
    near.subscribe("down", qos=2)
    far.subscribe("up", qos=2)
    for qos in (0, 1, 2):
        for payload in (b"", b"\x00\xff", bytes(range(256)) * 800):
            near.publish("up", payload, qos=qos)
            got = far.receive()
            assert (got.payload, got.qos) == (payload, qos)
            far.publish("down", payload, qos=qos)
            got = near.receive()
            assert (got.payload, got.qos) == (payload, qos)
    near.disconnect()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("library", ["paho", "mqttjs"])
def test_a_lost_connection_publishes_the_will(everywhere, authority, peer_of, library, scheme):
    watcher = peer_of("paho", 5, on=everywhere).connect()
    watcher.subscribe("will", qos=1)
    client = peer_of(library, 5, on=everywhere).connect(
        over=over(everywhere, scheme, authority), will=Will("will", b"gone", qos=1))
    client.abort()
    assert watcher.receive().payload == b"gone"


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquittos_clients_over_tls(everywhere, authority, spawn, version):
    sub = spawn(["stdbuf", "-oL", *mosquitto("sub", everywhere, authority, "-V", version, "-t", "a", "-q", "2", "-d")])
    sub.expect(r"^Subscribed \(mid: \d+\)")
    for qos in "012":
        done = run(mosquitto("pub", everywhere, authority, "-V", version, "-t", "a", "-m", f"qos {qos}", "-q", qos))
        assert (done.returncode, done.stderr) == (0, b"")
        sub.expect(rf"^qos {qos}$")


def test_mosquittos_clients_do_not_take_another_authority(everywhere, stranger):
    done = run(mosquitto("pub", everywhere, stranger, "-t", "a", "-m", "x"))
    assert done.returncode != 0


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
@pytest.mark.parametrize("library", ["paho", "mqttjs"])
def test_a_client_certificate_names_the_user(start_everywhere, authority, tmp_path, peer_of, library, scheme):
    rights = tmp_path / "rights"
    rights.write_text("pattern readwrite own/%u\n")
    broker = start_everywhere(authority, f'[access]\nrights = "{rights}"\n', users={"marie": "secret"})
    lamp = peer_of(library, 5, on=broker).connect(over=over(broker, scheme, authority, authority.directory / "lamp.pem"))
    assert lamp.subscribe("own/lamp", qos=1) == 1
    lamp.publish("own/lamp", b"x", qos=1)
    assert lamp.receive().payload == b"x"
    marie = peer_of(library, 5, on=broker).connect(
        over=over(broker, scheme, authority), username="marie", password="secret")
    marie.subscribe("own/#", qos=1)
    marie.publish("own/marie", b"y", qos=1)
    assert marie.receive().topic == "own/marie"
    with pytest.raises(Refused) as refused:
        peer_of(library, 5, on=broker).connect(over=over(broker, scheme, authority))
    assert refused.value.reason in ("bad user name or password", "not authorized")


def test_mosquittos_clients_with_a_certificate(start_everywhere, authority, stranger, tmp_path, spawn):
    rights = tmp_path / "rights"
    rights.write_text("user lamp\ntopic readwrite lamp\n")
    broker = start_everywhere(
        authority, f'require_client_certificate = true\n[access]\nrights = "{rights}"\n', users={"marie": "secret"})
    lamp = authority.directory / "lamp.pem"
    sub = spawn(["stdbuf", "-oL", *mosquitto("sub", broker, authority, "-t", "lamp", "-q", "1", "-d", certificate=lamp)])
    sub.expect(r"^Subscribed \(mid: \d+\)")
    done = run(mosquitto("pub", broker, authority, "-t", "lamp", "-m", "ON", "-q", "1", certificate=lamp))
    assert (done.returncode, done.stderr) == (0, b"")
    sub.expect(r"^ON$")
    for certificate in (None, stranger.directory / "lamp.pem"):
        done = run(mosquitto("pub", broker, authority, "-t", "lamp", "-m", "OFF", "-q", "1", "-u", "marie", "-P", "secret",
                             certificate=certificate))
        assert done.returncode != 0
