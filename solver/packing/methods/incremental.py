"""The live method: start from the last packing, repair, improve, then prove as far as the budget goes.

A node is one candidate packing judged or one box of packings bounded. Effort is limited in nodes, never in seconds, so
the same input gives the same packing on every machine; a clock can only end the search early, and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.errors import IllPosed
from solver.objective import VARIANCE, VOLUME, determinant_kernel, volume_kernel
from solver.packing.boxes.repair import repair
from solver.packing.boxes.tighten import TIGHTEN_PASSES, movable_items, tighten, tighten_row
from solver.packing.methods.greedy import line_steps
from solver.packing.problem import (
    PROOF_TOLERANCE,
    Packing,
    PackingArrays,
    PackingProblem,
    copy_multiples,
    evaluate,
    finish,
    precedes,
)
from solver.packing.volume.descent import volume_arrays
from solver.packing.volume.solve import pack_volume

# A few milliseconds for a dozen assets and twenty items.
DEFAULT_MAX_NODES = 5_000
# Nodes between two looks at the clock: some tenths of a millisecond.
BATCH_NODES = 256
# Coordinate sweeps of the relaxed variance: enough at the root, where the first packing is rounded from it, and at most
# in a child, which starts where its parent stopped. The bound is valid after any number, and good enough to stop once
# its shortfall is a small share of the variance.
ROOT_SWEEPS = 200
CHILD_SWEEPS = 3
RELAXATION_SHORTFALL = 0.01
# Rounding of the variance where positions cancel, as a share of the squared sum of their standalone risks: some ulp.
VARIANCE_ROUNDING = 1e-15
# In place of an asset: no leg has to be flat.
ANY = -1
# Variance put on a leg that must be flat, in variances of its asset: any amount gives a bound, as it counts for nothing
# where the leg is flat. More pulls the relaxation closer to that and slows its sweeps down.
STIFFNESS = 10.0


class Boxes(NamedTuple):
    """A stack of boxes that are still to be searched, and what bounding them needs."""

    flat: int  # the asset whose leg must be flat in what is searched for, or ANY
    low: IntArray  # (depth, K)
    high: IntArray  # (depth, K)
    value: FloatArray  # (depth,), no packing in the box has a smaller objective
    tie: FloatArray  # (depth,), nor, at that objective, a smaller tie-break
    relaxed: FloatArray  # (depth, K), where the relaxed variance of the box was left
    item_risk: FloatArray  # (K, n), items @ Sigma
    span: FloatArray  # (K,), sum of the standalone risks of one lot's legs: what is branched on
    rounding: float  # taken off every bound on the variance


@compiled_borrowing
def nearest_residual(arrays: PackingArrays, low: IntArray, high: IntArray) -> None:
    """Put into `arrays.residual` the smallest |q_i| that each asset can reach in the box, one by one."""
    for i in range(arrays.position.shape[0]):
        least = 0.0
        most = 0.0
        for k in range(low.shape[0]):
            leg = arrays.items[k, i]
            least += min(leg * low[k], leg * high[k])
            most += max(leg * low[k], leg * high[k])
        beyond = max(arrays.position[i] - most, least - arrays.position[i])
        arrays.residual[i] = beyond if beyond > arrays.leg_tolerance[i] else 0.0


@compiled_borrowing
def relaxed_variance(arrays: PackingArrays, boxes: Boxes, b: int, sweeps: int) -> float:
    """A variance that no packing in box `b` beats; its `relaxed` is moved towards the best fractional packing.

    The variance is convex, so its tangent plane at any point lies below it, and a plane is smallest at a corner of the
    box. Coordinate descent, at least one sweep, makes that tight: at the fractional optimum the bound is its variance.
    """
    flat = boxes.flat
    stiffness = STIFFNESS * arrays.covariance[flat, flat] if flat != ANY else 0.0
    low = boxes.low[b]
    high = boxes.high[b]
    point = boxes.relaxed[b]
    item_risk = boxes.item_risk
    variance = 0.0
    shortfall = 0.0
    q = arrays.residual
    for i in range(q.shape[0]):
        q[i] = arrays.position[i]
    for k in range(low.shape[0]):
        point[k] = min(max(point[k], float(low[k])), float(high[k]))
        for i in range(q.shape[0]):
            q[i] -= point[k] * arrays.items[k, i]
    for _ in range(sweeps):
        for k in range(low.shape[0]):
            slope = 0.0
            curvature = 0.0
            for i in range(q.shape[0]):
                slope += item_risk[k, i] * q[i]
                curvature += item_risk[k, i] * arrays.items[k, i]
            slope += stiffness * arrays.items[k, flat] * q[flat]
            curvature += stiffness * arrays.items[k, flat] ** 2
            if low[k] < high[k] and curvature > 0.0:
                moved = min(max(point[k] + slope / curvature, float(low[k])), float(high[k]))
                for i in range(q.shape[0]):
                    q[i] -= (moved - point[k]) * arrays.items[k, i]
                point[k] = moved
        variance = stiffness * q[flat] ** 2
        for i in range(q.shape[0]):
            for j in range(q.shape[0]):
                variance += q[i] * arrays.covariance[i, j] * q[j]
        shortfall = 0.0
        for k in range(low.shape[0]):
            slope = 0.0
            for i in range(q.shape[0]):
                slope += item_risk[k, i] * q[i]
            slope += stiffness * arrays.items[k, flat] * q[flat]
            shortfall += 2.0 * max(slope * (high[k] - point[k]), slope * (low[k] - point[k]))
        if shortfall <= RELAXATION_SHORTFALL * variance:
            break
    return max(variance - shortfall - boxes.rounding, 0.0)


@compiled_borrowing
def least_cost(cost: FloatArray, low: IntArray, high: IntArray) -> float:
    """The least that the lots of a packing in the box cost."""
    total = 0.0
    for k in range(low.shape[0]):
        total += cost[k] * max(low[k], -high[k], 0)
    return total


@compiled
def bound_box(arrays: PackingArrays, boxes: Boxes, b: int) -> None:
    """Fill in value and tie of box `b`.

    Volume and determinant are monotone in every |q_i|, so their value with each |q_i| at the smallest it can reach in
    the box bounds them. The determinant is zero once one leg is flat; the variance then bounds its tie-break. The least
    cost of the box comes on top.
    """
    low = boxes.low[b]
    high = boxes.high[b]
    code = arrays.objective_code
    boxes.value[b] = 0.0
    boxes.tie[b] = 0.0
    if code != VARIANCE and boxes.flat == ANY:
        nearest_residual(arrays, low, high)
        if code == VOLUME:
            boxes.value[b] = volume_kernel(arrays.residual, arrays.covariance, arrays.epsilon, arrays.factor)
        else:
            boxes.value[b] = determinant_kernel(arrays.residual, arrays.determinant_of_sigma)
    if code != VOLUME:
        variance = relaxed_variance(arrays, boxes, b, CHILD_SWEEPS)
        if code == VARIANCE:
            boxes.value[b] = variance
        else:
            boxes.tie[b] = variance
    boxes.value[b] += least_cost(arrays.cost, low, high)


@compiled_borrowing
def is_hopeless(bound: float, tie_bound: float, value: float, tie: float) -> bool:
    """Whether nothing under these bounds precedes the key (value, tie) by more than PROOF_TOLERANCE."""
    share = 1.0 - PROOF_TOLERANCE
    return bound > value or (bound >= value * share and tie_bound >= tie * share)


@compiled_borrowing
def search(arrays: PackingArrays, boxes: Boxes, depth: int, best: IntArray, max_nodes: int) -> tuple[int, int]:
    """Depth-first branch and bound over the lowest `depth` boxes; returns how many are left and the nodes spent.

    `best` (K,) is replaced by any packing found that precedes it. The box on top is halved across the item whose range
    carries most risk, and the half with the smaller bound comes next. No box on the stack may be a single packing:
    there is nothing to halve, and the stack would grow beyond its end.
    """
    _, value, tie = evaluate(arrays, best)
    items = best.shape[0]
    nodes = 0
    while depth > 0 and nodes < max_nodes:
        depth -= 1
        if is_hopeless(boxes.value[depth], boxes.tie[depth], value, tie):
            continue
        k = 0
        widest = -1.0
        for j in range(items):
            width = (boxes.high[depth, j] - boxes.low[depth, j]) * boxes.span[j]
            if boxes.high[depth, j] > boxes.low[depth, j] and width > widest:
                k = j
                widest = width
        middle = (boxes.low[depth, k] + boxes.high[depth, k]) // 2
        # The upper half goes one above its parent, whose place the lower half takes.
        copy_box(boxes, depth, depth + 1)
        boxes.low[depth + 1, k] = middle + 1
        boxes.high[depth, k] = middle
        least_value = boxes.value[depth]
        first = depth
        for b in (first, first + 1):
            nodes += 1
            if arrays.inside and not tighten(arrays, boxes.low[b], boxes.high[b], TIGHTEN_PASSES):
                continue
            if boxes.flat != ANY:
                held, slack = arrays.position[boxes.flat], arrays.leg_tolerance[boxes.flat]
                some, _ = tighten_row(arrays.items, boxes.flat, held - slack, held + slack, boxes.low[b], boxes.high[b])
                if not some:
                    continue
            point = True
            for j in range(items):
                point = point and boxes.low[b, j] == boxes.high[b, j]
            if point:
                kept, new_value, new_tie = evaluate(arrays, boxes.low[b])
                if kept and precedes(new_value, new_tie, boxes.low[b], value, tie, best):
                    copy_multiples(boxes.low[b], best)
                    value, tie = new_value, new_tie
                continue
            bound_box(arrays, boxes, b)
            # A part of a box is no better than the box, whatever the relaxation reached this time.
            boxes.value[b] = max(boxes.value[b], least_value)
            if is_hopeless(boxes.value[b], boxes.tie[b], value, tie):
                continue
            if b != depth:
                copy_box(boxes, b, depth)
            depth += 1
        if depth == first + 2 and (boxes.value[first], boxes.tie[first]) < (
            boxes.value[first + 1],
            boxes.tie[first + 1],
        ):
            copy_box(boxes, first, first + 2)
            copy_box(boxes, first + 1, first)
            copy_box(boxes, first + 2, first + 1)
    return depth, nodes


@compiled_borrowing
def copy_box(boxes: Boxes, source: int, target: int) -> None:
    """Copy one box of the stack over another."""
    copy_multiples(boxes.low[source], boxes.low[target])
    copy_multiples(boxes.high[source], boxes.high[target])
    for k in range(boxes.relaxed.shape[1]):
        boxes.relaxed[target, k] = boxes.relaxed[source, k]
    boxes.value[target] = boxes.value[source]
    boxes.tie[target] = boxes.tie[source]


@compiled_borrowing
def within_bounds(arrays: PackingArrays, multiples: IntArray) -> bool:
    """Whether every multiple keeps its bounds."""
    for k in range(multiples.shape[0]):
        if multiples[k] < arrays.lower[k] or multiples[k] > arrays.upper[k]:
            return False
    return True


@compiled
def descend(arrays: PackingArrays, multiples: IntArray, progress: IntArray, max_nodes: int) -> int:
    """Improve `multiples` (K,) towards a local optimum under moves of one and two items; returns the nodes spent.

    One item takes the best of `line_steps`; of two, the first takes one lot either way or is dropped, and the second
    the best of its steps from there (so one item can be exchanged for another). The K one-item moves are repeated until
    none helps before the K (K - 1) ordered pairs are tried, and again after a pair helped.

    `progress` (2,) carries the next neighbourhood and the number found without improvement in a row from call to call;
    the optimum is reached when all K² are.
    """
    items = multiples.shape[0]
    best = multiples.copy()
    _, value, tie = evaluate(arrays, best)
    nodes = 0
    while nodes < max_nodes and progress[1] < items * items:
        neighbourhood = progress[0]
        first = -1
        last = neighbourhood
        if neighbourhood >= items:
            first = (neighbourhood - items) // (items - 1)
            last = (neighbourhood - items) % (items - 1)
            if last >= first:
                last += 1
        improved = False
        for move in range(3 if first >= 0 else 1):
            base = multiples.copy()
            if first >= 0:
                base[first] += (-1, 1, -multiples[first])[move]
                if move == 2 and abs(multiples[first]) <= 1:
                    continue
                if base[first] < arrays.lower[first] or base[first] > arrays.upper[first]:
                    continue
            trial = base.copy()
            for step in line_steps(arrays, base, last, first < 0):
                trial[last] = base[last] + step
                kept, trial_value, trial_tie = evaluate(arrays, trial)
                nodes += 1
                if kept and precedes(trial_value, trial_tie, trial, value, tie, best):
                    copy_multiples(trial, best)
                    value, tie = trial_value, trial_tie
                    improved = True
        # What helped once often helps again: along a valley of two or more items, single lots would take for ever.
        stride = best - multiples
        ahead = improved
        while ahead:
            trial = best + stride
            ahead = within_bounds(arrays, trial)
            if ahead:
                kept, trial_value, trial_tie = evaluate(arrays, trial)
                nodes += 1
                ahead = kept and precedes(trial_value, trial_tie, trial, value, tie, best)
            if ahead:
                copy_multiples(trial, best)
                value, tie = trial_value, trial_tie
                stride *= 2
        copy_multiples(best, multiples)
        if improved:
            progress[1] = 0
            progress[0] = neighbourhood + 1 if first < 0 else 0
        else:
            progress[1] += 1
            progress[0] = neighbourhood + 1
        if progress[0] == items:
            if progress[1] < items:
                progress[0] = 0
            else:
                progress[1] = items
    return nodes


def pack_incrementally(
    problem: PackingProblem,
    start: IntArray | None = None,
    max_nodes: int = DEFAULT_MAX_NODES,
    should_stop: Callable[[], bool] | None = None,
    enough: float = 0.0,
) -> Packing:
    """Improve the last multiples to a local optimum, then prove it or say how far from proven it is.

    1. Presolve: bounds are tightened to what the mode leaves, items that cannot move are dropped.
    2. `start` is clipped to them, repaired to feasibility, and improved until no move of one or two items helps. Unless
       that is proven by then, the same from the fractional packing of least variance, rounded: a search that starts
       from nothing packed ends in worse optima whatever the objective.
    3. What is left of `max_nodes` goes to a depth-first branch and bound.

    For `volume` without a cost per lot see `solver.packing.volume.solve.solve`: other moves, other bounds, best first,
    and the second start is the rounded point of the root's linear programme. Its bounds and moves know no costs, so
    `volume` with costs goes the general way, where the bound is weaker.

    Never worse than packing nothing or, where `start` is feasible, than `start`. Deterministic unless `should_stop`
    ends it. Between methods the tie-break can differ: what is within PROOF_TOLERANCE of the best is not searched for
    fewer lots.

    Parameters
    ----------
    start : (K,) integer multiples, feasible or not; None, or nothing packed, is no start of its own.
    max_nodes : >= 1; checked between neighbourhoods, so some dozens more may go. Repairing is not held back by it.
    should_stop : asked before every BATCH_NODES nodes; True ends the search with the best so far.
    enough : >= 0, in the objective's units; `volume` without costs stops at a gap of it, the others do not read it.
        What is `proven` is not loosened by that.

    Raises
    ------
    IllPosed : `start` of another shape or not of integers, max_nodes < 1.
    """
    items = problem.B.shape[1]
    start = problem.checked_start(start, max_nodes)
    if not enough >= 0.0:
        raise IllPosed(f"enough must be >= 0, got {enough}")

    if problem.objective == "volume" and not problem.arrays.cost.any():
        volume = volume_arrays(problem.arrays)
        return pack_volume(problem, volume, start, max_nodes, should_stop, enough)
    movable, arrays = movable_items(problem)
    if not movable.size:
        return finish(problem, np.zeros_like(problem.lower), lower_bound=0.0, proven=True, effort_nodes=1)

    boxes = root_box(arrays, ANY)
    best = np.zeros(len(movable), dtype=np.int64)
    nodes = 1
    stopped = False
    starts = [
        np.clip(start[movable], arrays.lower, arrays.upper).astype(np.int64),
        np.rint(boxes.relaxed[0]).astype(np.int64),
    ]
    if not starts[0].any():
        del starts[0]
    for multiples in starts:
        nodes += repair(arrays, multiples)
        progress = np.zeros(2, dtype=np.int64)
        while not stopped and nodes < max_nodes and progress[1] < len(movable) ** 2:
            stopped = should_stop is not None and should_stop()
            if not stopped:
                nodes += descend(arrays, multiples, progress, min(BATCH_NODES, max_nodes - nodes))
        _, value, tie = evaluate(arrays, best)
        _, new_value, new_tie = evaluate(arrays, multiples)
        if precedes(new_value, new_tie, multiples, value, tie, best):
            best = multiples
            value, tie = new_value, new_tie
        if is_hopeless(boxes.value[0], boxes.tie[0], value, tie):
            break
    depth = 0 if is_hopeless(boxes.value[0], boxes.tie[0], value, tie) else 1
    while not stopped and nodes < max_nodes and depth:
        stopped = should_stop is not None and should_stop()
        if not stopped:
            depth, spent = search(arrays, boxes, depth, best, min(BATCH_NODES, max_nodes - nodes))
            nodes += spent

    _, value, tie = evaluate(arrays, best)
    proven = all(is_hopeless(boxes.value[b], boxes.tie[b], value, tie) for b in range(depth))
    full = np.zeros(items, dtype=np.int64)
    full[movable] = best
    return finish(
        problem,
        full,
        lower_bound=float(np.min(boxes.value[:depth], initial=value)),
        proven=proven,
        effort_nodes=nodes,
        stopped_by_clock=stopped,
    )


def root_box(arrays: PackingArrays, flat: int) -> Boxes:
    """A stack that holds the whole problem as its one box, bounded, with room for the deepest search.

    With an asset `flat` it is the problem of the packings that leave the asset flat: for `determinant`, which is zero
    then, the one of least cost and then of least variance.

    Halving an item's range of w multiples takes log2(w) levels, each leaves one box behind, and two more are used for
    the children and one to swap them.
    """
    items = len(arrays.lower)
    levels = sum(int(width).bit_length() for width in (arrays.upper - arrays.lower).tolist())
    room = levels + 4
    volatility = np.sqrt(np.diag(arrays.covariance))
    boxes = Boxes(
        flat=flat,
        low=np.empty((room, items), dtype=np.int64),
        high=np.empty((room, items), dtype=np.int64),
        value=np.empty(room),
        tie=np.empty(room),
        relaxed=np.zeros((room, items)),
        item_risk=np.ascontiguousarray(arrays.items @ arrays.covariance),
        span=np.abs(arrays.items) @ volatility,
        rounding=VARIANCE_ROUNDING
        * (1.0 if flat == ANY else 1.0 + STIFFNESS)
        * float(np.abs(arrays.position) @ volatility) ** 2,
    )
    boxes.low[0] = arrays.lower
    boxes.high[0] = arrays.upper
    relaxed_variance(arrays, boxes, 0, ROOT_SWEEPS)
    bound_box(arrays, boxes, 0)
    return boxes
