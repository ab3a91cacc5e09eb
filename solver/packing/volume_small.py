"""Going through the packings of a small box item by item, for the best-first search over boxes."""

from __future__ import annotations

import math

import numpy as np

from solver.compiled import compiled
from solver.packing.incumbent import Incumbent, judge
from solver.packing.problem import PROOF_TOLERANCE, PackingArrays
from solver.packing.volume import STEP_SLACK, Search, VolumeArrays
from solver.packing.volume_bound import Nodes, smallest_square

# Boxes of more packings are not gone through.
MOST_TRIED = 1e12
# After so many steps each time, the way still to go is estimated from the share of the box that is behind; a box that
# would take more than so many is left open. Halving or quadrupling the latter proves less.
PROBE_STEPS = 500
MOST_STEPS = 16_000


@compiled
def order_items(volume: VolumeArrays, nodes: Nodes, b: int) -> None:
    """Order the items for `try_out`: again and again those of the asset that the fewest items left over touch.

    So assets are decided for good as early as can be (minimum degree elimination).
    """
    items, n = volume.items.shape
    placed = 0
    for k in range(items):
        nodes.item_order[k] = -1
    left = nodes.item_left
    for k in range(items):
        left[k] = 1
    while placed < items:
        fewest = items + 1
        asset = -1
        for i in range(n):
            count = 0
            for k in range(items):
                if left[k] == 1 and volume.items[k, i] != 0.0 and nodes.low[b, k] < nodes.high[b, k]:
                    count += 1
            if 0 < count < fewest:
                fewest = count
                asset = i
        for k in range(items):
            if left[k] == 1 and (asset < 0 or (volume.items[k, asset] != 0.0 and nodes.low[b, k] < nodes.high[b, k])):
                left[k] = 0
                nodes.item_order[placed] = k
                placed += 1


@compiled
def beyond(volume: float) -> float:
    """What a product must exceed for its logarithm to exceed `volume`; NaN, which nothing exceeds, if too large."""
    return math.exp(volume) if volume < 700.0 else math.nan


