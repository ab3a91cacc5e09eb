"""What the engine runs in. Nothing of it changes a result, but for a deadline or a late refit, which say so."""

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
    """The clock and the processors that an engine may use, and who measures it.

    Parameters
    ----------
    clock : ends a solve at `solver.deadline_ms`. Without one every solve runs to the end of its effort, as in a replay.
    timed : brackets each stage of a solve, for metrics.
    map_over : runs shares of the books, see `BookPacker.pack`.
    submit : starts a refit somewhere else; without one it runs in the timestep that asks for it.
    patient : whether a close waits for the refit that is due in it.
    """

    clock: Clock | None = None
    timed: Callable[[SolveStage], AbstractContextManager[object]] = untimed
    map_over: MapOver = map
    submit: Submit | None = None
    patient: Callable[[], bool] = lambda: True
