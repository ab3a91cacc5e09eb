"""Every vector is measured the same way, and its evidence holds however it was chosen."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.reversion.error_correction import (
    Constant,
    ErrorCorrection,
    half_life_of,
    johansen_moments,
    regress,
    regress_legs,
)
from solver.reversion.evidence.measure import basket_spread_behaviour, likelihood_ratios, measured, reversion_tests
from solver.reversion.methods.johansen import reduced_rank


def walks(rng: np.random.Generator, steps: int, n: int) -> np.ndarray:
    moves: np.ndarray = np.cumsum(rng.normal(size=(steps, n)), axis=0)
    return moves


def regression_of(log_prices: np.ndarray, constant: Constant = "restricted", lags: int = 1) -> ErrorCorrection:
    return regress(johansen_moments(log_prices, lags), log_prices.shape[1], lags, constant=constant)


def by_least_squares(log_prices: np.ndarray, beta: np.ndarray, constant: Constant) -> float:
    """-T ln of the ratio of residual determinants, from two regressions of one-lag rows."""
    changes = np.diff(log_prices, axis=0)
    free = [np.ones((len(changes) - 1, 1))] if constant == "unrestricted" else []
    nuisance = np.hstack([changes[:-1], *free])
    basket_spread = (log_prices[1:-1] - log_prices[1:-1].mean(axis=0)) @ beta

    def log_determinant(regressors: np.ndarray) -> float:
        left = changes[1:] - regressors @ np.linalg.lstsq(regressors, changes[1:], rcond=None)[0]
        return float(np.linalg.slogdet(left.T @ left)[1])

    def ratio(level: float) -> float:
        return len(basket_spread) * (
            log_determinant(nuisance) - log_determinant(np.column_stack([nuisance, basket_spread + level]))
        )

    if constant == "unrestricted":
        return ratio(0.0)
    # The relation's constant is searched for, coarsely and then finely.
    levels = np.linspace(-50.0, 50.0, 2_001) * basket_spread.std()
    best = levels[np.argmax([ratio(level) for level in levels])]
    return max(ratio(level) for level in best + np.linspace(-0.05, 0.05, 201) * basket_spread.std())


@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
def test_likelihood_ratio_is_that_of_two_regressions(constant: Constant) -> None:
    """With and without β'x (and its constant) among the regressors, the determinants have the stated ratio."""
    log_prices = walks(np.random.default_rng(1), 150, 3)
    B = np.array([[1.0, -0.5, 0.2], [0.0, 1.0, 1.0]]).T
    ratios = likelihood_ratios(regression_of(log_prices, constant), B)
    for k in range(2):
        assert ratios[k] == pytest.approx(by_least_squares(log_prices, B[:, k], constant), rel=1e-4)


@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
def test_no_vector_beats_johansens_first(constant: Constant) -> None:
    """Johansen's own vectors have their statistics, and of ten thousand others none has more than the first."""
    rng = np.random.default_rng(2)
    regression = regression_of(walks(rng, 300, 4), constant)
    model = reduced_rank(regression)
    own = likelihood_ratios(regression, model.beta)
    statistics = -regression.observations * np.log1p(-model.eigenvalues)
    assert own[0] == pytest.approx(statistics[0], rel=1e-9)
    if constant == "unrestricted":
        np.testing.assert_allclose(own, statistics, rtol=1e-9)
    assert likelihood_ratios(regression, rng.normal(size=(4, 10_000))).max() <= own[0] * (1 + 1e-12)


