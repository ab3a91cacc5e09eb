"""Every method answers through the same interface, finds what is plain, and follows the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pytest
from statsmodels.tsa.stattools import adfuller

from solver.errors import IllPosed
from solver.moments import SlidingMoments
from solver.reversion.error_correction import ErrorCorrection, johansen_moments, johansen_row, regress
from solver.reversion.methods.johansen import reduced_rank
from solver.reversion.methods.proposals import change_vectors, level_vectors
from solver.reversion.vector import CHANGE_METHODS, LEVEL_METHODS, Candidate, ChangeMethod, LevelMethod

Vector = TypeVar("Vector", bound=Candidate)
PLANTED = np.array([1.0, 0.0, -0.6, 0.0])


def prices(seed: int, steps: int = 2_000) -> np.ndarray:
    """Four walks of heavy-tailed steps, the first tied to the third by a basket spread with a half-life of two
    steps."""
    rng = np.random.default_rng(seed)
    log_prices = 3.0 + np.cumsum(rng.standard_t(4, size=(steps, 4)), axis=0)
    basket_spread, noise = np.zeros(steps), 0.02 * rng.standard_t(4, size=steps)
    for t in range(1, steps):
        basket_spread[t] = np.sqrt(0.5) * basket_spread[t - 1] + noise[t]
    log_prices[:, 0] = 0.6 * log_prices[:, 2] + basket_spread
    return log_prices


def fitted(log_prices: np.ndarray) -> ErrorCorrection:
    return regress(johansen_moments(log_prices, 1), log_prices.shape[1], 1, constant="restricted")


def of_changes(method: ChangeMethod, log_prices: np.ndarray) -> tuple[list[Candidate], int]:
    returns = np.diff(log_prices, axis=0)[1:]
    moments = johansen_moments(log_prices, 1)
    rng = np.random.default_rng(1)
    return change_vectors(method, moments, 4, 1, np.cov(returns.T), max_legs=3, returns=returns, rng=rng)


def planted_among(vectors: Sequence[Vector], degrees: float) -> Vector:
    """The vector nearest the planted one, which has to be within so many degrees."""
    cosines = [abs(v.weights @ PLANTED) / np.linalg.norm(v.weights) / np.linalg.norm(PLANTED) for v in vectors]
    assert max(cosines) > np.cos(np.radians(degrees))
    return vectors[int(np.argmax(cosines))]


@pytest.mark.parametrize("method", LEVEL_METHODS)
def test_a_plain_relation_is_found(method: LevelMethod) -> None:
    """Every method has a vector within 2° of the planted one, with its half-life, volatility, and evidence."""
    log_prices = prices(1)
    vectors = level_vectors(method, fitted(log_prices), max_legs=3)
    best = planted_among(vectors, 2.0)
    assert best.half_life_steps is not None
    assert 1.7 < best.half_life_steps < 2.3
    assert best.spread_volatility == pytest.approx(np.std(log_prices @ best.weights), rel=1e-3)
    assert best.p_value < 1e-6
    for vector in vectors:
        assert vector.method == method
        assert 1.0 in vector.weights
        assert 0.0 <= vector.p_value <= 1.0
        assert vector.statistic >= 0.0


@pytest.mark.parametrize("method", CHANGE_METHODS)
@pytest.mark.filterwarnings("ignore:adfuller currently returns:FutureWarning")
def test_changes_alone_show_it_too(method: ChangeMethod) -> None:
    """Every method has a vector within 2° of the planted one, and each vector has statsmodels' test of its basket
    spread."""
    log_prices = prices(1)
    vectors, tried = of_changes(method, log_prices)
    assert planted_among(vectors, 2.0).p_value < 1e-6
    assert tried == (6 + 4 if method == "sparse" else len(vectors))
    for vector in vectors:
        assert vector.method == method
        assert 1.0 in vector.weights
        expected = adfuller(log_prices @ vector.weights, maxlag=1, regression="c", autolag=None)
        assert vector.statistic == pytest.approx(expected[0], rel=1e-6)
        assert vector.p_value == pytest.approx(expected[1], rel=1e-5)


def test_johansen_has_its_sequence_of_trace_tests() -> None:
    """The k-th vector has the k-th trace statistic, and is no more credible than the one before it."""
    log_prices = prices(2)
    vectors = level_vectors("johansen", fitted(log_prices), max_legs=2)
    fit = reduced_rank(fitted(log_prices))
    assert [vector.statistic for vector in vectors] == fit.trace.tolist()
    p_values = [vector.p_value for vector in vectors]
    assert p_values == sorted(p_values)
    assert p_values[0] == fit.trace_p[0]


@pytest.mark.parametrize("method", LEVEL_METHODS)
def test_sliding_equals_batch(method: LevelMethod) -> None:
    """After thousands of steps the sliding window's vectors are those of a batch over its rows."""
    log_prices, window = prices(3), 400
    sliding = SlidingMoments(window, 13)
    for end in range(3, len(log_prices) + 1):
        sliding.push(johansen_row(log_prices[end - 3 : end] - log_prices[0]))
    slid = level_vectors(method, regress(sliding.sums(), 4, 1, constant="restricted"), max_legs=3)
    batch = level_vectors(method, fitted(log_prices[-window - 2 :]), max_legs=3)
    for vector, expected in zip(slid, batch, strict=True):
        np.testing.assert_allclose(vector.weights, expected.weights, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(vector.statistic, expected.statistic, rtol=1e-7)
        np.testing.assert_allclose(vector.spread_volatility, expected.spread_volatility, rtol=1e-8)


def test_no_vectors_are_an_answer() -> None:
    """Assets of which fewer than two move have no pair, and no component that moves less than its legs."""
    log_prices = prices(5, 100)
    moments, none = johansen_moments(log_prices, 1), np.diag([1.0, 0.0, 0.0, 0.0])
    assert change_vectors("sparse", moments, 4, 1, none, max_legs=2) == ([], 0)
    assert change_vectors("pca", moments, 4, 1, none, max_legs=2) == ([], 0)


def test_bad_input() -> None:
    """ICA without returns or chance, and legs out of range, are refused."""
    log_prices = prices(4, 100)
    moments, covariance = johansen_moments(log_prices, 1), np.cov(np.diff(log_prices, axis=0).T)
    with pytest.raises(IllPosed, match="returns"):
        change_vectors("ica", moments, 4, 1, covariance, max_legs=2)
    with pytest.raises(IllPosed, match="max_legs"):
        level_vectors("baskets", fitted(log_prices), max_legs=9)
    with pytest.raises(IllPosed, match="max_legs"):
        change_vectors("sparse", moments, 4, 1, covariance, max_legs=4)
