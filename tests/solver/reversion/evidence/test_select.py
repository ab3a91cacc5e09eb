"""What is accepted on which evidence, and what is worth keeping beside better vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from solver.errors import IllPosed
from solver.reversion.evidence.select import Findings, Standards, benjamini_hochberg, evidence_for, prune
from solver.reversion.vector import BetaVector, Evidence, Method

STANDARDS = Standards(
    basis_ratio_max=0.35, false_discovery_rate=0.05, half_life_min_steps=1.0, half_life_max_steps=10.0
)

HEDGE = Findings(
    fit_basis_ratio=0.1,
    held_back_basis_ratio=0.2,
    basis_ratio_upper=0.3,
    p_value=0.5,
    discovered=False,
    half_life_steps=None,
    held_back_half_life_steps=None,
)

REVERTING = Findings(
    fit_basis_ratio=0.9,
    held_back_basis_ratio=0.9,
    basis_ratio_upper=1.1,
    p_value=1e-5,
    discovered=True,
    half_life_steps=5.0,
    held_back_half_life_steps=7.0,
)


@pytest.mark.parametrize(
    ("findings", "change", "expected"),
    [
        (HEDGE, {}, ("basis",)),
        (HEDGE, {"basis_ratio_upper": 0.4}, ()),
        (HEDGE, {"fit_basis_ratio": 0.4}, ()),
        (HEDGE, {"basis_ratio_upper": np.inf}, ()),
        (REVERTING, {}, ("reverting",)),
        (REVERTING, {"discovered": False}, ()),
        (REVERTING, {"half_life_steps": 11.0}, ()),
        (REVERTING, {"half_life_steps": 0.9}, ()),
        (REVERTING, {"half_life_steps": None}, ()),
        (REVERTING, {"held_back_half_life_steps": 11.0}, ()),
        (REVERTING, {"held_back_half_life_steps": None}, ()),
        (REVERTING, {"fit_basis_ratio": 0.1, "basis_ratio_upper": 0.35}, ("reverting", "basis")),
    ],
)
def test_evidence(findings: Findings, change: dict[str, Any], expected: tuple[Evidence, ...]) -> None:
    """`basis` needs the fit and the bound, `reverting` the discovery and both half-lives; either will do."""
    assert evidence_for(replace(findings, **change), STANDARDS) == expected


def test_what_counted_before_has_to_fail() -> None:
    """In use, a vector keeps each kind of evidence that it had on the estimate alone, and no other kind."""
    unsure = replace(HEDGE, basis_ratio_upper=0.4)
    assert evidence_for(unsure, STANDARDS, ("basis",)) == ("basis",)
    assert evidence_for(unsure, STANDARDS, ("reverting",)) == ()
    assert evidence_for(replace(unsure, held_back_basis_ratio=0.36), STANDARDS, ("basis",)) == ()
    weaker = replace(REVERTING, discovered=False, p_value=0.009)
    assert evidence_for(weaker, STANDARDS, ("reverting",)) == ("reverting",)
    assert evidence_for(weaker, STANDARDS, ("basis",)) == ()
    assert evidence_for(replace(weaker, p_value=0.011), STANDARDS, ("reverting",)) == ()


@pytest.mark.parametrize("seed", range(20))
def test_benjamini_hochberg_equals_statsmodels(seed: int) -> None:
    """The same rejections, ties included; tries without a p-value count as p = 1."""
    rng = np.random.default_rng(seed)
    p_values = np.round(rng.beta(0.3, 3.0, size=12), 2)
    for untested in (0, 30):
        expected = multipletests(np.r_[p_values, np.ones(untested)], 0.05, "fdr_bh")[0][:12]
        np.testing.assert_array_equal(benjamini_hochberg(p_values, 12 + untested, 0.05), expected)


def test_false_discoveries_among_walks() -> None:
    """With 40 true nulls, any is rejected in 5 % of 4,000 draws, within three standard errors."""
    rng = np.random.default_rng(1)
    any_rejected = sum(benjamini_hochberg(rng.random(40), 40, 0.05).any() for _ in range(4000))
    assert abs(any_rejected - 200) < 3.0 * np.sqrt(4000 * 0.05 * 0.95)


def test_benjamini_hochberg_bad_input() -> None:
    """Nothing in gives nothing out; fewer tries than p-values and p-values beyond [0, 1] are typed errors."""
    assert benjamini_hochberg(np.zeros(0), 0, 0.05).tolist() == []
    with pytest.raises(IllPosed, match="tried"):
        benjamini_hochberg(np.array([0.1, 0.2]), 1, 0.05)
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(IllPosed, match="p-values"):
            benjamini_hochberg(np.array([bad]), 1, 0.05)


def beta(weights: list[float], basis_ratio: float, method: Method = "sparse") -> BetaVector:
    return BetaVector(
        weights=np.array(weights),
        method=method,
        basis_ratio=basis_ratio,
        basis_ratio_upper=1.3 * basis_ratio,
        basis_horizon_steps=1,
        step_ratio=0.1,
        half_life_steps=None,
        spread_volatility=0.01,
        deviation=None,
        spread_mean=0.0,
        innovation_ratio=basis_ratio,
        statistic=-2.0,
        p_value=0.3,
        evidence=("basis",),
        adjustment=np.zeros(len(weights)),
    )


def kept(*betas: BetaVector, max_vectors: int = 12) -> list[float]:
    return [
        vector.basis_ratio for vector in prune(betas, [beta.basis_ratio for beta in betas], np.ones(4), max_vectors)
    ]


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


def test_rank_decides_who_stays() -> None:
    """A vector in use that ranks below its ratio keeps its place against one that is a little better."""
    newcomer, in_use = beta([1, -1, 0, 0], 0.20), beta([0, 0, 1, -1], 0.21)
    assert prune([newcomer, in_use], [0.20, 0.19], np.ones(4), 1) == (in_use,)
    assert prune([newcomer, in_use], [0.20, 0.19], np.ones(4), 2) == (newcomer, in_use)
