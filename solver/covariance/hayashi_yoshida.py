"""Covariance from asynchronous ticks, without a grid.

On a grid, an asset that did not tick has not moved. So the correlation of two assets that tick at different times comes
out too small, and the finer the grid, the smaller (Epps). Hayashi and Yoshida multiply returns between ticks wherever
their intervals overlap, which has no such bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solver.arrays import BoolArray, FloatArray, IntArray
from solver.covariance.exponential import effective_count, half_life_to_decay
from solver.covariance.pairs import PairEstimate, covariance_of, divided
from solver.covariance.shrinkage import Shrinkage, checked_shrinkage
from solver.covariance.two_scales import add_tick, two_scales_variance
from solver.errors import IllPosed
from solver.kernels.compiled import compiled
from solver.moments import restored_arrays

# Planes of the pairs: weighted products, weighted time that they cover, that time without weights.
_PRODUCTS, _WEIGHTS, _COVERED = range(3)

# Rows of the assets: log price and time of the latest tick, time of the first.
_PRICE, _TIME, _FIRST = range(3)

# The weight of new ticks grows, so that a tick need not touch the sums of other assets. At this weight all sums are
# scaled back.
_HEAVIEST = 2.0**500


@compiled
def _take(
    ticks: FloatArray,
    indices: IntArray,
    assets: FloatArray,
    pairs: FloatArray,
    references: FloatArray,
    recent: FloatArray,
    scales: FloatArray,
    counts: IntArray,
    weight: float,
    step: int,
) -> int:
    """Take the ticks of one timestep; all arrays but `ticks` and `indices` are changed in place.

    Parameters
    ----------
    ticks : (k, 2) time within the timestep and log price.
    indices : (k,) of the assets that ticked.
    assets : (3, n) log price and time of the latest tick, time of the first.
    pairs : (3, n, n) weighted products, weighted time that they cover, that time without weights.
    references : (n, n) log price of the second asset at the latest tick of the first.
    recent, scales, counts : as of `add_tick`; rows 1 and 2 of `counts` are timesteps with a tick, and the latest of
        these.
    weight : > 0, of the products that are complete in this timestep.
    step : timesteps closed so far.

    Returns
    -------
    -1 when a tick was refused and nothing was changed, else 0.
    """
    n = assets.shape[1]
    before = 0.0
    for k in range(len(indices)):
        moment = ticks[k, 0]
        if not (0 <= indices[k] < n and before <= moment <= 1.0 and abs(ticks[k, 1]) < np.inf):
            return -1
        before = moment
    prices, times, firsts = assets[0], assets[1], assets[2]
    products, weights, covered = pairs[0], pairs[1], pairs[2]
    for k in range(len(indices)):
        i, now, price = indices[k], step + ticks[k, 0], ticks[k, 1]
        if counts[0, i] == 0:
            firsts[i] = now
            # No interval of another asset has seen it move yet.
            for j in range(n):
                references[j, i] = price
        else:
            change, since = price - prices[i], times[i]
            for j in range(n):
                if j != i and counts[0, j] > 0:
                    # The intervals of j that end after `since` overlap with this one; its open one has its turn when it
                    # ends, so each overlapping pair of intervals counts once.
                    product = weight * change * (prices[j] - references[i, j])
                    products[i, j] += product
                    products[j, i] += product
                    overlap = times[j] - max(since, firsts[j])
                    if overlap > 0.0:
                        weights[i, j] += weight * overlap
                        weights[j, i] += weight * overlap
                        covered[i, j] += overlap
                        covered[j, i] += overlap
            weights[i, i] += weight * (now - since)
        add_tick(recent, scales, counts, i, price, price - prices[i], weight)
        if counts[2, i] != step + 1:
            counts[1, i] += 1
            counts[2, i] = step + 1
        prices[i], times[i] = price, now
        for j in range(n):
            references[i, j] = prices[j]
            # One instant: an interval that ends now does not overlap with one that begins now.
            if times[j] == now and counts[0, j] > 0:
                references[j, i] = price
    return 0


class HayashiYoshidaCovariance:
    """Covariance over one timestep from ticks at any times, with weights that halve every `half_life_steps` timesteps.

    For two assets it is the sum of the products of their returns over all pairs of overlapping intervals between ticks,
    over the time that these cover. A tick of i over (s, t] is multiplied with the move of j between its last tick up to
    s and its last tick up to t, which is O(n) a tick. A product has the weight of the timestep in which it is complete.
    Time counts closed timesteps, so a weekend without any tick is one. An asset that falls silent keeps its sums: its
    next tick spans the gap, for its pairs too.

    Variances come from `two_scales_variance`. Variances and products that are estimated apart need not make a
    covariance: sampling error can take a high correlation above one. So the result is repaired (`nearest_covariance`).

    Parameters
    ----------
    n : assets.
    half_life_steps : timesteps, > 0.
    slow_ticks : ticks that a return of the slow scale spans, >= 2.
    shrinkage : "none", "oas" or "nonlinear". Ledoit and Wolf's needs fourth moments, which overlapping products do not
        have.

    Raises
    ------
    IllPosed : a parameter out of range.

    References
    ----------
    Hayashi and Yoshida (2005), On covariance estimation of non-synchronously observed diffusion processes, Bernoulli
    11(2). Epps (1979), Comovements in stock prices in the very short run, JASA 74.
    """

    def __init__(self, n: int, half_life_steps: float, slow_ticks: int, shrinkage: Shrinkage) -> None:
        if slow_ticks < 2:
            raise IllPosed(f"slow_ticks must be >= 2, got {slow_ticks}")
        if checked_shrinkage(n, shrinkage) == "ledoit-wolf":
            raise IllPosed("shrinkage of ticks must be 'none', 'oas' or 'nonlinear', got 'ledoit-wolf'")
        self._half_life_steps = half_life_steps
        self._growth = 1.0 / half_life_to_decay(half_life_steps)
        self._shrinkage = shrinkage
        self._assets = np.zeros((3, n))
        self._pairs = np.zeros((3, n, n))
        self._references = np.zeros((n, n))  # log price of the second at the first's latest tick
        self._recent = np.zeros((n, slow_ticks))
        self._scales = np.zeros((4, n))
        self._counts = np.zeros((3, n), dtype=np.int64)  # ticks, timesteps with one, the latest of these
        self._weight = np.ones(1)
        self._steps = np.zeros(1, dtype=np.int64)

    @property
    def observations(self) -> int:
        """Timesteps seen."""
        return int(self._steps[0])

    @property
    def asset_observations(self) -> IntArray:
        """(n,) timesteps in which each asset had a tick."""
        steps: IntArray = self._counts[1].copy()
        return steps

    def update(self, indices: IntArray, moments: FloatArray, log_prices: FloatArray) -> None:
        """Take the ticks of one timestep and close it; O(n) each.

        Parameters
        ----------
        indices : (k,) of the assets that ticked.
        moments : (k,) when they ticked within the timestep, from 0 to 1, in order.
        log_prices : (k,)

        Raises
        ------
        IllPosed : wrong shapes, an index that no asset has, moments out of order or range, or a log price that is not
            finite; nothing was changed.
        """
        indices = np.ascontiguousarray(indices, dtype=np.int64)
        if not indices.shape == np.shape(moments) == np.shape(log_prices) == (indices.size,):
            raise IllPosed(
                "indices, moments and log_prices must have one shape (k,), "
                f"got {indices.shape}, {np.shape(moments)} and {np.shape(log_prices)}"
            )
        ticks = np.column_stack([moments, log_prices]).astype(np.float64, copy=False)
        outcome = _take(
            ticks,
            indices,
            self._assets,
            self._pairs,
            self._references,
            self._recent,
            self._scales,
            self._counts,
            float(self._weight[0]),
            int(self._steps[0]),
        )
        if outcome < 0:
            raise IllPosed(
                f"ticks must name assets below {len(self._references)}, be in order within [0, 1] and have finite "
                f"log prices, got {indices}, {moments} and {log_prices}"
            )
        self._steps += 1
        self._weight *= self._growth
        if self._weight[0] > _HEAVIEST:
            self._pairs[:_COVERED] /= self._weight[0]
            self._scales /= self._weight[0]
            self._weight[0] = 1.0

    def variances(self) -> FloatArray:
        """(n,) of each asset, log-return² per timestep; NaN before `slow_ticks` returns."""
        return two_scales_variance(self._scales, self._recent.shape[1], np.diag(self._pairs[_WEIGHTS]))

    def estimate(self, min_observations: int = 1, among: BoolArray | None = None) -> FloatArray:
        """(n, n) covariance, log-return² per timestep, NaN for assets that are not in.

        Parameters
        ----------
        min_observations : timesteps with a tick that an asset needs, and timesteps that its intervals must cover
            together with those of each other asset that is in.
        among : (n,) assets that may be in; None for all.

        Raises
        ------
        NotEnoughData : no asset is in.
        """
        variances = self.variances()
        Sigma = divided(self._pairs[_PRODUCTS], self._pairs[_WEIGHTS])
        np.fill_diagonal(Sigma, variances)
        own = np.where(np.isnan(variances), 0, self._counts[1])
        seen = np.minimum(np.minimum.outer(own, own), np.floor(self._pairs[_COVERED]).astype(np.int64))
        np.fill_diagonal(seen, own)
        pairs = PairEstimate(
            Sigma=Sigma,
            seen=seen,
            effective=effective_count(self._half_life_steps, seen),
            fourth_moments=None,
            coherent=False,
        )
        return covariance_of(pairs, self._shrinkage, min_observations, among)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        return {name: getattr(self, f"_{name}").copy() for name in _STATE}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave; IllPosed when it does not fit these parameters."""
        for name, array in restored_arrays(self.arrays(), arrays).items():
            setattr(self, f"_{name}", array)


_STATE = ("assets", "pairs", "references", "recent", "scales", "counts", "weight", "steps")
