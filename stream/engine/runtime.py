"""What surrounds the engine: the clock, the processors and the metrics.

None of it changes a result, with two exceptions that the messages report: a solve that a deadline stops, and a refit
that is late.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, TypeAlias

from solver.packing.methods.many_books import MapOver
from stream.clock import Clock
from stream.engine.market.refits import Submit

SolveStage: TypeAlias = Literal["pack", "hedge"]


def untimed(stage: SolveStage) -> AbstractContextManager[object]:
    """Measures nothing."""
    return nullcontext()


@dataclass(frozen=True)
class Runtime:
    """The clock and the processors that an engine may use, and how its solves are measured.

    Parameters
    ----------
    clock : ends a solve at `solver.deadline_ms`. Without one every solve runs to the end of its effort, as in a replay.
    timed : makes the context manager around each stage of a solve, for metrics.
    map_over : runs shares of the books, see `BookPacker.pack`.
    submit : starts a refit somewhere else; without one it runs in the timestep that asks for it.
    patient : whether the close of a timestep waits for a refit that is due at it.
    """

    clock: Clock | None = None
    timed: Callable[[SolveStage], AbstractContextManager[object]] = untimed
    map_over: MapOver = map
    submit: Submit | None = None
    patient: Callable[[], bool] = lambda: True
