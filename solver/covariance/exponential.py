"""Covariance with weights that decay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solver.arrays import BoolArray, FloatArray, IntArray
from solver.covariance.gaps import PRESENT, begin, common_returns, is_usable, is_whole, note
from solver.covariance.pairs import PairEstimate, by_pair, covariance_of, divided
from solver.covariance.shrinkage import Shrinkage, checked_shrinkage
from solver.errors import IllPosed
from solver.kernels.compiled import compiled, compiled_inline
from solver.moments import LARGEST_ENTRY, restored_arrays

# Planes of the sums.
_PRODUCTS, _SQUARES, _PENDING, _SPANS, _FOURTH = range(5)

# Indices of the counters: rows taken, whether an asset is missing from the latest one, whether one ever was; then what
# is known of each asset.
_ROWS, _WAITING, _TORN, _KNOWN = range(4)


@compiled_inline
def _add_whole(sums: FloatArray, row: FloatArray, decay: float) -> None:
    """Decay all sums and add a `row` in which every asset has a return over one timestep."""
    n = row.size
    products, squares = sums[_PRODUCTS], sums[_SQUARES]
    for i in range(n):
        own = row[i]
        square = own * own
        for j in range(n):
            products[i, j] = decay * products[i, j] + own * row[j]
            squares[i, j] = decay * squares[i, j] + square
    if sums.shape[0] > _FOURTH:
        fourth = sums[_FOURTH]
        for i in range(n):
            square = row[i] * row[i]
            for j in range(n):
                fourth[i, j] = decay * fourth[i, j] + square * (row[j] * row[j])


@compiled_inline
def _is_steady(known: IntArray, row: FloatArray, i: int) -> bool:
    """Whether asset i has a return in `row` and had one in the row before, so that nothing of it waits."""
    return bool(row[i] == row[i] and known[i] == PRESENT)


@compiled
def _add_steady(sums: FloatArray, known: IntArray, row: FloatArray, decay: float) -> None:
    """Decay and add the pairs of two steady assets: `common_returns` would say the same, at many times the cost."""
    n = row.size
    products, squares = sums[_PRODUCTS], sums[_SQUARES]
    # Vectorised over all j: the returns of assets that are not steady count as nothing, and their sums do not decay.
    steady = np.empty(n)
    taken = np.empty(n)
    decays = np.empty(n)
    for i in range(n):
        is_steady = _is_steady(known, row, i)
        steady[i] = 1.0 if is_steady else 0.0
        taken[i] = row[i] if is_steady else 0.0
        decays[i] = decay if is_steady else 1.0
    for i in range(n):
        if steady[i] == 0.0:
            continue
        own = taken[i]
        square = own * own
        for j in range(n):
            products[i, j] = decays[j] * products[i, j] + own * taken[j]
            squares[i, j] = decays[j] * squares[i, j] + square * steady[j]
        if sums.shape[0] > _FOURTH:
            fourth = sums[_FOURTH, i]
            for j in range(n):
                fourth[j] = decays[j] * fourth[j] + square * (taken[j] * taken[j])


@compiled_inline
def _add_unsteady(sums: FloatArray, missed: IntArray, known: IntArray, row: FloatArray, decay: float) -> None:
    """Decay and add the pairs with an asset that is not steady, where they have a common return; else count a miss."""
    n = row.size
    products, squares, pending, spans = sums[_PRODUCTS], sums[_SQUARES], sums[_PENDING], sums[_SPANS]
    for i in range(n):
        if _is_steady(known, row, i):
            continue
        for j in range(n):
            if j < i and not _is_steady(known, row, j):
                continue
            both, a, b = common_returns(pending, spans, i, j, known, row)
            if not both:
                missed[i, j] += 1
                missed[j, i] = missed[i, j]
                continue
            products[i, j] = products[j, i] = decay * products[i, j] + a * b
            squares[i, j] = decay * squares[i, j] + a * a
            if i != j:
                squares[j, i] = decay * squares[j, i] + b * b
            if sums.shape[0] > _FOURTH:
                sums[_FOURTH, i, j] = sums[_FOURTH, j, i] = decay * sums[_FOURTH, i, j] + (a * a) * (b * b)


@compiled
def _decay_and_add(sums: FloatArray, missed: IntArray, counters: IntArray, row: FloatArray, decay: float) -> int:
    """Take `row`; -1 when an entry is infinite or too large, and nothing was changed."""
    if not is_usable(row):
        return -1
    known = counters[_KNOWN:]
    counters[_ROWS] += 1
    if is_whole(counters[_WAITING], row):
        _add_whole(sums, row, decay)
        begin(known, sums[_PENDING])
        return 0
    counters[_TORN] = 1
    _add_steady(sums, known, row, decay)
    _add_unsteady(sums, missed, known, row, decay)
    counters[_WAITING] = 1 if note(known, row) else 0
    return 0


class ExponentialCovariance:
    """Covariance with weights that halve every `half_life_steps` returns.

    With λ = 0.5^(1 / half_life_steps), a return r updates M ← λ M + r r' from M = 0. The estimate after t returns is S
    = M / W with W = 1 + λ + ... + λᵗ⁻¹. Dividing by the weight that was seen is the warm-up correction: S is unbiased
    from the first return on and does not lean towards its starting value. Rounding errors decay with the weights, so
    nothing drifts. Shrinkage takes Kish's effective sample size W² / V for T, where V is the sum of the squared
    weights. It tends to (1 + λ) / (1 - λ).

    A return that is NaN is missing. It takes only its own asset out of the row: the sums of its pairs stay as they are,
    and their weights do not decay meanwhile. Each pair goes on with the return over the gap (see
    `solver.covariance.gaps`). The mean return is taken as zero: over one timestep it is far below its own sampling
    error, and estimating it would let a trend pass for less risk.

    Parameters
    ----------
    n : assets.
    half_life_steps : returns, > 0.
    shrinkage : see `solver.covariance.shrinkage`.

    Raises
    ------
    IllPosed : a parameter out of range.

    References
    ----------
    Kish (1965), Survey Sampling, section 11.7.
    """

    def __init__(self, n: int, half_life_steps: float, shrinkage: Shrinkage) -> None:
        self._n = n
        self._half_life_steps = half_life_steps
        self._decay = half_life_to_decay(half_life_steps)
        self._shrinkage = checked_shrinkage(n, shrinkage)
        # By pair: products, squares of the first's returns, its return since both had a price last and over how many
        # rows; then r_i² r_j².
        self._sums = np.zeros((5 if shrinkage == "ledoit-wolf" else 4, n, n))
        self._sums[_PENDING] = np.nan
        self._missed = np.zeros((n, n), dtype=np.int64)
        self._counters = np.zeros(_KNOWN + n, dtype=np.int64)

    @property
    def observations(self) -> int:
        """Rows of returns seen."""
        return int(self._counters[_ROWS])

    @property
    def asset_observations(self) -> IntArray:
        """(n,) returns seen of each asset."""
        own: IntArray = self._counters[_ROWS] - np.diag(self._missed)
        return own

    def update(self, returns: FloatArray) -> None:
        """Take the log returns (n,) of one timestep, NaN where there is none; O(n²).

        The first return of an asset after a gap spans the gap (`LogReturns` makes them so).

        Raises
        ------
        IllPosed : wrong shape, an infinite entry, or one beyond 1e150; nothing was changed.
        """
        returns = np.ascontiguousarray(returns, dtype=np.float64)
        if returns.shape != (self._n,):
            raise IllPosed(f"returns must have shape ({self._n},), got {returns.shape}")
        if _decay_and_add(self._sums, self._missed, self._counters, returns, self._decay) < 0:
            raise IllPosed(f"returns must be finite and within ±{LARGEST_ENTRY:g}, or NaN, got {returns}")

    def variances(self) -> FloatArray:
        """(n,) of each asset without shrinkage, log-return² per timestep; NaN before its first return."""
        return divided(np.diag(self._sums[_PRODUCTS]), weight_of(self._half_life_steps, self.asset_observations))

    def estimate(self, min_observations: int = 1, among: BoolArray | None = None) -> FloatArray:
        """(n, n) covariance, log-return² per timestep, NaN for assets that are not in.

        Parameters
        ----------
        min_observations : returns that an asset needs of its own, and in common with each other asset that is in.
        among : (n,) assets that may be in; None for all.

        Raises
        ------
        NotEnoughData : no asset is in.
        """
        seen = self._counters[_ROWS] - self._missed
        weights = weight_of(self._half_life_steps, seen)
        products, squares = self._sums[_PRODUCTS], self._sums[_SQUARES]
        torn = bool(self._counters[_TORN])
        pairs = PairEstimate(
            Sigma=by_pair(products, squares, self.variances()) if torn else divided(products, weights),
            seen=seen,
            effective=effective_count(self._half_life_steps, seen),
            fourth_moments=divided(self._sums[_FOURTH], weights) if len(self._sums) > _FOURTH else None,
            coherent=not torn,
        )
        return covariance_of(pairs, self._shrinkage, min_observations, among)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        return {"sums": self._sums.copy(), "missed": self._missed.copy(), "counters": self._counters.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave; IllPosed when it does not fit `n` and `shrinkage`."""
        restored = restored_arrays(self.arrays(), arrays)
        self._sums, self._missed, self._counters = restored["sums"], restored["missed"], restored["counters"]


def half_life_to_decay(half_life_steps: float) -> float:
    """Factor λ = 0.5^(1 / half_life_steps) by which a weight shrinks per timestep; IllPosed unless half life > 0."""
    if not half_life_steps > 0.0:
        raise IllPosed(f"half_life_steps must be > 0, got {half_life_steps}")
    return float(0.5 ** (1.0 / half_life_steps))


def weight_of(half_life_steps: float, count: IntArray) -> FloatArray:
    """Sum 1 + λ + ... + λ^(count - 1) of the weights of so many returns."""
    log_decay = -math.log(2.0) / half_life_steps
    # By expm1, for 1 - λ of a long half-life has few digits left.
    total: FloatArray = np.expm1(count * log_decay) / math.expm1(log_decay)
    return total


def effective_count(half_life_steps: float, count: IntArray) -> FloatArray:
    """Kish's effective number of `count` returns: (sum of their weights)² over the sum of the squared weights."""
    return divided(weight_of(half_life_steps, count) ** 2, weight_of(half_life_steps / 2.0, count))
