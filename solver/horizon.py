"""Risk over many timesteps when some directions mean-revert."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed, UnstableModel

# Eigenvalues of a model fitted to walks lie around 1 within rounding. At 1 + 1e-9 a deviation grows by a millionth
# over a thousand steps.
_UNIT_CIRCLE = 1.0 + 1e-9


def horizon_covariance(Sigma: FloatArray, alpha: FloatArray, beta: FloatArray, steps: int) -> FloatArray:
    """Covariance of the log-price change over `steps` timesteps under an error-correction model.

    With ``A = I + alpha @ beta.T`` it is ``sum(A^k @ Sigma @ A^k.T for k < steps)``: directions in the span of
    `beta` stay bounded, the rest grows linearly. Given today's prices, that is: it holds no uncertainty of the model.

    The sum is doubled, S_2k = S_k + A^k S_k A^k', with one plain step for every binary one of `steps`.

    Parameters
    ----------
    Sigma : (n, n) one-step covariance of the innovations, log-return² per timestep; symmetric PSD.
    alpha, beta : (n, r) adjustment speeds per timestep and cointegrating vectors; r = 0 gives ``steps * Sigma``.
    steps : >= 1.

    Returns
    -------
    (n, n) symmetric PSD. O(n³ log steps).

    Raises
    ------
    IllPosed : shapes that do not fit, entries that are not finite, or `steps` < 1.
    UnstableModel : an eigenvalue of A lies outside the unit circle.

    References
    ----------
    Lütkepohl (2005), New Introduction to Multiple Time Series Analysis, ch. 6.
    """
    n = Sigma.shape[0]
    if Sigma.shape != (n, n) or alpha.ndim != 2 or alpha.shape[0] != n or beta.shape != alpha.shape:
        raise IllPosed(
            f"Sigma must be (n, n), alpha and beta (n, r), got {Sigma.shape}, {alpha.shape} and {beta.shape}"
        )
    if not (np.isfinite(Sigma).all() and np.isfinite(alpha).all() and np.isfinite(beta).all()):
        raise IllPosed("Sigma, alpha and beta must be finite")
    if steps < 1:
        raise IllPosed(f"steps must be >= 1, got {steps}")
    # A has n - r eigenvalues of exactly 1, the common trends; the others are those of this small matrix. Looked for in
    # A itself, the ones would come out on both sides of the circle.
    moduli = np.abs(np.linalg.eigvals(np.eye(beta.shape[1]) + beta.T @ alpha))
    if moduli.size and moduli.max() > _UNIT_CIRCLE:
        raise UnstableModel(
            f"an eigenvalue of I + alpha beta' has modulus {moduli.max():.6g}, above 1: deviations would explode; "
            f"leave out vectors that do not revert"
        )

    A = np.eye(n) + alpha @ beta.T
    power, total = A, Sigma
    for bit in bin(steps)[3:]:
        total = total + power @ total @ power.T
        power = power @ power
        if bit == "1":
            total = Sigma + A @ total @ A.T
            power = power @ A
    covariance: FloatArray = 0.5 * (total + total.T)
    return covariance
