"""Sphere search in a reduced lattice basis: goes through the packings of a box that are near its relaxation.

Everything that is known about a packing in the box better than the incumbent is put into one ball. With the gap g
between the incumbent and the relaxation, the convex piecewise linear parts t_k of the bound (see
`solver.packing.methods.exact`) must stay below g, which shortens the range of each multiple; on that range a parabola
lies below t_k, and the sum of all parabolas is |M (omega - c)|². A box gives one too, at a price: ``(x - m)² <= w²``.
The ball is searched in a basis reduced by Lenstra, Lenstra and Lovász, in which depth-first search meets few dead ends.
Box and rows are no box in that basis; each node checks them against the extent of what is left of the ball instead.

References
----------
Lenstra, Lenstra and Lovász (1982), Factoring polynomials with rational coefficients.
Schnorr and Euchner (1994), Lattice basis reduction: improved practical algorithms and solving subset sum problems.
Agrell, Eriksson, Vardy and Zeger (2002), Closest point search in lattices.
Wübben, Böhnke, Rinas, Kühn and Kammeyer (2001), Efficient algorithm for decoding layered space-time codes.
Billionnet, Elloumi and Lambert (2012), Extending the QCR method to general mixed-integer programs (parabolas that
exploit integrality).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.packing.incumbent import Incumbent, judge, to_beat
from solver.packing.problem import PackingArrays
from solver.packing.quadratic.active_set import SLACK, Frame, Relaxed

# Lovász' condition: near its limit 1 the basis is better and the reduction longer.
LOVASZ = 0.99
# Share of the gap that is paid for parabolas from the box, and from the rows.
BOX_SHARE = 0.01
ROW_SHARE = 0.1


class Lattice(NamedTuple):
    """A search in a reduced basis that can be interrupted, over the K items that are not fixed.

    Forms are their multiples, then the rows of `inside`.
    """

    free: IntArray  # (K,), these items
    fixed: FloatArray  # (all items,), the multiples of the others
    basis: FloatArray  # (K, K), rows are the basis in multiples, whole numbers
    R: FloatArray  # (K, K), upper triangular factor of the ball in that basis
    centre: FloatArray  # (K,), centre of the ball in that basis
    direction: FloatArray  # (K, F), change of the forms with the coordinate of a place, those below following
    extent: FloatArray  # (K + 1, F), squared extent of the forms over a unit ball of the places below
    floor: FloatArray  # (F,)
    ceiling: FloatArray  # (F,)
    form: FloatArray  # (K + 1, F), forms at the centre of what is left with the places from this one on fixed
    bound: FloatArray  # (K + 1,), squared distance of the places from this one on, over the bound of the box
    z: FloatArray  # (K,), current coordinates
    middle: FloatArray  # (K,), centre at each place, given those above
    next_z: FloatArray  # (2, K)
    next_bound: FloatArray  # (2, K)
    lots: FloatArray  # (K,), overwritten
    off: FloatArray  # (all items,), overwritten
    pull: FloatArray  # (all items,), of the parabolas
    trial: IntArray  # (all items,), overwritten
    cursor: IntArray  # (2,), current place (K when done), and whether it is yet to be opened


@compiled_borrowing
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


@compiled_borrowing
def factorise_least_first(H: FloatArray, order: IntArray) -> bool:
    """Overwrite the symmetric H (K, K) with the upper Cholesky factor of it in another order, which `order` follows.

    Each pivot is the least that is left, so that the search begins where it has least choice, and the basis is half
    reduced (the sorted QR decomposition of Wübben and others). False where a pivot is not positive.
    """
    items = H.shape[0]
    for k in range(items):
        least = H[k, k]
        chosen = float(k)
        for i in range(k + 1, items):
            smaller = H[i, i] < least
            least = H[i, i] if smaller else least
            chosen = float(i) if smaller else chosen
        if least <= 0.0:
            return False
        m = int(chosen)
        if m > k:
            order[k], order[m] = order[m], order[k]
            for j in range(items):
                H[k, j], H[m, j] = H[m, j], H[k, j]
            for i in range(items):
                H[i, k], H[i, m] = H[i, m], H[i, k]
        share = 1.0 / np.sqrt(least)
        row = H[k]
        for j in range(k, items):
            row[j] *= share
        for i in range(k + 1, items):
            line, part = H[i], row[i]
            line[k] = 0.0
            for j in range(k + 1, items):
                line[j] -= part * row[j]
    return True


@compiled_borrowing
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


@compiled_borrowing
def reduce_basis(R: FloatArray, basis: FloatArray, centre: FloatArray) -> None:
    """LLL: make the columns of R (K, K) short and nearly orthogonal, and apply the same to the rows of `basis`.

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
                moved, by = basis[k], basis[j]
                for i in range(items):
                    moved[i] -= whole * by[i]
                centre[j] += whole * centre[k]
        if R[k, k] ** 2 + R[k - 1, k] ** 2 >= LOVASZ * R[k - 1, k - 1] ** 2:
            k += 1
            continue
        for i in range(items):
            basis[k, i], basis[k - 1, i] = basis[k - 1, i], basis[k, i]
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
        # One row after the other: sums side by side become vector instructions, one long sum does not.
        direction = lattice.direction[k]
        for f in range(forms):
            direction[f] = 0.0
        for j in range(k + 1):
            share = follow[j]
            vector = lattice.basis[j]
            for i in range(items):
                direction[i] += share * vector[i]
        for i in range(items if forms > items else 0):
            share = direction[i]
            rows = legs[lattice.free[i]]
            for f in range(items, forms):
                direction[f] += share * rows[f - items]
        for f in range(forms):
            step = lattice.direction[k, f] / lattice.R[k, k]
            lattice.extent[k + 1, f] = lattice.extent[k, f] + step * step


