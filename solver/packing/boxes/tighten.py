"""Ranges of multiples under the limits of the assets: what a box loses to the rows of the mode `inside`."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline
from solver.packing.evaluation import PackingArrays
from solver.packing.problem import PackingProblem

# Passes over the rows when a box is tightened. The first pass does most, and every child is tightened again.
TIGHTEN_PASSES = 2


def movable_items(problem: PackingProblem) -> tuple[IntArray, PackingArrays]:
    """The items that the bounds and the mode leave a choice for, as indices (K',) and as arrays of those alone."""
    arrays = problem.arrays
    low, high = arrays.lower.copy(), arrays.upper.copy()
    if arrays.inside:
        # Zero is feasible, so the box keeps it. As many passes as items: a chain of them is undone link by link.
        tighten(arrays, low, high, len(low))
    movable = np.flatnonzero(low < high)
    return movable, arrays._replace(
        items=np.ascontiguousarray(arrays.items[movable]),
        lower=low[movable],
        upper=high[movable],
        cost=arrays.cost[movable],
    )


@compiled
def tighten(arrays: PackingArrays, low: IntArray, high: IntArray, passes: int) -> bool:
    """Shrink the box ``low <= omega <= high`` in place to what the mode `inside` leaves; False if nothing is left."""
    floor = np.empty_like(arrays.position)
    ceiling = np.empty_like(arrays.position)
    row_edges(arrays, floor, ceiling)
    return tighten_rows(arrays.items, floor, ceiling, low, high, passes)


@compiled_borrowing
def row_edges(arrays: PackingArrays, floor: FloatArray, ceiling: FloatArray) -> None:
    """The least and the most (n,) that may be packed of each asset, with the tolerance of `fits`."""
    for i in range(floor.shape[0]):
        floor[i] = min(arrays.position[i], 0.0) - arrays.leg_tolerance[i]
        ceiling[i] = max(arrays.position[i], 0.0) + arrays.leg_tolerance[i]


@compiled_borrowing
def round_edges(arrays: PackingArrays, floor: FloatArray, ceiling: FloatArray) -> None:
    """Move the edges (n,) to what whole lots can pack, where every leg in an asset is a multiple of its smallest one.

    So it is for an asset that is nothing but the leading leg of its items (Chvátal's and Gomory's rounding).
    """
    for i in range(floor.shape[0]):
        unit = np.inf
        for k in range(arrays.items.shape[0]):
            if arrays.items[k, i] != 0.0:
                unit = min(unit, abs(arrays.items[k, i]))
        if unit == np.inf:
            continue
        # How far from a multiple of the unit a packing can be.
        off = 0.0
        for k in range(arrays.items.shape[0]):
            leg = arrays.items[k, i]
            off += abs(leg - unit * np.rint(leg / unit)) * max(-arrays.lower[k], arrays.upper[k])
        if off <= arrays.leg_tolerance[i]:
            floor[i] = max(floor[i], unit * np.ceil((floor[i] - off) / unit) - off)
            ceiling[i] = min(ceiling[i], unit * np.floor((ceiling[i] + off) / unit) + off)


@compiled_borrowing
def tighten_rows(
    items: FloatArray, floor: FloatArray, ceiling: FloatArray, low: IntArray, high: IntArray, passes: int
) -> bool:
    """Shrink the box in place to what ``floor <= items.T @ omega <= ceiling`` (n,) leaves; False if nothing is left.

    So an asset that is not held and that only one item touches forces the item to zero.

    Parameters
    ----------
    items : (K, n) exposure per lot, numeraire.
    floor, ceiling : (n,) numeraire, the least and the most that may be packed of each asset.
    low, high : (K,) the box.
    passes : >= 1, over all assets at most.
    """
    for _ in range(passes):
        changed = False
        for i in range(floor.shape[0]):
            some, moved = tighten_row(items, i, floor[i], ceiling[i], low, high)
            if not some:
                return False
            changed = changed or moved
        if not changed:
            break
    return True


@compiled_borrowing
def tighten_row(
    items: FloatArray, i: int, floor: float, ceiling: float, low: IntArray, high: IntArray
) -> tuple[bool, bool]:
    """Shrink the box in place to what packs between `floor` and `ceiling` of asset `i`.

    What one item may pack is the room in the asset less what the other items must pack, and plus what they can take
    back. Returns whether anything is left, and whether the box changed.

    Parameters
    ----------
    items : (K, n) exposure per lot, numeraire.
    i : the asset.
    floor, ceiling : numeraire, the least and the most that may be packed of it.
    low, high : (K,) the box.
    """
    least = 0.0
    most = 0.0
    for k in range(low.shape[0]):
        leg = items[k, i]
        least += min(leg * low[k], leg * high[k])
        most += max(leg * low[k], leg * high[k])
    # Room for the rounding of the two sums above.
    slack = 1e-14 * max(most, -least)
    floor -= slack
    ceiling += slack
    if least > ceiling or most < floor:
        return False, False
    if least >= floor and most <= ceiling:
        return True, False
    return tighten_items(items, i, floor, ceiling, least, most, low, high)


@compiled_inline
def tighten_items(
    items: FloatArray, i: int, floor: float, ceiling: float, least: float, most: float, low: IntArray, high: IntArray
) -> tuple[bool, bool]:
    """Shrink the range of each item to what the other items leave it of asset `i`.

    Parameters
    ----------
    items : (K, n) exposure per lot.
    floor, ceiling : the least and the most that may be packed of the asset.
    least, most : the least and the most that the box packs of it.
    low, high : (K,) the box, shrunk in place.

    Returns
    -------
    Whether anything is left, and whether the box changed.
    """
    changed = False
    for k in range(low.shape[0]):
        leg = items[k, i]
        if leg == 0.0 or low[k] == high[k]:
            continue
        own_least = min(leg * low[k], leg * high[k])
        own_most = max(leg * low[k], leg * high[k])
        down = (floor - (most - own_most)) / leg
        up = (ceiling - (least - own_least)) / leg
        # Clamped on both sides before the conversion: a tiny leg makes quotients that no integer holds.
        new_low = int(min(max(np.ceil(min(down, up)), low[k]), high[k] + 1))
        new_high = int(max(min(np.floor(max(down, up)), high[k]), low[k] - 1))
        if new_low > new_high:
            return False, True
        if new_low != low[k] or new_high != high[k]:
            changed = True
            low[k] = new_low
            high[k] = new_high
            least += min(leg * new_low, leg * new_high) - own_least
            most += max(leg * new_low, leg * new_high) - own_most
    return True, changed


@compiled
def tighten_held(
    arrays: PackingArrays,
    floor: FloatArray,
    ceiling: FloatArray,
    multiplier: FloatArray,
    room: float,
    low: IntArray,
    high: IntArray,
) -> bool:
    """Tighten the box by the rows; a row that holds the relaxation back must stay near its edge.

    To leave the edge by d costs ``|multiplier| d``, and whatever beats the incumbent may cost no more than `room`.

    Parameters
    ----------
    arrays : the problem; only its items are read.
    floor, ceiling : (n,) numeraire, the least and the most that may be packed of each asset.
    multiplier : (n,) of the rows, objective per numeraire.
    room : > 0, the gap between incumbent and relaxation.
    low, high : (K,) the box, shrunk in place.
    """
    near_floor = floor.copy()
    near_ceiling = ceiling.copy()
    for i in range(floor.shape[0]):
        if multiplier[i] > 0.0:
            near_floor[i] = max(floor[i], ceiling[i] - room / multiplier[i])
        elif multiplier[i] < 0.0:
            near_ceiling[i] = min(ceiling[i], floor[i] - room / multiplier[i])
    return tighten_rows(arrays.items, near_floor, near_ceiling, low, high, TIGHTEN_PASSES)
