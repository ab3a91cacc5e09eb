"""Venues, permissions, limits on trades, the runner-up and the shares of trades, against enumeration and invariants."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.hedging.cost import CostLadders, flat_ladders
from solver.hedging.problem import TIE, HedgeProblem, risk_of, shares_removed
from solver.hedging.solve import hedge
from stream.bench.hedging.cases import currency_desk, enumerate_hedge, small_problem


def joined(one: CostLadders, other: CostLadders) -> CostLadders:
    """The instruments of both."""
    width = max(one.lots.shape[1], other.lots.shape[1])

    def stacked(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.vstack([np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in (a, b)])

    return CostLadders(
        stacked(one.lots, other.lots),
        stacked(one.cost_per_lot, other.cost_per_lot),
        np.concatenate([one.bid_ask_spread_per_lot, other.bid_ask_spread_per_lot]),
        np.concatenate([one.fee_per_lot, other.fee_per_lot]),
    )


def single(lots: list[int], costs: list[float]) -> CostLadders:
    """One instrument without parts."""
    return CostLadders(np.array([lots]), np.array([costs]), np.zeros(1), np.zeros(1))


def with_instrument(problem: HedgeProblem, column: np.ndarray, side: CostLadders, most: int) -> HedgeProblem:
    """One instrument more."""
    return replace(
        problem,
        A=np.hstack([problem.A, column[:, None]]),
        buy=joined(problem.buy, side),
        sell=joined(problem.sell, side),
        lower=np.append(problem.lower, -most),
        upper=np.append(problem.upper, most),
    )


@given(seed=st.integers(0, 10**6), first=st.lists(st.integers(1, 3), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_two_venues_are_one_ladder(seed: int, first: list[int]) -> None:
    """The levels of an instrument dealt out to two venues cost what the one ladder costs, whichever venue has which."""
    chance = np.random.default_rng(seed)
    costs = np.sort(chance.random(len(first))).tolist()
    at_first = chance.random(len(first)) < 0.5
    problem = replace(small_problem(chance), max_trades=None)
    column = chance.standard_normal(len(problem.q))
    whole = with_instrument(problem, column, single(first, costs), 9)
    split = problem
    for venue in (at_first, ~at_first):
        lots = [count if here else 0 for count, here in zip(first, venue, strict=True)]
        split = with_instrument(split, column, single(lots, costs), 9)
    one, two = hedge(whole, 100_000), hedge(split, 100_000)
    assert one.proven
    assert two.proven
    assert two.status == one.status
    assert two.cost.total == pytest.approx(one.cost.total, rel=3 * TIE, abs=1e-12)
    merged = np.append(two.lots[:-2], two.lots[-2:].sum())
    assert risk_of(whole, merged) == pytest.approx(two.risk_after, rel=1e-9)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_useless_instrument(seed: int) -> None:
    """A dearer copy of an instrument, one that may not be traded and one without risk change nothing."""
    chance = np.random.default_rng(seed)
    problem = replace(small_problem(chance), max_trades=None)
    plain = hedge(problem, 100_000)
    column = chance.standard_normal(len(problem.q))
    forbidden = with_instrument(problem, column, single([5], [0.0]), 0)
    empty = with_instrument(problem, column, single([0], [0.0]), 5)
    for changed in (forbidden, empty):
        answer = hedge(changed, 100_000)
        assert answer.lots.tolist() == [*plain.lots.tolist(), 0]
        assert answer.cost == plain.cost
    if len(problem.lower):
        dearer = with_instrument(problem, problem.A[:, 0], single([5], [100.0]), 5)
        answer = hedge(dearer, 100_000)
        if answer.status == plain.status == "reached":
            assert answer.cost.total == pytest.approx(plain.cost.total, rel=3 * TIE, abs=1e-12)


@pytest.mark.parametrize("max_trades", [0, 1, 2])
def test_limit_on_trades(max_trades: int) -> None:
    """With venues that have to share what is traded, the count is of venues, and the cost is enumeration's."""
    chance = np.random.default_rng(max_trades)
    bound = 0
    for case in range(100):
        problem = replace(small_problem(chance), max_trades=None)
        for _ in range(2 if len(problem.lower) in (1, 2) else 0):
            levels = chance.integers(0, 3, 2)
            side = single(levels.tolist(), np.sort(chance.random(2)).tolist())
            problem = with_instrument(problem, problem.A[:, 0], side, 3)
        free = hedge(problem, 100_000)
        limited = replace(problem, max_trades=max_trades)
        expected, answer = enumerate_hedge(limited), hedge(limited, 100_000)
        assert (answer.status, answer.proven) == (expected.status, True), case
        assert np.count_nonzero(answer.lots) <= max_trades
        assert answer.cost.total == pytest.approx(expected.cost, rel=3 * TIE, abs=1e-12), case
        bound += np.count_nonzero(free.lots) > max_trades
    assert bound >= 5  # or the limit was never felt


