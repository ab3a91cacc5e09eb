"""Every set of legs is tried, each relationship comes out once, and a third leg has to pay."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize

from solver.errors import IllPosed
from solver.reversion.evidence.basis import basis_ratios
from solver.reversion.methods.sparse import THIRD_LEG_GAIN, sparse_vectors


def covariance_of(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    returns = rng.normal(size=(300, 3)) @ rng.normal(size=(3, n)) + rng.normal(size=(300, n))
    covariance: np.ndarray = returns.T @ returns / 300
    return covariance


def legs_of(weights: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(weights).tolist())


def test_pairs_have_the_closed_form() -> None:
    """Each pair appears once, as (1, -sign(ρ) σ₁/σ₂) with basis ratio 1 - |ρ|, below both ordinary regressions'."""
    covariance = covariance_of(1, 6)
    vectors, tried = sparse_vectors(covariance, 2)
    assert tried == 15
    assert [legs_of(weights) for weights in vectors] == list(combinations(range(6), 2))
    scale = np.sqrt(np.diag(covariance))
    ratios = basis_ratios(np.array(vectors).T, covariance)
    for weights, ratio in zip(vectors, ratios, strict=True):
        i, j = legs_of(weights)
        rho = covariance[i, j] / scale[i] / scale[j]
        assert weights[i] == 1.0
        assert weights[j] == pytest.approx(-np.sign(rho) * scale[i] / scale[j], rel=1e-10)
        assert ratio == pytest.approx(1.0 - abs(rho), abs=1e-12)
        regressions = np.zeros((6, 2))
        regressions[[i, j], 0] = 1.0, -covariance[i, j] / covariance[j, j]
        regressions[[i, j], 1] = -covariance[i, j] / covariance[i, i], 1.0
        assert np.all(basis_ratios(regressions, covariance) >= ratio - 1e-12)


def test_triples_minimise_the_basis_ratio_on_their_legs() -> None:
    """A kept triple is the optimum that a general minimiser finds, and beats its best pair by the stated share."""
    covariance = covariance_of(2, 6)
    vectors, tried = sparse_vectors(covariance, 3)
    assert tried == 15 + 20
    pair_ratios = dict(zip(map(legs_of, vectors[:15]), basis_ratios(np.array(vectors[:15]).T, covariance), strict=True))
    triples = vectors[15:]
    assert triples
    for weights in triples:
        legs = legs_of(weights)
        ratio = basis_ratios(weights[:, None], covariance)[0]
        assert ratio <= (1.0 - THIRD_LEG_GAIN) * min(pair_ratios[pair] for pair in combinations(legs, 2))
        own = covariance[np.ix_(legs, legs)]
        scale = np.sqrt(np.diag(own))

        def objective(u: np.ndarray, own: np.ndarray = own, scale: np.ndarray = scale) -> float:
            return float(basis_ratios((u / scale)[:, None], own)[0])

        found = minimize(objective, weights[list(legs)] * scale + 0.1, tol=1e-12)
        assert ratio == pytest.approx(found.fun, rel=1e-6)
        assert np.max(np.abs(weights)) <= 2.0


def test_a_basket_is_found_and_an_idle_third_leg_is_not_added() -> None:
    """SPY = half XLF + half XLK plus noise comes out as a triple; EUR, DKK and a loose third currency do not."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 2_000))
    basket = np.column_stack([(first + second) / 2 + 0.05 * rng.normal(size=2_000), first, second])
    vectors, _ = sparse_vectors(np.cov(basket.T), 3)
    np.testing.assert_allclose(vectors[-1], [1.0, -0.5, -0.5], atol=0.02)

    pegged = np.column_stack([first, first + 0.02 * rng.normal(size=2_000), 0.6 * first + 0.8 * second])
    vectors, _ = sparse_vectors(np.cov(pegged.T), 3)
    assert [legs_of(weights) for weights in vectors] == [(0, 1), (0, 2), (1, 2)]


def test_units_and_order() -> None:
    """Units rescale the weights, order permutes them; which sets of legs are kept does not change."""
    covariance = covariance_of(4, 5)
    units, order = np.array([1.0, 100.0, 0.01, 3.0, 7.0]), np.array([4, 2, 0, 1, 3])
    vectors, _ = sparse_vectors(covariance, 3)
    by_legs = {legs_of(weights): weights for weights in vectors}
    scaled, _ = sparse_vectors(covariance * np.outer(units, units), 3)
    permuted, _ = sparse_vectors(covariance[np.ix_(order, order)], 3)
    for others in ([w * units for w in scaled], [w[np.argsort(order)] for w in permuted]):
        assert {legs_of(weights) for weights in others} == set(by_legs)
        for weights in others:
            expected = by_legs[legs_of(weights)]
            leading = np.argmax(np.abs(expected))
            np.testing.assert_allclose(weights / weights[leading], expected / expected[leading], rtol=1e-9, atol=1e-12)


def test_exact_pairs_and_still_assets() -> None:
    """An exact pair stays a pair (no third leg explains rounding), and an asset without variance is left out."""
    mixing = np.array([[1.0, 0.0], [1.0, 0.0], [0.3, 1.0], [0.0, 0.0]])
    exact = mixing @ mixing.T
    vectors, tried = sparse_vectors(exact, 3)
    assert tried == 3 + 1
    assert [legs_of(weights) for weights in vectors] == [(0, 1), (0, 2), (1, 2)]
    np.testing.assert_allclose(vectors[0], [1.0, -1.0, 0.0, 0.0])


def test_two_assets_have_one_pair_and_no_triple() -> None:
    """The smallest universe works with either limit on legs."""
    vectors, tried = sparse_vectors(np.array([[1.0, 0.9], [0.9, 1.0]]), 3)
    assert (len(vectors), tried) == (1, 1)


def test_limit_on_legs() -> None:
    """Other limits than 2 and 3 are refused."""
    with pytest.raises(IllPosed, match="max_legs"):
        sparse_vectors(np.eye(3), 4)


def test_eleven_assets_take_milliseconds() -> None:
    """All 220 sets of 11 assets take under 5 ms: measured about 1 ms, the least of ten runs."""
    covariance = covariance_of(6, 11)
    durations = []
    for _ in range(10):
        start = time.perf_counter()
        sparse_vectors(covariance, 3)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 5e-3
