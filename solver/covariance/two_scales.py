"""Variance from ticks whose prices carry noise: that of a fast scale is taken from that of a slow one."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.covariance.pairs import divided
from solver.kernels.compiled import compiled

# Rows of the scales: weighted squares over one tick, their weight, the same over `slow_ticks`.
_FAST, _FAST_WEIGHT, _SLOW, _SLOW_WEIGHT = range(4)


@compiled
def add_tick(
    recent: FloatArray, scales: FloatArray, counts: IntArray, asset: int, price: float, change: float, weight: float
) -> None:
    """Add a tick of `asset` to the sums of both scales, in place; O(1).

    Parameters
    ----------
    recent : (n, slow_ticks) the latest log prices of each asset, a ring.
    scales : (4, n) weighted squares over one tick and their weight, then the same over `slow_ticks` ticks.
    counts : (>= 1, n) row 0 counts the ticks of each asset.
    asset : its index.
    price : log price of the tick.
    change : log return since the tick before.
    weight : > 0, of this tick.
    """
    ticks = counts[0, asset]
    slot = ticks % recent.shape[1]
    if ticks > 0:
        scales[0, asset] += weight * change * change
        scales[1, asset] += weight
    if ticks >= recent.shape[1]:
        slow = price - recent[asset, slot]
        scales[2, asset] += weight * slow * slow
        scales[3, asset] += weight
    recent[asset, slot] = price
    counts[0, asset] = ticks + 1


def two_scales_variance(scales: FloatArray, slow_ticks: int, weighted_time: FloatArray) -> FloatArray:
    """Variance of each asset over one timestep, free of noise that is independent from tick to tick.

    With K = `slow_ticks`, the mean square over one tick is v + 2η², where v is the variance of the price between two
    ticks and η² that of the noise. Over K ticks, with all overlapping intervals, it is K v + 2η². The difference
    divided by K - 1 is v. Times the number of ticks in a timestep, this is the estimator of Zhang, Mykland and
    Aït-Sahalia with its correction for small samples.

    The difference can be zero or negative when little was seen or the noise is large. Then the slow scale is taken,
    noise included: a variance that is too large is better than none.

    Parameters
    ----------
    scales : (4, n) as `add_tick` keeps them.
    slow_ticks : K, >= 2.
    weighted_time : (n,) timesteps between the ticks of an asset, each times its weight.

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
