"""Fixtures: brokers, boards, and peers; what is missing fails here, before any test."""

import os
import pathlib
import shutil
import subprocess

import pytest

import brokers
import peers
from brokers import DECLIC, HOST, MOSQUITTO, UNDER_TEST
from certificates import Authority
from process import Process, home_environment
from wire import PUBACK, Listener, Wire

HERE = pathlib.Path(__file__).parent
RUMQTTC_TARGET = os.environ.get("INTEROP_RUMQTTC_TARGET") or str(brokers.ROOT / "target/interop-rumqttc")

LIBRARIES = ("paho", "mqttjs", "rumqttc")
VERSIONS = (311, 5)


def pytest_configure(config):
    missing = [f"{program} (apt-get install {package})" for program, package in (
        (MOSQUITTO, "mosquitto"),
        ("mosquitto_passwd", "mosquitto"),
        ("mosquitto_pub", "mosquitto-clients"),
        ("mosquitto_sub", "mosquitto-clients"),
        ("node", "nodejs"),
        ("cargo", "cargo, or rustup"),
    ) if shutil.which(program) is None]
    if not (HERE / "mqttjs/node_modules/mqtt").is_dir():
        missing.append("MQTT.js (npm ci, in tests/interop/mqttjs)")
    if UNDER_TEST not in brokers.KINDS:
        missing.append(f"a broker called {UNDER_TEST!r}: INTEROP_BROKER is one of {sorted(brokers.KINDS)}")
    if UNDER_TEST == "declic" and not DECLIC.is_file():
        missing.append(f"{DECLIC} (cargo build --release, or set DECLIC)")
    if missing:
        raise pytest.UsageError("the interoperability tests need: " + "; ".join(missing))


def pytest_collection_modifyitems(items):
    """Against Mosquitto, the rules it is known to break are expected failures, each with its clause."""
    for item in items:
        known = item.get_closest_marker("mosquitto_differs")
        if known and UNDER_TEST == "mosquitto":
            item.add_marker(pytest.mark.xfail(reason=known.kwargs["reason"], strict=True))


def pytest_report_header():
    version = subprocess.run([MOSQUITTO, "-h"], capture_output=True, text=True).stdout.splitlines()[0]
    return [f"broker under test: {UNDER_TEST}", f"declic: {DECLIC}", version]


@pytest.fixture
def home(tmp_path):
    """The home directory of the programs a test starts."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def spawn(home):
    """Starts programs that end with the test."""
    started = []

    def start(argv, **options):
        options.setdefault("env", home_environment(home))
        process = Process(argv, **options)
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.clean_up()


@pytest.fixture
def start_broker(tmp_path):
    """Starts brokers: `start_broker("declic")`, `start_broker(users={...})`."""
    started = []

    def start(kind=UNDER_TEST, users=None, configuration=None):
        home = tmp_path / f"broker-{len(started)}"
        home.mkdir()
        broker = brokers.KINDS[kind](home, users)
        started.append(broker)
        return broker.start() if configuration is None else broker.start(configuration)

    yield start
    for broker in started:
        broker.clean_up()


@pytest.fixture
def start_everywhere(tmp_path):
    """Starts our broker on all transports."""
    started = []

    def start(authority, more="", users=None, **options):
        home = tmp_path / f"everywhere-{len(started)}"
        home.mkdir()
        broker = brokers.DeclicBroker(home, users)
        started.append(broker)
        return broker.start_everywhere(authority, more, **options)

    yield start
    for broker in started:
        broker.clean_up()


@pytest.fixture
def broker(start_broker):
    """The broker under test, fresh."""
    return start_broker()


@pytest.fixture(params=[UNDER_TEST] if UNDER_TEST == "mosquitto" else ["declic", "mosquitto"])
def any_broker(request, start_broker):
    """Ours and Debian's in turn, fresh."""
    return start_broker(request.param)


@pytest.fixture(scope="session")
def rumqttc_program():
    """The rumqttc peer, built if need be."""
    command = ["cargo", "build", "--locked", "--manifest-path", HERE / "rumqttc/Cargo.toml", "--target-dir",
               RUMQTTC_TARGET]
    built = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert built.returncode == 0, built.stderr
    return pathlib.Path(RUMQTTC_TARGET) / "debug/declic-interop-rumqttc"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Who vouches for the brokers: `server.pem` is a broker's, `lamp.pem` that of a client called lamp."""
    authority = Authority(tmp_path_factory.mktemp("certificates") / "ours")
    authority.server("server")
    authority.client("lamp", "lamp")
    return authority


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """Somebody else who vouches: nobody trusts them."""
    stranger = Authority(tmp_path_factory.mktemp("certificates") / "stranger")
    stranger.client("lamp", "lamp")
    return stranger


