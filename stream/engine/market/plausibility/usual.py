"""What an instrument usually does: robust running means of its own moves, bid-ask spreads and gaps.

A mean moves towards each sample by a fixed share, and by 1 / count while that is more. A sample counts for at most a
few times the mean. So one bad quote cannot widen it, and a market that really changes does so within some dozen
samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import BoolArray, FloatArray, IntArray

SQUARED_MOVE, SPREAD, QUOTE_GAP, CHANGE_GAP, RUN = range(5)
"""Rows of `Usual`: squared log move over one timestep, taken only when the mid moves; bid-ask spread relative to the
mid; ns between quotes; ns between changes of the quote; quotes for each change."""

ENOUGH = 30
"""Samples from which on a mean says what is usual."""

# The share by which a new sample counts. Moves have a longer memory: a quiet night must not make the morning's first
# moves look like jumps.
_RATES = np.array([0.002, 0.01, 0.01, 0.01, 0.01])[:, None]

# The most that a sample counts for, in means; of moves it is five of them, squared.
_MOST = np.array([25.0, 5.0, 5.0, 5.0, 5.0])[:, None]


@dataclass
class Usual:
    """The means (5, m), and how many samples each has seen."""

    means: FloatArray
    counts: IntArray

    @property
    def moves(self) -> FloatArray:
        """(m,) the usual log move over one timestep in which the mid moves; 0 while too few were seen."""
        known = self.counts[SQUARED_MOVE] >= ENOUGH
        moves: FloatArray = np.sqrt(np.where(known, self.means[SQUARED_MOVE], 0.0))
        return moves

    def take(self, samples: FloatArray, taken: BoolArray) -> None:
        """Take those `samples` (5, m) that are `taken` (5, m)."""
        means, counts = self.means, self.counts
        # Nothing is usual of a mean of zero, so the next sample counts whole.
        bounded = np.where(means > 0.0, np.minimum(samples, _MOST * means), samples)
        rates = np.maximum(1.0 / (counts + 1), _RATES)
        self.means = np.where(taken, means + rates * (bounded - means), means)
        self.counts = counts + taken


def nothing_usual(instruments: int) -> Usual:
    return Usual(np.zeros((5, instruments)), np.zeros((5, instruments), dtype=np.int64))
