"""The linear programme of a node against scipy's HiGHS: same optimum, same answer to whether any point is left."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from solver.arrays import FloatArray
from solver.objective import materiality_floor
from solver.packing.problem import PackingProblem
from solver.packing.volume.dual_simplex import AT_LOWER, is_infeasible, solve_programme
from solver.packing.volume.nodes import Nodes, new_nodes
from solver.packing.volume.scaling import VolumeArrays, volume_arrays


def programme(chance: np.random.Generator, n: int, K: int) -> tuple[VolumeArrays, Nodes]:
    """Items of two or three legs over n assets, and one node that starts from the basis of the residuals."""
    B = np.zeros((n, K))
    for k in range(K):
        legs = chance.choice(n, size=min(n, int(chance.integers(2, 4))), replace=False)
        B[legs, k] = chance.uniform(0.4, 1.2, size=len(legs)) * chance.choice([-1.0, 1.0], size=len(legs))
    Sigma = np.diag(chance.uniform(0.5, 2.0, size=n) ** 2)
    problem = PackingProblem(
        B=B,
        Q=4.0 * chance.normal(size=n),
        lower=np.full(K, -9),
        upper=np.full(K, 9),
        Sigma=Sigma,
        objective="volume",
        mode="free",
        epsilon=materiality_floor(1.0, Sigma),
    )
    volume = volume_arrays(problem.arrays)
    nodes = new_nodes(K, n, 1)
    nodes.tableau[:, :n] = np.eye(n)
    nodes.tableau[:, n:] = volume.items.T
    nodes.basis[:] = np.arange(n)
    nodes.row_of[:n], nodes.row_of[n:] = np.arange(n), AT_LOWER
    return volume, nodes


def draw_box(chance: np.random.Generator, volume: VolumeArrays, nodes: Nodes, width: float) -> None:
    """A box around the residual of random multiples, off by a shift that may leave it without a point."""
    K, n = volume.items.shape
    nodes.low[0] = chance.integers(-4, 3, size=K)
    nodes.high[0] = nodes.low[0] + chance.integers(0, 5, size=K)
    omega = chance.uniform(nodes.low[0], nodes.high[0])
    middle = volume.position - volume.items.T @ omega + width * chance.normal(size=n)
    nodes.x_low[0] = middle - width * chance.uniform(0.0, 2.0, size=n)
    nodes.x_high[0] = middle + width * chance.uniform(0.0, 2.0, size=n)
    nodes.cost[:n] = chance.normal(size=n) * (chance.random(n) < 0.8)


def dual_value(volume: VolumeArrays, nodes: Nodes, lower: FloatArray, upper: FloatArray) -> float:
    """The Lagrangian of the programme at the multipliers that the dual simplex left."""
    prices = nodes.cost - np.concatenate([nodes.multiplier, volume.items @ nodes.multiplier])
    return float(volume.position @ nodes.multiplier + np.minimum(prices * lower, prices * upper).sum())


@pytest.mark.parametrize(("n", "K"), [(2, 1), (3, 4), (5, 8), (8, 12)])
def test_optimum_is_the_one_of_highs(n: int, K: int) -> None:
    """From the last box's basis: the point is feasible, its cost and the multipliers' bound are HiGHS's optimum.

    Where HiGHS finds no point, a row of the tableau proves it, and no row does where HiGHS finds one.
    """
    chance = np.random.default_rng([n, K])
    answers = {0: 0, 2: 0}
    for _ in range(20):
        volume, nodes = programme(chance, n, K)
        rows = np.hstack([np.eye(n), volume.items.T])
        for width in (8.0, 2.0, 0.5, 2.0, 8.0):
            draw_box(chance, volume, nodes, width)
            lower = np.concatenate([nodes.x_low[0], nodes.low[0]])
            upper = np.concatenate([nodes.x_high[0], nodes.high[0]])
            row = solve_programme(volume, nodes, 0)
            oracle = linprog(nodes.cost, A_eq=rows, b_eq=volume.position, bounds=np.column_stack([lower, upper]))
            answers[oracle.status] += 1
            # The point may be out of its range by FEASIBILITY, 1e-9, and HiGHS's by 1e-7; costs are of order one.
            if oracle.status == 2:
                assert row >= 0
                assert is_infeasible(volume, nodes, 0, row)
                continue
            assert row == -1
            np.testing.assert_allclose(rows @ nodes.point, volume.position, atol=1e-8)
            assert (nodes.point >= lower - 1e-8).all()
            assert (nodes.point <= upper + 1e-8).all()
            assert nodes.cost @ nodes.point == pytest.approx(oracle.fun, abs=1e-6)
            assert dual_value(volume, nodes, lower, upper) == pytest.approx(oracle.fun, abs=1e-6)
    assert min(answers.values()) >= 10


def test_rows_of_feasible_boxes_prove_nothing() -> None:
    """No row of any tableau passes for a proof in a box that holds a point, also where only one point is left."""
    chance = np.random.default_rng(7)
    for _ in range(50):
        volume, nodes = programme(chance, 5, 8)
        draw_box(chance, volume, nodes, 1.0)
        solve_programme(volume, nodes, 0)
        omega = chance.integers(nodes.low[0], nodes.high[0], endpoint=True)
        nodes.low[0] = nodes.high[0] = omega
        nodes.x_low[0] = nodes.x_high[0] = volume.position - volume.items.T @ omega
        assert not any(is_infeasible(volume, nodes, 0, row) for row in range(5))
