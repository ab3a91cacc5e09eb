"""The quotes of a close beside what was believed before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from solver.arrays import BoolArray, FloatArray
from stream.engine.market.plausibility.state import GateState
from stream.engine.market.plausibility.usual import SPREAD
from stream.events.types import Timestep


@dataclass(frozen=True)
class Close:
    """By instrument (m,).

    Attributes
    ----------
    timestep : the quotes as they came.
    log_mids : of the quotes; NaN before the first.
    new : whether there is a quote that the gate has not seen.
    sizes : the absolute log move since the last believed quote; NaN for a first quote.
    steps : timesteps since the believed price last changed.
    usual_moves : the usual log move over so many timesteps; 0 while it is not known.
    spreads : the usual bid-ask spread, relative to the mid.
    wide : whether bid and ask lie further apart than the factor of a unit error, where they usually do not. It shows
        that one of them is off.
    """

    timestep: Timestep
    log_mids: FloatArray
    new: BoolArray
    sizes: FloatArray
    steps: FloatArray
    usual_moves: FloatArray
    spreads: FloatArray
    wide: BoolArray


def compared(state: GateState, timestep: Timestep, jump_factor: float) -> Close:
    """The quotes of `timestep` beside those of `state`."""
    log_mids = np.log(0.5 * (timestep.bids + timestep.asks))
    steps = (timestep.index - state.changed_step).astype(np.float64)
    spreads = state.usual.means[SPREAD]
    return Close(
        timestep=timestep,
        log_mids=log_mids,
        new=timestep.quoted_at_ns != state.seen_ns,
        sizes=np.abs(log_mids - state.log_mids),
        steps=steps,
        usual_moves=state.usual.moves * np.sqrt(steps),
        spreads=spreads,
        wide=(timestep.asks > jump_factor * timestep.bids)
        & (2.0 * spreads < math.log(jump_factor))
        & (state.usual.counts[SPREAD] > 0),
    )
