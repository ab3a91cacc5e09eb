"""The search over sizes of legs: against brute force, with a planted optimum, and wherever it is interrupted."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

import solver.packing.determinant.products as products
from solver.arrays import FloatArray, IntArray
from solver.packing.bounds import Mode
from solver.packing.determinant.products import BOXES, cover_of, least_open_product, leg_sizes, search_products
from solver.packing.evaluation import evaluate
from solver.packing.methods.exact import pack_exactly
from solver.packing.problem import PackingProblem

LOT = 1e5
MODES: tuple[Mode, ...] = get_args(Mode)
# Bounds and values round differently; a proof is up to this share of the objective.
PROOF = 1 + 1e-9


def random_problem(seed: int, mode: Mode, assets: int, items: int, most: int) -> PackingProblem:
    """Items of 1 to 3 legs, in whole weights in every other book, positions never in whole lots, random bounds."""
    chance = np.random.default_rng(seed)
    factors = 0.01 * chance.normal(size=(assets, 2 * assets))
    B = np.zeros((assets, items))
    for k in range(items):
        legs = chance.choice(assets, size=min(assets, int(chance.integers(1, 4))), replace=False)
        B[legs, k] = -chance.uniform(0.3, 1.2, size=len(legs))
        B[legs[0], k] = 1.0
    if seed % 2:
        B = np.sign(B)
    return PackingProblem(
        B=LOT * B,
        Q=LOT * (most * chance.normal(size=assets)),
        lower=-chance.integers(0, most, size=items, endpoint=True),
        upper=chance.integers(1, most, size=items, endpoint=True),
        Sigma=factors @ factors.T,
        objective="determinant",
        mode=mode,
        epsilon=1e3,
    )


def least_key(problem: PackingProblem) -> tuple[float, float]:
    """The least key of all combinations in the box that keep the mode, by brute force."""
    ranges = [range(low, high + 1) for low, high in zip(problem.lower, problem.upper, strict=True)]
    found = (evaluate(problem.arrays, np.array(omega)) for omega in itertools.product(*ranges))
    return min((value, tie) for kept, value, tie in found if kept)


def nothing(problem: PackingProblem) -> IntArray:
    """No lots."""
    return np.zeros(problem.B.shape[1], dtype=np.int64)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tabled", [20_000, 10, 0])
def test_the_least_product_is_found(mode: Mode, tabled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From nothing packed to the optimum in value and variance, with all sizes tabled, the least ones, or none."""
    monkeypatch.setattr(products, "MOST_SUMS", tabled)
    for seed in range(60):
        problem = random_problem(seed, mode, assets=1 + seed % 5, items=1 + seed % 4, most=4)
        best = nothing(problem)
        cover = cover_of(problem.arrays, problem.lower, problem.upper)
        search_products(problem.arrays, cover, best, 10**7)
        kept, value, tie = evaluate(problem.arrays, best)
        assert kept
        assert least_open_product(cover, value) == np.inf, f"seed {seed}"
        least, least_tie = least_key(problem)
        assert value <= least * PROOF, f"seed {seed}"
        assert tie <= least_tie * PROOF or value < least, f"seed {seed}"


@pytest.mark.parametrize("mode", MODES)
def test_items_that_are_held_stay(mode: Mode) -> None:
    """With a box of one multiple for half of the items, it is the optimum of that box."""
    moved = 0
    for seed in range(40):
        problem = random_problem(seed, mode, assets=5, items=6, most=5)
        start = np.random.default_rng(seed).integers(problem.lower, problem.upper + 1)
        held = pack_exactly(problem, start, max_nodes=1).multiples
        low, high = problem.lower.copy(), problem.upper.copy()
        low[::2] = high[::2] = held[::2]
        best = held.copy()
        search_products(problem.arrays, cover_of(problem.arrays, low, high), best, 10**7)
        np.testing.assert_array_equal(best[::2], held[::2])
        moved += not np.array_equal(best, held)
        keys = []
        for lots in itertools.product(*(range(low[k], high[k] + 1) for k in range(1, 6, 2))):
            held[1::2] = lots
            kept, value, tie = evaluate(problem.arrays, held)
            keys += [(value, tie)] if kept else []
        assert evaluate(problem.arrays, best)[1] <= min(keys)[0] * PROOF, f"seed {seed}"
    assert moved >= 10


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [1, 7])
def test_interrupted_anywhere_it_is_the_same_search(mode: Mode, steps: int) -> None:
    """In slices: same packing, as many steps; the bound holds and never falls; the stack never outgrows its room."""
    for seed in range(12):
        problem = random_problem(seed, mode, assets=4, items=4, most=4)
        least = least_key(problem)[0]
        whole = nothing(problem)
        taken = search_products(problem.arrays, cover_of(problem.arrays, problem.lower, problem.upper), whole, 10**7)
        best = nothing(problem)
        cover = cover_of(problem.arrays, problem.lower, problem.upper)
        spent = 0
        bound = 0.0
        value = evaluate(problem.arrays, best)[1]
        while least_open_product(cover, value) < np.inf:
            spent += search_products(problem.arrays, cover, best, steps)
            value = evaluate(problem.arrays, best)[1]
            assert cover.cursor[BOXES] <= len(cover.least)
            assert min(least_open_product(cover, value), value) >= min(bound, value) / PROOF
            bound = least_open_product(cover, value)
            assert min(bound, value) <= least * PROOF, f"seed {seed}"
        np.testing.assert_array_equal(best, whole)
        assert spent == taken, f"seed {seed}"


