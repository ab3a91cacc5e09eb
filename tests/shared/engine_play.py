"""Events for the engine of the desk in `conftest`: made, played, and a scripted day of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stream.engine.step import Engine, EngineState, Output
from stream.events.types import EngineEvent, PositionLevel, Timestep

SECOND = 1_000_000_000
ASSETS = ("EUR", "CHF", "JPY")
EUR, CHF, JPY = range(3)
EURUSD, USDCHF, USDJPY, EURCHF = range(4)
LOT = 1e6
MidPrices = Callable[[int, int], np.ndarray]
TimestepOf = Callable[..., Timestep]
Ready = tuple[Engine, EngineState, np.ndarray]
FIGURES = (
    "standalone_risk",
    "netted_risk",
    "basis_risk",
    "unhedged_risk",
    "horizon_netted_risk",
    "horizon_basis_risk",
    "horizon_unhedged_risk",
    "limit_share",
    "objective_before",
    "objective",
    "lower_bound",
    "gap",
)


def position(book: str, asset: int | None, quantity: float, at_s: float, offset: int = 0) -> PositionLevel:
    return PositionLevel(round(at_s * SECOND), book, asset, quantity, f"positions[0]@{offset}")


def play(engine: Engine, state: EngineState, events: Sequence[EngineEvent]) -> list[Output]:
    """All outputs of `events`; the engine changes `state` in place."""
    outputs: list[Output] = []
    for event in events:
        after, caused = engine.step(state, event)
        assert after is state
        outputs += caused
    return outputs


def only(outputs: Sequence[Output], message: type[Output], **fields: object) -> list[Any]:
    """The outputs of one type with these values."""
    return [
        output
        for output in outputs
        if isinstance(output, message) and all(getattr(output, name) == value for name, value in fields.items())
    ]


# Timesteps after which the desk has its covariance and its β.
WARM_UP = 70


def warmed_up(engine: Engine, mid_prices: MidPrices, timestep_of: TimestepOf) -> EngineState:
    """The state after `WARM_UP` timesteps without a position."""
    state = engine.new_state()
    play(engine, state, [timestep_of(step, mids) for step, mids in enumerate(mid_prices(WARM_UP, 5), start=1)])
    return state


def still(mids: np.ndarray, step: int) -> np.ndarray:
    """Mids that stand still but for their last digits: quotes that repeat exactly would come from a frozen feed."""
    return mids * (1.0 + 1e-7 * (step % 2))


# The day: positions in units of the asset that change before the step, and quotes that fail in it.
DAY: dict[int, list[tuple[str, int | None, float]]] = {
    0: [("spot", EUR, 10e6), ("spot", CHF, -7e6), ("spot", JPY, 300e6), ("options", EUR, 2e6)],
    2: [("options", JPY, -450e6)],
    3: [("spot", CHF, 0.0)],
    5: [("spot", EUR, 4.4e6), ("options", JPY, 0.0)],
    6: [("spot", EUR, -3e6), ("spot", CHF, 3.3e6)],
    8: [("options", EUR, 9e6)],
    9: [("options", CHF, -9.5e6)],
    11: [("spot", JPY, -900e6), ("spot", None, 5e6)],
    13: [("options", CHF, 0.0), ("options", EUR, 0.0)],
    15: [("spot", JPY, 0.0), ("spot", EUR, 0.0), ("spot", CHF, 0.0)],
    17: [("spot", EUR, 6e6), ("spot", JPY, -120e6), ("spot", CHF, 1e6)],
    19: [("spot", EUR, 5.2e6)],
}
# By the instrument's index, the second of its last quote: USDJPY fails for three steps while books hold JPY and while
# none does, EURCHF cannot be dealt for a while.
STALE = {
    **{step: {USDJPY: WARM_UP + 5.9} for step in (12, 13)},
    16: {USDJPY: WARM_UP + 5.9},
    **{step: {EURCHF: WARM_UP - 3.0} for step in (3, 4, 5)},
}


def scripted_day(mid_prices: MidPrices, timestep_of: TimestepOf) -> list[EngineEvent]:
    events: list[EngineEvent] = []
    offset = 0
    for step, mids in enumerate(mid_prices(WARM_UP + 20, 5), start=1):
        day_step = step - WARM_UP - 1
        for book, asset, quantity in DAY.get(day_step, []):
            events.append(position(book, asset, quantity, step - 0.5, offset))
            offset += 1
        events.append(timestep_of(step, mids, STALE.get(day_step)))
    return events
