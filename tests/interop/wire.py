"""A bare TCP connection that speaks just enough MQTT to say what no client library will say."""

import socket
import struct
from dataclasses import dataclass

from process import LIMIT

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

# MQTT 5.0, table 2-4: the properties used here, by identifier and how they are written.
PROPERTIES = {
    "payload_format": (0x01, "B"),
    "message_expiry": (0x02, "I"),
    "content_type": (0x03, "s"),
    "response_topic": (0x08, "s"),
    "correlation_data": (0x09, "s"),
    "identifier": (0x0B, "v"),
    "session_expiry": (0x11, "I"),
    "assigned_id": (0x12, "s"),
    "server_keep_alive": (0x13, "H"),
    "authentication_method": (0x15, "s"),
    "will_delay": (0x18, "I"),
    "response_information": (0x1A, "s"),
    "server_reference": (0x1C, "s"),
    "reason_string": (0x1F, "s"),
    "receive_maximum": (0x21, "H"),
    "topic_alias_maximum": (0x22, "H"),
    "topic_alias": (0x23, "H"),
    "maximum_qos": (0x24, "B"),
    "retain_available": (0x25, "B"),
    "user": (0x26, "p"),
    "maximum_packet_size": (0x27, "I"),
    "wildcard_available": (0x28, "B"),
    "identifiers_available": (0x29, "B"),
    "shared_available": (0x2A, "B"),
}
NAMES = {code: (name, form) for name, (code, form) in PROPERTIES.items()}


@dataclass
class Packet:
    kind: int
    flags: int
    body: bytes

    @property
    def packet_id(self):
        return struct.unpack(">H", self.body[:2])[0]


@dataclass
class Publish:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    properties: dict


def varint(value):
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)


