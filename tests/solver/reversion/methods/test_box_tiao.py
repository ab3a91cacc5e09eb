"""Box and Tiao's components are canonical correlations with the past, and follow no units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh
from statsmodels.tsa.vector_ar.var_model import VAR

from solver.reversion.error_correction import johansen_moments, regress
from solver.reversion.evidence.measure import measured
from solver.reversion.methods.box_tiao import BoxTiao, box_tiao


def prices(seed: int, steps: int = 400) -> np.ndarray:
    """Two walks and two mixtures of them with noise of different memory."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(rng.normal(size=(steps, 2)), axis=0)
    basket_spread = np.zeros((steps, 2))
    noise = rng.normal(size=(steps, 2))
    for t in range(1, steps):
        basket_spread[t] = [0.5, 0.9] * basket_spread[t - 1] + noise[t]
    return np.column_stack([walks, walks @ [[1.0, 0.3], [-0.5, 1.0]] + basket_spread])


def fitted(log_prices: np.ndarray, lags: int = 0) -> BoxTiao:
    return box_tiao(regress(johansen_moments(log_prices, lags), log_prices.shape[1], lags))


@pytest.mark.parametrize("lags", [0, 2])
def test_equal_to_the_ratio_of_fitted_to_total_variance(lags: int) -> None:
    """Predictabilities are the generalised eigenvalues of fitted against total variance of statsmodels' VAR."""
    log_prices = prices(1)
    model = VAR(log_prices).fit(lags + 1, trend="c")
    observed = log_prices[lags + 1 :]
    predicted = observed - model.resid
    expected, vectors = eigh(np.cov(predicted.T, bias=True), np.cov(observed.T, bias=True))
    components = fitted(log_prices, lags)
    np.testing.assert_allclose(components.predictability, expected, rtol=1e-8, atol=1e-10)
    basket_spreads = observed @ components.beta
    np.testing.assert_allclose(basket_spreads.std(axis=0), 1.0, rtol=1e-9)
    for k in range(4):
        assert abs(np.corrcoef(basket_spreads[:, k], observed @ vectors[:, k])[0, 1]) == pytest.approx(1.0, abs=1e-8)


def test_components_are_uncorrelated_now_and_in_their_predictions() -> None:
    """Both the components and what the past predicts of them are uncorrelated with each other."""
    log_prices = prices(2)
    components = fitted(log_prices)
    observed = log_prices[1:] @ components.beta
    predicted = (log_prices[1:] - VAR(log_prices).fit(1, trend="c").resid) @ components.beta
    for basket_spreads in (observed, predicted):
        covariance = np.cov(basket_spreads.T, bias=True)
        assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-9


def test_an_autoregression_has_its_squared_coefficient() -> None:
    """Basket spreads planted with coefficients .5 and .9 come first, predictabilities near .25 and .81, and walks
    last."""
    components = fitted(prices(3, 5_000))
    np.testing.assert_allclose(components.predictability[:2], [0.25, 0.81], atol=0.04)
    assert np.all(components.predictability[2:] > 0.98)
    log_prices = prices(3, 5_000)
    regression = regress(johansen_moments(log_prices, 0), 4, 0)
    vectors = measured(regression, components.beta, "box_tiao")
    half_lives = [vector.half_life_steps for vector in vectors[:2]]
    np.testing.assert_allclose(half_lives, np.log(0.5) / np.log([0.5, 0.9]), rtol=0.15)
    assert vectors[0].p_value < 1e-6 < vectors[3].p_value


def test_units_order_and_numeraire() -> None:
    """Predictabilities and basket spreads follow no choice of units, order or currency."""
    log_prices = prices(4)
    reference = fitted(log_prices)
    in_other = log_prices - log_prices[:, [3]]
    in_other[:, 3] = -log_prices[:, 3]
    for other in (log_prices * [1e-3, 1.0, 50.0, 1e3] + 4.0, log_prices[:, [2, 0, 3, 1]], in_other):
        components = fitted(other)
        np.testing.assert_allclose(components.predictability, reference.predictability, rtol=1e-8)
        for k in range(4):
            basket_spreads = np.corrcoef(other @ components.beta[:, k], log_prices @ reference.beta[:, k])
            assert abs(basket_spreads[0, 1]) == pytest.approx(1.0, abs=1e-8)
