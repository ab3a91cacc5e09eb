"""Streaming covariances equal batch ones, and are what a risk figure can be built on."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf as batch_ledoit_wolf

from solver.covariance import ExponentialCovariance, Shrinkage, WindowCovariance
from solver.errors import IllPosed, NotEnoughData

Estimator = WindowCovariance | ExponentialCovariance


def returns_of(seed: int, steps: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(n, n))
    return rng.standard_t(4, size=(steps, n)) @ mixing * 1e-4


def fed(estimator: Estimator, returns: np.ndarray) -> Estimator:
    for row in returns:
        estimator.update(row)
    return estimator


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_full_window_is_sklearns_ledoit_wolf(n: int) -> None:
    """At a full window the streaming estimate is sklearn's batch one, n above the window's length included."""
    returns = returns_of(n, 90, n)
    estimate = fed(WindowCovariance(n, 30, "ledoit-wolf"), returns).estimate()
    expected, _ = batch_ledoit_wolf(returns[-30:], assume_centered=True)
    np.testing.assert_allclose(estimate, expected, rtol=0, atol=1e-10 * np.max(np.abs(expected)))


def test_unshrunk_window_is_the_batch_second_moment() -> None:
    """Without shrinkage it is the mean outer product of the last returns, during warm-up of those there are."""
    returns = returns_of(3, 50, 4)
    estimator = WindowCovariance(4, 20, "none")
    for t, row in enumerate(returns):
        estimator.update(row)
        held = returns[max(0, t - 19) : t + 1]
        assert estimator.observations == len(held)
        expected = held.T @ held / len(held)
        np.testing.assert_allclose(estimator.estimate(), expected, rtol=0, atol=1e-13 * np.max(expected))


@pytest.mark.parametrize("shrinkage", get_args(Shrinkage))
@pytest.mark.parametrize("kind", [WindowCovariance, ExponentialCovariance])
def test_symmetric_psd_and_follows_scale_and_order(kind: type[Estimator], shrinkage: Shrinkage) -> None:
    """The estimate is symmetric PSD, a common scale squares through, a permutation of assets permutes it."""
    returns = returns_of(6, 25, 8)
    estimate = fed(kind(8, 14, shrinkage), returns).estimate()
    np.testing.assert_array_equal(estimate, estimate.T)
    assert np.linalg.eigvalsh(estimate).min() > -1e-14 * np.max(estimate)
    scaled = fed(kind(8, 14, shrinkage), 3.0 * returns).estimate()
    np.testing.assert_allclose(scaled, 9.0 * estimate, rtol=1e-10, atol=1e-14 * np.max(scaled))
    order = np.random.default_rng(0).permutation(8)
    permuted = fed(kind(8, 14, shrinkage), returns[:, order]).estimate()
    np.testing.assert_allclose(permuted, estimate[np.ix_(order, order)], rtol=1e-10, atol=1e-14 * np.max(estimate))


@pytest.mark.parametrize("kind", [WindowCovariance, ExponentialCovariance])
def test_restored_state_goes_on_bit_for_bit(kind: type[Estimator]) -> None:
    """Export, restore, continue: the same bits as without the interruption."""
    returns = returns_of(7, 60, 3)
    uninterrupted = fed(kind(3, 20, "ledoit-wolf"), returns)
    resumed = kind(3, 20, "ledoit-wolf")
    resumed.restore(fed(kind(3, 20, "ledoit-wolf"), returns[:41]).arrays())
    fed(resumed, returns[41:])
    np.testing.assert_array_equal(resumed.estimate(), uninterrupted.estimate())
    assert resumed.observations == uninterrupted.observations


@pytest.mark.parametrize("kind", [WindowCovariance, ExponentialCovariance])
def test_bad_input_is_refused_and_changes_nothing(kind: type[Estimator]) -> None:
    """No return yet, an infinite one, a wrong shape, a foreign state, an unknown shrinkage: each is a typed error."""
    estimator = kind(2, 10, "ledoit-wolf")
    with pytest.raises(NotEnoughData):
        estimator.estimate()
    estimator.update(np.array([0.01, -0.02]))
    before = estimator.estimate()
    for bad in (np.inf, -np.inf, 1e200):
        with pytest.raises(IllPosed, match="finite"):
            estimator.update(np.array([bad, 0.0]))
    with pytest.raises(IllPosed, match="shape"):
        estimator.update(np.zeros(3))
    with pytest.raises(IllPosed):
        estimator.restore(kind(3, 10, "ledoit-wolf").arrays())
    np.testing.assert_array_equal(estimator.estimate(), before)
    with pytest.raises(IllPosed, match="shrinkage"):
        kind(2, 10, "lasso")  # type: ignore[arg-type]
    with pytest.raises(IllPosed, match="n must be"):
        kind(0, 10, "none")


def test_all_zero_returns_give_a_zero_covariance() -> None:
    """A market that stands still is no error: no division by the zero distance to the target."""
    np.testing.assert_array_equal(
        fed(WindowCovariance(3, 5, "ledoit-wolf"), np.zeros((5, 3))).estimate(), np.zeros((3, 3))
    )
