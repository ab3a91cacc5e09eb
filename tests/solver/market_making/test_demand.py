"""Demand curves against direct maximisation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from solver.errors import IllPosed
from solver.market_making.demand import Demand, Logistic

BP = 1e-4
DEMANDS = (Logistic(-1.9, 11 / BP), Logistic(0.5, 2.5 / BP))
COSTS = BP * np.array([-3.0, -0.5, 0.0, 0.2, 1.0, 4.0])


def worth(demand: Demand, p: np.ndarray) -> np.ndarray:
    """H(p) = f(delta) (delta - p) at the quote."""
    quote = demand.quote(p)
    return np.asarray(demand.share(quote) * (quote - p))


@pytest.mark.parametrize("demand", DEMANDS)
@pytest.mark.parametrize("p", COSTS)
def test_the_quote_maximises_what_a_request_is_worth(demand: Demand, p: float) -> None:
    """`quote` maximises f(delta) (delta - p), as a library's scalar search does, and it is worth as much."""

    def lost(delta_bps: float) -> float:
        delta = np.array(delta_bps * BP)
        return -float(demand.share(delta)) * (float(delta) - p) / BP

    found = minimize_scalar(lost, bounds=(p / BP, p / BP + 20.0), method="bounded", options={"xatol": 1e-9})
    quote = float(demand.quote(np.array(p)))
    # The search compares values, which are flat at their maximum to the square root of rounding.
    assert quote / BP == pytest.approx(found.x, abs=1e-5)
    assert float(worth(demand, np.array(p))) / BP == pytest.approx(-found.fun, rel=1e-12)


@pytest.mark.parametrize("demand", DEMANDS)
def test_slope_and_curvature_are_derivatives_of_the_worth(demand: Demand) -> None:
    """H' = -share(quote) and H'' = curvature, against central differences, which err by (h beta)² / 6 of each, 2e-5."""
    h = 1e-3 * BP
    up, at, down = (worth(demand, COSTS + shift) for shift in (h, 0.0, -h))
    np.testing.assert_allclose((up - down) / (2 * h), -demand.share(demand.quote(COSTS)), rtol=3e-5)
    np.testing.assert_allclose((up - 2 * at + down) / h**2, demand.curvature(COSTS), rtol=3e-5)


def test_extreme_costs_neither_overflow_nor_turn_to_nan() -> None:
    """A logistic client stays defined a thousand times beyond its scale: nobody deals, or everybody does."""
    demand = Logistic(-1.9, 11 / BP)
    p = np.array([-100.0, 100.0]) * BP
    assert np.isfinite(demand.quote(p)).all()
    np.testing.assert_allclose(demand.share(demand.quote(p)), [1.0, 0.0], atol=1e-3)


def test_wrong_parameters_are_named() -> None:
    """A sensitivity that is not positive and a NaN are refused with key, expected and got."""
    for wrong, message in (
        (lambda: Logistic(0.0, 0.0), "beta must be finite and > 0, got 0"),
        (lambda: Logistic(np.nan, 1.0), "alpha must be finite, got nan"),
    ):
        with pytest.raises(IllPosed, match=message):
            wrong()
