"""MQTT clients that no one here wrote, behind one small interface.

`paho` runs inside the tests. `mqttjs` and `rumqttc` run as one process each that holds many
clients and speaks JSON lines (mqttjs/peer.mjs, rumqttc/src/main.rs).
"""

import base64
import itertools
import json
import pathlib
import queue
import socket
import threading
from dataclasses import dataclass, field

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from brokers import HOST
from certificates import key_of
from process import LIMIT, Process

FENCE = "interop-fence/"

# The codes of a refusing CONNACK, in the words of the specification.
REFUSALS = {
    1: "unacceptable protocol version",
    2: "identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
    0x84: "unacceptable protocol version",
    0x85: "identifier rejected",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    "BadUserNamePassword": "bad user name or password",
    "NotAuthorized": "not authorized",
    "BadClientId": "identifier rejected",
    "ClientIdentifierNotValid": "identifier rejected",
}

_fresh = itertools.count(1)


def fresh(word):
    """A name that no other test uses."""
    return f"{word}-{next(_fresh)}"


class Refused(Exception):
    """The broker answered CONNECT with a refusal; `reason` is one of the values of REFUSALS."""

    def __init__(self, code):
        self.reason = REFUSALS.get(code, str(code))
        super().__init__(f"{code}: {self.reason}")


@dataclass
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool = False
    properties: dict = field(default_factory=dict)


@dataclass
class Will:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    delay: int | None = None


@dataclass
class Over:
    """What a client speaks over: a port of its own, TLS where there is someone to trust, WebSocket."""

    port: int | None = None
    ca: pathlib.Path | None = None
    certificate: pathlib.Path | None = None
    websocket: bool = False

    @property
    def scheme(self):
        return ("ws" if self.websocket else "mqtt") + ("s" if self.ca else "")

    def url(self, host="localhost"):
        return f"{self.scheme}://{host}:{self.port}"


class Client:
    """A connected client. Requests wait for the broker's answer, up to the limit."""

    session_present = False
    assigned_id = None

    def __init__(self):
        self._messages = queue.Queue()
        self._closed = threading.Event()

    def receive(self, timeout=LIMIT):
        """The next message."""
        while True:
            try:
                message = self._messages.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"no message within {timeout} s") from None
            if not message.topic.startswith(FENCE):
                return message

    def fence(self):
        """All messages that the broker sent before now.

        A QoS 2 message to oneself comes back after everything sent earlier, so that "nothing
        arrived" needs no waiting."""
        topic = FENCE + fresh("x")
        self.subscribe(topic, qos=2)
        self.publish(topic, b"", qos=2)
        before = []
        while True:
            try:
                message = self._messages.get(timeout=LIMIT)
            except queue.Empty:
                raise AssertionError(f"the fence did not come back within {LIMIT} s") from None
            if message.topic == topic:
                break
            if not message.topic.startswith(FENCE):
                before.append(message)
        self.unsubscribe(topic)
        return before

    def wait_closed(self, timeout=LIMIT):
        """Waits until the connection is gone."""
        assert self._closed.wait(timeout), f"still connected after {timeout} s"


