"""A problem is checked when it is made, and moves to another position whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.hedging.cost import flat_ladders
from solver.hedging.problem import HedgeProblem
from solver.hedging.runner_up import runner_up
from solver.hedging.solve import hedge
from stream.bench.hedging.cases import small_problem


def covariance(volatilities: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    return correlation * np.outer(volatilities, volatilities)


def flat_problem(
    q: Any, A: Any, cost_per_lot: Any, lower: Any, upper: Any, Sigma: Any, basis_variance: float, target: float
) -> HedgeProblem:
    """Any number of lots at one price, the same to buy and to sell."""
    ladders = flat_ladders(cost_per_lot)
    return HedgeProblem(q, A, ladders, ladders, lower, upper, Sigma, basis_variance, target)


def euro_excess(eurusd_cost: float, second_euro_venue_cost: float = 1e3) -> HedgeProblem:
    """Long 5 M EUR in a dollar book; EURUSD at two venues, EURJPY and USDJPY, one million a lot."""
    return flat_problem(
        q=np.array([5e6, 0.0]),
        A=1e6 * np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, -1.0, -1.0]]),
        cost_per_lot=np.array([eurusd_cost, second_euro_venue_cost, 30.0, 20.0]),
        lower=np.full(4, -20),
        upper=np.full(4, 20),
        Sigma=covariance(np.array([50e-4, 65e-4]), np.array([[1.0, 0.3], [0.3, 1.0]])),
        basis_variance=0.0,
        target=1.0,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": np.array([np.nan, 0.0])}, "q must be finite, got nan"),
        ({"q": np.zeros(0)}, "q must hold at least one asset"),
        ({"q": np.array([1, 2])}, r"q must have shape \(2,\) and type float64, got \(2,\) and int64"),
        ({"A": np.ones((3, 4))}, r"A must have shape \(2, 4\)"),
        ({"A": np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]])}, r"A must .* instruments \[1\]"),
        ({"A": np.full((2, 4), np.inf)}, "A must be finite, got inf"),
        ({"buy": flat_ladders(np.ones(3))}, "buy must have one ladder an instrument, expected 4, got 3"),
        ({"max_trades": -1}, "max_trades must be >= 0, got -1"),
        ({"cost_resolution": -0.1}, "cost_resolution must be finite and >= 0, got -0.1"),
        ({"lower": np.zeros(4)}, "lower must have .* int64, got .* float64"),
        ({"lower": np.array([1, 0, 0, 0])}, "lower must be within"),
        ({"upper": np.array([0, 0, -1, 0])}, "upper must be within"),
        ({"upper": np.full(4, 10**10)}, "upper must be within 0 and 1000000000"),
        ({"upper": np.zeros(3, dtype=np.int64)}, r"upper must have shape \(4,\)"),
        ({"Sigma": np.array([[1.0, 0.5], [0.4, 1.0]])}, "Sigma must be symmetric, got .* 0.1"),
        ({"Sigma": np.array([[1.0, 2.0], [2.0, 1.0]])}, "Sigma must be positive semi-definite, got the eigenvalue -1"),
        ({"Sigma": np.eye(3)}, r"Sigma must have shape \(2, 2\)"),
        ({"basis_variance": -1.0}, "basis_variance must be finite and >= 0, got -1"),
        ({"basis_variance": np.nan}, "basis_variance must be finite and >= 0, got nan"),
        ({"risk_resolution": 1.0}, "risk_resolution must be >= 0 and < 1, got 1.0"),
        ({"risk_resolution": np.nan}, "risk_resolution must be >= 0 and < 1, got nan"),
        ({"target": 0.0}, "target must be finite and > 0, got 0"),
        ({"target": np.inf}, "target must be finite and > 0, got inf"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    """Each input that admits no answer is refused by name, with what was expected and what came."""
    with pytest.raises(IllPosed, match=message):
        replace(euro_excess(40.0), **change)


def test_at_a_position_it_is_a_problem_of_its_own() -> None:
    """Moved from one position and target to the next, answers and runners-up are those of problems made anew."""
    chance = np.random.default_rng(11)
    for _ in range(60):
        problem = small_problem(chance)
        hedge(problem, 200)  # what it prepares must hold nothing of its position
        q = chance.standard_normal(len(problem.q)) * 3.0
        target, basis_variance = problem.target * chance.uniform(0.3, 3.0), float(chance.choice([0.0, 0.01]))
        moved = problem.at_position(q, basis_variance, target)
        new = replace(problem, q=q, basis_variance=basis_variance, target=target)
        answer, expected = hedge(moved, 200), hedge(new, 200)
        second, second_expected = runner_up(moved, answer, 200), runner_up(new, expected, 200)
        assert (second is None) == (second_expected is None)
        pairs: list[tuple[Any, Any]] = [(answer, expected)]
        if second is not None:
            pairs.append((second, second_expected))
        for one, other in pairs:
            for name, value in vars(other).items():
                np.testing.assert_array_equal(getattr(one, name), value, err_msg=name)


@pytest.mark.parametrize(
    ("q", "basis_variance", "target", "message"),
    [
        (np.zeros(3), 0.0, 1.0, r"q must have shape \(2,\)"),
        (np.array([np.nan, 0.0]), 0.0, 1.0, "q must be finite, got nan"),
        (np.zeros(2), -1.0, 1.0, "basis_variance must be finite and >= 0, got -1"),
        (np.zeros(2), 0.0, 0.0, "target must be finite and > 0, got 0"),
    ],
)
def test_bad_position(q: Any, basis_variance: float, target: float, message: str) -> None:
    """What changes with the position is checked for each."""
    with pytest.raises(IllPosed, match=message):
        euro_excess(40.0).at_position(q, basis_variance, target)
