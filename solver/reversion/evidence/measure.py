"""How strongly given combinations revert, whatever proposed them."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from scipy.linalg import lapack

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.reversion.error_correction import ErrorCorrection, half_life_of, regress_legs
from solver.reversion.evidence.null_distributions import first_relation_p_values
from solver.reversion.vector import LEADING_SHARE, LevelMethod, ReversionVector, canonical_weights


def measured(regression: ErrorCorrection, B: FloatArray, method: LevelMethod) -> tuple[ReversionVector, ...]:
    """Half-life, volatility and evidence of each vector on the regression's rows.

    Parameters
    ----------
    regression : of the rows.
    B : (n, K) vectors as columns, any scale.
    method : what proposed them.

    Returns
    -------
    K vectors in canonical form, in the order of `B`. O(n³ K).

    Raises
    ------
    IllPosed : `B` has another shape, or a vector is zero or not finite.
    """
    if B.ndim != 2 or B.shape[0] != regression.n:
        raise IllPosed(f"B must be ({regression.n}, K), got {B.shape}")
    canonical = [canonical_weights(weights, LEADING_SHARE) for weights in B.T]
    if not canonical:
        return ()
    B = np.array(canonical).T
    volatilities, half_lives = basket_spread_behaviour(regression, B)
    statistics, p_values = reversion_tests(regression, B)
    return tuple(
        ReversionVector(
            weights=canonical[k],
            method=method,
            half_life_steps=half_lives[k],
            half_life_interval_steps=None,
            period_steps=None,
            spread_volatility=float(volatilities[k]),
            statistic=float(statistics[k]),
            p_value=float(p_values[k]),
        )
        for k in range(len(canonical))
    )


def reversion_tests(regression: ErrorCorrection, B: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Likelihood ratio of each β among its own legs, and its p-value for the best vector of as many legs.

    A vector of k legs is tested in the regression of these legs alone, against the null distribution of k walks. The
    p-value is multiplied by the number of ways to choose k legs of n (Bonferroni). So it holds for weights and legs
    chosen from the same data, and a vector of few legs is not compared with the best that all n could do. The statistic
    is first corrected for the size of the sample (`ErrorCorrection.small_sample_factor`).

    Parameters
    ----------
    regression : of the rows.
    B : (n, K), any scale; a weight of exactly zero is no leg.

    Returns
    -------
    (K,) statistics >= 0 and (K,) p-values, at most 1.
    """
    statistics, p_values = np.empty(B.shape[1]), np.empty(B.shape[1])
    dense = (B != 0.0).all(axis=0)
    if dense.any():
        statistics[dense] = likelihood_ratios(regression, B[:, dense])
        corrected = statistics[dense] * regression.small_sample_factor
        p_values[dense] = first_relation_p_values(corrected, regression.n, regression.constant)
    for k in np.flatnonzero(~dense):
        legs = np.flatnonzero(B[:, k])
        own = regress_legs(regression, legs)
        statistics[k] = likelihood_ratios(own, B[legs, k : k + 1])[0]
        corrected = statistics[k : k + 1] * own.small_sample_factor
        p_value = first_relation_p_values(corrected, len(legs), regression.constant)[0]
        p_values[k] = min(comb(regression.n, len(legs)) * p_value, 1.0)
    return statistics, p_values


def basket_spread_behaviour(regression: ErrorCorrection, B: FloatArray) -> tuple[FloatArray, Sequence[float | None]]:
    """Standard deviation of the level of each basket spread β'x, and the half-life of an AR(1) fitted to it.

    Parameters
    ----------
    regression : of the rows.
    B : (n, K).

    Returns
    -------
    (K,) standard deviations in log price, and K half-lives in timesteps, None where it does not revert.
    """
    variances = (B * (regression.levels @ B)).sum(axis=0)
    reversions = (B * (regression.levels_and_changes @ B)).sum(axis=0) / variances
    return np.sqrt(variances), [half_life_of(reversion) for reversion in reversions.tolist()]


def likelihood_ratios(regression: ErrorCorrection, B: FloatArray) -> FloatArray:
    """Likelihood ratio of Δx_t = α β'x_{t-1} + ... against α = 0, for each given β.

    -T log(1 - λ), where λ is the squared correlation of β'x_{t-1} with the changes, after regression of both on lagged
    differences and dummies. A restricted constant is fitted to each relation. No β has a larger ratio than Johansen's
    first vector, whose ratio is the maximum-eigenvalue statistic for r = 0. So the null distribution of that statistic
    holds, on the safe side, for a β chosen from the same data in whatever way: it is Scheffé's argument for contrasts.

    Parameters
    ----------
    regression : of the rows.
    B : (n, K), any scale.

    Returns
    -------
    (K,) >= 0.

    References
    ----------
    Johansen (1991), Econometrica 59(6). Scheffé (1953), A method for judging all contrasts in the analysis of variance,
    Biometrika 40(1-2). Roy (1953), On a heuristic method of test construction, Annals of Mathematical Statistics 24(2).
    """
    n = regression.n
    response, noise = regression.response, regression.noise_factor
    change_factor, _ = lapack.dpotrf(response @ response.T + noise @ noise.T, lower=1)
    signal = lapack.dtrtrs(change_factor, response, lower=1)[0]
    # Where the relation has a constant, it comes first in the factor. The residual levels are then free of it, and the
    # two directions are orthogonal.
    directions = regression.level_factor[-n:, -n:].T @ B
    directions /= np.sqrt((directions**2).sum(axis=0))
    explained = signal[:, -n:] @ directions
    shares = (explained**2).sum(axis=0)
    if regression.constant == "restricted":
        level = signal[:, 0]
        own, cross = float(level @ level), level @ explained
        shares = (shares + own + np.sqrt((shares - own) ** 2 + 4.0 * cross**2)) / 2.0
    ratios: FloatArray = -regression.observations * np.log1p(-shares)
    return ratios
