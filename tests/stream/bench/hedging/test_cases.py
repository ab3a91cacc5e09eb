"""The hedging problems that are measured are of every kind."""

from __future__ import annotations

import numpy as np

from stream.bench.hedging.cases import enumerate_hedge, small_problem


def test_small_problems_are_of_every_kind() -> None:
    """Reached, unreachable and nothing to do, each with and without a limit on the number of trades."""
    chance = np.random.default_rng(7)
    found = {
        (enumerate_hedge(problem).status, problem.max_trades is None)
        for problem in (small_problem(chance) for _ in range(200))
    }
    assert len(found) == 6
