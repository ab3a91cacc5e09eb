"""The runner-up is the best hedge without one of the instruments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.hedging.cost import flat_ladders
from solver.hedging.problem import TIE, HedgeProblem
from solver.hedging.runner_up import runner_up
from solver.hedging.solve import hedge
from stream.bench.hedging.cases import enumerate_hedge, small_problem


def test_runner_up_is_the_best_other_set() -> None:
    """Enumeration without one of the instruments at a time, equal legs together, finds no cheaper alternative."""
    chance = np.random.default_rng(3)
    compared = 0
    for case in range(200):
        problem = small_problem(chance)
        best = hedge(problem, 100_000)
        second = runner_up(problem, best, 100_000)
        if best.status != "reached":
            assert second is None
            continue
        others = []
        for j in np.flatnonzero(best.lots):
            same = (problem.A[:, [j]] == problem.A).all(axis=0)
            without = replace(problem, lower=np.where(same, 0, problem.lower), upper=np.where(same, 0, problem.upper))
            expected = enumerate_hedge(without)
            if expected.status == "reached":
                others.append(expected.cost)
        if not others:
            assert second is None, case
            continue
        assert second is not None, case
        assert second.proven
        assert second.cost.total == pytest.approx(min(others), rel=3 * TIE, abs=1e-12), case
        assert second.risk_after <= problem.target * (1 + 3 * TIE)
        assert second.cost.total >= best.cost.total * (1 - 3 * TIE)
        compared += 1
    assert compared >= 20


def test_runner_up_of_a_euro_excess() -> None:
    """Cheapest is EURUSD; the alternative is EURJPY with USDJPY, not EURUSD at the other venue."""
    bound = np.full(4, 20)
    side = flat_ladders(np.array([40.0, 41.0, 30.0, 20.0]))
    problem = HedgeProblem(
        q=np.array([5e6, 0.0]),
        A=1e6 * np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, -1.0, -1.0]]),
        buy=side,
        sell=side,
        lower=-bound,
        upper=bound,
        Sigma=np.array([[2.5e-5, 1e-5], [1e-5, 4.2e-5]]),
        basis_variance=0.0,
        target=1.0,
    )
    best = hedge(problem)
    second = runner_up(problem, best)
    assert best.lots.tolist() == [-5, 0, 0, 0]
    assert second is not None
    assert second.lots.tolist() == [0, 0, -5, 5]
    assert second.cost.total - best.cost.total == 50.0
    with pytest.raises(IllPosed, match="max_nodes must be >= 0, got -1"):
        runner_up(problem, best, -1)