@compiled_borrowing
def next_leaf(lattice: Lattice, limit: float, max_nodes: int) -> tuple[bool, int]:
    """Go on to the next point of the ball: whether there is one, and the nodes spent.

    A node is one coordinate tried at one place. `limit` is the squared radius; it may shrink from call to call. Without
    a point the search is through, or `max_nodes` are spent.
    """
    items = lattice.z.shape[0]
    forms = lattice.floor.shape[0]
    floor = lattice.floor
    ceiling = lattice.ceiling
    k = lattice.cursor[0]
    opening = lattice.cursor[1] == 1
    nodes = 0
    found = False
    while k < items and nodes < max_nodes and not found:
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
        else:
            found = True
    lattice.cursor[0] = k
    lattice.cursor[1] = 1 if opening else 0
    return found, nodes


@compiled_borrowing
def read_point(lattice: Lattice, lots: FloatArray) -> None:
    """Put the multiples of the point that `next_leaf` found into `lots` (K,), which may be out of bounds."""
    for i in range(lots.shape[0]):
        lots[i] = 0.0
    for j in range(lots.shape[0]):
        vector, z = lattice.basis[j], lattice.z[j]
        for i in range(lots.shape[0]):
            lots[i] += vector[i] * z


@compiled_borrowing
def walk_lattice(
    arrays: PackingArrays,
    gram: FloatArray,
    frame: Frame,
    relaxed: Relaxed,
    lattice: Lattice,
    incumbent: Incumbent,
    base: float,
    max_nodes: int,
) -> int:
    """Go on with the search, and judge what is found; returns the nodes spent.

    `base` is the bound of the box, without what the ball adds to it.
    """
    items = lattice.z.shape[0]
    limit = to_beat(incumbent, frame.rounding) - base
    trial, lots = lattice.trial, lattice.lots
    for i in range(trial.shape[0]):
        trial[i] = int(lattice.fixed[i])
    if items == 0:
        judge(arrays, incumbent, trial)
        lattice.cursor[0] = 0
        lattice.cursor[1] = 0
        return 1
    nodes = 0
    found = True
    while found and incumbent.key[0] > 0.0:
        found, spent = next_leaf(lattice, limit, max_nodes - nodes)
        nodes += spent
        if not found:
            break
        read_point(lattice, lots)
        within = True
        for i in range(items):
            of = lattice.free[i]
            within = within and arrays.lower[of] <= lots[i] <= arrays.upper[of]
            trial[of] = int(lots[i])
        # Most that the parabolas let pass ends here, at a tenth of what judging costs.
        if within and above_base(arrays, gram, relaxed, trial, lattice.off) < limit and judge(arrays, incumbent, trial):
            limit = to_beat(incumbent, frame.rounding) - base
    if incumbent.key[0] == 0.0:
        lattice.cursor[0] = items
        lattice.cursor[1] = 0
    return nodes


@compiled_borrowing
def above_base(
    arrays: PackingArrays, gram: FloatArray, relaxed: Relaxed, multiples: IntArray, off: FloatArray
) -> float:
    """How far the objective of `multiples` (K,), in the box, is above its bound, at least; for `free` exactly.

    `off` (K,) is overwritten.
    """
    items = multiples.shape[0]
    for k in range(items):
        off[k] = multiples[k] - relaxed.point[k]
    total = 0.0
    for k in range(items):
        bend = 0.0
        row = gram[k]
        for j in range(items):
            bend += row[j] * off[j]
        total += off[k] * (bend + relaxed.slope[k]) - relaxed.least[k]
        total += arrays.cost[k] * (abs(multiples[k]) - abs(relaxed.point[k]))
    return total


