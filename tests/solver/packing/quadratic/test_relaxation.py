"""The relaxation, what its bound rules out, and the judging of candidates, against enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from solver.arrays import FloatArray, IntArray
from solver.packing.boxes.tighten import round_edges, row_edges, tighten_held
from solver.packing.evaluation import evaluate, precedes
from solver.packing.incumbent import judge, nothing_packed
from solver.packing.problem import PackingProblem
from solver.packing.quadratic.active_set import no_constraint, relax, still_holds
from solver.packing.quadratic.branch_and_bound import RELAXED_NODES, branch, no_open_nodes
from solver.packing.quadratic.metric import frame_of, in_one, metric_of, taken_apart
from solver.packing.quadratic.principal_pivots import empty_tableau, relax_without_rows
from solver.packing.quadratic.relaxation import Relaxed, bound_at, nothing_relaxed, shorten_all

LOT = 1e5
SEEDS = range(150)


def boxed_problem(seed: int) -> PackingProblem:
    """Up to 5 assets and 5 items in narrow boxes; singular covariances, costs, flat assets and whole weights occur."""
    chance = np.random.default_rng(seed)
    n, K = int(chance.integers(1, 6)), int(chance.integers(1, 6))
    factors = 0.01 * chance.normal(size=(n, n + 2 if chance.random() < 0.7 else max(1, n - 1)))
    B = np.where(chance.random((n, K)) < 0.5, chance.uniform(-1.2, 1.2, (n, K)), 0.0)
    B[chance.integers(0, n, K), np.arange(K)] = 1.0
    if chance.random() < 0.3:
        B = np.sign(B)
    Q = np.where(chance.random(n) < 0.2, 0.0, 4.0 * chance.normal(size=n))
    Sigma = factors @ factors.T
    return PackingProblem(
        B=LOT * B,
        Q=LOT * Q,
        lower=-chance.integers(0, 4, K),
        upper=chance.integers(0, 4, K),
        Sigma=Sigma,
        objective="variance",
        mode="inside" if seed % 3 else "free",
        epsilon=1e3,
        cost_per_lot=None if seed % 2 else chance.uniform(0.0, 1.0, K) * LOT**2 * np.einsum("ik,ij,jk->k", B, Sigma, B),
    )


def dependent_problem(seed: int) -> PackingProblem:
    """Pairs and triples of 12 assets as 30 items, so that most are combinations of others; with costs, `free`."""
    chance = np.random.default_rng(seed)
    n, K = 12, 30
    factors = 0.01 * chance.normal(size=(n, 3))
    B = np.zeros((n, K))
    for k in range(K):
        legs = chance.choice(n, size=chance.integers(2, 4), replace=False)
        B[legs, k] = -chance.uniform(0.3, 1.2, len(legs))
        B[legs[0], k] = 1.0
    Sigma = factors @ factors.T + np.diag(1e-5 * chance.uniform(0.1, 1.0, n))
    return PackingProblem(
        B=LOT * B,
        Q=30.0 * LOT * chance.normal(size=n),
        lower=-chance.integers(5, 41, K),
        upper=chance.integers(5, 41, K),
        Sigma=Sigma,
        objective="variance",
        mode="free",
        epsilon=1e3,
        cost_per_lot=chance.uniform(0.02, 0.5, K) * LOT**2 * np.einsum("ik,ij,jk->k", B, Sigma, B),
    )


def sub_box(problem: PackingProblem, seed: int) -> PackingProblem:
    """Some of the box, with or without zero in it: what branch and bound meets."""
    chance = np.random.default_rng(seed + 1)
    low = np.array([chance.integers(a, b + 1) for a, b in zip(problem.lower, problem.upper, strict=True)])
    high = np.array([chance.integers(a, b + 1) for a, b in zip(low, problem.upper, strict=True)])
    object.__setattr__(problem, "lower", low)
    object.__setattr__(problem, "upper", high)
    problem.__dict__.pop("arrays", None)
    return problem


def packings(problem: PackingProblem) -> list[tuple[float, IntArray]]:
    """Every packing in the box that keeps the mode, with its objective."""
    found = []
    for multiples in itertools.product(
        *[range(a, b + 1) for a, b in zip(problem.lower.tolist(), problem.upper.tolist(), strict=True)]
    ):
        packing = np.array(multiples, dtype=np.int64)
        kept, value, _ = evaluate(problem.arrays, packing)
        if kept:
            found.append((value, packing))
    return found


def placed_at(point: FloatArray, multiplier: FloatArray) -> Relaxed:
    """A point and multipliers with room for what follows from them."""
    return nothing_relaxed(len(point), len(multiplier))._replace(point=point, multiplier=multiplier)


def relaxed_twice(problem: PackingProblem) -> tuple[float, float, Relaxed]:
    """(value reached, bound, where it ended), twice so that no ridge is left."""
    n, K = problem.B.shape
    metric, frame = metric_of(problem.B, problem.Sigma), frame_of(problem.arrays)
    end = placed_at(np.zeros(K), np.zeros(n))
    for _ in range(2):
        reached = relax(problem.arrays, metric, frame, end, no_constraint(K, n), False, np.inf)
    return reached, bound_at(problem.arrays, frame, end), end


def test_the_relaxation_is_optimal_by_its_own_bound() -> None:
    """The point is feasible and its objective equals the bound there, in boxes with and without zero.

    Where it finds box and rows to contradict each other, no packing fits. That the bound is one is the next test.
    """
    contradictions = 0
    for seed in SEEDS:
        problem = sub_box(boxed_problem(seed), seed)
        reached, bound, end = relaxed_twice(problem)
        point = end.point
        if reached == np.inf:
            contradictions += 1
            assert not packings(problem), f"seed {seed}"
            continue
        q = problem.Q - problem.B @ point
        cost = np.zeros(len(point)) if problem.cost_per_lot is None else problem.cost_per_lot
        # The squared sum of the standalone risks is the scale of the objective. Where Sigma is singular the ridge costs
        # a share of it some orders above RIDGE: the point moves along what the objective hardly sees.
        scale = float(np.abs(problem.Q) @ np.sqrt(np.diag(problem.Sigma)) + LOT * 0.01) ** 2
        assert q @ problem.Sigma @ q + cost @ np.abs(point) == pytest.approx(bound, abs=1e-6 * scale), f"seed {seed}"
        slack = 1e-6
        assert (point >= problem.lower - slack).all()
        assert (point <= problem.upper + slack).all()
        if problem.mode == "inside":
            packed = problem.B @ point / LOT
            assert (packed >= np.minimum(problem.Q, 0.0) / LOT - slack).all(), f"seed {seed}"
            assert (packed <= np.maximum(problem.Q, 0.0) / LOT + slack).all(), f"seed {seed}"
    assert contradictions > 3


def test_going_on_in_a_part_of_the_box_ends_where_a_new_start_does() -> None:
    """The dual method that keeps its active constraints reaches the same value, and a bound as good."""
    kept = 0
    for seed in SEEDS:
        problem = boxed_problem(seed)
        n, K = problem.B.shape
        metric = metric_of(problem.B, problem.Sigma)
        one, active = placed_at(np.zeros(K), np.zeros(n)), no_constraint(K, n)
        relax(problem.arrays, metric, frame_of(problem.arrays), one, active, False, np.inf)
        for part in range(3):
            # Parts of parts, halved where branch and bound would.
            k = int(np.argmax(np.abs(one.point - np.rint(one.point))))
            low, high = problem.lower.copy(), problem.upper.copy()
            if part % 2:
                low[k] = min(max(int(np.ceil(one.point[k])), low[k]), high[k])
            else:
                high[k] = max(min(int(np.floor(one.point[k])), high[k]), low[k])
            object.__setattr__(problem, "lower", low)
            object.__setattr__(problem, "upper", high)
            problem.__dict__.pop("arrays")
            frame = frame_of(problem.arrays)
            other, kept_before = placed_at(np.zeros(K), np.zeros(n)), still_holds(problem.arrays, active)
            reached = relax(problem.arrays, metric, frame, one, active, True, np.inf)
            anew = relax(problem.arrays, metric, frame, other, no_constraint(K, n), False, np.inf)
            assert (reached == np.inf) == (anew == np.inf), f"seed {seed}"
            if reached == np.inf:
                break
            kept += kept_before and bool(active.number[0])
            # The scale of the objective; the ridges of the two pull towards different points.
            scale = float(np.abs(problem.Q) @ np.sqrt(np.diag(problem.Sigma)) + LOT * 0.01) ** 2
            assert reached == pytest.approx(anew, abs=1e-6 * scale), f"seed {seed}"
            bounds = [bound_at(problem.arrays, frame, end) for end in (one, other)]
            assert bounds[0] == pytest.approx(bounds[1], abs=1e-6 * scale), f"seed {seed}"
    assert kept > 100


def test_pivots_end_where_the_dual_method_does() -> None:
    """Without rows, multiples let go one by one end at the same objective, which is its own bound.

    OpenNodes with and without zero, covariances and items that depend on each other, up to 30 items; what each multiple
    gives way by is the diagonal of the inverse Hessian of those between their edges.
    """
    free = 0
    for seed in SEEDS:
        problem = sub_box(boxed_problem(3 * seed), seed)
        if seed % 5 == 0:
            problem = dependent_problem(seed)
        n, K = problem.B.shape
        metric, frame = metric_of(problem.B, problem.Sigma), frame_of(problem.arrays)
        end = placed_at(np.zeros(K), np.ones(n))
        relax_without_rows(problem.arrays, metric, frame, end, empty_tableau(K))
        assert not end.multiplier.any()
        point, cost = end.point, problem.arrays.cost
        slack = 1e-6
        assert (point >= problem.lower - slack).all(), f"seed {seed}"
        assert (point <= problem.upper + slack).all(), f"seed {seed}"
        scale = float(np.abs(problem.Q) @ np.sqrt(np.diag(problem.Sigma)) + LOT * 0.01) ** 2
        q = problem.Q - problem.B @ point
        bound = bound_at(problem.arrays, frame, end)
        assert q @ problem.Sigma @ q + cost @ np.abs(point) == pytest.approx(bound, abs=1e-9 * scale), f"seed {seed}"
        _, by_the_dual_method, _ = relaxed_twice(problem)
        assert bound == pytest.approx(by_the_dual_method, abs=1e-6 * scale), f"seed {seed}"
        between = end.give > 0.0
        free += int(between.sum())
        hessian = 2.0 * metric.gram[np.ix_(between, between)]
        if between.any() and np.linalg.cond(hessian) < 1e6:
            np.testing.assert_allclose(end.give[between], np.diag(np.linalg.inv(hessian)), rtol=1e-8)
    assert free > 200


def test_rounded_edges_keep_every_packing() -> None:
    """Where all legs in an asset are whole multiples of one, its edges move to what whole lots can pack, no further."""
    moved = 0
    for seed in SEEDS:
        problem = boxed_problem(3 * seed + 1)
        arrays = problem.arrays
        floor, ceiling = np.empty(len(problem.Q)), np.empty(len(problem.Q))
        row_edges(arrays, floor, ceiling)
        before = ceiling - floor
        round_edges(arrays, floor, ceiling)
        moved += int(np.sum(ceiling - floor < before - 1.0))
        for _, packing in packings(problem):
            packed = problem.B @ packing
            assert (packed >= floor - arrays.leg_tolerance).all(), f"seed {seed}"
            assert (packed <= ceiling + arrays.leg_tolerance).all(), f"seed {seed}"
    assert moved > 100


def test_pivots_end_at_the_same_objective_wherever_they_begin() -> None:
    """From zero, a corner, or anywhere in or out of the box; a multiple without risk ends as near to zero as it can."""
    riskless = 0
    for seed in SEEDS:
        problem = boxed_problem(3 * seed)
        if seed % 3 == 0:
            # An asset that does not move, and an item of nothing else.
            B, Sigma = problem.B.copy(), problem.Sigma.copy()
            B[0], B[1:, 0], Sigma[0], Sigma[:, 0] = 0.0, 0.0, 0.0, 0.0
            B[0, 0] = LOT
            cost = None if problem.cost_per_lot is None else LOT**2 * 1e-4 * np.ones(B.shape[1])
            if B.any(axis=0).all():
                problem = replace(problem, B=B, Sigma=Sigma, cost_per_lot=cost)
        problem = sub_box(problem if seed % 5 else dependent_problem(seed), seed)
        n, K = problem.B.shape
        metric, frame = metric_of(problem.B, problem.Sigma), frame_of(problem.arrays)
        scale = float(np.abs(problem.Q) @ np.sqrt(np.diag(problem.Sigma)) + LOT * 0.01) ** 2
        chance = np.random.default_rng(seed)
        bounds = []
        for begin in (
            np.zeros(K),
            problem.lower.astype(float),
            problem.upper.astype(float),
            5.0 * chance.normal(size=K),
        ):
            end = placed_at(begin, np.zeros(n))
            relax_without_rows(problem.arrays, metric, frame, end, empty_tableau(K))
            assert (end.point >= problem.lower - 1e-6).all(), f"seed {seed}"
            assert (end.point <= problem.upper + 1e-6).all(), f"seed {seed}"
            still = np.diag(metric.gram) == 0.0
            riskless += int(still.sum())
            np.testing.assert_array_equal(end.point[still], np.clip(0.0, problem.lower, problem.upper)[still])
            bounds.append(bound_at(problem.arrays, frame, end))
        np.testing.assert_allclose(bounds, bounds[0], rtol=0.0, atol=1e-9 * scale, err_msg=f"seed {seed}")
    assert riskless > 50


def test_what_is_prepared_is_found_again_in_one_array() -> None:
    """Items, covariance and metric, of fewer and more items than assets, and of none."""
    chance = np.random.default_rng(5)
    for n, K in ((4, 3), (2, 5), (3, 0)):
        B, factors = chance.normal(size=(n, K)), chance.normal(size=(n, n))
        metric = metric_of(B, factors @ factors.T)
        items, covariance, found = taken_apart(in_one(B, factors @ factors.T, metric), n, K)
        for one, other in zip((B.T, factors @ factors.T, *metric), (items, covariance, *found), strict=True):
            np.testing.assert_array_equal(one, other)


def test_any_point_and_any_multipliers_give_a_bound() -> None:
    """No packing in the box is below `bound_at`, wherever it is taken."""
    for seed in SEEDS:
        problem = sub_box(boxed_problem(seed), seed)
        chance = np.random.default_rng(seed)
        n, K = problem.B.shape
        frame = frame_of(problem.arrays)
        best = min((value for value, _ in packings(problem)), default=np.inf)
        for _ in range(5):
            point = chance.normal(size=K) * 3.0
            multiplier = np.zeros(n)
            if problem.mode == "inside":
                multiplier = chance.normal(size=n) * LOT * np.diag(problem.Sigma)
            bound = bound_at(problem.arrays, frame, placed_at(point, multiplier))
            assert bound <= best * (1 + 1e-11) + 1e-11 * LOT**2, f"seed {seed}"


def test_a_multiplier_that_is_rounding_says_nothing() -> None:
    """A row that only a fixed item touches, its multiple off by rounding, its multiplier huge: the bound holds."""
    problem = PackingProblem(
        B=np.eye(2),
        Q=np.array([9.0, -5.0]),
        lower=np.array([0, 0]),
        upper=np.array([9, 0]),
        Sigma=np.eye(2),
        objective="variance",
        mode="inside",
        epsilon=1.0,
    )
    frame = frame_of(problem.arrays)
    best = min(value for value, _ in packings(problem))
    chance = np.random.default_rng(1)
    for _ in range(100):
        point = np.array([9.0, -1e-7 * chance.random()])
        multiplier = np.array([0.0, 10.0 ** chance.uniform(6.0, 18.0)])
        bound = bound_at(problem.arrays, frame, placed_at(point, multiplier))
        assert bound <= best * (1.0 + 1e-9)


def test_shortened_ranges_keep_what_is_better() -> None:
    """What the bound and the held rows cut off the box is no better than the value it was cut for."""
    cut = 0
    for seed in SEEDS:
        problem = boxed_problem(seed)
        reached, bound, end = relaxed_twice(problem)
        assert reached < np.inf, "packing nothing is feasible"
        found = packings(problem)
        values = sorted(value for value, _ in found)
        target = values[len(values) // 3]
        low, high = problem.lower.copy(), problem.upper.copy()
        frame = frame_of(problem.arrays)
        room = target - bound
        left = shorten_all(problem.arrays, end.point, end.slope, end.least, room, low, high)
        if left and problem.mode == "inside":
            left = tighten_held(problem.arrays, frame.floor, frame.ceiling, end.multiplier, room, low, high)
        cut += int(np.sum(problem.upper - problem.lower) - np.sum(high - low))
        for value, packing in found:
            if value < target * (1 - 1e-9):
                assert left, f"seed {seed}"
                assert (low <= packing).all(), f"seed {seed}"
                assert (packing <= high).all(), f"seed {seed}"
    assert cut > 100


@pytest.mark.parametrize("ball_nodes", [0, 3, 1_000])
def test_branch_and_bound_finds_the_best(ball_nodes: int) -> None:
    """From packing nothing it ends with the least of all packings, and on the way no bound is above it.

    However long the search in the ball of a box may take, and stopped after every few boxes.
    """
    for seed in SEEDS:
        problem = boxed_problem(seed)
        metric, frame, arrays = metric_of(problem.B, problem.Sigma), frame_of(problem.arrays), problem.arrays
        best = min(value for value, _ in packings(problem))
        incumbent = nothing_packed(arrays)
        boxes = no_open_nodes(len(problem.lower), 1_000)
        boxes.low[0], boxes.high[0], boxes.point[0], boxes.bound[0] = problem.lower, problem.upper, 0.0, -np.inf
        work = arrays._replace(lower=problem.lower.copy(), upper=problem.upper.copy())
        depth, calls = 1, 0
        while depth:
            depth, _ = branch(work, metric, frame, boxes, depth, incumbent, ball_nodes, 3 * RELAXED_NODES)
            bound = min(float(incumbent.key[0]), float(np.min(boxes.bound[:depth], initial=np.inf)) - frame.rounding)
            assert bound <= best * (1 + 1e-9), f"seed {seed}"
            calls += 1
            assert calls < 1_000
        assert incumbent.key[0] <= best * (1 + 1e-9) + frame.rounding, f"seed {seed}"


def test_the_incumbent_is_the_best_judged_and_knows_the_second() -> None:
    """Candidates in any order leave the one that precedes all others, and the next value."""
    for seed in range(40):
        problem = boxed_problem(seed)
        chance = np.random.default_rng(seed)
        found = packings(problem)
        incumbent = nothing_packed(problem.arrays)
        for index in chance.permutation(len(found)):
            value, packing = found[index]
            before = incumbent.multiples.copy(), incumbent.key[0]
            taken = judge(problem.arrays, incumbent, packing)
            assert taken == precedes(value, 0.0, packing, before[1], 0.0, before[0])
        values = sorted(value for value, _ in found)
        assert incumbent.key[0] == values[0]
        assert incumbent.key[2] == (values[1] if len(values) > 1 else np.inf)
        broken = problem.upper + 100
        if problem.mode == "inside":
            assert not judge(problem.arrays, incumbent, broken)


def test_a_covariance_just_below_psd_has_a_metric() -> None:
    """An eigenvalue below zero by what the problem allows is lifted: root' root is the inverse, and it is finite."""
    chance = np.random.default_rng(0)
    n = 40
    vectors, _ = np.linalg.qr(chance.normal(size=(n, n)))
    values = np.concatenate([[-0.9e-10 * (n - 1)], np.ones(n - 1)])
    Sigma = vectors * values @ vectors.T
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(2.0 * Sigma + 2e-9 * np.eye(n))
    metric = metric_of(np.eye(n), Sigma)
    assert np.isfinite(metric.root).all()
    np.testing.assert_allclose(metric.root.T @ metric.root, metric.inverse)
    # Where Sigma is 1 the Hessian is 2.
    np.testing.assert_allclose(vectors[:, 1:].T @ metric.inverse @ vectors[:, 1:], 0.5 * np.eye(n - 1), atol=1e-6)
