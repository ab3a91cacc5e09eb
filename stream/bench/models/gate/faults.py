"""Faults put into real prices, one at a time, and what the gate makes of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from solver.arrays import FloatArray
from stream.bench.models.gate.courses import Course
from stream.config import Config
from stream.engine.market.plausibility.gate import Gate
from stream.engine.market.plausibility.state import GateState
from stream.events.types import Timestep

WARM_UP_STEPS = 300
"""The gate has seen so much before the first fault."""

FROZEN_GAPS = 20.0
"""Usual gaps between changes within which a frozen price has to be found."""

USUAL_CHANGES = 200
"""Changes before a freeze that say what is usual, apart from what the gate thinks."""

FOLLOWED_CHANGES = 60
"""Usual gaps for which a frozen price is followed."""

Sides = tuple[FloatArray, FloatArray]
Fault = Callable[[Timestep, int, int], Sides]


@dataclass(frozen=True)
class Place:
    """Where a fault goes: a timestep, an instrument with a new quote in it, and another one of the same timestep."""

    at: int
    instrument: int
    other: int


def places(course: Course, count: int, chance: np.random.Generator) -> list[Place]:
    """`count` places, in the order of time; all timesteps alike, then all instruments with a new quote alike."""
    found: list[Place] = []
    while len(found) < count:
        at = int(chance.integers(WARM_UP_STEPS, len(course.timesteps)))
        new = np.flatnonzero(course.timesteps[at].quoted_at_ns != course.timesteps[at - 1].quoted_at_ns)
        if len(new) < 2:
            continue
        instrument, other = chance.choice(new, 2, replace=False).tolist()
        if course.timesteps[at - 1].quoted_at_ns[instrument] and course.timesteps[at - 1].quoted_at_ns[other]:
            found.append(Place(at, instrument, other))
    return sorted(found, key=lambda place: place.at)


def times(factor: float) -> Fault:
    """The price in another unit."""

    def fault(timestep: Timestep, instrument: int, _: int) -> Sides:
        bids, asks = timestep.bids.copy(), timestep.asks.copy()
        bids[instrument] *= factor
        asks[instrument] *= factor
        return bids, asks

    return fault


def one_side(timestep: Timestep, instrument: int, _: int) -> Sides:
    """The decimal point of the bid is shifted."""
    bids = timestep.bids.copy()
    bids[instrument] /= 10.0
    return bids, timestep.asks


def inverted(timestep: Timestep, instrument: int, _: int) -> Sides:
    """The pair is quoted the other way round."""
    bids, asks = timestep.bids.copy(), timestep.asks.copy()
    bids[instrument], asks[instrument] = 1.0 / asks[instrument], 1.0 / bids[instrument]
    return bids, asks


def swapped(timestep: Timestep, instrument: int, other: int) -> Sides:
    """Two instruments have each other's bid and ask."""
    bids, asks = timestep.bids.copy(), timestep.asks.copy()
    pair, turned = [instrument, other], [other, instrument]
    bids[pair], asks[pair] = timestep.bids[turned], timestep.asks[turned]
    return bids, asks


KINDS: dict[str, Fault] = {
    "× 100": times(100.0),
    "÷ 100": times(0.01),
    "× 10": times(10.0),
    "÷ 10": times(0.1),
    "a decimal point of the bid shifted": one_side,
    "an inverted pair": inverted,
    "bid and ask of two instruments swapped": swapped,
}


def caught(gate: Gate, state: GateState, timestep: Timestep, place: Place, fault: Fault) -> tuple[bool, float]:
    """Whether the quote is held in its own timestep, before it prices anything, and the factor by which it is off."""
    bids, asks = fault(timestep, place.instrument, place.other)
    screened = gate.screen(copied(state), replace(timestep, bids=bids, asks=asks))
    # An instrument without a quote is NaN, of which no comparison holds.
    changed = np.flatnonzero((np.abs(bids - timestep.bids) > 0.0) | (np.abs(asks - timestep.asks) > 0.0))
    if not len(changed):
        return False, 1.0
    moves = np.log((bids + asks) / (timestep.bids + timestep.asks))[changed]
    return bool(screened.doubtful[changed].all()), float(np.exp(np.abs(moves).min()))


def frozen_for(
    gate: Gate, state: GateState, course: Course, place: Place, instruments: Sequence[int], usual_quotes: float
) -> float:
    """Usual gaps from the last change until the instrument at `place` is found frozen; infinite if it is not found.

    From the place on, `instruments` repeat their last quote whenever they would have quoted. A usual gap is the time of
    `usual_quotes` quotes: so nights and weekends, when nothing quotes, do not count. `state` is as of the timestep
    before.
    """
    own, one = copied(state), place.instrument
    before, quotes = course.timesteps[place.at - 1], int(own.run[one])
    frozen = np.zeros(len(before.bids), dtype=np.bool_)
    frozen[list(instruments)] = True
    last_ns = int(before.quoted_at_ns[one])
    for timestep in course.timesteps[place.at :]:
        quotes += int(timestep.quoted_at_ns[one]) != last_ns
        last_ns = int(timestep.quoted_at_ns[one])
        if quotes > FOLLOWED_CHANGES * usual_quotes:
            return np.inf
        stuck = replace(
            timestep,
            bids=np.where(frozen, before.bids, timestep.bids),
            asks=np.where(frozen, before.asks, timestep.asks),
        )
        if gate.screen(own, stuck).doubtful[one]:
            return quotes / usual_quotes
    return np.nan  # the prices end first


def usual_quotes(course: Course, place: Place) -> float:
    """How many quotes the last `USUAL_CHANGES` changes of the instrument before `place` took each."""
    one, quotes, changes = place.instrument, 0, 0
    after = course.timesteps[place.at - 1]
    for timestep in reversed(course.timesteps[: place.at - 1]):
        if timestep.quoted_at_ns[one] == 0 or changes == USUAL_CHANGES:
            break
        quotes += int(timestep.quoted_at_ns[one] != after.quoted_at_ns[one])
        changes += int(timestep.bids[one] != after.bids[one] or timestep.asks[one] != after.asks[one])
        after = timestep
    return quotes / max(changes, 1)


def alike(config: Config, instrument: int) -> list[int]:
    """The instrument and its twins: all that quote the same legs."""
    own = config.instruments[instrument]
    return [
        number for number, each in enumerate(config.instruments) if (each.legs, each.quote) == (own.legs, own.quote)
    ]


def copied(state: GateState) -> GateState:
    """A state that can go its own way. Its arrays are never changed in place."""
    return replace(state, usual=replace(state.usual), ended=dict(state.ended))
