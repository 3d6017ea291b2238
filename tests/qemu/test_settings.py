"""Settings in flash: what is saved stays, whatever happens to the machine."""

import itertools

import pytest

from machine import PAGE_SIZE, blank_flash
from process import wait_until


def test_saved_settings_are_kept_when_the_machine_is_restarted(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.command("set pair table-7", "^ok")
    board.command("set keep-alive 17", "^ok")
    board.command("save", "^saved$")
    board.send("restart")
    board.expect("^last restart: restart by the program$")
    board.connected()
    board.command("get pair", "^pair = table-7$")
    board.command("get keep-alive", "^keep-alive = 17$")


def test_saved_settings_are_kept_when_the_power_is_cut(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.command("set pair table-7", "^ok")
    board.command("save", "^saved$")
    board.kill()
    board = start_machine(broker, flash=flash).connected()
    board.command("get pair", "^pair = table-7$")


def test_a_saved_broker_is_the_one_that_is_used(broker, start_machine, flash):
    board = start_machine(flash=flash)
    board.expect("This board has no settings yet")
    for line in ("set broker 10.0.2.2", f"set port {broker.port}", "set role publisher"):
        board.command(line, "^ok")
    board.command("save", "^saved$")
    board.send("restart")
    board.expect("^id .* role publisher$")
    board.connected()


def test_what_is_not_saved_is_gone_after_a_restart(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.command("set pair table-7", "^ok")
    board.send("restart")
    board.connected()
    board.command("get pair", "^pair = $")


def test_a_setting_can_be_set_back_to_its_default(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    for value in ("17", "30"):
        board.command(f"set keep-alive {value}", "^ok")
        board.command("save", "^saved$")
        board.send("restart")
        board.connected()
        board.command("get keep-alive", f"^keep-alive = {value}$")


def test_a_wrong_value_is_refused_and_changes_nothing(start_machine, flash):
    board = start_machine(flash=flash)
    board.expect("^led OFF$")
    board.command("set debounce 5000", "^debounce can't be `5000`: it is a number from 0 to 1000")
    board.command("get debounce", "^debounce = 50$")
    board.command("set colour red", "^there is no setting `colour`$")


def test_passwords_are_kept_and_never_printed(start_machine, flash):
    board = start_machine(flash=flash)
    board.expect("^led OFF$")
    board.command("set user ann", "^ok")
    board.command("set password s3cret", "^ok")
    board.command("save", "^saved$")
    board.send("restart")
    board.expect("^led OFF$")
    board.command("get password", r"^password = \(set\)$")
    board.command("get", "^role = both$")
    board.command("get stable-uptime", "^stable-uptime = 30$")
    assert not [line for line in board.lines() if "s3cret" in line]
    assert b"s3cret" in flash.read_bytes()


def test_a_factory_reset_forgets_everything(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.command("set pair table-7", "^ok")
    board.command("save", "^saved$")
    board.send("factory-reset")
    board.connected()
    board.command("get pair", "^pair = $")


def test_a_full_flash_is_cleared_of_what_is_outdated(start_machine, tmp_path):
    """Two pages, filled and erased several times over."""
    flash = blank_flash(tmp_path / "small", 2 * PAGE_SIZE)
    board = start_machine(flash=flash)
    board.expect("^led OFF$")
    board.command("set user ann", "^ok")
    for number in range(400):
        board.command(f"set name board-number-{number}", "^ok")
        board.command("save", "^saved$")
    board.kill()
    board = start_machine(flash=flash)
    board.expect("^led OFF$")
    board.command("get name", "^name = board-number-399$")
    board.command("get user", "^user = ann$")


def test_a_power_cut_while_saving_leaves_the_old_value_or_the_new(start_machine, tmp_path):
    flash = blank_flash(tmp_path / "small", 2 * PAGE_SIZE)
    numbers = itertools.count(1)
    board = start_machine(flash=flash)
    board.expect("^led OFF$")
    board.command("set user ann", "^ok")
    board.command("save", "^saved$")
    saved = asked = 0
    for cut in range(12):
        for asked in itertools.islice(numbers, 3 + 7 * cut):
            board.send(f"set keep-alive {asked}\nsave")
        # Somewhere in the middle of all that.
        board.expect("^saved$")
        board.kill()
        board = start_machine(flash=flash)
        board.expect("^led OFF$")
        found = int(board.command("get keep-alive", r"^keep-alive = (\d+)$").group(1))
        assert saved < found <= asked
        saved = found
        board.command("get user", "^user = ann$")


@pytest.mark.parametrize("content", [b"\0", b"\x5a", bytes(range(256))], ids=["zeroes", "noise", "pattern"])
def test_a_spoilt_flash_is_said_and_used_anew(broker, start_machine, tmp_path, content):
    flash = tmp_path / "spoilt"
    flash.write_bytes(content * (4 * PAGE_SIZE // len(content)))
    board = start_machine(broker, flash=flash)
    board.expect("^the settings were not readable: all have their defaults$")
    board.connected()
    board.command("set pair table-7", "^ok")
    board.command("save", "^saved$")
    board.send("restart")
    board.connected()
    board.command("get pair", "^pair = table-7$")


def test_without_a_flash_a_board_works_and_says_so(broker, start_machine):
    board = start_machine(broker)
    board.expect("^there is no flash: settings are not kept$")
    board.connected()
    board.command("save", "^there is no flash to keep the settings in$")


def test_a_restart_is_orderly(broker, start_machine, flash, start_sub):
    board = start_machine(broker, flash=flash).connected()
    watcher = start_sub("mosquitto", broker, "-t", f"declic/{board.board_id}/status")
    for _ in range(3):
        board.send("restart")
        board.connected()
        assert [watcher.next_line(), watcher.next_line()] == ["offline", "online"]
    wait_until(lambda: board.status()["reconnects"] == "0", "a first connection")