class PahoClient(Client):
    """Eclipse paho for Python."""

    def __init__(self, broker, version, *, client_id, clean=True, keepalive=60, will=None, username=None,
                 password=None, session_expiry=None, over=None):
        super().__init__()
        self._five = version == 5
        options = {} if self._five else {"clean_session": clean}
        over = over or Over()
        if over.websocket:
            options["transport"] = "websockets"
        self._client = client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if self._five else paho.MQTTv311,
            reconnect_on_failure=False,
            **options,
        )
        self._answers = {}
        self._answered = threading.Condition()
        client.on_connect = lambda _c, _u, flags, reason, props: self._answer("connect", (flags, reason, props))
        client.on_subscribe = lambda _c, _u, mid, reasons, _p: self._answer(mid, [int(r.value) for r in reasons])
        client.on_unsubscribe = lambda _c, _u, mid, *_rest: self._answer(mid, [])
        client.on_publish = lambda _c, _u, mid, reason, _p: self._answer(mid, reason)
        client.on_disconnect = lambda *_rest: self._ended()
        client.on_message = self._message
        if username is not None:
            client.username_pw_set(username, password)
        if over.ca:
            client.tls_set(over.ca, over.certificate, over.certificate and key_of(over.certificate))
        if over.websocket:
            client.ws_set_options("/mqtt")
        if will:
            props = None
            if self._five and will.delay is not None:
                props = Properties(PacketTypes.WILLMESSAGE)
                props.WillDelayInterval = will.delay
            client.will_set(will.topic, will.payload, will.qos, will.retain, properties=props)
        more = {}
        if self._five:
            more["clean_start"] = clean
            if session_expiry is not None:
                more["properties"] = Properties(PacketTypes.CONNECT)
                more["properties"].SessionExpiryInterval = session_expiry
        client.connect(HOST, over.port or broker.port, keepalive, **more)
        client.loop_start()
        flags, reason, props = self._wait("connect")
        if reason.is_failure:
            client.loop_stop()
            raise Refused(reason.value)
        self.session_present = flags.session_present
        self.assigned_id = getattr(props, "AssignedClientIdentifier", None)

    def subscribe(self, topic_filter, qos=0, *, no_local=False, retain_as_published=False, retain_handling=0,
                  identifier=None):
        if self._five:
            options = SubscribeOptions(qos, no_local, retain_as_published, retain_handling)
            props = None
            if identifier is not None:
                props = Properties(PacketTypes.SUBSCRIBE)
                props.SubscriptionIdentifier = identifier
            _, mid = self._client.subscribe(topic_filter, options=options, properties=props)
        else:
            _, mid = self._client.subscribe(topic_filter, qos)
        (granted,) = self._wait(mid)
        return granted

    def unsubscribe(self, topic_filter):
        self._wait(self._client.unsubscribe(topic_filter)[1])

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        props = None
        if properties:
            props = Properties(PacketTypes.PUBLISH)
            for name, value in properties.items():
                setattr(props, PAHO_NAMES[name], value)
        self._wait(self._client.publish(topic, payload, qos, retain, properties=props).mid)

    def disconnect(self):
        self._client.disconnect()
        self.wait_closed()
        self._client.loop_stop()

    def abort(self):
        connection = self._client.socket()
        if connection is not None:
            # Below a WebSocket there is another one.
            getattr(connection, "_socket", connection).shutdown(socket.SHUT_RDWR)
        self.wait_closed()
        self._client.loop_stop()

    def clean_up(self):
        if not self._closed.is_set():
            self.abort()
        else:
            self._client.loop_stop()

    def _message(self, _client, _user, got):
        found = {}
        for name, known in PAHO_NAMES.items():
            value = getattr(got.properties, known, None) if got.properties else None
            if value is not None:
                found[name] = value
        found["identifiers"] = getattr(got.properties, "SubscriptionIdentifier", [])
        found["user"] = [tuple(pair) for pair in found.get("user", [])]
        self._messages.put(Message(got.topic, got.payload, got.qos, got.retain, got.dup, found))

    def _answer(self, key, value):
        with self._answered:
            self._answers[key] = value
            self._answered.notify_all()

    def _ended(self):
        self._closed.set()
        with self._answered:
            self._answered.notify_all()

    def _wait(self, key):
        with self._answered:
            self._answered.wait_for(lambda: key in self._answers or self._closed.is_set(), LIMIT)
            assert key in self._answers, f"paho: no answer to {key!r} (closed: {self._closed.is_set()})"
            return self._answers.pop(key)


PAHO_NAMES = {
    "payload_format": "PayloadFormatIndicator",
    "message_expiry": "MessageExpiryInterval",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation_data": "CorrelationData",
    "topic_alias": "TopicAlias",
    "user": "UserProperty",
}


