"""The relaxation of a quadratic packing: multiples need not be whole.

    minimise  q'Σq + cost @ |x|   with q = Q - B x,   lower <= x <= upper,   floor <= B x <= ceiling (`inside` only).

Solved by a dual active-set method: it starts where nothing but the costs is felt and takes in one violated constraint
after the other, so every point on the way gives a bound, and a box that cannot beat the incumbent is known early. A
multiple has a convex piecewise linear price (infinite outside its bounds, bent by the cost at zero), a row of `inside`
too; each holds a multiplier that is at a corner of the price (the constraint is idle) or between two corners (the
multiple stands at a bound or at zero, the row at an edge). Where no row is asked for,
`solver.packing.quadratic.principal_pivots` is there sooner.

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
from solver.packing.boxes.tighten import round_edges, row_edges
from solver.packing.problem import PackingArrays

# What keeps the Hessian regular where items are combinations of each other, as a share of its diagonal. It pulls
# towards where the relaxation starts, so that it fades when started again from where it ended.
RIDGE = 1e-9
# A constraint is violated beyond this share of a lot (or of the largest leg in the row), plus as much of its value.
FEASIBLE = 1e-9
# A direction with less than this share of its own length outside the active constraints is a combination of them.
DEPENDENT = 1e-12
# Rounding of a bound, as a share of the squared sum of the standalone risks of the positions: some ulp.
ROUNDING = 1e-15
# A row's multiplier whose rounding is this many times that of a bound has no digits left: its row cannot be changed by
# the multiples at hand, or is a combination of others.
MOST_ROUNDING = 1e5
# What ranges are shortened by is taken as this much less, in lots: far above rounding, far below a lot.
SLACK = 1e-6


class Metric(NamedTuple):
    """What the relaxation needs of Sigma and the items."""

    gram: FloatArray  # (K, K), B'ΣB
    ridge: FloatArray  # (K,), on the diagonal of the Hessian
    inverse: FloatArray  # (K, K), of the Hessian 2 B'ΣB and its ridge
    root: FloatArray  # (K, K), root' root = inverse
    length: FloatArray  # (K + n,), of the multiples and the rows in the norm of the inverse; zero for an empty row


class Frame(NamedTuple):
    """What all boxes of one problem share."""

    pull: FloatArray  # (K,), B'ΣQ
    floor: FloatArray  # (n,), the least that may be packed of each asset; read for `inside` only
    ceiling: FloatArray  # (n,), and the most
    unpacked: float  # the variance of the position
    rounding: float  # of a bound


class Relaxed(NamedTuple):
    """Where the relaxation of a box ended, and what its bound is made of."""

    point: FloatArray  # (K,)
    slope: FloatArray  # (K,), gradient at the point of everything but the cost
    least: FloatArray  # (K,), least of each t_k on the box before it is normalised
    multiplier: FloatArray  # (n,), of the rows
    give: FloatArray  # (K,), see `relax`
    residual: FloatArray  # (n,), at the point
    force: FloatArray  # (n,), gradient by the residual of everything but the cost


@compiled
def nothing_relaxed(items: int, n: int) -> Relaxed:
    """Room for a point, which starts at zero, and for what follows from it."""
    # One array for all of it: each that is made costs some 40 ns.
    multiples = np.zeros((4, items))
    assets = np.zeros((3, n))
    return Relaxed(
        point=multiples[0],
        slope=multiples[1],
        least=multiples[2],
        give=multiples[3],
        multiplier=assets[0],
        residual=assets[1],
        force=assets[2],
    )


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


def metric_of(B: FloatArray, Sigma: FloatArray) -> Metric:
    """The metric of items B (n, K) under the covariance Sigma (n, n). O(K³ + n² K)."""
    gram = B.T @ Sigma @ B
    gram = np.ascontiguousarray(0.5 * (gram + gram.T))
    diagonal = 2.0 * np.diag(gram)
    largest = float(np.max(diagonal, initial=0.0))
    ridge = RIDGE * np.maximum(diagonal, RIDGE * largest if largest > 0.0 else 1.0)
    hessian = 2.0 * gram + np.diag(ridge)
    try:
        root = np.ascontiguousarray(np.linalg.inv(np.linalg.cholesky(hessian)))
    except np.linalg.LinAlgError:
        # Rounding took an eigenvalue of a singular B'ΣB further below zero than the ridge lifts it.
        values, vectors = np.linalg.eigh(hessian)
        root = np.ascontiguousarray((vectors / np.sqrt(np.maximum(values, RIDGE * values[-1]))).T)
    inverse = np.ascontiguousarray(root.T @ root)
    length = np.concatenate([np.sqrt(np.diag(inverse)), np.sqrt(np.sum((root @ B.T) ** 2, axis=0))])
    return Metric(gram=gram, ridge=ridge, inverse=inverse, root=root, length=length)


def in_one(B: FloatArray, Sigma: FloatArray, metric: Metric) -> FloatArray:
    """Items, covariance and metric in one array, that `taken_apart` finds them in again.

    Each array that is handed to a kernel from Python costs some 60 ns, and twice that in a tuple.
    """
    parts = (B.T, Sigma, metric.gram, metric.ridge, metric.inverse, metric.root, metric.length)
    return np.concatenate([part.ravel() for part in parts])


@compiled
def taken_apart(prepared: FloatArray, n: int, items: int) -> tuple[FloatArray, FloatArray, Metric]:
    """(items (K, n), covariance (n, n), metric) as views of what `in_one` made."""
    square = items * items
    legs, rest = prepared[: items * n].reshape(items, n), prepared[items * n :]
    covariance, rest = rest[: n * n].reshape(n, n), rest[n * n :]
    gram, rest = rest[:square].reshape(items, items), rest[square:]
    ridge, rest = rest[:items], rest[items:]
    inverse, rest = rest[:square].reshape(items, items), rest[square:]
    root, length = rest[:square].reshape(items, items), rest[square:]
    return legs, covariance, Metric(gram=gram, ridge=ridge, inverse=inverse, root=root, length=length)


@compiled
def frame_of(arrays: PackingArrays) -> Frame:
    """The frame of a problem. O(n² + n K)."""
    n = arrays.position.shape[0]
    pull = np.zeros(arrays.lower.shape[0])
    floor = np.empty(n)
    ceiling = np.empty(n)
    if arrays.inside:
        row_edges(arrays, floor, ceiling)
        round_edges(arrays, floor, ceiling)
    unpacked = 0.0
    risks = 0.0
    force = np.empty(n)
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += arrays.covariance[i, j] * arrays.position[j]
        force[i] = total
        unpacked += total * arrays.position[i]
        risks += abs(arrays.position[i]) * np.sqrt(max(arrays.covariance[i, i], 0.0))
    for k in range(pull.shape[0]):
        for i in range(n):
            pull[k] += arrays.items[k, i] * force[i]
    return Frame(pull=pull, floor=floor, ceiling=ceiling, unpacked=unpacked, rounding=ROUNDING * risks * risks)


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


@compiled_borrowing
def bound_at(arrays: PackingArrays, frame: Frame, relaxed: Relaxed) -> float:
    """A bound on the objective in the box from any point and multipliers; see `solver.packing.methods.exact`.

    Fills in `slope`, `least`, `residual` and `force`. Multipliers that rounding leaves nothing of become zero. What the
    others' rounding takes beyond that of the frame is taken off.
    """
    point, multiplier, slope, least = relaxed.point, relaxed.multiplier, relaxed.slope, relaxed.least
    q, force = relaxed.residual, relaxed.force
    items = point.shape[0]
    n = multiplier.shape[0]
    for i in range(n):
        q[i] = arrays.position[i]
        force[i] = 0.0
    for k in range(items):
        legs, at = arrays.items[k], point[k]
        for i in range(n):
            q[i] -= legs[i] * at
    for j in range(n):
        row, here = arrays.covariance[j], q[j]
        for i in range(n):
            force[i] += here * row[i]
    bound = 0.0
    for i in range(n):
        bound += q[i] * force[i]
        force[i] *= -2.0
    rounding = 0.0
    for i in range(n if arrays.inside else 0):
        if multiplier[i] != 0.0:
            edge = frame.ceiling[i] if multiplier[i] > 0.0 else frame.floor[i]
            reach = abs(edge) + abs(arrays.position[i]) + abs(q[i])
            for k in range(items):
                reach += abs(arrays.items[k, i] * point[k])
            unknown = ROUNDING * abs(multiplier[i]) * reach
            if unknown > MOST_ROUNDING * frame.rounding:
                multiplier[i] = 0.0
                continue
            rounding += unknown
            bound += multiplier[i] * (arrays.position[i] - q[i] - edge)
            force[i] += multiplier[i]
    bound -= max(rounding - frame.rounding, 0.0)
    for k in range(items):
        legs = arrays.items[k]
        total = 0.0
        for i in range(n):
            total += legs[i] * force[i]
        slope[k] = total
    for k in range(items):
        low, high, cost = float(arrays.lower[k]), float(arrays.upper[k]), arrays.cost[k]
        here = cost * abs(point[k])
        at_low = slope[k] * (low - point[k]) + cost * abs(low) - here
        at_high = slope[k] * (high - point[k]) + cost * abs(high) - here
        lowest = at_low if at_low < at_high else at_high
        # Where the cost bends, if that is in the box.
        bent = -slope[k] * point[k] - here if low < 0.0 < high else lowest
        least[k] = bent if bent < lowest else lowest
    for k in range(items):
        bound += arrays.cost[k] * abs(point[k]) + least[k]
    return bound


@compiled
def shorten(
    low: float, high: float, around: float, slope: float, cost: float, least: float, room: float
) -> tuple[float, float]:
    """The whole part of [low, high] where ``slope (x - around) + cost (|x| - |around|) - least <= room``."""
    at_zero = -slope * around - cost * abs(around) - least - room
    new_high = high
    new_low = low
    if slope * high + cost * abs(high) + at_zero > 0.0:
        if at_zero <= 0.0:
            if high > 0.0 and slope + cost > 0.0:
                new_high = -at_zero / (slope + cost)
        elif slope - cost > 0.0:
            new_high = min(high, -at_zero / (slope - cost))
    if slope * low + cost * abs(low) + at_zero > 0.0:
        if at_zero <= 0.0:
            if low < 0.0 and slope - cost < 0.0:
                new_low = -at_zero / (slope - cost)
        elif slope + cost < 0.0:
            new_low = max(low, -at_zero / (slope + cost))
    return max(low, np.ceil(new_low - SLACK)), min(high, np.floor(new_high + SLACK))


@compiled_borrowing
def shorten_all(
    arrays: PackingArrays,
    around: FloatArray,
    slope: FloatArray,
    least: FloatArray,
    room: float,
    low: IntArray,
    high: IntArray,
) -> bool:
    """Shorten the ranges (K,) to what can beat the incumbent by `room` over the relaxation; False if nothing can."""
    for k in range(low.shape[0]):
        new_low, new_high = shorten(float(low[k]), float(high[k]), around[k], slope[k], arrays.cost[k], least[k], room)
        if new_low > new_high:
            return False
        low[k] = int(new_low)
        high[k] = int(new_high)
    return True
