"""Boards of bare metal: the firmware in QEMU's riscv32 machine, with its console, flash and network."""

import json
import os
import pathlib
import re
import socket
import struct

from brokers import ROOT
from process import LIMIT, Process, wait_until

QEMU = os.environ.get("QEMU") or "qemu-system-riscv32"
FIRMWARE = pathlib.Path(
    os.environ.get("QEMU_FIRMWARE")
    or ROOT / "firmware/qemu-virt/target/riscv32imac-unknown-none-elf/release/declic-qemu"
).absolute()

# Where the machine's own network has the host's loopback.
HOST_SEEN_FROM_INSIDE = "10.0.2.2"

FLASH_SIZE = 0x1_0000  # as the settings' partition on an ESP32
PAGE_SIZE = 0x1000

# `Machine.first_publish` of every machine of the run, for the summary.
first_publishes = []

# `Machine.deepest_stack` of the machine that did everything, for the summary.
deepest_stacks = []


class Machine(Process):
    """A machine that is switched on."""

    def __init__(self, home, mac, handed_over, flash=None, wire=None):
        self.board_id = mac.replace(":", "")
        self._monitor_path = home / "monitor"
        text = home / "handed-over"
        text.write_text("".join(f"{key} {value}\n" for key, value in handed_over.items()))
        argv = [
            # However the test run ends, the machine ends with it.
            "setpriv", "--pdeathsig", "KILL",
            QEMU, "-machine", "virt", "-m", "16M", "-bios", "none", "-kernel", FIRMWARE,
            "-display", "none", "-serial", "stdio", "-monitor", "none",
            "-qmp", f"unix:{self._monitor_path},server=on,wait=off",
            "-global", "virtio-mmio.force-legacy=false",
            "-netdev", "user,id=net", "-device", f"virtio-net-device,netdev={'net' if wire is None else 'card'},mac={mac}",
            "-device", f"loader,file={text},addr=0x80300000,force-raw=on",
        ]  # fmt: skip
        if flash is not None:
            argv += [
                "-drive", f"if=none,id=flash,format=raw,file={flash}",
                "-device", "virtio-blk-device,drive=flash",
            ]  # fmt: skip
        if wire is not None:
            ends = f"udp=127.0.0.1:{wire.port},localaddr=127.0.0.1:0"
            argv += [
                "-netdev", f"socket,id=wire,{ends}",
                "-netdev", "hubport,id=of-net,hubid=0,netdev=net",
                "-netdev", "hubport,id=of-wire,hubid=0,netdev=wire",
                "-netdev", "hubport,id=card,hubid=0",
            ]  # fmt: skip
        super().__init__(argv)
        with self._changed:
            self._add_streams()

    def logged(self, pattern, **limit):
        """Waits for a log line after the last expected one whose text matches."""
        return self.expect(pattern, stream="log", **limit)

    def log_time(self):
        """The time of the last log line, in microseconds of the program's clock."""
        with self._changed:
            return self._log_time

    def command(self, line):
        """Types a command; returns the lines of its answer. The last one is `ok...` or `error...`."""
        self.send(line)
        self.expect("^> |^error: ", stream="answer")
        answer = []
        while not answer or not re.match("(ok|error)(:|$)", answer[-1]):
            answer.append(self.next_line(stream="answer"))
        return answer

    def press(self):
        """Types `press`; returns the state that goes over the link."""
        assert self.command("press") == ["ok"]
        return self.logged("^pressed (ON|OFF)$").group(1)

    def set(self, key, value):
        (answer,) = self.command(f'set {key} "{value}"')
        assert answer.startswith("ok: "), answer

    def get(self, key):
        line, ok = self.command(f"get {key}")
        assert ok == "ok"
        return line.removeprefix(f"{key}=")

    def save(self):
        (answer,) = self.command("save")
        assert answer.startswith("ok: "), answer

    def status(self):
        """What `status` says, as a dictionary."""
        return dict(line.split("=", 1) for line in self.command("status")[:-1])

    def connected(self):
        """Waits until the board is connected and its subscription is accepted."""
        self.logged(r"^connected \(MQTT (5\.0|3\.1\.1)\) to ")
        self.logged("^subscribed")
        times = re.findall(r"first publish (\d+) ms after the start", "\n".join(self.lines("log")))
        first_publishes.extend(int(time) for time in times[self._publishes_seen :])
        self._publishes_seen = len(times)
        return self

    def settled(self):
        """Waits until every press has reached the broker."""
        wait_until(lambda: self.status()["unsent"] == "no", "the press at the broker")

    def switch_off(self):
        """Ends the machine in good order; returns QEMU's exit code."""
        self.send_bytes(b"\x04")
        return self.wait()

    def plug(self, up):
        """Plugs the network cable in, or pulls it."""
        self._monitor("set_link", name="net", up=up)

    def deepest_stack(self):
        """How many bytes of the stack were ever used since the machine was switched on.

        Its memory is zero then, so what was never used still is. A frame whose last words were
        never written, or are zero, makes this a little less than it was."""
        start, size = section(FIRMWARE, ".stack")
        memory = self._monitor_path.with_name("stack")
        self._monitor("pmemsave", val=start, size=size, filename=str(memory))
        return len(memory.read_bytes().lstrip(b"\0"))

    def _monitor(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(LIMIT)
            monitor.connect(str(self._monitor_path))
            with monitor.makefile("rw") as lines:
                lines.readline()  # the greeting
                for command in (
                    {"execute": "qmp_capabilities"},
                    {"execute": command, "arguments": arguments},
                ):
                    print(json.dumps(command), file=lines, flush=True)
                    while "return" not in (answer := json.loads(lines.readline())):
                        assert "error" not in answer, answer

    def _add_streams(self):
        """Beside `out`, which has everything: the texts of the log, and what is no log."""
        for stream in ("log", "answer"):
            if stream not in self._lines:
                self._lines[stream] = []
                self._cursor[stream] = 0
                self._open.add(stream)
                self._publishes_seen = 0
                self._log_time = 0

    def _read(self, name, pipe):
        with self._changed:
            self._add_streams()
        super()._read(name, map(self._sort, pipe) if name == "out" else pipe)
        if name == "out":
            with self._changed:
                self._open -= {"log", "answer"}
                self._changed.notify_all()

    def _sort(self, raw):
        # Lines on a serial console end with a carriage return.
        raw = raw.replace(b"\r", b"")
        line = raw.decode(errors="replace").rstrip("\n")
        logged = re.match(r"\[(\d+)\.(\d{3})\] \w+: (.*)$", line)
        with self._changed:
            if logged:
                seconds, millis, text = logged.groups()
                self._log_time = (int(seconds) * 1000 + int(millis)) * 1000
                self._lines["log"].append(text)
            else:
                self._lines["answer"].append(line)
        return raw


def section(elf, name):
    """Where a section of a 32-bit ELF file lies in memory: its address and its size."""
    data = elf.read_bytes()
    (table,) = struct.unpack_from("<I", data, 32)
    entry_size, count, names_at = struct.unpack_from("<HHH", data, 46)
    headers = [struct.unpack_from("<IIIIII", data, table + entry_size * at) for at in range(count)]
    names = headers[names_at][4]
    for name_at, _, _, address, _, size in headers:
        if data[names + name_at :].startswith(name.encode() + b"\0"):
            return address, size
    raise AssertionError(f"{elf} has no section {name}")


def blank_flash(path, size=FLASH_SIZE):
    """A flash as it comes from the factory."""
    path.write_bytes(b"\xff" * size)
    return path
