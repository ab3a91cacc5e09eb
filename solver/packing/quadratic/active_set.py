"""The relaxation of a quadratic packing by a dual active-set method: multiples need not be whole.

    minimise  q'Σq + cost @ |x|   with q = Q - B x,   lower <= x <= upper,   floor <= B x <= ceiling (`inside` only).

The method starts where nothing but the costs is felt and takes in one violated constraint after the other, so every
point on the way gives a bound, and a box that cannot beat the incumbent is known early. A multiple has a convex
piecewise linear price (infinite outside its bounds, bent by the cost at zero), a row of `inside` too; each holds a
multiplier that is at a corner of the price (the constraint is idle) or between two corners (the multiple stands at a
bound or at zero, the row at an edge). Where no row is asked for, `solver.packing.quadratic.principal_pivots` is faster.

References
----------
Goldfarb and Idnani (1983), A numerically stable dual method for solving strictly convex quadratic programs.
Fletcher and Leyffer (1998), Numerical experience with lower bounds for MIQP branch-and-bound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.packing.evaluation import PackingArrays
from solver.packing.quadratic.metric import Frame, Metric
from solver.packing.quadratic.relaxation import DEPENDENT, FEASIBLE, Relaxed


class Active(NamedTuple):
    """Where the dual method stands, to go on from there in a part of the box."""

    J: FloatArray  # (K, K), rows span the directions: first those of the active constraints, then those that are left
    R: FloatArray  # (K, K), upper triangular factor of the active constraints in the first rows of J
    which: IntArray  # (K,), the active constraints, multiples before rows
    edge: FloatArray  # (K,), where each holds its multiple or row
    left: FloatArray  # (K,), the corners between which its multiplier lies
    right: FloatArray  # (K,)
    mu: FloatArray  # (K + n,), the multipliers of all constraints
    is_active: IntArray  # (K + n,)
    number: IntArray  # (1,), how many are active
    value: FloatArray  # (1,), the bound reached


@compiled_borrowing
def corner(low: float, high: float, cost: float, side: float) -> float:
    """The multiplier of an idle multiple: the slope of the cost on the positive or negative `side`, if both are in."""
    if low >= 0.0:
        return cost
    if high <= 0.0:
        return -cost
    return cost * side


@compiled_borrowing
def contradict(arrays: PackingArrays, floor: FloatArray, ceiling: FloatArray, ray: FloatArray) -> bool:
    """Whether the rows, weighted by `ray` (n,), leave no point of the box: a certificate in the sense of Farkas."""
    total = 0.0
    scale = 0.0
    for i in range(ray.shape[0]):
        if ray[i] != 0.0:
            edge = ceiling[i] if ray[i] > 0.0 else floor[i]
            total -= ray[i] * edge
            scale += abs(ray[i] * edge)
    for k in range(arrays.lower.shape[0]):
        pressure = 0.0
        for i in range(ray.shape[0]):
            pressure += ray[i] * arrays.items[k, i]
        least = min(pressure * arrays.lower[k], pressure * arrays.upper[k])
        total += least
        scale += abs(least)
    return total > 1e-12 * scale


@compiled
def no_constraint(items: int, n: int) -> Active:
    """Room for the dual method."""
    square = np.empty((2, items, items))
    edges = np.empty((3, items))
    mu = np.zeros(items + n + 1)
    whole = np.zeros(2 * items + n + 1, dtype=np.int64)
    return Active(
        J=square[0],
        R=square[1],
        which=whole[:items],
        edge=edges[0],
        left=edges[1],
        right=edges[2],
        mu=mu[: items + n],
        is_active=whole[items : 2 * items + n],
        number=whole[2 * items + n :],
        value=mu[items + n :],
    )


@compiled_borrowing
def corners(low: float, high: float, cost: float, edge: float) -> tuple[float, float]:
    """Between which slopes of its price a multiple's multiplier lies while it stands at `edge`: an end, or zero."""
    return (
        -np.inf if edge == low else (cost if edge > 0.0 else -cost),
        np.inf if edge == high else (cost if edge >= 0.0 else -cost),
    )


@compiled_borrowing
def still_holds(arrays: PackingArrays, active: Active) -> bool:
    """Whether the dual method can go on in this box: every multiplier fits it, and what is held stands at an edge."""
    for k in range(arrays.lower.shape[0]):
        low, high, cost = float(arrays.lower[k]), float(arrays.upper[k]), arrays.cost[k]
        side = 1.0 if active.mu[k] > 0.0 else -1.0
        if active.is_active[k] == 0 and cost > 0.0 and active.mu[k] != corner(low, high, cost, side):
            return False
    for a in range(active.number[0]):
        k = active.which[a]
        if k < arrays.lower.shape[0]:
            low, high, edge = float(arrays.lower[k]), float(arrays.upper[k]), active.edge[a]
            if edge < low or edge > high:
                return False
            active.left[a], active.right[a] = corners(low, high, arrays.cost[k], edge)
    return True


