"""How deep the stack gets."""

import machine

# An ESP32-C3 has 200 kB left for it; what grows beyond this is a mistake.
LIMIT = 24 * 1024


def test_the_stack_stays_far_from_its_end(any_broker, start_machine, start_sub, flash):
    board = start_machine(any_broker, "both", flash=flash).connected()
    watcher = start_sub("mosquitto", any_broker, "-t", "esp32/data")
    for payload in ("ON", "OFF"):
        assert board.press() == payload
        assert watcher.next_line() == payload
    board.set("name", "n" * 32)
    board.set("pair", "p" * 32)
    board.save()
    for command in ("help", "status", "get", "scan"):
        board.command(command)
    board.plug(False)
    board.logged("^disconnected: ")
    board.press()
    board.plug(True)
    board.connected()
    board.settled()
    assert board.command("restart") == ["ok"]
    board.logged("restart by the program$")
    board.connected()
    deepest = board.deepest_stack()
    machine.deepest_stacks.append(deepest)
    assert 512 < deepest <= LIMIT, deepest
