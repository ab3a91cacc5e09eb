"""Sphere search in a reduced lattice basis: for packings whose bounds and costs say too little to search item by item.

Everything that is known about a packing better than the incumbent is put into one ball. With the gap g between the
incumbent and the relaxation, the convex piecewise linear parts t_k of the bound (see `solver.packing.exact`) must stay
below g, which shortens the range of each multiple; on that range a parabola lies below t_k, and the sum of all
parabolas is |M (omega - c)|². A box gives one too, at a price: ``(x - m)² <= w²``. The ball is searched in a basis
reduced by Lenstra, Lenstra and Lovász, in which depth-first search meets few dead ends. Box and rows are no box in that
basis; each node checks them against the extent of what is left of the ball instead.

References
----------
Lenstra, Lenstra and Lovász (1982), Factoring polynomials with rational coefficients.
Schnorr and Euchner (1994), Lattice basis reduction: improved practical algorithms and solving subset sum problems.
Agrell, Eriksson, Vardy and Zeger (2002), Closest point search in lattices.
Billionnet, Elloumi and Lambert (2012), Extending the QCR method to general mixed-integer programs (parabolas that
exploit integrality).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.packing.problem import PROOF_TOLERANCE, PackingArrays, copy_multiples, evaluate, precedes

# Lovász' condition: near its limit 1 the basis is better and the reduction longer.
LOVASZ = 0.99
# Slack of the checks at nodes, in lots: far above the rounding of the basis, far below a lot.
SLACK = 1e-6


class Lattice(NamedTuple):
    """A search in a reduced basis that can be interrupted. Forms are the K multiples, then the rows of `inside`."""

    basis: FloatArray  # (K, K), columns are the basis in multiples, whole numbers
    R: FloatArray  # (K, K), upper triangular factor of the ball in that basis
    centre: FloatArray  # (K,), centre of the ball in that basis
    direction: FloatArray  # (K, F), change of the forms with the coordinate of a place, those below following
    extent: FloatArray  # (K + 1, F), squared extent of the forms over a unit ball of the places below
    floor: FloatArray  # (F,)
    ceiling: FloatArray  # (F,)
    form: FloatArray  # (K + 1, F), forms at the centre of what is left with the places from this one on fixed
    bound: FloatArray  # (K + 1,), squared distance of the places from this one on
    z: FloatArray  # (K,), current coordinates
    middle: FloatArray  # (K,), centre at each place, given those above
    next_z: FloatArray  # (2, K)
    next_bound: FloatArray  # (2, K)
    cursor: IntArray  # (2,), current place (K when done), and whether it is yet to be opened


@compiled
def factorise(H: FloatArray, R: FloatArray) -> bool:
    """Upper Cholesky factor of H (K, K) into R; False where a pivot is not positive."""
    items = H.shape[0]
    for i in range(items):
        for j in range(items):
            R[i, j] = H[i, j] if j >= i else 0.0
    for k in range(items):
        if R[k, k] <= 0.0:
            return False
        pivot = np.sqrt(R[k, k])
        for j in range(k, items):
            R[k, j] /= pivot
        for i in range(k + 1, items):
            share = R[k, i]
            if share != 0.0:
                for j in range(i, items):
                    R[i, j] -= share * R[k, j]
    return True


@compiled
def solve_factored(R: FloatArray, x: FloatArray) -> None:
    """Overwrite x (K,) with the solution of R'R y = x."""
    items = x.shape[0]
    for i in range(items):
        x[i] /= R[i, i]
        for j in range(i + 1, items):
            x[j] -= R[i, j] * x[i]
    for i in range(items - 1, -1, -1):
        for j in range(i + 1, items):
            x[i] -= R[i, j] * x[j]
        x[i] /= R[i, i]


