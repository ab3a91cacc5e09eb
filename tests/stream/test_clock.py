"""The wall clock as a parameter, and the deadlines that it gives to solves."""

from __future__ import annotations

from stream.clock import ManualClock, SystemClock, deadline


def test_a_manual_clock_moves_only_when_it_is_told_to() -> None:
    """To the nanosecond, by what it is asked to sleep."""
    clock = ManualClock()
    assert (clock.monotonic_ns(), clock.monotonic_ns()) == (0, 0)
    clock.sleep(1.5)
    clock.sleep(1e-9)
    assert clock.monotonic_ns() == 1_500_000_001


def test_the_machines_clock_goes_on_while_it_sleeps() -> None:
    """By at least what was asked for."""
    clock = SystemClock()
    before = clock.monotonic_ns()
    clock.sleep(0.002)
    assert clock.monotonic_ns() - before >= 2_000_000


def test_a_deadline_begins_with_each_solve() -> None:
    """It has passed once the limit is over, counted from the start of that solve and not of the one before."""
    clock = ManualClock()
    begin = deadline(clock, 20.0)
    assert begin is not None
    first = begin()
    clock.sleep(0.019999999)
    assert not first()
    second = begin()
    clock.sleep(1e-9)
    assert first()
    assert not second()
    clock.sleep(0.02)
    assert second()


def test_without_a_clock_there_is_no_deadline() -> None:
    """A replay runs every solve to the end of its effort."""
    assert deadline(None, 20.0) is None
