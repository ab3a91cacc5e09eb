"""Which candidates become β vectors, and which of those are worth packing with.

A candidate is proposed on the fit stretch, measured there and on the held-back stretch, accepted when either kind of
evidence holds (`evidence_for`), and then has to add something to the better ones (`prune`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray
from solver.reversion.vector import BetaVector, Evidence, Method

#: A vector adds nothing to better ones on the same legs when they leave less than this share of it, legs measured in
#: their own standard deviations: weights that differ by a tenth are one relationship estimated twice.
SPAN_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class Candidate:
    """A canonical vector (n,) as proposed; with the statistic of the method's test for reversion, where it has one."""

    weights: FloatArray
    method: Method
    statistic: float | None = None
    critical_value: float | None = None


def evidence_for(
    candidate: Candidate,
    *,
    fit_basis_ratio: float,
    held_back_basis_ratio: float,
    half_life_steps: float | None,
    basis_ratio_max: float,
    half_life_max_steps: float,
) -> tuple[Evidence, ...]:
    """Every kind of evidence that holds; empty for a candidate to be rejected.

    `basis` asks for the ratio on both stretches: a hedge that only starts to hold, or has just broken, is not one.
    `reverting` asks for the method's test and for a half-life, for a test alone finds reversion too slow to wait for.
    """
    evidence: list[Evidence] = []
    rejects_walk = (
        candidate.statistic is not None
        and candidate.critical_value is not None
        and candidate.statistic > candidate.critical_value
    )
    if rejects_walk and half_life_steps is not None and half_life_steps <= half_life_max_steps:
        evidence.append("reverting")
    if max(fit_basis_ratio, held_back_basis_ratio) <= basis_ratio_max:
        evidence.append("basis")
    return tuple(evidence)


def prune(betas: Iterable[BetaVector], leg_scale: FloatArray, max_vectors: int) -> tuple[BetaVector, ...]:
    """The best `max_vectors` vectors by basis ratio, without those that better ones on the same legs make idle.

    Only vectors whose legs are all among the candidate's count against it. Three pairs of three currencies have rank 2,
    and all three stay: a book may hold just the two legs of the worst. A dense vector goes when the better ones span
    it. A sparse one goes when there is any: its third leg, which paid in the fit, did not on the held-back stretch. And
    a vector replaces a better one of more legs that says the same: a principal component may be EUR against DKK plus
    crumbs of everything else.

    Parameters
    ----------
    betas : accepted vectors, any order.
    leg_scale : (n,) standard deviation of each asset's changes, >= 0.
    max_vectors : >= 1.
    """
    kept: list[BetaVector] = []
    for beta in sorted(betas, key=lambda beta: beta.basis_ratio):
        absent = beta.weights == 0.0
        within = [better.weights for better in kept if not np.any(better.weights[absent])]
        if within and (beta.method == "sparse" or _spanned(beta.weights, np.array(within).T, leg_scale)):
            continue
        legs = np.count_nonzero(beta.weights)
        kept = [
            better
            for better in kept
            if np.count_nonzero(better.weights) <= legs
            or not _spanned(better.weights, beta.weights[:, None], leg_scale)
        ]
        kept.append(beta)
        if len(kept) == max_vectors:
            break
    return tuple(kept)


def _spanned(weights: FloatArray, better: FloatArray, leg_scale: FloatArray) -> bool:
    scaled, basis = weights * leg_scale, better * leg_scale[:, None]
    left = scaled - basis @ np.linalg.lstsq(basis, scaled)[0]
    return bool(left @ left < SPAN_TOLERANCE * (scaled @ scaled))