@compiled_borrowing
def least_open(lattice: Lattice) -> float:
    """How far what the search has still to look at is above the bound of the box; infinite once it is through."""
    k = lattice.cursor[0]
    least = np.inf
    if k < lattice.z.shape[0] and lattice.cursor[1] == 1:
        least = lattice.bound[k + 1]
        k += 1
    while k < lattice.z.shape[0]:
        least = min(least, lattice.bound[k + 1] + min(lattice.next_bound[0, k], lattice.next_bound[1, k]))
        k += 1
    return float(least)


@compiled
def ball(arrays: PackingArrays, gram: FloatArray, frame: Frame, relaxed: Relaxed, room: float) -> tuple[bool, Lattice]:
    """Make the ball of all that is better than the incumbent, in a reduced basis, ready to be searched.

    Parameters
    ----------
    arrays : with the box of the relaxed, cut to what `room` leaves of it (`shorten_all`).
    gram : (K, K), B'ΣB.
    room : the gap between incumbent and relaxation.

    Returns
    -------
    (ok, lattice) : False if the ball is too flat for the arithmetic.
    """
    items = relaxed.point.shape[0]
    n = arrays.position.shape[0]
    around, slope = relaxed.point, relaxed.slope
    count = 0
    for k in range(items):
        count += 1 if arrays.lower[k] < arrays.upper[k] else 0
    free = np.empty(count, dtype=np.int64)
    lattice = empty_lattice(free, items, count + (n if arrays.inside else 0))
    R, centre, fixed, off, pull = lattice.R, lattice.centre, lattice.fixed, lattice.off, lattice.pull
    constant = 0.0
    a = 0
    for k in range(items):
        # What is fixed moves the centre of the rest.
        if arrays.lower[k] < arrays.upper[k]:
            free[a] = k
            a += 1
        else:
            fixed[k] = float(arrays.lower[k])
            off[k] = fixed[k] - around[k]
            here = arrays.cost[k] * abs(around[k])
            constant += max(slope[k] * off[k] + arrays.cost[k] * abs(fixed[k]) - here - relaxed.least[k], 0.0)
    # The parabolas' sum is x'Hx - 2 pull'x + constant, with x measured from `around`.
    H = gram
    if arrays.inside:
        H = gram.copy()
        for i in range(n):
            constant += bend_by_row(
                arrays, frame, relaxed, room, i, H, pull, lattice.floor[count:], lattice.ceiling[count:]
            )
    for k in range(items):
        constant -= 2.0 * off[k] * pull[k]
    for k in range(items):
        # Hardly ever: most stand at the bound where the relaxation has them too.
        if off[k] != 0.0:
            row = H[k]
            for j in range(items):
                constant += off[k] * row[j] * off[j]
            for j in range(items):
                pull[j] -= off[k] * row[j]
    for a in range(count):
        row, line = H[free[a]], R[a]
        for b in range(count):
            line[b] = row[free[b]]
    for a in range(count):
        k = free[a]
        low, high, cost = float(arrays.lower[k]), float(arrays.upper[k]), arrays.cost[k]
        at_zero = -slope[k] * around[k] - cost * abs(around[k]) - relaxed.least[k]
        # Where t_k is least: an end of the range, zero, or (flat) the relaxed multiple.
        kink = around[k]
        if slope[k] - cost >= 0.0:
            kink = low
        if slope[k] + cost <= 0.0:
            kink = high
        if abs(slope[k]) < cost:
            kink = 0.0
        kink = min(max(kink, low), high)
        # A parabola that is below a convex piecewise linear function at its corners is below it everywhere.
        steepest = 1e3 * max(gram[k, k], room)
        for end in (low, high, min(max(0.0, low), high)):
            if abs(end - kink) > 1e-9:
                t = at_zero + slope[k] * end + cost * abs(end)
                steepest = min(steepest, max(t, 0.0) / (end - kink) ** 2)
        # The box itself, so that no direction stays without curvature.
        half = 0.5 * (high - low)
        bent = BOX_SHARE * room / (count * half * half)
        kink -= around[k]
        middle = 0.5 * (high + low) - around[k]
        R[a, a] += steepest + bent
        pull[k] += steepest * kink + bent * middle
        constant += steepest * kink**2 + bent * middle**2 - BOX_SHARE * room / count
    if not factorise_least_first(R, free):
        return False, lattice
    for a in range(count):
        centre[a] = pull[free[a]]
    solve_factored(R, centre)
    for a in range(count):
        k = free[a]
        constant -= centre[a] * pull[k]
        centre[a] += around[k]
        lattice.basis[a, a] = 1.0
        lattice.floor[a] = float(arrays.lower[k]) - SLACK
        lattice.ceiling[a] = float(arrays.upper[k]) + SLACK
        lattice.form[count, a] = centre[a]
    for f in range(count, lattice.floor.shape[0]):
        total = 0.0
        for k in range(items):
            total += arrays.items[k, f - count] * fixed[k]
        for a in range(count):
            total += arrays.items[free[a], f - count] * centre[a]
        lattice.form[count, f] = total
    reduce_basis(R, lattice.basis, centre)
    lay_out(lattice, arrays.items)
    # What the bound of the box gains by the parabolas and by the multiples that are fixed.
    lattice.bound[count] = constant
    return True, lattice