class LineHost:
    """A process that holds clients of one library and speaks JSON lines."""

    def __init__(self, name, argv):
        self._name = name
        self._process = Process(argv)
        self._clients = {}
        self._answers = {}
        self._answered = threading.Condition()
        self._ids = itertools.count(1)
        self._writing = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def alive(self):
        return self._process.returncode is None

    def add(self, key, client):
        self._clients[key] = client

    def remove(self, key):
        self._clients.pop(key, None)

    def ask(self, key, op, **fields):
        """Sends a request and waits for its answer."""
        request_id = next(self._ids)
        line = json.dumps({"id": request_id, "client": key, "op": op, **fields})
        with self._writing:
            self._process.send(line)
        with self._answered:
            self._answered.wait_for(lambda: request_id in self._answers or not self.alive, LIMIT)
            answer = self._answers.pop(request_id, None)
        assert answer is not None, f"{self._name}: no answer to {line[:200]}\n{self._process.text()[-2000:]}"
        if "refused" in answer:
            raise Refused(answer["refused"])
        assert "error" not in answer, f"{self._name}: {op}: {answer['error']}"
        return answer["ok"]

    def clean_up(self):
        self._process.clean_up()

    def _read(self):
        while True:
            try:
                line = json.loads(self._process.next_line(timeout=3600))
            except AssertionError:
                break
            client = self._clients.get(line.get("client"))
            if "message" in line and client:
                client._messages.put(message_of(line["message"]))
            elif "closed" in line and client:
                client._closed.set()
            elif line.get("id") is not None:
                with self._answered:
                    self._answers[line["id"]] = line
                    self._answered.notify_all()
        with self._answered:
            self._answered.notify_all()


def message_of(line):
    found = {name: value for name, value in line.get("properties", {}).items() if value is not None}
    if "correlation_data" in found:
        found["correlation_data"] = base64.b64decode(found["correlation_data"])
    found["user"] = [tuple(pair) for pair in found.get("user", [])]
    found.setdefault("identifiers", [])
    payload = base64.b64decode(line["payload"])
    return Message(line["topic"], payload, line["qos"], line["retain"], line["dup"], found)


class LineClient(Client):
    """A client inside a LineHost."""

    def __init__(self, host, broker, version, *, client_id, clean=True, keepalive=60, will=None, username=None,
                 password=None, session_expiry=None, over=None, **more):
        super().__init__()
        over = over or Over()
        if over.websocket or over.ca:
            more["protocol"] = over.scheme
            files = {"ca": over.ca, "cert": over.certificate, "key": over.certificate and key_of(over.certificate)}
            more["tls"] = {name: path.read_text() for name, path in files.items() if path}
        self._host = host
        self._key = fresh("client")
        host.add(self._key, self)
        if will:
            will = {**vars(will), "payload": base64.b64encode(will.payload).decode()}
        connack = host.ask(
            self._key, "connect", version=version, port=over.port or broker.port, client_id=client_id, clean=clean,
            keepalive=keepalive, will=will, username=username, password=password, session_expiry=session_expiry,
            **more,
        )
        self.connack = connack
        self.session_present = connack["session_present"]
        self.assigned_id = connack.get("assigned_id")

    def subscribe(self, topic_filter, qos=0, *, no_local=False, retain_as_published=False, retain_handling=0,
                  identifier=None):
        (granted,) = self._host.ask(
            self._key, "subscribe", filter=topic_filter, qos=qos, no_local=no_local,
            retain_as_published=retain_as_published, retain_handling=retain_handling, identifier=identifier,
        )["granted"]
        return granted

    def unsubscribe(self, topic_filter):
        self._host.ask(self._key, "unsubscribe", filter=topic_filter)

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        payload = payload.encode() if isinstance(payload, str) else payload
        given = dict(properties or {})
        if "correlation_data" in given:
            given["correlation_data"] = base64.b64encode(given["correlation_data"]).decode()
        self._host.ask(
            self._key, "publish", topic=topic, payload=base64.b64encode(payload).decode(), qos=qos, retain=retain,
            properties=given,
        )

    def disconnect(self):
        self._host.ask(self._key, "disconnect")
        self.wait_closed()

    def abort(self):
        self._host.ask(self._key, "abort")

    def clean_up(self):
        if not self._closed.is_set() and self._host.alive:
            self._host.ask(self._key, "abort")
        self._host.remove(self._key)
