"""Settings in flash: what is saved stays, whatever happens to the machine."""

import itertools

import pytest

from machine import PAGE_SIZE, blank_flash


def restart(board):
    assert board.command("restart") == ["ok"]
    board.logged("restart by the program$")


def test_saved_settings_are_kept_when_the_machine_is_restarted(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.set("pair", "table-7")
    board.set("keep-alive", 17)
    board.save()
    restart(board)
    board.connected()
    assert board.get("pair") == "table-7"
    assert board.get("keep-alive") == "17"
    assert board.status()["boots"] == "2"


def test_saved_settings_are_kept_when_the_power_is_cut(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.set("pair", "table-7")
    board.save()
    board.kill()
    board = start_machine(broker, flash=flash).connected()
    assert board.get("pair") == "table-7"
    assert board.status()["restart-reason"] == "power on"


def test_a_saved_broker_is_the_one_that_is_used(broker, start_machine, flash):
    board = start_machine(flash=flash)
    board.logged("needs settings")
    board.set("broker", "10.0.2.2")
    board.set("port", broker.port)
    board.set("role", "publisher")
    board.save()
    restart(board)
    board.connected()
    assert board.status()["role"] == "publisher"


def test_the_light_is_as_it_was_after_a_restart_where_that_is_set(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.set("led-restore", "flash")
    board.save()
    restart(board)
    board.connected()
    assert board.command("led on") == ["ok"]
    # Before it has asked the broker.
    restart(board)
    board.logged("^led ON$")
    board.connected()
    assert board.status()["light"] == "ON"


def test_of_several_brokers_the_one_that_answers_is_used(broker, start_machine, flash):
    board = start_machine(flash=flash)
    board.logged("needs settings")
    board.set("broker", f"10.0.2.2:1, 10.0.2.2:{broker.port}")
    board.save()
    restart(board)
    board.logged("^could not connect: ")
    board.connected()
    assert board.status()["broker"] == f"10.0.2.2:{broker.port}"


def test_what_is_not_saved_is_gone_after_a_restart(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.set("pair", "table-7")
    assert board.command("restart")[0].startswith("error: changes are not saved (1)")
    assert board.command("restart now") == ["ok"]
    board.connected()
    assert board.get("pair") == ""


def test_a_setting_can_be_set_back_to_its_default(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    for value in ("17", "30"):
        board.set("keep-alive", value)
        board.save()
        restart(board)
        board.connected()
        assert board.get("keep-alive") == value


def test_a_wrong_value_is_refused_and_changes_nothing(start_machine, flash):
    board = start_machine(flash=flash)
    board.logged("^led OFF$")
    (answer,) = board.command("set debounce 5000")
    assert answer.startswith("error: debounce can't be `5000`")
    assert board.get("debounce") == "50"


def test_passwords_are_kept_and_never_printed(start_machine, flash):
    board = start_machine(flash=flash)
    board.logged("^led OFF$")
    assert board.get("password") == "(not set)"
    board.set("user", "ann")
    board.set("password", "s3cret")
    board.save()
    restart(board)
    board.logged("^led OFF$")
    assert board.get("password") == "(set)"
    board.command("get")
    board.command("status")
    assert "s3cret" not in "".join(board.lines())
    assert b"s3cret" in flash.read_bytes()


def test_a_factory_reset_forgets_everything_but_the_count_of_starts(broker, start_machine, flash):
    board = start_machine(broker, flash=flash).connected()
    board.set("pair", "table-7")
    board.save()
    assert board.command("factory-reset") == ["ok"]
    board.logged("all settings are forgotten")
    board.logged("restart by the program$")
    board.connected()
    assert board.get("pair") == ""
    assert board.status()["boots"] == "2"


def test_a_full_flash_is_cleared_of_what_is_outdated(start_machine, tmp_path):
    """Two pages, filled and erased several times over."""
    flash = blank_flash(tmp_path / "small", 2 * PAGE_SIZE)
    board = start_machine(flash=flash)
    board.logged("^led OFF$")
    board.set("user", "ann")
    for number in range(400):
        board.set("name", f"board-number-{number}")
        board.save()
    board.kill()
    board = start_machine(flash=flash)
    board.logged("^led OFF$")
    assert board.get("name") == "board-number-399"
    assert board.get("user") == "ann"


def test_a_power_cut_while_saving_leaves_the_old_value_or_the_new(start_machine, tmp_path):
    flash = blank_flash(tmp_path / "small", 2 * PAGE_SIZE)
    numbers = itertools.count(1)
    board = start_machine(flash=flash)
    board.logged("^led OFF$")
    board.set("user", "ann")
    board.save()
    saved = asked = 0
    for cut in range(12):
        for asked in itertools.islice(numbers, 3 + 7 * cut):
            board.send(f"set keep-alive {asked}\nsave")
        # Somewhere in the middle of all that.
        board.expect("^ok: saved 1;", stream="answer")
        board.kill()
        board = start_machine(flash=flash)
        board.logged("^led OFF$")
        found = int(board.get("keep-alive"))
        assert saved < found <= asked
        saved = found
        assert board.get("user") == "ann"


@pytest.mark.parametrize("content", [b"\0", b"\x5a", bytes(range(256))], ids=["zeroes", "noise", "pattern"])
def test_a_spoilt_flash_is_said_and_used_anew(broker, start_machine, tmp_path, content):
    flash = tmp_path / "spoilt"
    flash.write_bytes(content * (4 * PAGE_SIZE // len(content)))
    board = start_machine(broker, flash=flash)
    board.logged("^the settings were unreadable and are forgotten$")
    board.connected()
    board.set("pair", "table-7")
    board.save()
    restart(board)
    board.connected()
    assert board.get("pair") == "table-7"


def test_without_a_flash_a_board_works_and_says_that_it_can_not_save(broker, start_machine):
    board = start_machine(broker).connected()
    board.set("pair", "table-7")
    assert board.command("save") == ["error: the flash does not work"]


def test_a_restart_is_orderly(broker, start_machine, flash, start_sub):
    board = start_machine(broker, flash=flash).connected()
    watcher = start_sub("mosquitto", broker, "-t", f"declic/{board.board_id}/status")
    for _ in range(3):
        restart(board)
        board.connected()
        assert [watcher.next_line(), watcher.next_line()] == ["offline", "online"]
    assert board.status()["reconnects"] == "0"
