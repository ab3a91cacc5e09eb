"""The least product of legs: boxes of leg sizes, each enumerated in a lattice basis that is reduced for it.

``det Σ · Π q_i²`` is least where several legs are close to zero at once: a few multiples out of a huge box, at no
distance from each other that a step of some lots would see. But all packings whose legs are at most ``(h_1, ..., h_m)``
are the points of a lattice in a parallelepiped, and in a reduced basis those are found with few dead ends. And however
the product p is shared out between the legs, on a logarithmic scale the sizes ``(log |q_1|, ..., log |q_m|)`` of what
is better lie under the plane ``sum <= log p``, which boxes cover: a box is halved along its widest leg until it holds
few points, and dropped once its least product is no better than the best packing.

The cover is made for a product below what there can be, and again for a larger one until that is reached by a packing:
so the sizes are right from the start, and each round is a bound of its own.

References
----------
Korf (1985), Depth-first iterative-deepening: an optimal admissible tree search.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.lattice.cube import Cube, cube_of, enter, log_points, open_coordinate, step_to

# A box is enumerated once the logarithm of the points in it is below this: with one less or two more, 6 assets and 6
# items take a fifth and twice as long, 8 and 8 a fifth longer.
FEW_POINTS = 7.0
# And halved by these factors of a leg (logarithms): by the first, or in the middle where it is narrower than twice
# that; not at all below the second.
STEP = 2.0
LEAST_STEP = 1.0
# Each round goes this much further in the product of the legs (logarithm).
ROUND_STEP = 3.0
# One step takes as long as so many multiplications: to bound a box and to reduce its basis count for several.
STEP_PRODUCTS = 16
# Keys are equal up to 2^-40, products up to the root of that; in logarithms, with some ulp of those.
KEY_ROUNDING = 4e-12
# Sizes below this share of the largest are not told apart: a steeper cube is beyond the arithmetic.
FINEST = 1e-8
LOG_FINEST = math.log(FINEST)
# Sums of one asset, or of half the items that touch it, that are tabled.
MOST_SUMS = 20_000
# Rounding of a sum of lots, as a share of the largest there is: some ulp.
SUM_ROUNDING = 4e-15


class Cover(NamedTuple):
    """A search over K items and the m assets they touch, that can be interrupted.

    Legs are shares of the largest that the box of multiples allows, their sizes natural logarithms of that. The cube of
    a box has m + K coordinates within ±1: the legs, and the multiples.
    """

    free: IntArray  # (K,), these items
    fixed: IntArray  # (all items,), the multiples of the others
    low: FloatArray  # (K,), the box of multiples
    high: FloatArray  # (K,)
    legs: FloatArray  # (K, m), per lot
    held: FloatArray  # (m,), with the items at zero
    side: FloatArray  # (m,), the sign of a leg that can have but one, otherwise 0
    tolerance: FloatArray  # (m,), what is smaller is flat
    rounding: FloatArray  # (m,), of a leg
    log_unit: float  # logarithm of the determinant where all legs are 1
    smallest: FloatArray  # (m,), least sizes
    sizes: FloatArray  # (any,), the sizes that the tabled legs can have, each ascending
    table: IntArray  # (m + 1,), where those of a leg start; none for a leg that is not tabled
    least: FloatArray  # (D, m), a stack of boxes of sizes, the first is all there is
    most: FloatArray  # (D, m)
    state: FloatArray  # (3,), see below
    cursor: IntArray  # (2,), see below
    cube: Cube  # the packings in the box on top of the stack, with m + K coordinates: the legs, and the multiples


# Of `state`, all logarithms of products: up to where this round goes, up to where the rounds before have searched,
# and how far the first round goes. Of `cursor`: boxes on the stack, and the level of the enumeration in the top one, K
# outside of it.
ROUND, SEARCHED, FIRST = 0, 1, 2
BOXES, LEVEL = 0, 1


@compiled_borrowing
def lay_cube(cover: Cover, box: int) -> None:
    """The cube of a box of sizes: image and centre of its legs."""
    items, m = cover.legs.shape
    for i in range(m):
        top = np.exp(cover.most[box, i])
        bottom = np.exp(cover.least[box, i]) if cover.side[i] != 0.0 else -top
        width = 0.5 * (top - bottom) + max(cover.tolerance[i], FINEST)
        middle = 0.5 * (top + bottom) * cover.side[i]
        cover.cube.centre[i] = (cover.held[i] - middle) / width
        for k in range(items):
            cover.cube.image[k, i] = -cover.legs[k, i] / width


@compiled_borrowing
def next_size(cover: Cover, i: int, size: float) -> float:
    """The least size of leg `i` that is not below this one; as it is where they are not tabled."""
    first, end = cover.table[i], cover.table[i + 1]
    if first == end:
        return size
    last = end
    while first < last:
        middle = (first + last) // 2
        if cover.sizes[middle] < size:
            first = middle + 1
        else:
            last = middle
    return float(cover.sizes[first]) if first < end else np.inf


@compiled_borrowing
def log_product(cover: Cover, value: float) -> float:
    """The logarithm of the product of legs with a determinant `value` > 0, and of what rounding leaves equal to it."""
    return float(0.5 * (np.log(value) - cover.log_unit) + KEY_ROUNDING)


@compiled
def enumerate_points(arrays: PackingArrays, cover: Cover, best: IntArray, limit: float, max_steps: int) -> int:
    """Enumerate further points in the cube whose product of legs is below `limit` (logarithm); returns the steps taken.

    `best` (all items,) is replaced by what precedes it.

    Parameters
    ----------
    arrays : the problem; its `residual` and `factor` are overwritten.
    cover : its cube holds the points.
    best : (all items,) multiples, feasible.
    limit : logarithm of a product of legs, in the cover's unit.
    max_steps : coordinates tried at most.
    """
    items, m = cover.legs.shape
    trial = cover.fixed.copy()
    _, value, tie = evaluate(arrays, best)
    wanted = np.exp(limit)
    k = cover.cursor[LEVEL]
    steps = 0
    while k < items and steps < max_steps:
        cover.cube.z[k] += 1.0
        if cover.cube.z[k] > cover.cube.last[k]:
            k += 1
            continue
        steps += 1
        if k > 0:
            if step_to(cover.cube, k):
                k -= 1
                open_coordinate(cover.cube, k)
            continue
        within = True
        for i in range(items):
            multiple = 0.0
            for j in range(items):
                multiple += cover.cube.basis[j, i] * cover.cube.z[j]
            within = within and cover.low[i] <= multiple <= cover.high[i]
            trial[cover.free[i]] = int(multiple)
        if not within:
            continue
        product = 1.0
        for i in range(m):
            leg = cover.held[i]
            for j in range(items):
                leg -= cover.legs[j, i] * trial[cover.free[j]]
            product *= max(abs(leg) - cover.rounding[i], 0.0)
        if product > wanted:
            continue
        kept, new_value, new_tie = evaluate(arrays, trial)
        if kept and precedes(new_value, new_tie, trial, value, tie, best):
            copy_multiples(trial, best)
            value, tie = new_value, new_tie
            if value == 0.0:
                break
            wanted = min(wanted, np.exp(log_product(cover, value)))
    cover.cursor[LEVEL] = k
    return steps


@compiled
def search_products(arrays: PackingArrays, cover: Cover, best: IntArray, max_steps: int) -> int:
    """Search further; returns the steps taken: each coordinate tried, and for boxes as many as take as long.

    `best` (all items,), of a determinant above zero, is replaced by any packing found that precedes it. A flat leg,
    which is not looked for, ends the search.
    """
    items, m = cover.legs.shape
    cursor, state, least, most = cover.cursor, cover.state, cover.least, cover.most
    # What the Gram matrix or the frame of a cube takes.
    work = 2 + items * items * (m + items) // STEP_PRODUCTS
    _, value, _ = evaluate(arrays, best)
    steps = 0
    while steps < max_steps and value > 0.0:
        to_beat = log_product(cover, value)
        if cursor[BOXES] == 0:
            state[SEARCHED] = state[ROUND]
            if state[SEARCHED] >= to_beat:
                break
            state[ROUND] = max(state[ROUND] + ROUND_STEP, state[FIRST])
            for i in range(m):
                least[0, i] = cover.smallest[i]
                most[0, i] = 0.0
            cursor[BOXES] = 1
        limit = min(to_beat, state[ROUND])
        box = cursor[BOXES] - 1
        if cursor[LEVEL] == items:
            steps += work // 2
            room = limit
            for i in range(m):
                room -= least[box, i]
            if not room > 0.0:
                cursor[BOXES] = box
                continue
            widest = -1
            width = LEAST_STEP
            for i in range(m):
                # The other legs have at least their least size.
                most[box, i] = min(most[box, i], least[box, i] + room)
                if most[box, i] - least[box, i] > width and most[box, i] > LOG_FINEST:
                    widest = i
                    width = most[box, i] - least[box, i]
            lay_cube(cover, box)
            if widest >= 0 and log_points(cover.cube) > FEW_POINTS:
                cut = most[box, widest] - min(STEP, 0.5 * width)
                larger = next_size(cover, widest, cut)
                smaller = box
                if larger <= most[box, widest]:
                    smaller += 1
                    for i in range(m):
                        least[smaller, i] = least[box, i]
                        most[smaller, i] = most[box, i]
                    least[box, widest] = larger
                most[smaller, widest] = cut
                cursor[BOXES] = smaller + 1
                continue
            steps += work
            cursor[LEVEL] = enter(cover.cube)
        steps += enumerate_points(arrays, cover, best, limit, max_steps - steps)
        if cursor[LEVEL] == items:
            cursor[BOXES] = box
        _, value, _ = evaluate(arrays, best)
    return steps


def least_open_product(cover: Cover, value: float) -> float:
    """The least determinant that the search may still find, infinite once none is below `value` > 0."""
    boxes = int(cover.cursor[BOXES])
    if not boxes and cover.state[SEARCHED] >= log_product(cover, value):
        return math.inf
    least = float(np.min(cover.least[:boxes].sum(axis=1), initial=cover.state[ROUND]))
    return math.exp(2.0 * max(least, float(cover.state[SEARCHED])) + cover.log_unit)


def cover_of(arrays: PackingArrays, low: IntArray, high: IntArray) -> Cover:
    """A search that has not begun for the packings in a box of multiples without a flat leg.

    Parameters
    ----------
    low, high : (all items,) some packing lies between them that leaves no leg flat, and not all are equal.
    """
    free = np.flatnonzero(low < high)
    fixed = np.where(low < high, 0, low)
    held = arrays.position - fixed @ arrays.items
    touched = np.flatnonzero(arrays.items[free].any(axis=0))
    log_unit = math.log(arrays.determinant_of_sigma) + 2.0 * float(np.log(np.abs(np.delete(held, touched))).sum())
    legs, held, tolerance = arrays.items[np.ix_(free, touched)], held[touched], arrays.leg_tolerance[touched]
    low, high = low[free], high[free]
    lightest = held - np.maximum(legs.T * low, legs.T * high).sum(axis=1)
    heaviest = held - np.minimum(legs.T * low, legs.T * high).sum(axis=1)
    if arrays.inside:
        position = arrays.position[touched]
        lightest = np.maximum(lightest, np.minimum(position, 0.0) - tolerance)
        heaviest = np.minimum(heaviest, np.maximum(position, 0.0) + tolerance)
    rounding = SUM_ROUNDING * (np.abs(held) + np.maximum(np.abs(low), np.abs(high)) @ np.abs(legs))
    unit = np.maximum(np.abs(lightest), np.abs(heaviest))
    side = np.where(lightest >= -tolerance, 1.0, np.where(heaviest <= tolerance, -1.0, 0.0))
    smallest = np.maximum(np.where(side > 0.0, lightest, np.where(side < 0.0, -heaviest, 0.0)), tolerance)
    tables = []
    for i in range(len(unit)):
        sizes, whole = leg_sizes(legs[:, i], low, high, held[i], tolerance[i], lightest[i], heaviest[i])
        if sizes.size:
            smallest[i] = sizes[0]
        tables.append(np.log(sizes / unit[i]) if whole else np.zeros(0))
    smallest = np.log(smallest / unit)
    items, m = legs.shape
    # Each box that is left behind has taken half of LEAST_STEP off some leg, or more.
    room = 2 + int(np.ceil(2.0 / LEAST_STEP * np.maximum(-smallest, 0.0)).sum())
    # A product below which there should be no packing. If the packings lay evenly, one of e**m times as many would.
    first = max(-float(np.log(high - low + 1.0).sum()) - m, float(smallest.sum()) + 1.0)
    return Cover(
        free=free,
        fixed=fixed,
        low=low.astype(np.float64),
        high=high.astype(np.float64),
        legs=np.ascontiguousarray(legs / unit),
        held=held / unit,
        side=side,
        tolerance=tolerance / unit,
        rounding=rounding / unit,
        log_unit=log_unit + 2.0 * float(np.log(unit).sum()),
        smallest=smallest,
        sizes=np.concatenate(tables),
        table=np.cumsum([0] + [len(table) for table in tables]),
        least=np.zeros((room, m)),
        most=np.zeros((room, m)),
        state=np.array([-np.inf, -np.inf, first]),
        cursor=np.array([0, items]),
        cube=cube_of(low.astype(np.float64), high.astype(np.float64), m),
    )


def leg_sizes(
    legs: FloatArray, low: IntArray, high: IntArray, held: float, tolerance: float, lightest: float, heaviest: float
) -> tuple[FloatArray, bool]:
    """The sizes above `tolerance` that one asset's leg can have between `lightest` and `heaviest`, ascending.

    All of them and True, or where they are more than MOST_SUMS the least one, or none, and False. Less what rounding
    can add.

    Parameters
    ----------
    legs : (K,) exposure per lot in the asset, numeraire.
    low, high : (K,) the box of multiples.
    held : numeraire, the leg with all multiples at zero.
    tolerance : numeraire, what is smaller is flat.
    lightest, heaviest : numeraire, the least and the largest leg that the mode and the box allow.
    """
    parts = [np.zeros(1), np.zeros(1)]
    # The widest first, always to the part with fewer sums: they come out about even.
    touching = np.flatnonzero(legs)
    for k in touching[np.argsort(low[touching] - high[touching], kind="stable")]:
        fewer = int(len(parts[1]) < len(parts[0]))
        if len(parts[fewer]) * (high[k] - low[k] + 1) > MOST_SUMS:
            return np.zeros(0), False
        parts[fewer] = np.unique(np.add.outer(parts[fewer], legs[k] * np.arange(low[k], high[k] + 1)))
    one, other = parts
    rounding = SUM_ROUNDING * (abs(held) + np.abs(one).max() + np.abs(other).max())
    lightest, heaviest = lightest - rounding, heaviest + rounding
    left = held - one
    if whole := len(one) * len(other) <= MOST_SUMS:
        left = np.unique(np.subtract.outer(left, other))
    else:
        # Of the other part what leaves least on either side, but more than is flat.
        below = np.searchsorted(other, left - max(tolerance - rounding, lightest), "right") - 1
        above = np.searchsorted(other, left + max(tolerance - rounding, -heaviest), "left")
        left = np.append(
            left[below >= 0] - other[below[below >= 0]], left[above < len(other)] - other[above[above < len(other)]]
        )
    sizes = np.unique(np.abs(left[(left >= lightest) & (left <= heaviest)]))
    sizes = np.maximum(sizes[sizes > tolerance - rounding] - rounding, tolerance)
    return (sizes, True) if whole else (sizes[:1], False)
