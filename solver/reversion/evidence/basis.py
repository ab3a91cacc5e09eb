"""How much of its legs' variance a combination keeps."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed, NotEnoughData


def basis_ratios(B: FloatArray, change_covariance: FloatArray) -> FloatArray:
    """Basis ratio Var(β'Δ_H x) / Σ βᵢ² Var(Δ_H xᵢ) of each vector: 1 for independent walks, 0 for a perfect hedge.

    It does not depend on the scale of a vector. It compares variance per leg, not per unit of the leading leg, so that
    combinations of few and of many legs can be compared.

    Parameters
    ----------
    B : (n, K) vectors as columns.
    change_covariance : (n, n) covariance of the log-price changes over H timesteps.

    Returns
    -------
    (K,) >= 0; infinite where no leg moved, which shows no hedge.

    Raises
    ------
    IllPosed : shapes that do not fit.
    """
    n = change_covariance.shape[0]
    if B.ndim != 2 or B.shape[0] != n or change_covariance.shape != (n, n):
        raise IllPosed(f"B must be (n, K) and the covariance (n, n), got {B.shape} and {change_covariance.shape}")
    # Rounding can leave a perfect hedge just below zero.
    kept = np.maximum(np.einsum("ik,ij,jk->k", B, change_covariance, B), 0.0)
    of_legs = np.diag(change_covariance) @ B**2
    ratios: FloatArray = np.divide(kept, of_legs, out=np.full(B.shape[1], np.inf), where=of_legs > 0.0)
    return ratios


def change_covariance(log_prices: FloatArray, horizon_steps: int) -> FloatArray:
    """Covariance about their mean of the overlapping changes over `horizon_steps` timesteps.

    Overlap uses every start and so wastes no data; neighbouring changes are correlated, so their number overstates the
    evidence by a factor of about `horizon_steps`.

    Parameters
    ----------
    log_prices : (T, n).
    horizon_steps : >= 1.

    Returns
    -------
    (n, n), log-return² per `horizon_steps`.

    Raises
    ------
    IllPosed : `horizon_steps` < 1.
    NotEnoughData : fewer than two changes.
    """
    if horizon_steps < 1:
        raise IllPosed(f"horizon_steps must be >= 1, got {horizon_steps}")
    if log_prices.shape[0] < horizon_steps + 2:
        raise NotEnoughData(
            f"changes over {horizon_steps} steps need at least {horizon_steps + 2} rows, got {log_prices.shape[0]}"
        )
    changes = log_prices[horizon_steps:] - log_prices[:-horizon_steps]
    centred = changes - changes.mean(axis=0)
    covariance: FloatArray = centred.T @ centred / len(changes)
    return covariance