@compiled
def reduce_basis(R: FloatArray, basis: FloatArray, centre: FloatArray) -> None:
    """LLL: make the columns of R (K, K) short and nearly orthogonal, and apply the same to the columns of `basis`.

    `centre` (K,), coordinates of a point, follows the basis.
    """
    items = R.shape[0]
    k = 1
    steps = 0
    while k < items and steps < 200 * items:
        steps += 1
        for j in range(k - 1, -1, -1):
            whole = np.rint(R[j, k] / R[j, j])
            if whole != 0.0:
                for i in range(j + 1):
                    R[i, k] -= whole * R[i, j]
                for i in range(items):
                    basis[i, k] -= whole * basis[i, j]
                centre[j] += whole * centre[k]
        if R[k, k] ** 2 + R[k - 1, k] ** 2 >= LOVASZ * R[k - 1, k - 1] ** 2:
            k += 1
            continue
        for i in range(items):
            basis[i, k], basis[i, k - 1] = basis[i, k - 1], basis[i, k]
        for i in range(k + 1):
            R[i, k], R[i, k - 1] = R[i, k - 1], R[i, k]
        centre[k], centre[k - 1] = centre[k - 1], centre[k]
        # A rotation of the two rows makes R triangular again.
        length = np.hypot(R[k - 1, k - 1], R[k, k - 1])
        cosine = R[k - 1, k - 1] / length
        sine = R[k, k - 1] / length
        for j in range(k - 1, items):
            one = R[k - 1, j]
            other = R[k, j]
            R[k - 1, j] = cosine * one + sine * other
            R[k, j] = cosine * other - sine * one
        R[k, k - 1] = 0.0
        k = max(k - 1, 1)


@compiled
def lay_out(lattice: Lattice, legs: FloatArray) -> None:
    """Fill in directions and extents of the forms; the first K forms are the multiples, the rest rows of `legs`."""
    items = lattice.z.shape[0]
    forms = lattice.floor.shape[0]
    # Column k of the inverse of R, times R[k, k]: how the places below follow when place k moves by one.
    follow = np.zeros(items)
    for f in range(forms):
        lattice.extent[0, f] = 0.0
    for k in range(items):
        for i in range(items):
            follow[i] = 0.0
        follow[k] = 1.0
        for i in range(k - 1, -1, -1):
            total = 0.0
            for j in range(i + 1, k + 1):
                total += lattice.R[i, j] * follow[j]
            follow[i] = -total / lattice.R[i, i]
        for i in range(items):
            total = 0.0
            for j in range(k + 1):
                total += lattice.basis[i, j] * follow[j]
            lattice.direction[k, i] = total
        for f in range(items, forms):
            total = 0.0
            for i in range(items):
                total += legs[i, f - items] * lattice.direction[k, i]
            lattice.direction[k, f] = total
        for f in range(forms):
            step = lattice.direction[k, f] / lattice.R[k, k]
            lattice.extent[k + 1, f] = lattice.extent[k, f] + step * step


@compiled
def walk_lattice(
    arrays: PackingArrays,
    lattice: Lattice,
    best: IntArray,
    second: FloatArray,
    base: float,
    rounding: float,
    max_nodes: int,
) -> int:
    """Go on with the search; returns the nodes spent, a node being one coordinate tried at one place.

    `best` (K,) is replaced by any packing found that precedes it, `second` (1,) by the value of any other that is the
    next best so far.
    """
    items = best.shape[0]
    forms = lattice.floor.shape[0]
    _, value, tie = evaluate(arrays, best)
    limit = value * (1.0 - PROOF_TOLERANCE) + rounding - base
    trial = np.zeros_like(best)
    floor = lattice.floor
    ceiling = lattice.ceiling
    k = lattice.cursor[0]
    opening = lattice.cursor[1] == 1
    nodes = 0
    while k < items and nodes < max_nodes and value > 0.0:
        if opening:
            shift = 0.0
            for j in range(k + 1, items):
                shift += lattice.R[k, j] * (lattice.z[j] - lattice.centre[j])
            middle = lattice.centre[k] - shift / lattice.R[k, k]
            lattice.middle[k] = middle
            left = np.floor(middle)
            lattice.next_z[0, k] = left
            lattice.next_z[1, k] = left + 1.0
            lattice.next_bound[0, k] = (lattice.R[k, k] * (left - middle)) ** 2
            lattice.next_bound[1, k] = (lattice.R[k, k] * (left + 1.0 - middle)) ** 2
            opening = False
        nodes += 1
        side = 0 if lattice.next_bound[0, k] <= lattice.next_bound[1, k] else 1
        bound = lattice.bound[k + 1] + lattice.next_bound[side, k]
        if bound >= limit:
            k += 1
            continue
        z = lattice.next_z[side, k]
        lattice.next_z[side, k] += 2.0 * side - 1.0
        lattice.next_bound[side, k] = (lattice.R[k, k] * (lattice.next_z[side, k] - lattice.middle[k])) ** 2
        lattice.z[k] = z
        off = z - lattice.middle[k]
        room = limit - bound
        # Rows as arrays of their own and no branch in the loop, so that it becomes vector instructions.
        above = lattice.form[k + 1]
        here = lattice.form[k]
        direction = lattice.direction[k]
        extent = lattice.extent[k]
        outside = 0
        for f in range(forms):
            form = above[f] + off * direction[f]
            here[f] = form
            over = form - ceiling[f]
            under = floor[f] - form
            beyond = over if over > under else under
            outside += 1 if (beyond if beyond > 0.0 else 0.0) * beyond > room * extent[f] else 0
        if outside > 0:
            continue
        if k > 0:
            lattice.bound[k] = bound
            k -= 1
            opening = True
            continue
        within = True
        for i in range(items):
            multiple = 0.0
            for j in range(items):
                multiple += lattice.basis[i, j] * lattice.z[j]
            within = within and arrays.lower[i] <= multiple <= arrays.upper[i]
            trial[i] = int(multiple)
        if not within:
            continue
        kept, new_value, new_tie = evaluate(arrays, trial)
        if kept and precedes(new_value, new_tie, trial, value, tie, best):
            copy_multiples(trial, best)
            second[0] = value
            value, tie = new_value, new_tie
            limit = value * (1.0 - PROOF_TOLERANCE) + rounding - base
        elif kept and new_value < second[0] and precedes(value, tie, best, new_value, new_tie, trial):
            second[0] = new_value
    if value == 0.0:
        k = items
    lattice.cursor[0] = k
    lattice.cursor[1] = 1 if opening else 0
    return nodes


