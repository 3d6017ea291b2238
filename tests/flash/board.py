"""A board on a pseudo-terminal: first its loader, which the mock plays, then its console."""

import os
import select
import struct
import threading

from esp32_mock_bootloader import server

from process import LIMIT


def as_a_rom_ends_it(response):
    """A ROM ends an answer with four status bytes; the mock sends two, as the stub does."""
    (frame,) = server.slip_decode_frames(response)
    length = struct.unpack_from("<H", frame, 2)[0] + 2
    return server.slip_encode(frame[:2] + struct.pack("<H", length) + frame[4:] + bytes(2))


def _security_info(session, answer=server.handle_get_security_info):
    response = answer(session)
    is_short = not session.stub_active and len(server.slip_decode_frames(response)[0]) > 12
    return as_a_rom_ends_it(response) if is_short else response


server.handle_get_security_info = _security_info


class Flash(server.FlashImage):
    """The flash, what was begun to be written, and the place from which on the cable is out."""

    def __init__(self):
        super().__init__()
        self.fail_at = None
        self.writes = []

    def write_defl_block(self, payload):
        self._check(self._defl_offset)
        super().write_defl_block(payload)

    def write_plain_block(self, payload):
        self._check(self._plain_offset)
        super().write_plain_block(payload)

    def begin_defl(self, payload):
        super().begin_defl(payload)
        self.writes.append(self._defl_offset)

    def begin_plain(self, payload):
        super().begin_plain(payload)
        self.writes.append(self._plain_offset)

    def md5_stub_response(self, payload, *, stub=False):
        response = super().md5_stub_response(payload, stub=stub)
        return response if stub else as_a_rom_ends_it(response)

    def _check(self, offset):
        if self.fail_at is not None and offset >= self.fail_at:
            raise OSError("the cable was pulled out")

    def is_blank(self):
        return not self.data.strip(b"\xff")


class WornFlash(Flash):
    """One byte of it can't be written."""

    def __init__(self, worn):
        super().__init__()
        self.worn = worn

    def md5_stub_response(self, payload, *, stub=False):
        self.data[self.worn] = 0x5A
        return super().md5_stub_response(payload, stub=stub)


class Board:
    """A board in its loader; `start` lets it run, and then it has a console."""

    def __init__(self, chip, path, flash=None):
        self.chip = chip
        self.path = path
        self.flash = flash or Flash()
        self._plug_in()

    def _plug_in(self):
        self._pty = server.PtyMasterTransport.create()
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self._pty.client_path)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._load, daemon=True)
        self._thread.start()

    def _load(self):
        connection = server.BootloaderConnection(pty=self._pty)
        try:
            while not self._stop.is_set():
                server.handle_client(connection, self._stop, self.chip, flash=self.flash)
        except OSError:
            self._pty.close()

    def plug_in_again(self):
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        self.flash.fail_at = None
        self._plug_in()

    def start(self):
        """RESET is pressed: the loader ends."""
        self._stop.set()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()

    def say(self, line):
        self._pty.sendall(line.encode() + b"\r\n")

    def typed(self):
        """The next bytes that come in."""
        ready, _, _ = select.select([self._pty._master], [], [], LIMIT)
        assert ready, "nothing was typed"
        return os.read(self._pty._master, 4096)

    def clean_up(self):
        self._stop.set()
        self._thread.join(LIMIT)
        try:
            self._pty.close()
        except OSError:
            pass
