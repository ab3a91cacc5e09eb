"""Shrinkage of a zero-mean sample covariance: the linear kinds, and which kinds there are."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

from solver.arrays import FloatArray
from solver.covariance.nonlinear import nonlinear_shrinkage
from solver.errors import IllPosed

Shrinkage: TypeAlias = Literal["none", "ledoit-wolf", "oas", "nonlinear"]


def shrunk(
    Sigma: FloatArray, shrinkage: Shrinkage, fourth_moments: FloatArray | None, observations: FloatArray
) -> FloatArray:
    """`Sigma` shrunk by the method of that name.

    Parameters
    ----------
    Sigma : (n, n) sample covariance about zero.
    shrinkage : which method.
    fourth_moments : (n, n) what `ledoit_wolf` takes; None for the others.
    observations : (n, n) how many returns stand behind each entry. `oas` and `nonlinear_shrinkage` take one number, and
        are given the harmonic mean: sampling errors go with 1/T, so they add up to the same.
    """
    if shrinkage == "none":
        return Sigma
    if shrinkage == "ledoit-wolf":
        assert fourth_moments is not None
        return ledoit_wolf(Sigma, fourth_moments, observations)
    T = float(1.0 / np.mean(1.0 / observations))
    return oas(Sigma, T) if shrinkage == "oas" else nonlinear_shrinkage(Sigma, T)


def ledoit_wolf(Sigma: FloatArray, fourth_moments: FloatArray, observations: FloatArray | float) -> FloatArray:
    """Shrink a zero-mean sample covariance towards μI, μ its mean variance, with the asymptotically best intensity.

    (1 - b²/d²) S + (b²/d²) μI with d² = ‖S - μI‖²_F and b² = min(Σ_ij (E[r_i² r_j²] - S_ij²) / T_ij, d²).

    The target gives every asset the same variance, so the result follows a common change of scale but not one of a
    single asset.

    Parameters
    ----------
    Sigma : (n, n) sample covariance S about zero.
    fourth_moments : (n, n) the means of r_i² r_j² over the returns that S was estimated on.
    observations : T, > 0, for all or (n, n) for each entry; the effective number where returns are weighted.

    Returns
    -------
    (n, n).

    References
    ----------
    Ledoit and Wolf (2004), A well-conditioned estimator for large-dimensional covariance matrices, Journal of
    Multivariate Analysis 88, section 3.2.
    """
    target = _mean_variance(Sigma) * np.eye(len(Sigma))
    distance = float(np.sum((Sigma - target) ** 2))
    sampling_error = min(float(np.sum((fourth_moments - Sigma**2) / observations)), distance)
    # No distance: S is its own target, and any intensity gives the same.
    intensity = max(sampling_error, 0.0) / distance if distance > 0.0 else 0.0
    return (1.0 - intensity) * Sigma + intensity * target


def oas(Sigma: FloatArray, observations: float) -> FloatArray:
    """Shrink a zero-mean sample covariance towards μI, μ its mean variance, as best for normal returns.

    (1 - ρ) S + ρ μI with ρ = min(((1 - 2/n) tr S² + tr² S) / ((T + 1 - 2/n)(tr S² - tr² S / n)), 1).

    Parameters
    ----------
    Sigma : (n, n) sample covariance S about zero.
    observations : T, > 0; the effective number where returns are weighted.

    Returns
    -------
    (n, n).

    References
    ----------
    Chen, Wiesel, Eldar and Hero (2010), Shrinkage algorithms for MMSE covariance estimation, IEEE Transactions on
    Signal Processing 58, eq. 23. (scikit-learn leaves the 2/n out, which for few assets shrinks too much.)
    """
    n = len(Sigma)
    trace, of_square = float(np.trace(Sigma)), float(np.sum(Sigma**2))
    distance = of_square - trace**2 / n
    wanted = (1.0 - 2.0 / n) * of_square + trace**2
    scale = (observations + 1.0 - 2.0 / n) * distance
    # Also where S is its own target: then any intensity gives the same.
    intensity = wanted / scale if wanted < scale else 1.0
    return (1.0 - intensity) * Sigma + intensity * _mean_variance(Sigma) * np.eye(n)


def checked_shrinkage(n: int, shrinkage: Shrinkage) -> Shrinkage:
    """`shrinkage`; IllPosed when there is none of that name, or no asset to apply it to."""
    if n < 1:
        raise IllPosed(f"n must be >= 1, got {n}")
    if shrinkage not in get_args(Shrinkage):
        raise IllPosed(f"shrinkage must be one of {get_args(Shrinkage)}, got {shrinkage!r}")
    return shrinkage


def _mean_variance(Sigma: FloatArray) -> float:
    return float(np.trace(Sigma)) / len(Sigma)
