"""The packings of a box that can beat the incumbent: one ball around its relaxation, and the search of it.

With the gap g between the incumbent and the relaxation, the convex piecewise linear parts t_k of the bound (see
`solver.packing.methods.exact`) must stay below g, which shortens the range of each multiple. On that range a parabola
lies below t_k, and the sum of all parabolas is |M (omega - c)|². A box gives one too, at a price: ``(x - m)² <= w²``.
The ball is searched by `solver.packing.lattice.sphere_search`.

References
----------
Billionnet, Elloumi and Lambert (2012), Extending the QCR method to general mixed-integer programs (parabolas that
exploit integrality).
"""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.packing.evaluation import PackingArrays
from solver.packing.incumbent import Incumbent, judge, to_beat
from solver.packing.lattice.reduction import factorise_least_first, reduce_basis, solve_factored
from solver.packing.lattice.sphere_search import SLACK, Lattice, bend, lay_out, next_leaf, read_point
from solver.packing.quadratic.metric import Frame
from solver.packing.quadratic.relaxation import Relaxed

# Share of the gap that is paid for parabolas from the box, and from the rows.
BOX_SHARE = 0.01

ROW_SHARE = 0.1


@compiled_borrowing
def search_ball(
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
    """How far the nodes still to be searched are above the bound of the box, at least; infinite without one."""
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
