"""Kept precision, local search, bounds and live packing for the objective `volume`, against fresh factorisations."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import typeof

from solver.errors import IllPosed
from solver.kernels.compiled import compiled
from solver.objective import materiality_floor, volume_kernel
from solver.packing.bounds import Mode, lot_bounds
from solver.packing.boxes.repair import repair
from solver.packing.evaluation import evaluate
from solver.packing.incumbent import nothing_packed
from solver.packing.methods.enumerate import pack_by_enumeration
from solver.packing.methods.exact import pack_exactly
from solver.packing.methods.incremental import pack_incrementally
from solver.packing.methods.many_books import BookPacker
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing
from solver.packing.volume.ball import parabola, search_ball
from solver.packing.volume.best_first import open_root
from solver.packing.volume.bound import bound_node, shrink
from solver.packing.volume.descent import DRIFT_LIMIT, accept, descend_volume, is_local_optimum, new_search, stand_at
from solver.packing.volume.nodes import new_nodes
from solver.packing.volume.precision import determinant_ratio, refresh_precision, shift_precision
from solver.packing.volume.scaling import volume_arrays
from solver.packing.volume.terms import first_within, least_of_term, marginal, smallest_square

LOT = 1e5
seeds = st.integers(0, 2**32 - 1)


def make(
    seed: int, n: int, K: int, mode: Mode = "inside", lots: float = 30.0, rank: int | None = None
) -> PackingProblem:
    """Pairs and triples over n assets; a covariance of the given rank."""
    chance = np.random.default_rng(seed)
    factors = 0.005 * chance.normal(size=(n, rank or 2 * n))
    Sigma = factors @ factors.T
    B = np.zeros((n, K))
    for k in range(K):
        legs = chance.choice(n, size=min(n, int(chance.integers(2, 4))), replace=False)
        B[legs, k] = -LOT * chance.uniform(0.4, 1.2, size=len(legs))
        B[legs[0], k] = LOT
    Q = lots * LOT * chance.normal(size=n)
    lower, upper = lot_bounds(B, Q, mode, chains=True)
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


def slogdet_volume(problem: PackingProblem, q: Any) -> float:
    """The definition, by numpy."""
    gram = np.outer(q, q) * problem.Sigma / problem.epsilon**2
    return float(np.linalg.slogdet(np.eye(len(q)) + gram)[1])


def inverse_precision(correlation: Any, x: Any) -> Any:
    """R - R D (I + D R D)⁻¹ D R by numpy, which no update led to."""
    scaled = correlation * x
    return correlation - scaled @ np.linalg.solve(np.eye(len(x)) + x[:, None] * scaled, scaled.T)


@pytest.mark.parametrize("rank", [None, 1, 3])
def test_precision_from_scratch_is_the_inverse(rank: int | None) -> None:
    """P equals (R⁻¹ + D²)⁻¹ in the form for singular R, and the pivots add up to the volume; flat legs included."""
    for seed in range(20):
        problem = make(seed, 8, 5, rank=rank)
        volume = volume_arrays(problem.arrays)
        x = volume.position.copy()
        x[seed % 8] = 0.0
        P, row = np.empty((8, 8)), np.empty(8)
        total = refresh_precision(volume.correlation, x, P, row)
        np.testing.assert_allclose(P, inverse_precision(volume.correlation, x), atol=1e-9)
        assert total == pytest.approx(slogdet_volume(problem, x / volume.scale), rel=1e-9)


@given(seeds, st.floats(-9, 1))
@settings(max_examples=50, deadline=None)
def test_precision_keeps_the_digits_of_small_volumes(seed: int, magnitude: float) -> None:
    """Far below the floor the volume is Cholesky's to ten digits: a bound off by more may pass the objective."""
    problem = make(seed, 6, 3)
    volume = volume_arrays(problem.arrays)
    x = 10.0**magnitude * np.random.default_rng(seed).normal(size=6)
    total = refresh_precision(volume.correlation, x, np.empty((6, 6)), np.empty(6))
    work = np.empty((6, 6))
    assert total == pytest.approx(volume_kernel(x, volume.correlation, 1.0, work), rel=1e-10, abs=0.0)


