"""Which refitted vector is which: β vectors keep their identity over refits.

A refit flips signs, changes scales and the order, and moves every weight a little. `canonical_weights` removes signs
and scales. This file says which new vector is which old one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from solver.arrays import BoolArray, FloatArray
from solver.errors import IllPosed
from solver.reversion.vector import FEW_LEGS, Candidate

#: Vectors further apart are different relationships: beyond 30° a quarter of the leg variance of the one is not in the
#: other.
LARGEST_ANGLE = np.pi / 6.0


def angles_between(first: FloatArray, second: FloatArray, leg_scale: FloatArray) -> FloatArray:
    """Angle between the lines of two sets of vectors, each leg measured in its own standard deviations.

    In plain weights a quiet leg would count as much as a wild one, and the angle would depend on units. Under the
    covariance of the legs the angle would be that between the returns of the basket spreads, and two estimates of one
    good hedge would look unrelated: (1, -1) and (1, -.98) of EUR and DKK differ by 2 % of a position in DKK, which
    moves more than the rest of either.

    Parameters
    ----------
    first, second : (n, K) and (n, L) vectors as columns, of any sign and scale.
    leg_scale : (n,) standard deviation of each asset's changes.

    Returns
    -------
    (K, L) in [0, π/2]; π/2 with a vector whose legs do not move.

    Raises
    ------
    IllPosed : shapes that do not fit.
    """
    if first.ndim != 2 or second.ndim != 2 or not first.shape[0] == second.shape[0] == len(leg_scale):
        raise IllPosed(
            f"vectors must be (n, K) and (n, L) with (n,) scales, got {first.shape}, {second.shape}, {leg_scale.shape}"
        )
    left, right = _unit(first * leg_scale[:, None]), _unit(second * leg_scale[:, None])
    cosines = left.T @ right
    # Near 1 the arc cosine has an error of 1e-8 from rounding; the half chord has none.
    chords = np.linalg.norm(left[:, :, None] - np.sign(cosines) * right[:, None, :], axis=0)
    angles: FloatArray = np.where(cosines == 0.0, np.pi / 2.0, 2.0 * np.arcsin(np.minimum(chords / 2.0, 1.0)))
    return angles


def match(old: Sequence[Candidate], new: Sequence[Candidate], leg_scale: FloatArray) -> dict[int, int]:
    """For each of `new` that goes on with one of `old`, by index in `new`, the index in `old`.

    The assignment of least total angle: each vector is used once, and no pair is further apart than `LARGEST_ANGLE`.
    Only vectors of one method can match, and vectors of few legs only on the same legs, since these name the trade.
    O((K + L)³).

    References
    ----------
    Kuhn (1955), The Hungarian method for the assignment problem, Naval Research Logistics Quarterly 2.
    """
    if not old or not new:
        return {}
    angles = angles_between(
        np.array([beta.weights for beta in old]).T, np.array([beta.weights for beta in new]).T, leg_scale
    )
    angles[~_comparable(old, new)] = np.inf
    # A vector that stays alone costs the largest angle, so no pair beyond it is ever worth making.
    costs = np.minimum(angles, LARGEST_ANGLE)
    predecessors, successors = linear_sum_assignment(costs)
    return {int(j): int(i) for i, j in zip(predecessors, successors, strict=True) if angles[i, j] < LARGEST_ANGLE}


def _comparable(old: Sequence[Candidate], new: Sequence[Candidate]) -> BoolArray:
    """(K, L) whether two vectors can be one relationship at all."""
    same_method = np.array([[before.method == after.method for after in new] for before in old])
    few = np.array([before.method in FEW_LEGS for before in old])
    legs_before = np.array([before.weights != 0.0 for before in old])
    legs_after = np.array([after.weights != 0.0 for after in new])
    same_legs = (legs_before[:, None, :] == legs_after[None, :, :]).all(axis=2)
    comparable: BoolArray = same_method & (same_legs | ~few[:, None])
    return comparable


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=0)
    units: FloatArray = vectors / np.where(lengths > 0.0, lengths, 1.0)
    return units
