"""The kernels' units keep risk and cost: what a kernel sees of lots is what the problem says of them."""

from __future__ import annotations

import numpy as np
import pytest

from solver.hedging.cost import CostLadders, cost_parts
from solver.hedging.merged import lots_of_groups
from solver.hedging.problem import HedgeProblem, risk_of
from solver.hedging.terms import Terms, lots_of_instruments, merged_price, scaled, trades_price


def random_problem(chance: np.random.Generator, max_trades: int | None) -> HedgeProblem:
    """Four instruments of three levels each, two of them of the same legs, on four assets."""
    n, m = 4, 4
    A = chance.normal(size=(n, m))
    A[:, 3] = A[:, 1]
    sides = [
        CostLadders(
            chance.integers(1, 4, (m, 3)), np.sort(chance.uniform(1.0, 9.0, (m, 3)), axis=1), np.zeros(m), np.zeros(m)
        )
        for _ in range(2)
    ]
    loadings = chance.normal(size=(n, n))
    return HedgeProblem(
        q=10.0 * chance.normal(size=n),
        A=A,
        buy=sides[0],
        sell=sides[1],
        lower=np.full(m, -7),
        upper=np.full(m, 7),
        Sigma=loadings @ loadings.T,
        basis_variance=float(chance.uniform(0.0, 4.0)),
        target=float(chance.uniform(1.0, 9.0)),
        max_trades=max_trades,
    )


def some_lots(chance: np.random.Generator, terms: Terms) -> np.ndarray:
    lots: np.ndarray = chance.integers(terms.lower, terms.upper + 1)
    return lots


@pytest.mark.parametrize("max_trades", [None, 2])
@pytest.mark.parametrize("seed", range(20))
def test_risk_and_cost_are_those_of_the_problem(seed: int, max_trades: int | None) -> None:
    """Dealt out to the instruments, lots of groups have the risk and the cost that the kernels give them."""
    chance = np.random.default_rng(seed)
    problem = random_problem(chance, max_trades)
    terms = scaled(problem)
    assert len(terms.lower) == (3 if max_trades is None else 4)
    h = some_lots(chance, terms)
    lots = lots_of_instruments(terms, 4, h)
    np.testing.assert_array_equal(lots_of_groups(problem.merged, lots), h)
    exposure = terms.y + h @ terms.G
    assert np.sqrt(exposure @ exposure + terms.basis) * problem.target == pytest.approx(risk_of(problem, lots))
    without_surcharge = merged_price(terms, h) - terms.surcharge * np.abs(h).sum()
    cost = cost_parts(problem.buy, problem.sell, lots).total
    assert without_surcharge * terms.money == pytest.approx(cost, rel=1e-9)


def test_too_many_trades_cost_infinitely_much() -> None:
    """The price of lots is infinite where they need more trades than are allowed, and the merged one otherwise."""
    terms = scaled(random_problem(np.random.default_rng(1), 2))
    for h in ([1, 1, 0, 0], [0, 0, 0, 0], [2, 0, 0, -1]):
        assert trades_price(terms, np.array(h)) == merged_price(terms, np.array(h))
    assert trades_price(terms, np.array([1, 1, 0, 1])) == np.inf
