"""The wall clock as a parameter. It never decides what a message says.

It decides when a solve stops, when a snapshot is due and when the feed is silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from solver.kernels.interrupt import Deadline


class Clock(Protocol):
    """A clock that can be read and waited on."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since some fixed moment; never less than before."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ManualClock:
    """A clock that moves only when it is set or slept on: for replays and simulation."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def deadline(clock: Clock | None, limit_ms: float) -> Deadline | None:
    """A deadline `limit_ms` after each solve begins. None without a clock: every solve then uses all its effort."""
    if clock is None:
        return None

    def begin() -> Callable[[], bool]:
        stop_at_ns = clock.monotonic_ns() + round(limit_ms * 1e6)
        return lambda: clock.monotonic_ns() >= stop_at_ns

    return begin
