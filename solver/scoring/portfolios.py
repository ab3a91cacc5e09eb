"""Test portfolios: directions in which a covariance is compared with what followed.

A covariance may be right for every asset and wrong for what matters. So the families differ in how hard they test:
single assets test the variances, random portfolios test what a book looks like, and weights that the covariance itself
chose find its errors.

References
----------
Menchero, Morozov and Pasqua (2013), Predicting risk at short horizons, MSCI Model Insight.
Menchero, Wang and Orr (2012), Improving risk forecasts for optimized portfolios, Financial Analysts Journal 68(3).
"""

from __future__ import annotations

import numpy as np

from solver.arrays import BoolArray, FloatArray
from solver.errors import IllPosed
from solver.scoring.calibration import checked_forecasts

# A covariance whose correlation matrix has an eigenvalue below this has, up to rounding, a portfolio without risk.
SINGULAR_EIGENVALUE = 1e-10


def random_long_only(n: int, count: int, chance: np.random.Generator) -> FloatArray:
    """(count, n) weights >= 0 that sum to 1, uniform on the simplex."""
    _checked_counts(n, count)
    return chance.dirichlet(np.ones(n), count)


def random_long_short(n: int, count: int, chance: np.random.Generator) -> FloatArray:
    """(count, n) weights of random sign, of length 1, uniform on the sphere."""
    _checked_counts(n, count)
    weights = chance.normal(size=(count, n))
    unit: FloatArray = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    return unit


def minimum_variance(Sigmas: FloatArray) -> FloatArray:
    """The fully invested portfolio of least forecast variance, Σ⁻¹1 / 1'Σ⁻¹1, of each covariance.

    Its forecast is too low by construction: it is chosen where the estimate errs downwards.

    Parameters
    ----------
    Sigmas : (T, n, n), positive definite.

    Returns
    -------
    (T, n). O(T n³).

    Raises
    ------
    IllPosed : wrong shape, not finite, or not positive definite.
    """
    checked_forecasts(Sigmas)
    scale = np.sqrt(np.einsum("tii->ti", Sigmas))
    if not np.all(scale > 0.0):
        raise IllPosed("minimum_variance needs covariances without assets of no variance")
    # Solved among the correlations, whose condition does not suffer from assets of very different volatility.
    correlations = Sigmas / (scale[:, :, None] * scale[:, None, :])
    try:
        weights = np.linalg.solve(correlations, (1.0 / scale)[:, :, None])[:, :, 0] / scale
    except np.linalg.LinAlgError as exc:
        raise IllPosed("minimum_variance needs positive definite covariances, got a singular one") from exc
    normed: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return normed


def eigenportfolios(Sigmas: FloatArray) -> FloatArray:
    """Eigenvectors of each covariance as portfolios of length 1, least forecast variance first.

    Parameters
    ----------
    Sigmas : (T, n, n), symmetric.

    Returns
    -------
    (T, n, n): [t, k] is the k-th portfolio. O(T n³).

    Raises
    ------
    IllPosed : wrong shape or not finite.
    """
    checked_forecasts(Sigmas)
    return np.ascontiguousarray(np.linalg.eigh(Sigmas)[1].transpose(0, 2, 1))


def are_regular(Sigmas: FloatArray) -> BoolArray:
    """(T,) whether every portfolio has a risk: all variances > 0, no eigenvalue of the correlations near zero."""
    checked_forecasts(Sigmas)
    scale = np.sqrt(np.einsum("tii->ti", Sigmas).clip(min=0.0))
    still = np.asarray(~(scale > 0.0).all(axis=1))
    scale[still] = 1.0
    smallest = np.linalg.eigvalsh(Sigmas / (scale[:, :, None] * scale[:, None, :]))[:, 0]
    regular: BoolArray = ~still & (smallest > SINGULAR_EIGENVALUE)
    return regular


def _checked_counts(n: int, count: int) -> None:
    if n < 1 or count < 1:
        raise IllPosed(f"n and count must be >= 1, got {n} and {count}")
