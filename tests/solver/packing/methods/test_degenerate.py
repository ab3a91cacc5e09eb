"""What is said to be proven, on degenerate problems and on positions of many lots, against every other method."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest

from solver.arrays import FloatArray
from solver.objective import Objective, materiality_floor
from solver.packing.bounds import Mode, lot_bounds
from solver.packing.evaluation import PROOF_TOLERANCE, evaluate
from solver.packing.methods.anneal import pack_by_annealing
from solver.packing.methods.enumerate import pack_by_enumeration
from solver.packing.methods.exact import pack_exactly
from solver.packing.methods.incremental import pack_incrementally
from solver.packing.methods.many_books import BookPacker
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
MODES: tuple[Mode, ...] = get_args(Mode)
# Rounding of a variance whose positions cancel, as a share of the squared sum of their standalone risks.
VARIANCE_ROUNDING = 4e-15


def random_items(chance: np.random.Generator, n: int, K: int) -> FloatArray:
    """Items of one to three legs, one in three books with one that is a copy or a multiple of another."""
    B = np.zeros((n, K))
    for k in range(K):
        legs = chance.choice(n, size=min(n, int(chance.integers(1, 4))), replace=False)
        B[legs, k] = -chance.uniform(0.3, 1.2, size=len(legs))
        B[legs[0], k] = 1.0
    if chance.random() < 0.4:
        B = np.sign(B)
    if K > 1 and chance.random() < 0.3:
        B[:, -1] = B[:, 0] * chance.choice([1.0, -1.0, 2.0])
    return B


def degenerate(seed: int, objective: Objective, mode: Mode) -> PackingProblem:
    """Up to seven assets and five items: riskless, flat and dependent ones, no room for some, lots of 1e-6 to 1e12."""
    chance = np.random.default_rng(seed)
    n, K = int(chance.integers(1, 8)), int(chance.integers(1, 6))
    B = random_items(chance, n, K)
    factors = 0.01 * chance.normal(size=(n, int(chance.choice([2 * n, max(1, n - 1), 1]))))
    if chance.random() < 0.25:
        factors *= 10.0 ** chance.uniform(-4.0, 1.0, size=n)[:, None]
    if chance.random() < 0.25:
        factors[chance.integers(n)] = 0.0
    Q = 4.0 * chance.normal(size=n)
    match chance.integers(4):
        case 0:
            Q = np.round(Q)
        case 1:
            Q = B @ chance.integers(-4, 5, size=K)
        case 2:
            Q[chance.random(n) < 0.4] = 0.0
    lot = 10.0 ** chance.uniform(-6.0, 12.0)
    return PackingProblem(
        B=lot * B,
        Q=lot * Q,
        lower=-chance.integers(0, 5, size=K),
        upper=chance.integers(0, 5, size=K),
        Sigma=factors @ factors.T,
        objective=objective,
        mode=mode,
        epsilon=lot * 0.01 * 10.0 ** chance.uniform(-2.0, 2.0),
    )


def check(problem: PackingProblem, packings: list[Packing], least: float) -> None:
    """No bound is above `least`, and no value that is proven."""
    for packing in packings:
        rounding = 0.0
        if problem.objective == "variance":
            risks = float(np.abs(packing.residual) @ np.sqrt(np.diag(problem.Sigma)))
            rounding = VARIANCE_ROUNDING * risks**2
        bound = max(packing.lower_bound, packing.objective if packing.proven else 0.0)
        assert bound <= least * (1.0 + 2.0 * PROOF_TOLERANCE) + rounding


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", MODES)
def test_degenerate_problems(objective: Objective, mode: Mode) -> None:
    """Nothing is proven, and no bound given, above what all combinations hold; `exact` proves them all."""
    for seed in range(40):
        problem = degenerate(seed, objective, mode)
        best = pack_by_enumeration(problem)
        exact = pack_exactly(problem, max_nodes=200_000)
        assert exact.proven, f"seed {seed}"
        others = [pack_incrementally(problem), pack_by_annealing(problem, np.random.default_rng(1), max_nodes=5_000)]
        check(problem, [exact, *others], best.objective)
        assert min(packing.objective for packing in others) >= best.objective * (1.0 - PROOF_TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", MODES)
def test_positions_of_many_lots(objective: Objective, mode: Mode) -> None:
    """At a hundred to a hundred thousand lots nothing near any method's packing, or that of another, beats a proof."""
    proven = 0
    for seed in range(24):
        chance = np.random.default_rng(seed)
        n, K = int(chance.integers(1, 5)), int(chance.integers(1, 4))
        B = random_items(chance, n, K)
        factors = 0.01 * chance.normal(size=(n, 2 * n))
        Sigma = factors @ factors.T
        Q = 10.0 ** chance.uniform(2.0, 5.0) * chance.normal(size=n)
        lower, upper = lot_bounds(B, Q, mode)
        epsilon = materiality_floor(1.0, Sigma)
        problem = PackingProblem(
            B=B, Q=Q, lower=lower, upper=upper, Sigma=Sigma, objective=objective, mode=mode, epsilon=epsilon
        )
        packer = BookPacker(B, Sigma, objective, mode, epsilon)
        (booked,) = packer.pack(Q[None, :], np.zeros((1, K), dtype=np.int64), 5_000)
        assert isinstance(booked, Packing)
        packings = [
            booked,
            pack_exactly(problem, max_nodes=20_000),
            pack_incrementally(problem),
            pack_by_annealing(problem, np.random.default_rng(1), max_nodes=5_000),
        ]
        proven += packings[1].proven
        least = min(packing.objective for packing in packings)
        for packing in packings:
            for step in itertools.product((-2, -1, 0, 1, 2), repeat=K):
                multiples = packing.multiples + np.array(step)
                if (multiples >= lower).all() and (multiples <= upper).all():
                    kept, value, _ = evaluate(problem.arrays, multiples)
                    least = min(least, value) if kept else least
        check(problem, packings, least)
    assert proven >= 8


