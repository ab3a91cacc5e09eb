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
    """As `timed`, in seconds that this thread had a processor: what one thread takes on a machine with nothing else.

    For work of one thread; in a tail of milliseconds the wall clock would show what else the machine had to do.
    """
    begun = time.thread_time()
    result = work(*arguments, **named)
    return time.thread_time() - begun, result
