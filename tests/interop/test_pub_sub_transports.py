"""`declic pub` and `sub` over TLS and WebSocket, with our broker and Debian's Mosquitto."""

import pytest

from brokers import DECLIC, HOST
from certificates import DAY, NOW, key_of
from peers import Over, fresh
from test_errors import UNREACHABLE, USAGE, declic, one_line, with_remedy  # noqa: F401 (declic is a fixture)

pytestmark = pytest.mark.needs_declic


@pytest.fixture
def reach(start_everywhere, start_broker, authority):
    """Starts a broker of a kind that speaks a scheme: how to get there."""

    def reach(kind, scheme, *, server="server", required=False):
        directory = authority.directory
        is_encrypted = scheme in ("mqtts", "wss")
        if kind == "declic":
            more = "require_client_certificate = true" if required else ""
            port = start_everywhere(authority, more, certificate=server).ports[scheme]
        else:
            lines = ["protocol websockets"] if scheme.startswith("ws") else []
            if is_encrypted:
                lines += [f"certfile {directory}/{server}.pem", f"keyfile {directory}/{server}.key"]
            if required:
                lines += [f"cafile {directory}/ca.pem", "require_certificate true", "use_identity_as_username true"]
            port = start_broker("mosquitto", configuration="\n".join(lines)).port
        return Over(port, authority.ca if is_encrypted else None, websocket=scheme.startswith("ws"))

    return reach


@pytest.fixture
def subscribe(spawn, home, declic):  # noqa: F811
    """Starts `declic sub` at a URL and waits until its subscriptions are live."""

    def subscribe(way, *flags):
        marker = fresh("subscribed")
        flags = [*flags, *trust(way)]
        done = declic("pub", "-L", f"{way.url()}/{marker}", *trust(way), "-m", marker, "-q", "1", "-r")
        assert (done.returncode, done.stderr) == (0, b"")
        sub = spawn([DECLIC, "sub", "-L", way.url(), *flags, "-t", marker])
        sub.expect(marker)
        return sub

    return subscribe


def trust(way):
    flags = ["--cafile", way.ca] if way.ca else []
    return flags + (["--cert", way.certificate, "--key", key_of(way.certificate)] if way.certificate else [])


@pytest.mark.parametrize("version", ["311", "5"])
@pytest.mark.parametrize("scheme", ["mqtts", "ws", "wss"])
@pytest.mark.parametrize("kind", ["declic", "mosquitto"])
def test_messages_arrive_whole_and_in_order(reach, subscribe, declic, kind, scheme, version):  # noqa: F811
    way = reach(kind, scheme)
    sub = subscribe(way, "-V", version, "-t", "a", "-q", "2")
    url = f"{way.url()}/a"
    for qos in "012":
        lines = "".join(f"qos {qos} line {number}\n" for number in range(200))
        done = declic("pub", "-L", url, *trust(way), "-V", version, "-q", qos, "-l", stdin=lines.encode())
        assert (done.returncode, done.stderr) == (0, b"")
        for number in range(200):
            assert sub.next_line() == f"qos {qos} line {number}"


@pytest.mark.parametrize("scheme", ["mqtts", "ws", "wss"])
@pytest.mark.parametrize("kind", ["declic", "mosquitto"])
def test_a_message_of_megabytes_goes_through(reach, subscribe, declic, kind, scheme):  # noqa: F811
    way = reach(kind, scheme)
    sub = subscribe(way, "-t", "big", "-q", "1", "-F", "%t %l")
    big = bytes(range(256)) * 20_000
    done = declic("pub", "-L", f"{way.url()}/big", *trust(way), "-q", "1", "-s", stdin=big)
    assert (done.returncode, done.stderr) == (0, b"")
    assert sub.next_line(timeout=30) == f"big {len(big)}"


@pytest.mark.parametrize("kind", ["declic", "mosquitto"])
def test_the_flags_of_mosquitto_ask_for_tls_too(reach, declic, authority, tmp_path, kind):  # noqa: F811
    way = reach(kind, "mqtts")
    directory = tmp_path / "capath"
    directory.mkdir()
    (directory / "readme").write_text("no certificate")
    (directory / "ca.crt").write_bytes(authority.ca.read_bytes())
    at = ["-h", "localhost", "-p", str(way.port), "-t", "a", "-m", "x", "-q", "1"]
    for flags in (["--cafile", authority.ca], ["--capath", directory]):
        done = declic("pub", *at, *flags)
        assert (done.returncode, done.stderr) == (0, b""), flags


