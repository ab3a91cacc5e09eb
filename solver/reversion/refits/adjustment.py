"""How fast the assets of reverting β come back: adjustment speeds for the risk over many timesteps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed, UnstableModel
from solver.reversion.horizon import stationary_horizon_covariance
from solver.reversion.vector import BetaVector

# A pull is slowed below its estimate by this many standard errors, after the known bias of the estimate. Over 10 and 50
# steps, the outcomes of a reverting β are, in standard deviations of the forecast, 1.01 to 1.08 with none, 1.00 to 1.02
# with a half and .95 to .99 with one (half-lives of 5, 10 and 20 in 400 windows of 500 steps each, the β as a refit
# accepts them). One, because a risk that is off should be off upwards. At 1.645 it would be off by a sixth.
SLOWED_BY = 1.0

# A basket spread did not move when its variance is below this share of its legs': rounding of moments leaves about
# 1e-14.
_STILL_SPREAD = 1e-12

# A basket spread that keeps less than this share of its variance after regression on stronger ones is one of theirs
# estimated again (`SPAN_TOLERANCE` of `evidence.select` is the same for weights). Its own speed would be the ratio of
# two small numbers.
_SPANNED = 0.01


def adjustment_speeds(
    levels: FloatArray, levels_and_changes: FloatArray, changes: FloatArray, observations: int, B: FloatArray
) -> FloatArray:
    """α of Δx_t = α β'x_{t-1} + c + ε_t by least squares, each column slowed to the slow end of its own pull.

    Least squares finds reversion faster than it is. The pull of a β alone, κ of Δs = -κ s₋₁ + c + u, is too large by (4
    - 3κ) / T in expectation (Kendall), and by more where it was found by a test for reversion. So column j is
    multiplied by (κ_j - (4 - 3κ_j) / T - `SLOWED_BY` standard errors) / κ_j. It is zero where nothing is left: a walk.

    The β are added in the order of their own t-statistics, strongest first. A β has no column when those before it
    explain its basket spread, or when the model with it would explode or not revert. It then moves with the pull of the
    others and is a walk otherwise. So what cannot be told from a walk is one, and the result does not depend on the
    order of `B`.

    Parameters
    ----------
    levels : (n, n) covariance of x_{t-1}, log prices.
    levels_and_changes : (n, n) covariance of x_{t-1} (rows) with Δx_t (columns).
    changes : (n, n) covariance of Δx_t.
    observations : T, rows that the covariances come from, > 0.
    B : (n, K) vectors with evidence of reversion, as columns, any scale.

    Returns
    -------
    (n, K), per timestep: the log return of each asset for a basket spread that is off by one. O(n² K + K⁴).

    Raises
    ------
    IllPosed : shapes that do not fit, entries that are not finite, or no observations.

    References
    ----------
    Johansen (1995), Likelihood-Based Inference in Cointegrated Vector Autoregressive Models, section 6.1 (α given β).
    Kendall (1954), Note on bias in the estimation of autocorrelation, Biometrika 41(3-4).
    """
    n = levels.shape[0]
    if any(matrix.shape != (n, n) for matrix in (levels, levels_and_changes, changes)) or B.shape[:1] != (n,):
        raise IllPosed(
            f"covariances must be (n, n) and B (n, K), got {levels.shape}, {levels_and_changes.shape}, "
            f"{changes.shape} and {B.shape}"
        )
    if not all(np.isfinite(matrix).all() for matrix in (levels, levels_and_changes, changes, B)):
        raise IllPosed("covariances and B must be finite")
    if observations < 1:
        raise IllPosed(f"observations must be >= 1, got {observations}")

    # Covariance of the basket spreads.
    V = B.T @ levels @ B
    with_changes = B.T @ levels_and_changes
    variances = V.diagonal()
    moved = variances > _STILL_SPREAD * (levels.diagonal() @ B**2)
    pull = np.divide(-(with_changes * B.T).sum(axis=1), variances, out=np.zeros(len(variances)), where=moved)
    noise = np.maximum((B * (changes @ B)).sum(axis=0) - pull**2 * variances, 0.0)
    errors = np.sqrt(np.divide(noise, variances * observations, out=np.zeros(len(variances)), where=moved))
    slow = pull - (4.0 - 3.0 * pull) / observations - SLOWED_BY * errors

    alpha = np.zeros_like(B)
    taken: list[int] = []
    hopeful = np.flatnonzero(moved & (slow > 0.0))
    # Without any noise the statistic is infinite, as it should be.
    strength = np.divide(pull, errors, out=np.full(len(pull), np.inf), where=errors > 0.0)
    for j in hopeful[np.argsort(-strength[hopeful], kind="stable")]:
        if taken:
            explained = V[j, taken] @ np.linalg.solve(V[np.ix_(taken, taken)], V[taken, j])
            if variances[j] - explained < _SPANNED * variances[j]:
                continue
        tried = [*taken, int(j)]
        speeds = np.linalg.solve(V[np.ix_(tried, tried)], with_changes[tried]).T * (slow[tried] / pull[tried])
        eigenvalues = np.linalg.eigvals(B[:, tried].T @ speeds)
        if np.all(np.abs(1.0 + eigenvalues) < 1.0):
            taken = tried
            alpha[:, taken] = speeds
    return alpha


def horizon_covariance_under(betas: Sequence[BetaVector], Sigma: FloatArray, steps: int) -> FloatArray:
    """Covariance of the log-price change over `steps` timesteps with the pull of those `betas` that have `reverting`.

    A β by `basis` alone is a walk. Everything is a walk, ``steps * Sigma``, where the remaining pulls together would
    not revert: they were fitted together with others that the watch may have refuted since.

    Parameters
    ----------
    betas : in use.
    Sigma : (n, n) covariance of log returns over one timestep, symmetric PSD.
    steps : >= 1.

    Returns
    -------
    (n, n) symmetric PSD; `Sigma` for one step. See `stationary_horizon_covariance`.

    Raises
    ------
    IllPosed : what `stationary_horizon_covariance` refuses.
    """
    pulled = [beta for beta in betas if "reverting" in beta.evidence and beta.adjustment.any()]
    none = np.zeros((Sigma.shape[0], 0))
    alpha = np.column_stack([none, *(beta.adjustment for beta in pulled)])
    B = np.column_stack([none, *(beta.weights for beta in pulled)])
    try:
        return stationary_horizon_covariance(Sigma, alpha, B, steps)
    except UnstableModel:
        return stationary_horizon_covariance(Sigma, none, none, steps)
