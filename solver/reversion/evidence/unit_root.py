"""Dickey and Fuller's test of a walk against reversion, for basket spreads whose weights were not chosen by their
levels.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from solver.arrays import FloatArray
from solver.errors import IllPosed, NotEnoughData
from solver.reversion.error_correction import centred_moments

# A basket spread did not move, or its changes are determined by those before them, when regression leaves less than
# this share of its legs' variance. Rounding of moments leaves about 1e-14.
_STILL = 1e-12

# Response surface of the Dickey-Fuller t-statistic with a constant, one series: the normal quantile of the p-value as
# a polynomial of the statistic, one for small p-values and one for large, and the ends of where they hold. MacKinnon
# (1994), as statsmodels.tsa.adfvalues holds it (copied, because that import takes a second).
_SMALL_P = (2.1659, 1.4412, 0.038269)
_LARGE_P = (1.7339, 0.93202, -0.12745, -0.010368)
_LEAST, _TURN, _LARGEST = -18.83, -1.61, 2.74


def dickey_fuller_statistics(moments: FloatArray, n: int, lags: int, B: FloatArray) -> FloatArray:
    """Augmented Dickey-Fuller t-statistic with a constant of each basket spread β'x, from moments alone.

    The t-statistic of ρ in Δs_t = ρ s_{t-1} + Σ γ_j Δs_{t-j} + c + ε_t; far below zero where the basket spread reverts.
    O(K (n lags)²), whatever the number of observations.

    Parameters
    ----------
    moments : sum of z z' over rows z of `johansen_row`; a row may have more entries behind these.
    n, lags : series, and lagged differences of each.
    B : (n, K) vectors as columns.

    Returns
    -------
    (K,); 0, which is no evidence, for a basket spread that did not move or that its own past determines.

    Raises
    ------
    IllPosed : shapes that do not fit.
    NotEnoughData : no observation is left for the error's variance.

    References
    ----------
    Said and Dickey (1984), Testing for unit roots in autoregressive-moving average models of unknown order, Biometrika
    71(3).
    """
    constant, blocks = n * (lags + 1), lags + 2
    dimension = n * blocks + 1
    if moments.ndim != 2 or min(moments.shape) < dimension or B.shape[:1] != (n,) or B.ndim != 2:
        raise IllPosed(
            f"moments of {n} series, {lags} lags must be at least ({dimension}, {dimension}) and B (n, K), "
            f"got {moments.shape} and {B.shape}"
        )
    observations = round(float(moments[constant, constant]))
    freedom = observations - lags - 2
    if freedom < 1:
        raise NotEnoughData(f"a test with {lags} lags needs at least {lags + 3} observations, got {observations}")
    entries = np.r_[0:constant, constant + 1 : dimension]
    centred = centred_moments(moments[:dimension, :dimension], constant)[np.ix_(entries, entries)]
    legs = centred.reshape(blocks, n, blocks, n)
    basket_spreads = np.einsum("ik,aibj,jk->kab", B, legs, B, optimize=True)
    own = np.einsum("aiai->ai", legs) @ B**2
    scale = np.sqrt(np.einsum("kaa->ka", basket_spreads).clip(min=0.0))
    still = np.any(scale**2 <= _STILL * own.T, axis=1)
    scale[still] = 1.0
    correlations = basket_spreads / (scale[:, :, None] * scale[:, None, :])
    correlations[still] = np.eye(blocks)
    # s_{t-1} goes last of the regressors: its pivot is then what the lagged changes leave of it.
    order = np.r_[1 : blocks - 1, 0, blocks - 1]
    pivots = np.linalg.cholesky(correlations[:, order[:, None], order] + 1e-15 * np.eye(blocks))
    explained, left = pivots[:, -1, -2], pivots[:, -1, -1]
    still |= np.any(np.square(np.einsum("kaa->ka", pivots)) <= _STILL, axis=1)
    statistics: FloatArray = np.where(still, 0.0, explained / np.where(still, 1.0, left) * np.sqrt(freedom))
    return statistics


def dickey_fuller_p_values(statistics: FloatArray) -> FloatArray:
    """Asymptotic chance of a smaller Dickey-Fuller t-statistic (constant, one series) for a walk.

    It holds for weights that were not chosen for reversion: fixed ones, or ones fitted to changes alone. Equal to
    `statsmodels.tsa.adfvalues.mackinnonp(statistic, "c", 1)`.

    References
    ----------
    MacKinnon (1994), Approximate asymptotic distribution functions for unit-root and cointegration tests, Journal of
    Business & Economic Statistics 12(2).
    """
    small = np.polynomial.polynomial.polyval(statistics, _SMALL_P)
    large = np.polynomial.polynomial.polyval(statistics, _LARGE_P)
    p_values: FloatArray = ndtr(np.where(statistics <= _TURN, small, large))
    return np.where(statistics < _LEAST, 0.0, np.where(statistics > _LARGEST, 1.0, p_values))
