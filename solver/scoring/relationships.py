"""Whether given β vectors still hold on prices that came after they were chosen, and shuffled prices on which none
holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed, NotEnoughData
from solver.reversion.error_correction import half_life_of, johansen_moments
from solver.reversion.evidence.basis import basis_ratios, change_covariance
from solver.reversion.evidence.unit_root import dickey_fuller_p_values, dickey_fuller_statistics

# A basket spread did not move when its variance is below this share of its legs': rounding leaves about 1e-16.
_STILL = 1e-14


@dataclass(frozen=True, eq=False)
class Followed:
    """What β vectors did on a stretch of prices, (K,) each.

    Attributes
    ----------
    basis_ratios : of changes over the horizon; infinite where no leg moved.
    half_lives : timesteps, of an AR(1) about its own mean; infinite where it does not revert or did not move.
    p_values : of Dickey and Fuller's test that the basket spread is a walk. The weights are older than these prices, so
        the null distribution is that of given weights, whatever chose them.
    """

    basis_ratios: FloatArray
    half_lives: FloatArray
    p_values: FloatArray


def followed(log_prices: FloatArray, B: FloatArray, horizon_steps: int, lags: int) -> Followed:
    """Measure the vectors `B` on the stretch `log_prices`.

    A half-life estimated on a short stretch comes out short, for walks too. Compare it with the half-life on shuffled
    prices.

    Parameters
    ----------
    log_prices : (T, n), all later than what `B` was fitted to.
    B : (n, K)
    horizon_steps : H of the basis ratio, >= 1.
    lags : lagged differences in the test, >= 0.

    Raises
    ------
    IllPosed : shapes that do not fit, or a value that is not finite.
    NotEnoughData : too short for the horizon or the test.
    """
    if log_prices.ndim != 2 or B.ndim != 2 or B.shape[0] != log_prices.shape[1]:
        raise IllPosed(f"log_prices must be (T, n) and B (n, K), got {log_prices.shape} and {B.shape}")
    if not (np.all(np.isfinite(log_prices)) and np.all(np.isfinite(B))):
        raise IllPosed("log_prices and B must be finite")
    T, n = log_prices.shape
    if 2 * lags + 4 > T:
        raise NotEnoughData(f"a test with {lags} lags needs at least {2 * lags + 4} rows, got {T}")
    ratios = basis_ratios(B, change_covariance(log_prices, horizon_steps))
    centred = log_prices - log_prices.mean(axis=0)
    statistics = dickey_fuller_statistics(johansen_moments(centred, lags), n, lags, B)
    basket_spreads = centred @ B
    before = basket_spreads[:-1] - basket_spreads[:-1].mean(axis=0)
    variances = (before**2).sum(axis=0)
    moved = variances > _STILL * ((centred**2).sum(axis=0) @ B**2)
    slopes = (before * np.diff(basket_spreads, axis=0)).sum(axis=0) / np.where(moved, variances, 1.0)
    half_lives = [half_life_of(float(slope)) if moves else None for slope, moves in zip(slopes, moved, strict=True)]
    return Followed(
        basis_ratios=ratios,
        half_lives=np.array([np.inf if half_life is None else half_life for half_life in half_lives]),
        p_values=dickey_fuller_p_values(statistics),
    )


def block_shuffled(log_prices: FloatArray, block_steps: int, chance: np.random.Generator) -> FloatArray:
    """Prices from the same returns, where the returns of each asset are in blocks of another order.

    Every asset keeps its returns, its first and its last price, and the dependence within a block. The dependence
    between assets is gone, so no combination keeps less of its legs' variance, or reverts more, than by chance.

    Parameters
    ----------
    log_prices : (T, n)
    block_steps : returns of a block, >= 1; the last block is shorter where it does not divide T - 1.
    chance : draws the orders.

    Returns
    -------
    (T, n)

    Raises
    ------
    IllPosed : not (T, n) or `block_steps` < 1.
    NotEnoughData : fewer than three rows.
    """
    if log_prices.ndim != 2 or block_steps < 1:
        raise IllPosed(f"log_prices must be (T, n) and block_steps >= 1, got {log_prices.shape} and {block_steps}")
    T, n = log_prices.shape
    if T < 3:
        raise NotEnoughData(f"a shuffle needs at least 3 rows, got {T}")
    returns = np.diff(log_prices, axis=0)
    blocks = np.split(np.arange(T - 1), np.arange(block_steps, T - 1, block_steps))
    shuffled = np.empty_like(log_prices)
    shuffled[0] = log_prices[0]
    for i in range(n):
        order = np.concatenate([blocks[k] for k in chance.permutation(len(blocks))])
        shuffled[1:, i] = log_prices[0, i] + np.cumsum(returns[order, i])
    return shuffled
