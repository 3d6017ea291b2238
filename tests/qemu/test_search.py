"""A broker that is searched for: the setting `broker` is `mdns`."""

import socket
import struct
import threading

from machine import HOST_SEEN_FROM_INSIDE

QUESTION = b"\x05_mqtt\x04_tcp\x05local\0\0\x0c\0\x01"


class Wire:
    """The cable to a machine's network card: every frame on it can be seen, and others sent.

    QEMU's own network passes no multicast on, so what answers here is a responder on the cable."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.questions = 0

    def answer(self, port):
        """Answers every question for a broker, from now on: it is at `port` of the host."""
        threading.Thread(target=self._answer, args=(port,), daemon=True).start()

    def _answer(self, port):
        while True:
            frame, machine = self._socket.recvfrom(2048)
            reply = self._reply(frame, port)
            if reply:
                self.questions += 1
                self._socket.sendto(reply, machine)

    @staticmethod
    def _reply(frame, port):
        to, sender, kind = struct.unpack_from("!6s6sH", frame)
        if kind != 0x0800 or frame[23] != 17 or to != bytes.fromhex("01005e0000fb"):
            return None
        asker, group = frame[26:30], frame[30:34]
        udp = 14 + (frame[14] & 15) * 4
        from_port, to_port = struct.unpack_from("!HH", frame, udp)
        question = frame[udp + 8 :]
        assert (group, to_port) == (bytes([224, 0, 0, 251]), 5353)
        assert from_port != 5353, "the answer is to come to it alone"
        assert question[2:12] == bytes([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]) and question[12:] == QUESTION
        instance = b"\x04test\xc0\x0c"
        name = b"\x04host\xc0\x18"  # `local` of the question
        srv = struct.pack("!HHH", 0, 0, port) + name
        address = socket.inet_aton(HOST_SEEN_FROM_INSIDE)
        # As answers to one-shot queries are: identifier and question repeated, ten seconds to live.
        message = (
            question[:2] + b"\x84\0\0\x01\0\x01\0\0\0\x02" + QUESTION
            + b"\xc0\x0c\0\x0c\0\x01\0\0\0\x0a" + struct.pack("!H", len(instance)) + instance
            + instance + b"\0\x21\0\x01\0\0\0\x0a" + struct.pack("!H", len(srv)) + srv
            + name + b"\0\x01\0\x01\0\0\0\x0a\0\x04" + address
        )  # fmt: skip
        datagram = struct.pack("!HHHH", 5353, from_port, 8 + len(message), 0) + message
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 255, 17, 0, address, asker)
        total = sum(struct.unpack("!10H", header))
        total = (total & 0xFFFF) + (total >> 16)
        header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
        return sender + bytes.fromhex("525500000002") + b"\x08\0" + header + datagram


def test_a_broker_that_answers_is_found_and_found_again(any_broker, start_machine):
    wire = Wire()
    board = start_machine(wire=wire, broker="mdns", connect_timeout=1)
    board.logged("^could not connect: no broker was found in the network ")
    wire.answer(any_broker.port)
    board.connected()
    asked = wire.questions
    any_broker.kill()
    board.logged("^disconnected: ")
    any_broker.start()
    board.connected()
    assert wire.questions > asked, "what was found counts for one connection"
