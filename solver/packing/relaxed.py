"""Branch and bound over the relaxation: for `inside`, where the rows say more than the distance in any basis.

Each box of packings is tightened by the rows, relaxed, shortened to what can still beat the incumbent, and split where
both halves are expected to lose most. It plunges into one half after the other, and where a plunge ends goes on with
the box of least bound, so that one flat valley does not take the whole budget. A bound from the relaxation is valid
wherever it stopped (see `solver.packing.relaxation.bound_at`).

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
from solver.compiled import compiled
from solver.packing.incumbent import Incumbent, judge, to_beat
from solver.packing.polish import polish
from solver.packing.problem import PackingArrays, copy_multiples
from solver.packing.relaxation import Metric, bound_at, relax, shorten_all
from solver.packing.repair import repair
from solver.packing.tighten import TIGHTEN_PASSES, row_edges, tighten_held, tighten_rows

# Boxes on the stack. Depth-first search adds one a level, and every level takes a whole number from a range; with less
# than half of it taken, a plunge that ended is followed by the box of least bound.
DEPTH = 4_096
MOST_OPEN = 2_048
# Relaxed boxes between two roundings that are repaired and polished.
ROUND_EVERY = 8
# A relaxed multiple this close to whole is whole.
WHOLE = 1e-6


class Boxes(NamedTuple):
    """A stack of boxes still to be searched."""

    low: IntArray  # (DEPTH, K)
    high: IntArray  # (DEPTH, K)
    point: FloatArray  # (DEPTH, K), the relaxed multiples of the box that this one was cut from
    bound: FloatArray  # (DEPTH,), no packing in the box has a smaller objective


def empty_boxes(items: int) -> Boxes:
    """Room for a search."""
    return Boxes(
        low=np.zeros((DEPTH, items), dtype=np.int64),
        high=np.zeros((DEPTH, items), dtype=np.int64),
        point=np.zeros((DEPTH, items)),
        bound=np.zeros(DEPTH),
    )


@compiled
def raise_least(boxes: Boxes, depth: int) -> None:
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


@compiled
def branch(
    arrays: PackingArrays,
    metric: Metric,
    pull: FloatArray,
    unpacked: float,
    boxes: Boxes,
    depth: int,
    incumbent: Incumbent,
    rounding: float,
    max_boxes: int,
) -> tuple[int, int]:
    """Go on with the lowest `depth` boxes; returns how many are left and how many were relaxed.

    The bounds in `arrays` are overwritten: they hold the box at hand. `pull` (K,) is B'ΣQ, `unpacked` the objective of
    the position.
    """
    items = pull.shape[0]
    n = arrays.position.shape[0]
    slope = np.zeros(items)
    least = np.zeros(items)
    give = np.zeros(items)
    multiplier = np.zeros(n)
    trial = np.zeros_like(arrays.lower)
    floor = np.empty(n)
    ceiling = np.empty(n)
    row_edges(arrays, floor, ceiling)
    relaxed = 0
    plunging = False
    while depth > 0 and relaxed < max_boxes and depth < DEPTH - 1:
        if not plunging and depth < MOST_OPEN:
            raise_least(boxes, depth)
        plunging = False
        depth -= 1
        if boxes.bound[depth] >= to_beat(incumbent, rounding):
            continue
        low = boxes.low[depth]
        high = boxes.high[depth]
        if arrays.inside and not tighten_rows(arrays.items, floor, ceiling, low, high, TIGHTEN_PASSES):
            continue
        copy_multiples(low, arrays.lower)
        copy_multiples(high, arrays.upper)
        point = boxes.point[depth]
        relaxed += 1
        enough = to_beat(incumbent, rounding)
        reached = relax(arrays, metric, pull, floor, ceiling, point, multiplier, give, enough - unpacked)
        if reached == np.inf:
            continue
        bound = bound_at(arrays, floor, ceiling, point, multiplier, slope, least)
        bound = max(bound, boxes.bound[depth])
        if bound >= enough:
            continue
        # Every box is rounded; every few the result is repaired and improved too.
        for thorough in range(2 if relaxed % ROUND_EVERY == 1 else 1):
            for k in range(items):
                trial[k] = int(min(max(np.rint(point[k]), float(low[k])), float(high[k])))
            if thorough == 1:
                repair(arrays, trial)
                polish(arrays, metric.gram, pull, trial)
            judge(arrays, incumbent, trial)
        room = to_beat(incumbent, rounding) - bound
        if room <= 0.0 or not shorten_all(arrays, point, slope, least, room, low, high):
            continue
        if arrays.inside and not tighten_held(arrays, floor, ceiling, multiplier, room, low, high):
            continue
        split = -1
        most = -1.0
        for k in range(items):
            if low[k] < high[k]:
                part = min(max(point[k], float(low[k])), float(high[k]))
                below = part - np.floor(part)
                # Where all are whole, the widest range is halved.
                score = 1e-30 * (high[k] - low[k])
                if abs(part - np.rint(part)) > WHOLE:
                    stiff = 0.5 / max(give[k], 1e-12 * metric.inverse[k, k])
                    score = min(stiff * below**2, room) * min(stiff * (1.0 - below) ** 2, room) / room**2
                if score > most:
                    most = score
                    split = k
        if split < 0:
            judge(arrays, incumbent, low)
            continue
        part = min(max(point[split], float(low[split])), float(high[split]))
        cut = int(np.floor(part))
        if abs(part - np.rint(part)) <= WHOLE:
            cut = (low[split] + high[split]) // 2
        cut = min(max(cut, low[split]), high[split] - 1)
        copy_multiples(low, boxes.low[depth + 1])
        copy_multiples(high, boxes.high[depth + 1])
        for k in range(items):
            boxes.point[depth + 1, k] = point[k]
        boxes.bound[depth] = bound
        boxes.bound[depth + 1] = bound
        # The half that is nearer to the relaxed multiple goes on top.
        if part - cut > 0.5:
            boxes.high[depth, split] = cut
            boxes.low[depth + 1, split] = cut + 1
        else:
            boxes.low[depth, split] = cut + 1
            boxes.high[depth + 1, split] = cut
        depth += 2
        plunging = True
    return depth, relaxed