def string(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def properties(values):
    """The property block of a packet; `user` is a list of pairs."""
    out = b""
    for name, value in values.items():
        code, form = PROPERTIES[name]
        if form == "p":
            for key, text in value:
                out += bytes([code]) + string(key) + string(text)
        elif form == "s":
            out += bytes([code]) + string(value)
        elif form == "v":
            out += bytes([code]) + varint(value)
        else:
            out += bytes([code]) + struct.pack(">" + form, value)
    return varint(len(out)) + out


def read_varint(body, at):
    value = shift = 0
    while True:
        digit = body[at]
        at += 1
        value |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return value, at


def read_string(body, at):
    (length,) = struct.unpack_from(">H", body, at)
    return body[at + 2 : at + 2 + length], at + 2 + length


def read_properties(body, at):
    """The properties at an offset, and where they end. `user` and `identifier` are lists."""
    length, at = read_varint(body, at)
    end, found = at + length, {}
    while at < end:
        name, form = NAMES[body[at]]
        at += 1
        if form == "p":
            key, at = read_string(body, at)
            value, at = read_string(body, at)
            found.setdefault(name, []).append((key.decode(), value.decode()))
        elif form == "v":
            value, at = read_varint(body, at)
            found.setdefault(name, []).append(value)
        elif form == "s":
            value, at = read_string(body, at)
            found[name] = value if name == "correlation_data" else value.decode()
        else:
            (found[name],) = struct.unpack_from(">" + form, body, at)
            at += struct.calcsize(form)
    return found, end


def connect_packet(client_id, *, level=4, name="MQTT", clean=True, keepalive=0, will=None, username=None,
                   password=None, props=None):
    """A CONNECT; `will` is a dict of topic, payload, qos, retain and, for level 5, properties."""
    flags = (2 if clean else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    if will:
        flags |= 4 | will.get("qos", 0) << 3 | (0x20 if will.get("retain") else 0)
    body = string(name) + bytes([level, flags]) + struct.pack(">H", keepalive)
    if level == 5:
        body += properties(props or {})
    body += string(client_id)
    if will:
        if level == 5:
            body += properties(will.get("properties", {}))
        body += string(will["topic"]) + string(will["payload"])
    for value in (username, password):
        if value is not None:
            body += string(value)
    return packet(CONNECT, 0, body)


@dataclass
class Connect:
    """What a CONNECT says."""

    level: int
    clean: bool
    keepalive: int
    properties: dict
    client_id: str
    will: tuple | None  # (topic, payload, qos, retain)
    username: str | None
    password: bytes | None


def read_connect(body):
    name, at = read_string(body, 0)
    assert name == b"MQTT"
    level, flags = body[at], body[at + 1]
    (keepalive,) = struct.unpack_from(">H", body, at + 2)
    at += 4
    found, at = read_properties(body, at) if level == 5 else ({}, at)
    client_id, at = read_string(body, at)
    will = username = password = None
    if flags & 4:
        if level == 5:
            _, at = read_properties(body, at)
        topic, at = read_string(body, at)
        payload, at = read_string(body, at)
        will = (topic.decode(), payload, flags >> 3 & 3, bool(flags & 0x20))
    if flags & 0x80:
        username, at = read_string(body, at)
    if flags & 0x40:
        password, at = read_string(body, at)
    assert at == len(body), "bytes after the end of CONNECT"
    username = username.decode() if username is not None else None
    return Connect(level, bool(flags & 2), keepalive, found, client_id.decode(), will, username, password)


class Listener:
    """A broker of the test's own making: it sees what a client says, byte for byte."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(LIMIT)
        self.port = self._socket.getsockname()[1]

    def accept(self):
        """Waits for a client and its CONNECT; returns the connection and what it said."""
        wire = Wire(self.port, accepted=self._socket.accept()[0])
        connect = read_connect(wire.expect(CONNECT).body)
        wire.level = connect.level
        return wire, connect

    def close(self):
        self._socket.close()


class Wire:
    """One TCP connection to a broker (or, accepted by a Listener, from a client)."""

    def __init__(self, port, level=4, accepted=None):
        self.level = level
        self._socket = accepted or socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._next_id = 0

    def send(self, data):
        """One write of exactly these bytes."""
        self._socket.sendall(data)

    def read(self, timeout=LIMIT):
        """The next packet; None once the broker has closed the connection."""
        self._socket.settimeout(timeout)
        while True:
            whole = self._take()
            if whole:
                return whole
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                return None
            except TimeoutError:
                raise AssertionError(f"no packet within {timeout} s; buffered: {self._buffer.hex(' ')}") from None
            if not data:
                return None
            self._buffer += data

    def expect(self, kind):
        """The next packet, which must be of this kind."""
        got = self.read()
        assert got is not None, f"closed while waiting for packet type {kind}"
        assert got.kind == kind, f"packet type {got.kind} ({got.body.hex(' ')}) instead of {kind}"
        return got

    def expect_close(self):
        """Waits until the broker closes; returns the packets it still sent."""
        rest = []
        while True:
            got = self.read()
            if got is None:
                return rest
            rest.append(got)

    def connect(self, client_id, **options):
        """Connects; returns (session present, code, properties)."""
        self.send(connect_packet(client_id, level=self.level, **options))
        body = self.expect(CONNACK).body
        found = read_properties(body, 2)[0] if self.level == 5 and len(body) > 2 else {}
        return bool(body[0] & 1), body[1], found

    def subscribe(self, topic_filter, options=0, props=None):
        """Subscribes and waits for the SUBACK, which may follow retained messages; returns its code."""
        packet_id = self.packet_id()
        body = struct.pack(">H", packet_id)
        if self.level == 5:
            body += properties(props or {})
        self.send(packet(SUBSCRIBE, 2, body + string(topic_filter) + bytes([options])))
        return self.expect(SUBACK).body[-1]

    def publish(self, topic, payload, *, qos=0, retain=False, dup=False, packet_id=None, props=None):
        """Sends a PUBLISH and waits for nothing; returns the packet identifier."""
        payload = payload.encode() if isinstance(payload, str) else payload
        body = string(topic)
        if qos:
            packet_id = packet_id or self.packet_id()
            body += struct.pack(">H", packet_id)
        if self.level == 5:
            body += properties(props or {})
        self.send(packet(PUBLISH, (8 if dup else 0) | qos << 1 | (1 if retain else 0), body + payload))
        return packet_id

    def received(self):
        """Waits for a PUBLISH; acknowledges nothing."""
        got = self.expect(PUBLISH)
        topic, at = read_string(got.body, 0)
        qos = got.flags >> 1 & 3
        packet_id, found = None, {}
        if qos:
            (packet_id,) = struct.unpack_from(">H", got.body, at)
            at += 2
        if self.level == 5:
            found, at = read_properties(got.body, at)
        return Publish(topic.decode(), got.body[at:], qos, bool(got.flags & 1), bool(got.flags & 8), packet_id, found)

    def acknowledge(self, kind, packet_id):
        self.send(packet(kind, 2 if kind == PUBREL else 0, struct.pack(">H", packet_id)))

    def ping(self):
        """A PINGREQ and its PINGRESP: everything sent before has been read by the broker.

        Returns the packets that came first."""
        self.send(packet(PINGREQ, 0, b""))
        before = []
        while True:
            got = self.read()
            assert got is not None, f"closed before PINGRESP, after {before}"
            if got.kind == PINGRESP:
                return before
            before.append(got)

    def disconnect(self):
        self.send(packet(DISCONNECT, 0, b""))
        self.close()

    def close(self):
        """Drops the connection, without DISCONNECT."""
        self._socket.close()

    def packet_id(self):
        self._next_id = self._next_id % 65535 + 1
        return self._next_id

    def _take(self):
        buffer = self._buffer
        at, length, shift = 1, 0, 0
        while True:
            if at >= len(buffer):
                return None
            digit = buffer[at]
            length |= (digit & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not digit & 0x80:
                break
        if len(buffer) < at + length:
            return None
        self._buffer = buffer[at + length :]
        return Packet(buffer[0] >> 4, buffer[0] & 15, buffer[at : at + length])
