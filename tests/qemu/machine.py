"""Boards of bare metal: the firmware in QEMU's riscv32 machine, with its console, flash and network."""

import json
import os
import pathlib
import re
import socket

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


class Machine(Process):
    """A machine that is switched on."""

    def __init__(self, home, mac, handed_over, flash=None):
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
            "-netdev", "user,id=net", "-device", f"virtio-net-device,netdev=net,mac={mac}",
            "-device", f"loader,file={text},addr=0x80300000,force-raw=on",
        ]  # fmt: skip
        if flash is not None:
            argv += [
                "-drive", f"if=none,id=flash,format=raw,file={flash}",
                "-device", "virtio-blk-device,drive=flash",
            ]  # fmt: skip
        super().__init__(argv)

    def status(self):
        """What `status` says, as a dictionary."""
        self.send("status")
        words = self.expect(r"^status (.*)$").group(1).split()
        return dict(word.split("=", 1) for word in words)

    def clock(self):
        """The program's clock in microseconds."""
        return int(self.status()["clock"])

    def wait_for_clock(self, micros, timeout=LIMIT):
        wait_until(lambda: self.clock() >= micros, f"the clock at {micros}", timeout)

    def connected(self):
        """Waits until the board is connected and its subscription is accepted."""
        self.expect(r"^connected \(MQTT (5\.0|3\.1\.1)\)$")
        first = re.compile(r"^first publish (\d+) ms after the start$")
        found = [match for match in map(first.search, self.lines()) if match]
        first_publishes.extend(int(match.group(1)) for match in found[-1:])
        self.expect("^subscribed$")
        return self

    def command(self, line, answer):
        self.send(line)
        return self.expect(answer)

    def plug(self, up):
        """Plugs the network cable in, or pulls it."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(LIMIT)
            monitor.connect(str(self._monitor_path))
            with monitor.makefile("rw") as lines:
                lines.readline()  # the greeting
                for command in (
                    {"execute": "qmp_capabilities"},
                    {"execute": "set_link", "arguments": {"name": "net", "up": up}},
                ):
                    print(json.dumps(command), file=lines, flush=True)
                    while "return" not in (answer := json.loads(lines.readline())):
                        assert "error" not in answer, answer

    def _read(self, name, pipe):
        # Lines on a serial console end with a carriage return.
        super()._read(name, (line.replace(b"\r", b"") for line in pipe))


def blank_flash(path, size=FLASH_SIZE):
    """A flash as it comes from the factory."""
    path.write_bytes(b"\xff" * size)
    return path
