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
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline
from solver.packing.evaluation import PackingArrays
from solver.packing.quadratic.metric import Frame, Metric
from solver.packing.quadratic.relaxation import DEPENDENT, FEASIBLE, Relaxed


class Active(NamedTuple):
    """Where the dual method stands, so that it can continue in a part of the box."""

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
    """Whether the dual method can continue in this box: its multipliers fit it, and what is held stands at an edge."""
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


class Scratch(NamedTuple):
    """Room for the directions of one step."""

    d: FloatArray  # (K,), the entering constraint in the directions of J
    z: FloatArray  # (K,), the step of the multiples
    r: FloatArray  # (K,), the step of the active multipliers, downwards
    packed: FloatArray  # (n,), what the point packs of each asset


class Violated(NamedTuple):
    """The constraint that is taken in next."""

    entering: int  # a multiple, or items + row; -1 for none
    sign: float  # 1.0 if it is too high, -1.0 if too low
    excess: float  # by how much
    edge: float  # where it will stand


@compiled
def relax(
    arrays: PackingArrays, metric: Metric, frame: Frame, relaxed: Relaxed, active: Active, again: bool, gap: float
) -> float:
    """Move `relaxed.point` to the least relaxed objective in the box and fill in multipliers of the rows and `give`.

    `give` becomes how far each multiple moves for a unit of force while the active constraints stay: moving it by x
    costs at least ``x² / (2 give)`` until another constraint comes in or goes out (Driebeck's penalty).

    Parameters
    ----------
    arrays : with the box as its bounds.
    metric, frame : of the items and the covariance, and of the position.
    relaxed : its point (K,) is near where the end is expected; the signs say on which side of zero.
    active, again : continue where the last call ended, in a part of its box; where that cannot be, begin anew.
    gap : relative to packing nothing, an objective at which to stop.

    Returns
    -------
    The bound reached, relative to packing nothing, up to rounding; infinite where rows and box seem to contradict each
    other. O(K²) for every constraint taken in or dropped.
    """
    items = relaxed.point.shape[0]
    n = relaxed.multiplier.shape[0] if arrays.inside else 0
    scratch = Scratch(d=np.empty(items), z=np.empty(items), r=np.empty(items), packed=np.empty(n))
    if not (again and still_holds(arrays, active)):
        leave_all_idle(arrays, metric, frame, relaxed, active, scratch.z)
    contradiction = False
    for _ in range(20 * (items + n + 1)):
        if active.value[0] >= gap:
            break
        violated = most_violated(arrays, metric, frame, relaxed, active, scratch.packed)
        if violated.entering < 0:
            break
        if not take_in(arrays, metric, relaxed, active, scratch, violated):
            # Nothing gives way: the rows' part of this direction is the proof.
            read_ray(active, scratch.r, violated, items, relaxed.multiplier)
            contradiction = contradict(arrays, frame.floor, frame.ceiling, relaxed.multiplier)
            break
    for i in range(n):
        relaxed.multiplier[i] = active.mu[items + i]
    return np.inf if contradiction else float(active.value[0])


@compiled_inline
def leave_all_idle(
    arrays: PackingArrays, metric: Metric, frame: Frame, relaxed: Relaxed, active: Active, z: FloatArray
) -> None:
    """Begin at the minimum that feels nothing but the costs, on the sides of zero that the point says.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    metric, frame : of the items and the covariance, and of the position.
    relaxed : its point is read for the signs and moved.
    active : reset.
    z : (K,) overwritten.
    """
    point, mu = relaxed.point, active.mu
    items = point.shape[0]
    value = 0.0
    for f in range(mu.shape[0]):
        mu[f] = 0.0
        active.is_active[f] = 0
    for k in range(items):
        for j in range(items):
            active.J[k, j] = metric.root[k, j]
        side = 1.0 if point[k] >= 0.0 else -1.0
        mu[k] = corner(float(arrays.lower[k]), float(arrays.upper[k]), arrays.cost[k], side)
        relaxed.give[k] = metric.inverse[k, k]
        z[k] = 2.0 * frame.pull[k] + metric.ridge[k] * point[k]
        value += 0.5 * metric.ridge[k] * point[k] * point[k]
        point[k] = 0.0
    for j in range(items):
        part = z[j] - mu[j]
        for k in range(items):
            point[k] += part * metric.inverse[j, k]
    for k in range(items):
        value -= 0.5 * point[k] * (z[k] - mu[k])
    active.number[0], active.value[0] = 0, value


