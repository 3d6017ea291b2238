"""The brokers under test: ours, and Debian's Mosquitto."""

import os
import pathlib
import random
import socket
import subprocess

from process import LIMIT, Process, home_environment, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECLIC = pathlib.Path(os.environ.get("DECLIC") or ROOT / "target/release/declic").absolute()
MOSQUITTO = os.environ.get("MOSQUITTO") or "/usr/sbin/mosquitto"

HOST = "127.0.0.1"


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def quiet_port():
    """A free port below those that outgoing connections have.

    Mosquitto's WebSocket listener does not start on a port of which an old connection is in TIME_WAIT."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener:
            try:
                listener.bind((HOST, port))
                return port
            except OSError:
                continue


class Broker:
    """A broker process on one loopback port that can be stopped, killed and started again."""

    kind = ""

    def __init__(self, home, users=None):
        self.home = home
        self.users = users
        self.ports = {}
        self.port = 0
        self.process = None

    @property
    def url(self):
        return f"mqtt://{HOST}:{self.port}"

    def kill(self):
        self.process.kill()

    def stop(self):
        return self.process.stop()

    def clean_up(self):
        if self.process is not None:
            self.process.clean_up()


class DeclicBroker(Broker):
    kind = "declic"

    def start_everywhere(self, authority, more="", certificate="server"):
        """Starts it with TLS, WebSocket and secure WebSocket, whose ports are in `ports` by their schemes; on those it
        had before if there were some. Clients may have certificates of the same authority."""
        directory = authority.directory
        ports = {"mqtts": 0, "ws": 0, "wss": 0} | self.ports
        self.start(f"""
            [listen]
            tls = ["{HOST}:{ports['mqtts']}"]
            http = ["{HOST}:{ports['ws']}"]
            https = ["{HOST}:{ports['wss']}"]
            [tls]
            certificate = "{directory}/{certificate}.pem"
            key = "{directory}/{certificate}.key"
            client_ca = "{directory}/ca.pem"
            {more}
        """)
        self.ports = {"mqtt": self.port}
        for scheme in ("mqtts", "ws", "wss"):
            told = self.process.expect(rf"^listening on {scheme}://127\.0\.0\.1:(\d+)")
            self.ports[scheme] = int(told.group(1))
        return self

    def start(self, configuration=None):
        """Starts it, on the port it had before if there was one; with a configuration where one was given once."""
        argv = [DECLIC, "broker", "--listen", f"{HOST}:{self.port}", "--control", self.control]
        path = self.home / "broker.toml"
        if configuration is not None:
            path.write_text(configuration)
        if path.exists():
            argv += ["--config", path]
        if self.users is not None:
            argv += ["--users", self._users_file()]
        self.process = Process(argv, env=home_environment(self.home))
        told = self.process.expect(r"^listening on mqtt://127\.0\.0\.1:(\d+)$")
        self.port = int(told.group(1))
        return self

    @property
    def control(self):
        return self.home / "control"

    def ctl(self, *arguments):
        """What `declic broker ctl` prints about this broker."""
        argv = [DECLIC, "broker", "ctl", "--socket", self.control, *arguments]
        done = run(argv, env=home_environment(self.home))
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def _users_file(self):
        path = self.home / "users"
        path.write_text("".join(f"{name}:{password}\n" for name, password in self.users.items()))
        path.chmod(0o600)
        return path


class MosquittoBroker(Broker):
    kind = "mosquitto"
    listener = ""

    def start(self, listener=None):
        """Starts it; `listener` holds more lines about its one listener."""
        if listener is not None:
            self.listener = listener
        asked = self.port
        for _ in range(5):
            self.port = asked or (quiet_port() if "websockets" in self.listener else free_port())
            self.process = Process([MOSQUITTO, "-c", self._configuration()])
            if self._ready():
                return self
            told = self.process.text()
            self.process.clean_up()
            if asked:
                break
        raise AssertionError(f"Mosquitto does not start\n{told}")

    def _ready(self):
        try:
            self.process.expect(r"mosquitto version \S+ running", stream="err", timeout=LIMIT)
        except AssertionError:
            return False
        with socket.create_connection((HOST, self.port), timeout=LIMIT):
            return True

    def _configuration(self):
        lines = [f"listener {self.port} {HOST}", *self.listener.splitlines(), "log_dest stderr", "log_type all", "connection_messages true",
                 "sys_interval 1"]
        if "websockets" in self.listener:
            lines.append(f"listener {free_port()} {HOST}")  # with WebSocket alone it does not start
        if os.geteuid() == 0:
            lines.append("user root")  # it would drop to a user that may not read its own files
        if self.users is None:
            lines.append("allow_anonymous true")
        else:
            lines += ["allow_anonymous false", f"password_file {self._password_file()}"]
        path = self.home / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _password_file(self):
        path = self.home / "passwords"
        path.touch(mode=0o600)
        for name, password in self.users.items():
            subprocess.run(["mosquitto_passwd", "-b", path, name, password], check=True, capture_output=True)
        return path


KINDS = {broker.kind: broker for broker in (DeclicBroker, MosquittoBroker)}

# INTEROP_BROKER=mosquitto checks the suite itself: what it asks of a broker, Mosquitto answers.
UNDER_TEST = os.environ.get("INTEROP_BROKER") or "declic"
