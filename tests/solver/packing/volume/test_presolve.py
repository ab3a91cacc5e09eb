"""The problem of the items that can move, against the definition of the volume and against enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from solver.arrays import FloatArray, IntArray
from solver.objective import materiality_floor
from solver.packing.bounds import Mode, lot_bounds
from solver.packing.evaluation import PackingArrays, fits
from solver.packing.methods.enumerate import pack_by_enumeration
from solver.packing.problem import PackingProblem
from solver.packing.volume.presolve import Movable, movable_part
from solver.packing.volume.scaling import volume_arrays

LOT = 1e5


def make(seed: int, mode: Mode, rank: int) -> PackingProblem:
    """Six items over seven assets; two items may not move, and some assets are flat or short of one lot."""
    n, K = 7, 6
    chance = np.random.default_rng(seed)
    factors = 0.005 * chance.normal(size=(n, rank))
    Sigma = factors @ factors.T
    B = np.zeros((n, K))
    for k in range(K):
        legs = chance.choice(n, size=int(chance.integers(2, 4)), replace=False)
        B[legs, k] = -LOT * chance.uniform(0.4, 1.2, size=len(legs))
        B[legs[0], k] = LOT
    Q = 3.0 * LOT * chance.normal(size=n) * (chance.random(n) < 0.8)
    lower, upper = lot_bounds(B, Q, mode, chains=True)
    lower, upper = np.maximum(lower, -2), np.minimum(upper, 2)
    fixed = chance.choice(K, size=2, replace=False)
    lower[fixed] = upper[fixed] = 0
    return PackingProblem(
        B=B,
        Q=Q,
        lower=lower,
        upper=upper,
        Sigma=Sigma,
        objective="volume",
        mode=mode,
        epsilon=materiality_floor(LOT, Sigma),
    )


def slogdet_volume(arrays: PackingArrays, multiples: IntArray) -> float:
    """The definition, by numpy. Residuals within the tolerance of their leg are flat."""
    q: FloatArray = arrays.position - multiples @ arrays.items
    q[np.abs(q) <= arrays.leg_tolerance] = 0.0
    gram = np.outer(q, q) * arrays.covariance / arrays.epsilon**2
    return float(np.linalg.slogdet(np.eye(len(q)) + gram)[1])


def part_of(problem: PackingProblem) -> Movable:
    return movable_part(volume_arrays(problem.arrays), problem.arrays)


def box_of(arrays: PackingArrays) -> list[IntArray]:
    """Every vector of multiples between the bounds; without items, the empty one."""
    ranges = [range(low, high + 1) for low, high in zip(arrays.lower, arrays.upper, strict=True)]
    return [np.array(multiples, dtype=np.int64) for multiples in product(*ranges)]


@pytest.mark.parametrize("mode", ["inside", "free"])
@pytest.mark.parametrize("rank", [14, 3])
def test_the_part_has_the_packings_and_volumes_of_the_whole(mode: Mode, rank: int) -> None:
    """A packing of the part is one of the whole, and their volumes differ by the constant; none of the whole is lost.

    Also for a covariance that is singular.
    """
    smaller = 0
    for seed in range(12):
        problem = make(seed, mode, rank)
        part = part_of(problem)
        smaller += len(part.arrays.position) < len(problem.Q)
        packings = set()
        for multiples in box_of(part.arrays):
            full = np.zeros(len(problem.lower), dtype=np.int64)
            full[part.items] = multiples
            assert fits(part.arrays, multiples) == fits(problem.arrays, full)
            if fits(part.arrays, multiples):
                packings.add(tuple(full))
                # The part's covariance comes from as many rank-one updates as assets rest, each with rounding.
                expected = slogdet_volume(part.arrays, multiples) + part.constant
                assert slogdet_volume(problem.arrays, full) == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert packings == {tuple(omega) for omega in box_of(problem.arrays) if fits(problem.arrays, omega)}
    assert smaller >= 6


@pytest.mark.parametrize("mode", ["inside", "free"])
def test_the_part_has_the_optimum_of_the_whole(mode: Mode) -> None:
    """The least volume of the part and the constant are what enumeration finds for the whole problem."""
    for seed in range(12):
        problem = make(seed, mode, 14)
        part = part_of(problem)
        least = min(slogdet_volume(part.arrays, omega) for omega in box_of(part.arrays) if fits(part.arrays, omega))
        assert least + part.constant == pytest.approx(pack_by_enumeration(problem).objective, rel=1e-9, abs=1e-9)


def test_items_that_cannot_move_leave_the_constant() -> None:
    """With every item fixed the part is empty, and the constant is the volume of the position."""
    problem = make(3, "inside", 14)
    fixed = np.zeros_like(problem.lower)
    arrays = problem.arrays._replace(lower=fixed, upper=fixed)
    part = movable_part(volume_arrays(arrays), arrays)
    assert len(part.items) == len(part.arrays.position) == 0
    assert part.constant == pytest.approx(slogdet_volume(arrays, fixed), rel=1e-9)
