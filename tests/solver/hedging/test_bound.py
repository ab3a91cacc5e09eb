"""What the search relies on, against every lot of small boxes: bounds, what they cut off, lines."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.hedging.bound import first_weight, keep_to_trades, relax, shorten
from solver.hedging.cost import CostLadders
from solver.hedging.lines import lines_of, search_lines
from solver.hedging.problem import TIE, HedgeProblem
from solver.hedging.solve import hedge
from solver.hedging.terms import Terms, scaled
from stream.bench.hedging.cases import enumerate_hedge, small_problem


def box_of(chance: np.random.Generator, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """A part of the lots that may be traded, often all of it."""
    ends = np.sort(chance.integers(terms.lower, terms.upper + 1, (2, len(terms.lower))), axis=0)
    whole = chance.random(len(terms.lower)) < 0.6
    return np.where(whole, terms.lower, ends[0]), np.where(whole, terms.upper, ends[1])


def lots_in(problem: HedgeProblem, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All lots (k, g) of a box, their costs in the kernels' units and their squared risks, by plain numpy."""
    ranges = [range(a, b + 1) for a, b in zip(lo.tolist(), hi.tolist(), strict=True)]
    lots = np.array(list(itertools.product(*ranges)), dtype=np.int64).reshape(-1, len(lo))
    merged, terms = problem.merged, scaled(problem)
    cost = np.zeros(len(lots))
    # Lots of equal legs may be dealt out in any way: the least cost of all of them.
    for group in range(len(lo)):
        members = np.flatnonzero(merged.group_of == group).tolist()
        for side, sign in ((problem.buy, 1), (problem.sell, -1)):
            allowed = merged.allowed[0 if sign == 1 else 1]
            single = np.concatenate(
                [np.repeat(side.cost_per_lot[j], np.minimum(side.lots[j], 20))[: allowed[j]] for j in members]
            )
            paid = np.concatenate([[0.0], np.cumsum(np.sort(single))])
            cost += paid[np.minimum(np.maximum(sign * lots[:, group], 0), len(single))]
    exposure = terms.y + lots @ terms.G
    few = np.count_nonzero(lots, axis=1) <= terms.max_trades
    cost = cost / terms.money + terms.surcharge * np.abs(lots).sum(axis=1)
    return lots[few], cost[few], (exposure[few] ** 2).sum(axis=1)


def crowded_problem(chance: np.random.Generator) -> HedgeProblem:
    """Five instruments of about the same legs and rising costs: all want to be traded, two or three may be."""
    n, m = 2, 5
    A = (np.array([[1.0], [0.0]]) + 0.3 * chance.standard_normal((n, m))) * chance.choice([-1.0, 1.0], m)
    first = 1.0 + 0.3 * chance.random(m)
    side = CostLadders(np.ones((m, 4), dtype=np.int64), first[:, None] * np.arange(1, 5), first, np.zeros(m))
    bound = np.full(m, 3)
    q = np.array([6.0, chance.standard_normal()])
    target = float(chance.uniform(0.5, 3.0))
    return HedgeProblem(q, A, side, side, -bound, bound, np.eye(n), 0.0, target, max_trades=int(chance.integers(2, 4)))


def cases(seed: int, count: int) -> list[tuple[HedgeProblem, np.ndarray, np.ndarray, np.random.Generator]]:
    """Small problems, limits on trades in most, with a box each in which lots are left."""
    chance = np.random.default_rng(seed)
    found = []
    while len(found) < count:
        problem = small_problem(chance)
        if chance.random() < 0.7:
            problem = replace(problem, max_trades=int(chance.integers(1, 4)))
        terms = scaled(problem)
        lo, hi = box_of(chance, terms)
        if len(lo) and len(lots_in(problem, lo, hi)[0]):
            found.append((problem, lo, hi, chance))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_bound_and_what_it_cuts_off(seed: int) -> None:
    """No lots within the target cost less than the bound; those within the room above it are never cut off."""
    cut = 0
    chance = np.random.default_rng(seed)
    crowded = [crowded_problem(chance) for _ in range(60)]
    boxes = [(problem, *box_of(chance, scaled(problem)), chance) for problem in crowded]
    for problem, lo, hi, chance in cases(seed, 100) + boxes:
        terms = scaled(problem)
        lots, cost, square = lots_in(problem, lo, hi)
        limit = 1.0 + 2.0 * TIE - terms.basis
        if limit <= 0.0:
            continue
        within = square <= limit
        x, price = np.zeros(len(lo)), np.zeros(len(lo))
        radius, rounds = math.sqrt(limit), int(chance.integers(1, 30))
        bound, _ = relax(terms, lo, hi, radius, x, first_weight(terms), rounds, math.inf, price)
        least = float(cost[within].min()) if within.any() else math.inf
        assert bound <= least * (1.0 + 1e-7) + 1e-7
        if bound == math.inf:
            continue
        gap = max(least - bound, 0.0) if least < math.inf else 1.0
        for room in (0.0, gap, 1.5 * gap, 2.0 * gap):
            shorter, longer = lo.copy(), hi.copy()
            cut += shorten(terms, shorter, longer, price, room + 1e-6)
            kept = ((lots >= shorter) & (lots <= longer)).all(axis=1)
            assert kept[within & (cost <= bound + room)].all()
    assert cut >= 50


