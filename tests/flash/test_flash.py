"""What is written to a board, and what follows."""

import os
import pty
import select
import subprocess
import sys

import pytest

import image
from conftest import DECLIC, ROOT
from process import LIMIT, home_environment

SETTINGS = (
    "--role", "publisher", "--wifi", "My Net", "--wifi-password", "secret123", "--broker", "192.168.1.20",
)  # fmt: skip
CHIPS = ["esp32c3", "esp32c6", "esp32", "esp32s3"]


def flash(declic, board, path, *more):
    return declic("flash", "--port", board.path, "--no-reset", "--image", path, *more)


def settings_of(declic, path, tmp_path, *settings):
    """The settings partition that the tool writes: `cargo test` reads such a one with the
    firmware's own code."""
    out = tmp_path / "dry"
    process = declic("flash", "--dry-run", out, "--image", path, *settings)
    assert process.wait() == 0, process.text()
    return (out / "settings.bin").read_bytes()


def assert_written(board, parts):
    for offset, part in parts.items():
        assert board.flash.read(offset, len(part)) == part, f"{offset:#x}"


@pytest.mark.parametrize("chip", CHIPS)
def test_all_is_written_and_the_settings_last(declic, plug_in, image_of, tmp_path, chip):
    board, path = plug_in(chip), image_of(chip)
    process = flash(declic, board, path, "--no-monitor", *SETTINGS)
    assert process.wait() == 0, process.text()
    assert f"found {image.TITLES[chip]} with 4 MB of flash" in process.text()
    assert sum("verified" in line for line in process.lines()) == 5, process.text()
    record = settings_of(declic, path, tmp_path, *SETTINGS)
    assert_written(board, image.parts(chip) | {image.SETTINGS[0]: record})
    assert b"secret123" in record
    assert board.flash.writes[-1] == image.SETTINGS[0]
    assert "secret123" not in process.text().split("---", 1)[1]


