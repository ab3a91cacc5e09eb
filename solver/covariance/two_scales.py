"""Variance from ticks whose prices carry noise: that of a fast scale is taken from that of a slow one."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.covariance.pairs import divided

# Rows of the scales: weighted squares over one tick, their weight, the same over `slow_ticks`.
_FAST, _FAST_WEIGHT, _SLOW, _SLOW_WEIGHT = range(4)


@compiled
def add_tick(
    recent: FloatArray, scales: FloatArray, counts: IntArray, asset: int, price: float, change: float, weight: float
) -> None:
    """Take a tick of `asset` by `change` to `price` (logarithms); O(1).

    `recent` (n, slow_ticks) holds the latest prices, `scales` (4, n) the sums, `counts[0]` the ticks.
    """
    ticks = counts[0, asset]
    place = ticks % recent.shape[1]
    if ticks > 0:
        scales[0, asset] += weight * change * change
        scales[1, asset] += weight
    if ticks >= recent.shape[1]:
        slow = price - recent[asset, place]
        scales[2, asset] += weight * slow * slow
        scales[3, asset] += weight
    recent[asset, place] = price
    counts[0, asset] = ticks + 1


def two_scales_variance(scales: FloatArray, slow_ticks: int, weighted_time: FloatArray) -> FloatArray:
    """Variance of each asset over one timestep, free of noise that is independent from tick to tick.

    With K = `slow_ticks`, the mean square over one tick is v + 2η², and over K ticks, all their overlapping intervals
    taken, K v + 2η²: the difference over K - 1 is v, the variance of the price between two ticks, η² that of its noise.
    Times the ticks in a timestep that is Zhang, Mykland and Aït-Sahalia's estimator with its correction for small
    samples. The difference can come out at zero or below when little was seen or the noise is large; then the slow
    scale stands with its noise, for a variance that is too large rather than none.

    Parameters
    ----------
    scales : (4, n) as `add_tick` keeps them.
    slow_ticks : K, >= 2.
    weighted_time : (n,) timesteps between an asset's ticks, each with its weight.

    Returns
    -------
    (n,) log-return² per timestep, NaN where no slow return was seen.

    References
    ----------
    Zhang, Mykland and Aït-Sahalia (2005), A tale of two time scales: determining integrated volatility with noisy
    high-frequency data, Journal of the American Statistical Association 100, eq. 55 and 64.
    """
    fast, slow = divided(scales[_FAST], scales[_FAST_WEIGHT]), divided(scales[_SLOW], scales[_SLOW_WEIGHT])
    between_ticks = (slow - fast) / (slow_ticks - 1)
    between_ticks = np.where(between_ticks <= 0.0, slow / slow_ticks, between_ticks)
    variance: FloatArray = between_ticks * divided(scales[_FAST_WEIGHT], weighted_time)
    return variance
