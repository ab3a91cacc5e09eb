"""Packing methods against brute force, each other and what must not change a packing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.arrays import IntArray
from solver.errors import IllPosed, TooLarge
from solver.objective import Objective, materiality_floor, objective_key
from solver.packing.bounds import Mode, lot_bounds
from solver.packing.evaluation import evaluate
from solver.packing.methods.anneal import pack_by_annealing
from solver.packing.methods.enumerate import pack_by_enumeration
from solver.packing.methods.greedy import pack_greedily
from solver.packing.methods.incremental import pack_incrementally
from solver.packing.methods.local_search import descend
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing

LOT = 1e5


def annealed(problem: PackingProblem) -> Packing:
    """`pack_by_annealing` from one seed."""
    return pack_by_annealing(problem, np.random.default_rng(1))


METHODS: list[Callable[[PackingProblem], Packing]] = [
    pack_by_enumeration,
    pack_greedily,
    annealed,
    pack_incrementally,
]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
MODES: tuple[Mode, ...] = get_args(Mode)

seeds = st.integers(0, 2**32 - 1)
objectives = st.sampled_from(OBJECTIVES)
modes = st.sampled_from(MODES)
methods = st.sampled_from(METHODS)


def make(B: Any, Q: Any, Sigma: Any, objective: Objective, mode: Mode, most: int = 10**9) -> PackingProblem:
    """A problem in lots of LOT with the default bounds, none beyond `most`."""
    B, Q, Sigma = LOT * np.asarray(B, dtype=float), LOT * np.asarray(Q, dtype=float), np.asarray(Sigma, dtype=float)
    lower, upper = lot_bounds(B, Q, mode, chains=True)
    return PackingProblem(
        B=B,
        Q=Q,
        lower=np.maximum(lower, -most),
        upper=np.minimum(upper, most),
        Sigma=Sigma,
        objective=objective,
        mode=mode,
        epsilon=materiality_floor(LOT, Sigma),
    )


def random_problem(seed: int, objective: Objective, mode: Mode, lots: float = 5.0, most: int = 4) -> PackingProblem:
    """Up to 5 assets and 4 items of 1 to 3 legs; one covariance in four is singular, one position in four flat."""
    chance = np.random.default_rng(seed)
    n, K = int(chance.integers(1, 6)), int(chance.integers(0, 5))
    factors = 0.01 * chance.normal(size=(n, 2 * n if chance.random() < 0.75 else max(1, n - 1)))
    B = np.zeros((n, K))
    for k in range(K):
        legs = chance.choice(n, size=min(n, int(chance.integers(1, 4))), replace=False)
        B[legs, k] = -chance.uniform(0.3, 1.2, size=len(legs))
        B[legs[0], k] = 1.0
    # Half of the books hold whole lots of whole weights: there legs reach exactly zero and packings tie.
    Q = lots * chance.normal(size=n)
    if chance.random() < 0.5:
        B, Q = np.sign(B), np.round(Q)
    Q[chance.random(n) < 0.25] = 0.0
    return make(B, Q, factors @ factors.T, objective, mode, most)


def key(problem: PackingProblem, multiples: IntArray) -> tuple[float, float]:
    """The key that methods compare by."""
    return evaluate(problem.arrays, multiples)[1:]


def article(objective: Objective, mode: Mode = "inside") -> PackingProblem:
    """EUR, JPY, CHF, the cointegrating vector (1, 0, -1), long 10 EUR and 2 JPY, short 7 CHF (all in lots)."""
    volatility = np.array([80e-4, 60e-4, 60e-4])
    correlation = np.array([[1.0, 0.3, 0.5], [0.3, 1.0, 0.4], [0.5, 0.4, 1.0]])
    Sigma = np.outer(volatility, volatility) * correlation
    return make([[1.0], [0.0], [-1.0]], [10.0, 2.0, -7.0], Sigma, objective, mode)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_articles_example(method: Callable[[PackingProblem], Packing], objective: Objective) -> None:
    """(+10, +2, -7) holds 7 lots of EUR against CHF; (+3, +2, 0) is unhedged."""
    packing = method(article(objective))
    assert packing.multiples.tolist() == [7]
    np.testing.assert_array_equal(packing.residual, LOT * np.array([3.0, 2.0, 0.0]))
    assert packing.objective < packing.objective_before


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", MODES)
def test_enumeration_equals_brute_force(objective: Objective, mode: Mode) -> None:
    """Plain loops over the definition of the problem find no better packing, and the same objective."""
    for seed in range(25):
        problem = random_problem(seed, objective, mode, most=2)
        ranges = [range(low, high + 1) for low, high in zip(problem.lower, problem.upper, strict=True)]
        least = (np.inf, np.inf)
        for multiples in itertools.product(*ranges):
            packed = problem.B @ np.array(multiples, dtype=float)
            slack = 1e-9 * LOT * 1.2
            inside = np.all(packed >= np.minimum(problem.Q, 0.0) - slack)
            inside = inside and np.all(packed <= np.maximum(problem.Q, 0.0) + slack)
            if mode == "free" or inside:
                q = problem.Q - packed
                q[np.abs(q) <= slack] = 0.0
                least = min(least, objective_key(objective, q, problem.Sigma, problem.epsilon))
        packing = pack_by_enumeration(problem)
        found = objective_key(objective, packing.residual, problem.Sigma, problem.epsilon)
        assert found == pytest.approx(least, rel=1e-9), f"seed {seed}"
        assert packing.proven
        assert packing.effort_nodes == np.prod([len(multiples) for multiples in ranges])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", MODES)
def test_incremental_against_enumeration(objective: Objective, mode: Mode) -> None:
    """What it proves is optimal, what it bounds is bounded, with any budget; and with the default most is proven."""
    proven = 0
    for seed in range(100):
        problem = random_problem(seed, objective, mode)
        best = pack_by_enumeration(problem)
        value, tie = key(problem, best.multiples)
        for max_nodes in (1, 60, 400, 5_000):
            packing = pack_incrementally(problem, max_nodes=max_nodes)
            # 1e-9: the tolerance of a proof.
            assert packing.lower_bound <= value * (1 + 1e-9), f"seed {seed}, {max_nodes} nodes"
            if packing.proven:
                assert key(problem, packing.multiples)[0] <= value * (1 + 1e-9), f"seed {seed}, {max_nodes} nodes"
                assert key(problem, packing.multiples)[1] <= tie * (1 + 1e-9), f"seed {seed}, {max_nodes} nodes"
        proven += packing.proven
    assert proven >= (80 if objective == "determinant" else 98)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", MODES)
def test_greedy_is_bounded_by_enumeration(objective: Objective, mode: Mode) -> None:
    """Greedy is never worse than nothing packed, never better than the oracle, and ends where no lot helps."""
    for seed in range(60):
        problem = random_problem(seed, objective, mode)
        packing = pack_greedily(problem)
        reached = key(problem, packing.multiples)
        assert key(problem, pack_by_enumeration(problem).multiples) <= reached
        assert reached <= key(problem, np.zeros_like(packing.multiples))
        for k, lots in itertools.product(range(len(packing.multiples)), (-1, 1)):
            moved = packing.multiples.copy()
            moved[k] += lots
            kept, *moved_key = evaluate(problem.arrays, moved)
            if kept and problem.lower[k] <= moved[k] <= problem.upper[k]:
                assert tuple(moved_key) >= reached


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", MODES)
def test_descent_ends_where_no_one_or_two_items_help(objective: Objective, mode: Mode) -> None:
    """No lot of one item nor of any two, in any directions, improves the local optimum."""
    for seed in range(40):
        problem = random_problem(seed, objective, mode, lots=20.0, most=50)
        items = problem.B.shape[1]
        if not items:
            continue
        multiples, progress = np.zeros(items, dtype=np.int64), np.zeros(2, dtype=np.int64)
        descend(problem.arrays, multiples, progress, 10**6)
        assert progress[1] == items**2
        reached = key(problem, multiples)
        for move in itertools.product((-1, 0, 1), repeat=items):
            moved = multiples + np.array(move)
            bounded = ((moved >= problem.lower) & (moved <= problem.upper)).all()
            if bounded and np.count_nonzero(move) <= 2 and evaluate(problem.arrays, moved)[0]:
                assert key(problem, moved) >= reached, f"seed {seed}, move {move}"


@settings(max_examples=60, deadline=None)
@given(seeds, objectives, modes, st.integers(-20, 20), st.integers(-10, 10), methods)
def test_scale_does_not_change_the_packing(
    seed: int, objective: Objective, mode: Mode, money: int, risk: int, method: Callable[[PackingProblem], Packing]
) -> None:
    """Another numeraire or another timestep gives the same multiples; powers of two, so that not a bit differs."""
    problem = random_problem(seed, objective, mode)
    scaled = replace(
        problem,
        B=2.0**money * problem.B,
        Q=2.0**money * problem.Q,
        Sigma=4.0**risk * problem.Sigma,
        epsilon=2.0 ** (money + risk) * problem.epsilon,
    )
    one, other = method(problem), method(scaled)
    assert one.multiples.tolist() == other.multiples.tolist()
    assert one.effort_nodes == other.effort_nodes
    np.testing.assert_array_equal(2.0**money * one.residual, other.residual)


@settings(max_examples=60, deadline=None)
@given(seeds, objectives, modes, st.randoms(use_true_random=False))
def test_order_and_sign_do_not_change_what_is_reachable(
    seed: int, objective: Objective, mode: Mode, order: Any
) -> None:
    """Assets and items in another order, items with the opposite sign: the optimum has the same value."""
    problem = random_problem(seed, objective, mode)
    n, K = problem.B.shape
    assets, items = order.sample(range(n), n), order.sample(range(K), K)
    signs = np.array([order.choice((-1, 1)) for _ in range(K)], dtype=np.int64)
    flipped = signs[items] < 0
    lower, upper = problem.lower[items], problem.upper[items]
    shuffled = replace(
        problem,
        B=(problem.B * signs)[np.ix_(assets, items)],
        Q=problem.Q[assets],
        lower=np.where(flipped, -upper, lower),
        upper=np.where(flipped, -lower, upper),
        Sigma=problem.Sigma[np.ix_(assets, assets)],
    )
    # 1e-9: sums in another order, of residuals that may be small against the position.
    best = pack_by_enumeration(problem).objective
    assert pack_by_enumeration(shuffled).objective == pytest.approx(best, rel=1e-9)
    packing = pack_incrementally(shuffled)
    if packing.proven:
        assert packing.objective == pytest.approx(best, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(["variance", "volume"]), modes, methods)
def test_a_flat_asset_that_no_item_touches_changes_nothing(
    seed: int, objective: Objective, mode: Mode, method: Callable[[PackingProblem], Packing]
) -> None:
    """An asset with no position and no leg leaves multiples and objective as they were."""
    problem = random_problem(seed, objective, mode)
    n, K = problem.B.shape
    Sigma = np.zeros((n + 1, n + 1))
    Sigma[:n, :n] = problem.Sigma
    Sigma[n, n] = 1e-4
    wider = replace(problem, B=np.vstack([problem.B, np.zeros((1, K))]), Q=np.append(problem.Q, 0.0), Sigma=Sigma)
    one, other = method(problem), method(wider)
    assert one.multiples.tolist() == other.multiples.tolist()
    assert one.objective == other.objective


@settings(max_examples=100, deadline=None)
@given(seeds, objectives, modes, st.integers(1, 2_000), seeds)
def test_a_warm_start_is_never_made_worse(
    seed: int, objective: Objective, mode: Mode, max_nodes: int, start_seed: int
) -> None:
    """Whatever the start, feasible or not, and the budget: no worse than a feasible start, no worse than nothing."""
    problem = random_problem(seed, objective, mode)
    start = np.random.default_rng(start_seed).integers(-6, 7, size=problem.B.shape[1])
    given_start = start.copy()
    packing = pack_incrementally(problem, start, max_nodes)
    np.testing.assert_array_equal(start, given_start)
    reached = key(problem, packing.multiples)
    assert reached <= key(problem, np.zeros_like(packing.multiples))
    if ((start >= problem.lower) & (start <= problem.upper)).all() and evaluate(problem.arrays, start)[0]:
        assert reached <= key(problem, start)


@settings(max_examples=50, deadline=None)
@given(seeds, objectives, modes, st.integers(0, 6))
def test_the_clock_only_ends_the_search(seed: int, objective: Objective, mode: Mode, looks: int) -> None:
    """A clock that never strikes changes nothing; one that does leaves a feasible packing that says so."""
    problem = random_problem(seed, objective, mode, lots=30.0, most=100)
    unhurried = pack_incrementally(problem)
    patient = pack_incrementally(problem, should_stop=lambda: False)
    assert patient.multiples.tolist() == unhurried.multiples.tolist()
    assert (patient.effort_nodes, patient.lower_bound) == (unhurried.effort_nodes, unhurried.lower_bound)
    assert not patient.stopped_by_clock

    ticks = itertools.count()
    hurried = pack_incrementally(problem, should_stop=lambda: next(ticks) >= looks)
    assert hurried.effort_nodes <= unhurried.effort_nodes or not hurried.stopped_by_clock
    assert hurried.stopped_by_clock or hurried.multiples.tolist() == unhurried.multiples.tolist()
    assert key(problem, hurried.multiples) <= key(problem, np.zeros_like(hurried.multiples))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", MODES)
def test_no_items_pack_nothing(method: Callable[[PackingProblem], Packing], objective: Objective, mode: Mode) -> None:
    """No reliable β is a normal day: the whole position is unhedged, and that is proven."""
    packing = method(make(np.empty((2, 0)), [3.0, -2.0], 1e-4 * np.eye(2), objective, mode))
    assert packing.multiples.shape == (0,)
    np.testing.assert_array_equal(packing.residual, [3 * LOT, -2 * LOT])
    assert packing.proven
    assert packing.objective == packing.objective_before == packing.lower_bound


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_asset(method: Callable[[PackingProblem], Packing], objective: Objective) -> None:
    """Lots of 0.4 against 1.5 held: 3 fit inside and leave 0.3, 4 come nearest when free."""
    assert method(make([[0.4]], [1.5], [[1e-4]], objective, "inside")).multiples.tolist() == [3]
    assert method(make([[0.4]], [1.5], [[1e-4]], objective, "free")).multiples.tolist() == [4]


def test_presolve_settles_what_cannot_move() -> None:
    """A flat asset forces its only item to zero, then the next one in the chain; nothing is left to search."""
    B = [[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 1.0], [0.0, 0.0, -1.0]]
    packing = pack_incrementally(make(B, [9.0, -5.0, -4.0, 0.0], 1e-4 * np.eye(4), "volume", "inside"))
    assert packing.multiples.tolist() == [9, 4, 0]
    stuck = pack_incrementally(make(B, [9.0, 0.0, 0.0, 0.0], 1e-4 * np.eye(4), "volume", "inside"))
    assert stuck.multiples.tolist() == [0, 0, 0]
    assert stuck.proven
    assert stuck.effort_nodes == 1


@pytest.mark.parametrize("method", [pack_by_enumeration, annealed, pack_incrementally])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_chain_passes_on_what_no_single_item_may_touch(
    method: Callable[[PackingProblem], Packing], objective: Objective
) -> None:
    """Long A, short C, nothing of B: A-B and B-C together hedge it, though either alone would leave the position."""
    packing = method(
        make([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]], [10.0, 0.0, -10.0], 1e-4 * np.eye(3), objective, "inside")
    )
    assert packing.multiples.tolist() == [10, 10]
    assert packing.objective == 0.0


@pytest.mark.parametrize("method", [pack_by_enumeration, annealed, pack_incrementally])
def test_ties_go_to_the_fewest_lots(method: Callable[[PackingProblem], Packing]) -> None:
    """With A-B, B-C and A-C to choose from, A against C is packed once, not twice by way of B."""
    weights = np.array([[1.0, 0.0, 1.0], [-0.7, 0.7, 0.0], [0.0, -0.49, -0.49]])
    packing = method(make(weights, [6.3, 0.0, -4.1], 1e-4 * np.eye(3), "variance", "inside"))
    assert packing.multiples.tolist() == [0, 0, 6]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_singular_covariance(method: Callable[[PackingProblem], Packing], objective: Objective) -> None:
    """Two assets that move as one: only the volume asks for a packing where they already offset, and all is finite."""
    packing = method(make([[1.0], [-1.0]], [5.0, -3.0], np.full((2, 2), 1e-4), objective, "inside"))
    assert packing.multiples.tolist() == ([3] if objective == "volume" else [0])
    assert np.isfinite([packing.objective, packing.objective_before, packing.lower_bound]).all()


def test_cross_hedges_of_the_published_table() -> None:
    """Free packing in single currencies by variance is the minimum-variance hedge: it leaves 57.8598 k of 80 k.

    Volatilities and correlations of Barzykin, Bergault and Guéant, arXiv 2207.04100, table 1; lots of 1,000.
    """
    volatility = np.array([80e-4, 70e-4, 60e-4, 60e-4])
    correlation = np.array([[1.0, 0.6, 0.5, 0.3], [0.6, 1.0, 0.3, 0.2], [0.5, 0.3, 1.0, 0.4], [0.3, 0.2, 0.4, 1.0]])
    Sigma = np.outer(volatility, volatility) * correlation
    B = 0.01 * np.eye(4)[:, 1:]
    packing = pack_incrementally(make(B, [100.0, 0.0, 0.0, 0.0], Sigma, "variance", "free"))
    np.testing.assert_allclose(packing.multiples, [5578.6, 4327.2, 967.5], atol=1.0)
    assert np.sqrt(packing.objective) == pytest.approx(57.8598e3, rel=1e-6)
    assert packing.proven


@pytest.mark.parametrize("method", [pack_greedily, pack_incrementally])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("mode", MODES)
def test_large_problems_stay_within_their_budget(
    method: Callable[[PackingProblem], Packing], objective: Objective, mode: Mode
) -> None:
    """12 assets and 20 items: a feasible packing better than nothing, an honest bound, and bounded effort."""
    chance = np.random.default_rng(12)
    factors = 0.005 * chance.normal(size=(12, 24))
    B = np.zeros((12, 20))
    for k in range(20):
        one, two = chance.choice(12, size=2, replace=False)
        B[one, k], B[two, k] = 1.0, -chance.uniform(0.5, 1.2)
    packing = method(make(B, 30.0 * chance.normal(size=12), factors @ factors.T, objective, mode))
    assert packing.lower_bound <= packing.objective < packing.objective_before
    assert method is pack_greedily or packing.effort_nodes <= 5_500


def test_enumeration_has_a_limit() -> None:
    """More combinations than allowed are refused before any is tried, however many there are."""
    problem = make([[1.0], [-1.0]], [5.0, -3.0], 1e-4 * np.eye(2), "volume", "inside")
    with pytest.raises(TooLarge, match="at most 10 combinations, got 17"):
        pack_by_enumeration(problem, max_combinations=10)
    wide = replace(problem, B=np.ones((2, 9)), lower=np.full(9, -(10**9)), upper=np.full(9, 10**9))
    with pytest.raises(TooLarge):
        pack_by_enumeration(wide)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"start": np.array([1, 2])}, "start must be integers of shape"),
        ({"start": np.array([1.0])}, "start must be integers of shape"),
        ({"max_nodes": 0}, "max_nodes must be >= 1"),
    ],
)
def test_incremental_refuses_bad_arguments(arguments: dict[str, Any], named: str) -> None:
    """A start of the wrong shape or type and an empty budget are named."""
    with pytest.raises(IllPosed, match=named):
        pack_incrementally(article("volume"), **arguments)
