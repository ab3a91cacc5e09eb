"""The exact search for the determinant: its parts against brute force, the whole against enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

import solver.packing.determinant.products as products
import solver.packing.determinant.solve as determinant
import solver.packing.determinant.sums as sums
from solver.arrays import FloatArray, IntArray
from solver.packing.bounds import Mode, lot_bounds
from solver.packing.determinant.solve import flat_arrays
from solver.packing.determinant.sums import NONE, tree_of
from solver.packing.evaluation import evaluate
from solver.packing.methods.anneal import pack_by_annealing
from solver.packing.methods.enumerate import pack_by_enumeration
from solver.packing.methods.exact import pack_exactly
from solver.packing.methods.incremental import pack_incrementally
from solver.packing.problem import PackingProblem

LOT = 1e5
MODES: tuple[Mode, ...] = get_args(Mode)
# Bounds and values round differently; a proof is up to this share of the objective.
PROOF = 1 + 1e-9


def make(B: FloatArray, Q: FloatArray, Sigma: FloatArray, mode: Mode, most: int) -> PackingProblem:
    """A problem in lots of LOT, with no multiple beyond `most`."""
    lower, upper = lot_bounds(LOT * B, LOT * Q, mode, chains=True)
    return PackingProblem(
        B=LOT * B,
        Q=LOT * Q,
        lower=np.maximum(lower, -most),
        upper=np.minimum(upper, most),
        Sigma=Sigma,
        objective="determinant",
        mode=mode,
        epsilon=1e3,
    )


def random_problem(seed: int, mode: Mode, most: int, assets: int = 4, items: int = 4) -> PackingProblem:
    """Items of 1 to 3 legs; half of the books hold whole lots of whole weights, so that legs can be flat; some cost."""
    chance = np.random.default_rng(seed)
    factors = 0.01 * chance.normal(size=(assets, 2 * assets))
    B, Q = np.zeros((assets, items)), 10.0 * chance.normal(size=assets)
    for k in range(items):
        legs = chance.choice(assets, size=min(assets, int(chance.integers(1, 4))), replace=False)
        B[legs, k] = -chance.uniform(0.3, 1.2, size=len(legs))
        B[legs[0], k] = 1.0
    if chance.random() < 0.5:
        B, Q = np.sign(B), np.round(Q)
    problem = make(B, Q, factors @ factors.T, mode, most)
    if chance.random() < 0.3:
        cost = 1e-3 * problem.key(np.zeros(items, dtype=np.int64))[0] * chance.choice((0.0, 0.1, 1.0), size=items)
        problem = replace(problem, cost_per_lot=cost)
    return problem


def feasible_residuals(problem: PackingProblem) -> tuple[IntArray, FloatArray]:
    """All combinations within the bounds and the rows, (N, K), and what each leaves, (N, n)."""
    ranges = [range(low, high + 1) for low, high in zip(problem.lower, problem.upper, strict=True)]
    combinations = np.array(list(itertools.product(*ranges)))
    combinations = combinations[[evaluate(problem.arrays, omega)[0] for omega in combinations]]
    return combinations, np.array([problem.residual(omega) for omega in combinations])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tabled", [10**6, 3])
def test_the_searches_equal_enumeration(mode: Mode, tabled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With next to nothing left to the general search first, with tables and without: value and variance, proven."""
    monkeypatch.setattr(determinant, "FIRST_NODES", 1)
    monkeypatch.setattr(sums, "MOST_SUMS", tabled)
    monkeypatch.setattr(determinant, "MOST_HALVES", tabled)
    monkeypatch.setattr(products, "MOST_SUMS", tabled)
    zeros = 0
    for seed in range(100):
        problem = random_problem(seed, mode, 3, assets=1 + seed % 5)
        best, packing = pack_by_enumeration(problem), pack_exactly(problem)
        _, value, tie = evaluate(problem.arrays, best.multiples)
        _, reached, reached_tie = evaluate(problem.arrays, packing.multiples)
        assert packing.proven, f"seed {seed}"
        assert reached == pytest.approx(value, rel=1e-9), f"seed {seed}"
        assert reached_tie <= tie * PROOF or reached < value, f"seed {seed}"
        zeros += value == 0.0
    assert 20 <= zeros <= 80


@pytest.mark.parametrize("mode", MODES)
def test_a_flat_box_holds_every_multiple_that_flattens(mode: Mode) -> None:
    """The box is None where no combination leaves the asset flat, and otherwise holds all that do, and zero or not."""
    found = 0
    for seed in range(30):
        problem = random_problem(seed, mode, 2)
        combinations, residuals = feasible_residuals(problem)
        for i in range(len(problem.Q)):
            flat = combinations[residuals[:, i] == 0.0]
            box = flat_arrays(problem.arrays, problem.lower, problem.upper, i)
            found += len(flat) > 0
            if box is not None:
                assert (box.lower >= problem.lower).all()
                assert (box.upper <= problem.upper).all()
            if len(flat):
                assert box is not None, f"seed {seed}"
                assert (box.lower <= flat.min(axis=0)).all(), f"seed {seed}"
                assert (box.upper >= flat.max(axis=0)).all(), f"seed {seed}"
            elif mode == "free":
                assert box is None, f"seed {seed}"
    assert found > 10


def test_a_flat_box_is_shrunk() -> None:
    """Nothing held of it: within six lots, weights 1 and -0.7 cancel at (0, 0) alone, 1 and -0.5 up to ±(3, 6)."""
    Sigma = 1e-4 * np.eye(2)
    for weight, reach in ((-0.7, [0, 0]), (-0.5, [3, 6])):
        problem = make(np.array([[1.0, weight], [-0.3, 0.4]]), np.array([0.0, 50.0]), Sigma, "free", 6)
        box = flat_arrays(problem.arrays, problem.lower, problem.upper, 0)
        assert box is not None
        assert box.upper.tolist() == reach
        assert box.lower.tolist() == [-most for most in reach]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tabled", [10**6, 3])
