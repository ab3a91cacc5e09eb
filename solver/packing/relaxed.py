"""Branch and bound over the relaxation: for `inside`, where the rows say more than the distance in any basis.

Each box of packings is tightened by the rows, relaxed, shortened to what can still beat the incumbent, and halved where
the relaxed multiple is furthest from whole. A bound from the relaxation is valid wherever it stopped (see
`solver.packing.exact`), so warm starts from the parent are all it takes.

References
----------
Land and Doig (1960), An automatic method of solving discrete programming problems.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.packing.lattice import shorten_all
from solver.packing.problem import PROOF_TOLERANCE, PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.relaxation import bound_at, copy_point, polish, relax
from solver.packing.repair import repair
from solver.packing.tighten import tighten

# Boxes on the stack. Depth-first search adds one a level, and every level takes a whole number from a range.
DEPTH = 1_024
# Passes over the rows in each tightening, and relaxed boxes between two roundings that are repaired and polished.
PASSES = 3
CHILD_ROUNDS = 3
ROUND_EVERY = 8
# A relaxed multiple this close to whole is whole.
WHOLE = 1e-6


class Boxes(NamedTuple):
    """A stack of boxes still to be searched."""

    low: IntArray  # (DEPTH, K)
    high: IntArray  # (DEPTH, K)
    point: FloatArray  # (DEPTH, K), where to start relaxing
    multiplier: FloatArray  # (DEPTH, n)
    bound: FloatArray  # (DEPTH,), no packing in the box has a smaller objective


def one_box(low: IntArray, high: IntArray, point: FloatArray, multiplier: FloatArray, bound: float) -> Boxes:
    """A stack that holds one box, with room for more."""
    boxes = Boxes(
        low=np.zeros((DEPTH, len(low)), dtype=np.int64),
        high=np.zeros((DEPTH, len(low)), dtype=np.int64),
        point=np.zeros((DEPTH, len(low))),
        multiplier=np.zeros((DEPTH, len(multiplier))),
        bound=np.zeros(DEPTH),
    )
    boxes.low[0], boxes.high[0], boxes.point[0], boxes.multiplier[0], boxes.bound[0] = (
        low,
        high,
        point,
        multiplier,
        bound,
    )
    return boxes


@compiled
def branch(
    arrays: PackingArrays,
    gram: FloatArray,
    pull: FloatArray,
    unpacked: float,
    boxes: Boxes,
    depth: int,
    best: IntArray,
    second: FloatArray,
    rounding: float,
    max_boxes: int,
) -> tuple[int, int]:
    """Go on with the lowest `depth` boxes; returns how many are left and how many were relaxed.

    The bounds in `arrays` are overwritten: they hold the box at hand. `unpacked` is the objective of the position,
    `best` (K,) is replaced by any packing that precedes it, `second` (1,) by the value of the next best so far.
    """
    items = best.shape[0]
    slope = np.zeros(items)
    least = np.zeros(items)
    trial = np.zeros_like(best)
    _, value, tie = evaluate(arrays, best)
    relaxed = 0
    while depth > 0 and relaxed < max_boxes and depth < DEPTH - 1:
        depth -= 1
        if boxes.bound[depth] >= value * (1.0 - PROOF_TOLERANCE) + rounding:
            continue
        low = boxes.low[depth]
        high = boxes.high[depth]
        if not tighten(arrays, low, high, PASSES):
            continue
        copy_multiples(low, arrays.lower)
        copy_multiples(high, arrays.upper)
        point = boxes.point[depth]
        for k in range(items):
            point[k] = min(max(point[k], float(low[k])), float(high[k]))
        relax(arrays, gram, pull, point, boxes.multiplier[depth], CHILD_ROUNDS)
        relaxed += 1
        bound = max(
            bound_at(arrays, gram, pull, unpacked, point, boxes.multiplier[depth], slope, least), boxes.bound[depth]
        )
        # Every box is rounded; every few the result is repaired and improved too.
        for thorough in range(2 if relaxed % ROUND_EVERY == 1 else 1):
            for k in range(items):
                trial[k] = int(min(max(np.rint(point[k]), float(low[k])), float(high[k])))
            if thorough == 1:
                repair(arrays, trial)
                polish(arrays, gram, pull, trial)
            kept, new_value, new_tie = evaluate(arrays, trial)
            for k in range(items):
                kept = kept and arrays.lower[k] <= trial[k] <= arrays.upper[k]
            if kept and precedes(new_value, new_tie, trial, value, tie, best):
                copy_multiples(trial, best)
                second[0] = value
                value, tie = new_value, new_tie
            elif kept and new_value < second[0] and precedes(value, tie, best, new_value, new_tie, trial):
                second[0] = new_value
        room = value * (1.0 - PROOF_TOLERANCE) + rounding - bound
        if room <= 0.0 or not shorten_all(arrays, point, slope, least, room, low, high):
            continue
        widest = -1.0
        split = -1
        for k in range(items):
            if low[k] < high[k]:
                part = min(max(point[k], float(low[k])), float(high[k]))
                apart = abs(part - np.rint(part))
                # Where all are whole, the widest range is halved.
                width = 1.0 + apart * np.sqrt(gram[k, k]) if apart > WHOLE else 1e-12 * (high[k] - low[k])
                if width > widest:
                    widest = width
                    split = k
        if split < 0:
            copy_multiples(low, trial)
            kept, new_value, new_tie = evaluate(arrays, trial)
            if kept and precedes(new_value, new_tie, trial, value, tie, best):
                copy_multiples(trial, best)
                second[0] = value
                value, tie = new_value, new_tie
            continue
        cut = int(np.floor(min(max(point[split], float(low[split])), float(high[split]))))
        if widest < 1.0:
            cut = (low[split] + high[split]) // 2
        cut = min(max(cut, low[split]), high[split] - 1)
        copy_multiples(low, boxes.low[depth + 1])
        copy_multiples(high, boxes.high[depth + 1])
        copy_point(point, boxes.point[depth + 1])
        copy_point(boxes.multiplier[depth], boxes.multiplier[depth + 1])
        boxes.bound[depth] = bound
        boxes.bound[depth + 1] = bound
        # The half that is nearer to the relaxed multiple goes on top.
        if point[split] - cut > 0.5:
            boxes.high[depth, split] = cut
            boxes.low[depth + 1, split] = cut + 1
        else:
            boxes.low[depth, split] = cut + 1
            boxes.high[depth + 1, split] = cut
        depth += 2
    return depth, relaxed
