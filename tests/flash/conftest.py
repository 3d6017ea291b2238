"""Fixtures: the tool, boards, images."""

import os
import pathlib
import subprocess
import sys

import pytest

# Child processes are those of the interoperability tests.
sys.path.append(str(pathlib.Path(__file__).parent.parent / "interop"))

import image  # noqa: E402
from board import Board  # noqa: E402
from process import Process, home_environment  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECLIC = pathlib.Path(os.environ.get("DECLIC") or ROOT / "target/release/declic").absolute()


def pytest_configure():
    if not DECLIC.is_file():
        raise pytest.UsageError(f"{DECLIC} is missing (cargo build --release, or set DECLIC)")


@pytest.fixture
def declic(tmp_path):
    """Starts the tool in an empty directory."""
    started = []
    home = tmp_path / "home"
    home.mkdir()

    def start(*arguments, program=DECLIC, **environment):
        process = Process(
            [program, *arguments], env=home_environment(home, **environment), cwd=home, stdin=subprocess.DEVNULL
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.clean_up()


@pytest.fixture
def plug_in(tmp_path):
    """Plugs a board in: `plug_in("esp32c3")`."""
    boards = []

    def plug_in(chip, flash=None):
        board = Board(chip, tmp_path / f"port{len(boards)}", flash)
        boards.append(board)
        return board

    yield plug_in
    for board in boards:
        board.clean_up()


@pytest.fixture
def image_of(tmp_path):
    """The path of a small image for a chip."""

    def write(chip):
        path = tmp_path / f"declic-{chip}.bin"
        path.write_bytes(image.merged(chip))
        return path

    return write
