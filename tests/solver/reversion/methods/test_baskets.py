"""Planted baskets are found, and every leg pays."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy.linalg import eigh

from solver.errors import IllPosed
from solver.reversion.error_correction import ErrorCorrection, johansen_moments, regress
from solver.reversion.methods import baskets as module
from solver.reversion.methods.baskets import LEG_GAIN, baskets
from solver.reversion.methods.sparse import leg_sets
from solver.reversion.vector import ReversionVector


def planted(rng: np.random.Generator, n: int, steps: int, legs: int, half_life: float, innovation: float) -> tuple:
    """Walks with correlation .3, one of them replaced so that a basket of `legs` reverts; with the basket's weights."""
    common, own = rng.normal(size=(steps, 1)), rng.normal(size=(steps, n))
    log_prices = np.cumsum(np.sqrt(0.3) * common + np.sqrt(0.7) * own, axis=0)
    chosen = rng.permutation(n)[:legs]
    weights = np.zeros(n)
    weights[chosen] = rng.uniform(0.5, 2.0, legs) * rng.choice([-1.0, 1.0], legs)
    weights[chosen[0]] = 1.0
    persistence = 0.5 ** (1.0 / half_life)
    noise = innovation * rng.normal(size=steps)
    basket_spread = np.zeros(steps)
    basket_spread[0] = noise[0] / np.sqrt(1.0 - persistence**2)
    for t in range(1, steps):
        basket_spread[t] = persistence * basket_spread[t - 1] + noise[t]
    log_prices[:, chosen[0]] = basket_spread - log_prices[:, chosen[1:]] @ weights[chosen[1:]]
    return log_prices, weights


def regression_of(log_prices: np.ndarray, lags: int = 1) -> ErrorCorrection:
    return regress(johansen_moments(log_prices, lags), log_prices.shape[1], lags, constant="restricted")


def angle(one: np.ndarray, other: np.ndarray) -> float:
    """Degrees between two lines."""
    cosine = abs(one @ other) / np.linalg.norm(one) / np.linalg.norm(other)
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def legs_of(basket: ReversionVector) -> tuple[int, ...]:
    return tuple(np.flatnonzero(basket.weights).tolist())


def level_ratio(regression: ErrorCorrection, weights: np.ndarray) -> float:
    return float(weights @ regression.levels @ weights / (np.diag(regression.changes) @ weights**2))


def test_planted_baskets_are_found() -> None:
    """2 to 4 legs of 8, half-life up to a twentieth of the window, innovations up to half a leg's: 90 % within 5°."""
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(100):
        legs, half_life, innovation = int(rng.integers(2, 5)), rng.uniform(5.0, 25.0), rng.uniform(0.1, 0.5)
        log_prices, weights = planted(rng, 8, 500, legs, half_life, innovation)
        first = baskets(regression_of(log_prices), 4)[0]
        found += angle(first.weights, weights) <= 5.0
    assert found >= 90


def test_fast_baskets_have_evidence() -> None:
    """A half-life of two steps in 500 is significant whatever was searched, and the half-life comes out."""
    rng = np.random.default_rng(2)
    for legs in (2, 3, 4):
        log_prices, weights = planted(rng, 8, 500, legs, 2.0, 0.5)
        first = baskets(regression_of(log_prices), 4)[0]
        assert legs_of(first) == tuple(np.flatnonzero(weights))
        assert first.p_value < 0.01
        assert first.half_life_steps == pytest.approx(2.0, rel=0.4)


@pytest.mark.parametrize("max_legs", [2, 3, 4])
def test_equal_to_trying_everything_plainly(max_legs: int) -> None:
    """For each asset: the least ratio of a generalised eigenproblem over the sets that hold it and earn their legs."""
    rng = np.random.default_rng(3)
    regression = regression_of(planted(rng, 6, 200, 3, 8.0, 0.5)[0])
    steps = np.diag(np.diag(regression.changes))
    ratios = {
        legs: eigh(regression.levels[np.ix_(legs, legs)], steps[np.ix_(legs, legs)], eigvals_only=True)[0]
        for size in range(2, max_legs + 1)
        for legs in combinations(range(6), size)
    }
    kept = {
        legs: ratio
        for legs, ratio in ratios.items()
        if all(
            ratio < ratios[within] * (1.0 - LEG_GAIN) ** (len(legs) - len(within))
            for within in ratios
            if set(within) < set(legs)
        )
    }
    expected = {min((ratio, legs) for legs, ratio in kept.items() if asset in legs) for asset in range(6)}
    found = baskets(regression, max_legs)
    assert [legs_of(basket) for basket in found] == [legs for _, legs in sorted(expected)]
    for basket, (ratio, _) in zip(found, sorted(expected), strict=True):
        assert level_ratio(regression, basket.weights) == pytest.approx(ratio, rel=1e-9)


def test_many_assets_are_searched_greedily(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit far fewer sets are tried, and a clear basket is found all the same."""
    rng = np.random.default_rng(6)
    log_prices, weights = planted(rng, 10, 500, 3, 5.0, 0.2)
    regression = regression_of(log_prices)
    whole = baskets(regression, 4)
    tried: set[tuple[int, ...]] = set()

    def counted(pool: np.ndarray, legs: int) -> np.ndarray:
        sets = leg_sets(pool, legs)
        tried.update(map(tuple, sets.tolist()))
        return sets

    monkeypatch.setattr(module, "leg_sets", counted)
    monkeypatch.setattr(module, "MOST_LEG_SETS", 100)
    grown = baskets(regression, 4)
    assert len(tried) < sum(comb(10, legs) for legs in (2, 3, 4)) / 2
    assert legs_of(grown[0]) == legs_of(whole[0]) == tuple(np.flatnonzero(weights))
    assert {leg for basket in grown for leg in legs_of(basket)} == set(range(10))


def test_units_and_order() -> None:
    """Baskets follow a change of units and a permutation of the assets."""
    rng = np.random.default_rng(7)
    log_prices, _ = planted(rng, 6, 300, 3, 8.0, 0.5)
    reference = baskets(regression_of(log_prices), 4)
    units, order = np.array([1e-2, 1.0, 50.0, 3.0, 0.2, 1e3]), np.array([3, 1, 5, 0, 2, 4])
    for other, back in (
        (log_prices * units, lambda weights: weights * units),
        (log_prices[:, order], lambda weights: weights[np.argsort(order)]),
    ):
        for expected, basket in zip(reference, baskets(regression_of(other), 4), strict=True):
            assert basket.p_value == pytest.approx(expected.p_value, rel=1e-6)
            assert angle(back(basket.weights), expected.weights) < 1e-4


@pytest.mark.parametrize("max_legs", [1, 5])
def test_numbers_of_legs_out_of_range(max_legs: int) -> None:
    """A basket has two legs at least and as many as there are assets at most."""
    regression = regression_of(np.cumsum(np.random.default_rng(8).normal(size=(100, 4)), axis=0))
    with pytest.raises(IllPosed, match=r"2\.\.4"):
        baskets(regression, max_legs)