@pytest.mark.parametrize("lot", [1e6, 1e5])
def test_limit_on_trades_of_a_desk(lot: float) -> None:
    """On desks fewer trades cost no less, each bound holds for every lower limit, and nothing found beats a proof.

    What is found: with less effort, with the instruments in another order, so by another search, and by exchanging the
    instruments of the hedge for others at random.
    """
    chance = np.random.default_rng(5)
    for _ in range(4):
        desk = currency_desk(chance, lot, ladders=True)
        least = math.inf
        for max_trades in (2, 3, 5, 8, None):
            problem = replace(desk, max_trades=max_trades)
            answers = [hedge(problem, nodes) for nodes in (0, 20, 5_000)]
            reached = [answer for answer in answers if answer.status == "reached"]
            assert all(max_trades is None or np.count_nonzero(answer.lots) <= max_trades for answer in answers)
            assert max(answer.cost_lower_bound for answer in reached) <= least
            best = reached[-1]
            assert best.proven
            assert best.cost.total <= least + problem.cost_resolution
            least = min([least, *(answer.cost.total for answer in reached)])

            order = chance.permutation(len(problem.lower))
            shuffled = replace(problem, A=problem.A[:, order], buy=problem.buy.of(order), sell=problem.sell.of(order))
            again = hedge(shuffled, 5_000)
            assert again.proven
            assert abs(again.cost.total - best.cost.total) <= problem.cost_resolution

            traded = np.flatnonzero(best.lots)
            for _ in range(200):
                lots = best.lots.copy()
                leaving, entering = chance.choice(traded), chance.integers(len(lots))
                lots[leaving], lots[entering] = 0, lots[leaving] * chance.choice([-1, 1])
                lots[chance.choice(np.flatnonzero(lots))] += chance.integers(-2, 3)
                few = max_trades is None or np.count_nonzero(lots) <= max_trades
                if few and (abs(lots) <= problem.buy.reach).all() and risk_of(problem, lots) <= problem.target:
                    cost = problem.buy.each(lots).sum() + problem.sell.each(-lots).sum()
                    assert cost >= best.cost.total - problem.cost_resolution


def test_many_venues_under_a_limit() -> None:
    """Nine venues of one pair with a lot each: five lots need five trades, and four leave the risk where they can."""
    m = 9
    costs = np.arange(1.0, 10.0)
    side = CostLadders(np.ones((m, 1), dtype=np.int64), costs[:, None], costs, np.zeros(m))
    bound = np.full(m, 1)
    problem = HedgeProblem(
        np.array([9.0]), np.ones((1, m)), side, side, -bound, bound, np.eye(1), 0.0, 4.0, max_trades=5
    )
    assert hedge(problem).cost.total == 15.0
    short = hedge(replace(problem, max_trades=4))
    assert (short.status, short.risk_after, short.cost.total, short.proven) == ("unreachable", 5.0, 10.0, True)


def test_buying_and_selling_cost_apart() -> None:
    """A EUR excess is sold where selling is cheap, a shortage bought where buying is."""
    cheap, dear = np.array([1.0, 2.0]), np.array([2.0, 1.0])
    bound = np.full(2, 9)
    problem = HedgeProblem(
        np.array([5.0]), np.ones((1, 2)), flat_ladders(dear), flat_ladders(cheap), -bound, bound, np.eye(1), 0.0, 1.0
    )
    assert hedge(problem).lots.tolist() == [-4, 0]
    assert hedge(replace(problem, q=-problem.q)).lots.tolist() == [0, 4]


@pytest.mark.parametrize("seed", range(4))
def test_any_numeraire(seed: int) -> None:
    """A desk valued in EUR instead of USD, dollars an asset and EUR none, trades the same lots."""
    problem = replace(currency_desk(np.random.default_rng(seed), 1e6, ladders=True), cost_resolution=0.0)
    n = len(problem.q)
    # Asset 0 is EUR. The log return of another currency in euros is its own in dollars less EUR's, the dollar's is less
    # EUR's. What is held of the others stays, and the dollars held are what is owed for all of them.
    change = np.eye(n) - np.outer(np.ones(n), np.eye(n)[0])
    change[0] = -np.eye(n)[0]
    swap = np.eye(n)
    swap[0] = -1.0
    in_euros = replace(
        problem,
        q=swap @ problem.q,
        A=np.ascontiguousarray(swap @ problem.A),
        Sigma=(change @ problem.Sigma @ change.T + (change @ problem.Sigma @ change.T).T) / 2,
    )
    here, there = hedge(problem, 20_000), hedge(in_euros, 20_000)
    assert here.proven
    assert there.proven
    np.testing.assert_array_equal(there.lots, here.lots)
    assert there.risk_after == pytest.approx(here.risk_after, rel=1e-9)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_shares_of_trades(seed: int) -> None:
    """Shares sum to one, and each is the trade's average fall of the variance over all orders of trading."""
    chance = np.random.default_rng(seed)
    problem = small_problem(chance)
    lots = chance.integers(-3, 4, len(problem.lower))
    shares = shares_removed(problem, lots)
    removed = risk_of(problem, np.zeros_like(lots)) ** 2 - risk_of(problem, lots) ** 2
    if not shares.any():
        return
    assert shares.sum() == pytest.approx(1.0, abs=1e-9)
    orders = list(itertools.permutations(range(len(lots))))
    average = np.zeros(len(lots))
    for order in orders:
        done = np.zeros_like(lots)
        for j in order:
            before = risk_of(problem, done) ** 2
            done[j] = lots[j]
            average[j] += (before - risk_of(problem, done) ** 2) / len(orders)
    scale = float(np.abs(average).max())
    np.testing.assert_allclose(shares * removed, average, atol=1e-9 * max(scale, 1.0))


def test_nothing_may_be_traded() -> None:
    """Without an instrument that may be traded the position is the answer, proven, and no box is searched."""
    problem = HedgeProblem(
        np.array([3.0]),
        np.array([[-1.0]]),
        single([9], [2.0]),
        single([9], [2.0]),
        np.zeros(1, dtype=np.int64),
        np.zeros(1, dtype=np.int64),
        np.eye(1),
        0.0,
        1.0,
    )
    for changed in (problem, replace(problem, max_trades=1), replace(problem, basis_variance=2.0)):
        answer = hedge(changed)
        assert (answer.lots.tolist(), answer.status, answer.proven) == ([0], "unreachable", True)
        assert answer.effort_nodes == 0
