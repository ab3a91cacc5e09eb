"""Lots that break anything that was asked are refused, by what they break."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solver.errors import ConstraintViolated
from solver.hedging.check import check_lots
from solver.hedging.cost import CostLadders
from solver.hedging.problem import HedgeProblem

SIDE = CostLadders(np.array([[2, 2], [9, 0]]), np.array([[1.0, 2.0], [1.0, 1.0]]), np.zeros(2), np.zeros(2))
PROBLEM = HedgeProblem(
    q=np.array([5.0, 0.0]),
    A=np.eye(2),
    buy=SIDE,
    sell=SIDE,
    lower=np.array([-5, -3]),
    upper=np.array([5, 3]),
    Sigma=np.eye(2),
    basis_variance=0.0,
    target=2.0,
    max_trades=1,
)


def test_good_lots_pass() -> None:
    """On the target exactly, within every limit, or honest about missing the target."""
    check_lots(PROBLEM, np.array([-3, 0]), True)
    check_lots(PROBLEM, np.array([-2, 0]), False)


@pytest.mark.parametrize(
    ("lots", "message"),
    [
        ([-3, -4], "break their bounds"),
        ([6, 0], "break their bounds"),
        ([-5, 0], "more than the ladders have"),
        ([-3, 1], "2 trades, more than the 1 allowed"),
        ([-2, 0], "leave a risk of 3.0, over the target 2.0"),
    ],
)
def test_bad_lots_are_refused(lots: list[int], message: str) -> None:
    """Bounds, ladders, number of trades, and a target that is claimed and missed."""
    with pytest.raises(ConstraintViolated, match=message):
        check_lots(PROBLEM, np.array(lots), True)


def test_rounding_of_large_positions_is_no_miss() -> None:
    """A position of 1e12 whose hedge cancels to the target is off by rounding, which is not held against it."""
    q = np.array([1e12 + 2.0, -1e12])
    together = replace(PROBLEM, q=q, Sigma=np.ones((2, 2)), target=2.0)
    check_lots(together, np.zeros(2, dtype=np.int64), True)
