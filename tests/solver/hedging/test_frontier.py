"""The frontier is the hedge of every target, costs falling as targets rise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.hedging.cost import CostLadders, flat_ladders
from solver.hedging.frontier import cost_risk_frontier
from solver.hedging.problem import TIE, HedgeProblem
from solver.hedging.solve import hedge
from stream.bench.hedging.cases import currency_desk


def single(lots: list[int], costs: list[float]) -> CostLadders:
    """One instrument without parts."""
    return CostLadders(np.array([lots]), np.array([costs]), np.zeros(1), np.zeros(1))


@pytest.mark.parametrize("max_nodes", [0, 5_000])
def test_frontier(max_nodes: int) -> None:
    """From nothing to flat costs rise and risks fall within their targets; each proven point is the hedge's own."""
    for seed in range(3):
        problem = currency_desk(np.random.default_rng(seed), 1e6, ladders=True)
        points = cost_risk_frontier(problem, 7, max_nodes)
        assert len(points) == 7
        nothing, flat = points[0].hedge, points[-1].hedge
        assert not nothing.lots.any()
        costs = [point.hedge.cost.total for point in points]
        targets = [point.target for point in points]
        assert costs == sorted(costs)
        assert targets == sorted(targets, reverse=True)
        assert flat.risk_after <= 0.2 * nothing.risk_after
        for point in points:
            assert point.hedge.risk_after <= point.target * (1 + 3 * TIE)
            assert point.hedge.cost_lower_bound <= point.hedge.cost.total
            if max_nodes and point.hedge.proven:
                again = hedge(replace(problem, target=point.target), max_nodes)
                assert abs(again.cost.total - point.hedge.cost.total) <= 2 * problem.cost_resolution


def test_frontier_of_what_whole_lots_hedge_exactly() -> None:
    """Where lots take the risk to zero the last target is a thousandth of it, as a target of zero is none."""
    side = single([9], [2.0])
    problem = HedgeProblem(
        np.array([3.0]), np.array([[-1.0]]), side, side, np.array([-9]), np.array([9]), np.eye(1), 0.0, 1.0
    )
    points = cost_risk_frontier(problem, 4)
    assert [point.hedge.lots.tolist() for point in points] == [[0], [1], [2], [3]]
    assert points[-1].hedge.risk_after == 0.0
    assert points[-1].target == pytest.approx(3e-3)


def test_frontier_of_what_cannot_be_hedged() -> None:
    """Without an instrument that helps the frontier is its first point; less than two points are refused."""
    side = flat_ladders(np.ones(1))
    bound = np.full(1, 9)
    problem = HedgeProblem(
        np.array([5.0, 0.0]), np.array([[0.0], [1.0]]), side, side, -bound, bound, np.eye(2), 0.0, 1.0
    )
    (point,) = cost_risk_frontier(problem, 5)
    assert point.target == 5.0
    assert not point.hedge.lots.any()
    (point,) = cost_risk_frontier(replace(problem, q=np.zeros(2)), 5)
    assert point.hedge.risk_after == 0.0
    with pytest.raises(IllPosed, match="points must be >= 2, got 1"):
        cost_risk_frontier(problem, 1)