@pytest.mark.parametrize("legs", [0, 1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("rank", [None, 2])
def test_determinant_ratio_is_the_change_of_volume(legs: int, rank: int | None) -> None:
    """The matrix determinant lemma for every written-out size, against two slogdets."""
    chance = np.random.default_rng(legs)
    for seed in range(20):
        problem = make(seed, 7, 3, rank=rank)
        volume = volume_arrays(problem.arrays)
        x = 3.0 * chance.normal(size=7)
        P = np.empty((7, 7))
        refresh_precision(volume.correlation, x, P, np.empty(7))
        moved = x.copy()
        touched = chance.choice(7, size=legs, replace=False)
        moved[touched] = 3.0 * chance.normal(size=legs)
        change = np.zeros(7)
        change[:legs] = moved[touched] ** 2 - x[touched] ** 2
        padded = np.zeros(7, dtype=np.int64)
        padded[:legs] = touched
        ratio = determinant_ratio(P, padded, change, legs, np.empty((7, 7)))
        expected = slogdet_volume(problem, moved / volume.scale) - slogdet_volume(problem, x / volume.scale)
        # 1e-9: what is promised of P.
        assert np.log(ratio) == pytest.approx(expected, abs=1e-9)


@compiled
def wander(correlation: Any, x: Any, P: Any, row: Any, moves: Any, size: Any) -> float:
    """Random moves with the refreshing rule of `accept`; the largest distance from a fresh P, looked at at times."""
    worst = 0.0
    drift = 0.0
    n = x.shape[0]
    fresh = np.empty_like(P)
    for step in range(moves.shape[0]):
        i = moves[step]
        moved = size[step]
        pivot = shift_precision(P, i, moved * moved - x[i] * x[i], row)
        drift = (drift + 1e-15) / min(max(pivot, 1e-300), 1.0)
        x[i] = moved
        if drift > DRIFT_LIMIT:
            refresh_precision(correlation, x, P, row)
            drift = 0.0
        if step % 97 == 0:
            refresh_precision(correlation, x, fresh, row)
            for j in range(n):
                for m in range(n):
                    worst = max(worst, abs(P[j, m] - fresh[j, m]))
    return worst


@pytest.mark.parametrize("rank", [None, 2])
def test_precision_does_not_drift_over_a_million_moves(rank: int | None) -> None:
    """Kept P stays within 1e-9 of a fresh one, also when legs jump between flat and a thousand lots."""
    problem = make(1, 6, 3, rank=rank)
    volume = volume_arrays(problem.arrays)
    chance = np.random.default_rng(2)
    moves = chance.integers(0, 6, 1_000_000)
    size = 10.0 ** chance.uniform(-2, 3, 1_000_000)
    size[chance.random(1_000_000) < 0.2] = 0.0
    x, P, row = volume.position.copy(), np.empty((6, 6)), np.empty(6)
    refresh_precision(volume.correlation, x, P, row)
    assert wander(volume.correlation, x, P, row, moves, size) <= 1e-9
    np.testing.assert_allclose(P, inverse_precision(volume.correlation, x), atol=1e-8)


@pytest.mark.parametrize("mode", ["inside", "free"])
def test_local_search_keeps_its_state(mode: Mode) -> None:
    """At the local optimum, objective, residual and P are those of the multiples, and it is no worse than the start."""
    for seed in range(10):
        problem = make(seed, 9, 12, mode)
        volume, search = volume_arrays(problem.arrays), new_search(12, 9)
        stand_at(volume, problem.arrays, search)
        before = search.state[0]
        progress = np.zeros(4, dtype=np.int64)
        while not is_local_optimum(volume, progress):
            descend_volume(volume, problem.arrays, search, progress, 100)
        assert search.state[0] < before
        kept, value, _ = evaluate(problem.arrays, search.multiples)
        assert kept
        assert search.state[0] == value
        np.testing.assert_array_equal(search.x, problem.residual(search.multiples) * volume.scale)
        np.testing.assert_allclose(search.P, inverse_precision(volume.correlation, search.x), atol=1e-9)
        # One lot of any item, either way, does not help.
        for k in range(12):
            for lots in (-1, 1):
                moved = search.multiples.copy()
                moved[k] += lots
                kept, other, _ = evaluate(problem.arrays, moved)
                if kept and problem.lower[k] <= moved[k] <= problem.upper[k]:
                    assert other >= value
        np.copyto(search.trial, search.multiples)
        assert not accept(volume, problem.arrays, search)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_repair_ends_inside(seed: int) -> None:
    """Whatever the multiples, repaired ones keep the mode and none grows."""
    problem = make(seed, 6, 8)
    multiples = np.random.default_rng(seed).integers(-60, 61, size=8)
    repaired = multiples.copy()
    repair(problem.arrays, repaired)
    assert evaluate(problem.arrays, repaired)[0]
    assert (np.abs(repaired) <= np.abs(multiples)).all()


def least_with_ends(weight: float, least: float, low: float, high: float, slope: float) -> float:
    """`least_of_term`, h at the ends worked out."""
    return least_of_term(weight, least, low, high, slope, marginal(weight, least, low), marginal(weight, least, high))


@given(st.floats(0, 5), st.floats(-20, 20), st.floats(0, 20), st.floats(-4, 4))
@settings(deadline=None)
def test_least_of_term_against_a_grid(weight: float, low: float, width: float, slope: float) -> None:
    """No point of a fine grid is below the minimum, and one is close to it."""
    grid = np.linspace(low, low + width, 4_001)
    least = 0.0 if grid[0] <= 0.0 <= grid[-1] else min(grid[0] ** 2, grid[-1] ** 2)
    values = np.log1p(weight * np.maximum(grid**2 - least, 0.0)) - slope * grid
    found = least_with_ends(weight, least, low, low + width, slope)
    assert found <= values.min() + 1e-9
    # Half a grid step times the steepest slope.
    assert found >= values.min() - (width / 8_000) * (abs(slope) + np.sqrt(weight)) - 1e-9


@given(st.floats(0.01, 5), st.floats(-20, 20), st.floats(0.01, 20), st.floats(-4, 4), st.floats(0, 1), st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_cut_off_a_range_is_beyond_the_limit(
    weight: float, low: float, width: float, slope: float, share: float, from_low: bool
) -> None:
    """On a fine grid nothing between the end that exceeds the limit and the point found is within it."""
    high = low + width
    least = smallest_square(low, high)

    def above(x: float) -> float:
        return marginal(weight, least, x) - slope * x

    grid = np.linspace(low, high, 2_001)
    values = np.array([above(x) for x in grid])
    outside = low if from_low else high
    inside = float(grid[values.argmin()])
    limit = values.min() + share * (above(outside) - values.min())
    if above(outside) <= limit:
        return
    found = first_within(
        weight, least, slope, limit, outside, above(outside) - limit, inside, float(values.min()) - limit
    )
    assert min(outside, inside) <= found <= max(outside, inside)
    cut = (grid < found) if from_low else (grid > found)
    # Rounding of terms of some tens.
    assert (values[cut] > limit - 1e-12).all()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inside", "free"])
@pytest.mark.parametrize("rank", [None, 1, 2])
def test_what_is_cut_from_a_box_is_no_better(mode: Mode, rank: int | None) -> None:
    """All packings of random boxes: those cut off cost the incumbent's value at least, the others what is left's bound.

    With incumbents of all values, not only such as a packing has, so that much is cut.
    """
    cut = 0
    kept_in = 0
    for seed in range(200):
        problem = make(seed, 4, 4, mode, lots=6.0, rank=rank)
        volume, chance = volume_arrays(problem.arrays), np.random.default_rng(seed)
        nodes = new_nodes(4, 4, 4)
        open_root(volume, problem.arrays, nodes, nothing_packed(problem.arrays))
        low = np.maximum(chance.integers(-6, 3, size=4), problem.lower)
        high = np.minimum(np.maximum(low, 0) + chance.integers(0, 4, size=4), problem.upper)
        x_low, x_high = np.maximum(volume.least, -1e3), np.minimum(volume.most, 1e3)
        nodes.low[0], nodes.high[0], nodes.x_low[0], nodes.x_high[0] = low, high, x_low, x_high
        nodes.bound[0] = 0.0
        best = problem.key(np.zeros(4, dtype=np.int64))[0] * chance.uniform(0.3, 1.0)
        bound_node(volume, nodes, 0, best)
        if nodes.bound[0] >= best * (1.0 - 1e-9):
            continue
        for multiples in product(*(range(a, b + 1) for a, b in zip(low, high, strict=True))):
            lots = np.array(multiples)
            kept, value, _ = evaluate(problem.arrays, lots)
            if not kept:
                continue
            x = problem.residual(lots) * volume.scale
            still_in = (nodes.low[0] <= lots).all() and (lots <= nodes.high[0]).all()
            still_in = still_in and (nodes.x_low[0] <= x).all() and (x <= nodes.x_high[0]).all()
            if still_in:
                kept_in += 1
                assert value >= nodes.relaxed[0] * (1 - 1e-9), f"seed {seed}"
            else:
                cut += 1
                assert value >= best * (1 - 2e-9), f"seed {seed}"
    assert cut > 100
    assert kept_in > 100


@pytest.mark.parametrize("price", [1.0, -1.0])
def test_a_cut_never_widens_a_range(price: float) -> None:
    """Of two billion lots, the share that is left for rounding is two lots: the range still ends where it did."""
    problem = make(1, 1, 1, "free")
    volume, nodes = volume_arrays(problem.arrays), new_nodes(1, 1, 4)
    nodes.x_low[0], nodes.x_high[0], nodes.low[0], nodes.high[0] = 0.0, 0.0, -(10**9), 10**9
    nodes.price[0] = price
    shrink(volume, nodes, 0, 0.0, 2e9 - 0.5)
    assert nodes.low[0, 0] >= -(10**9)
    assert nodes.high[0, 0] <= 10**9


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inside", "free"])
@pytest.mark.parametrize("rank", [None, 1, 2])
def test_no_packing_beats_the_bound_of_its_box(mode: Mode, rank: int | None) -> None:
    """Random boxes of residuals and multiples: every packing in them costs at least their bound."""
    checked = 0
    for seed in range(40):
        problem = make(seed, 5, 4, mode, lots=6.0, rank=rank)
        volume, chance = volume_arrays(problem.arrays), np.random.default_rng(seed)
        nodes = new_nodes(4, 5, 4)
        open_root(volume, problem.arrays, nodes, nothing_packed(problem.arrays))
        for _ in range(25):
            low = chance.integers(-6, 4, size=4)
            high = low + chance.integers(0, 4, size=4)
            low, high = np.maximum(low, problem.lower), np.minimum(high, problem.upper)
            x_low, x_high = np.where(chance.random(5) < 0.5, volume.least, -3.0), volume.most.copy()
            x_low, x_high = np.maximum(x_low, volume.least), np.where(chance.random(5) < 0.5, x_high, 6.0)
            nodes.low[0], nodes.high[0], nodes.x_low[0], nodes.x_high[0] = low, high, x_low, x_high
            nodes.bound[0] = 0.0
            bound_node(volume, nodes, 0, 1e9)
            bound = nodes.bound[0]
            for _ in range(60):
                multiples = np.array(
                    [chance.integers(a, b + 1) if a <= b else a for a, b in zip(low, high, strict=True)]
                )
                x = problem.residual(multiples) * volume.scale
                if (low <= high).all() and (x >= x_low).all() and (x <= x_high).all():
                    kept, value, _ = evaluate(problem.arrays, multiples)
                    if kept:
                        checked += 1
                        assert value >= bound * (1 - 1e-9), f"seed {seed}"
    assert checked > 100


@given(
    st.floats(0, 5), st.floats(0, 1), st.floats(-20, 20), st.floats(0.01, 20), st.floats(-4, 4), st.sampled_from([0, 1])
)
@settings(max_examples=300, deadline=None)
def test_parabola_is_below_its_term(
    weight: float, share: float, low: float, width: float, slope: float, held_back: int
) -> None:
    """On a fine grid the parabola nowhere exceeds h(x) - slope · x less its minimum, also with h of a larger box."""
    high = low + width
    smallest = 0.0 if low <= 0.0 <= high else min(low**2, high**2)
    least = smallest * (share if held_back else 1.0)
    lowest = least_with_ends(weight, least, low, high, slope)
    curvature, centre = parabola(weight, least, slope, low, high, lowest)
    grid = np.linspace(low, high, 4_001)
    term = np.log1p(weight * (grid**2 - least)) - slope * grid - lowest
    assert curvature >= 0.0
    assert low <= centre <= high
    # Rounding of terms of some tens.
    assert (curvature * (grid - centre) ** 2 <= term + 1e-9).all()


@pytest.mark.parametrize("mode", ["inside", "free"])
def test_a_walked_box_holds_nothing_better(mode: Mode) -> None:
    """Random boxes closed by the lattice: the incumbent is no worse than the best of all their packings."""
    walked = 0
    for seed in range(60):
        problem = make(seed, 4, 4, mode, lots=6.0, rank=None if seed % 3 else 2)
        volume, chance = volume_arrays(problem.arrays), np.random.default_rng(seed)
        nodes = new_nodes(4, 4, 4)
        best = nothing_packed(problem.arrays)
        open_root(volume, problem.arrays, nodes, best)
        low = np.maximum(chance.integers(-6, 3, size=4), problem.lower)
        high = np.minimum(np.maximum(low, 0) + chance.integers(0, 4, size=4), problem.upper)
        nodes.low[0], nodes.high[0], nodes.x_low[0], nodes.x_high[0] = low, high, volume.least, volume.most
        nodes.x_low[0] = np.maximum(nodes.x_low[0], -1e3)
        nodes.x_high[0] = np.minimum(nodes.x_high[0], 1e3)
        nodes.bound[0] = 0.0
        base = bound_node(volume, nodes, 0, best.key[0])
        if nodes.bound[0] >= best.key[0]:
            continue
        search_ball(volume, problem.arrays, nodes, 0, base, best, 100_000)
        if nodes.bound[0] == np.inf:
            walked += 1
            for multiples in product(*(range(a, b + 1) for a, b in zip(low, high, strict=True))):
                kept, value, _ = evaluate(problem.arrays, np.array(multiples))
                assert not kept or value >= best.key[0] * (1 - 1e-9), f"seed {seed}"
    assert walked >= 30


def test_equal_legs_leave_a_residual_a_grid() -> None:
    """Two items of .6 lots in one asset of 5: what stays is .2, 0.8, .., so the bound of the box rises to that."""
    problem = PackingProblem(
        B=LOT * np.array([[0.6, -0.6], [-0.3, 0.0], [0.0, 0.4]]),
        Q=LOT * np.array([5.0, -50.0, -50.0]),
        lower=np.array([0, -9]),
        upper=np.array([9, 0]),
        Sigma=1e-4 * np.eye(3),
        objective="volume",
        mode="inside",
        epsilon=0.01 * LOT,
    )
    volume, nodes = volume_arrays(problem.arrays), new_nodes(2, 3, 4)
    open_root(volume, problem.arrays, nodes, nothing_packed(problem.arrays))
    assert nodes.x_high[0, 0] <= 5.0 + 1e-6
    np.testing.assert_allclose(nodes.x_low[0, 0], 0.2, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inside", "free"])
def test_proofs_and_bounds_against_enumeration(mode: Mode) -> None:
    """Singular and regular covariances, wide ranges: a proof is right and a bound holds, from any start and budget."""
    proven = 0
    for seed in range(60):
        problem = make(seed, 4, 3, mode, lots=4.0, rank=None if seed % 3 else 2)
        optimum = pack_by_enumeration(problem).objective
        start = np.random.default_rng(seed).integers(-8, 9, size=3)
        for max_nodes in (1, 50, 500, 20_000):
            packing = pack_incrementally(problem, start, max_nodes)
            assert packing.lower_bound <= optimum * (1 + 1e-9), f"seed {seed}"
            assert packing.objective >= optimum * (1 - 1e-9)
            if packing.proven:
                assert packing.objective <= optimum * (1 + 1e-9), f"seed {seed}"
            assert type(packing.proven) is bool
        proven += packing.proven
    # Free residuals change sign, and a bound knows nothing of what whole lots leave until few of them are left.
    assert proven >= (57 if mode == "inside" else 40)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inside", "free"])
def test_a_cost_per_lot_is_honoured(mode: Mode) -> None:
    """Against enumeration: costs that matter change the packing, and costs of zero change no bit."""
    changed = 0
    for seed in range(20):
        free_of_cost = make(seed, 4, 3, mode, lots=4.0)
        start = np.array([1, 0, -1])
        unchanged = pack_incrementally(replace(free_of_cost, cost_per_lot=np.zeros(3)), start)
        assert np.array_equal(unchanged.multiples, pack_incrementally(free_of_cost, start).multiples)
        problem = replace(free_of_cost, cost_per_lot=np.array([0.3, 0.05, 0.6]))
        best = pack_by_enumeration(problem)
        for method in (pack_incrementally, pack_exactly):
            packing = method(problem, start, 200_000)
            assert packing.proven
            assert packing.objective == pytest.approx(best.objective, rel=1e-9)
        changed += not np.array_equal(best.multiples, pack_by_enumeration(free_of_cost).multiples)
    assert changed >= 5


@pytest.mark.parametrize("enough", [0.05, 0.2, 0.5, 2.0])
def test_enough_stops_at_the_gap_it_names(enough: float) -> None:
    """With `enough` the search ends earlier, at most that far above its bound, which holds, and claims no proof."""
    saved = 0
    for seed in range(20):
        problem = make(seed, 6, 6, lots=10.0)
        strict = pack_incrementally(problem, max_nodes=200_000)
        loose = pack_incrementally(problem, max_nodes=200_000, enough=enough)
        assert strict.proven
        assert loose.gap <= enough + 1e-9 * loose.objective
        assert loose.lower_bound <= strict.objective * (1 + 1e-9)
        assert not loose.proven or loose.objective <= strict.objective * (1 + 1e-9)
        saved += strict.effort_nodes - loose.effort_nodes
    assert saved > 0


def test_legs_of_rounding_noise_do_not_end_a_search() -> None:
    """A third leg of 1e-12 to 1e-23 lots is reached after more lots than an integer holds; proofs are enumeration's."""
    for seed in range(320, 370):
        chance = np.random.default_rng(seed)
        factors = 0.005 * chance.normal(size=(4, 8))
        B = np.zeros((4, 4))
        for k in range(4):
            one, two, three = chance.choice(4, 3, replace=False)
            B[one, k] = LOT
            B[two, k] = -LOT * chance.uniform(0.4, 1.2)
            B[three, k] = LOT * chance.choice([-1, 1]) * 10.0 ** -chance.integers(12, 24)
        Q = 3.0 * LOT * chance.normal(size=4)
        lower, upper = lot_bounds(B, Q, "inside", chains=True)
        problem = PackingProblem(
            B=B,
            Q=Q,
            lower=np.maximum(lower, -6),
            upper=np.minimum(upper, 6),
            Sigma=factors @ factors.T,
            objective="volume",
            mode="inside",
            epsilon=500.0,
        )
        packing = pack_incrementally(problem)
        assert packing.proven
        assert packing.objective == pytest.approx(pack_by_enumeration(problem).objective, rel=1e-8)


def test_the_bound_is_close_at_a_live_size() -> None:
    """12 assets, 20 items: the search improves on descent from nothing, and ends near its bound."""
    problem = make(12, 12, 20)
    quick = pack_incrementally(problem, max_nodes=300)
    packing = pack_incrementally(problem, max_nodes=20_000)
    assert packing.objective <= quick.objective
    # A full-rank set of items: what is left is what whole lots leave.
    assert packing.gap < 0.05 * packing.objective_before


def test_live_packing_is_a_function_of_its_arguments() -> None:
    """A packer that lived through every step and one made afresh (a restart) give the same packing, bit for bit."""
    problem = make(5, 12, 20)
    chance = np.random.default_rng(6)
    packer = BookPacker(problem.B, problem.Sigma, "volume", "inside", problem.epsilon)
    Q, start = problem.Q.copy(), np.zeros(20, dtype=np.int64)
    for step in range(40):
        Q = Q.copy()
        Q[chance.integers(12)] += 0.5 * LOT * chance.normal()
        if step == 20:
            packer = BookPacker(problem.B, 1.1 * problem.Sigma, "volume", "inside", problem.epsilon)
        Sigma = problem.Sigma if step < 20 else 1.1 * problem.Sigma
        lower, upper = lot_bounds(problem.B, Q, "inside")
        (lived,) = packer.pack(Q[None, :], start[None, :], 1_500)
        assert isinstance(lived, Packing)
        fresh = pack_incrementally(
            PackingProblem(
                B=problem.B,
                Q=Q,
                lower=lower,
                upper=upper,
                Sigma=Sigma,
                objective="volume",
                mode="inside",
                epsilon=problem.epsilon,
            ),
            start,
            1_500,
        )
        for name in ("multiples", "residual"):
            np.testing.assert_array_equal(getattr(lived, name), getattr(fresh, name))
        for name in ("objective", "objective_before", "lower_bound", "proven", "effort_nodes"):
            assert getattr(lived, name) == getattr(fresh, name)
        start = lived.multiples


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"Q": np.array([np.nan, 0.0])}, "Q must be finite"),
        ({"Q": np.zeros(3)}, "Q must have shape"),
        ({"lower": np.array([1])}, "lower <= 0 <= upper"),
        ({"upper": np.array([1.5])}, "upper must hold integers"),
        ({"upper": np.array([10**9 + 1])}, "lower <= 0 <= upper"),
        ({"lower": np.array([-1, -1])}, "lower must have shape"),
    ],
)
def test_another_position_is_checked(changes: dict[str, Any], named: str) -> None:
    """What changes from step to step is checked at every step."""
    problem = replace(make(1, 2, 1), B=LOT * np.array([[1.0], [-1.0]]))
    arguments: dict[str, Any] = {
        "Q": LOT * np.array([3.0, -2.0]),
        "lower": np.array([-5]),
        "upper": np.array([5]),
    }
    assert problem.at_position(**arguments).Q[1] == -2.0 * LOT
    with pytest.raises(IllPosed, match=named):
        problem.at_position(**(arguments | changes))


