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
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline
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
    """Search the ball further and judge what is found; returns the nodes spent.

    `base` is the bound of the box, without what the ball adds to it.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    gram : (K, K), B'ΣB.
    frame, relaxed : of the problem, and where the relaxation of the box ended.
    lattice : the search, advanced.
    incumbent : replaced by what precedes it.
    base : the bound of the box, without what the ball adds to it.
    max_nodes : that may be spent.
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

    Parameters
    ----------
    arrays : the problem; only its costs are read.
    gram : (K, K), B'ΣB.
    relaxed : where the relaxation of the box ended.
    multiples : (K,) in the box.
    off : (K,) overwritten.
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

    The parabolas' sum is ``x'Hx - 2 pull'x + constant``, with x measured from the relaxed point.

    Parameters
    ----------
    arrays : with the box of the relaxed, cut to what `room` leaves of it (`shorten_all`).
    gram : (K, K), B'ΣB.
    frame, relaxed : the problem's, and where the relaxation of the box ended.
    room : the gap between incumbent and relaxation.

    Returns
    -------
    (ok, lattice) : False if the ball is too flat for the arithmetic.
    """
    items = relaxed.point.shape[0]
    n = arrays.position.shape[0]
    count = 0
    for k in range(items):
        count += 1 if arrays.lower[k] < arrays.upper[k] else 0
    free = np.empty(count, dtype=np.int64)
    lattice = empty_lattice(free, items, count + (n if arrays.inside else 0))
    constant = hold_fixed(arrays, relaxed, lattice)
    H = gram
    if arrays.inside:
        H = gram.copy()
        for i in range(n):
            constant += bend_by_row(
                arrays, frame, relaxed, room, i, H, lattice.pull, lattice.floor[count:], lattice.ceiling[count:]
            )
    constant = take_out_fixed(H, lattice, constant)
    constant = bend_items(arrays, gram, relaxed, room, lattice, constant)
    if not factorise_least_first(lattice.R, free):
        return False, lattice
    constant = centre_ball(arrays, relaxed, lattice, constant)
    reduce_basis(lattice.R, lattice.basis, lattice.centre)
    lay_out(lattice, arrays.items)
    # What the bound of the box gains by the parabolas and by the multiples that are fixed.
    lattice.bound[count] = constant
    return True, lattice


@compiled_inline
def hold_fixed(arrays: PackingArrays, relaxed: Relaxed, lattice: Lattice) -> float:
    """List the free items, hold the others at their one multiple; returns what their terms are worth above the bound.

    `lattice.off` becomes how far the fixed ones are from the relaxed point.
    """
    constant = 0.0
    a = 0
    for k in range(relaxed.point.shape[0]):
        if arrays.lower[k] < arrays.upper[k]:
            lattice.free[a] = k
            a += 1
        else:
            fixed = float(arrays.lower[k])
            off = fixed - relaxed.point[k]
            lattice.fixed[k] = fixed
            lattice.off[k] = off
            here = arrays.cost[k] * abs(relaxed.point[k])
            constant += max(relaxed.slope[k] * off + arrays.cost[k] * abs(fixed) - here - relaxed.least[k], 0.0)
    return constant


@compiled_inline
def take_out_fixed(H: FloatArray, lattice: Lattice, constant: float) -> float:
    """Put H of the free items into `lattice.R`: what is fixed moves the centre of the rest. Returns the constant."""
    free, off, pull = lattice.free, lattice.off, lattice.pull
    items = pull.shape[0]
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
    for a in range(free.shape[0]):
        row, line = H[free[a]], lattice.R[a]
        for b in range(free.shape[0]):
            line[b] = row[free[b]]
    return constant


@compiled_inline
def bend_items(
    arrays: PackingArrays, gram: FloatArray, relaxed: Relaxed, room: float, lattice: Lattice, constant: float
) -> float:
    """Add the parabolas of the free items, of their terms and of the box; returns the constant.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    gram : (K, K), B'ΣB.
    relaxed : where the relaxation of the box ended.
    room : the gap between incumbent and relaxation.
    lattice : its R and `pull` are added to.
    constant : of the parabolas' sum so far.
    """
    count = lattice.free.shape[0]
    for a in range(count):
        k = lattice.free[a]
        low, high = float(arrays.lower[k]), float(arrays.upper[k])
        steepest, kink = parabola_of_item(arrays, gram, relaxed, room, k)
        # The box itself, so that no direction stays without curvature.
        half = 0.5 * (high - low)
        bent = BOX_SHARE * room / (count * half * half)
        kink -= relaxed.point[k]
        middle = 0.5 * (high + low) - relaxed.point[k]
        lattice.R[a, a] += steepest + bent
        lattice.pull[k] += steepest * kink + bent * middle
        constant += steepest * kink**2 + bent * middle**2 - BOX_SHARE * room / count
    return constant


@compiled_inline
def parabola_of_item(
    arrays: PackingArrays, gram: FloatArray, relaxed: Relaxed, room: float, k: int
) -> tuple[float, float]:
    """Curvature and centre of a parabola below the term t_k of an item on its range.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    gram : (K, K), B'ΣB.
    relaxed : where the relaxation of the box ended.
    room : the gap between incumbent and relaxation.
    k : the item.
    """
    low, high, cost = float(arrays.lower[k]), float(arrays.upper[k]), arrays.cost[k]
    around, slope = relaxed.point[k], relaxed.slope[k]
    at_zero = -slope * around - cost * abs(around) - relaxed.least[k]
    # Where t_k is least: an end of the range, zero, or (flat) the relaxed multiple.
    kink = around
    if slope - cost >= 0.0:
        kink = low
    if slope + cost <= 0.0:
        kink = high
    if abs(slope) < cost:
        kink = 0.0
    kink = min(max(kink, low), high)
    # A parabola that is below a convex piecewise linear function at its corners is below it everywhere.
    steepest = 1e3 * max(gram[k, k], room)
    for end in (low, high, min(max(0.0, low), high)):
        if abs(end - kink) > 1e-9:
            t = at_zero + slope * end + cost * abs(end)
            steepest = min(steepest, max(t, 0.0) / (end - kink) ** 2)
    return steepest, kink


@compiled_inline
def centre_ball(arrays: PackingArrays, relaxed: Relaxed, lattice: Lattice, constant: float) -> float:
    """Fill in the centre, and the forms there with their limits, in the basis of the items; returns the constant."""
    free, centre = lattice.free, lattice.centre
    count = free.shape[0]
    for a in range(count):
        centre[a] = lattice.pull[free[a]]
    solve_factored(lattice.R, centre)
    for a in range(count):
        k = free[a]
        constant -= centre[a] * lattice.pull[k]
        centre[a] += relaxed.point[k]
        lattice.basis[a, a] = 1.0
        lattice.floor[a] = float(arrays.lower[k]) - SLACK
        lattice.ceiling[a] = float(arrays.upper[k]) + SLACK
        lattice.form[count, a] = centre[a]
    for f in range(count, lattice.floor.shape[0]):
        total = 0.0
        for k in range(lattice.fixed.shape[0]):
            total += arrays.items[k, f - count] * lattice.fixed[k]
        for a in range(count):
            total += arrays.items[free[a], f - count] * centre[a]
        lattice.form[count, f] = total
    return constant


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
    """Add the parabolas of the row of asset `i` to H and `pull`, set its edges; returns what the constant gains.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    frame, relaxed : of the problem, and where the relaxation of the box ended.
    room : the gap between incumbent and relaxation.
    i : the asset.
    H : (K, K) added to.
    pull : (K,) added to.
    floor, ceiling : (n,) numeraire, of the row; set.
    """
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