@pytest.mark.parametrize("kind", ["declic", "mosquitto"])
def test_a_client_certificate_opens_what_requires_one(reach, declic, authority, stranger, kind):  # noqa: F811
    way = reach(kind, "mqtts", required=True)
    pub = ["pub", "-L", f"{way.url()}/a", "--cafile", authority.ca, "-m", "x", "-q", "1"]
    lamp = authority.directory / "lamp.pem"
    done = declic(*pub, "--cert", lamp, "--key", key_of(lamp))
    assert (done.returncode, done.stderr) == (0, b"")
    line = with_remedy(one_line(declic(*pub), UNREACHABLE, "no TLS with the broker", "it wants a client certificate"))
    assert "--cert" in line
    other = stranger.directory / "lamp.pem"
    done = declic(*pub, "--cert", other, "--key", key_of(other))
    with_remedy(one_line(done, UNREACHABLE, "it does not take this client certificate"))
    done = declic(*pub, "--cert", lamp, "--key", key_of(other))
    one_line(done, USAGE, "it is not the key of")


@pytest.mark.parametrize("kind", ["declic", "mosquitto"])
def test_a_broker_that_nobody_vouches_for_is_not_spoken_to(reach, declic, authority, stranger, kind):  # noqa: F811
    way = reach(kind, "mqtts")
    pub = ["pub", "-L", f"{way.url()}/a", "-m", "x"]
    for flags in (["--cafile", stranger.ca], []):
        line = with_remedy(one_line(declic(*pub, *flags), UNREACHABLE, way.url().removeprefix("mqtts://"), "vouches"))
        assert "--cafile" in line
    # --insecure is about the name only.
    one_line(declic(*pub, "--cafile", stranger.ca, "--insecure"), UNREACHABLE, "vouches")


def test_a_certificate_that_is_over_or_of_another_host_is_told(reach, declic, authority):  # noqa: F811
    authority.server("expired", begin=NOW - 3 * DAY, end=NOW - 2 * DAY)
    authority.server("early", begin=NOW + DAY, end=NOW + 2 * DAY)
    authority.server("other", hosts=["other.example"])
    for server, words in (("expired", "has expired"), ("early", "is not valid yet"), ("other", "for another host"),
                          ("ca", "certificate of an authority")):
        way = reach("declic", "mqtts", server=server)
        pub = ["pub", "-L", f"{way.url()}/a", "-m", "x", "--cafile", authority.ca]
        with_remedy(one_line(declic(*pub), UNREACHABLE, "no TLS with the broker at localhost", words))
        code = declic(*pub, "--insecure").returncode
        assert code == (0 if server == "other" else UNREACHABLE), server


@pytest.mark.parametrize("kind", ["declic", "mosquitto"])
def test_what_the_port_does_not_speak_is_told(reach, declic, authority, kind):  # noqa: F811
    ports = {scheme: reach(kind, scheme).port for scheme in ("mqtts", "ws")}
    for scheme, port, words in (
        ("mqtts", ports["ws"], "TLS"),
        ("wss", ports["ws"], "TLS"),
        ("ws", ports["mqtts"], "WebSocket"),
        ("mqtt", ports["mqtts"], "TLS"),
    ):
        flags = ["--cafile", authority.ca] if scheme.endswith("s") and scheme != "ws" else []
        done = declic("pub", "-L", f"{scheme}://{HOST}:{port}/a", *flags, "-m", "x")
        with_remedy(one_line(done, UNREACHABLE, words))


def test_another_path_is_asked_for_where_it_is_said(reach, declic):  # noqa: F811
    way = reach("declic", "ws")
    pub = ["pub", "-L", f"{way.url()}/a", "-m", "x", "-q", "1"]
    line = with_remedy(one_line(declic(*pub, "--ws-path", "/elsewhere"), UNREACHABLE, "404"))
    assert "--ws-path" in line
    assert declic(*pub, "--ws-path", "/").returncode == 0


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
def test_a_subscriber_comes_back_after_the_broker_did(start_everywhere, spawn, declic, authority, scheme):  # noqa: F811
    broker = start_everywhere(authority)
    way = Over(broker.ports[scheme], authority.ca, websocket=scheme == "wss")
    sub = spawn([DECLIC, "sub", "-L", way.url(), *trust(way), "-t", "a", "-q", "1", "-d"])
    sub.expect("SubAck|Subscribed", stream="err")
    broker.stop()
    sub.expect("Trying again", stream="err")
    broker.start_everywhere(authority)
    sub.expect("SubAck|Subscribed", stream="err")
    assert declic("pub", "-L", f"{way.url()}/a", *trust(way), "-m", "back", "-q", "1").returncode == 0
    sub.expect("^back$")
