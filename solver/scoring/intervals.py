"""Intervals for means of autocorrelated series, and for shares that were counted in groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta as beta_distribution

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed, NotEnoughData

_RESAMPLES = 999


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its confidence interval."""

    estimate: float
    lower: float
    upper: float


def bootstrap_interval(
    series: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    block_steps: int,
    confidence: float,
    chance: np.random.Generator,
) -> Interval:
    """Percentile interval of a function of means, by the circular block bootstrap.

    Blocks of neighbouring rows are drawn together, which keeps the dependence in time. A block wraps around the end,
    which gives every row the same chance.

    Parameters
    ----------
    series : (T, K) rows in the order of time, finite.
    statistic : of means (..., K) to estimates (...).
    block_steps : rows of a block, >= 1; at most T are taken.
    confidence : in (0, 1).
    chance : draws the blocks.

    Raises
    ------
    IllPosed : an argument out of range, or a value that is not finite.
    NotEnoughData : fewer than two rows.

    References
    ----------
    Politis and Romano (1992), A circular block-resampling procedure for stationary data, in Exploring the Limits of
    Bootstrap. Efron (1979), Bootstrap methods, Annals of Statistics 7(1).
    """
    if series.ndim != 2 or not np.all(np.isfinite(series)):
        raise IllPosed(f"series must be (T, K) and finite, got {series.shape}")
    if block_steps < 1 or not 0.0 < confidence < 1.0:
        raise IllPosed(f"block_steps must be >= 1 and confidence in (0, 1), got {block_steps} and {confidence}")
    T = len(series)
    if T < 2:
        raise NotEnoughData(f"an interval needs at least 2 rows, got {T}")
    block = min(block_steps, T)
    blocks = math.ceil(T / block)
    sums = np.vstack([np.zeros(series.shape[1]), np.cumsum(np.vstack([series, series[: block - 1]]), axis=0)])
    block_means = (sums[block:] - sums[:-block]) / block
    starts = chance.integers(T, size=(_RESAMPLES, blocks))
    resampled = statistic(np.array([block_means[drawn].mean(axis=0) for drawn in starts]))
    lower, upper = np.quantile(resampled, [0.5 - confidence / 2.0, 0.5 + confidence / 2.0])
    return Interval(float(statistic(series.mean(axis=0))), float(lower), float(upper))


def clustered_share(successes: IntArray, trials: IntArray, confidence: float) -> Interval:
    """Share of successes over groups whose members share their fate, with a Clopper-Pearson interval of fewer trials.

    The trials count as p (1 - p) / v independent ones, where v is the variance of the share over the groups. They count
    as at most as many as there are. Where all or none succeeded, v says nothing, and they count as many as there are
    groups.

    Parameters
    ----------
    successes, trials : (G,) of each group, 0 <= successes <= trials.
    confidence : in (0, 1).

    Returns
    -------
    The share; NaN with bounds 0 and 1 where there were no trials.

    Raises
    ------
    IllPosed : shapes that do not fit, or counts or confidence out of range.

    References
    ----------
    Korn and Graubard (1998), Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data, Survey Methodology 24(2).
    """
    if successes.shape != trials.shape or successes.ndim != 1:
        raise IllPosed(f"successes and trials must be (G,), got {successes.shape} and {trials.shape}")
    if np.any(successes < 0) or np.any(successes > trials) or not 0.0 < confidence < 1.0:
        raise IllPosed("0 <= successes <= trials and a confidence in (0, 1) are needed")
    successes, trials = successes[trials > 0], trials[trials > 0]
    groups, total = len(trials), int(trials.sum())
    if total == 0:
        return Interval(math.nan, 0.0, 1.0)
    share = float(successes.sum() / total)
    effective = float(groups)
    if groups > 1 and 0.0 < share < 1.0:
        excess = successes - share * trials
        variance = groups / (groups - 1) * float(excess @ excess) / total**2
        effective = min(share * (1.0 - share) / variance, float(total)) if variance > 0.0 else float(total)
    x, tail = share * effective, (1.0 - confidence) / 2.0
    lower = 0.0 if share == 0.0 else float(beta_distribution.ppf(tail, x, effective - x + 1.0))
    upper = 1.0 if share == 1.0 else float(beta_distribution.ppf(1.0 - tail, x + 1.0, effective - x))
    return Interval(share, lower, upper)
