"""The wall clock as a parameter. It decides deadlines, snapshots and silence, never what a message says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from solver.interrupt import Deadline


class Clock(Protocol):
    """What the loop asks for the time."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that only go forward."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ManualClock:
    """A clock that moves only when it is told to: for replays and simulation."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def deadline(clock: Clock | None, limit_ms: float) -> Deadline | None:
    """A limit of `limit_ms` for each solve; None without a clock: then every solve runs to the end of its effort."""
    if clock is None:
        return None

    def begin() -> Callable[[], bool]:
        stop_at_ns = clock.monotonic_ns() + round(limit_ms * 1e6)
        return lambda: clock.monotonic_ns() >= stop_at_ns

    return begin
