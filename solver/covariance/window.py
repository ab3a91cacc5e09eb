"""Covariance of the latest returns, each with the same weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solver.arrays import BoolArray, FloatArray, IntArray
from solver.covariance.gaps import begin, common_returns, is_usable, is_whole, note
from solver.covariance.pairs import PairEstimate, by_pair, covariance_of, divided
from solver.covariance.shrinkage import Shrinkage, checked_shrinkage
from solver.errors import IllPosed
from solver.kernels.compiled import compiled
from solver.moments import LARGEST_ENTRY, add_outer, exchange_outer, plus, restored_arrays

# Planes of the sums.
_PRODUCTS, _EXCESS, _FOURTH = range(3)

# Indices of the counters: rows held, position that the next one takes, rows held that tear pairs apart.
_ROWS, _POSITION, _TORN = range(3)

# Indices at each end: whether an asset is missing from the latest row, then what is known of each asset.
_WAITING, _KNOWN = range(2)


@compiled
def _add(high: FloatArray, low: FloatArray, i: int, j: int, term: float) -> None:
    """Add `term` to entry (i, j) of the double-double sums."""
    high[i, j], low[i, j] = plus(high[i, j], low[i, j], term)


@compiled
def _own_square(spans: FloatArray, row: FloatArray, i: int) -> float:
    """Square of asset i's own return, to the last bit that on the diagonal of the products; 0 where it has none."""
    if row[i] != row[i]:
        return 0.0
    own: float = row[i] / np.sqrt(spans[i, i] + 1.0)
    return own * own


@compiled
def _apply(
    high: FloatArray,
    low: FloatArray,
    missed: IntArray,
    pending: FloatArray,
    ends: IntArray,
    end: int,
    row: FloatArray,
    sign: float,
) -> int:
    """Add or take away the returns of `row` at one end of the window; 1 when the row tears pairs apart, else 0.

    Both ends see the same rows in the same order, each with its own account of what is pending. So what leaves is to
    the last bit what came.

    Parameters
    ----------
    high, low : (planes, n, n) the double-double sums, changed in place.
    missed : (n, n) rows held without a common return of the pair, changed in place.
    pending : (2, 2, n, n) at each end the returns and the rows that wait, see `common_returns`; changed in place.
    ends : (2, 1 + n) at each end whether an asset is missing from the latest row, and what is known of each asset.
    end : 0 for the end where rows come in, 1 for the end where they go out.
    row : (n,) log returns.
    sign : 1.0 to add, -1.0 to take away.
    """
    n = row.size
    with_fourth = high.shape[0] > _FOURTH
    known = ends[end, _KNOWN:]
    if is_whole(ends[end, _WAITING], row):
        add_outer(high[_PRODUCTS], low[_PRODUCTS], row, sign)
        if with_fourth:
            add_outer(high[_FOURTH], low[_FOURTH], row * row, sign)
        begin(known, pending[end, 0])
        return 0
    returns, spans = pending[end, 0], pending[end, 1]
    for i in range(n):
        # Squares of own returns are in the products. Of a pair only the difference from them is kept.
        own_i = _own_square(spans, row, i)
        here = row[i] == row[i]
        for j in range(i, n):
            if here and row[j] == row[j] and returns[i, j] == 0.0 and spans[i, j] == 0.0:
                # Nothing waits: `common_returns` would say the same, at many times the cost.
                _add(high[_PRODUCTS], low[_PRODUCTS], i, j, sign * (row[i] * row[j]))
                if with_fourth:
                    _add(high[_FOURTH], low[_FOURTH], i, j, sign * ((row[i] * row[i]) * (row[j] * row[j])))
                continue
            both, a, b = common_returns(returns, spans, i, j, known, row)
            if both:
                _add(high[_PRODUCTS], low[_PRODUCTS], i, j, sign * (a * b))
                if with_fourth:
                    _add(high[_FOURTH], low[_FOURTH], i, j, sign * ((a * a) * (b * b)))
            else:
                missed[i, j] += int(sign)
                missed[j, i] = missed[i, j]
            if i != j:
                _add(high[_EXCESS], low[_EXCESS], i, j, sign * (a * a - own_i))
                _add(high[_EXCESS], low[_EXCESS], j, i, sign * (b * b - _own_square(spans, row, j)))
    ends[end, _WAITING] = 1 if note(known, row) else 0
    return 1


@compiled
def slide_pairs(
    ring: FloatArray,
    counters: IntArray,
    high: FloatArray,
    low: FloatArray,
    missed: IntArray,
    pending: FloatArray,
    ends: IntArray,
    row: FloatArray,
) -> int:
    """Take `row` into the window, and the oldest row out of a full one; all arrays are changed in place.

    Parameters
    ----------
    ring : (window_steps, n) the rows held.
    counters : (3,) rows held, index in `ring` of the next one, rows held that tear pairs apart.
    high, low, missed, pending, ends : as of `_apply`.
    row : (n,) log returns, NaN where there is none.

    Returns
    -------
    -1 when `row` was refused and nothing was changed, else 0.
    """
    if not is_usable(row):
        return -1
    position = counters[_POSITION]
    full = counters[_ROWS] == ring.shape[0]
    if full and is_whole(ends[1, _WAITING], ring[position]) and is_whole(ends[0, _WAITING], row):
        begin(ends[1, _KNOWN:], pending[1, 0])
        exchange_outer(high[_PRODUCTS], low[_PRODUCTS], ring[position], row)
        if high.shape[0] > _FOURTH:
            exchange_outer(high[_FOURTH], low[_FOURTH], ring[position] * ring[position], row * row)
    else:
        if full:
            counters[_TORN] -= _apply(high, low, missed, pending, ends, 1, ring[position], -1.0)
        counters[_TORN] += _apply(high, low, missed, pending, ends, 0, row, 1.0)
    if not full:
        counters[_ROWS] += 1
    # Entry by entry: numba would compile the error messages of a slice assignment for two seconds.
    for i in range(row.size):
        ring[position, i] = row[i]
    counters[_POSITION] = (position + 1) % ring.shape[0]
    return 0


