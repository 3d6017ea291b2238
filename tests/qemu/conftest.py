"""Fixtures: brokers, machines, and what looks on; what is missing fails here, before any test."""

import importlib.util
import itertools
import pathlib
import shutil
import statistics
import subprocess
import sys

import pytest

# The brokers and the child processes are those of the interoperability tests.
INTEROP = pathlib.Path(__file__).parent.parent / "interop"
sys.path.append(str(INTEROP))

import brokers  # noqa: E402
import machine  # noqa: E402
from machine import FIRMWARE, HOST_SEEN_FROM_INSIDE, QEMU, Machine, blank_flash  # noqa: E402

_spec = importlib.util.spec_from_file_location("interop_conftest", INTEROP / "conftest.py")
_interop = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_interop)

home = _interop.home
spawn = _interop.spawn
start_broker = _interop.start_broker
any_broker = _interop.any_broker
broker = _interop.broker
start_sub = _interop.start_sub


def pytest_configure():
    missing = [f"{program} (apt-get install {package})" for program, package in (
        (QEMU, "qemu-system-misc"),
        ("setpriv", "util-linux"),
        (brokers.MOSQUITTO, "mosquitto"),
        ("mosquitto_sub", "mosquitto-clients"),
    ) if shutil.which(program) is None]
    if not FIRMWARE.is_file():
        missing.append(f"{FIRMWARE} (cargo build --release, in firmware/qemu-virt, or set QEMU_FIRMWARE)")
    if not brokers.DECLIC.is_file():
        missing.append(f"{brokers.DECLIC} (cargo build --release, or set DECLIC)")
    if missing:
        raise pytest.UsageError("the tests of boards in QEMU need: " + "; ".join(missing))


def pytest_report_header():
    version = subprocess.run([QEMU, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return [f"firmware: {FIRMWARE}", f"declic: {brokers.DECLIC}", version]


def pytest_terminal_summary(terminalreporter):
    times = machine.first_publishes
    if times:
        terminalreporter.write_line(
            f"from start to first publish, {len(times)} starts: median {statistics.median(times):.0f} ms, "
            f"{min(times)} to {max(times)} ms"
        )
    for bytes in machine.deepest_stacks:
        terminalreporter.write_line(f"deepest stack of a machine that did everything: {bytes} bytes")


@pytest.fixture
def start_machine(tmp_path):
    """Switches machines on: `start_machine(broker, "publisher", flash=..., debounce=20)`.

    Further words are settings with `-` for `_`."""
    started = []
    numbers = itertools.count(1)

    def start(of=None, role="both", *, flash=None, wire=None, number=None, clock=None, **settings):
        number = number or next(numbers)
        home = tmp_path / f"machine-{len(started)}"
        home.mkdir()
        handed_over = {"role": role, "backoff-base": 100, "backoff-cap": 1}
        if of is not None:
            handed_over |= {"broker": HOST_SEEN_FROM_INSIDE, "port": of.port}
        handed_over |= {key.replace("_", "-"): value for key, value in settings.items()}
        handed_over |= clock or {}
        running = Machine(home, f"02:00:00:00:00:{number:02x}", handed_over, flash, wire)
        started.append(running)
        return running

    yield start
    for running in reversed(started):
        running.clean_up()
    for running in started:
        panics = [line for line in running.lines() if line.startswith("panic")]
        assert not panics, running.text()


@pytest.fixture
def flash(tmp_path):
    """A blank flash."""
    return blank_flash(tmp_path / "flash")


@pytest.fixture
def pair(any_broker, start_machine):
    """A button and a lamp, connected."""
    button = start_machine(any_broker, "publisher")
    lamp = start_machine(any_broker, "subscriber")
    return button.connected(), lamp.connected()
