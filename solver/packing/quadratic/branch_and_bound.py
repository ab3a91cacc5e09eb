"""Branch and bound over the relaxation: each box is bounded, cut, searched in a reduced basis, and split.

A box of packings is tightened by the rows, relaxed, and cut to what can still beat the incumbent. A ball around the
relaxed point then holds every packing of the box that is better (`solver.packing.quadratic.ball`); it is enumerated in
a reduced lattice basis as long as that takes few nodes. A box that holds more is split across the item whose two halves
are expected to gain most: in smaller boxes bounds, costs and rows say more, and the ball shrinks. The search plunges
into one half after the other. Where a plunge ends, the box of least bound comes next, so that one flat valley does not
take the whole budget. A bound from the relaxation is valid wherever that stopped (`bound_at`).

References
----------
Land and Doig (1960), An automatic method of solving discrete programming problems.
Fletcher and Leyffer (1998), Numerical experience with lower bounds for MIQP branch-and-bound.
Linderoth and Savelsbergh (1999), A computational study of search strategies for mixed integer programming.
Achterberg, Koch and Martin (2005), Branching rules revisited (the product of both sides' gains).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline
from solver.packing.boxes.repair import repair
from solver.packing.boxes.tighten import TIGHTEN_PASSES, tighten_held, tighten_rows
from solver.packing.evaluation import PackingArrays, copy_multiples
from solver.packing.incumbent import Incumbent, judge, to_beat
from solver.packing.quadratic.active_set import Active, no_constraint, relax
from solver.packing.quadratic.ball import ball, least_open, search_ball
from solver.packing.quadratic.metric import Frame, Metric
from solver.packing.quadratic.polish import polish
from solver.packing.quadratic.principal_pivots import Tableau, empty_tableau, relax_without_rows
from solver.packing.quadratic.relaxation import Relaxed, bound_at, nothing_relaxed, shorten_all

# Boxes on the stack. Depth-first search adds one a level, and every level takes a whole number from a range; with less
# than half of it taken, a plunge that ended is followed by the box of least bound.
DEPTH = 4_096
MOST_OPEN = 2_048
# What a relaxed box counts for.
RELAXED_NODES = 200
# A box is relaxed again if its bound and the rows left no more than this share of its lots.
SHRUNK = 0.7
# The relaxation is repeated when its ridge costs more than this share of the gap.
RIDGE_SHARE = 1e-4
# Relaxed boxes between two roundings that are repaired and polished.
ROUND_EVERY = 8
# A relaxed multiple this close to whole is whole.
WHOLE = 1e-6


class OpenNodes(NamedTuple):
    """The open nodes: a stack of boxes that are still to be searched."""

    low: IntArray  # (DEPTH, K)
    high: IntArray  # (DEPTH, K)
    point: FloatArray  # (DEPTH, K), the relaxed multiples of the box that this one was cut from
    bound: FloatArray  # (DEPTH,), no packing in the box has a smaller objective


@compiled
def no_open_nodes(items: int, depth: int) -> OpenNodes:
    """Room for a search."""
    return OpenNodes(
        low=np.empty((depth, items), dtype=np.int64),
        high=np.empty((depth, items), dtype=np.int64),
        point=np.empty((depth, items)),
        bound=np.empty(depth),
    )


@compiled_borrowing
def raise_least(boxes: OpenNodes, depth: int) -> None:
    """Exchange the highest of the lowest `depth` boxes with the one of least bound."""
    top = depth - 1
    least = top
    for b in range(depth):
        if boxes.bound[b] < boxes.bound[least]:
            least = b
    if least == top:
        return
    boxes.bound[least], boxes.bound[top] = boxes.bound[top], boxes.bound[least]
    for k in range(boxes.low.shape[1]):
        boxes.low[least, k], boxes.low[top, k] = boxes.low[top, k], boxes.low[least, k]
        boxes.high[least, k], boxes.high[top, k] = boxes.high[top, k], boxes.high[least, k]
        boxes.point[least, k], boxes.point[top, k] = boxes.point[top, k], boxes.point[least, k]


@compiled_borrowing
def relaxation_bound(
    arrays: PackingArrays,
    metric: Metric,
    frame: Frame,
    relaxed: Relaxed,
    active: Active,
    tableau: Tableau,
    again: bool,
    enough: float,
) -> float:
    """Relax the box in `arrays` from `relaxed.point` and return its bound; infinite where the rows leave nothing of it.

    With rows, once more from the start where the ridge costs a share of what is missing to `enough` that counts.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    metric, frame : of the items and the covariance, and of the position.
    relaxed : its point (K,) is where to begin; filled in.
    active, tableau : room for the method with rows and for the one without.
    again : whether the box is a part of the one before, so that the active set may be kept.
    enough : an objective at which a bound is high enough.
    """
    if not arrays.inside:
        relax_without_rows(arrays, metric, frame, relaxed, tableau)
        return bound_at(arrays, frame, relaxed)
    base = -np.inf
    for attempt in range(2):
        again = again and attempt == 0
        reached = frame.unpacked + relax(arrays, metric, frame, relaxed, active, again, enough - frame.unpacked)
        if reached == np.inf:
            return np.inf
        base = bound_at(arrays, frame, relaxed)
        if reached - base <= RIDGE_SHARE * (enough - base):
            break
    return base


@compiled_inline
def load_box(boxes: OpenNodes, b: int, arrays: PackingArrays, relaxed: Relaxed) -> None:
    """Make box `b` the bounds of `arrays`, and start its relaxation where that of its parent ended."""
    copy_multiples(boxes.low[b], arrays.lower)
    copy_multiples(boxes.high[b], arrays.upper)
    for k in range(relaxed.point.shape[0]):
        relaxed.point[k] = boxes.point[b, k]


@compiled_inline
def cut_box(arrays: PackingArrays, frame: Frame, relaxed: Relaxed, room: float, low: IntArray, high: IntArray) -> bool:
    """Shrink the box (K,) to what can beat the incumbent by `room` over its relaxation; False if nothing can.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    frame : of the problem.
    relaxed : where the relaxation of the box ended.
    room : the gap between incumbent and relaxation.
    low, high : (K,) the box, shrunk in place.
    """
    if room <= 0.0 or not shorten_all(arrays, relaxed.point, relaxed.slope, relaxed.least, room, low, high):
        return False
    return not arrays.inside or tighten_held(arrays, frame.floor, frame.ceiling, relaxed.multiplier, room, low, high)


@compiled_inline
def is_much_smaller(arrays: PackingArrays, low: IntArray, high: IntArray) -> bool:
    """Whether the box (K,) has less than SHRUNK of the lots of the one in `arrays`."""
    width = 0
    left = 0
    for k in range(low.shape[0]):
        width += arrays.upper[k] - arrays.lower[k]
        left += high[k] - low[k]
    return left < SHRUNK * width


@compiled_inline
def branching_item(metric: Metric, relaxed: Relaxed, room: float, low: IntArray, high: IntArray) -> int:
    """The item whose two halves are expected to gain most, by the product rule; where all are whole, the widest.

    Parameters
    ----------
    metric : of the items and the covariance.
    relaxed : where the relaxation of the box ended.
    room : > 0, the gap between incumbent and relaxation.
    low, high : (K,) the box; some item has a choice.
    """
    split = -1
    most = -1.0
    for k in range(low.shape[0]):
        if low[k] < high[k]:
            part = min(max(relaxed.point[k], float(low[k])), float(high[k]))
            below = part - np.floor(part)
            # Where all are whole, the widest range is halved.
            score = 1e-30 * (high[k] - low[k])
            if abs(part - np.rint(part)) > WHOLE:
                stiff = 0.5 / max(relaxed.give[k], 1e-12 * metric.inverse[k, k])
                score = min(stiff * below**2, room) * min(stiff * (1.0 - below) ** 2, room) / room**2
            if score > most:
                most = score
                split = k
    return split


@compiled_inline
def split_box(boxes: OpenNodes, b: int, k: int, relaxed: Relaxed) -> None:
    """Cut box `b` in two across item `k`, below and above its relaxed multiple; the second half is put on top."""
    low, high = boxes.low[b], boxes.high[b]
    part = min(max(relaxed.point[k], float(low[k])), float(high[k]))
    cut = int(np.floor(part))
    if abs(part - np.rint(part)) <= WHOLE:
        cut = (low[k] + high[k]) // 2
    cut = min(max(cut, low[k]), high[k] - 1)
    copy_multiples(low, boxes.low[b + 1])
    copy_multiples(high, boxes.high[b + 1])
    for j in range(low.shape[0]):
        boxes.point[b, j] = relaxed.point[j]
        boxes.point[b + 1, j] = relaxed.point[j]
    boxes.bound[b + 1] = boxes.bound[b]
    # The half that is nearer to the relaxed multiple goes on top.
    if part - cut > 0.5:
        boxes.high[b, k] = cut
        boxes.low[b + 1, k] = cut + 1
    else:
        boxes.low[b, k] = cut + 1
        boxes.high[b + 1, k] = cut


@compiled
def branch(
    arrays: PackingArrays,
    metric: Metric,
    frame: Frame,
    boxes: OpenNodes,
    depth: int,
    incumbent: Incumbent,
    ball_nodes: int,
    max_nodes: int,
) -> tuple[int, int]:
    """Search the lowest `depth` boxes further; returns how many are left and the nodes spent.

    Parameters
    ----------
    arrays : its bounds are overwritten: they hold the box at hand.
    metric, frame : of the items and the covariance, and of the position.
    boxes, depth : the stack of boxes, and how many it holds.
    incumbent : replaced by what precedes it.
    ball_nodes : that go into the ball of one box, at most.
    max_nodes : checked between boxes.
    """
    items = frame.pull.shape[0]
    n = arrays.position.shape[0]
    relaxed = nothing_relaxed(items, n)
    # Only one of the two is used.
    active = no_constraint(items if arrays.inside else 0, n)
    tableau = empty_tableau(0 if arrays.inside else items)
    trial = np.zeros_like(arrays.lower)
    nodes = 0
    count = 0
    plunging = False
    while depth > 0 and nodes < max_nodes and depth < boxes.bound.shape[0] - 1:
        if not plunging and depth < MOST_OPEN:
            raise_least(boxes, depth)
        again = plunging
        plunging = False
        depth -= 1
        if boxes.bound[depth] >= to_beat(incumbent, frame.rounding):
            continue
        low = boxes.low[depth]
        high = boxes.high[depth]
        if arrays.inside and not tighten_rows(arrays.items, frame.floor, frame.ceiling, low, high, TIGHTEN_PASSES):
            continue
        load_box(boxes, depth, arrays, relaxed)
        nodes += RELAXED_NODES
        count += 1
        base = relaxation_bound(
            arrays, metric, frame, relaxed, active, tableau, again, to_beat(incumbent, frame.rounding)
        )
        boxes.bound[depth] = max(boxes.bound[depth], base)
        if boxes.bound[depth] >= to_beat(incumbent, frame.rounding):
            continue
        # Every box is rounded; every few the result is repaired and improved too.
        for k in range(items):
            trial[k] = int(min(max(np.rint(relaxed.point[k]), float(low[k])), float(high[k])))
        judge(arrays, incumbent, trial)
        # Over its own bound: its parent's may be higher, but says nothing of single multiples.
        room = to_beat(incumbent, frame.rounding) - base
        if not cut_box(arrays, frame, relaxed, room, low, high):
            continue
        if arrays.inside and is_much_smaller(arrays, low, high):
            # Worth another relaxation at once.
            for k in range(items):
                boxes.point[depth, k] = relaxed.point[k]
            depth += 1
            plunging = True
            continue
        copy_multiples(low, arrays.lower)
        copy_multiples(high, arrays.upper)
        ok, lattice = ball(arrays, metric.gram, frame, relaxed, room)
        if ok:
            nodes += search_ball(arrays, metric.gram, frame, relaxed, lattice, incumbent, base, ball_nodes)
            boxes.bound[depth] = max(boxes.bound[depth], base + least_open(lattice))
        if boxes.bound[depth] >= to_beat(incumbent, frame.rounding):
            continue
        if count % ROUND_EVERY == 1:
            repair(arrays, trial)
            polish(arrays, metric.gram, frame.pull, trial)
            judge(arrays, incumbent, trial)
        split_box(boxes, depth, branching_item(metric, relaxed, room, low, high), relaxed)
        depth += 2
        plunging = True
    return depth, nodes
