"""How long a packing took, by a clock that the caller passes: the solver has none of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

from solver.packing.result import Packing

Arguments = ParamSpec("Arguments")


def timed(
    clock: Callable[[], float],
    method: Callable[Arguments, Packing],
    /,
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Packing:
    """``method(*arguments, **named)`` with `elapsed_s` in it.

    Parameters
    ----------
    clock : seconds that only go forward, such as `time.perf_counter`, or `time.thread_time` for what one thread takes
        on a machine with nothing else to do.
    method : any of the packing methods.
    """
    begun = clock()
    packing = method(*arguments, **named)
    return replace(packing, elapsed_s=clock() - begun)
