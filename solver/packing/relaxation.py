"""The relaxation of a quadratic packing: multiples need not be whole; and the local search that rounds it off.

The objective with costs over a box is minimised by an active set of multiples at a bound or at zero (where costs bend)
and Newton steps for the others; the rows of `inside` come in by the method of multipliers.

References
----------
Nocedal and Wright (2006), Numerical Optimization, ch. 16 (active sets) and 17 (augmented Lagrangian).
"""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.packing.lattice import factorise, solve_factored
from solver.packing.problem import PackingArrays, fits

# The root relaxation: rounds of multipliers for the rows of `inside`, Newton steps in each, sweeps before each step.
ROUNDS = 12
NEWTON_STEPS = 100
SWEEPS = 3
# Stiffness of a row, in variances of its asset, and what keeps the Newton system regular, as a share of its diagonal.
STIFFNESS = 8.0
RIDGE = 1e-9


@compiled
def relax(
    arrays: PackingArrays, gram: FloatArray, pull: FloatArray, point: FloatArray, multiplier: FloatArray, rounds: int
) -> None:
    """Move `point` (K,) to the least relaxed objective in the box, and the rows' `multiplier` (n,) with it.

    Coordinate descent finds which multiples end at a bound or at zero, Newton steps place the others; the rows of
    `inside` come in by the method of multipliers. `gram` (K, K) is B'ΣB and `pull` (K,) is B'ΣQ.
    """
    items = point.shape[0]
    n = multiplier.shape[0]
    slope = np.zeros(items)
    packed = np.zeros(n)
    force = np.zeros(n)
    trial = np.zeros(items)
    other = np.zeros(items)
    step = np.zeros(items)
    free = np.zeros(items, dtype=np.int64)
    hessian = np.zeros((items, items))
    factor = np.zeros((items, items))
    for _ in range(rounds if arrays.inside else 1):
        sweep(arrays, gram, pull, point, multiplier, SWEEPS)
        for _ in range(NEWTON_STEPS):
            value = steer(arrays, gram, pull, point, multiplier, packed, force, slope)
            count = 0
            for k in range(items):
                up = slope[k] + (arrays.cost[k] if point[k] >= 0.0 else -arrays.cost[k])
                down = slope[k] + (arrays.cost[k] if point[k] > 0.0 else -arrays.cost[k])
                if (up < 0.0 and point[k] < arrays.upper[k]) or (down > 0.0 and point[k] > arrays.lower[k]):
                    free[count] = k
                    count += 1
            first = 1.0
            blocked = -1
            while count > 0:
                part = hessian[:count, :count]
                for a in range(count):
                    k = free[a]
                    upwards = point[k] > 0.0 or (point[k] == 0.0 and slope[k] < 0.0)
                    step[a] = -slope[k] - (arrays.cost[k] if upwards else -arrays.cost[k])
                    for b in range(count):
                        part[a, b] = 2.0 * gram[k, free[b]]
                    part[a, a] *= 1.0 + RIDGE
                if arrays.inside:
                    for i in range(n):
                        if force[i] != 0.0:
                            stiffness = STIFFNESS * arrays.covariance[i, i]
                            for a in range(count):
                                leg = stiffness * arrays.items[free[a], i]
                                if leg != 0.0:
                                    for b in range(count):
                                        part[a, b] += leg * arrays.items[free[b], i]
                if not factorise(part, factor[:count, :count]):
                    count = 0
                    break
                solve_factored(factor[:count, :count], step[:count])
                # The whole step, cut off at bounds and at zero where costs bend, and how far it goes uncut.
                first = 1.0
                blocked = -1
                kept = 0
                copy_point(point, trial)
                for a in range(count):
                    k = free[a]
                    new = point[k] + step[a]
                    edge = new
                    if arrays.cost[k] > 0.0:
                        upwards = point[k] > 0.0 or (point[k] == 0.0 and slope[k] < 0.0)
                        edge = max(edge, 0.0) if upwards else min(edge, 0.0)
                    edge = min(max(edge, float(arrays.lower[k])), float(arrays.upper[k]))
                    if edge == point[k] and new != point[k]:
                        continue
                    if edge != new and (edge - point[k]) / step[a] < first:
                        first = (edge - point[k]) / step[a]
                        blocked = k
                    trial[k] = edge
                    free[kept] = k
                    step[kept] = step[a]
                    kept += 1
                if kept == count:
                    break
                # Those that would leave through the kink or the bound they stand at stay there.
                count = kept
            if count == 0:
                break
            cut_value = steer(arrays, gram, pull, trial, multiplier, packed, force, slope)
            new_value = cut_value
            if blocked >= 0:
                copy_point(point, other)
                for a in range(count):
                    other[free[a]] += first * step[a]
                other[blocked] = trial[blocked]
                new_value = steer(arrays, gram, pull, other, multiplier, packed, force, slope)
                if new_value < cut_value:
                    copy_point(other, trial)
                else:
                    new_value = cut_value
            length = 0.5
            while new_value >= value and length > 0.05:
                # Rows that came in or went out on the way: shorter steps.
                copy_point(point, trial)
                for a in range(count):
                    trial[free[a]] += length * first * step[a]
                new_value = steer(arrays, gram, pull, trial, multiplier, packed, force, slope)
                length *= 0.5
            if new_value >= value:
                break
            copy_point(trial, point)
        if arrays.inside:
            steer(arrays, gram, pull, point, multiplier, packed, force, slope)
            change = 0.0
            for i in range(n):
                change = max(change, abs(force[i] - multiplier[i]) - 1e-6 * abs(force[i]))
                multiplier[i] = force[i]
            if change <= 0.0:
                break


