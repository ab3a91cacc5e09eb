"""Depth-first branch and bound over boxes of multiples, for every objective.

The volume and the determinant of a box are bounded by the least |q_i| that each asset can reach in it, as both are
monotone in every |q_i|; the variance by the tangent plane at a relaxed packing.

References
----------
Land and Doig (1960), An automatic method of solving discrete programming problems.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.objective import VARIANCE, VOLUME, determinant_kernel, volume_kernel
from solver.packing.boxes.tighten import TIGHTEN_PASSES, tighten, tighten_row
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.incumbent import is_hopeless

# Coordinate sweeps of the relaxed variance: enough at the root, where the first packing is rounded from it, and at most
# in a child, which starts where its parent stopped. The bound is valid after any number, and good enough to stop once
# its shortfall is a small share of the variance.
ROOT_SWEEPS = 200
CHILD_SWEEPS = 3
RELAXATION_SHORTFALL = 0.01
# Rounding of the variance where positions cancel, as a share of the squared sum of their standalone risks: some ulp.
VARIANCE_ROUNDING = 1e-15
# Stands for an asset where no leg has to be flat.
ANY = -1
# Variance put on a leg that must be flat, in variances of its asset: any amount gives a bound, as it counts for nothing
# where the leg is flat. More pulls the relaxation closer to that and slows its sweeps down.
STIFFNESS = 10.0


class BoxStack(NamedTuple):
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
def relaxed_variance(arrays: PackingArrays, boxes: BoxStack, b: int, sweeps: int) -> float:
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
def interval_bound(arrays: PackingArrays, boxes: BoxStack, b: int) -> None:
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
def search(arrays: PackingArrays, boxes: BoxStack, depth: int, best: IntArray, max_nodes: int) -> tuple[int, int]:
    """Depth-first branch and bound over the lowest `depth` boxes; returns how many are left and the nodes spent.

    `best` (K,) is replaced by any packing found that precedes it. The box on top is halved across the item whose range
    carries most risk, and the half with the smaller bound comes next. No box on the stack may be a single packing:
    there is nothing to halve, and the stack would grow beyond its end.

    Parameters
    ----------
    arrays : the problem; its `residual` and `factor` are overwritten.
    boxes : the stack, with room for the children of its top box.
    depth : how many boxes it holds.
    best : (K,) multiples, feasible.
    max_nodes : checked between boxes, so one more may be spent.
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
        # The lower half overwrites its parent, the upper half goes on top.
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
            interval_bound(arrays, boxes, b)
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
def copy_box(boxes: BoxStack, source: int, target: int) -> None:
    """Copy one box of the stack over another."""
    copy_multiples(boxes.low[source], boxes.low[target])
    copy_multiples(boxes.high[source], boxes.high[target])
    for k in range(boxes.relaxed.shape[1]):
        boxes.relaxed[target, k] = boxes.relaxed[source, k]
    boxes.value[target] = boxes.value[source]
    boxes.tie[target] = boxes.tie[source]


def root_box(arrays: PackingArrays, flat: int) -> BoxStack:
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
    boxes = BoxStack(
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
    interval_bound(arrays, boxes, 0)
    return boxes
