"""Local search on whole multiples for the quadratic objective."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.packing.evaluation import PackingArrays, fits

# A change of less than this share of the largest variance of one lot is rounding.
NOISE = 1e-12


@compiled
def polish(arrays: PackingArrays, gram: FloatArray, pull: FloatArray, best: IntArray) -> int:
    """Improve `best` (K,), feasible, until no move of one item or of two helps; returns how often it moved.

    Of two items, the first takes one lot either way and the second what suits it then; one item alone takes what suits
    it. For each first step the best second one is taken at once if it helps. Everything comes from B'ΣB and the
    gradient, O(1) a move without `inside`.
    """
    items = best.shape[0]
    rest = pull.copy()
    for k in range(items):
        if best[k] != 0:
            for j in range(items):
                rest[j] -= gram[k, j] * best[k]
    fits(arrays, best)
    residual = arrays.residual.copy()
    noise = 0.0
    per = np.zeros(items)
    for k in range(items):
        noise = max(noise, NOISE * gram[k, k])
        if gram[k, k] > 0.0:
            per[k] = 1.0 / gram[k, k]
    moved = 0
    first_steps = 2 * items + 1
    at = 0
    idle = 0
    while idle < first_steps and moved < 50 * items:
        # The first step is none at all, and then one lot of each item either way.
        i = (at - 1) // 2 if at > 0 else 0
        a = 0 if at == 0 else 1 - 2 * (at % 2)
        at = (at + 1) % first_steps
        idle += 1
        first = best[i] + a
        if first < arrays.lower[i] or first > arrays.upper[i]:
            continue
        start = a * (a * gram[i, i] - 2.0 * rest[i]) + arrays.cost[i] * (abs(first) - abs(best[i]))
        gain = -noise
        move_j = -1
        move_b = 0
        for j in range(items):
            if per[j] == 0.0 or (j == i and a != 0):
                continue
            want = rest[j] - a * gram[i, j]
            target = best[j] + (want - 0.5 * arrays.cost[j]) * per[j]
            if target < 0.0:
                target = min(best[j] + (want + 0.5 * arrays.cost[j]) * per[j], 0.0)
            b = int(np.rint(min(max(target, float(arrays.lower[j])), float(arrays.upper[j])))) - best[j]
            # `inside` the second item may also take a single lot.
            for _ in range(2 if arrays.inside and abs(b) > 1 else 1):
                change = start + b * (b * gram[j, j] - 2.0 * want) + arrays.cost[j] * (abs(best[j] + b) - abs(best[j]))
                if change < gain and keeps_inside(arrays, residual, i, a, j, b):
                    gain = change
                    move_j = j
                    move_b = b
                b = 1 if b > 0 else -1
        if move_j < 0:
            continue
        moved += 1
        idle = 0
        best[i] += a
        best[move_j] += move_b
        for k in range(items):
            rest[k] -= a * gram[i, k] + move_b * gram[move_j, k]
        for r in range(residual.shape[0]):
            residual[r] -= a * arrays.items[i, r] + move_b * arrays.items[move_j, r]
    return moved


@compiled_borrowing
def keeps_inside(arrays: PackingArrays, residual: FloatArray, i: int, a: int, j: int, b: int) -> bool:
    """Whether `a` lots more of item `i` and `b` of `j` keep the mode; `residual` (n,) is that without them."""
    if not arrays.inside:
        return True
    for r in range(residual.shape[0]):
        step = a * arrays.items[i, r] + b * arrays.items[j, r]
        if step != 0.0:
            held = arrays.position[r]
            packed = held - residual[r] + step
            slack = arrays.leg_tolerance[r]
            if packed < min(held, 0.0) - slack or packed > max(held, 0.0) + slack:
                return False
    return True
