"""The two boards of the MicroPython tutorial, replayed from recordings of what they put on the wire.

`recordings/tutorial-*.txt` has one line for each write: milliseconds, sender, bytes. The replay
keeps the bytes, their order and the separate writes; it does not keep the times. Like the
original it sends no PINGREQ and leaves without DISCONNECT.
"""

import pathlib
import socket

from process import LIMIT

RECORDINGS = pathlib.Path(__file__).parent / "recordings"


def recording(role):
    """The recording as (sender, bytes) in order; `close` is left out."""
    steps = []
    for line in (RECORDINGS / f"tutorial-{role}.txt").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        _, sender, what = line.split(maxsplit=2)
        if what != "close":
            steps.append((sender, bytes.fromhex(what)))
    return steps


PUBLISHER, SUBSCRIBER = recording("publisher"), recording("subscriber")

# What the recorded subscriber was sent once it had subscribed, and the payloads in it.
DELIVERED = b"".join(data for sender, data in SUBSCRIBER[5:] if sender == "broker")


class TutorialBoard:
    """A connection that writes what the original wrote."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, count):
        """umqtt's `sock.read(n)`: exactly so many bytes."""
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            assert more, f"closed by the broker after {data.hex(' ')!r}"
            data += more
        return data

    def power_off(self):
        """The board is unplugged: the connection ends without DISCONNECT."""
        self._socket.close()

    def wait_closed(self):
        """Waits until the broker drops this connection."""
        try:
            while self._socket.recv(4096):
                pass
        except ConnectionResetError:
            pass

    def _play(self, steps):
        for sender, data in steps:
            if sender == "client":
                self._socket.sendall(data)
            else:
                assert self.read(len(data)) == data


class TutorialPublisher(TutorialBoard):
    """`ESP32_Publisher`: connects as recorded, then publishes as recorded."""

    def __init__(self, port):
        super().__init__(port)
        self._play(PUBLISHER[:2])

    def press(self):
        """All the recorded presses: more than one message each, since it sends while held."""
        self._play(PUBLISHER[2:])

    def press_once(self):
        """The first recorded message alone, its fixed header in a write of its own."""
        self._play([PUBLISHER[2], ("client", PUBLISHER[3][1][: PUBLISHER[2][1][1]])])


class TutorialSubscriber(TutorialBoard):
    """`ESP32_Subscriber`: connects and subscribes as recorded, then reads as umqtt.simple does."""

    def __init__(self, port):
        super().__init__(port)
        self._play(SUBSCRIBER[:5])

    def next_message(self):
        """umqtt.simple's `wait_msg`, on what the broker sends: (first byte, topic, payload)."""
        first = self.read(1)[0]
        assert first & 0xF0 == 0x30, f"umqtt.simple would drop packet type {first >> 4} and lose its place"
        size = shift = 0
        while True:
            digit = self.read(1)[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        topic_length = int.from_bytes(self.read(2), "big")
        topic = self.read(topic_length).decode()
        size -= topic_length + 2
        assert first & 6 == 0, "it subscribed with QoS 0"
        return first, topic, self.read(size)


def payloads(data):
    """The payloads of a stream of QoS 0 PUBLISH packets of the tutorial's size."""
    found = []
    while data:
        size, topic_length = data[1], int.from_bytes(data[2:4], "big")
        found.append(data[4 + topic_length : 2 + size].decode())
        data = data[2 + size :]
    return found
