"""What a desk may do when the risk of its book is over its limit."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np

from solver.arrays import FloatArray, IntArray

Policy: TypeAlias = Literal["no hedge", "flatten", "single best", "single cheapest", "ours", "ours and skew"]

POLICIES: dict[Policy, str] = {
    "no hedge": "keeps everything",
    "flatten": "over its limit sells all it holds, each asset through its pair with USD",
    "single best": "over its limit trades the one pair whose minimum-variance hedge leaves the least risk",
    "single cheapest": "over its limit trades the one pair that gets back to four fifths of it most cheaply",
    "ours": "trades what the service suggests",
    "ours and skew": "the same, and quotes with the skew under which the limit is the edge of the zone not to hedge in",
}


def netted_risk(Q: FloatArray, Sigma: FloatArray) -> float:
    """One standard deviation of exposures Q (n,) over one timestep."""
    return math.sqrt(max(float(Q @ Sigma @ Q), 0.0))


def flatten(Q: FloatArray, exposures: FloatArray) -> IntArray:
    """(m,) lots of the pairs with the numeraire that leave at most half a lot of each, `exposures` (n, m)."""
    lots = np.zeros(exposures.shape[1], dtype=np.int64)
    touched = (exposures != 0).sum(axis=0)
    for column in np.flatnonzero(touched == 1).tolist():
        asset = int(np.flatnonzero(exposures[:, column])[0])
        lots[column] = round(-Q[asset] / exposures[asset, column])
    return lots


def single_best(Q: FloatArray, exposures: FloatArray, Sigma: FloatArray) -> IntArray:
    """(m,) lots of the one instrument whose minimum-variance hedge, in whole lots, leaves the least risk."""
    covered = exposures.T @ Sigma @ Q
    variances = np.einsum("ij,ik,kj->j", exposures, Sigma, exposures)
    whole = np.round(-covered / variances)
    left = 2.0 * whole * covered + whole**2 * variances
    best = int(np.argmin(left))
    lots = np.zeros(exposures.shape[1], dtype=np.int64)
    lots[best] = int(whole[best])
    return lots


def single_cheapest(
    Q: FloatArray, exposures: FloatArray, Sigma: FloatArray, cost_per_lot: FloatArray, target: float
) -> IntArray:
    """(m,) fewest lots of the one instrument that brings the risk to `target` most cheaply; `single_best` where none
    does.

    Parameters
    ----------
    Q : (n,) held exposures, numeraire.
    exposures : (n, m) exposure per lot, numeraire.
    Sigma : (n, n) covariance of log returns over one timestep.
    cost_per_lot : (m,) numeraire.
    target : one standard deviation over one timestep, numeraire.
    """
    covered = exposures.T @ Sigma @ Q
    variances = np.einsum("ij,ik,kj->j", exposures, Sigma, exposures)
    excess = netted_risk(Q, Sigma) ** 2 - target**2
    inside = covered**2 - variances * excess
    # The root nearer to zero of variances h² + 2 covered h + excess = 0, rounded away from zero.
    roots = (np.abs(covered) - np.sqrt(np.maximum(inside, 0.0))) / variances
    fewest = np.ceil(roots - 1e-9)
    whole = -np.sign(covered) * fewest
    reached = (inside >= 0) & (2.0 * whole * covered + whole**2 * variances + excess <= 1e-9 * target**2)
    if not reached.any():
        return single_best(Q, exposures, Sigma)
    best = int(np.argmin(np.where(reached, fewest * cost_per_lot, np.inf)))
    lots = np.zeros(exposures.shape[1], dtype=np.int64)
    lots[best] = int(whole[best])
    return lots
