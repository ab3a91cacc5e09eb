"""How long a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def timed(work: Callable[..., Result], *arguments: Any, **named: Any) -> tuple[float, Result]:
    """Seconds of wall clock that ``work(*arguments, **named)`` took, and what it returned."""
    begun = time.perf_counter()
    result = work(*arguments, **named)
    return time.perf_counter() - begun, result


def timed_alone(work: Callable[..., Result], *arguments: Any, **named: Any) -> tuple[float, Result]:
    """As `timed`, in seconds of processor time of this thread.

    For work of one thread. Where milliseconds matter, the wall clock would also show the other work of the machine.
    """
    begun = time.thread_time()
    result = work(*arguments, **named)
    return time.thread_time() - begun, result
