"""The exact method against enumeration, at the size of a desk, under what must not matter; costs in every method."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.arrays import FloatArray
from solver.errors import ConstraintViolated, IllPosed
from solver.objective import Objective
from solver.packing.bounds import Mode, lot_bounds
from solver.packing.evaluation import evaluate
from solver.packing.incumbent import nothing_packed
from solver.packing.methods.anneal import pack_by_annealing
from solver.packing.methods.enumerate import pack_by_enumeration
from solver.packing.methods.exact import QuadraticFactors, pack_exactly, with_own_box
from solver.packing.methods.greedy import pack_greedily
from solver.packing.methods.incremental import pack_incrementally
from solver.packing.problem import PackingProblem
from solver.packing.quadratic.branch_and_bound import branch, no_open_nodes
from solver.packing.quadratic.metric import frame_of
from solver.packing.result import Packing, finish

LOT = 1e5


def annealed(problem: PackingProblem) -> Packing:
    """`pack_by_annealing` from one seed."""
    return pack_by_annealing(problem, np.random.default_rng(1))


METHODS: list[Callable[[PackingProblem], Packing]] = [
    pack_by_enumeration,
    pack_greedily,
    annealed,
    pack_incrementally,
    pack_exactly,
]
MODES: tuple[Mode, ...] = get_args(Mode)
# Bounds and values round differently; a proof is up to this share of the objective.
PROOF = 1 + 1e-9

# Seeds tried for every objective and mode; a few milliseconds each.
CASES = 1_000

seeds = st.integers(0, 2**32 - 1)
objectives = st.sampled_from(get_args(Objective))
modes = st.sampled_from(MODES)


def sparse_items(chance: np.random.Generator, n: int, items: int) -> FloatArray:
    """(n, items) of 1 to 3 legs, the leading one 1."""
    B = np.zeros((n, items))
    for k in range(items):
        legs = chance.choice(n, size=min(n, int(chance.integers(1, 4))), replace=False)
        B[legs, k] = -chance.uniform(0.3, 1.2, size=len(legs))
        B[legs[0], k] = 1.0
    return B


def small_problem(seed: int, mode: Mode | None = None, objective: Objective = "variance") -> PackingProblem:
    """Up to 6 assets and 6 items; every fourth covariance singular, whole weights, flat assets, costs or none."""
    chance = np.random.default_rng(seed)
    n, K = int(chance.integers(1, 7)), int(chance.integers(0, 7))
    factors = 0.01 * chance.normal(size=(n, 2 * n if chance.random() < 0.75 else max(1, n - 1)))
    B, Q = sparse_items(chance, n, K), 5.0 * chance.normal(size=n)
    if chance.random() < 0.5:
        B, Q = np.sign(B), np.round(Q)
    Q[chance.random(n) < 0.25] = 0.0
    mode = mode or MODES[int(chance.integers(2))]
    lower, upper = lot_bounds(LOT * B, LOT * Q, mode, chains=True)
    size = {"variance": LOT**2 * 1e-4 * n, "volume": 1.0, "determinant": 1e-3 * (LOT**2 * 1e-4) ** n}[objective]
    cost = chance.choice([0.01, 0.1, 1.0]) * chance.uniform(0.0, 2.0, K) * size
    return PackingProblem(
        B=LOT * B,
        Q=LOT * Q,
        lower=np.maximum(lower, -int(chance.integers(0, 4))),
        upper=np.minimum(upper, int(chance.integers(0, 4))),
        Sigma=factors @ factors.T,
        objective=objective,
        mode=mode,
        epsilon=1e3,
        cost_per_lot=None if chance.random() < 0.4 else cost,
    )


def desk_problem(seed: int, n: int, K: int, mode: Mode = "free") -> PackingProblem:
    """Correlated factors, 2-3 leg items in lots of 100,000, tens of lots held, a box and costs."""
    chance = np.random.default_rng(seed)
    loadings = chance.normal(size=(n, 3)) * [0.7, 0.4, 0.4]
    correlation = loadings @ loadings.T + np.diag(chance.uniform(0.1, 0.6, n))
    scale = chance.uniform(0.003, 0.008, n) / np.sqrt(np.diag(correlation))
    Sigma = np.outer(scale, scale) * correlation
    B = LOT * sparse_items(chance, n, K)
    return PackingProblem(
        B=B,
        Q=30.0 * LOT * chance.normal(size=n),
        lower=-chance.integers(5, 41, K),
        upper=chance.integers(5, 41, K),
        Sigma=Sigma,
        objective="variance",
        mode=mode,
        epsilon=1e3,
        cost_per_lot=chance.uniform(0.02, 0.5, K) * np.einsum("ik,ij,jk->k", B, Sigma, B),
    )


@pytest.mark.slow
@pytest.mark.parametrize("objective", get_args(Objective))
@pytest.mark.parametrize("mode", MODES)
def test_exact_equals_enumeration(objective: Objective, mode: Mode) -> None:
    """CASES random cases, with and without costs: the same objective and tie-break, proven, and no bound above it."""
    for seed in range(CASES):
        problem = small_problem(seed, mode, objective)
        best, packing = pack_by_enumeration(problem), pack_exactly(problem)
        _, value, tie = evaluate(problem.arrays, best.multiples)
        _, reached, reached_tie = evaluate(problem.arrays, packing.multiples)
        assert packing.proven, f"seed {seed}"
        assert value / PROOF <= reached <= value * PROOF, f"seed {seed}"
        # Within what a proof leaves open, a smaller value may come with a larger tie-break.
        assert reached_tie <= tie * PROOF or reached < value, f"seed {seed}"
        assert packing.lower_bound <= best.objective * PROOF, f"seed {seed}"
        if best.second_best is not None and packing.second_best is not None:
            assert packing.second_best >= best.second_best / PROOF, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("objective", get_args(Objective))
def test_every_method_counts_costs(objective: Objective) -> None:
    """Objective = measure of the residual + cost @ |omega|; enumeration is the least of them, bounds hold."""
    for seed in range(60):
        problem = small_problem(seed, objective=objective)
        costs = np.zeros(len(problem.lower)) if problem.cost_per_lot is None else problem.cost_per_lot
        best = pack_by_enumeration(problem)
        for method in METHODS:
            packing = method(problem)
            free = replace(problem, cost_per_lot=None).key(packing.multiples)[0]
            assert packing.objective == pytest.approx(free + costs @ np.abs(packing.multiples), rel=1e-12)
            assert packing.objective >= best.objective / PROOF
            assert packing.lower_bound <= best.objective * PROOF, f"{method.__name__}, seed {seed}"
            assert not packing.proven or packing.objective <= best.objective * PROOF
            assert packing.second_best is None or packing.second_best >= packing.objective


@pytest.mark.parametrize("objective", get_args(Objective))
def test_enumeration_knows_the_runner_up(objective: Objective) -> None:
    """Its second best is the second smallest objective of all feasible packings."""
    for seed in range(25):
        problem = small_problem(seed, objective=objective)
        ranges = [range(low, high + 1) for low, high in zip(problem.lower, problem.upper, strict=True)]
        if np.prod([len(multiples) for multiples in ranges]) > 400:
            continue
        values = []
        for multiples in itertools.product(*ranges):
            packing = np.array(multiples, dtype=np.int64)
            try:
                values.append(finish(problem, packing, lower_bound=0.0, proven=False, effort_nodes=1).objective)
            except ConstraintViolated:
                continue
        values.sort()
        second = pack_by_enumeration(problem).second_best
        if len(values) < 2:
            assert second is None
        else:
            # 1e-9: the batched linear algebra of enumeration ranks up to that.
            assert second == pytest.approx(values[1], rel=1e-9), f"seed {seed}"


def test_a_cost_can_forbid_packing() -> None:
    """Packing one lot of 1.4 held saves 1.96 - 0.16 of variance; at a cost above that nothing is packed."""
    arguments: dict[str, Any] = {
        "B": np.array([[1.0]]),
        "Q": np.array([1.4]),
        "lower": np.array([-3]),
        "upper": np.array([3]),
        "Sigma": np.array([[1.0]]),
        "objective": "variance",
        "mode": "free",
        "epsilon": 1.0,
    }
    for cost, lots in ((0.0, [1]), (1.7, [1]), (1.9, [0])):
        for method in METHODS:
            packing = method(PackingProblem(**arguments, cost_per_lot=np.array([cost])))
            assert packing.multiples.tolist() == lots
            assert packing.objective == pytest.approx((1.4 - lots[0]) ** 2 + cost * lots[0], rel=1e-15)


@pytest.mark.parametrize(
    ("cost", "named"),
    [
        (np.array([1.0, 2.0]), "cost_per_lot must have shape"),
        (np.array([-1.0]), "cost_per_lot must be >= 0"),
        (np.array([np.nan]), "cost_per_lot must be finite"),
    ],
)
def test_bad_costs_are_refused(cost: FloatArray, named: str) -> None:
    """A cost per item, none negative, none missing."""
    with pytest.raises(IllPosed, match=named):
        PackingProblem(
            B=np.array([[1.0]]),
            Q=np.array([1.5]),
            lower=np.array([0]),
            upper=np.array([3]),
            Sigma=np.array([[1.0]]),
            objective="variance",
            mode="free",
            epsilon=1.0,
            cost_per_lot=cost,
        )


def test_finish_refuses_a_second_best_below_the_best() -> None:
    """Who knows a better packing must return it."""
    problem = replace(desk_problem(1, 3, 2), cost_per_lot=None)
    with pytest.raises(ConstraintViolated, match="second best"):
        finish(problem, np.zeros(2), lower_bound=0.0, proven=False, effort_nodes=1, second_best=0.0)


@pytest.mark.parametrize(
    ("n", "K", "mode", "nodes"),
    [(20, 20, "free", 2_000), (30, 30, "free", 10_000), (20, 20, "inside", 2_000_000)],
)
def test_desks_are_proven_in_few_nodes(n: int, K: int, mode: Mode, nodes: int) -> None:
    """With box and costs: proven within so many nodes, and no other method does better."""
    for seed in range(30 if mode == "free" else 10):
        problem = desk_problem(seed, n, K, mode)
        packing = pack_exactly(problem, max_nodes=nodes)
        assert packing.proven, f"seed {seed}"
        other = pack_incrementally(problem, packing.multiples, max_nodes=2_000)
        assert other.objective >= packing.objective / PROOF, f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_either_search_alone_proves_the_same(mode: Mode) -> None:
    """Splitting boxes, and going through all of the first box in its ball, share the bound at a point and little else.

    The ball may be too flat for the arithmetic, or have too many packings in it.
    """
    both = 0
    for seed in range(25):
        problem = desk_problem(seed, 9, 9, mode)
        arrays = problem.arrays
        metric = QuadraticFactors(problem.B, problem.Sigma).metric
        values = []
        for ball_nodes, max_nodes in ((0, 300_000), (1_000_000, 1)):
            incumbent, boxes = nothing_packed(arrays), no_open_nodes(9, 1_000)
            boxes.low[0], boxes.high[0], boxes.point[0], boxes.bound[0] = arrays.lower, arrays.upper, 0.0, -np.inf
            depth = 1
            # A box that bound and rows shrink is relaxed again before anything else.
            for _ in range(4):
                work = with_own_box(arrays, arrays.lower, arrays.upper)
                depth, _ = branch(work, metric, frame_of(arrays), boxes, depth, incumbent, ball_nodes, max_nodes)
            if depth == 0:
                values.append(incumbent.key[0])
        if len(values) == 2:
            both += 1
            assert values[0] == pytest.approx(values[1], rel=2e-9), f"seed {seed}"
    assert both >= 15


@pytest.mark.parametrize("mode", MODES)
def test_whatever_ends_the_search_the_bound_holds(mode: Mode) -> None:
    """Budgets from 1 node on: never worse than the start, the bound below every packing known, proof never wrong."""
    for seed in range(12):
        problem = desk_problem(seed, 8, 12, mode)
        runs = [pack_exactly(problem, max_nodes=nodes) for nodes in (1, 300, 2_000, 20_000, 200_000)]
        runs.append(pack_incrementally(problem))
        least = min(run.objective for run in runs)
        for run in runs:
            assert run.lower_bound <= least * PROOF, f"seed {seed}"
            assert not run.proven or run.objective <= least * PROOF, f"seed {seed}"
            assert run.objective <= run.objective_before
        start = runs[-1].multiples
        assert pack_exactly(problem, start, max_nodes=1).objective <= runs[-1].objective * PROOF


@settings(max_examples=60, deadline=None)
@given(seeds, objectives, modes, st.integers(-20, 20), st.integers(-10, 10))
def test_scale_does_not_change_the_optimum(seed: int, objective: Objective, mode: Mode, money: int, risk: int) -> None:
    """Another numeraire or timestep, powers of two: the objective scales with it (volume stays, with its floor)."""
    problem = small_problem(seed, mode, objective)
    factor = {
        "variance": 4.0 ** (money + risk),
        "volume": 1.0,
        "determinant": 4.0 ** ((money + risk) * len(problem.Q)),
    }[objective]
    scaled = replace(
        problem,
        B=2.0**money * problem.B,
        Q=2.0**money * problem.Q,
        Sigma=4.0**risk * problem.Sigma,
        epsilon=2.0 ** (money + risk) * problem.epsilon,
        cost_per_lot=None if problem.cost_per_lot is None else factor * problem.cost_per_lot,
    )
    assert pack_exactly(scaled).objective == pytest.approx(factor * pack_exactly(problem).objective, rel=2e-9)


@settings(max_examples=60, deadline=None)
@given(seeds, objectives, modes, st.randoms(use_true_random=False))
def test_order_and_sign_do_not_change_the_optimum(seed: int, objective: Objective, mode: Mode, order: Any) -> None:
    """Assets and items in another order, items turned round."""
    problem = small_problem(seed, mode, objective)
    n, K = problem.B.shape
    assets, items = order.sample(range(n), n), order.sample(range(K), K)
    signs = np.array([order.choice((-1, 1)) for _ in range(K)], dtype=np.int64)
    flipped = signs[items] < 0
    lower, upper = problem.lower[items], problem.upper[items]
    other = replace(
        problem,
        B=(problem.B * signs)[np.ix_(assets, items)],
        Q=problem.Q[assets],
        lower=np.where(flipped, -upper, lower),
        upper=np.where(flipped, -lower, upper),
        Sigma=problem.Sigma[np.ix_(assets, assets)],
        cost_per_lot=None if problem.cost_per_lot is None else problem.cost_per_lot[items],
    )
    one, two = pack_exactly(problem), pack_exactly(other)
    # Sums in another order, of residuals that may cancel: a share of the position's variance on top.
    rounding = 1e-14 * float(problem.Q @ problem.Q * np.trace(problem.Sigma))
    assert two.objective == pytest.approx(one.objective, rel=2e-9, abs=rounding if objective == "variance" else 0.0)
    if objective == "determinant" and one.objective == 0.0:
        assert other.key(two.multiples)[1] == pytest.approx(problem.key(one.multiples)[1], rel=2e-9, abs=rounding)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(("variance", "volume")), modes, st.sampled_from((0.0, 1.0)))
def test_a_flat_asset_does_not_change_the_optimum(seed: int, objective: Objective, mode: Mode, share: float) -> None:
    """One more asset that is not held and that no item touches, on its own or moving with the others."""
    problem = small_problem(seed, mode, objective)
    n, K = problem.B.shape
    mix = np.vstack([np.eye(n), share * np.linspace(-1.0, 1.0, n)])
    Sigma = mix @ problem.Sigma @ mix.T
    Sigma[n, n] += 1e-4
    wider = replace(
        problem, B=np.vstack([problem.B, np.zeros((1, K))]), Q=np.append(problem.Q, 0.0), Sigma=0.5 * (Sigma + Sigma.T)
    )
    rounding = 1e-14 * float(problem.Q @ problem.Q * np.trace(problem.Sigma)) if objective == "variance" else 0.0
    assert pack_exactly(wider).objective == pytest.approx(pack_exactly(problem).objective, rel=2e-9, abs=rounding)


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(0, 5), st.integers(-3, 3))
def test_the_reference_currency_does_not_change_the_least_variance(seed: int, asset: int, price: int) -> None:
    """Free, funded in the numeraire: valued in one of the assets instead, the least variance scales with its price.

    Then that asset is none any more and the numeraire is one, held with what funds the others: minus their sum, in the
    position and in each item. Its profit is the same money, so only the unit changes. Nothing of the kind holds
    `inside`, where the rows of the two would differ, nor for volume and determinant, which look at legs one by one.
    """
    problem = small_problem(seed, "free")
    n = len(problem.Q)
    asset %= n
    kept = np.delete(np.arange(n), asset)
    funded = np.vstack([np.eye(n)[kept], -np.ones((1, n))])
    # Log returns against the asset: those of the others less its own, and for the old numeraire minus its own.
    returns = np.vstack([np.eye(n)[kept], np.zeros((1, n))]) - np.eye(n)[asset]
    Sigma = returns @ problem.Sigma @ returns.T
    unit = 2.0**price
    other = replace(
        problem,
        B=unit * funded @ problem.B,
        Q=unit * funded @ problem.Q,
        Sigma=0.5 * (Sigma + Sigma.T),
        cost_per_lot=None if problem.cost_per_lot is None else unit**2 * problem.cost_per_lot,
    )
    # Sums of other terms, of residuals that may cancel: a share of the position's variance on top.
    rounding = 1e-13 * unit**2 * float(problem.Q @ problem.Q * np.trace(problem.Sigma))
    expected = unit**2 * pack_exactly(problem).objective
    assert pack_exactly(other).objective == pytest.approx(expected, rel=2e-9, abs=rounding)


def test_more_items_than_assets() -> None:
    """K > n leaves directions without curvature: small boxes equal enumeration, wide ones stay honest."""
    chance = np.random.default_rng(5)
    for seed in range(10):
        problem = replace(desk_problem(seed, 3, 7), lower=np.full(7, -1), upper=np.full(7, 2))
        problem = replace(problem, cost_per_lot=None if seed % 2 else problem.cost_per_lot)
        packing = pack_exactly(problem)
        assert packing.proven
        assert packing.objective <= pack_by_enumeration(problem).objective * PROOF
    wide = replace(desk_problem(1, 3, 12), lower=np.full(12, -500), upper=np.full(12, 500), cost_per_lot=None)
    packing = pack_exactly(wide, max_nodes=20_000)
    assert 0.0 <= packing.lower_bound <= packing.objective
    for _ in range(100):
        near = packing.multiples + chance.integers(-2, 3, 12)
        assert not packing.proven or wide.key(near)[0] >= packing.objective / PROOF


@pytest.mark.parametrize("mode", MODES)
def test_no_items_and_one_asset(mode: Mode) -> None:
    """Nothing to pack is proven; one item in one asset is a rounding."""
    empty = PackingProblem(
        B=np.empty((2, 0)),
        Q=np.array([3.0, -2.0]),
        lower=np.empty(0, dtype=np.int64),
        upper=np.empty(0, dtype=np.int64),
        Sigma=np.eye(2),
        objective="variance",
        mode=mode,
        epsilon=1.0,
    )
    packing = pack_exactly(empty)
    assert packing.proven
    assert packing.objective == 13.0
    assert packing.second_best is None
    one = replace(
        empty,
        B=np.array([[0.4]]),
        Q=np.array([1.5]),
        lower=np.array([-9]),
        upper=np.array([9]),
        Sigma=np.array([[1.0]]),
    )
    assert pack_exactly(one).multiples.tolist() == ([3] if mode == "inside" else [4])


def test_a_riskless_book_is_proven() -> None:
    """A covariance of rank one under which the position cancels: nothing to gain, and proven at once."""
    problem = replace(
        desk_problem(1, 2, 2),
        B=LOT * np.eye(2),
        Q=LOT * np.array([3.0, -3.0]),
        Sigma=np.full((2, 2), 1e-4),
        cost_per_lot=None,
    )
    packing = pack_exactly(problem)
    assert packing.objective == 0.0
    assert packing.proven


def test_items_without_risk_are_packed_only_for_nothing() -> None:
    """Assets that do not move, of items alone or with others, with and without costs: as enumeration says, proven."""
    for seed in range(300):
        problem = small_problem(seed, "free")
        chance = np.random.default_rng(seed)
        Sigma, still = problem.Sigma.copy(), chance.random(len(problem.Q)) < 0.5
        Sigma[still], Sigma[:, still] = 0.0, 0.0
        problem = replace(problem, Sigma=Sigma)
        best, packing = pack_by_enumeration(problem), pack_exactly(problem)
        assert packing.proven, f"seed {seed}"
        # Sums of products of some lots and the variances of the others round differently.
        assert packing.objective == pytest.approx(best.objective, rel=2e-9, abs=1e-9), f"seed {seed}"


def test_the_start_stays_as_it_is() -> None:
    """What a caller hands over to begin from is not overwritten, and no result shares memory with the next."""
    problem = desk_problem(2, 8, 8)
    start = np.arange(8) - 4
    one = pack_exactly(problem, start)
    kept, residual = one.multiples.copy(), one.residual.copy()
    pack_exactly(replace(problem, Q=-problem.Q), one.multiples)
    assert start.tolist() == (np.arange(8) - 4).tolist()
    assert one.multiples.tolist() == kept.tolist()
    np.testing.assert_array_equal(one.residual, residual)
    np.testing.assert_array_equal(problem.residual(kept), residual)


def test_factors_are_kept_and_checked() -> None:
    """Made once for items and covariance, they give the same packing for any position; others' are refused."""
    problem = desk_problem(1, 8, 8)
    factors = QuadraticFactors(problem.B, problem.Sigma)
    for scale in (1.0, -0.5, 2.0):
        moved = replace(problem, Q=scale * problem.Q)
        one, other = pack_exactly(moved, factors=factors), pack_exactly(moved)
        assert one.multiples.tolist() == other.multiples.tolist()
        assert one.effort_nodes == other.effort_nodes
    with pytest.raises(IllPosed, match="factors must be made of"):
        pack_exactly(replace(problem, Sigma=2.0 * problem.Sigma), factors=factors)


def test_the_clock_only_ends_the_search() -> None:
    """A clock that never strikes changes nothing; one that does leaves a packing and bound that say so."""
    problem = desk_problem(3, 20, 20, "inside")
    unhurried = pack_exactly(problem, max_nodes=50_000)
    patient = pack_exactly(problem, max_nodes=50_000, should_stop=lambda: False)
    assert patient.multiples.tolist() == unhurried.multiples.tolist()
    assert patient.effort_nodes == unhurried.effort_nodes
    stopped = pack_exactly(problem, should_stop=lambda: True)
    assert stopped.stopped_by_clock
    assert not stopped.proven
    assert stopped.lower_bound <= unhurried.objective * PROOF
    assert stopped.objective <= stopped.objective_before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"start": np.array([1])}, "start must be integers of shape"),
        ({"start": np.zeros(8)}, "start must be integers of shape"),
        ({"max_nodes": 0}, "max_nodes must be >= 1"),
    ],
)
def test_exact_refuses_bad_arguments(arguments: dict[str, Any], named: str) -> None:
    """A start of the wrong shape or type and an empty budget are named."""
    with pytest.raises(IllPosed, match=named):
        pack_exactly(desk_problem(1, 8, 8), **arguments)
