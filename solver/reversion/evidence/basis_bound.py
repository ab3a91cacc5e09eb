"""Upper confidence bounds of basis ratios, by the stationary bootstrap."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed, NotEnoughData

#: Resamples of a bound. The 95 % quantile of 499 is itself uncertain by one per cent of probability.
RESAMPLES = 499


def resampling_weights(observations: int, mean_block: float, chance: np.random.Generator) -> FloatArray:
    """Weight of each observation in each resample of the stationary bootstrap.

    Blocks start anywhere, have geometric lengths and wrap around. Neighbours stay together, because changes over H
    timesteps overlap, and because markets are calm or wild for a while.

    Parameters
    ----------
    observations : >= 1.
    mean_block : mean length of a block, >= 1.
    chance : draws the blocks.

    Returns
    -------
    (RESAMPLES, observations); each row sums to 1.

    Raises
    ------
    IllPosed : a parameter out of range.

    References
    ----------
    Politis and Romano (1994), The stationary bootstrap, Journal of the American Statistical Association 89(428).
    """
    if observations < 1 or not mean_block >= 1.0:
        raise IllPosed(f"observations and mean_block must be >= 1, got {observations} and {mean_block}")
    starts = chance.integers(observations, size=(RESAMPLES, observations))
    begins = chance.random((RESAMPLES, observations)) < 1.0 / mean_block
    begins[:, 0] = True
    index = np.arange(observations)
    begun = np.maximum.accumulate(np.where(begins, index, 0), axis=1)
    chosen = (np.take_along_axis(starts, begun, axis=1) + index - begun) % observations
    rows = np.arange(RESAMPLES)[:, None] * observations
    counts = np.bincount((chosen + rows).ravel(), minlength=RESAMPLES * observations)
    weights: FloatArray = counts.reshape(RESAMPLES, observations) / observations
    return weights


def basis_ratio_bounds(B: FloatArray, changes: FloatArray, weights: FloatArray, confidence: float) -> FloatArray:
    """Upper confidence bound of the basis ratio of each vector: the quantile of its resampled ratios.

    Percentiles of the ratio itself: on samples of the size that currencies give, they cover better than basic,
    lognormal or bias-corrected bounds do. With 125 changes over one timestep a 95 % bound covers 92 to 95 % (normal, t
    with 4 degrees of freedom, GARCH; ratios .1 and .3). Over ten timesteps, which leaves a dozen changes that do not
    overlap, it covers 84 to 91 %.

    One matrix product of (resamples, T) and (T, 2 (n + K)): .4 ms at T = 125, n = 11, K = 20.

    Parameters
    ----------
    B : (n, K) vectors as columns, none of them fitted to these changes.
    changes : (T, n) log-price changes over the hedging horizon, in the order of time.
    weights : (resamples, T) of `resampling_weights`.
    confidence : in (0, 1).

    Returns
    -------
    (K,) >= 0; infinite where no leg moved.

    Raises
    ------
    IllPosed : shapes that do not fit, or `confidence` out of range.
    NotEnoughData : fewer than two changes.
    """
    observations, n = changes.shape
    if B.ndim != 2 or B.shape[0] != n or weights.ndim != 2 or weights.shape[1] != observations:
        raise IllPosed(
            f"changes must be (T, n), B (n, K) and weights (resamples, T), "
            f"got {changes.shape}, {B.shape} and {weights.shape}"
        )
    if not 0.0 < confidence < 1.0:
        raise IllPosed(f"confidence must lie in (0, 1), got {confidence}")
    if observations < 2:
        raise NotEnoughData(f"a bound needs at least 2 changes, got {observations}")
    # About the mean of all changes, so that the variances below are not differences of large numbers.
    legs = changes - changes.mean(axis=0)
    both = np.hstack([legs @ B, legs])
    variances = np.maximum(weights @ both**2 - (weights @ both) ** 2, 0.0)
    kept, of_legs = variances[:, : B.shape[1]], variances[:, B.shape[1] :] @ B**2
    ratios = np.divide(kept, of_legs, out=np.full(kept.shape, np.inf), where=of_legs > 0.0)
    # "higher" takes the larger of two neighbouring resamples, and infinite ratios stay comparable.
    bounds: FloatArray = np.quantile(ratios, confidence, axis=0, method="higher")
    return bounds
