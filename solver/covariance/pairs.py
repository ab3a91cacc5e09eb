"""From what was seen of each pair of assets to one covariance matrix.

Assets come and go, so each pair is estimated on what was seen of both: its correlation on its common returns (see
`solver.covariance.gaps`), and the variance of an asset on all of its own returns. Where nothing was ever missing, this
is the plain matrix of second moments.

Such a matrix need not be positive semi-definite. `nearest_covariance` repairs that and keeps the variances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import BoolArray, FloatArray, IntArray
from solver.covariance.shrinkage import Shrinkage, shrunk
from solver.errors import NotEnoughData

# Least eigenvalue of a repaired correlation matrix. Without it a combination could look riskless where the estimate was
# negative. A volatility of 1e-5 of the legs' is far below what any hedge leaves.
_LEAST_EIGENVALUE = 1e-10


@dataclass(frozen=True, eq=False)
class PairEstimate:
    """Second moments by pair.

    Attributes
    ----------
    Sigma : (n, n) symmetric, what each pair says of itself; arbitrary where `seen` is 0.
    seen : (n, n) common returns of a pair, own returns of an asset on the diagonal.
    effective : (n, n) the same by weight (Kish), > 0 where `seen` is.
    fourth_moments : (n, n) means of r_i² r_j², for the shrinkage that needs them.
    coherent : every pair was seen in the same returns, so `Sigma` is positive semi-definite as it is.
    """

    Sigma: FloatArray
    seen: IntArray
    effective: FloatArray
    fourth_moments: FloatArray | None
    coherent: bool


def covariance_of(
    pairs: PairEstimate, shrinkage: Shrinkage, min_observations: int, among: BoolArray | None
) -> FloatArray:
    """One covariance of the assets of which enough was seen, NaN in the rows and columns of the others.

    Parameters
    ----------
    pairs : what was seen.
    shrinkage : applied to the assets that are in.
    min_observations : own returns that an asset needs, and common ones of any two, >= 1.
    among : (n,) assets that may be in; None for all.

    Returns
    -------
    (n, n) symmetric; positive semi-definite where it is not NaN.

    Raises
    ------
    NotEnoughData : no asset has enough returns.
    """
    n = len(pairs.Sigma)
    enough = admitted(pairs.seen, min_observations, np.ones(n, dtype=np.bool_) if among is None else among)
    indices = np.flatnonzero(enough)
    if not len(indices):
        most = int(np.diag(pairs.seen).max())
        raise NotEnoughData(f"a covariance needs at least {min_observations} return(s) of an asset, got {most}")
    whole = len(indices) == n
    block = (slice(None), slice(None)) if whole else np.ix_(indices, indices)
    Sigma = pairs.Sigma[block]
    if not pairs.coherent:
        Sigma = nearest_covariance(Sigma)
    fourth = None if pairs.fourth_moments is None else pairs.fourth_moments[block]
    Sigma = shrunk(Sigma, shrinkage, fourth, pairs.effective[block])
    if whole:
        return Sigma
    known = np.full((n, n), np.nan)
    known[block] = Sigma
    return known


def by_pair(products: FloatArray, squares: FloatArray, variances: FloatArray) -> FloatArray:
    """(n, n) covariance from the correlation of each pair on its common returns, and the variance of each asset.

    Parameters
    ----------
    products : (n, n) sums of r_i r_j over common returns of i and j.
    squares : (n, n) sums of r_i² over common returns of i and j.
    variances : (n,) of each asset on all of its own returns.

    Returns
    -------
    (n, n) symmetric, NaN where an asset has no variance; 0 where one of a pair stood still whenever both were seen.
    """
    volatility = np.sqrt(variances)
    scale = np.sqrt(squares * squares.T)
    Sigma: FloatArray = np.where(scale > 0.0, divided(products, scale), 0.0) * np.outer(volatility, volatility)
    np.fill_diagonal(Sigma, variances)
    return Sigma


def divided(sums: FloatArray, weights: FloatArray | IntArray) -> FloatArray:
    """`sums` over `weights`, NaN where nothing was weighed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: FloatArray = sums / weights
    return quotient


def admitted(seen: IntArray, min_observations: int, among: BoolArray) -> BoolArray:
    """(n,) the assets of `among` that have enough returns of their own, and in common with each other.

    Two assets that were never seen together have no covariance, so only one of them can be in: the one with the longer
    history, or the first one where these are equal.

    Parameters
    ----------
    seen : (n, n) common returns of each pair, own returns on the diagonal.
    min_observations : >= 1.
    among : (n,) assets that may be in.
    """
    own = np.diag(seen)
    enough: BoolArray = among & (own >= min_observations)
    indices = np.flatnonzero(enough)
    if (seen[np.ix_(indices, indices)] >= min_observations).all():
        return enough
    chosen: list[int] = []
    for index in indices[np.argsort(-own[indices], kind="stable")].tolist():
        if (seen[index, chosen] >= min_observations).all():
            chosen.append(index)
    together: BoolArray = np.zeros(len(own), dtype=np.bool_)
    together[chosen] = True
    return together


def nearest_covariance(Sigma: FloatArray) -> FloatArray:
    """`Sigma` (n, n) symmetric with its negative eigenvalues taken away and its variances kept.

    Eigenvalues of the correlation matrix are clipped from below, and the result is scaled back to a diagonal of ones.
    This is near the nearest correlation matrix, not equal to it, and costs one eigendecomposition, where Higham's
    alternating projections take dozens. It equals statsmodels' `cov_nearest` with method "clipped", whose import takes
    most of a second. A matrix that is positive semi-definite comes back unchanged.

    References
    ----------
    Rebonato and Jäckel (1999), The most general methodology to create a valid correlation matrix, Journal of Risk 2(2).
    Higham (2002), Computing the nearest correlation matrix, IMA Journal of Numerical Analysis 22(3).
    """
    volatility = np.sqrt(np.diag(Sigma))
    # An asset that never moved has no correlation; its row is zero already.
    scale = np.where(volatility > 0.0, volatility, 1.0)
    correlation = Sigma / np.outer(scale, scale)
    eigenvalues, vectors = np.linalg.eigh(correlation)
    if eigenvalues[0] >= 0.0:
        return Sigma
    clipped = (vectors * np.maximum(eigenvalues, _LEAST_EIGENVALUE)) @ vectors.T
    clipped = (clipped + clipped.T) / 2.0
    rescale = volatility / np.sqrt(np.diag(clipped))
    repaired: FloatArray = clipped * np.outer(rescale, rescale)
    np.fill_diagonal(repaired, np.diag(Sigma))
    return repaired