@compiled
def try_out(
    volume: VolumeArrays,
    arrays: PackingArrays,
    nodes: Nodes,
    b: int,
    base: float,
    search: Search,
    best: Incumbent,
    max_steps: int,
) -> int:
    """Go through the packings of node `b` item by item, unless there are more than MOST_TRIED; returns the steps made.

    A part is left out when one of two bounds is no better than `best`. The Lagrangian: each item costs its price for
    every lot that it is away from its preferred end. And step 1, with every |x_i| at the least that the undecided items
    can reach: a product of n factors, no logarithm, of which a step changes those of its item's legs. That closes the
    node, or after MOST_STEPS leaves it open.
    """
    n = volume.position.shape[0]
    low, high = nodes.low[b], nodes.high[b]
    tried, multiples = nodes.tried, search.multiples
    leg_start, leg, leg_value = volume.leg_start, volume.leg, volume.leg_value
    x, factor, partial, saved = nodes.x, nodes.factor, nodes.partial, nodes.saved
    room_low, room_high, rest, away = nodes.room_low, nodes.room_high, nodes.rest, nodes.away
    initial, final = nodes.initial, nodes.final
    x_low, x_high, weight, tolerance, price = (
        nodes.x_low[b],
        nodes.x_high[b],
        nodes.weight,
        volume.tolerance,
        nodes.price,
    )
    count = 1.0
    free = 0
    for i in range(n):
        x[i] = volume.position[i]
    for at in range(multiples.shape[0]):
        k = nodes.item_order[at]
        count *= high[k] - low[k] + 1
        if count > MOST_TRIED:
            return 0
        multiples[k] = low[k]
        if low[k] < high[k]:
            tried[free] = k
            free += 1
        else:
            for a in range(leg_start[k], leg_start[k + 1]):
                x[leg[a]] -= low[k] * leg_value[a]
    # The undecided items from depth d on take between `room_low` and `room_high` from the residual of the others.
    for i in range(n):
        room_low[free, i] = 0.0
        room_high[free, i] = 0.0
    for depth in range(free - 1, -1, -1):
        k = tried[depth]
        for i in range(n):
            room_low[depth, i] = room_low[depth + 1, i]
            room_high[depth, i] = room_high[depth + 1, i]
        price[depth] = 0.0
        for a in range(leg_start[k], leg_start[k + 1]):
            i = leg[a]
            one, two = leg_value[a] * low[k], leg_value[a] * high[k]
            room_low[depth, i] += min(one, two)
            room_high[depth, i] += max(one, two)
            price[depth] += nodes.multiplier[i] * leg_value[a]
    if free == 0:
        judge(arrays, best, multiples)
        nodes.bound[b] = np.inf
        return 1
    limit = beyond(best.key[0] * (1.0 - PROOF_TOLERANCE) - base)
    gap = best.key[0] * (1.0 - PROOF_TOLERANCE) - nodes.relaxed[0]
    product = 1.0
    for i in range(n):
        least = smallest_square(
            x[i] - room_high[0, i] - tolerance[i], x[i] - room_low[0, i] + tolerance[i]
        ) - smallest_square(x_low[i], x_high[i])
        factor[i] = 1.0 + weight[i] * max(least, 0.0)
        product *= factor[i]
    steps = 0
    depth = 0
    away[0] = 0.0
    opening = True
    while depth >= 0:
        k = tried[depth]
        begin, end = leg_start[k], leg_start[k + 1]
        if opening:
            opening = False
            rest[depth] = product
            first, last = float(low[k]), float(high[k])
            toward = volume.toward[k]
            more = np.inf
            for a in range(begin, end):
                i = leg[a]
                partial[depth, i] = x[i]
                saved[depth, i] = factor[i]
                rest[depth] /= factor[i]
                inverse = 1.0 / leg_value[a]
                one = (x[i] - x_low[i] + tolerance[i] - room_low[depth + 1, i]) * inverse
                two = (x[i] - x_high[i] - tolerance[i] - room_high[depth + 1, i]) * inverse
                first = max(first, np.ceil(min(one, two) - STEP_SLACK))
                last = min(last, np.floor(max(one, two) + STEP_SLACK))
                others = room_high[depth + 1, i] if volume.position[i] > 0.0 else room_low[depth + 1, i]
                more = min(more, toward * (x[i] - others) * inverse)
            if toward > 0:
                first = max(first, min(np.floor(more - STEP_SLACK), float(volume.upper[k])))
            elif toward < 0:
                last = min(last, max(-np.floor(more - STEP_SLACK), float(volume.lower[k])))
            if first > last:
                # Neither may be beyond what an integer holds.
                first, last = 0.0, -1.0
            initial[depth] = int(first)
            multiples[k] = initial[depth] - 1
            final[depth] = int(last)
        multiples[k] += 1
        if multiples[k] > final[depth]:
            for a in range(begin, end):
                i = leg[a]
                x[i] = partial[depth, i]
                factor[i] = saved[depth, i]
            depth -= 1
            continue
        steps += 1
        if steps % PROBE_STEPS == 0:
            # The share of the box that is behind, as a number in mixed radix.
            share = 0.0
            for at in range(depth, -1, -1):
                j = tried[at]
                share = (multiples[j] - initial[at] + share) / (final[at] - initial[at] + 1.0)
            if steps > MOST_STEPS * share or steps > max_steps:
                break
        lot = multiples[k]
        lost = away[depth] + (price[depth] * (high[k] - lot) if price[depth] > 0.0 else price[depth] * (low[k] - lot))
        if lost > gap:
            continue
        product = rest[depth]
        inside = True
        for a in range(begin, end):
            i = leg[a]
            x[i] = partial[depth, i] - lot * leg_value[a]
            least = x[i] - room_high[depth + 1, i] - tolerance[i]
            most = x[i] - room_low[depth + 1, i] + tolerance[i]
            if least > x_high[i] or most < x_low[i]:
                inside = False
                break
            factor[i] = 1.0 + weight[i] * max(smallest_square(least, most) - smallest_square(x_low[i], x_high[i]), 0.0)
            product *= factor[i]
        # 1e-12: the rounding of the product.
        if not inside or product * (1.0 - 1e-12) >= limit:
            continue
        if depth + 1 < free:
            depth += 1
            away[depth] = lost
            opening = True
            continue
        if judge(arrays, best, multiples):
            limit = beyond(best.key[0] * (1.0 - PROOF_TOLERANCE) - base)
            gap = best.key[0] * (1.0 - PROOF_TOLERANCE) - nodes.relaxed[0]
    if depth < 0:
        nodes.bound[b] = np.inf
    return steps