@compiled_inline
def most_violated(
    arrays: PackingArrays, metric: Metric, frame: Frame, relaxed: Relaxed, active: Active, packed: FloatArray
) -> Violated:
    """The idle constraint that costs most to reach.

    As far as the active ones tell; of the rows, as far as none tells. `packed` (n,) is overwritten.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    metric, frame : of the items and the covariance, and of the position.
    relaxed : where the method stands.
    active : which constraints are not idle.
    packed : (n,) overwritten; empty where no rows are asked for.
    """
    point, give = relaxed.point, relaxed.give
    items, n = point.shape[0], packed.shape[0]
    worst = 0.0
    excess = 0.0
    entering = -1
    sign = 0.0
    target = 0.0
    for k in range(items):
        if active.is_active[k] == 1:
            continue
        low, high = side_of_zero(float(arrays.lower[k]), float(arrays.upper[k]), arrays.cost[k], active.mu[k])
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
        if active.is_active[f] == 1 or metric.length[f] == 0.0:
            continue
        over = packed[i] - frame.ceiling[i]
        under = frame.floor[i] - packed[i]
        beyond = max(over, under)
        # Leg tolerances are the problem's share of the largest leg in a row.
        if beyond > arrays.leg_tolerance[i] and beyond > worst * metric.length[f]:
            worst = beyond / metric.length[f]
            excess = beyond
            entering = f
            sign = 1.0 if over > under else -1.0
            target = frame.ceiling[i] if over > under else frame.floor[i]
    return Violated(entering=entering, sign=sign, excess=excess, edge=target)


@compiled_inline
def side_of_zero(low: float, high: float, cost: float, multiplier: float) -> tuple[float, float]:
    """The part of the range of an idle multiple on which its price has the slope `multiplier`."""
    if low < 0.0 < high and cost > 0.0:
        if multiplier > 0.0:
            low = 0.0
        else:
            high = 0.0
    return low, high


@compiled_inline
def take_in(
    arrays: PackingArrays, metric: Metric, relaxed: Relaxed, active: Active, scratch: Scratch, violated: Violated
) -> bool:
    """Raise the multiplier of the entering constraint until it is met; False where it can rise for ever.

    On the way, active constraints whose multipliers reach a corner are dropped. The constraint becomes active, or,
    where its own multiplier reaches the next corner before, idle again on the other side of it.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    metric : of the items and the covariance.
    relaxed : its point and `give` are moved.
    active : its constraints and multipliers are changed.
    scratch : overwritten; its `r` is the direction where the answer is False.
    violated : the entering constraint.
    """
    d, z, r = scratch.d, scratch.z, scratch.r
    mu, which, point = active.mu, active.which, relaxed.point
    items = point.shape[0]
    entering, sign, excess = violated.entering, violated.sign, violated.excess
    start, end = 0.0, sign * np.inf
    if entering < items:
        start, end = corners(
            float(arrays.lower[entering]), float(arrays.upper[entering]), arrays.cost[entering], violated.edge
        )
        if sign < 0.0:
            start, end = end, start
    while True:
        count = active.number[0]
        turn_constraint(arrays, active, entering, sign, d)
        beyond = 0.0
        for c in range(count, items):
            beyond += d[c] * d[c]
        dependent = beyond <= DEPENDENT * metric.length[entering] ** 2
        solve_multipliers(active.R, d, count, r)
        step, drop = ratio_test(active, r, count, abs(end - mu[entering]))
        full = not dependent and excess <= step * beyond
        if full:
            step = excess / beyond
        if step == np.inf:
            return False
        for a in range(count):
            mu[which[a]] -= step * r[a]
        mu[entering] += sign * step
        active.value[0] += step * excess
        if not dependent:
            active.value[0] -= 0.5 * step * step * beyond
            excess -= step * beyond
            step_multiples(active.J, d, count, step, z, point)
        if full:
            activate(relaxed, active, scratch, violated, beyond)
            active.left[count] = min(start, end)
            active.right[count] = max(start, end)
            return True
        if drop < 0:
            mu[entering] = end
            return True
        deactivate(relaxed, active, drop, r[drop])


@compiled_inline
def turn_constraint(arrays: PackingArrays, active: Active, entering: int, sign: float, d: FloatArray) -> None:
    """The gradient of the entering constraint in the directions of J, into `d` (K,).

    Parameters
    ----------
    arrays : the problem; only its items are read.
    active : its J is read.
    entering : a multiple, or items + row.
    sign : 1.0 if it is too high, -1.0 if too low.
    d : (K,) overwritten.
    """
    items = d.shape[0]
    for c in range(items):
        d[c] = -sign * active.J[c, entering] if entering < items else 0.0
    for k in range(items if entering >= items else 0):
        leg = -sign * arrays.items[k, entering - items]
        if leg != 0.0:
            for c in range(items):
                d[c] += leg * active.J[c, k]