@pytest.mark.parametrize("seed", range(3))
def test_boxes_keep_to_their_trades(seed: int) -> None:
    """What a limit on trades takes out of a box has lots as good in it: no dearer, of the same exposure."""
    for problem, lo, hi, _ in cases(seed + 10, 150):
        terms = scaled(problem)
        # Twins are exchanged within what may be traded, so the box has to be all of it.
        lo, hi = terms.lower.copy(), terms.upper.copy()
        lots, cost, square = lots_in(problem, lo, hi)
        assert keep_to_trades(terms, lo, hi)
        kept = ((lots >= lo) & (lots <= hi)).all(axis=1)
        for lost in np.flatnonzero(~kept):
            as_good = kept & (cost <= cost[lost] * (1.0 + TIE)) & (square <= square[lost] + 1e-9)
            assert as_good.any()


def test_a_limit_that_many_instruments_compete_for() -> None:
    """Where all instruments want to be traded and two or three may, the hedge is enumeration's."""
    chance = np.random.default_rng(7)
    bound = 0
    for case in range(30):
        problem = crowded_problem(chance)
        expected, answer = enumerate_hedge(problem), hedge(problem, 100_000)
        assert (answer.status, answer.proven) == (expected.status, True), case
        assert answer.cost.total == pytest.approx(expected.cost, rel=3 * TIE), case
        bound += np.count_nonzero(hedge(replace(problem, max_trades=None)).lots) > np.count_nonzero(answer.lots)
    assert bound >= 20


@pytest.mark.slow
@pytest.mark.parametrize("lower_risk", [False, True])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_lines_are_the_box(lower_risk: bool, seed: int) -> None:
    """Line by line the best of a box is found: the least cost within the limit, or the least risk."""
    for problem, lo, hi, chance in cases(seed, 3):
        terms = scaled(problem)
        _, cost, square = lots_in(problem, lo, hi)
        limit = float(np.quantile(square, chance.random()))
        if lower_risk:
            terms = terms._replace(slope=np.zeros_like(terms.slope), paid=np.zeros_like(terms.paid))
            cost = np.zeros_like(cost)
        best, known = np.zeros(len(lo), dtype=np.int64), np.array([math.inf])
        along, lines = lines_of(lo, hi, 10_000)
        assert lines * (hi[along] - lo[along] + 1) == np.prod(hi - lo + 1)
        # Lots on the very edge may count or not.
        limit += 1e-9 * max(limit, 1.0)
        found = search_lines(terms, lo, hi, along, limit, lower_risk, math.inf, best, known)
        within = square <= limit
        assert (found < math.inf) == within.any()
        if not within.any():
            continue
        assert (lo <= best).all()
        assert (best <= hi).all()
        assert found <= limit
        assert np.count_nonzero(best) <= terms.max_trades
        if lower_risk:
            assert found == pytest.approx(square.min(), rel=1e-9, abs=1e-9)
        else:
            assert known[0] == pytest.approx(cost[within].min(), rel=3 * TIE, abs=1e-6)
            none_better = search_lines(terms, lo, hi, along, limit, False, 0.5 * known[0] - 1e-6, best, known)
            assert none_better == math.inf


def test_too_many_lines() -> None:
    """Lines are counted up to a number, however wide the box."""
    lo, hi = np.full(40, -(10**9)), np.full(40, 10**9)
    assert lines_of(lo, hi, 512) == (0, 513)
    hi[1:] = lo[1:]
    assert lines_of(lo, hi, 512) == (0, 1)
    hi[7] += 511
    assert lines_of(lo, hi, 512) == (0, 512)
