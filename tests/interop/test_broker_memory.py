"""What a connection that does nothing takes of the broker's memory, by transport.

`pytest tests/interop/test_broker_memory.py -s` prints the figures of docs/benchmarks.md.
"""

import base64
import os
import re
import resource
import socket
import ssl

import pytest

from brokers import HOST, UNDER_TEST
from process import LIMIT

pytestmark = pytest.mark.skipif(UNDER_TEST != "declic", reason="listeners of our broker")

CONNECTIONS = 2_000
# 3.1.1, a clean session, keep-alive off, the broker chooses the id.
CONNECT = bytes.fromhex("10 0c 0004 4d515454 04 02 0000 0000")
CONNACK = bytes.fromhex("20 02 00 00")

# Bytes for one connection, with room for how the allocator and the system round.
MOST = {"mqtt": 1_500, "ws": 3_000, "mqtts": 14_000, "wss": 14_000}


@pytest.fixture
def many_files():
    """As many open files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("scheme", MOST)
def test_an_idle_connection_takes_little_memory(start_everywhere, authority, many_files, scheme):
    broker = start_everywhere(authority)
    context = ssl.create_default_context(cafile=authority.ca) if scheme in ("mqtts", "wss") else None
    connections = []

    def connect(count):
        for _ in range(count):
            connections.append(idle(broker.ports[scheme], context, scheme.startswith("ws")))

    # What is made once for the first is no part of the price.
    connect(100)
    before = resident(broker.process.pid)
    connect(CONNECTIONS)
    each = (resident(broker.process.pid) - before) / CONNECTIONS
    print(f"{scheme}: {each:.0f} bytes for an idle connection, of {CONNECTIONS:,}")
    for connection in connections:
        connection.close()
    assert each < MOST[scheme]


def idle(port, context, is_websocket):
    """A client that has been accepted and sends nothing more."""
    stream = socket.create_connection((HOST, port), timeout=LIMIT)
    if context:
        stream = context.wrap_socket(stream, server_hostname="localhost")
    if is_websocket:
        key = base64.b64encode(os.urandom(16)).decode()
        stream.sendall((f"GET /mqtt HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += receive(stream, 1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        # A final binary frame, masked with zeros.
        stream.sendall(bytes([0x82, 0x80 | len(CONNECT), 0, 0, 0, 0]) + CONNECT)
        assert receive(stream, 2) == bytes([0x82, len(CONNACK)])
    else:
        stream.sendall(CONNECT)
    assert receive(stream, len(CONNACK)) == CONNACK
    return stream


def receive(stream, count):
    received = b""
    while len(received) < count:
        piece = stream.recv(count - len(received))
        assert piece, "the broker closed the connection"
        received += piece
    return received


def resident(pid):
    """Bytes of a process that are in memory."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M).group(1)) * 1024