@compiled_inline
def solve_multipliers(R: FloatArray, d: FloatArray, count: int, r: FloatArray) -> None:
    """How the active multipliers fall while the entering one rises: ``R r = d``, by back substitution."""
    for c in range(count - 1, -1, -1):
        total = d[c]
        for j in range(c + 1, count):
            total -= R[c, j] * r[j]
        r[c] = total / R[c, c]


@compiled_inline
def ratio_test(active: Active, r: FloatArray, count: int, step: float) -> tuple[float, int]:
    """How far the entering multiplier can rise, at most `step`, and which active one is at a corner then, or -1."""
    drop = -1
    for a in range(count):
        if r[a] > 0.0:
            reach = (active.mu[active.which[a]] - active.left[a]) / r[a]
        elif r[a] < 0.0:
            reach = (active.mu[active.which[a]] - active.right[a]) / r[a]
        else:
            continue
        if reach < step:
            step = max(reach, 0.0)
            drop = a
    return step, drop


@compiled_inline
def step_multiples(J: FloatArray, d: FloatArray, count: int, step: float, z: FloatArray, point: FloatArray) -> None:
    """Move the point along what of the entering constraint the active ones leave free, which `z` (K,) becomes.

    Parameters
    ----------
    J : (K, K) directions in rows.
    d : (K,) the entering constraint in them.
    count : how many belong to active constraints.
    step : of the entering multiplier.
    z : (K,) overwritten.
    point : (K,) multiples, moved.
    """
    items = point.shape[0]
    for k in range(items):
        z[k] = 0.0
    for c in range(count, items):
        direction = J[c]
        for k in range(items):
            z[k] += d[c] * direction[k]
    for k in range(items):
        point[k] += step * z[k]


@compiled_inline
def activate(relaxed: Relaxed, active: Active, scratch: Scratch, violated: Violated, beyond: float) -> None:
    """Add the entering constraint to the active ones; `beyond` is its squared length outside of them.

    A reflection (Householder) brings what is new of it into one direction. J'd is at hand: it is `scratch.z`.

    Parameters
    ----------
    relaxed : its `give` is changed, and its point where the constraint is a multiple.
    active : gains the constraint.
    scratch : `d` and `z` of the last step; overwritten.
    violated : the entering constraint.
    beyond : squared length of its gradient outside the active ones.
    """
    J, R, d, z = active.J, active.R, scratch.d, scratch.z
    items, count = d.shape[0], active.number[0]
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
        R[c, count] = violated.sign * d[c]
    for k in range(items):
        relaxed.give[k] -= J[count, k] * J[count, k]
    active.which[count] = violated.entering
    active.edge[count] = violated.edge
    active.is_active[violated.entering] = 1
    active.number[0] = count + 1
    if violated.entering < items:
        relaxed.point[violated.entering] = violated.edge


@compiled_inline
def deactivate(relaxed: Relaxed, active: Active, drop: int, falling: float) -> None:
    """Make the active constraint `drop` idle at the corner that its multiplier met; `falling` is its rate downwards.

    Rotations (Givens) make R triangular again.
    """
    J, R, which, left, right = active.J, active.R, active.which, active.left, active.right
    items = relaxed.point.shape[0]
    leaving = which[drop]
    active.mu[leaving] = left[drop] if falling > 0.0 else right[drop]
    active.is_active[leaving] = 0
    count = active.number[0] - 1
    active.number[0] = count
    for a in range(drop, count):
        which[a] = which[a + 1]
        active.edge[a] = active.edge[a + 1]
        left[a] = left[a + 1]
        right[a] = right[a + 1]
        for c in range(a + 2):
            R[c, a] = R[c, a + 1]
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
        relaxed.give[k] += J[count, k] * J[count, k]


@compiled_inline
def read_ray(active: Active, r: FloatArray, violated: Violated, items: int, ray: FloatArray) -> None:
    """Put the rows' part of the direction in which the multipliers rise for ever into `ray` (n,).

    Parameters
    ----------
    active : which constraints are active.
    r : (K,) how their multipliers fall.
    violated : the entering constraint.
    items : K.
    ray : (n,) overwritten.
    """
    for i in range(ray.shape[0]):
        ray[i] = 0.0
    for a in range(active.number[0]):
        if active.which[a] >= items:
            ray[active.which[a] - items] = -r[a]
    if violated.entering >= items:
        ray[violated.entering - items] = violated.sign
