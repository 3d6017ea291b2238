"""Fixtures: brokers, boards, and Home Assistant; what is missing fails here, before any test."""

import importlib.util
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
# The brokers and the child processes are those of the interoperability tests.
INTEROP = HERE.parent / "interop"
sys.path.append(str(INTEROP))

import brokers  # noqa: E402
from process import Process  # noqa: E402

_spec = importlib.util.spec_from_file_location("interop_conftest", INTEROP / "conftest.py")
_interop = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_interop)

home = _interop.home
spawn = _interop.spawn
start_broker = _interop.start_broker
any_broker = _interop.any_broker
broker = _interop.broker
start_board = _interop.start_board

FOLDER = pathlib.Path(os.environ.get("HOME_ASSISTANT") or brokers.ROOT / "target/home-assistant").absolute()

# It is a large program, and starts slowly on a busy machine.
START_LIMIT = 90


def pytest_configure():
    missing = []
    if not (FOLDER / "stamp").is_file():
        missing.append(f"Home Assistant (tests/home_assistant/install {FOLDER})")
    if not brokers.DECLIC.is_file():
        missing.append(f"{brokers.DECLIC} (cargo build --release, or set DECLIC)")
    if missing:
        raise pytest.UsageError("these tests need: " + "; ".join(missing))


@pytest.fixture
def start_home_assistant():
    """Starts Home Assistant on a broker."""
    started = []

    def start(broker):
        process = Process([FOLDER / "run", HERE / "home_assistant.py", str(broker.port)])
        started.append(process)
        process.expect("^started$", timeout=START_LIMIT)
        return process

    yield start
    for process in started:
        process.clean_up()
