"""Local search for the objective `volume`: steps of one item and of pairs that share an asset.

A candidate is judged by the determinant ratio of the legs it moves (`solver.packing.volume.precision`), O(s³) for s
legs, and judged again from scratch before it is accepted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
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


@compiled_borrowing
def scan_items(volume: VolumeArrays, search: Search, first: int, count: int) -> tuple[int, int]:
    """The first of `count` items from `first` on (cyclically) that a step of its own improves.

    Its best step is left in ``search.found[0]``. Steps tried: one lot either way, the ends of its range, and the whole
    lots on both sides of where a residual leg reaches zero: between those points the volume is concave along the line,
    up to what happens within a lot. Returns how many items were passed over before it (`count` if none improves), and
    the candidates judged.
    """
    # Every name bound once: attribute access in the loop would cost more than the arithmetic.
    x, P, legs, change, steps, multiples = (
        search.x,
        search.P,
        search.legs,
        search.change,
        search.steps,
        search.multiples,
    )
    leg_start, leg, leg_value = volume.leg_start, volume.leg, volume.leg_value
    least, most, tolerance = volume.least, volume.most, volume.tolerance
    nodes = 0
    for passed in range(count):
        k = (first + passed) % multiples.shape[0]
        held = float(multiples[k])
        low = volume.lower[k] - held
        high = volume.upper[k] - held
        begin, end = leg_start[k], leg_start[k + 1]
        wanted = 0
        for a in range(begin, end):
            i = leg[a]
            inverse = 1.0 / leg_value[a]
            flat = x[i] * inverse
            if most[i] < np.inf:
                one = (x[i] - least[i]) * inverse
                two = (x[i] - most[i]) * inverse
                low = max(low, np.ceil(min(one, two) - STEP_SLACK))
                high = min(high, np.floor(max(one, two) + STEP_SLACK))
            steps[wanted] = np.floor(flat)
            steps[wanted + 1] = np.ceil(flat)
            wanted += 2
        if low >= high:
            continue
        steps[wanted] = 1.0
        steps[wanted + 1] = -1.0
        steps[wanted + 2] = low
        steps[wanted + 3] = high
        best = 1.0 + RATIO_NOISE
        best_step = 0.0
        for c in range(wanted + 4):
            step = min(max(steps[c], low), high)
            if step == 0.0:
                continue
            new = True
            for b in range(c):
                new = new and steps[b] != step
            steps[c] = step
            if not new:
                continue
            legal = True
            for a in range(begin, end):
                i = leg[a]
                moved = x[i] - step * leg_value[a]
                if moved < least[i] or moved > most[i]:
                    legal = False
                    break
                if abs(moved) <= tolerance[i]:
                    moved = 0.0
                legs[a - begin] = i
                change[a - begin] = moved * moved - x[i] * x[i]
            if not legal:
                continue
            nodes += 1
            if end - begin == 2:
                i, j = legs[0], legs[1]
                ratio = ratio_of_two(P[i, i], P[j, j], P[i, j], change[0], change[1])
            else:
                ratio = determinant_ratio(P, legs, change, end - begin, search.work)
            # At a tie only fewer lots are worth a closer look.
            if ratio < best and (ratio < 1.0 - RATIO_NOISE or abs(held + step) < abs(held)):
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


@compiled_borrowing
def scan_pairs(volume: VolumeArrays, search: Search, first: int, count: int) -> tuple[int, int]:
    """The first of `count` pairs from `first` on (cyclically) that a joint step of its two items improves.

    Its best steps are left in `search.found`. After each of the `first_steps` of one item the other puts a shared asset
    back to where it was or takes it to zero, to the whole lot on either side. Returns how many pairs were passed over,
    and the candidates judged.
    """
    x, P, legs, change, multiples, moved_x, steps = (
        search.x,
        search.P,
        search.legs,
        search.change,
        search.multiples,
        search.moved,
        search.steps,
    )
    leg_start, leg, leg_value, items = volume.leg_start, volume.leg, volume.leg_value, volume.items
    least, most, tolerance = volume.least, volume.most, volume.tolerance
    pairs = volume.near.shape[0]
    nodes = 0
    # Pairs of one first item stand together.
    stepping = -1
    count_steps = 0
    for passed in range(count):
        at = (first + passed) % pairs
        k, other = volume.near[at, 0], volume.near[at, 1]
        if volume.lower[k] == volume.upper[k] or volume.lower[other] == volume.upper[other]:
            continue
        held, other_held = float(multiples[k]), float(multiples[other])
        begin, end = leg_start[k], leg_start[k + 1]
        other_begin, other_end = leg_start[other], leg_start[other + 1]
        if k != stepping:
            stepping = k
            count_steps = first_steps(volume, search, k)
        best = 1.0 + RATIO_NOISE
        best_step = 0.0
        for choice_of_first in range(count_steps):
            step = steps[choice_of_first]
            legal = True
            for a in range(begin, end):
                i = leg[a]
                moved_x[a - begin] = x[i] - step * leg_value[a]
                if items[other, i] == 0.0 and (moved_x[a - begin] < least[i] or moved_x[a - begin] > most[i]):
                    legal = False
                    break
            if not legal:
                continue
            for shared in range(begin, end):
                i = leg[shared]
                other_leg = items[other, i]
                if other_leg == 0.0:
                    continue
                to_zero = np.floor(moved_x[shared - begin] / other_leg)
                back = np.floor((moved_x[shared - begin] - x[i]) / other_leg)
                for choice in range(4):
                    other_step = to_zero + choice if choice < 2 else back + (choice - 2)
                    if other_step == 0.0 or (choice >= 2 and (other_step == to_zero or other_step == to_zero + 1.0)):
                        continue
                    if other_held + other_step < volume.lower[other] or other_held + other_step > volume.upper[other]:
                        continue
                    legal = True
                    for a in range(begin, end):
                        j = leg[a]
                        moved = moved_x[a - begin] - other_step * items[other, j]
                        if moved < least[j] or moved > most[j]:
                            legal = False
                            break
                        if abs(moved) <= tolerance[j]:
                            moved = 0.0
                        legs[a - begin] = j
                        change[a - begin] = moved * moved - x[j] * x[j]
                    if not legal:
                        continue
                    # Not counted up from 0: numba would compile `determinant_ratio` once more for the literal.
                    legs_count = end - begin
                    for a in range(other_begin, other_end):
                        j = leg[a]
                        if items[k, j] != 0.0:
                            continue
                        moved = x[j] - other_step * leg_value[a]
                        if moved < least[j] or moved > most[j]:
                            legal = False
                            break
                        if abs(moved) <= tolerance[j]:
                            moved = 0.0
                        legs[legs_count] = j
                        change[legs_count] = moved * moved - x[j] * x[j]
                        legs_count += 1
                    if not legal:
                        continue
                    nodes += 1
                    ratio = determinant_ratio(P, legs, change, legs_count, search.work)
                    if ratio < best and (
                        ratio < 1.0 - RATIO_NOISE
                        or abs(held + step) + abs(other_held + other_step) < abs(held) + abs(other_held)
                    ):
                        best = ratio
                        best_step = step
                        search.found[1] = other_step
        if best_step != 0.0:
            search.found[0] = best_step
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
    `progress` (4,) carries from call to call: the next item, how many items in a row did not help, the next pair, how
    many pairs in a row did not help. The budget is looked at between improvements.
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
