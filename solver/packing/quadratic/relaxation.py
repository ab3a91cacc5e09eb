"""The bound that any point and any multipliers give a box, and what it leaves of the ranges of the multiples.

Both solvers of the relaxation (`active_set` and `principal_pivots`) end in a `Relaxed`. The bound is evaluated from
it afresh, so it is valid wherever they stopped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.packing.evaluation import PackingArrays
from solver.packing.lattice.sphere_search import SLACK
from solver.packing.quadratic.metric import ROUNDING, Frame

# A constraint is violated beyond this share of a lot (or of the largest leg in the row), plus as much of its value.
FEASIBLE = 1e-9
# A direction with less than this share of its own length outside the active constraints is a combination of them.
DEPENDENT = 1e-12
# A row's multiplier whose rounding is this many times that of a bound has no digits left: its row cannot be changed by
# the multiples at hand, or is a combination of others.
MOST_ROUNDING = 1e5


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
    """The whole part of [low, high] where ``slope (x - around) + cost (|x| - |around|) - least <= room``.

    Parameters
    ----------
    low, high : the range, whole.
    around : the relaxed multiple.
    slope : of the variance there, objective per lot.
    cost : >= 0, objective per lot.
    least : of ``slope (x - around) + cost (|x| - |around|)`` on the range.
    room : the gap between incumbent and relaxation.
    """
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
    """Shorten the ranges (K,) to what can beat the incumbent by `room` over the relaxation; False if nothing can.

    Parameters
    ----------
    arrays : the problem; only its costs are read.
    around : (K,) the relaxed multiples.
    slope : (K,) gradient there without the cost.
    least : (K,) least of each term on the box.
    room : the gap between incumbent and relaxation.
    low, high : (K,) the box, shrunk in place.
    """
    for k in range(low.shape[0]):
        new_low, new_high = shorten(float(low[k]), float(high[k]), around[k], slope[k], arrays.cost[k], least[k], room)
        if new_low > new_high:
            return False
        low[k] = int(new_low)
        high[k] = int(new_high)
    return True
