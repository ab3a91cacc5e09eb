"""The repair of what is no covariance is that of statsmodels, and leaves a covariance alone."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.correlation_tools import cov_nearest

from solver.covariance.pairs import nearest_covariance


@pytest.mark.parametrize("seed", range(20))
def test_the_repair_keeps_variances_and_is_that_of_statsmodels(seed: int) -> None:
    """Random symmetric matrices with a positive diagonal: PSD, same diagonal, statsmodels' clipped matrix."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 12))
    Sigma = rng.uniform(-1.2, 1.2, (n, n))
    Sigma = (Sigma + Sigma.T) / 2.0
    np.fill_diagonal(Sigma, 1.0)
    volatility = rng.lognormal(size=n) * 1e-4
    Sigma *= np.outer(volatility, volatility)
    repaired = nearest_covariance(Sigma)
    np.testing.assert_array_equal(np.diag(repaired), np.diag(Sigma))
    assert np.linalg.eigvalsh(repaired / np.outer(volatility, volatility))[0] > -1e-13
    expected = cov_nearest(Sigma, method="clipped", threshold=1e-10)
    np.testing.assert_allclose(repaired, expected, rtol=1e-9, atol=1e-12 * volatility.max() ** 2)


def test_the_repair_leaves_a_covariance_alone() -> None:
    """What is positive semi-definite comes back as it was, assets that never moved included."""
    loadings = np.random.default_rng(1).normal(size=(5, 5))
    loadings[2] = 0.0
    Sigma = loadings @ loadings.T + np.diag([0.1, 0.1, 0.0, 0.1, 0.1])
    np.testing.assert_array_equal(nearest_covariance(Sigma), Sigma)