@pytest.mark.parametrize("mode", ["inside", "free"])
def test_every_size_of_problem_runs_the_same_kernels(mode: Mode) -> None:
    """No item, one, several, with and without a shared asset: the arrays have one type, so nothing is compiled live."""
    types = set()
    for legs in (
        [],
        [(1, -1, 0)],
        [(1, -1, 0), (0, 0, 1)],
        [(1, -1, 0), (0, 1, -1)],
        [(1, -1, 0), (0, 1, -1), (1, 0, -1)],
    ):
        B = np.array(legs, dtype=np.float64).reshape(-1, 3).T
        Q = np.array([4.0, -3.0, 2.0])
        lower, upper = lot_bounds(B, Q, mode, chains=True)
        problem = PackingProblem(
            B=B, Q=Q, lower=lower, upper=upper, Sigma=np.eye(3), objective="volume", mode=mode, epsilon=1.0
        )
        types.add((typeof(problem.arrays), typeof(volume_arrays(problem.arrays))))
    assert len(types) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 16, 20])
def test_proofs_hold_where_no_exponential_does(seed: int) -> None:
    """Thirty assets of millions of lots have a volume that e cannot be raised to; the proof is still enumeration's."""
    n, K = 30, 9
    chance = np.random.default_rng(seed)
    B = np.zeros((n, K))
    for k in range(K):
        B[chance.choice(n, 8, replace=False), k] = LOT * 1e13 * chance.uniform(-1.0, 1.0, 8)
    problem = PackingProblem(
        B=B,
        Q=LOT * 1e13 * chance.normal(size=n),
        lower=np.full(K, -1),
        upper=np.ones(K, dtype=np.int64),
        Sigma=np.diag(chance.uniform(1e-5, 1e-4, n)) + 1e-5,
        objective="volume",
        mode="free",
        epsilon=1e3,
    )
    best = pack_by_enumeration(problem)
    assert best.objective > 700.0
    packing = pack_incrementally(problem, max_nodes=200_000)
    assert packing.proven
    assert packing.objective == pytest.approx(best.objective, rel=1e-9)
