"""Which candidates become β vectors, and which of those are worth packing with.

A candidate is proposed on the fit stretch, measured there and on the held-back stretch, accepted when either kind of
evidence holds (`evidence_for`), and then has to add something to the better ones (`prune`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solver.arrays import BoolArray, FloatArray
from solver.errors import IllPosed
from solver.reversion.vector import FEW_LEGS, BetaVector, Evidence

#: A vector adds nothing to better ones on the same legs when less than this share of it remains after projection on
#: them, with legs measured in their own standard deviations. Weights that differ by a tenth are one relationship
#: estimated twice.
SPAN_TOLERANCE = 0.01

#: The p-value of a reverting vector in use may reach this share of the false discovery rate. At all of it, false
#: vectors stay so long that with eight walks followed over 2,500 steps 5.7 % of the refits have one in use. At a fifth
#: it is 3.8 %, and 2.5 % where each refit judges anew.
KEPT_RATE = 0.2


@dataclass(frozen=True, kw_only=True)
class Standards:
    """What evidence has to show; see `ReversionSettings`."""

    basis_ratio_max: float
    false_discovery_rate: float
    half_life_min_steps: float
    half_life_max_steps: float


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was measured of one candidate.

    Attributes
    ----------
    fit_basis_ratio, held_back_basis_ratio : on the two stretches.
    basis_ratio_upper : upper confidence bound of the second.
    p_value : of the test against a walk.
    discovered : whether Benjamini and Hochberg's procedure over everything tried rejects the walk.
    half_life_steps : on the fit stretch; None when the basket spread does not revert there.
    held_back_half_life_steps : on the held-back stretch, towards the mean of the fit stretch; None likewise.
    """

    fit_basis_ratio: float
    held_back_basis_ratio: float
    basis_ratio_upper: float
    p_value: float
    discovered: bool
    half_life_steps: float | None
    held_back_half_life_steps: float | None


def benjamini_hochberg(p_values: FloatArray, tried: int, false_discovery_rate: float) -> BoolArray:
    """Which hypotheses to reject so that, on average, at most this share of the rejected ones is rejected falsely.

    With no true relation among them, the chance that any is rejected is at most `false_discovery_rate`.

    Parameters
    ----------
    p_values : (K,) of the hypotheses that have one.
    tried : all hypotheses that were tried, >= K; those without a p-value here count as not rejected.
    false_discovery_rate : in (0, 1).

    Returns
    -------
    (K,) whether each is rejected.

    Raises
    ------
    IllPosed : fewer tried than there are p-values, or a p-value outside [0, 1].

    References
    ----------
    Benjamini and Hochberg (1995), Controlling the false discovery rate, Journal of the Royal Statistical Society B
    57(1). Benjamini and Yekutieli (2001), The control of the false discovery rate in multiple testing under dependency,
    Annals of Statistics 29(4): it holds for the positive dependence of vectors that share legs.
    """
    if tried < len(p_values):
        raise IllPosed(f"tried must be at least the number of p-values, {len(p_values)}, got {tried}")
    if not np.all((p_values >= 0.0) & (p_values <= 1.0)):
        raise IllPosed(f"p-values must lie in [0, 1], got {p_values}")
    ranked = np.sort(p_values)
    below = np.flatnonzero(ranked <= false_discovery_rate * np.arange(1, len(ranked) + 1) / max(tried, 1))
    if not below.size:
        return np.zeros(len(p_values), dtype=np.bool_)
    rejected: BoolArray = p_values <= ranked[below[-1]]
    return rejected


def evidence_for(findings: Findings, standards: Standards, before: tuple[Evidence, ...] = ()) -> tuple[Evidence, ...]:
    """Every kind of evidence that holds; empty for a candidate to be rejected.

    `basis` asks for the ratio on both stretches: a hedge that only starts to hold, or has just broken, is not one.
    `reverting` asks for the discovery, and for reversion on both stretches that is neither too slow to wait for nor too
    fast to trade. On the held-back stretch it is reversion to the mean of the fit stretch: a walk has left that level.

    Evidence that held `before` is dropped only when it fails. For it the ratio itself counts, not its upper bound, and
    its own p-value at `KEPT_RATE` of the rate, not a discovery among all. Otherwise evidence near its bound would come
    and go, and every change moves lots in every book.

    Parameters
    ----------
    findings : of the candidate.
    standards : what evidence has to show.
    before : kinds of evidence that the vector in use has; empty for a newcomer.
    """
    evidence: list[Evidence] = []
    rejects_walk = findings.discovered or (
        "reverting" in before and findings.p_value <= KEPT_RATE * standards.false_discovery_rate
    )
    if (
        rejects_walk
        and findings.half_life_steps is not None
        and findings.held_back_half_life_steps is not None
        and standards.half_life_min_steps <= findings.half_life_steps <= standards.half_life_max_steps
        and findings.held_back_half_life_steps <= standards.half_life_max_steps
    ):
        evidence.append("reverting")
    held_back = findings.held_back_basis_ratio if "basis" in before else findings.basis_ratio_upper
    if max(findings.fit_basis_ratio, held_back) <= standards.basis_ratio_max:
        evidence.append("basis")
    return tuple(evidence)


def prune(
    betas: Sequence[BetaVector], ranks: Sequence[float], leg_scale: FloatArray, max_vectors: int
) -> tuple[BetaVector, ...]:
    """The `max_vectors` vectors of least rank, without those that better ones on the same legs make superfluous.

    Only vectors whose legs are all among the legs of a candidate count against it. Three pairs of three currencies have
    rank 2, and all three stay: a book may hold just the two legs of the worst. A dense vector goes when the better ones
    span it. A vector of few legs goes when there is any better one on its legs: its third leg, which paid in the fit,
    did not pay on the held-back stretch. And a vector replaces a better one of more legs that says the same: a
    principal component may be EUR against DKK plus crumbs of everything else.

    Parameters
    ----------
    betas : accepted vectors, any order.
    ranks : of each, less is better: its basis ratio, or something below it for a vector that should not be lost easily.
    leg_scale : (n,) standard deviation of each asset's changes, >= 0.
    max_vectors : >= 1.

    Returns
    -------
    Those kept, least basis ratio first.
    """
    kept: list[BetaVector] = []
    for beta in (betas[k] for k in sorted(range(len(betas)), key=lambda k: ranks[k])):
        absent = beta.weights == 0.0
        within = [better.weights for better in kept if not np.any(better.weights[absent])]
        if within and (beta.method in FEW_LEGS or _spanned(beta.weights, np.array(within).T, leg_scale)):
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
    return tuple(sorted(kept, key=lambda beta: beta.basis_ratio))


def _spanned(weights: FloatArray, better: FloatArray, leg_scale: FloatArray) -> bool:
    scaled, basis = weights * leg_scale, better * leg_scale[:, None]
    left = scaled - basis @ np.linalg.lstsq(basis, scaled)[0]
    return bool(left @ left < SPAN_TOLERANCE * (scaled @ scaled))
