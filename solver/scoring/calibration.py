"""Whether outcomes are as large as their forecast: standardised outcomes, the bias statistic, the Mahalanobis score."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed, NotEnoughData


def standardised_outcomes(Sigmas: FloatArray, outcomes: FloatArray, weights: FloatArray) -> FloatArray:
    """z = w'r / √(w'Σw): each portfolio's outcome in units of what was forecast.

    Parameters
    ----------
    Sigmas : (T, n, n) covariances, each known before its outcome.
    outcomes : (T, n) returns over the span that the covariances are for.
    weights : (K, n) portfolios, or (T, K, n) where they change.

    Returns
    -------
    (T, K); NaN where a portfolio has no forecast risk, which no outcome can be measured by. O(T K n²).

    Raises
    ------
    IllPosed : shapes that do not fit, or a value that is not finite.
    """
    checked_forecasts(Sigmas, outcomes)
    weights = np.asarray(weights, dtype=np.float64)
    fixed = weights.ndim == 2
    if weights.shape[-1:] != outcomes.shape[1:] or not (fixed or (weights.ndim == 3 and len(weights) == len(outcomes))):
        raise IllPosed(f"weights must be (K, {outcomes.shape[1]}) or (T, K, n), got {weights.shape}")
    if fixed:
        earned = outcomes @ weights.T
        variances = ((weights @ Sigmas) * weights).sum(axis=2)
    else:
        earned = np.einsum("tkn,tn->tk", weights, outcomes)
        variances = ((weights @ Sigmas) * weights).sum(axis=2)
    z: FloatArray = np.divide(
        earned, np.sqrt(variances.clip(min=0.0)), out=np.full(earned.shape, np.nan), where=variances > 0.0
    )
    return z


def bias_statistics(z: FloatArray) -> FloatArray:
    """Standard deviation over time of each portfolio's standardised outcomes: 1 for a forecast that is right.

    Above 1 the risk was forecast too low. A right forecast of T normal outcomes gives 1 ± √(2 / T) in 95 % of cases;
    tails heavier than normal widen that, which is why an interval should come from resampling.

    Parameters
    ----------
    z : (T, K), NaN where there was no forecast.

    Returns
    -------
    (K,)

    Raises
    ------
    IllPosed : not (T, K).
    NotEnoughData : a portfolio with fewer than two outcomes.

    References
    ----------
    Menchero, Morozov and Pasqua (2013), Predicting risk at short horizons, MSCI Model Insight.
    """
    if z.ndim != 2:
        raise IllPosed(f"z must be (T, K), got {z.shape}")
    fewest = int(np.isfinite(z).sum(axis=0).min(initial=len(z)))
    if fewest < 2:
        raise NotEnoughData(f"a bias statistic needs at least 2 outcomes of each portfolio, got {fewest}")
    return np.asarray(np.nanstd(z, axis=0, ddof=1))


def mahalanobis_ratios(Sigmas: FloatArray, outcomes: FloatArray) -> FloatArray:
    """r'Σ⁻¹r / n of each outcome: 1 in the mean where the whole covariance is right, more where it is too small.

    It weighs all directions alike, so the one that the covariance thinks is nearly without risk counts as much as the
    market. The sampling error of Σ from T normal returns alone makes the mean T / (T - n - 1).

    Parameters
    ----------
    Sigmas : (T, n, n), positive definite.
    outcomes : (T, n)

    Returns
    -------
    (T,) >= 0. O(T n³).

    Raises
    ------
    IllPosed : shapes that do not fit, a value that is not finite, or a covariance that is not positive definite.
    """
    whitened, _ = whitened_outcomes(Sigmas, outcomes)
    ratios: FloatArray = (whitened**2).mean(axis=1)
    return ratios


def whitened_outcomes(Sigmas: FloatArray, outcomes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """L⁻¹r with Σ = LL', and log det Σ, of each forecast; raises as `mahalanobis_ratios`."""
    checked_forecasts(Sigmas, outcomes)
    try:
        factors = np.linalg.cholesky(Sigmas)
    except np.linalg.LinAlgError as exc:
        raise IllPosed("Sigmas must be positive definite, got one that is not") from exc
    log_determinants = 2.0 * np.log(np.einsum("tii->ti", factors)).sum(axis=1)
    return np.linalg.solve(factors, outcomes[:, :, None])[:, :, 0], log_determinants


def checked_forecasts(Sigmas: FloatArray, outcomes: FloatArray | None = None) -> None:
    """IllPosed unless `Sigmas` is (T, n, n) and `outcomes` (T, n), both finite."""
    if Sigmas.ndim != 3 or Sigmas.shape[1] != Sigmas.shape[2]:
        raise IllPosed(f"Sigmas must be (T, n, n), got {Sigmas.shape}")
    if not np.all(np.isfinite(Sigmas)):
        raise IllPosed("Sigmas must be finite")
    if outcomes is None:
        return
    if outcomes.shape != Sigmas.shape[:2]:
        raise IllPosed(f"outcomes must be {Sigmas.shape[:2]}, got {outcomes.shape}")
    if not np.all(np.isfinite(outcomes)):
        raise IllPosed("outcomes must be finite")
