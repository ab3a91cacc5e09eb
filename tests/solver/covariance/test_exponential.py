"""Exponential weights are those of a weighted batch, from the first return on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf as batch_ledoit_wolf

from solver.covariance import ExponentialCovariance, WindowCovariance, half_life_to_decay
from solver.covariance.exponential import effective_count
from solver.errors import IllPosed

Estimator = WindowCovariance | ExponentialCovariance


def returns_of(seed: int, steps: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(n, n))
    return rng.standard_t(4, size=(steps, n)) @ mixing * 1e-4


def fed(estimator: Estimator, returns: np.ndarray) -> Estimator:
    for row in returns:
        estimator.update(row)
    return estimator


def test_exponential_is_the_weighted_batch_from_the_first_return() -> None:
    """The recursion with warm-up correction equals normalised weights 0.5^(age / half-life), at every step."""
    returns = returns_of(4, 60, 3)
    estimator = ExponentialCovariance(3, 7.5, "none")
    for t, row in enumerate(returns):
        estimator.update(row)
        weights = 0.5 ** (np.arange(t, -1, -1) / 7.5)
        expected = (returns[: t + 1] * weights[:, None]).T @ returns[: t + 1] / weights.sum()
        np.testing.assert_allclose(estimator.estimate(), expected, rtol=1e-12, atol=1e-14 * np.max(expected))
        effective = effective_count(7.5, estimator.asset_observations)
        assert effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_exponential_without_forgetting_is_sklearns_ledoit_wolf() -> None:
    """With an endless half-life the effective sample size is the count and the shrinkage is the batch one."""
    returns = returns_of(5, 200, 6)
    estimate = fed(ExponentialCovariance(6, 1e12, "ledoit-wolf"), returns).estimate()
    expected, _ = batch_ledoit_wolf(returns, assume_centered=True)
    np.testing.assert_allclose(estimate, expected, rtol=0, atol=1e-9 * np.max(expected))


def test_half_life_to_decay() -> None:
    """A weight halves after its half-life; a half-life of zero or less is refused."""
    assert half_life_to_decay(12.0) ** 12 == pytest.approx(0.5)
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(IllPosed, match="half_life_steps"):
            half_life_to_decay(bad)
