"""QLIKE against scipy's normal density, and that the truth has the least of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from solver.errors import IllPosed
from solver.scoring.losses import multivariate_qlike, qlike


def test_one_asset_against_scipy() -> None:
    """log h + r²/h is -2 log of the normal density, less log 2π."""
    h, r = np.array([0.5, 2.0, 9.0]), np.array([0.3, -4.0, 0.0])
    np.testing.assert_allclose(qlike(h, r), -2.0 * norm.logpdf(r, scale=np.sqrt(h)) - np.log(2.0 * np.pi))


def test_many_assets_against_scipy() -> None:
    """log det Σ + r'Σ⁻¹r is -2 log of the multivariate normal density, less n log 2π."""
    chance = np.random.default_rng(1)
    factors = chance.normal(size=(10, 4, 9))
    Sigmas, r = factors @ factors.transpose(0, 2, 1), chance.normal(size=(10, 4))
    expected = [
        -2.0 * multivariate_normal.logpdf(x, cov=S) - 4 * np.log(2.0 * np.pi) for S, x in zip(Sigmas, r, strict=True)
    ]
    np.testing.assert_allclose(multivariate_qlike(Sigmas, r), expected)


def test_independent_assets_add_up() -> None:
    """The loss of a diagonal covariance is the sum over its assets."""
    chance = np.random.default_rng(2)
    variances, r = chance.uniform(0.1, 3.0, (6, 3)), chance.normal(size=(6, 3))
    diagonal = variances[:, :, None] * np.eye(3)
    np.testing.assert_allclose(multivariate_qlike(diagonal, r), qlike(variances, r).sum(axis=1))


def test_the_truth_has_the_least_loss_whatever_the_tails() -> None:
    """Among multiples of the true variance the true one has the least mean loss, for t outcomes with 5 degrees too."""
    r = np.random.default_rng(3).standard_t(5, 200_000) * np.sqrt(3.0 / 5.0)
    means = {scale: qlike(np.full(r.shape, scale), r).mean() for scale in (0.5, 0.8, 1.0, 1.25, 2.0)}
    assert min(means, key=lambda scale: means[scale]) == 1.0
    assert means[0.5] > means[2.0]  # too low is worse than too high


def test_bad_input() -> None:
    """A variance that is not > 0, other shapes and NaN are refused."""
    with pytest.raises(IllPosed):
        qlike(np.array([0.0]), np.array([1.0]))
    with pytest.raises(IllPosed):
        qlike(np.array([1.0]), np.array([np.nan]))
    with pytest.raises(IllPosed, match="one shape"):
        qlike(np.ones(2), np.ones(3))
    with pytest.raises(IllPosed, match="positive definite"):
        multivariate_qlike(np.ones((1, 2, 2)), np.ones((1, 2)))
