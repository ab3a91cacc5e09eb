"""Statistics against statsmodels on the series themselves, p-values against its tables."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.adfvalues import mackinnonp
from statsmodels.tsa.stattools import adfuller

from solver.errors import IllPosed, NotEnoughData
from solver.reversion.error_correction import johansen_moments
from solver.reversion.evidence.unit_root import dickey_fuller_p_values, dickey_fuller_statistics


def walks(seed: int, steps: int, n: int) -> np.ndarray:
    log_prices: np.ndarray = np.cumsum(np.random.default_rng(seed).normal(size=(steps, n)), axis=0)
    return log_prices


@pytest.mark.filterwarnings("ignore:adfuller currently returns:FutureWarning")
@pytest.mark.parametrize("lags", [0, 1, 3])
def test_statistics_equal_statsmodels(lags: int) -> None:
    """From the moments of four assets, the t-statistic that statsmodels finds on each of six basket spreads."""
    log_prices, B = walks(1, 300, 4), np.random.default_rng(2).normal(size=(4, 6))
    found = dickey_fuller_statistics(johansen_moments(log_prices, lags), 4, lags, B)
    expected = [adfuller(log_prices @ beta, maxlag=lags, regression="c", autolag=None)[0] for beta in B.T]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_statistics_do_not_depend_on_scale_sign_and_origin() -> None:
    """Weights times -7 and prices elsewhere: the same statistic."""
    log_prices, B = walks(3, 200, 3), np.random.default_rng(4).normal(size=(3, 2))
    own = dickey_fuller_statistics(johansen_moments(log_prices, 1), 3, 1, B)
    np.testing.assert_allclose(
        dickey_fuller_statistics(johansen_moments(log_prices + 50.0, 1), 3, 1, -7.0 * B), own, rtol=1e-9
    )


def test_a_basket_spread_that_stands_still_is_no_evidence() -> None:
    """A twin's basket spread, which rounding moves, and an asset without a price change have statistic 0, others their
    own."""
    log_prices = walks(5, 200, 2)
    log_prices = np.column_stack([log_prices, log_prices[:, 0] + 1.0, np.ones(200)])
    B = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    found = dickey_fuller_statistics(johansen_moments(log_prices, 1), 4, 1, B)
    assert found[:2].tolist() == [0.0, 0.0]
    alone = dickey_fuller_statistics(johansen_moments(log_prices[:, :2], 1), 2, 1, np.array([[1.0], [-1.0]]))
    assert found[2] == pytest.approx(alone[0], rel=1e-9)


def test_p_values_equal_the_tables() -> None:
    """Over both branches of the surface and beyond its ends, the p-values of statsmodels."""
    statistics = np.linspace(-20.0, 4.0, 97)
    expected = [mackinnonp(statistic, "c", 1) for statistic in statistics]
    np.testing.assert_allclose(dickey_fuller_p_values(statistics), expected, rtol=1e-9)


def test_bad_input() -> None:
    """Moments of another model and too few observations are typed errors."""
    moments = johansen_moments(walks(6, 50, 3), 1)
    with pytest.raises(IllPosed, match="moments of 3 series"):
        dickey_fuller_statistics(moments, 3, 2, np.eye(3))
    with pytest.raises(IllPosed, match=r"B \(n, K\)"):
        dickey_fuller_statistics(moments, 3, 1, np.eye(2))
    with pytest.raises(NotEnoughData, match="at least 4 observations, got 3"):
        dickey_fuller_statistics(johansen_moments(walks(7, 5, 1), 1), 1, 1, np.eye(1))