def test_the_root_knows_how_near_zero_each_leg_comes(mode: Mode, tabled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tabled, it is the smallest |q_i| but zero of all combinations that keep asset i's row; without, no more."""
    monkeypatch.setattr(sums, "MOST_SUMS", tabled)
    for seed in range(30):
        problem = random_problem(seed, mode, 2)
        _, residuals = feasible_residuals(replace(problem, mode="free"))
        tree = tree_of(problem.arrays, problem.lower, problem.upper)
        for i, held in enumerate(problem.Q):
            legs = residuals[:, i]
            if mode == "inside":
                legs = legs[(held - legs >= min(held, 0.0) - 1e-6) & (held - legs <= max(held, 0.0) + 1e-6)]
            smallest = np.min(np.abs(legs[legs != 0.0]), initial=np.inf)
            near = tree.near[len(problem.lower), i]
            if near == NONE:
                assert smallest == np.inf, f"seed {seed}, asset {i}"
            else:
                assert near <= smallest * PROOF, f"seed {seed}, asset {i}"
            if tabled > 3 and smallest < np.inf:
                # 1e-6 of numeraire: what the bound gives away for the rounding of sums of some 1e6.
                assert near == pytest.approx(smallest, abs=1e-6), f"seed {seed}, asset {i}"


@pytest.mark.parametrize("mode", MODES)
def test_wide_ranges_are_proven(mode: Mode) -> None:
    """Four items of 81 multiples, 43 million combinations: proven, and no local optimum found elsewhere is better."""
    chance = np.random.default_rng(4)
    for seed in range(8):
        problem = random_problem(seed, mode, 40)
        packing = pack_exactly(problem)
        assert packing.proven, f"seed {seed}"
        for _ in range(5):
            start = chance.integers(problem.lower, problem.upper + 1)
            other = pack_incrementally(problem, start, max_nodes=500)
            assert evaluate(problem.arrays, other.multiples)[1] >= packing.objective / PROOF, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_whatever_ends_the_search_the_bound_holds(mode: Mode) -> None:
    """Budgets from 1 node on: the bound is below every packing known, proof never wrong, no start made worse."""
    for seed in range(8):
        problem = random_problem(seed, mode, 40, assets=6, items=6)
        runs = [pack_exactly(problem, max_nodes=nodes) for nodes in (1, 300, 2_000, 20_000, 60_000)]
        least = min(run.objective for run in runs)
        for run in runs:
            assert run.lower_bound <= least * PROOF, f"seed {seed}"
            assert not run.proven or run.objective <= least * PROOF, f"seed {seed}"
        again = pack_exactly(problem, runs[-1].multiples, max_nodes=1)
        assert evaluate(problem.arrays, again.multiples)[1:] <= evaluate(problem.arrays, runs[-1].multiples)[1:]
        looks = itertools.count()
        stopped = pack_exactly(problem, should_stop=lambda looks=looks: next(looks) >= 7)  # type: ignore[misc]
        assert stopped.stopped_by_clock or stopped.proven
        assert stopped.lower_bound <= least * PROOF


@pytest.mark.parametrize("cost", [0.0, 1.0])
def test_ranges_too_wide_to_list_are_still_packed(cost: float) -> None:
    """A million multiples of an item: no list, but a packing better than nothing and an honest bound."""
    B = np.array([[1e-4, 0.0], [-0.7e-4, 1.0], [0.0, -0.3]])
    problem = make(B, np.array([90.3, -50.2, 20.7]), 1e-4 * np.eye(3), "free", 10**6)
    problem = replace(problem, cost_per_lot=np.full(2, cost))
    for packing in (
        pack_exactly(problem, max_nodes=5_000),
        pack_by_annealing(problem, np.random.default_rng(1), max_nodes=5_000),
    ):
        assert packing.lower_bound <= packing.objective < packing.objective_before


@pytest.mark.parametrize("why", ["dependent", "untouched", "inside"])
def test_where_it_is_always_zero_the_variance_decides(why: str) -> None:
    """Dependent assets, or a leg nobody can move: the packing of least variance with what costs nothing to pack."""
    for seed in range(20):
        problem = replace(random_problem(seed, "inside" if why == "inside" else "free", 3), cost_per_lot=None)
        B, Q, Sigma = problem.B.copy(), problem.Q.copy(), problem.Sigma
        if why == "dependent":
            Sigma = np.outer(Sigma[0], Sigma[0]) / Sigma[0, 0]
        else:
            Q[0] = 0.0
        if why == "untouched":
            B[0] = 0.0
            B[1] += LOT * (B == 0.0).all(axis=0)
        cost = np.array([0.0, 0.0, 1.0, 0.0])
        problem = replace(problem, B=B, Q=Q, Sigma=Sigma)
        least = pack_by_enumeration(
            replace(
                problem,
                objective="variance",
                lower=problem.lower * (cost == 0.0),
                upper=problem.upper * (cost == 0.0),
            )
        )
        packing = pack_exactly(replace(problem, cost_per_lot=cost))
        assert packing.proven
        assert packing.objective == 0.0
        assert packing.multiples[2] == 0
        # Sums that may cancel: a share of the position's variance.
        rounding = 1e-14 * float(Q @ Q * np.trace(Sigma))
        left = float(packing.residual @ Sigma @ packing.residual)
        assert left == pytest.approx(least.objective, rel=2e-9, abs=rounding), f"seed {seed}"
