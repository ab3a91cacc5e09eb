"""Scores of forecasts: in batches as at once, and as skfolio's own evaluation has them."""

from __future__ import annotations

import numpy as np
import pytest

from solver.covariance import ExponentialCovariance
from stream.studies.validate import covariances
from stream.studies.validate.covariances import FAMILIES, Scorer, Scores

T, N = 300, 4


def log_prices() -> np.ndarray:
    chance = np.random.default_rng(1)
    mixing = chance.normal(size=(N, N)) * 0.01
    return np.cumsum(chance.standard_t(5, (T, N)) @ mixing, axis=0)


def scored(prices: np.ndarray, horizon: int = 1, half_life: float = 30.0, first: int = 40) -> Scores:
    """The exponential covariance as a forecast from row `first` on."""
    scorer = Scorer(prices, horizon, np.random.default_rng(2))
    model = ExponentialCovariance(prices.shape[1], half_life, "none")
    for row in range(len(prices)):
        if row:
            model.update(prices[row] - prices[row - 1])
        scorer.add(row, horizon * model.estimate() if row >= first else None)
    return scorer.scores()


def test_as_skfolio_evaluates() -> None:
    """On one walk of one covariance: skfolio's Mahalanobis ratios, standardised portfolio returns and losses."""
    skfolio = pytest.importorskip("skfolio.model_selection", reason="skfolio is not installed (pip install '.[bench]')")
    from skfolio.moments import EWCovariance

    prices = log_prices()
    weights = np.random.default_rng(3).dirichlet(np.ones(N), 5)
    theirs = skfolio.online_covariance_forecast_evaluation(
        EWCovariance(half_life=30.0, min_observations=1),
        np.diff(prices, axis=0),
        warmup_size=40,
        test_size=1,
        portfolio_weights=weights,
    )
    ours = scored(prices)
    np.testing.assert_allclose(ours.mahalanobis, theirs.mahalanobis_calibration_ratio, rtol=1e-9)
    np.testing.assert_allclose((ours.z[FAMILIES[0]] ** 2).mean(axis=1), theirs.diagonal_calibration_ratio, rtol=1e-9)
    # The same portfolios as assets of their own: what a portfolio earns does not depend on how it is written.
    of_portfolios = scored(prices @ weights.T)
    np.testing.assert_allclose(of_portfolios.z[FAMILIES[0]], theirs.portfolio_standardized_return, rtol=1e-9)
    np.testing.assert_allclose(of_portfolios.qlike, theirs.portfolio_variance_qlike_loss, rtol=1e-9)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of seven the scores are those of one batch."""
    whole = scored(log_prices())
    monkeypatch.setattr(covariances, "_BATCH", 7)
    parts = scored(log_prices())
    np.testing.assert_array_equal(parts.rows, whole.rows)
    for family in FAMILIES:
        np.testing.assert_allclose(parts.z[family], whole.z[family], rtol=1e-9)
    np.testing.assert_allclose(parts.multivariate_qlike, whole.multivariate_qlike)


def test_outcomes_over_a_horizon_do_not_overlap() -> None:
    """With five steps, every fifth row is scored by the sum of the five returns after it against five times Σ."""
    prices = log_prices()
    found = scored(prices, horizon=5)
    assert np.all(np.diff(found.rows) == 5)
    np.testing.assert_array_equal(found.ends, found.rows + 5)
    model = ExponentialCovariance(N, 30.0, "none")
    for returns in np.diff(prices[:41], axis=0):
        model.update(returns)
    z = (prices[45] - prices[40]) / np.sqrt(5.0 * np.diag(model.estimate()))
    np.testing.assert_allclose(found.z[FAMILIES[0]][0], z)


def test_an_asset_that_has_not_moved_yet() -> None:
    """Its forecasts are singular and counted: no determinant, no outcome of it, but random portfolios are scored."""
    prices = log_prices()
    prices[:100, 0] = prices[0, 0]
    found = scored(prices)
    assert found.singular == 60
    assert found.unforecast == 40
    still = found.rows < 100
    assert np.all(np.isnan(found.multivariate_qlike[still]))
    assert np.all(np.isfinite(found.multivariate_qlike[~still]))
    assert np.all(np.isnan(found.z[FAMILIES[0]][still, 0]))
    assert np.all(np.isfinite(found.z[FAMILIES[1]]))


def test_no_forecast_at_all() -> None:
    """Nothing to score is an empty result, not an error."""
    scorer = Scorer(log_prices(), 1, np.random.default_rng(1))
    scorer.add(0, None)
    found = scorer.scores()
    assert len(found.rows) == 0
    assert found.unforecast == 1
