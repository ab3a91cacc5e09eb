"""Vectors of two or three legs, found by trying every set of legs."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.reversion.vector import LEADING_SHARE, canonical_weights

#: A third leg stays only if it takes at least this share off the basis ratio of the best pair among the three. Every
#: leg is one more position to hold and one more weight to estimate; the Schwarz criterion would ask for as little as
#: log(T) / T, 1.6 % at 375 observations, which does not pay for either. Above 20 observations this is the stricter of
#: the two.
THIRD_LEG_GAIN = 0.2


def sparse_vectors(covariance: FloatArray, max_legs: int) -> tuple[list[FloatArray], int]:
    """The vector of least basis ratio on every pair of assets, and on every triple that beats its pairs materially.

    Of all weights on a given set of legs, the basis ratio β'Cβ / Σ βᵢ² Cᵢᵢ is least for the minor eigenvector of the
    legs' correlation matrix, each entry divided by its leg's standard deviation; the eigenvalue is the ratio. For a
    pair with correlation ρ that is (1, -sign(ρ) σ₁/σ₂) with ratio 1 - |ρ|: regression of both legs on each other at
    once. An ordinary regression would give ρ σ₁/σ₂ from one end and σ₁/(ρ σ₂) from the other, so that one relationship
    had two vectors, both with a higher ratio, and which one is kept would flip between refits.

    All sets are tried, so this is exact, not a heuristic: n = 11 has 55 pairs and 165 triples, one batched
    eigendecomposition. O(n³) for triples.

    Parameters
    ----------
    covariance : (n, n) of the log-price changes in the fit; assets that do not move are left out.
    max_legs : 2 or 3.

    Returns
    -------
    Canonical vectors (n,), pairs first, and the number of leg sets that were tried.

    Raises
    ------
    IllPosed : `max_legs` is neither 2 nor 3.

    References
    ----------
    d'Aspremont (2011), Identifying small mean-reverting portfolios, Quantitative Finance 11(3): the problem, there
    solved greedily. Draper and Yang (1997), Generalization of the geometric mean functional relationship, Computational
    Statistics & Data Analysis 23(3): the weights of a pair.
    """
    if max_legs not in (2, 3):
        raise IllPosed(f"max_legs must be 2 or 3, got {max_legs}")
    n = covariance.shape[0]
    moving = np.flatnonzero(np.diag(covariance) > 0.0)
    scale = np.sqrt(np.diag(covariance))
    pairs = leg_sets(moving, 2)
    pair_ratios, pair_weights = least_ratios(covariance, scale, pairs)
    vectors = [canonical_weights(_on_legs(n, pairs[k], pair_weights[k])) for k in range(len(pairs))]
    if max_legs == 2:
        return vectors, len(pairs)

    ratio_of = np.full((n, n), np.inf)
    ratio_of[pairs[:, 0], pairs[:, 1]] = pair_ratios
    triples = leg_sets(moving, 3)
    triple_ratios, triple_weights = least_ratios(covariance, scale, triples)
    first, second, third = triples.T
    parents = np.minimum(np.minimum(ratio_of[first, second], ratio_of[first, third]), ratio_of[second, third])
    # Less a rounding margin: under an exact pair nothing is left for a third leg to explain.
    kept = np.flatnonzero(triple_ratios < (1.0 - THIRD_LEG_GAIN) * parents - 1e-12)
    vectors += [canonical_weights(_on_legs(n, triples[k], triple_weights[k]), LEADING_SHARE) for k in kept]
    return vectors, len(pairs) + len(triples)


def leg_sets(assets: IntArray, legs: int) -> IntArray:
    """(number of sets, legs) every combination, ascending within a row."""
    return np.array(list(combinations(assets.tolist(), legs)), dtype=np.int64).reshape(-1, legs)


def least_ratios(covariance: FloatArray, scale: FloatArray, legs: IntArray) -> tuple[FloatArray, FloatArray]:
    """Least β'Cβ / Σ (βᵢ scaleᵢ)² (sets,) and its weights (sets, legs) for each row of `legs`; one batch of eigh."""
    spans = scale[legs]
    correlations = covariance[legs[:, :, None], legs[:, None, :]] / (spans[:, :, None] * spans[:, None, :])
    eigenvalues, eigenvectors = np.linalg.eigh(correlations)
    return eigenvalues[:, 0], eigenvectors[:, :, 0] / spans


def _on_legs(n: int, legs: IntArray, leg_weights: FloatArray) -> FloatArray:
    weights = np.zeros(n)
    weights[legs] = leg_weights
    return weights
