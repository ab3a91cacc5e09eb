"""Local search on whole multiples for the quadratic objective."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.packing.problem import PackingArrays, fits


@compiled
def polish(arrays: PackingArrays, gram: FloatArray, pull: FloatArray, best: IntArray) -> int:
    """Improve `best` (K,), feasible, until no move of one item or of two helps; returns how often it moved.

    One item takes any number of lots; of two, the first takes one lot either way and the second what suits it then.
    Everything comes from B'ΣB and the gradient, O(1) a move without `inside`.
    """
    items = best.shape[0]
    n = arrays.position.shape[0]
    rest = pull.copy()
    for k in range(items):
        for j in range(items):
            rest[j] -= gram[k, j] * best[k]
    fits(arrays, best)
    residual = arrays.residual.copy()
    scale = 0.0
    for k in range(items):
        scale = max(scale, gram[k, k])
    per = np.zeros(items)
    for k in range(items):
        if gram[k, k] > 0.0:
            per[k] = 1.0 / gram[k, k]
    moved = 0
    while moved < 50 * items:
        gain = -1e-12 * scale
        move_i = -1
        move_j = -1
        move_a = 0
        move_b = 0
        for i in range(items):
            for a in (0, -1, 1):
                first = best[i] + a
                if first < arrays.lower[i] or first > arrays.upper[i]:
                    continue
                start = a * (a * gram[i, i] - 2.0 * rest[i]) + arrays.cost[i] * (abs(first) - abs(best[i]))
                for j in range(items):
                    if (j == i) != (a == 0):
                        continue
                    if per[j] == 0.0:
                        continue
                    want = rest[j] - a * gram[i, j]
                    target = best[j] + (want - 0.5 * arrays.cost[j]) * per[j]
                    if target < 0.0:
                        target = min(best[j] + (want + 0.5 * arrays.cost[j]) * per[j], 0.0)
                    target = np.rint(min(max(target, float(arrays.lower[j])), float(arrays.upper[j])))
                    for option in range(2 if arrays.inside else 1):
                        b = int(target) - best[j]
                        if option == 1:
                            if abs(b) <= 1:
                                continue
                            b = 1 if b > 0 else -1
                        change = (
                            start
                            + b * (b * gram[j, j] - 2.0 * want)
                            + arrays.cost[j] * (abs(best[j] + b) - abs(best[j]))
                        )
                        if change >= gain:
                            continue
                        kept = True
                        if arrays.inside:
                            for r in range(n):
                                step = a * arrays.items[i, r] + b * arrays.items[j, r]
                                if step != 0.0:
                                    packed = arrays.position[r] - residual[r] + step
                                    kept = kept and (
                                        min(arrays.position[r], 0.0) - arrays.leg_tolerance[r]
                                        <= packed
                                        <= max(arrays.position[r], 0.0) + arrays.leg_tolerance[r]
                                    )
                        if kept:
                            gain = change
                            move_i, move_j, move_a, move_b = i, j, a, b
        if move_i < 0:
            break
        moved += 1
        best[move_i] += move_a
        best[move_j] += move_b
        for k in range(items):
            rest[k] -= move_a * gram[move_i, k] + move_b * gram[move_j, k]
        for r in range(n):
            residual[r] -= move_a * arrays.items[move_i, r] + move_b * arrays.items[move_j, r]
    return moved
