"""What is accepted on which evidence, and what is worth keeping beside better vectors."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.reversion.select import Candidate, evidence_for, prune
from solver.reversion.vector import LEADING_SHARE, BetaVector, Evidence, Method, canonical_weights

TESTED = Candidate(np.array([1.0, -1.0]), "johansen", statistic=20.0, critical_value=15.0)
FAILED = Candidate(np.array([1.0, -1.0]), "johansen", statistic=14.0, critical_value=15.0)
UNTESTED = Candidate(np.array([1.0, -1.0]), "sparse")


@pytest.mark.parametrize(
    ("candidate", "fit", "held_back", "half_life", "expected"),
    [
        (UNTESTED, 0.1, 0.2, None, ("basis",)),
        (UNTESTED, 0.1, 0.4, 5.0, ()),
        (UNTESTED, 0.4, 0.1, 5.0, ()),
        (UNTESTED, 0.1, np.inf, 5.0, ()),
        (TESTED, 0.9, 0.9, 5.0, ("reverting",)),
        (TESTED, 0.9, 0.9, 11.0, ()),
        (TESTED, 0.9, 0.9, None, ()),
        (FAILED, 0.9, 0.9, 5.0, ()),
        (TESTED, 0.3, 0.3, 5.0, ("reverting", "basis")),
    ],
)
def test_evidence(
    candidate: Candidate, fit: float, held_back: float, half_life: float | None, expected: tuple[Evidence, ...]
) -> None:
    """`basis` needs both stretches, `reverting` the method's test and a short half-life; either is enough."""
    found = evidence_for(
        candidate,
        fit_basis_ratio=fit,
        held_back_basis_ratio=held_back,
        half_life_steps=half_life,
        basis_ratio_max=0.35,
        half_life_max_steps=10.0,
    )
    assert found == expected


def beta(weights: list[float], basis_ratio: float, method: Method = "sparse") -> BetaVector:
    return BetaVector(
        weights=np.array(weights),
        method=method,
        basis_ratio=basis_ratio,
        basis_horizon_steps=1,
        half_life_steps=None,
        spread_volatility=0.01,
        deviation=None,
        statistic=None,
        critical_value=None,
        evidence=("basis",),
    )


def kept(*betas: BetaVector, max_vectors: int = 12) -> list[float]:
    return [vector.basis_ratio for vector in prune(betas, np.ones(4), max_vectors)]


def test_three_pairs_of_three_currencies_stay() -> None:
    """Rank 2, three items: a book of the second and third currency alone needs the third pair. Best first."""
    eurchf, eurdkk, chfdkk = beta([1, -1, 0, 0], 0.10), beta([1, 0, -1, 0], 0.01), beta([0, 1, -1, 0], 0.11)
    assert kept(eurchf, eurdkk, chfdkk) == [0.01, 0.10, 0.11]


def test_a_third_leg_that_did_not_pay_out_of_sample_goes() -> None:
    """A triple behind one of its own pairs on the held-back stretch is dropped, one ahead of it stays."""
    pair = beta([1, -1, 0, 0], 0.10)
    assert kept(pair, beta([1, -1, 0.4, 0], 0.12)) == [0.10]
    assert kept(pair, beta([1, -1, 0.4, 0], 0.05)) == [0.05, 0.10]
    assert kept(pair, beta([0, -1, 0.4, 1], 0.12)) == [0.10, 0.12]


def test_a_dense_vector_in_the_span_of_better_ones_goes() -> None:
    """Dense vectors are dropped when better vectors span them, and stay when they add a direction."""
    pairs = beta([1, -1, 0, 0], 0.01), beta([0, 0, 1, -1], 0.02)
    assert kept(*pairs, beta([1, -1.02, 0.5, -0.49], 0.03, "pca")) == [0.01, 0.02]
    assert kept(*pairs, beta([1, 1, -1, -1], 0.03, "pca")) == [0.01, 0.02, 0.03]
    assert kept(*pairs, beta([1, -1.02, 0.5, -0.49], 0.001, "pca")) == [0.001, 0.01, 0.02]


def test_a_sparse_vector_replaces_the_dense_one_that_says_the_same() -> None:
    """A component that is a pair plus crumbs gives way to the pair, though its ratio is a little lower."""
    crumbs = beta([1, -1.01, 0.01, -0.02], 0.010, "pca")
    assert kept(crumbs, beta([1, -1, 0, 0], 0.011)) == [0.011]


def test_at_most_so_many() -> None:
    """The limit keeps the best, and nothing in gives nothing out."""
    assert kept(beta([1, -1, 0, 0], 0.3), beta([0, 0, 1, -1], 0.2), max_vectors=1) == [0.2]
    assert kept() == []


def test_canonical_weights() -> None:
    """The leading leg is the first one touched, or with a share the first of the large ones; it is +1."""
    weights = np.array([0.0, -0.01, 2.0, -4.0])
    np.testing.assert_allclose(canonical_weights(weights), [0.0, 1.0, -200.0, 400.0])
    np.testing.assert_allclose(canonical_weights(weights, LEADING_SHARE), [0.0, -0.005, 1.0, -2.0])
    np.testing.assert_allclose(canonical_weights(-3.0 * weights), canonical_weights(weights))
    with pytest.raises(ValueError, match="read-only"):
        canonical_weights(weights)[0] = 1.0


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, np.nan], [np.inf, 1.0]])
def test_canonical_weights_of_nothing(weights: list[float]) -> None:
    """A vector of zeros or with a weight that is not finite has no canonical form."""
    with pytest.raises(IllPosed, match="finite"):
        canonical_weights(np.array(weights))
