"""`anneal` against `exact`, where `exact` has a proof: how far above the optimum it ends, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import get_args

import numpy as np

from solver.packing.bounds import Mode
from solver.packing.elapsed import timed
from solver.packing.evaluation import PROOF_TOLERANCE
from solver.packing.methods.anneal import pack_by_annealing
from solver.packing.methods.exact import pack_exactly
from solver.packing.problem import PackingProblem
from stream.bench.figures import Comparison, measure
from stream.bench.packing.instances import random_desk

SEED = 20_141_005
# Assets and items. With ten of each, exact proves about half of the cases within its default budget.
DETERMINANT_SIZES = (6, 8)


def anneal_against_exact(cases: int) -> list[Comparison]:
    """Relative gap to the optimum, for each objective at a size where most cases are proven."""
    makers: tuple[tuple[str, Callable[[np.random.Generator], PackingProblem]], ...] = (
        ("variance with box and costs, free, 20/20", _boxed_variance),
        ("volume, inside, 12/20", _volume),
        *(
            (f"determinant, {mode}, {size}/{size}", partial(_determinant, size=size, mode=mode))
            for size in DETERMINANT_SIZES
            for mode in get_args(Mode)
        ),
    )
    return [_gap(f"anneal, {name}, random desks", make, cases) for name, make in makers]


def _boxed_variance(chance: np.random.Generator) -> PackingProblem:
    return random_desk(chance, 20, 20).boxed_variance(chance, "free")


def _volume(chance: np.random.Generator) -> PackingProblem:
    return random_desk(chance, 12, 20).volume()


def _determinant(chance: np.random.Generator, size: int, mode: Mode) -> PackingProblem:
    return replace(
        random_desk(chance, size, size).boxed_variance(chance, mode), objective="determinant", cost_per_lot=None
    )


def _gap(name: str, make: Callable[[np.random.Generator], PackingProblem], cases: int) -> Comparison:
    chance = np.random.default_rng(SEED)
    pairs = []
    for case in range(cases):
        problem = make(chance)
        best = timed(time.thread_time, pack_exactly, problem)
        if not best.proven or best.objective <= 0.0:
            continue
        # A generator of its own, so that what it draws does not change the next case.
        found = timed(time.thread_time, pack_by_annealing, problem, np.random.default_rng([SEED, case]))
        pairs.append((found, best))
    what, label = f"{name}: gap to exact, p95", "anneal"
    if not pairs:
        return measure(what, "anneal", np.nan, "%", "near 0", "", "exact: no case proven")
    gaps = [max(found.objective / best.objective - 1.0, 0.0) for found, best in pairs]
    anneal_s, exact_s = (
        np.median([packing.elapsed_s for packing in packings]) for packings in zip(*pairs, strict=True)
    )
    median, p95 = 100.0 * np.quantile(gaps, [0.5, 0.95])
    optimal = sum(gap <= PROOF_TOLERANCE for gap in gaps)
    note = (
        f"median {median:.2g} %; {optimal} of {len(gaps)} optimal, of {cases} cases those that exact proved; medians "
        f"{1e3 * anneal_s:.3g} ms and {1e3 * exact_s:.3g} ms"
    )
    return measure(what, label, float(p95), "%", "near 0", note)