@compiled
def relax(
    arrays: PackingArrays, metric: Metric, frame: Frame, relaxed: Relaxed, active: Active, again: bool, gap: float
) -> float:
    """Move `relaxed.point` to the least relaxed objective in the box and fill in multipliers of the rows and `give`.

    `give` becomes how far each multiple moves for a unit of force while the active constraints stay: moving it by x
    costs at least ``x² / (2 give)`` until another constraint comes in or goes out (Driebeck's penalty).

    Parameters
    ----------
    relaxed : its point is near where the end is expected; the signs say on which side of zero.
    active, again : go on from where the last call ended, in a part of its box; where that cannot be, from the start.
    gap : relative to packing nothing, an objective at which to stop.

    Returns
    -------
    The bound reached, relative to packing nothing, up to rounding; infinite where rows and box seem to contradict each
    other. O(K²) for every constraint taken in or dropped.
    """
    pull, floor, ceiling = frame.pull, frame.floor, frame.ceiling
    point, multiplier, give = relaxed.point, relaxed.multiplier, relaxed.give
    items = point.shape[0]
    n = multiplier.shape[0] if arrays.inside else 0
    forms = items + n
    J, R, which, left, right = active.J, active.R, active.which, active.left, active.right
    mu, is_active = active.mu, active.is_active
    d = np.empty(items)
    z = np.empty(items)
    packed = np.empty(n)
    r = np.empty(items)
    count = active.number[0]
    value = active.value[0]
    if not (again and still_holds(arrays, active)):
        count = 0
        value = 0.0
        for f in range(mu.shape[0]):
            mu[f] = 0.0
            is_active[f] = 0
        for k in range(items):
            for j in range(items):
                J[k, j] = metric.root[k, j]
            side = 1.0 if point[k] >= 0.0 else -1.0
            mu[k] = corner(float(arrays.lower[k]), float(arrays.upper[k]), arrays.cost[k], side)
            give[k] = metric.inverse[k, k]
            z[k] = 2.0 * pull[k] + metric.ridge[k] * point[k]
            value += 0.5 * metric.ridge[k] * point[k] * point[k]
            point[k] = 0.0
        for j in range(items):
            part = z[j] - mu[j]
            for k in range(items):
                point[k] += part * metric.inverse[j, k]
        for k in range(items):
            value -= 0.5 * point[k] * (z[k] - mu[k])
    for _ in range(20 * (forms + 1)):
        if value >= gap:
            break
        # The constraint that costs most to reach, as far as the active ones tell (of the rows, as far as none tells).
        worst = 0.0
        excess = 0.0
        entering = -1
        sign = 0.0
        target = 0.0
        for k in range(items):
            if is_active[k] == 1:
                continue
            low = float(arrays.lower[k])
            high = float(arrays.upper[k])
            if low < 0.0 < high and arrays.cost[k] > 0.0:
                if mu[k] > 0.0:
                    low = 0.0
                else:
                    high = 0.0
            over = point[k] - high
            under = low - point[k]
            beyond = max(over, under)
            edge = high if over > under else low
            length = np.sqrt(max(give[k], DEPENDENT * metric.inverse[k, k]))
            if beyond > FEASIBLE * (1.0 + abs(edge)) and beyond > worst * length:
                worst = beyond / length
                excess = beyond
                entering = k
                sign = 1.0 if over > under else -1.0
                target = edge
        for i in range(n):
            packed[i] = 0.0
        for k in range(items if n > 0 else 0):
            legs = arrays.items[k]
            for i in range(n):
                packed[i] += legs[i] * point[k]
        for i in range(n):
            f = items + i
            if is_active[f] == 1 or metric.length[f] == 0.0:
                continue
            over = packed[i] - ceiling[i]
            under = floor[i] - packed[i]
            beyond = max(over, under)
            # Leg tolerances are the problem's share of the largest leg in a row.
            if beyond > arrays.leg_tolerance[i] and beyond > worst * metric.length[f]:
                worst = beyond / metric.length[f]
                excess = beyond
                entering = f
                sign = 1.0 if over > under else -1.0
                target = ceiling[i] if over > under else floor[i]
        if entering < 0:
            break
        start, end = 0.0, sign * np.inf
        if entering < items:
            k = entering
            start, end = corners(float(arrays.lower[k]), float(arrays.upper[k]), arrays.cost[k], target)
            if sign < 0.0:
                start, end = end, start
        settled = False
        while not settled:
            for c in range(items):
                d[c] = -sign * J[c, entering] if entering < items else 0.0
            for k in range(items if entering >= items else 0):
                leg = -sign * arrays.items[k, entering - items]
                if leg != 0.0:
                    for c in range(items):
                        d[c] += leg * J[c, k]
            beyond = 0.0
            for c in range(count, items):
                beyond += d[c] * d[c]
            dependent = beyond <= DEPENDENT * metric.length[entering] ** 2
            for c in range(count - 1, -1, -1):
                total = d[c]
                for j in range(c + 1, count):
                    total -= R[c, j] * r[j]
                r[c] = total / R[c, c]
            step = abs(end - mu[entering])
            drop = -1
            for a in range(count):
                if r[a] > 0.0:
                    reach = (mu[which[a]] - left[a]) / r[a]
                elif r[a] < 0.0:
                    reach = (mu[which[a]] - right[a]) / r[a]
                else:
                    continue
                if reach < step:
                    step = max(reach, 0.0)
                    drop = a
            full = False
            if not dependent and excess <= step * beyond:
                step = excess / beyond
                full = True
                drop = -1
            if step == np.inf:
                # Nothing gives way: the rows' part of this direction is the proof.
                for i in range(n):
                    multiplier[i] = 0.0
                for a in range(count):
                    if which[a] >= items:
                        multiplier[which[a] - items] = -r[a]
                if entering >= items:
                    multiplier[entering - items] = sign
                impossible = contradict(arrays, floor, ceiling, multiplier)
                for i in range(n):
                    multiplier[i] = mu[items + i]
                active.number[0], active.value[0] = count, value
                return np.inf if impossible else value
            for a in range(count):
                mu[which[a]] -= step * r[a]
            mu[entering] += sign * step
            value += step * excess
            if not dependent:
                value -= 0.5 * step * step * beyond
                excess -= step * beyond
                for k in range(items):
                    z[k] = 0.0
                for c in range(count, items):
                    direction = J[c]
                    for k in range(items):
                        z[k] += d[c] * direction[k]
                for k in range(items):
                    point[k] += step * z[k]
            if full:
                # A reflection brings what is new of the constraint into one direction. J'd is at hand: it is z.
                norm = np.sqrt(beyond) if d[count] >= 0.0 else -np.sqrt(beyond)
                d[count] += norm
                first = J[count]
                for k in range(items):
                    z[k] = (z[k] + norm * first[k]) / (norm * d[count])
                for c in range(count, items):
                    direction = J[c]
                    for k in range(items):
                        direction[k] -= d[c] * z[k]
                d[count] = -norm
                for c in range(count + 1):
                    R[c, count] = sign * d[c]
                for k in range(items):
                    give[k] -= J[count, k] * J[count, k]
                which[count] = entering
                active.edge[count] = target
                is_active[entering] = 1
                left[count] = min(start, end)
                right[count] = max(start, end)
                count += 1
                settled = True
                if entering < items:
                    point[entering] = target
            elif drop < 0:
                mu[entering] = end
                settled = True
            else:
                leaving = which[drop]
                mu[leaving] = left[drop] if r[drop] > 0.0 else right[drop]
                is_active[leaving] = 0
                for a in range(drop, count - 1):
                    which[a] = which[a + 1]
                    active.edge[a] = active.edge[a + 1]
                    left[a] = left[a + 1]
                    right[a] = right[a + 1]
                    for c in range(a + 2):
                        R[c, a] = R[c, a + 1]
                count -= 1
                for c in range(drop, count):
                    rotated = np.hypot(R[c, c], R[c + 1, c])
                    cosine = R[c, c] / rotated
                    sine = R[c + 1, c] / rotated
                    for j in range(c, count):
                        one = R[c, j]
                        other = R[c + 1, j]
                        R[c, j] = cosine * one + sine * other
                        R[c + 1, j] = cosine * other - sine * one
                    first = J[c]
                    other_direction = J[c + 1]
                    for k in range(items):
                        one = first[k]
                        other = other_direction[k]
                        first[k] = cosine * one + sine * other
                        other_direction[k] = cosine * other - sine * one
                for k in range(items):
                    give[k] += J[count, k] * J[count, k]
    for i in range(n):
        multiplier[i] = mu[items + i]
    active.number[0], active.value[0] = count, value
    return float(value)
