"""QLIKE: a loss that ranks covariance forecasts correctly although the true covariance is never seen."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.scoring.calibration import whitened_outcomes


def qlike(variances: FloatArray, outcomes: FloatArray) -> FloatArray:
    """log h + r² / h of each forecast variance h and its outcome r; less is better.

    Whatever unbiased proxy stands for the true variance (here r²), the better of two forecasts has the lower mean loss.
    It punishes a risk forecast too low far more than one too high.

    Parameters
    ----------
    variances : > 0, any shape.
    outcomes : the same shape.

    Returns
    -------
    Losses of that shape, in nats.

    Raises
    ------
    IllPosed : other shapes, a variance that is not > 0, or a value that is not finite.

    References
    ----------
    Patton (2011), Volatility forecast comparison using imperfect volatility proxies, Journal of Econometrics 160(1).
    """
    if variances.shape != outcomes.shape:
        raise IllPosed(f"variances and outcomes must have one shape, got {variances.shape} and {outcomes.shape}")
    if not (np.all(np.isfinite(variances)) and np.all(variances > 0.0) and np.all(np.isfinite(outcomes))):
        raise IllPosed("variances must be finite and > 0, and outcomes finite")
    losses: FloatArray = np.log(variances) + outcomes**2 / variances
    return losses


def multivariate_qlike(Sigmas: FloatArray, outcomes: FloatArray) -> FloatArray:
    """log det Σ + r'Σ⁻¹r of each forecast covariance, less is better.

    It is twice the negative log-likelihood of a normal outcome, less n log 2π.

    Parameters
    ----------
    Sigmas : (T, n, n), positive definite.
    outcomes : (T, n)

    Returns
    -------
    (T,), in nats. O(T n³).

    Raises
    ------
    IllPosed : shapes that do not fit, a value that is not finite, or a covariance that is not positive definite.

    References
    ----------
    Patton and Sheppard (2009), Evaluating volatility and correlation forecasts, Handbook of Financial Time Series.
    """
    whitened, log_determinants = whitened_outcomes(Sigmas, outcomes)
    losses: FloatArray = log_determinants + (whitened**2).sum(axis=1)
    return losses