@compiled
def least_open(cursor: IntArray, bound: FloatArray, next_bound: FloatArray) -> float:
    """The least bound of what a depth-first search has still to look at, infinite once it is through.

    `cursor` holds the level and whether it is being opened, `bound` (K + 1,) the bounds on the way down to it, and
    `next_bound` (2, K) what the next values to either side would add at each level.
    """
    k = cursor[0]
    least = np.inf
    if k < next_bound.shape[1] and cursor[1] == 1:
        least = bound[k + 1]
        k += 1
    while k < next_bound.shape[1]:
        least = min(least, bound[k + 1] + min(next_bound[0, k], next_bound[1, k]))
        k += 1
    return least


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


@compiled
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


@compiled
def ball(
    arrays: PackingArrays,
    gram: FloatArray,
    around: FloatArray,
    slope: FloatArray,
    least: FloatArray,
    multiplier: FloatArray,
    room: float,
    share: float,
    row_share: float,
    lattice: Lattice,
) -> tuple[bool, float]:
    """Make the ball of all that is better than the incumbent, in a reduced basis, ready to be searched.

    Parameters
    ----------
    room : the gap between incumbent and relaxation.
    share, row_share : of it, what is paid for parabolas from the box and from the rows.

    Returns
    -------
    (ok, offset) : False if no packing can be better; what the bound of the root gains by the parabolas.
    """
    items = around.shape[0]
    n = arrays.position.shape[0]
    inside = lattice.floor.shape[0] > items
    H = gram.copy()
    # The parabolas' sum is x'Hx - 2 pull'x + constant, with x measured from `around`.
    pull = np.zeros(items)
    constant = 0.0
    for k in range(items):
        low, high = shorten(
            float(arrays.lower[k]), float(arrays.upper[k]), around[k], slope[k], arrays.cost[k], least[k], room
        )
        if low > high:
            return False, 0.0
        lattice.floor[k] = low - SLACK
        lattice.ceiling[k] = high + SLACK
    for k in range(items):
        low = lattice.floor[k] + SLACK
        high = lattice.ceiling[k] - SLACK
        # Where t_k is least: an end of the range, zero, or (flat) the relaxed multiple.
        kink = around[k]
        if slope[k] - arrays.cost[k] >= 0.0:
            kink = low
        if slope[k] + arrays.cost[k] <= 0.0:
            kink = high
        if abs(slope[k]) < arrays.cost[k]:
            kink = 0.0
        kink = min(max(kink, low), high)
        # A parabola that is below a convex piecewise linear function at its corners is below it everywhere.
        steepest = np.inf
        for end in (low, high, min(max(0.0, low), high)):
            if abs(end - kink) > 1e-9:
                t = slope[k] * (end - around[k]) + arrays.cost[k] * (abs(end) - abs(around[k])) - least[k]
                steepest = min(steepest, max(t, 0.0) / (end - kink) ** 2)
        if low == high:
            steepest = 1e3 * max(gram[k, k], room)
            kink = low
        steepest = min(steepest, 1e3 * max(gram[k, k], room))
        H[k, k] += steepest
        pull[k] += steepest * (kink - around[k])
        constant += steepest * (kink - around[k]) ** 2
        # The box itself, so that no direction stays without curvature.
        half = 0.5 * (high - low)
        middle = 0.5 * (high + low)
        if half > 0.0:
            bent = share * room / (items * half * half)
            H[k, k] += bent
            pull[k] += bent * (middle - around[k])
            constant += bent * (middle - around[k]) ** 2 - share * room / items
    if inside:
        for i in range(n):
            floor = min(arrays.position[i], 0.0)
            ceiling = max(arrays.position[i], 0.0)
            lattice.floor[items + i] = floor
            lattice.ceiling[items + i] = ceiling
            here = 0.0
            largest = 0.0
            for k in range(items):
                here += arrays.items[k, i] * around[k]
                largest = max(largest, abs(arrays.items[k, i]))
            slack = SLACK * largest
            if largest == 0.0:
                lattice.floor[items + i] -= 1.0
                lattice.ceiling[items + i] += 1.0
                continue
            edge = ceiling if multiplier[i] > 0.0 else floor
            if multiplier[i] != 0.0:
                span = min(room / abs(multiplier[i]), ceiling - floor)
                steepest = min(abs(multiplier[i]) / max(span, slack), 1e2 * arrays.covariance[i, i])
                if multiplier[i] > 0.0:
                    lattice.floor[items + i] = ceiling - span
                else:
                    lattice.ceiling[items + i] = floor + span
                for k in range(items):
                    leg = arrays.items[k, i]
                    if leg != 0.0:
                        pull[k] += steepest * leg * (edge - here)
                        for j in range(items):
                            H[k, j] += steepest * leg * arrays.items[j, i]
                constant += steepest * (edge - here) ** 2
            half = 0.5 * (lattice.ceiling[items + i] - lattice.floor[items + i])
            middle = 0.5 * (lattice.ceiling[items + i] + lattice.floor[items + i])
            if row_share > 0.0:
                bent = min(row_share * room / (n * max(half, slack) ** 2), 1e2 * arrays.covariance[i, i])
                for k in range(items):
                    leg = arrays.items[k, i]
                    if leg != 0.0:
                        pull[k] += bent * leg * (middle - here)
                        for j in range(items):
                            H[k, j] += bent * leg * arrays.items[j, i]
                constant += bent * ((middle - here) ** 2 - half * half)
            lattice.floor[items + i] -= slack
            lattice.ceiling[items + i] += slack
    if not factorise(H, lattice.R):
        return False, -np.inf
    centre = pull.copy()
    solve_factored(lattice.R, centre)
    offset = constant
    for k in range(items):
        offset -= centre[k] * pull[k]
    for i in range(items):
        lattice.form[items, i] = around[i] + centre[i]
        lattice.centre[i] = around[i] + centre[i]
        for j in range(items):
            lattice.basis[i, j] = 1.0 if i == j else 0.0
    for f in range(items, lattice.floor.shape[0]):
        total = 0.0
        for k in range(items):
            total += arrays.items[k, f - items] * lattice.form[items, k]
        lattice.form[items, f] = total
    reduce_basis(lattice.R, lattice.basis, lattice.centre)
    lay_out(lattice, arrays.items)
    lattice.bound[items] = 0.0
    lattice.cursor[0] = items - 1
    lattice.cursor[1] = 1
    return True, offset


def empty_lattice(items: int, forms: int) -> Lattice:
    """Room for a search."""
    return Lattice(
        basis=np.zeros((items, items)),
        R=np.zeros((items, items)),
        centre=np.zeros(items),
        direction=np.zeros((items, forms)),
        extent=np.zeros((items + 1, forms)),
        floor=np.zeros(forms),
        ceiling=np.zeros(forms),
        form=np.zeros((items + 1, forms)),
        bound=np.zeros(items + 1),
        z=np.zeros(items),
        middle=np.zeros(items),
        next_z=np.zeros((2, items)),
        next_bound=np.zeros((2, items)),
        cursor=np.zeros(2, dtype=np.int64),
    )
