"""The wraps of every counter, each by starting the clock just before it.

The board's clock is a counter of 32 bits, as on a chip, that counts microseconds or milliseconds
and is extended to 64 bits. Behind it is the machine's own counter of 64 bits, read in two halves.
"""

import pytest

from process import wait_until

SECOND = 1_000_000
LEAD = 2 * SECOND

# What wraps, and when on the board's clock; how many microseconds a step of the counter has.
WRAPS = {
    "31 bits of microseconds": (2**31, 1),
    "32 bits of microseconds": (2**32, 1),
    "31 bits of milliseconds": (2**31 * 1000, 1000),
    "32 bits of milliseconds": (2**32 * 1000, 1000),
    "32 bits of milliseconds, counted in microseconds": (2**32 * 1000, 1),
    "31 bits of seconds": (2**31 * SECOND, 1),
    "32 bits of seconds": (2**32 * SECOND, 1),
}
# The machine's own counter has ten steps in a microsecond.
HALF = "half of the machine's own counter"


def before(wrap, lead):
    """What to hand over so that the clock starts `lead` microseconds before the wrap, and what the
    clock says at the wrap."""
    if wrap == HALF:
        return {"clock-ticks": 2**32 - 10 * lead}, lead
    micros, step = WRAPS[wrap]
    return {"clock-start": micros - lead, "clock-step": step}, micros


@pytest.fixture(params=[*WRAPS, HALF])
def wrap(request):
    return request.param


def press(button, lamp, payload):
    assert button.press() == payload
    lamp.logged(f"^led {payload}$")


def wait_for_uptime(board, micros):
    wait_until(lambda: int(board.status()["uptime"]) * SECOND >= micros, f"{micros} microseconds of uptime")


def test_a_connection_lives_through_the_wrap(broker, start_machine, wrap):
    clock, at = before(wrap, LEAD)
    button, lamp = (
        start_machine(broker, role, clock=clock, keep_alive=1, ping_timeout=1).connected()
        for role in ("publisher", "subscriber")
    )
    press(button, lamp, "ON")
    assert button.log_time() < at, "the press was before the wrap"
    for board in (button, lamp):
        # Long enough for a ping after it.
        wait_for_uptime(board, LEAD + 2 * SECOND)
    press(button, lamp, "OFF")
    for board in (button, lamp):
        assert at <= board.log_time() < at + 20 * SECOND
        assert not [line for line in board.lines("log") if line.startswith("disconnected")], board.text()


def test_a_start_just_before_the_wrap_connects(broker, start_machine, wrap):
    clock, at = before(wrap, 20_000)
    button, lamp = (
        start_machine(broker, role, clock=clock).connected() for role in ("publisher", "subscriber")
    )
    press(button, lamp, "ON")
    for board in (button, lamp):
        wait_for_uptime(board, SECOND)
    press(button, lamp, "OFF")
    for board in (button, lamp):
        assert at <= board.log_time() < at + 20 * SECOND


def test_an_outage_over_the_wrap_ends(broker, start_machine, wrap):
    clock, at = before(wrap, LEAD)
    button, lamp = (
        start_machine(broker, role, clock=clock).connected() for role in ("publisher", "subscriber")
    )
    broker.kill()
    for board in (button, lamp):
        board.logged("^disconnected: ")
    assert button.press() == "ON"
    assert button.log_time() < at, "the press was before the wrap"
    for board in (button, lamp):
        wait_for_uptime(board, LEAD + SECOND)
    broker.start()
    lamp.logged("^led ON$")
    button.connected()
    press(button, lamp, "OFF")
    for board in (button, lamp):
        assert at <= board.log_time() < at + 20 * SECOND