@compiled
def copy_point(source: FloatArray, target: FloatArray) -> None:
    """Copy (K,) fractional multiples."""
    for k in range(source.shape[0]):
        target[k] = source[k]


@compiled
def steer(
    arrays: PackingArrays,
    gram: FloatArray,
    pull: FloatArray,
    point: FloatArray,
    multiplier: FloatArray,
    packed: FloatArray,
    force: FloatArray,
    slope: FloatArray,
) -> float:
    """The augmented objective at `point` up to a constant; fills in its gradient without costs and the rows' forces."""
    items = point.shape[0]
    value = 0.0
    for i in range(packed.shape[0]):
        packed[i] = 0.0
    for k in range(items):
        total = -pull[k]
        for j in range(items):
            total += gram[k, j] * point[j]
        slope[k] = 2.0 * total
        value += point[k] * (total - pull[k]) + arrays.cost[k] * abs(point[k])
        if arrays.inside and point[k] != 0.0:
            for i in range(packed.shape[0]):
                packed[i] += arrays.items[k, i] * point[k]
    if arrays.inside:
        for i in range(packed.shape[0]):
            stiffness = STIFFNESS * arrays.covariance[i, i]
            force[i] = push(arrays, i, packed[i], multiplier[i], stiffness)
            if force[i] != 0.0:
                value += 0.5 * force[i] * force[i] / stiffness
                for k in range(items):
                    slope[k] += arrays.items[k, i] * force[i]
    return value


@compiled
def sweep(
    arrays: PackingArrays, gram: FloatArray, pull: FloatArray, point: FloatArray, multiplier: FloatArray, sweeps: int
) -> None:
    """Coordinate descent on the augmented objective with costs."""
    items = point.shape[0]
    n = multiplier.shape[0]
    rest = pull.copy()
    packed = np.zeros(n)
    for k in range(items):
        if point[k] != 0.0:
            for j in range(items):
                rest[j] -= gram[k, j] * point[k]
            for i in range(n):
                packed[i] += arrays.items[k, i] * point[k]
    for _ in range(sweeps):
        for k in range(items):
            slope = -2.0 * rest[k]
            curvature = 2.0 * gram[k, k]
            if arrays.inside:
                for i in range(n):
                    leg = arrays.items[k, i]
                    if leg != 0.0:
                        stiffness = STIFFNESS * arrays.covariance[i, i]
                        slope += leg * push(arrays, i, packed[i], multiplier[i], stiffness)
                        curvature += leg * leg * stiffness
            if curvature <= 0.0:
                continue
            new = point[k] - (slope + arrays.cost[k]) / curvature
            if new < 0.0:
                new = min(point[k] - (slope - arrays.cost[k]) / curvature, 0.0)
            new = min(max(new, float(arrays.lower[k])), float(arrays.upper[k]))
            step = new - point[k]
            if step != 0.0:
                point[k] = new
                for j in range(items):
                    rest[j] -= gram[k, j] * step
                if arrays.inside:
                    for i in range(n):
                        packed[i] += arrays.items[k, i] * step


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
                    if gram[j, j] <= 0.0:
                        continue
                    want = rest[j] - a * gram[i, j]
                    target = best[j] + (want - 0.5 * arrays.cost[j]) / gram[j, j]
                    if target < 0.0:
                        target = min(best[j] + (want + 0.5 * arrays.cost[j]) / gram[j, j], 0.0)
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


@compiled
def push(arrays: PackingArrays, i: int, packed: float, multiplier: float, stiffness: float) -> float:
    """The force that the row of asset `i` exerts in the method of multipliers."""
    over = multiplier + stiffness * (packed - max(arrays.position[i], 0.0))
    under = multiplier + stiffness * (packed - min(arrays.position[i], 0.0))
    return float(max(over, 0.0) + min(under, 0.0))


@compiled
def bound_at(
    arrays: PackingArrays,
    gram: FloatArray,
    pull: FloatArray,
    unpacked: float,
    point: FloatArray,
    multiplier: FloatArray,
    slope: FloatArray,
    least: FloatArray,
) -> float:
    """A bound on the objective in the box from any `point` and `multiplier`; see `solver.packing.exact`.

    Fills in the gradient without costs, `slope` (K,), and the least of each t_k before it is normalised, `least` (K,).
    """
    bound = unpacked
    for k in range(point.shape[0]):
        total = -pull[k]
        for j in range(point.shape[0]):
            total += gram[k, j] * point[j]
        slope[k] = 2.0 * total
        bound += point[k] * (total - pull[k]) + arrays.cost[k] * abs(point[k])
    if arrays.inside:
        for i in range(multiplier.shape[0]):
            if multiplier[i] == 0.0:
                continue
            packed = 0.0
            for k in range(point.shape[0]):
                slope[k] += arrays.items[k, i] * multiplier[i]
                packed += arrays.items[k, i] * point[k]
            edge = max(arrays.position[i], 0.0) if multiplier[i] > 0.0 else min(arrays.position[i], 0.0)
            bound += multiplier[i] * (packed - edge)
    for k in range(point.shape[0]):
        at_low = slope[k] * (arrays.lower[k] - point[k]) + arrays.cost[k] * (abs(arrays.lower[k]) - abs(point[k]))
        at_high = slope[k] * (arrays.upper[k] - point[k]) + arrays.cost[k] * (abs(arrays.upper[k]) - abs(point[k]))
        least[k] = min(at_low, at_high)
        if arrays.lower[k] < 0 < arrays.upper[k]:
            least[k] = min(least[k], -slope[k] * point[k] - arrays.cost[k] * abs(point[k]))
        bound += least[k]
    return bound
