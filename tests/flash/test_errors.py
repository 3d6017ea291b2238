"""What goes wrong is said in one line, and nothing is half-written."""

import fcntl
import os
import shutil

import pytest

import image
from board import WornFlash
from conftest import DECLIC
from esp32_mock_bootloader import protocol
from test_flash import SETTINGS, flash


def fails(process, code=1):
    """Waits for a failure; returns its one line."""
    assert process.wait(60) == code, process.text()
    errors = [line for line in process.lines("err") if line.startswith("error: ")]
    assert len(errors) == 1 and errors == process.lines("err"), process.text()
    return errors[0].removeprefix("error: ")


def test_an_image_for_another_chip(declic, plug_in, image_of):
    board = plug_in("esp32c3")
    error = fails(flash(declic, board, image_of("esp32c6"), *SETTINGS))
    assert error == (
        "the image is for ESP32-C6: the board has ESP32-C3. The one to take is declic-esp32c3.bin."
    )
    assert board.flash.is_blank()


def test_a_chip_without_firmware(declic, plug_in, image_of):
    board = plug_in("esp32h2")
    error = fails(flash(declic, board, image_of("esp32c6"), *SETTINGS))
    assert error.startswith("there is no firmware for esp32h2. There is for ESP32, "), error
    assert board.flash.is_blank()


def test_the_model_has_another_chip(declic, plug_in, image_of):
    board = plug_in("esp32c3")
    error = fails(flash(declic, board, image_of("esp32c3"), "--board", "esp32-devkit", *SETTINGS), 2)
    assert error.startswith("ESP32 DevKit V1 (ESP-WROOM-32) has no ESP32-C3."), error
    assert board.flash.is_blank()


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("qos=3", "qos can't be `3`"),
        ("led-pin=18", "led-pin can't be 18 on ESP32-C3. Pins to use are 0-10."),
        ("broker=localhost", "a board can't reach localhost"),
        ("board=nonesuch", "there is no board `nonesuch`"),
    ],
)
def test_bad_settings_are_found_before_the_board_is_asked(declic, image_of, setting, error):
    process = declic(
        "flash", "--port", "/dev/no-such-port", "--image", image_of("esp32c3"), *SETTINGS, "--set", setting
    )
    assert fails(process, 2).startswith(error)


def test_settings_that_are_missing(declic, image_of):
    path = image_of("esp32c3")
    wifi = ("--wifi", "My Net")
    for given, missing in (
        ((), "the Wi-Fi network is missing."),
        (wifi, "the Wi-Fi network's password is missing."),
        ((*wifi, "--wifi-password", ""), "the broker is missing."),
    ):
        assert fails(declic("flash", "--image", path, *given), 2).startswith(missing)
    process = declic("flash", "--image", path, *wifi, DECLIC_WIFI_PASSWORD="secret123")
    assert fails(process, 2).startswith("the broker is missing.")


def test_an_image_that_is_damaged_or_none(declic, plug_in, image_of, tmp_path):
    board, path = plug_in("esp32c3"), image_of("esp32c3")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    error = fails(flash(declic, board, path, *SETTINGS), 2)
    assert error.endswith("its application is damaged or cut off. Build or download it again."), error
    path.write_bytes(whole[image.APP :])
    assert "it has no partition table: it is only a part" in fails(flash(declic, board, path, *SETTINGS), 2)
    path.write_bytes(b"\x7fELF" + whole)
    assert "cargo xtask firmware" in fails(flash(declic, board, path, *SETTINGS), 2)
    path.unlink()
    assert "no such file" in fails(flash(declic, board, path, *SETTINGS), 2)
    assert board.flash.is_blank()


def test_no_image_says_how_to_get_one(declic, plug_in, tmp_path):
    board = plug_in("esp32c3")
    # Away from what may be built beside it.
    program = tmp_path / "declic"
    shutil.copy(DECLIC, program)
    arguments = ("flash", "--port", board.path, "--no-reset", *SETTINGS)
    error = fails(declic(*arguments, program=program))
    assert error.startswith("no firmware for ESP32-C3 found here. Run `cargo xtask firmware esp32c3`"), error
    assert error.endswith("--image declic-esp32c3.bin."), error
    assert board.flash.is_blank()


def test_a_port_that_can_not_reset(declic, plug_in, image_of):
    board = plug_in("esp32c3")
    process = declic("flash", "--port", board.path, "--image", image_of("esp32c3"), *SETTINGS)
    assert "can't reset the board. Hold its BOOT button" in fails(process)


def test_a_port_that_is_in_use(declic, plug_in, image_of):
    board = plug_in("esp32c3")
    held = os.open(board.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        error = fails(flash(declic, board, image_of("esp32c3"), *SETTINGS))
    finally:
        os.close(held)
    assert "another program is using it. Close other serial monitors" in error


def test_nothing_answers(declic, plug_in, image_of):
    board = plug_in("esp32c3")
    board.start()
    error = fails(flash(declic, board, image_of("esp32c3"), *SETTINGS))
    assert error.startswith(f"no board answers on {board.path}: "), error
    assert "Hold its BOOT button" in error


def test_too_little_flash(declic, plug_in, image_of, monkeypatch):
    monkeypatch.setattr(protocol, "MOCK_FLASH_ID", 0x154020)
    board = plug_in("esp32c3")
    error = fails(flash(declic, board, image_of("esp32c3"), *SETTINGS))
    assert error == "the board has 2 MB of flash: the firmware needs 4 MB"
    assert board.flash.is_blank()


def test_what_reads_back_as_something_else(declic, plug_in, image_of):
    board = plug_in("esp32c3", WornFlash(image.APP + 100))
    error = fails(flash(declic, board, image_of("esp32c3"), *SETTINGS))
    assert error.startswith("can't write the application at 0x10000: verification of flash content failed"), error
    assert not board.flash.read(*image.SETTINGS).strip(b"\xff"), "the settings come last"