@pytest.mark.parametrize("chip", ["esp32c3", "esp32c6"])
def test_esptool_finds_the_same(declic, plug_in, image_of, tmp_path, chip):
    board, path = plug_in(chip), image_of(chip)
    process = flash(declic, board, path, "--no-monitor", *SETTINGS)
    assert process.wait() == 0, process.text()
    expected = image.parts(chip) | {image.SETTINGS[0]: settings_of(declic, path, tmp_path, *SETTINGS)}
    arguments = []
    for offset, part in expected.items():
        file = tmp_path / f"{offset:x}.bin"
        file.write_bytes(part)
        arguments += [hex(offset), str(file)]
    done = subprocess.run(
        [sys.executable, "-m", "esptool", "--chip", chip, "--port", str(board.path),
         "--before", "no-reset", "--after", "no-reset", "verify-flash", *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("digest matched") == len(expected), done.stdout


@pytest.mark.parametrize("chip", CHIPS)
def test_the_roms_own_loader_will_do(declic, plug_in, image_of, chip):
    board, path = plug_in(chip), image_of(chip)
    process = flash(declic, board, path, "--no-stub", "--no-monitor", *SETTINGS)
    assert process.wait(60) == 0, process.text()
    assert_written(board, image.parts(chip))


def test_the_real_image_is_flashed_where_there_is_one(declic, plug_in, tmp_path):
    built = sorted((ROOT / "dist/firmware").glob("*/declic-*.bin"))
    for path in built:
        board = plug_in(path.parent.name)
        process = flash(declic, board, path, "--no-monitor", *SETTINGS)
        assert process.wait(60) == 0, process.text()
        whole = path.read_bytes()
        assert board.flash.read(image.APP, len(whole) - image.APP) == whole[image.APP :]


def test_the_built_image_is_found(declic, plug_in, tmp_path):
    board = plug_in("esp32c6")
    place = tmp_path / "home/dist/firmware/esp32c6"
    place.mkdir(parents=True)
    (place / "declic-esp32c6.bin").write_bytes(image.merged("esp32c6"))
    process = declic("flash", "--port", board.path, "--no-reset", "--no-monitor", *SETTINGS)
    assert process.wait() == 0, process.text()
    assert_written(board, image.parts("esp32c6"))


def test_the_console_is_shown_until_the_board_is_connected(declic, plug_in, image_of):
    board = plug_in("esp32c3")
    process = flash(declic, board, image_of("esp32c3"), *SETTINGS)
    process.expect("RESET", stream="err")
    board.start()
    board.say("[0.100] info: Wi-Fi: joining My Net")
    process.expect("joining My Net$")
    board.say("[3.900] info: connected (MQTT 5.0) to 192.168.1.20:1883")
    process.expect("connected")
    assert process.wait() == 0, process.text()


def test_a_board_that_does_not_get_there_is_not_waited_for_for_ever(declic, plug_in, image_of):
    board = plug_in("esp32c3")
    process = flash(declic, board, image_of("esp32c3"), "--wait", "1", *SETTINGS)
    process.expect("RESET", stream="err")
    board.start()
    board.say("[1.000] warn: Wi-Fi: wrong password")
    assert process.wait() == 27, process.text()
    assert "did not reach its broker in time" in process.text()


def test_newer_firmware_leaves_the_settings(declic, plug_in, image_of):
    board = plug_in("esp32c3")
    start, size = image.SETTINGS
    board.flash.data[start : start + size] = b"\x5a" * size
    process = flash(declic, board, image_of("esp32c3"), "--keep-settings", "--no-monitor")
    assert process.wait() == 0, process.text()
    assert_written(board, image.parts("esp32c3") | {start: b"\x5a" * size})


def test_a_cut_flash_is_just_repeated(declic, plug_in, image_of):
    board, path = plug_in("esp32c3"), image_of("esp32c3")
    board.flash.fail_at = image.APP + 0x4000
    process = flash(declic, board, path, "--no-monitor", *SETTINGS)
    assert process.wait(60) == 1, process.text()
    assert "can't write the application at 0x10000" in process.text()
    assert "Run the same command again" in process.text()
    assert not board.flash.read(*image.SETTINGS).strip(b"\xff"), "the settings come last"
    board.plug_in_again()
    process = flash(declic, board, path, "--no-monitor", *SETTINGS)
    assert process.wait() == 0, process.text()
    assert_written(board, image.parts("esp32c3"))
    assert board.flash.read(*image.SETTINGS).strip(b"\xff")


def test_the_settings_of_a_file_and_of_flags(declic, image_of, tmp_path):
    path = image_of("esp32c3")
    file = tmp_path / "mine.toml"
    file.write_text('wifi-ssid = "My Net"\nwifi-password = "secret123"\nbroker = "10.0.0.1"\nqos = 0\n')
    record = settings_of(
        declic, path, tmp_path, "--settings", file, "--broker", "192.168.1.20", "--set", "qos=1",
        "--role", "publisher",
    )  # fmt: skip
    assert record == settings_of(declic, path, tmp_path, *SETTINGS)


def test_a_dry_run_writes_files_of_all_parts(declic, image_of, tmp_path):
    out = tmp_path / "out"
    process = declic("flash", "--dry-run", out, "--image", image_of("esp32"), *SETTINGS)
    assert process.wait() == 0, process.text()
    names = ["bootloader", "partition-table", "boot-selection", "application"]
    for name, part in zip(names, image.parts("esp32").values()):
        assert (out / f"{name}.bin").read_bytes() == part
    assert (out / "settings.bin").stat().st_size == image.SETTINGS[1]


def test_a_person_is_asked_and_the_password_is_not_shown(image_of, tmp_path):
    out = tmp_path / "out"
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [str(DECLIC), "flash", "--dry-run", str(out), "--image", str(image_of("esp32c3"))],
        stdin=theirs, stdout=theirs, stderr=theirs, env=home_environment(tmp_path),
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""

    def wait_for(text):
        nonlocal shown
        while text not in shown:
            ready, _, _ = select.select([ours], [], [], LIMIT)
            assert ready, shown
            try:
                shown += os.read(ours, 4096)
            except OSError:  # its end
                raise AssertionError(shown) from None

    for question, answer in (
        (b"Role of the board", b"publisher"),
        (b"Wi-Fi network: ", b"My Net"),
        (b"Wi-Fi password", b"secret123"),
        (b"Broker ", b"192.168.1.20"),
    ):
        wait_for(question)
        if question == b"Wi-Fi password":
            # The terminal stops to echo a moment after the question.
            wait_for(b"open network): ")
            while termios_echoes(ours):
                select.select([], [], [], 0.01)
        os.write(ours, answer + b"\r")
    wait_for(b"settings.bin")
    assert child.wait(LIMIT) == 0, shown
    os.close(ours)
    assert b"secret123" not in shown
    assert b"secret123" in (out / "settings.bin").read_bytes()


def termios_echoes(descriptor):
    import termios

    return bool(termios.tcgetattr(descriptor)[3] & termios.ECHO)
