"""Local search for the objective `volume`: steps of one item and of pairs that share an asset.

A candidate is judged by the determinant ratio of the legs it moves (`solver.packing.volume.precision`), O(s³) for s
legs, and judged again from scratch before it is accepted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.volume.precision import determinant_ratio, ratio_of_two, refresh_precision, shift_precision
from solver.packing.volume.scaling import VolumeArrays

# Estimated relative error of P at which it is rebuilt; see `shift_precision`. A tenth of what is promised.
DRIFT_LIMIT = 1e-10
# A candidate whose determinant ratio is below 1 by less than this is no improvement, only rounding; whether it is a tie
# with fewer lots is decided on keys made from scratch.
RATIO_NOISE = 1e-11
# Room in quotients of limits and legs before they are rounded to whole lots; every accepted step is judged exactly.
# They are rounded by numpy, which stays in floats: a leg of rounding noise makes quotients that no integer holds.
STEP_SLACK = 1e-9


class Search(NamedTuple):
    """Where a local search stands, and room to work in."""

    multiples: IntArray  # (K,) the packing it stands at
    x: FloatArray  # (n,) its residual
    P: FloatArray  # (n, n)
    state: FloatArray  # (3,) objective and tie-break key at KEY_BITS, estimated error of P
    trial: IntArray  # (K,)
    legs: IntArray  # (n,)
    change: FloatArray  # (n,)
    work: FloatArray  # (n, n)
    row: FloatArray  # (n,)
    moved: FloatArray  # (n,)
    steps: FloatArray  # (2 n + 4,)
    found: FloatArray  # (2,) the steps of the move that a scan found


@compiled
def new_search(items: int, assets: int) -> Search:
    """Room for a local search over so many items and assets."""
    return Search(
        multiples=np.zeros(items, dtype=np.int64),
        x=np.zeros(assets),
        P=np.zeros((assets, assets)),
        state=np.zeros(3),
        trial=np.zeros(items, dtype=np.int64),
        legs=np.zeros(assets, dtype=np.int64),
        change=np.zeros(assets),
        work=np.zeros((assets, assets)),
        row=np.zeros(assets),
        moved=np.zeros(assets),
        steps=np.zeros(2 * assets + 4),
        found=np.zeros(2),
    )


@compiled
def stand_at(volume: VolumeArrays, arrays: PackingArrays, search: Search) -> None:
    """Derive everything in `search` from its multiples, from scratch: no bit depends on how they were reached."""
    _, value, tie = evaluate(arrays, search.multiples)
    for i in range(search.x.shape[0]):
        search.x[i] = arrays.residual[i] * volume.scale[i]
    refresh_precision(volume.correlation, search.x, search.P, search.row)
    search.state[0] = value
    search.state[1] = tie
    search.state[2] = 0.0


@compiled_borrowing
def accept(volume: VolumeArrays, arrays: PackingArrays, search: Search) -> bool:
    """Move to `search.trial` if it precedes where the search stands, judged from scratch; P is updated, O(s n²)."""
    kept, value, tie = evaluate(arrays, search.trial)
    if not kept or not precedes(value, tie, search.trial, search.state[0], search.state[1], search.multiples):
        return False
    copy_multiples(search.trial, search.multiples)
    search.state[0] = value
    search.state[1] = tie
    for i in range(search.x.shape[0]):
        x = arrays.residual[i] * volume.scale[i]
        if x != search.x[i]:
            pivot = shift_precision(search.P, i, x * x - search.x[i] * search.x[i], search.row)
            # Some ulp for the update itself, magnified where the variance grows back by 1 / pivot.
            search.state[2] = (search.state[2] + 1e-15) / min(max(pivot, 1e-300), 1.0)
            search.x[i] = x
    if search.state[2] > DRIFT_LIMIT:
        refresh_precision(volume.correlation, search.x, search.P, search.row)
        search.state[2] = 0.0
    return True


@compiled_inline
def move_leg(volume: VolumeArrays, search: Search, index: int, i: int, moved: float) -> bool:
    """Note as leg `index` of a candidate that asset `i` moves to residual `moved`; False if the mode forbids it.

    Parameters
    ----------
    volume, search : the problem and where the search stands.
    index : of the leg in `search.legs` and `search.change`.
    i : the asset.
    moved : its residual after the step, lots' risk.
    """
    if moved < volume.least[i] or moved > volume.most[i]:
        return False
    if abs(moved) <= volume.tolerance[i]:
        moved = 0.0
    search.legs[index] = i
    search.change[index] = moved * moved - search.x[i] * search.x[i]
    return True


@compiled_inline
def improves(ratio: float, best: float, lots_saved: float) -> bool:
    """Whether a candidate is better than one whose determinant ratio is `best`; at a tie only if it saves lots."""
    return ratio < best and (ratio < 1.0 - RATIO_NOISE or lots_saved > 0.0)


@compiled_inline
def own_steps(volume: VolumeArrays, search: Search, k: int) -> tuple[float, float, int]:
    """The range of the steps of item `k`, and the steps worth a try in `search.steps`, not clipped; and how many.

    One lot either way, the ends of its range, and the whole lots on both sides of where a residual leg reaches zero:
    between those points the volume is concave along the line, up to what happens within a lot. An empty range has no
    steps.
    """
    x, steps, least, most = search.x, search.steps, volume.least, volume.most
    held = float(search.multiples[k])
    low = volume.lower[k] - held
    high = volume.upper[k] - held
    count = 0
    for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
        i = volume.leg[a]
        inverse = 1.0 / volume.leg_value[a]
        flat = x[i] * inverse
        if most[i] < np.inf:
            one = (x[i] - least[i]) * inverse
            two = (x[i] - most[i]) * inverse
            low = max(low, np.ceil(min(one, two) - STEP_SLACK))
            high = min(high, np.floor(max(one, two) + STEP_SLACK))
        steps[count] = np.floor(flat)
        steps[count + 1] = np.ceil(flat)
        count += 2
    if low >= high:
        return low, high, 0
    steps[count] = 1.0
    steps[count + 1] = -1.0
    steps[count + 2] = low
    steps[count + 3] = high
    return low, high, count + 4


@compiled_inline
def is_new_step(steps: FloatArray, c: int, step: float) -> bool:
    """Put `step` at index `c` of the steps, and say whether it is not zero and not among those before."""
    if step == 0.0:
        return False
    new = True
    for b in range(c):
        new = new and steps[b] != step
    steps[c] = step
    return new


@compiled_borrowing
def scan_items(volume: VolumeArrays, search: Search, first: int, count: int) -> tuple[int, int]:
    """The first of `count` items from `first` on (cyclically) that one of its `own_steps` improves.

    Its best step is left in ``search.found[0]``. Returns how many items were passed over before it (`count` if none
    improves), and the candidates judged.
    """
    P, legs, change, multiples = search.P, search.legs, search.change, search.multiples
    nodes = 0
    for passed in range(count):
        k = (first + passed) % multiples.shape[0]
        held = float(multiples[k])
        begin, end = volume.leg_start[k], volume.leg_start[k + 1]
        low, high, wanted = own_steps(volume, search, k)
        best = 1.0 + RATIO_NOISE
        best_step = 0.0
        for c in range(wanted):
            step = min(max(search.steps[c], low), high)
            if not is_new_step(search.steps, c, step):
                continue
            legal = True
            for a in range(begin, end):
                i = volume.leg[a]
                legal = move_leg(volume, search, a - begin, i, search.x[i] - step * volume.leg_value[a])
                if not legal:
                    break
            if not legal:
                continue
            nodes += 1
            if end - begin == 2:
                i, j = legs[0], legs[1]
                ratio = ratio_of_two(P[i, i], P[j, j], P[i, j], change[0], change[1])
            else:
                ratio = determinant_ratio(P, legs, change, end - begin, search.work)
            if improves(ratio, best, abs(held) - abs(held + step)):
                best = ratio
                best_step = step
        if best_step != 0.0:
            search.found[0] = best_step
            return passed, nodes
    return count, nodes


@compiled_borrowing
def first_steps(volume: VolumeArrays, search: Search, k: int) -> int:
    """Put what item `k` takes as the first of a pair into `search.steps`, within its bounds; returns how many steps.

    One lot either way, dropped, or as many lots as exhaust or restore one of its legs.
    """
    steps, x, position, leg = search.steps, search.x, volume.position, volume.leg
    begin, end = volume.leg_start[k], volume.leg_start[k + 1]
    held = float(search.multiples[k])
    count = 0
    for move in range(3 + 2 * (end - begin)):
        if move < 2:
            step = 1.0 - 2.0 * move
        elif move == 2:
            step = -held
        else:
            i = leg[begin + (move - 3) // 2]
            target = x[i] if (move - 3) % 2 == 0 else x[i] - position[i]
            # Towards zero, so that the limit holds.
            step = np.trunc(target / volume.items[k, i])
        new = step != 0.0 and volume.lower[k] <= held + step <= volume.upper[k]
        for earlier in range(count):
            new = new and steps[earlier] != step
        if new:
            steps[count] = step
            count += 1
    return count


@compiled_inline
def move_first(volume: VolumeArrays, search: Search, k: int, other: int, step: float) -> bool:
    """Put the legs of item `k` after `step` lots into `search.moved`; False if one beyond `other` breaks the mode.

    Parameters
    ----------
    volume, search : the problem and where the search stands.
    k, other : the two items.
    step : lots of the first.
    """
    begin = volume.leg_start[k]
    for a in range(begin, volume.leg_start[k + 1]):
        i = volume.leg[a]
        moved = search.x[i] - step * volume.leg_value[a]
        search.moved[a - begin] = moved
        if volume.items[other, i] == 0.0 and (moved < volume.least[i] or moved > volume.most[i]):
            return False
    return True


@compiled_inline
def move_both(volume: VolumeArrays, search: Search, k: int, other: int, other_step: float) -> int:
    """Note the legs of a candidate: those of `k` from `search.moved`, and those of `other` after `other_step` lots.

    Returns how many legs move, -1 if the mode forbids one.

    Parameters
    ----------
    volume, search : the problem and where the search stands.
    k, other : the two items.
    other_step : lots of the second.
    """
    begin, end = volume.leg_start[k], volume.leg_start[k + 1]
    for a in range(begin, end):
        j = volume.leg[a]
        moved = search.moved[a - begin] - other_step * volume.items[other, j]
        if not move_leg(volume, search, a - begin, j, moved):
            return -1
    # Not counted up from 0: numba would compile `determinant_ratio` once more for the literal.
    count: int = end - begin
    for a in range(volume.leg_start[other], volume.leg_start[other + 1]):
        j = volume.leg[a]
        if volume.items[k, j] != 0.0:
            continue
        if not move_leg(volume, search, count, j, search.x[j] - other_step * volume.leg_value[a]):
            return -1
        count += 1
    return count


@compiled_inline
def scan_pair(volume: VolumeArrays, search: Search, k: int, other: int, count: int) -> tuple[float, int]:
    """The best joint step of a pair, its first item by one of the `count` steps in `search.steps`.

    Returns the step of the first, zero if none improves, and the candidates judged; that of the other is left in
    ``search.found[1]``.

    Parameters
    ----------
    volume, search : the problem and where the search stands.
    k, other : the two items.
    count : how many steps of the first are in `search.steps`.
    """
    held, other_held = float(search.multiples[k]), float(search.multiples[other])
    begin, end = volume.leg_start[k], volume.leg_start[k + 1]
    best = 1.0 + RATIO_NOISE
    best_step = 0.0
    nodes = 0
    for c in range(count):
        step = search.steps[c]
        if not move_first(volume, search, k, other, step):
            continue
        for shared in range(begin, end):
            i = volume.leg[shared]
            other_leg = volume.items[other, i]
            if other_leg == 0.0:
                continue
            to_zero = np.floor(search.moved[shared - begin] / other_leg)
            back = np.floor((search.moved[shared - begin] - search.x[i]) / other_leg)
            for choice in range(4):
                other_step = to_zero + choice if choice < 2 else back + (choice - 2)
                if other_step == 0.0 or (choice >= 2 and (other_step == to_zero or other_step == to_zero + 1.0)):
                    continue
                if other_held + other_step < volume.lower[other] or other_held + other_step > volume.upper[other]:
                    continue
                legs = move_both(volume, search, k, other, other_step)
                if legs < 0:
                    continue
                nodes += 1
                ratio = determinant_ratio(search.P, search.legs, search.change, legs, search.work)
                lots = abs(held + step) + abs(other_held + other_step)
                if improves(ratio, best, abs(held) + abs(other_held) - lots):
                    best = ratio
                    best_step = step
                    search.found[1] = other_step
    return best_step, nodes


@compiled_borrowing
def scan_pairs(volume: VolumeArrays, search: Search, first: int, count: int) -> tuple[int, int]:
    """The first of `count` pairs from `first` on (cyclically) that a joint step of its two items improves.

    Its best steps are left in `search.found`. After each of the `first_steps` of one item the other puts a shared asset
    back to where it was or takes it to zero, to the whole lot on either side. Returns how many pairs were passed over,
    and the candidates judged.
    """
    pairs = volume.near.shape[0]
    nodes = 0
    # Pairs of one first item stand together.
    stepping = -1
    steps = 0
    for passed in range(count):
        pair = (first + passed) % pairs
        k, other = volume.near[pair, 0], volume.near[pair, 1]
        if volume.lower[k] == volume.upper[k] or volume.lower[other] == volume.upper[other]:
            continue
        if k != stepping:
            stepping = k
            steps = first_steps(volume, search, k)
        step, judged = scan_pair(volume, search, k, other, steps)
        nodes += judged
        if step != 0.0:
            search.found[0] = step
            return passed, nodes
    return count, nodes


@compiled_borrowing
def is_local_optimum(volume: VolumeArrays, progress: IntArray) -> bool:
    """Whether no item and no pair has helped since the last improvement."""
    return bool(progress[1] >= volume.items.shape[0] and progress[3] >= volume.near.shape[0])


@compiled_borrowing
def descend_volume(
    volume: VolumeArrays, arrays: PackingArrays, search: Search, progress: IntArray, max_nodes: int
) -> int:
    """Improve where `search` stands towards a local optimum; returns the candidates judged.

    Items one at a time until none helps, then pairs that share an asset, and items again after a pair helped.

    Parameters
    ----------
    volume, arrays : the problem, scaled and as it is.
    search : where the search stands, moved.
    progress : (4,), carried from call to call, zeros at first: the next item, how many items in a row did not help, the
        next pair, how many pairs in a row did not help.
    max_nodes : looked at between improvements.
    """
    items = volume.items.shape[0]
    pairs = volume.near.shape[0]
    nodes = 0
    while nodes < max_nodes and not is_local_optimum(volume, progress):
        copy_multiples(search.multiples, search.trial)
        if progress[1] < items:
            passed, spent = scan_items(volume, search, progress[0], items - progress[1])
            k = (progress[0] + passed) % items
            progress[0] = k
            progress[1] += passed
            if progress[1] < items:
                search.trial[k] += int(search.found[0])
                progress[0] = (k + 1) % items
                progress[1] += 1
        else:
            passed, spent = scan_pairs(volume, search, progress[2], pairs - progress[3])
            at = (progress[2] + passed) % pairs
            progress[2] = at
            progress[3] += passed
            if progress[3] < pairs:
                search.trial[volume.near[at, 0]] += int(search.found[0])
                search.trial[volume.near[at, 1]] += int(search.found[1])
                progress[2] = (at + 1) % pairs
                progress[3] += 1
        nodes += spent + 1
        if accept(volume, arrays, search):
            progress[1] = 0
            progress[3] = 0
    return nodes
