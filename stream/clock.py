"""The wall clock as a parameter. It decides deadlines, snapshots and silence, never what a message says."""

from __future__ import annotations

import time
from typing import Protocol


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
