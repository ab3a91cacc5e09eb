"""Risk over many timesteps when some directions mean-revert."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from solver.arrays import FloatArray
from solver.errors import IllPosed, UnstableModel

# Eigenvalues of a model fitted to walks lie around 1 within rounding. At 1 + 1e-9 a deviation grows by a millionth
# over a thousand steps.
_UNIT_CIRCLE = 1.0 + 1e-9

# A direction counts as one that does not move when its share of the correlation matrix' trace is below this. That is
# far above rounding, and where the packing's own test of a covariance draws the line.
_STILL_DIRECTION = 1e-10

# A pull below this share in a step leaves no stationary distribution to speak of.
_LEAST_PULL = 1e-9


def horizon_covariance(Sigma: FloatArray, alpha: FloatArray, beta: FloatArray, steps: int) -> FloatArray:
    """Covariance of the log-price change over `steps` timesteps under an error-correction model.

    With ``A = I + alpha @ beta.T`` it is ``sum(A^k @ Sigma @ A^k.T for k < steps)``: directions in the span of `beta`
    stay bounded, the rest grows linearly. It is the covariance given today's prices and the model; uncertainty about
    the model is not in it.

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
    _checked(Sigma, alpha, beta, steps)
    # A has n - r eigenvalues of exactly 1, the common trends; the others are those of this small matrix. Computed from
    # A itself, the trends would come out on both sides of the circle.
    moduli = np.abs(np.linalg.eigvals(np.eye(beta.shape[1]) + beta.T @ alpha))
    if moduli.size and moduli.max() > _UNIT_CIRCLE:
        raise UnstableModel(
            f"an eigenvalue of I + alpha beta' has modulus {moduli.max():.6g}, above 1: deviations would explode; "
            f"leave out vectors that do not revert"
        )

    A = np.eye(len(Sigma)) + alpha @ beta.T
    power, total = A, Sigma
    for bit in bin(steps)[3:]:
        total = total + power @ total @ power.T
        power = power @ power
        if bit == "1":
            total = Sigma + A @ total @ A.T
            power = power @ A
    covariance: FloatArray = 0.5 * (total + total.T)
    return covariance


def stationary_horizon_covariance(Sigma: FloatArray, alpha: FloatArray, beta: FloatArray, steps: int) -> FloatArray:
    """Covariance of the log-price change over `steps` timesteps, averaged over where the basket spreads are today.

    `horizon_covariance` conditions on today's basket spreads, so the reversion that is due is not in it. Here that
    reversion counts as change too, as a trend does in the covariance of one step: nobody hedges by forecasting it, and
    a profit over H is off by all of it. With basket spreads from their stationary distribution, of covariance V,

        Σ_H = sum(A^k Ω A^k' for k < H) + (A^H - I) Var(x) (A^H - I)',   Ω = Σ - α V α',

    where (A^H - I) Var(x) (A^H - I)' = α P V P' α' with P = sum(M^k for k < H), M = I + β'α. Ω is the covariance of the
    innovations and Σ that of the returns: the live estimator sees the pull as well as the noise. V follows from Σ, so
    that the speeds come from the fit and the scale from the latest covariance: Var(β'Δx) = β'Σβ gives K V + V K' =
    β'Σβ, K = -β'α.

    So Σ_1 = Σ, and without pull Σ_H = H Σ. A single basket spread has 2 Var(s) (1 - φ^H), which is more than its
    variance given where it is today. In the directions of the basket spreads a pull takes risk away. An asset that
    follows a livelier one has more than H times its own variance.

    Σ and α need not come from the same data, and then Ω can have negative variances. So all of α is slowed by one
    factor, which makes its least variance zero (V grows as α falls, so α V α' falls with it). Directions in which Σ
    does not move cannot be pulled, and α is projected off them.

    Parameters
    ----------
    Sigma : (n, n) covariance of log returns over one timestep, symmetric PSD.
    alpha, beta : (n, r) adjustment speeds per timestep and vectors; r = 0 gives ``steps * Sigma``.
    steps : >= 1.

    Returns
    -------
    (n, n) symmetric PSD. O(n³ log steps).

    Raises
    ------
    IllPosed : shapes that do not fit, entries that are not finite, or `steps` < 1.
    UnstableModel : an eigenvalue of β'α does not lie left of zero: a basket spread does not come back.

    References
    ----------
    Lütkepohl (2005), New Introduction to Multiple Time Series Analysis, sections 2.1.4 and 6.
    """
    _checked(Sigma, alpha, beta, steps)
    if not alpha.any():
        walk: FloatArray = steps * Sigma
        return walk
    volatility = np.sqrt(np.diag(Sigma))
    unit = np.where(volatility > 0.0, volatility, 1.0)
    shares, directions = np.linalg.eigh(Sigma / np.outer(unit, unit))
    moving = shares > _STILL_DIRECTION * shares.sum()
    along = directions[:, moving].T @ (alpha / unit[:, None])
    alpha = unit[:, None] * (directions[:, moving] @ along)

    K = -beta.T @ alpha
    slowest = float(np.linalg.eigvals(K).real.min())
    if slowest < _LEAST_PULL:
        raise UnstableModel(
            f"an eigenvalue of beta'alpha has the real part {-slowest:.6g}, not below 0: a basket spread does not "
            f"come back; "
            f"leave out vectors that do not revert"
        )
    V = solve_continuous_lyapunov(K, beta.T @ Sigma @ beta)
    explained = along / np.sqrt(shares[moving])[:, None]
    # Largest share of any direction's variance that the pull would explain.
    share = float(np.linalg.eigvalsh(explained @ V @ explained.T)[-1])
    if share > 1.0:
        alpha, K, V = alpha / share, K / share, V * share
    innovations = Sigma - alpha @ V @ alpha.T
    come_back = np.eye(len(K)) - np.linalg.matrix_power(np.eye(len(K)) - K, steps)
    due = alpha @ np.linalg.solve(K, come_back)
    covariance: FloatArray = horizon_covariance(innovations, alpha, beta, steps) + due @ V @ due.T
    return 0.5 * (covariance + covariance.T)


def _checked(Sigma: FloatArray, alpha: FloatArray, beta: FloatArray, steps: int) -> None:
    n = Sigma.shape[0]
    if Sigma.shape != (n, n) or alpha.ndim != 2 or alpha.shape[0] != n or beta.shape != alpha.shape:
        raise IllPosed(
            f"Sigma must be (n, n), alpha and beta (n, r), got {Sigma.shape}, {alpha.shape} and {beta.shape}"
        )
    if not (np.isfinite(Sigma).all() and np.isfinite(alpha).all() and np.isfinite(beta).all()):
        raise IllPosed("Sigma, alpha and beta must be finite")
    if steps < 1:
        raise IllPosed(f"steps must be >= 1, got {steps}")
