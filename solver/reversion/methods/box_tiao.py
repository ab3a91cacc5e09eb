"""Box and Tiao's canonical decomposition: combinations ordered by how little of them can be predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from solver.arrays import FloatArray
from solver.reversion.error_correction import ErrorCorrection


@dataclass(frozen=True, eq=False)
class BoxTiao:
    """The decomposition; vectors are columns, the least predictable first.

    Attributes
    ----------
    predictability : (n,) rising, in [0, 1): share of the variance of β'x_t that the past predicts. It is near 1 for a
        random walk and 0 for a basket spread without memory. With no lagged differences, that of an AR(1) is its
        squared coefficient.
    beta : (n, n), scaled so that β'x_t has variance 1, the largest weight positive.
    """

    predictability: FloatArray
    beta: FloatArray


def box_tiao(regression: ErrorCorrection) -> BoxTiao:
    """Minimise Var(E[β'x_t | past]) / Var(β'x_t), in directions uncorrelated with those before; O(n³).

    The past is that of the regression: levels, lagged differences, dummies and a constant. The ratio divides by the
    variance in the window, which is large for a random walk, so the vectors of little predictability are those that
    revert fast. The constant is free, whatever the regression says of it.

    References
    ----------
    Box and Tiao (1977), A canonical analysis of multiple time series, Biometrika 64(2).
    """
    n = regression.n
    covariance = (
        regression.levels + regression.levels_and_changes + regression.levels_and_changes.T + regression.changes
    )
    # What cannot be predicted has covariance L00 L00' / T. 1 / (1 - predictability) are the eigenvalues of
    # L00⁻¹ T Cov(x) L00⁻¹'.
    noise = regression.noise_factor / np.sqrt(regression.observations)
    half = lapack.dtrtrs(noise, covariance, lower=1)[0]
    whitened = lapack.dtrtrs(noise, half.T, lower=1)[0]
    ratios, vectors, _ = lapack.dsyevd(whitened, lower=1)
    beta = lapack.dtrtrs(noise, vectors, lower=1, trans=1)[0] / np.sqrt(ratios)
    beta *= np.sign(beta[np.abs(beta).argmax(axis=0), np.arange(n)])
    return BoxTiao(predictability=1.0 - 1.0 / ratios, beta=beta)