class Peer:
    """A client library and a protocol version; `connect` makes clients of it."""

    def __init__(self, library, version, broker, make, clients):
        self.library = library
        self.version = version
        self._broker = broker
        self._make = make
        self._clients = clients

    def connect(self, client_id=None, *, persistent=False, **options):
        """A connected client. `persistent` keeps the session, in the words of either version."""
        if persistent:
            options.setdefault("clean", False)
            options.setdefault("session_expiry", 3600)
        if client_id is None:
            client_id = peers.fresh(f"{self.library}{self.version}")
        client = self._make(self.library, self._broker, 5 if self.version == 5 else 4, client_id=client_id, **options)
        self._clients.append(client)
        return client


class Hosts:
    """One process for each line-driven library, for the whole run; started when first used."""

    def __init__(self, request):
        self._request = request
        self._hosts = {}

    def make(self, library, broker, version, **options):
        if library == "paho":
            return peers.PahoClient(broker, version, **options)
        host = self._hosts.get(library)
        if host is None or not host.alive:
            argv = {
                "mqttjs": lambda: ["node", HERE / "mqttjs/peer.mjs"],
                "rumqttc": lambda: [self._request.getfixturevalue("rumqttc_program")],
            }[library]()
            host = self._hosts[library] = peers.LineHost(library, argv)
        return peers.LineClient(host, broker, version, **options)

    def clean_up(self):
        for host in self._hosts.values():
            host.clean_up()


@pytest.fixture(scope="session")
def hosts(request):
    hosts = Hosts(request)
    yield hosts
    hosts.clean_up()


@pytest.fixture
def peer_of(hosts, broker):
    """Peers by name: `peer_of("paho", 5)`, on the broker under test or another."""
    clients = []

    def peer(library, version, on=None):
        return Peer(library, version, on or broker, hosts.make, clients)

    yield peer
    for client in reversed(clients):
        client.clean_up()


@pytest.fixture(params=[(library, version) for library in LIBRARIES for version in VERSIONS],
                ids=lambda pair: f"{pair[0]}-v{pair[1]}")
def peer(request, peer_of):
    """Every library in every version it speaks."""
    return peer_of(*request.param)


@pytest.fixture(params=LIBRARIES, ids=lambda library: f"{library}-v5")
def peer5(request, peer_of):
    """Every library, in MQTT 5.0."""
    return peer_of(request.param, 5)


@pytest.fixture
def observer(peer_of):
    """A paho client that looks on, MQTT 5.0."""
    return peer_of("paho", 5).connect()


@pytest.fixture
def listener():
    """A broker of the test's own making."""
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def start_sub(spawn):
    """Starts `sub` of either tool set and waits until its subscriptions are live.

    A retained marker on one more topic says so, printed in whatever form the flags ask for."""

    def start(kind, broker, *flags):
        marker = peers.fresh("subscribed")
        wire = Wire(broker.port)
        wire.connect(marker)
        wire.publish(marker, marker, qos=1, retain=True)
        wire.expect(PUBACK)
        wire.disconnect()
        process = spawn([*tool(kind, "sub"), *at(broker), *flags, "-t", marker])
        process.expect(marker)
        return process

    return start


@pytest.fixture
def start_board(spawn):
    """Starts `declic board` and waits until it is connected."""
    ids = iter(range(1, 100))

    def start(role, broker, *flags, board_id=None):
        board_id = board_id or f"c0ffee{next(ids):06x}"
        board = spawn([DECLIC, "board", "--role", role, "--broker", broker.url, "--id", board_id, *flags])
        board.expect(rf"^connected to {broker.url} as \S+ \(MQTT (5\.0|3\.1\.1)\)$")
        return board

    return start


def tool(kind, verb):
    """The command line of one of the two tool sets: `tool("declic", "pub")`."""
    return [DECLIC, verb] if kind == "declic" else [f"mosquitto_{verb}"]


def at(broker):
    """The flags that name a broker to either tool set."""
    return ["-h", HOST, "-p", str(broker.port)]