@compiled
def bend_by_row(
    arrays: PackingArrays,
    frame: Frame,
    relaxed: Relaxed,
    room: float,
    i: int,
    H: FloatArray,
    pull: FloatArray,
    floor: FloatArray,
    ceiling: FloatArray,
) -> float:
    """Add the parabolas of the row of asset `i` to H and `pull`, set its edges; returns what the constant gains."""
    items = pull.shape[0]
    n = arrays.position.shape[0]
    floor[i] = frame.floor[i]
    ceiling[i] = frame.ceiling[i]
    legs = np.empty(items)
    here = 0.0
    largest = 0.0
    for k in range(items):
        legs[k] = arrays.items[k, i]
        here += legs[k] * relaxed.point[k]
        largest = max(largest, abs(legs[k]))
    if largest == 0.0:
        floor[i] -= 1.0
        ceiling[i] += 1.0
        return 0.0
    slack = SLACK * largest
    constant = 0.0
    force = relaxed.multiplier[i]
    if force != 0.0:
        edge = ceiling[i] if force > 0.0 else floor[i]
        span = min(room / abs(force), ceiling[i] - floor[i])
        steepest = min(abs(force) / max(span, slack), 1e2 * arrays.covariance[i, i])
        if force > 0.0:
            floor[i] = ceiling[i] - span
        else:
            ceiling[i] = floor[i] + span
        constant += bend(legs, steepest, edge - here, H, pull)
    half = 0.5 * (ceiling[i] - floor[i])
    middle = 0.5 * (ceiling[i] + floor[i])
    bent = min(ROW_SHARE * room / (n * max(half, slack) ** 2), 1e2 * arrays.covariance[i, i])
    constant += bend(legs, bent, middle - here, H, pull) - bent * half * half
    floor[i] -= slack
    ceiling[i] += slack
    return float(constant)


@compiled_borrowing
def bend(legs: FloatArray, curvature: float, target: float, H: FloatArray, pull: FloatArray) -> float:
    """Add ``curvature (legs @ x - target)²`` to ``x'Hx - 2 pull'x``; returns what the constant gains."""
    for k in range(pull.shape[0]):
        leg = curvature * legs[k]
        if leg != 0.0:
            pull[k] += leg * target
            for j in range(pull.shape[0]):
                H[k, j] += leg * legs[j]
    return curvature * target * target


@compiled
def empty_lattice(free: IntArray, items: int, forms: int) -> Lattice:
    """Room for a search over `free` (F,) of so many items, all of it zero."""
    count = free.shape[0]
    # Two arrays for all of it: each that is made costs some 40 ns.
    square, along = count * count, count * forms
    block = np.zeros(2 * square + 3 * along + 4 * forms + 9 * count + 1 + 3 * items)
    whole = np.empty(items + 2, dtype=np.int64)
    whole[items] = count - 1
    whole[items + 1] = 1
    basis, block = block[:square].reshape(count, count), block[square:]
    R, block = block[:square].reshape(count, count), block[square:]
    direction, block = block[:along].reshape(count, forms), block[along:]
    extent, block = block[: along + forms].reshape(count + 1, forms), block[along + forms :]
    form, block = block[: along + forms].reshape(count + 1, forms), block[along + forms :]
    next_z, block = block[: 2 * count].reshape(2, count), block[2 * count :]
    next_bound, block = block[: 2 * count].reshape(2, count), block[2 * count :]
    floor, ceiling, block = block[:forms], block[forms : 2 * forms], block[2 * forms :]
    bound, block = block[: count + 1], block[count + 1 :]
    centre, z, middle = block[:count], block[count : 2 * count], block[2 * count : 3 * count]
    lots, block = block[3 * count : 4 * count], block[4 * count :]
    fixed, off, pull = block[:items], block[items : 2 * items], block[2 * items :]
    return Lattice(
        free=free,
        fixed=fixed,
        basis=basis,
        R=R,
        centre=centre,
        direction=direction,
        extent=extent,
        floor=floor,
        ceiling=ceiling,
        form=form,
        bound=bound,
        z=z,
        middle=middle,
        next_z=next_z,
        next_bound=next_bound,
        lots=lots,
        off=off,
        pull=pull,
        trial=whole[:items],
        cursor=whole[items:],
    )
