"""Costs of lots: ladders level by level, impact against its formula, and what is refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.errors import IllPosed
from solver.hedging.cost import MOST_LOTS, CostLadders, cost_parts, flat_ladders, impact_levels


def ladder(lots: list[int], costs: list[float], bid_ask_spread: float = 0.0, fee: float = 0.0) -> CostLadders:
    """One instrument."""
    return CostLadders(np.array([lots]), np.array([costs]), np.array([bid_ask_spread]), np.array([fee]))


def test_ladder_is_the_sum_of_its_levels() -> None:
    """Lots take the levels in turn, one lot after the other at the price of its level."""
    buy = ladder([2, 0, 3], [1.0, 9.0, 4.0])
    one_by_one = [0.0, 1.0, 2.0, 6.0, 10.0, 14.0]
    assert [float(buy.each(np.array([h]))[0]) for h in range(6)] == one_by_one
    assert buy.reach.tolist() == [5]
    assert float(buy.each(np.array([-3]))[0]) == 0.0


def test_parts() -> None:
    """Each lot costs bid-ask spread and fee, depth is what the levels add; buying and selling have ladders each."""
    buy = ladder([2, 3], [3.0, 5.0], bid_ask_spread=2.0, fee=1.0)
    sell = ladder([9], [0.5], bid_ask_spread=0.25, fee=0.25)
    parts = cost_parts(buy, sell, np.array([4]))
    assert (parts.bid_ask_spread, parts.fee, parts.depth, parts.total) == (8.0, 4.0, 4.0, 16.0)
    parts = cost_parts(buy, sell, np.array([-4]))
    assert (parts.bid_ask_spread, parts.fee, parts.depth, parts.total) == (1.0, 1.0, 0.0, 2.0)


@given(
    most=st.integers(1, 10**6),
    available=st.floats(0.5, 1e6),
    linear=st.floats(0.0, 1e-2),
    square_root=st.floats(0.0, 1e-2),
)
def test_impact_is_the_curve(most: int, available: float, linear: float, square_root: float) -> None:
    """The levels cost what the curve says at their ends, lie above it by at most .45 % between them, and rise."""
    lots, costs = impact_levels(most, available, linear, square_root)
    assert sum(lots) == most
    assert all(later >= earlier for earlier, later in itertools.pairwise(costs))
    ends = np.cumsum(lots)
    h = np.unique(np.minimum(np.concatenate([np.arange(1, 17), ends, ends[:-1] + np.array(lots[1:]) // 2]), most))
    phi = h / available
    curve = h * (linear * phi + square_root * np.sqrt(phi))
    side = CostLadders(np.array([lots]), np.array([costs]), np.zeros(1), np.zeros(1))
    levels = np.array([float(side.each(np.array([each]))[0]) for each in h])
    assert (levels >= curve * (1.0 - 1e-9)).all()
    assert (levels <= curve * 1.0045 + 1e-300).all()
    exact = (h <= 16) | np.isin(h, ends)
    np.testing.assert_allclose(levels[exact], curve[exact], rtol=1e-9)


def test_impact_units() -> None:
    """At the available size the price moves by the two coefficients; four times the lots, eight times the cost."""
    lots, costs = impact_levels(4, 4.0, 0.0, 1e-4)
    assert np.dot(lots, costs) == pytest.approx(4 * 1e-4, rel=1e-12)
    assert np.dot(lots, costs) == pytest.approx(8 * costs[0], rel=1e-12)
    lots, costs = impact_levels(4, 4.0, 1e-4, 0.0)
    assert np.dot(lots, costs) == pytest.approx(4 * 1e-4, rel=1e-12)
    assert impact_levels(0, 1.0, 1.0, 1.0) == ((), ())
    assert impact_levels(7, 1.0, 0.0, 0.0) == ((7,), (0.0,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([2, 3], [3.0, 2.0]), "cost_per_lot must not fall along the levels, got 2.0 after 3.0 for the instrument 0"),
        (([2, -3], [3.0, 4.0]), "lots must be >= 0, got -3"),
        (([2, 3], [-3.0, 4.0]), "cost_per_lot must be >= 0, got -3.0"),
        (([2, 3], [np.nan, 4.0]), "cost_per_lot must be finite, got nan"),
        (([MOST_LOTS, 3], [3.0, 4.0]), "lots must be at most 1000000000 an instrument, got 1000000003"),
        (([2], [3.0, 4.0]), r"cost_per_lot must have shape \(1, 1\)"),
        (([2, 3], [3.0, 4.0], 3.5), r"at least bid_ask_spread_per_lot \+ fee_per_lot, got 3.0 for the instrument 0"),
        (([2, 3], [3.0, 4.0], -1.0), "bid_ask_spread_per_lot must be >= 0, got -1.0"),
    ],
)
def test_bad_ladders(arguments: Any, message: str) -> None:
    """A ladder that is no convex cost is refused by name."""
    with pytest.raises(IllPosed, match=message):
        ladder(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1.0, 0.0, 0.0), "most_lots must be from 0"),
        ((1, 0.0, 0.0, 0.0), "available_lots must be finite and > 0, got 0.0"),
        ((1, np.inf, 0.0, 0.0), "available_lots must be finite and > 0, got inf"),
        ((1, 1.0, -1.0, 0.0), "linear must be finite and >= 0, got -1.0"),
        ((1, 1.0, 0.0, np.nan), "square_root must be finite and >= 0, got nan"),
    ],
)
def test_bad_impact(arguments: Any, message: str) -> None:
    """So is an impact curve that is none."""
    with pytest.raises(IllPosed, match=message):
        impact_levels(*arguments)


def test_flat() -> None:
    """Any number of lots costs the same each."""
    assert float(flat_ladders(np.array([2.5])).each(np.array([MOST_LOTS]))[0]) == 2.5e9
