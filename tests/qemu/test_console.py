"""The board's console on a serial line."""


def test_lines_that_are_typed_faster_than_they_are_taken_are_not_lost(start_machine):
    machine = start_machine()
    machine.logged("^led OFF$")
    machine.send("\n".join(["press"] * 300))
    for _ in range(300):
        machine.expect("^> press$", stream="answer")
        assert machine.next_line(stream="answer") == "ok"
    assert machine.status()["presses"] == "300"


def test_help_lists_the_commands(start_machine):
    machine = start_machine()
    machine.logged("^led OFF$")
    told = "\n".join(machine.command("help"))
    for word in ("status", "get", "set", "save", "press", "led", "scan", "restart", "factory-reset"):
        assert word in told


def test_what_is_no_command_is_said(start_machine):
    machine = start_machine()
    machine.logged("^led OFF$")
    machine.send("pres")
    machine.expect("^error: there is no command `pres`", stream="answer")
    assert machine.command("scan") == ["error: this board has no Wi-Fi"]


def test_a_line_of_noise_does_not_spoil_the_next(start_machine):
    machine = start_machine()
    machine.logged("^led OFF$")
    noise = bytes(byte for byte in range(256) if byte != 0x04)
    machine.send_bytes(noise * 20 + b"\x15\n")
    machine.send_bytes(b"\x15press\n")
    machine.expect("^> press$", stream="answer")
    assert machine.status()["presses"] == "1"


def test_without_a_broker_set_a_board_says_what_to_type(start_machine):
    machine = start_machine()
    machine.logged("needs settings")
    machine.logged("set broker")
    machine.logged("address is 10.0.2.15$")
    assert machine.status()["connection"] == "down"


def test_improv_is_spoken_between_what_is_typed(start_machine):
    machine = start_machine()
    machine.logged("address is 10.0.2.15$")
    machine.send_bytes(b"get ro" + b"IMPROV\x01\x03\x02\x02\x00\xe5\n" + b"le\n")
    # Provisioned, and the result that belongs to it.
    machine.expect("^IMPROV\x01\x01\x01\x04", stream="answer")
    machine.expect("^IMPROV\x01\x04\x02\x02\x00", stream="answer")
    machine.expect("^role=both$", stream="answer")
    machine.send_bytes(b"IMPROV\x01\x03\x02\x03\x00\xe6\n")
    machine.expect("^IMPROV\x01\x04.*Déclic", stream="answer")
    # This one holds the byte that would switch the machine off.
    machine.send_bytes(b"IMPROV\x01\x03\x02\x04\x00\xe7\n")
    machine.expect("^IMPROV\x01\x02\x01\ufffd", stream="answer")
    assert machine.get("role") == "both"
