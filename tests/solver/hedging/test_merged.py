"""Of two venues of the same legs, the one that is nowhere dearer comes first."""

from __future__ import annotations

import numpy as np

from solver.hedging.cost import CostLadders
from solver.hedging.problem import HedgeProblem


def test_venues_ahead() -> None:
    """A venue is ahead of another where no number of lots costs more there; of equal ones the first is."""
    chance = np.random.default_rng(4)
    seen = set()
    for _ in range(400):
        counts = chance.integers(0, 3, (2, 2))
        costs = np.sort(chance.integers(0, 3, (2, 2)), axis=1).astype(np.float64)
        side = CostLadders(counts, costs, np.zeros(2), np.zeros(2))
        other = CostLadders(np.full((3, 1), 9), np.ones((3, 1)), np.zeros(3), np.zeros(3))
        buy = CostLadders(np.vstack([counts, [[9, 0]]]), np.vstack([costs, [[1.0, 1.0]]]), np.zeros(3), np.zeros(3))
        problem = HedgeProblem(
            q=np.array([9.0, 9.0]),
            A=np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
            buy=buy,
            sell=other,
            lower=np.full(3, -9),
            upper=np.full(3, 9),
            Sigma=np.eye(2),
            basis_variance=0.0,
            target=1.0,
            max_trades=1,
        )
        single = [np.repeat(costs[j], counts[j]) for j in range(2)]
        reach = side.reach
        nowhere_dearer = [
            bool(reach[i] >= reach[1 - i] and (single[i][: reach[1 - i]] <= single[1 - i]).all()) for i in range(2)
        ]
        ahead = problem.merged.ahead
        assert ahead[0, 1] == (0 if nowhere_dearer[0] else -1)
        assert ahead[0, 0] == (1 if nowhere_dearer[1] and not nowhere_dearer[0] else -1)
        assert ahead[1].tolist() == [-1, 0, -1]
        seen.add(tuple(nowhere_dearer))
    assert seen == {(False, False), (False, True), (True, False), (True, True)}
