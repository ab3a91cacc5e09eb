"""Test portfolios: that each is what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.scoring.portfolios import (
    are_regular,
    eigenportfolios,
    minimum_variance,
    random_long_only,
    random_long_short,
)


def covariances(T: int, n: int) -> np.ndarray:
    factors = np.random.default_rng(1).normal(size=(T, n, 3 * n))
    return factors @ factors.transpose(0, 2, 1)


def test_random_portfolios() -> None:
    """Long-only weights are >= 0 and sum to 1, long-short ones have length 1 and no preferred sign; both are seeded."""
    long_only = random_long_only(5, 400, np.random.default_rng(2))
    assert np.all(long_only >= 0.0)
    np.testing.assert_allclose(long_only.sum(axis=1), 1.0)
    np.testing.assert_allclose(long_only.mean(axis=0), 0.2, atol=4 * np.sqrt(0.16 / 6 / 400))
    long_short = random_long_short(5, 400, np.random.default_rng(2))
    np.testing.assert_allclose(np.linalg.norm(long_short, axis=1), 1.0)
    assert (long_short > 0.0).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2000))
    np.testing.assert_array_equal(long_short, random_long_short(5, 400, np.random.default_rng(2)))


def test_minimum_variance_is_minimal() -> None:
    """It is fully invested, and moving weight from one asset to another changes its variance by nothing."""
    Sigmas = covariances(6, 4)
    weights = minimum_variance(Sigmas)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    gradient = np.einsum("tij,tj->ti", Sigmas, weights)
    np.testing.assert_allclose(gradient, np.repeat(gradient[:, :1], 4, axis=1), rtol=1e-9)


def test_minimum_variance_of_two() -> None:
    """(σ₂² - σ₁₂) / (σ₁² + σ₂² - 2 σ₁₂) in the first of two."""
    weights = minimum_variance(np.array([[[4.0, 1.0], [1.0, 9.0]]]))
    np.testing.assert_allclose(weights, [[8 / 11, 3 / 11]])


def test_eigenportfolios() -> None:
    """They are uncorrelated under the forecast, of length 1, least variance first."""
    Sigmas = covariances(6, 4)
    portfolios = eigenportfolios(Sigmas)
    between = portfolios @ Sigmas @ portfolios.transpose(0, 2, 1)
    variances = np.einsum("tkk->tk", between)
    np.testing.assert_allclose(between, variances[:, :, None] * np.eye(4), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(portfolios, axis=2), 1.0)
    assert np.all(np.diff(variances, axis=1) > 0.0)


def test_are_regular() -> None:
    """An asset that never moved and an exact relation are singular, assets of very different volatility are not."""
    scale = np.array([1e-6, 1.0, 1e6])
    still, related = np.diag([1.0, 0.0, 1.0]), np.ones((3, 3))
    assert are_regular(np.array([np.outer(scale, scale) * np.eye(3), still, related])).tolist() == [True, False, False]


def test_bad_input() -> None:
    """No assets, no portfolios, a singular or misshapen covariance are refused."""
    for n, count in ((0, 3), (3, 0)):
        with pytest.raises(IllPosed, match=">= 1"):
            random_long_only(n, count, np.random.default_rng(1))
        with pytest.raises(IllPosed, match=">= 1"):
            random_long_short(n, count, np.random.default_rng(1))
    for wrong in (np.zeros((1, 2, 2)), np.ones((1, 2, 2)), np.eye(2), np.full((1, 2, 2), np.nan)):
        with pytest.raises(IllPosed):
            minimum_variance(wrong)
    with pytest.raises(IllPosed):
        eigenportfolios(np.ones((1, 2, 3)))