def test_half_life_and_volatility_are_those_of_the_basket_spread() -> None:
    """Both come from an AR(1) with a constant, fitted by least squares to the basket spread itself."""
    rng = np.random.default_rng(3)
    log_prices = walks(rng, 200, 3)
    log_prices[:, 2] = log_prices[:, 0] - log_prices[:, 1] + rng.normal(size=200)
    B = np.array([[1.0, -1.0, -1.0], [0.0, 1.0, 3.0]]).T
    volatilities, half_lives = basket_spread_behaviour(regression_of(log_prices), B)
    for k in range(2):
        basket_spread = (log_prices @ B)[1:, k]
        slope = np.polyfit(basket_spread[:-1], np.diff(basket_spread), 1)[0]
        assert half_lives[k] == pytest.approx(half_life_of(float(slope)), rel=1e-8)
        assert volatilities[k] == pytest.approx(np.std(basket_spread[:-1]), rel=1e-10)


def test_a_sparse_vector_is_tested_among_its_legs() -> None:
    """Its statistic is that of its legs' own regression, its p-value times the ways to choose as many legs."""
    rng = np.random.default_rng(4)
    regression = regression_of(walks(rng, 300, 5))
    B = np.array([[1.0, 0.0, -0.7, 0.0, 0.0], [1.0, 0.2, -0.7, 0.4, 0.9]]).T
    statistics, p_values = reversion_tests(regression, B)
    pair = regress_legs(regression, np.array([0, 2]))
    assert statistics[0] == pytest.approx(likelihood_ratios(pair, B[[0, 2], :1])[0], rel=1e-12)
    assert statistics[1] == pytest.approx(likelihood_ratios(regression, B[:, 1:])[0], rel=1e-12)
    alone = reversion_tests(pair, B[[0, 2], :1])[1][0]
    assert p_values[0] == pytest.approx(min(comb(5, 2) * alone, 1.0), rel=1e-12)


def test_the_best_of_everything_on_random_walks_is_seldom_significant() -> None:
    """Of all pairs' likeliest vectors on six walks, the least p-value is below 5 % in at most 5 % of windows.

    200 windows, three standard errors above; picking the best pair by its own p-value would come to some half.
    """
    rng = np.random.default_rng(5)
    fooled, naive = 0, 0
    for _ in range(200):
        regression = regression_of(walks(rng, 250, 6), lags=0)
        B = np.zeros((6, 15))
        for k, legs in enumerate(combinations(range(6), 2)):
            B[list(legs), k] = reduced_rank(regress_legs(regression, np.array(legs))).beta[:, 0]
        least = reversion_tests(regression, B)[1].min()
        fooled += least < 0.05
        naive += least / 15 < 0.05
    assert fooled / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert naive / 200 > 0.2


def test_scale_does_not_matter_and_order_is_kept() -> None:
    """Scaled vectors measure the same, come back canonical and in their order; no vectors give none."""
    regression = regression_of(walks(np.random.default_rng(6), 200, 3))
    B = np.array([[2.0, -1.0, 0.3], [0.1, 1.0, -4.0]]).T
    for vector, other in zip(measured(regression, B, "ou"), measured(regression, B * [-3.0, 1e6], "ou"), strict=True):
        np.testing.assert_allclose(vector.weights, other.weights, rtol=1e-12)
        assert vector.method == "ou"
        assert (vector.half_life_interval_steps, vector.period_steps) == (None, None)
        np.testing.assert_allclose(vector.statistic, other.statistic, rtol=1e-10)
        np.testing.assert_allclose(vector.spread_volatility, other.spread_volatility, rtol=1e-10)
    np.testing.assert_allclose(measured(regression, B, "ou")[1].weights, B[:, 1] / 1.0 / B[2, 1])
    assert measured(regression, np.zeros((3, 0)), "ou") == ()


def test_bad_input() -> None:
    """Vectors of another length, of zeros, or not finite are refused."""
    regression = regression_of(walks(np.random.default_rng(7), 100, 3))
    for B in (np.ones((2, 1)), np.ones(3)):
        with pytest.raises(IllPosed, match=r"\(3, K\)"):
            measured(regression, B, "ou")
    for broken in (0.0, np.nan):
        with pytest.raises(IllPosed, match="weights"):
            measured(regression, np.full((3, 1), broken), "ou")