def test_one_packing_in_ten_trillion_is_found() -> None:
    """Eight items of 41 multiples: a packing planted next to all legs flat, at once, is found and proven."""
    for seed in range(6):
        chance = np.random.default_rng(seed)
        problem = random_problem(2 * seed, "free", assets=8, items=8, most=20)
        problem = replace(problem, lower=np.full(8, -20), upper=np.full(8, 20))
        planted = chance.integers(-20, 21, size=8)
        problem = replace(problem, Q=problem.B @ planted + 1e-4 * LOT * chance.uniform(0.5, 1.0, size=8))
        packing = pack_exactly(problem)
        assert packing.proven
        assert packing.objective <= problem.key(planted)[0] * PROOF, f"seed {seed}"


@pytest.mark.parametrize("mode", MODES)
def test_order_and_units_do_not_matter(mode: Mode) -> None:
    """Items and assets in another order, a currency worth a thousandth: the same optimum to nine digits."""
    for seed in range(10):
        chance = np.random.default_rng(seed)
        problem = random_problem(2 * seed, mode, assets=5, items=5, most=15)
        value = pack_exactly(problem).objective
        assets, items = chance.permutation(5), chance.permutation(5)
        other = replace(
            problem,
            B=1e3 * problem.B[np.ix_(assets, items)],
            Q=1e3 * problem.Q[assets],
            lower=problem.lower[items],
            upper=problem.upper[items],
            Sigma=problem.Sigma[np.ix_(assets, assets)],
        )
        assert pack_exactly(other).objective == pytest.approx(value * 1e3**10, rel=1e-9), f"seed {seed}"


@pytest.mark.parametrize("tabled", [20_000, 40])
def test_sizes_of_a_leg(tabled: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that brute force finds between the limits but zero, or the least of them where there are too many."""
    monkeypatch.setattr(products, "MOST_SUMS", tabled)
    empty = 0
    for seed in range(200):
        chance = np.random.default_rng(seed)
        items = int(chance.integers(1, 5))
        legs: FloatArray = chance.choice([-1.0, 0.0, 0.5, 1.0], size=items)
        if seed % 2:
            legs *= chance.uniform(0.3, 1.2, size=items)
        low, high = -chance.integers(0, 4, size=items), chance.integers(0, 4, size=items)
        held = float(np.round(4.0 * chance.normal(), 1))
        lightest, heaviest = np.sort(held + chance.normal(0.0, 4.0, size=2)) if seed % 3 else (-np.inf, np.inf)
        combinations = itertools.product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))
        left = np.array([held - sum(legs * omega) for omega in combinations])
        left = left[(left >= lightest - 1e-12) & (left <= heaviest + 1e-12) & (np.abs(left) > 1e-9)]
        sizes, whole = leg_sizes(legs, low, high, held, 1e-9, float(lightest), float(heaviest))
        empty += not left.size
        if whole:
            # Sizes that differ by rounding alone are several, or one.
            for one, other in ((sizes, np.abs(left)), (np.abs(left), sizes)):
                assert all(np.min(np.abs(other - size)) < 1e-12 for size in one), f"seed {seed}"
        elif left.size and sizes.size:
            assert sizes.tolist() == pytest.approx([np.min(np.abs(left))], abs=1e-12), f"seed {seed}"
    assert empty < 100