def of_a_hundred_thousand_lots(seed: int) -> PackingProblem:
    """Seven assets with a covariance of rank two, and a book of 100,000 to a million lots."""
    chance = np.random.default_rng([1, seed])
    n, K = 7, 9
    factors = chance.normal(size=(n, 2))
    Sigma = 1e-6 * factors @ factors.T
    Sigma = 0.5 * (Sigma + Sigma.T)
    B = 1e5 * random_items(chance, n, K)
    Q = 1e5 * 10.0 ** chance.uniform(5.0, 6.0) * chance.normal(size=n)
    lower, upper = lot_bounds(B, Q, "inside")
    return PackingProblem(
        B=B,
        Q=Q,
        lower=lower,
        upper=upper,
        Sigma=Sigma,
        objective="volume",
        mode="inside",
        epsilon=materiality_floor(1e5, Sigma),
    )


@pytest.mark.parametrize("seed", range(60))
def test_a_singular_covariance_and_a_hundred_thousand_lots(seed: int) -> None:
    """Where the volume itself has lost seven digits, a book is still packed, and nothing is said that they carried."""
    problem = of_a_hundred_thousand_lots(seed)
    packing = pack_incrementally(problem, max_nodes=2_000)
    assert 0.0 <= packing.lower_bound <= packing.objective
    assert packing.second_best is None or packing.second_best >= packing.objective
    assert packing.objective == problem.key(packing.multiples)[0]
    other = pack_by_annealing(problem, np.random.default_rng(1), max_nodes=5_000)
    assert other.objective >= packing.lower_bound
    if packing.proven:
        assert other.objective >= packing.objective * (1.0 - PROOF_TOLERANCE)


@pytest.mark.parametrize("seed", range(40))
def test_free_positions_far_beyond_what_is_held(seed: int) -> None:
    """Rank one, so ``log(1 + |risks|²)``: no proof and no bound is above it where items pile up what was not held."""
    chance = np.random.default_rng([2, seed])
    n = int(chance.integers(2, 5))
    risk = np.round(3.0 * chance.normal(size=n)) + 0.5
    lots = 10.0 ** chance.uniform(3.0, 9.0)
    B = 0.075 * lots * chance.normal(size=(n, 2))
    Q = np.zeros(n)
    Q[0] = lots
    lower, upper = np.zeros(2, dtype=np.int64), np.full(2, 40)
    problem = PackingProblem(
        B=B,
        Q=Q,
        lower=lower,
        upper=upper,
        Sigma=np.outer(risk, risk),
        objective="volume",
        mode="free",
        epsilon=1.0,
    )
    multiples = np.array(list(itertools.product(range(41), repeat=2)))
    least = float(np.min(np.log1p(np.sum(((Q - multiples @ B.T) * risk) ** 2, axis=1))))
    for packing in (pack_incrementally(problem), pack_by_enumeration(problem)):
        bound = max(packing.lower_bound, packing.objective if packing.proven else 0.0)
        assert bound <= least * (1.0 + 2.0 * PROOF_TOLERANCE)
        if packing.proven:
            assert np.log1p(np.sum((packing.residual * risk) ** 2)) <= least * (1.0 + 2.0 * PROOF_TOLERANCE)


@pytest.mark.parametrize("seed", range(60))
def test_enumeration_where_rounding_is_all_that_is_left(seed: int) -> None:
    """Variances that cancel to 1e-8 of their parts, volumes far below the floor: the best is found, and no error."""
    chance = np.random.default_rng([3, seed])
    n, K = 5, 4
    risk = chance.normal(size=n)
    B, Q = chance.normal(size=(n, K)), 3.0 * chance.normal(size=n)
    lower, upper = np.full(K, -3), np.full(K, 3)
    multiples = np.array(list(itertools.product(range(-3, 4), repeat=K)))
    residuals = Q - multiples @ B.T
    for objective, epsilon, values in (
        ("variance", 1.0, (residuals @ risk) ** 2),
        ("volume", 1e7, np.log1p(np.sum((residuals * risk / 1e7) ** 2, axis=1))),
    ):
        problem = PackingProblem(
            B=B,
            Q=Q,
            lower=lower,
            upper=upper,
            Sigma=np.outer(risk, risk),
            objective=objective,
            mode="free",
            epsilon=epsilon,
        )
        rounding = VARIANCE_ROUNDING * float(np.max(np.abs(residuals) @ np.abs(risk))) ** 2 / epsilon**2
        assert pack_by_enumeration(problem).objective <= values.min() * (1.0 + PROOF_TOLERANCE) + rounding
