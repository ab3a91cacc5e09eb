"""Shrinkage against its papers, scikit-learn, and what it is for: less loss against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf
from sklearn.covariance import oas as sklearn_oas

from solver.covariance import ExponentialCovariance, WindowCovariance, ledoit_wolf, nonlinear_shrinkage, oas


def returns_of(seed: int, steps: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_t(5, size=(steps, n)) @ rng.normal(size=(n, n)) * 1e-4


@pytest.mark.parametrize(("steps", "n"), [(50, 2), (50, 7), (30, 40), (500, 20)])
def test_ledoit_wolf_is_sklearns(steps: int, n: int) -> None:
    """From second and fourth moments alone, what scikit-learn has from the returns."""
    returns = returns_of(1, steps, n)
    squares = returns**2
    found = ledoit_wolf(returns.T @ returns / steps, squares.T @ squares / steps, steps)
    expected, _ = sklearn_ledoit_wolf(returns, assume_centered=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize(("steps", "n"), [(50, 2), (50, 3), (50, 7), (30, 40), (500, 20)])
def test_oas_is_sklearns_with_the_term_that_it_leaves_out(steps: int, n: int) -> None:
    """The intensity of the paper's eq. 23 follows from scikit-learn's, which leaves 2/n out of both its parts.

    With s = tr S², d = s - tr² S / n: scikit-learn has ρ' = (s + tr² S) / ((T + 1) d), the paper
    ρ = (s + tr² S - 2 s / n) / ((T + 1 - 2/n) d), both at most 1.
    """
    returns = returns_of(2, steps, n)
    S = returns.T @ returns / steps
    _, theirs = sklearn_oas(returns, assume_centered=True)
    s, trace = float(np.sum(S**2)), float(np.trace(S))
    d = s - trace**2 / n
    assert theirs < 1.0
    ours = min((theirs * (steps + 1) * d - 2 * s / n) / ((steps + 1 - 2 / n) * d), 1.0)
    expected = (1 - ours) * S + ours * trace / n * np.eye(n)
    np.testing.assert_allclose(oas(S, steps), expected, rtol=0, atol=1e-12 * np.abs(S).max())


def test_oas_of_what_is_its_own_target() -> None:
    """A multiple of the identity, zero included, stays as it is."""
    for scale in (0.0, 1e-8):
        np.testing.assert_allclose(oas(scale * np.eye(3), 20), scale * np.eye(3), rtol=1e-15)


def test_weighted_returns_count_by_kish() -> None:
    """The service's estimators hand on the effective number of returns: with an endless memory that is the count."""
    returns = returns_of(7, 80, 6)
    S = returns.T @ returns / 80
    endless, window = ExponentialCovariance(6, 1e9, "nonlinear"), WindowCovariance(6, 80, "nonlinear")
    short = ExponentialCovariance(6, 15.0, "oas")
    for row in returns:
        for estimator in (endless, window, short):
            estimator.update(row)
    for estimator in (endless, window):
        np.testing.assert_allclose(estimator.estimate(), nonlinear_shrinkage(S, 80), rtol=1e-5)
    weights = 0.5 ** (np.arange(80)[::-1] / 15.0)
    weighted = (returns * weights[:, None]).T @ returns / weights.sum()
    expected = oas(weighted, weights.sum() ** 2 / (weights**2).sum())
    np.testing.assert_allclose(short.estimate(), expected, rtol=1e-10)
