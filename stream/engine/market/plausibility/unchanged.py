"""Prices that do not change although quotes keep coming, judged by what is usual for the instrument.

No quotes at all are not the subject here: then the price becomes stale.
"""

from __future__ import annotations

import numpy as np

from solver.arrays import BoolArray, FloatArray
from stream.config import Config
from stream.engine.market.plausibility.faults import seconds
from stream.engine.market.plausibility.state import GateState
from stream.engine.market.plausibility.usual import CHANGE_GAP, ENOUGH, RUN, SPREAD
from stream.engine.market.plausibility.witnesses import Witnesses

# A price may stand for this many times its longest stand so far. Markets have lulls, which no mean shows; a feed that
# repeats its quotes through them shows them all.
_LULLS = 1.75

# By how much of a longer stand the longest is raised: once is chance.
_LONGER_COUNTS = 0.3

# How much of `unchanged_gaps` must have passed in time too is one over this.
_TIME_COUNTS = 5.0

# The longest stand is forgotten by half over some 35,000 changes: a lull of each day is remembered.
_LONGEST_KEPT = 0.99998

# A stand that was found frozen counts for this share of what it takes, so that the next is found almost as soon.
_FROZEN_COUNTS = 0.75

# From this share of it on, returns are left out: before the alert, so that little risk has decayed by it.
_LEFT_OUT_SHARE = 0.25

# How far a twin must have moved from where it was when the price last changed, in bid-ask spreads and usual moves.
_TWIN_SPREADS, _TWIN_MOVES = 2.0, 5.0


class Unchanged:
    """The rules of one configuration."""

    def __init__(self, config: Config, witnesses: Witnesses) -> None:
        self._gaps = config.plausibility.unchanged_gaps
        self._names = [instrument.name for instrument in config.instruments]
        self._twins = witnesses.twins
        self._nothing = np.zeros(len(self._names), dtype=np.bool_)

    def found(self, state: GateState) -> BoolArray:
        """Set in `state` which instruments are frozen. Returns (m,) those whose returns are left out, these too."""
        if state.run.max() < _LEFT_OUT_SHARE * self._gaps:
            state.frozen = self._nothing  # every change takes a quote at least
            return self._nothing
        usual = state.usual
        known = usual.counts[RUN] >= ENOUGH
        # Both by count and by time: neither a feed that begins to repeat its quotes more often nor one that is slow for
        # a while is unusual by that. A fifth of the time is enough, because busy hours quote faster. Where nothing is
        # usual yet, only the twin can tell, and only after `unchanged_gaps` quotes.
        runs = np.where(known, self._patience(state), self._gaps / _LEFT_OUT_SHARE)
        usually = np.where(known, self._gaps * usual.means[CHANGE_GAP], 0.0)
        lasted = _TIME_COUNTS * (state.quoted_at_ns - state.changed_at_ns)
        still = (state.run >= _LEFT_OUT_SHARE * runs) & (lasted >= _LEFT_OUT_SHARE * usually)
        if not still.any():
            state.frozen = self._nothing
            return self._nothing
        frozen = known & (state.run >= runs) & (lasted >= usually)
        # Once found frozen, it stays so until it changes, though the twin may come back to where it was.
        frozen |= still & (self._left_by_twin(state) | state.frozen)
        state.frozen = frozen
        left_out: BoolArray = (still & known) | frozen
        return left_out

    def learn(self, state: GateState, changed: BoolArray) -> None:
        """Remember for how many quotes the prices of `changed` (m,) have stood, before their count begins anew."""
        stood = np.minimum(state.run + 1, _FROZEN_COUNTS * self._patience(state))
        kept = _LONGEST_KEPT * state.longest
        longest = kept + _LONGER_COUNTS * np.maximum(stood - kept, 0.0)
        state.longest = np.where(changed & (state.run > 0), longest, state.longest)

    def _patience(self, state: GateState) -> FloatArray:
        """(m,) for how many quotes a price may stand before it is frozen."""
        patience: FloatArray = np.maximum(self._gaps * state.usual.means[RUN], _LULLS * state.longest)
        return patience

    def message(self, state: GateState, index: int) -> str:
        """Why the instrument at `index` is frozen, in words."""
        lasted = seconds(int(state.quoted_at_ns[index] - state.changed_at_ns[index]))
        said = f"{self._names[index]} has not changed for {lasted} while quotes keep coming"
        if state.usual.counts[RUN, index] >= ENOUGH:
            return f"{said}; it usually changes every {seconds(float(state.usual.means[CHANGE_GAP, index]))}"
        return f"{said}, and {self._names[self._twins[index]]} has moved"

    def _left_by_twin(self, state: GateState) -> BoolArray:
        """(m,) whether the twin has moved away since the price last changed; False for an instrument without one."""
        spreads, moves, twins = state.usual.means[SPREAD], state.usual.moves, self._twins
        moved = np.abs(state.log_mids[twins] - state.twin_log_mids)
        enough = _TWIN_SPREADS * (spreads + spreads[twins]) + _TWIN_MOVES * (moves + moves[twins])
        left: BoolArray = (twins >= 0) & (moved > enough) & (state.changed_at_ns[twins] > state.changed_at_ns)
        return left
