"""Local search on whole multiples for the quadratic objective."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline
from solver.packing.evaluation import PackingArrays, fits

# A change of less than this share of the largest variance of one lot is rounding.
NOISE = 1e-12


class Standing(NamedTuple):
    """Where the search stands, and what its moves are judged by."""

    multiples: IntArray  # (K,)
    rest: FloatArray  # (K,), half of the slope of the variance, downwards
    residual: FloatArray  # (n,)
    per: FloatArray  # (K,), 1 / B'ΣB of the item alone, zero for a riskless one


@compiled
def polish(arrays: PackingArrays, gram: FloatArray, pull: FloatArray, best: IntArray) -> int:
    """Improve `best` (K,), feasible, until no move of one item or of two helps; returns how often it moved.

    Of two items, the first takes one lot either way and the second what suits it then; one item alone takes what suits
    it. For each first step the best second one is taken at once if it helps. Everything comes from `gram` (K, K), B'ΣB,
    and from `pull` (K,), B'ΣQ: O(1) a move without `inside`.
    """
    items = best.shape[0]
    rest = pull.copy()
    for k in range(items):
        if best[k] != 0:
            for j in range(items):
                rest[j] -= gram[k, j] * best[k]
    fits(arrays, best)
    standing = Standing(multiples=best, rest=rest, residual=arrays.residual.copy(), per=np.zeros(items))
    noise = 0.0
    for k in range(items):
        noise = max(noise, NOISE * gram[k, k])
        if gram[k, k] > 0.0:
            standing.per[k] = 1.0 / gram[k, k]
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
        if best[i] + a < arrays.lower[i] or best[i] + a > arrays.upper[i]:
            continue
        j, b = best_second_step(arrays, gram, standing, i, a, -noise)
        if j < 0:
            continue
        moved += 1
        idle = 0
        move_pair(arrays, gram, standing, i, a, j, b)
    return moved


@compiled_inline
def best_second_step(
    arrays: PackingArrays, gram: FloatArray, standing: Standing, i: int, a: int, gain: float
) -> tuple[int, int]:
    """The item and the lots of it that lower the objective most after `a` lots of item `i`; (-1, 0) if none does.

    By more than `gain`, which is negative, for both moves together.

    Parameters
    ----------
    arrays : the problem.
    gram : (K, K), B'ΣB.
    standing : where the search stands.
    i, a : the first item and its lots: -1, 0 or 1.
    gain : < 0, the change of the objective to beat.
    """
    best, rest, per = standing.multiples, standing.rest, standing.per
    start = a * (a * gram[i, i] - 2.0 * rest[i]) + arrays.cost[i] * (abs(best[i] + a) - abs(best[i]))
    move_j = -1
    move_b = 0
    for j in range(best.shape[0]):
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
            if change < gain and keeps_inside(arrays, standing.residual, i, a, j, b):
                gain = change
                move_j = j
                move_b = b
            b = 1 if b > 0 else -1
    return move_j, move_b


@compiled_inline
def move_pair(arrays: PackingArrays, gram: FloatArray, standing: Standing, i: int, a: int, j: int, b: int) -> None:
    """Take `a` more lots of item `i` and `b` of `j`.

    Parameters
    ----------
    arrays : the problem.
    gram : (K, K), B'ΣB.
    standing : where the search stands, moved.
    i, a : the first item and its lots.
    j, b : the second item and its lots.
    """
    rest, residual = standing.rest, standing.residual
    standing.multiples[i] += a
    standing.multiples[j] += b
    for k in range(rest.shape[0]):
        rest[k] -= a * gram[i, k] + b * gram[j, k]
    for r in range(residual.shape[0]):
        residual[r] -= a * arrays.items[i, r] + b * arrays.items[j, r]


@compiled_borrowing
def keeps_inside(arrays: PackingArrays, residual: FloatArray, i: int, a: int, j: int, b: int) -> bool:
    """Whether `a` lots more of item `i` and `b` of `j` keep the mode; `residual` (n,) is that without them.

    Parameters
    ----------
    arrays : the problem.
    residual : (n,) numeraire, without the two steps.
    i, a : the first item and its lots.
    j, b : the second item and its lots.
    """
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