class WindowCovariance:
    """Covariance of the last `window_steps` rows of returns, each with the same weight.

    S = Σ r r' / T over the T returns held. Until the window is full, T is the number of returns seen. The sums are
    double-double and do not drift, by the bound of `solver.moments.SlidingMoments`: what is taken away when a row
    leaves is to the last bit what was added when it came.

    A return that is NaN is missing. It takes only its own asset out of the row. Pairs are estimated on the common
    returns in the window (see `solver.covariance.gaps`). The mean return is taken as zero: over one timestep it is far
    below its own sampling error, and estimating it would let a trend pass for less risk.

    Parameters
    ----------
    n : assets.
    window_steps : rows, >= 1.
    shrinkage : see `solver.covariance.shrinkage`.

    Raises
    ------
    IllPosed : a parameter out of range.
    """

    def __init__(self, n: int, window_steps: int, shrinkage: Shrinkage) -> None:
        if window_steps < 1:
            raise IllPosed(f"window_steps must be >= 1, got {window_steps}")
        self._n = n
        self._shrinkage = checked_shrinkage(n, shrinkage)
        planes = 3 if shrinkage == "ledoit-wolf" else 2
        self._ring = np.zeros((window_steps, n))
        self._counters = np.zeros(3, dtype=np.int64)
        # By pair: products in the upper triangle; squares of the first's common returns less those of its own; in the
        # upper triangle r_i² r_j².
        self._high = np.zeros((planes, n, n))
        self._low = np.zeros((planes, n, n))
        self._missed = np.zeros((n, n), dtype=np.int64)
        # At each end of the window: the first's return since both had a price last and over how many rows; whether an
        # asset is missing from the latest row, and what is known of each.
        self._pending = np.zeros((2, 2, n, n))
        self._pending[:, 0] = np.nan
        self._ends = np.zeros((2, _KNOWN + n), dtype=np.int64)

    @property
    def observations(self) -> int:
        """Rows held, at most `window_steps`."""
        return int(self._counters[_ROWS])

    @property
    def asset_observations(self) -> IntArray:
        """(n,) returns held of each asset."""
        own: IntArray = self._counters[_ROWS] - np.diag(self._missed)
        return own

    def update(self, returns: FloatArray) -> None:
        """Take the log returns (n,) of one timestep, NaN where there is none; O(n²) whatever the window.

        The first return of an asset after a gap spans the gap (`LogReturns` makes them so).

        Raises
        ------
        IllPosed : wrong shape, an infinite entry, or one beyond 1e150; nothing was changed.
        """
        returns = np.ascontiguousarray(returns, dtype=np.float64)
        if returns.shape != (self._n,):
            raise IllPosed(f"returns must have shape ({self._n},), got {returns.shape}")
        outcome = slide_pairs(
            self._ring,
            self._counters,
            self._high,
            self._low,
            self._missed,
            self._pending,
            self._ends,
            returns,
        )
        if outcome < 0:
            raise IllPosed(f"returns must be finite and within ±{LARGEST_ENTRY:g}, or NaN, got {returns}")

    def variances(self) -> FloatArray:
        """(n,) of each asset without shrinkage, log-return² per timestep; NaN without a return in the window."""
        return divided(np.diag(self._high[_PRODUCTS]), self.asset_observations)

    def estimate(self, min_observations: int = 1, among: BoolArray | None = None) -> FloatArray:
        """(n, n) covariance, log-return² per timestep, NaN for assets that are not in.

        Parameters
        ----------
        min_observations : returns in the window that an asset needs of its own, and in common with each other asset
            that is in.
        among : (n,) assets that may be in; None for all.

        Raises
        ------
        NotEnoughData : no asset is in.
        """
        seen = self._counters[_ROWS] - self._missed
        products = _symmetric(self._high[_PRODUCTS])
        torn = bool(self._counters[_TORN])
        pairs = PairEstimate(
            Sigma=by_pair(products, self._squares(), self.variances()) if torn else divided(products, seen),
            seen=seen,
            effective=seen.astype(np.float64),
            fourth_moments=divided(_symmetric(self._high[_FOURTH]), seen) if len(self._high) > _FOURTH else None,
            coherent=not torn,
        )
        return covariance_of(pairs, self._shrinkage, min_observations, among)

    def _squares(self) -> FloatArray:
        """(n, n) sums of the first's squared returns over those common to a pair."""
        own_high, own_low = np.diag(self._high[_PRODUCTS]), np.diag(self._low[_PRODUCTS])
        # The two high parts can cancel; what is left is then in the low ones.
        squares = (own_high[:, None] + self._high[_EXCESS]) + (own_low[:, None] + self._low[_EXCESS])
        floored: FloatArray = np.maximum(squares, 0.0)
        return floored

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        return {name: getattr(self, f"_{name}").copy() for name in _STATE}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave; IllPosed when it does not fit these parameters."""
        for name, array in restored_arrays(self.arrays(), arrays).items():
            setattr(self, f"_{name}", array)


_STATE = ("ring", "counters", "high", "low", "missed", "pending", "ends")


def _symmetric(upper: FloatArray) -> FloatArray:
    upper = np.triu(upper)
    whole: FloatArray = upper + np.triu(upper, 1).T
    return whole
