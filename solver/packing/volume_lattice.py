"""Going through what of a box of the volume's search can beat the incumbent, in a reduced lattice basis.

With more items than assets, many combinations of lots hardly change the residual, and item by item that shows only at
the last one. The Lagrangian of `solver.packing.volume_bound` is a sum of a term for each asset and each item. What a
packing has above their minima, t_j >= 0, adds up to less than the gap between the incumbent and the bound. On the range
of its asset or item a parabola lies below each t_j, so the sum of the parabolas holds all that is better in a ball,
which is searched as in `solver.packing.lattice`.
"""

from __future__ import annotations

import math

import numpy as np

from solver.arrays import FloatArray
from solver.compiled import compiled, compiled_borrowing
from solver.packing.incumbent import Incumbent, judge
from solver.packing.lattice import (
    Lattice,
    bend,
    empty_lattice,
    factorise,
    lay_out,
    next_leaf,
    read_point,
    reduce_basis,
    solve_factored,
)
from solver.packing.problem import PROOF_TOLERANCE, PackingArrays
from solver.packing.relaxation import SLACK
from solver.packing.volume import VolumeArrays
from solver.packing.volume_bound import BOUND_ROUNDING, Nodes, least_given, marginal, stationary

# Shares of the gap that are paid for parabolas from the ranges of items and of residuals: without them nothing bounds a
# combination of items that leaves the residual as it is. A third or three times as much proves as many or fewer.
ITEM_SHARE = 0.3
ASSET_SHARE = 0.3
# No residual is confined to less than this share of its largest leg: narrower balls are too flat for the arithmetic.
NARROWEST = 1e-2
# Ends of a range nearer to a minimum than this share of the range.
NEXT_TO = 1e-8
# Legs below it, in lots' risk, move nothing, and their squares are no numbers any more.
NO_LEG = 1e-100
# Rounding of squared distances, as a share of what the factorisation's backward error multiplies, and how much of the
# gap it may be.
BALL_ROUNDING = 1e-14
MOST_ROUNDING = 1e-2
# A ball that is expected to hold more points is left to branching. A fifth or five times as many prove less.
MOST_POINTS = 2e4
# Nodes that making a ball counts as, and reducing its basis; steps of its search that count as one.
BALL_NODES = 3
REDUCED_NODES = 4
STEPS_PER_NODE = 32


@compiled_borrowing
def beyond(volume: float) -> float:
    """What a product must exceed for its logarithm to exceed `volume`; NaN, which nothing exceeds, if too large."""
    return math.exp(volume) if volume < 700.0 else math.nan


@compiled_borrowing
def parabola(weight: float, least: float, slope: float, low: float, high: float, lowest: float) -> tuple[float, float]:
    """Curvature s and centre m of a parabola below t on [low, high], ``t(x) = h(x) - slope · x - lowest >= 0``.

    h is convex near zero and concave beyond (see `shrink` in `solver.packing.volume_bound`), and bends less and less
    up to there. So on the way out from its minimum m, t less the parabola is convex, then concave, and not negative
    where it is not at the end.
    """
    at_low = marginal(weight, least, low) - slope * low - lowest
    at_high = marginal(weight, least, high) - slope * high - lowest
    inner = stationary(weight, least, slope)
    at_inner = math.inf
    if low < inner < high:
        at_inner = marginal(weight, least, inner) - slope * inner - lowest
    if at_inner <= at_low and at_inner <= at_high:
        curvature = math.inf
        # Next to an end its term is rounding; what the parabola has too much there is some 1e-16 of the other end's.
        if inner - low > NEXT_TO * (high - low):
            curvature = max(at_low, 0.0) / (inner - low) ** 2
        if high - inner > NEXT_TO * (high - low):
            curvature = min(curvature, max(at_high, 0.0) / (high - inner) ** 2)
        return curvature, inner
    centre = low if at_low <= at_high else high
    near = min(max(0.0, low), high)
    if centre != near and weight * near * near < 1.0 - weight * least:
        # Least at the far end, but convex near zero: a parabola might not be below t in between.
        return 0.0, centre
    return max(at_low, at_high, 0.0) / (high - low) ** 2, centre


@compiled_borrowing
def bend_assets(
    volume: VolumeArrays,
    nodes: Nodes,
    b: int,
    gap: float,
    lattice: Lattice,
    left: FloatArray,
    lowest: FloatArray,
    legs: FloatArray,
    H: FloatArray,
    pull: FloatArray,
) -> float:
    """Add the parabolas of the assets of node `b`, and set the edges of their forms; returns what the constant gains.

    `left` (n,) is the residual with every item at its low end, `lowest` (n,) the minimum of each term; `legs` is room
    for as many numbers as `pull` has.
    """
    x_low, x_high = nodes.x_low[b], nodes.x_high[b]
    n, count = left.shape[0], pull.shape[0]
    constant = 0.0
    for i in range(n):
        largest = 0.0
        smallest = math.inf
        for a in range(count):
            legs[a] = volume.items[lattice.free[a], i]
            if legs[a] != 0.0:
                largest = max(largest, abs(legs[a]))
                smallest = min(smallest, abs(legs[a]))
        slack = volume.tolerance[i] + SLACK * largest
        lattice.floor[count + i] = left[i] - x_high[i] - slack
        lattice.ceiling[count + i] = left[i] - x_low[i] + slack
        if largest < NO_LEG:
            continue
        # Where all legs are one step, a ball thinner than the step holds no fewer points, only its volume says so.
        narrowest = 0.5 * largest if smallest == largest else NARROWEST * largest
        if x_high[i] - x_low[i] > SLACK * largest:
            curvature, centre = parabola(
                nodes.weight[i], nodes.least[i], nodes.multiplier[i], x_low[i], x_high[i], lowest[i]
            )
            constant += bend(legs, min(curvature, gap / narrowest**2), left[i] - centre, H, pull)
        half = max(0.5 * (x_high[i] - x_low[i]), narrowest)
        bent = ASSET_SHARE * gap / (n * half * half)
        constant += bend(legs, bent, left[i] - 0.5 * (x_low[i] + x_high[i]), H, pull) - bent * half * half
    return constant


@compiled_borrowing
def walk_points(
    volume: VolumeArrays,
    arrays: PackingArrays,
    nodes: Nodes,
    b: int,
    lattice: Lattice,
    left: FloatArray,
    lots: FloatArray,
    base: float,
    above: float,
    best: Incumbent,
    most: int,
) -> int:
    """Judge the packings of node `b` that the ball holds, at most so many steps far; returns the steps.

    The ball is `best`'s objective plus `above` wide, squared, and shrinks with every better packing. `left` (n,) is the
    residual with every item at its low end, `lots` (count,) is room for those above it.
    """
    low, high, trial, free = nodes.low[b], nodes.high[b], nodes.trial, lattice.free
    limit = beyond(best.key[0] * (1.0 - PROOF_TOLERANCE) - base)
    found, steps = next_leaf(lattice, best.key[0] + above, most)
    while found:
        # The volume at least, by step 1 of the bound: as a product, without a logarithm.
        product = 1.0
        for i in range(left.shape[0]):
            x = max(abs(left[i] - lattice.form[0, lots.shape[0] + i]) - volume.tolerance[i], 0.0)
            product *= 1.0 + nodes.weight[i] * max(x * x - nodes.least[i], 0.0)
        # 1e-12: the rounding of the product.
        if not product * (1.0 - 1e-12) >= limit:
            read_point(lattice, lots)
            within = True
            for a in range(lots.shape[0]):
                within = within and 0.0 <= lots[a] <= high[free[a]] - low[free[a]]
                trial[free[a]] = low[free[a]] + int(lots[a])
            if within and judge(arrays, best, trial):
                limit = beyond(best.key[0] * (1.0 - PROOF_TOLERANCE) - base)
        found, more = next_leaf(lattice, best.key[0] + above, most - steps)
        steps += more
    return steps


@compiled
def walk_ball(
    volume: VolumeArrays, arrays: PackingArrays, nodes: Nodes, b: int, base: float, best: Incumbent, max_nodes: int
) -> int:
    """Search node `b`, which was just bounded with volume(a) = `base`, unless its ball is too large.

    That closes the node, or leaves it open where `max_nodes` end the search. Returns the nodes spent.
    """
    n, items = volume.position.shape[0], volume.items.shape[0]
    low, high, trial = nodes.low[b], nodes.high[b], nodes.trial
    free = np.empty(items, dtype=np.int64)
    count = 0
    for k in range(items):
        trial[k] = low[k]
        if low[k] < high[k]:
            free[count] = k
            count += 1
    if count == 0:
        judge(arrays, best, trial)
        nodes.bound[b] = np.inf
        return 1
    # The Lagrangian of what the gap left of the box.
    relaxed = base
    size = abs(base)
    left, lowest, price = np.empty(n), np.empty(n), np.empty(items)
    for i in range(n):
        left[i] = volume.position[i]
        slope = nodes.multiplier[i]
        lowest[i] = least_given(nodes.weight[i], nodes.least[i], nodes.x_low[b, i], nodes.x_high[b, i], slope)
        relaxed += lowest[i] + slope * volume.position[i]
        size += abs(lowest[i]) + abs(slope * volume.position[i])
    for k in range(items):
        price[k] = 0.0
        for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
            left[volume.leg[a]] -= low[k] * volume.leg_value[a]
            price[k] += nodes.multiplier[volume.leg[a]] * volume.leg_value[a]
        term = max(price[k] * low[k], price[k] * high[k])
        relaxed -= term
        size += abs(term)
    relaxed -= BOUND_ROUNDING * size
    gap = best.key[0] - relaxed
    if gap <= 0.0:
        nodes.bound[b] = np.inf
        return 1

    lattice = empty_lattice(free[:count].copy(), items, count + n)
    # The parabolas' sum is x'H x - 2 pull'x + constant, x the lots above the low end of the box.
    H, pull = np.zeros((count, count)), np.zeros(count)
    constant = bend_assets(volume, nodes, b, gap, lattice, left, lowest, np.empty(count), H, pull)
    reach = 0.0
    for a in range(count):
        width = float(high[free[a]] - low[free[a]])
        lattice.floor[a] = -SLACK
        lattice.ceiling[a] = width + SLACK
        # A term that is linear, and least at one end.
        curvature = abs(price[free[a]]) / width
        least = width if price[free[a]] > 0.0 else 0.0
        bent = ITEM_SHARE * gap / (count * 0.25 * width * width)
        H[a, a] += curvature + bent
        pull[a] += curvature * least + bent * 0.5 * width
        # The range's own parabola is zero at both ends.
        constant += curvature * least * least
        reach += math.sqrt(H[a, a]) * width
    rounding = BALL_ROUNDING * reach * reach
    if rounding > MOST_ROUNDING * gap or not factorise(H, lattice.R):
        return BALL_NODES
    offset = constant
    for a in range(count):
        lattice.centre[a] = pull[a]
    solve_factored(lattice.R, lattice.centre)
    for a in range(count):
        offset -= lattice.centre[a] * pull[a]
    room = gap + rounding - offset
    if room <= 0.0:
        nodes.bound[b] = np.inf
        return BALL_NODES
    # How many points the ball holds: its volume over that of a cell.
    points = 0.5 * count * math.log(math.pi * room) - math.lgamma(0.5 * count + 1.0)
    for a in range(count):
        points -= math.log(lattice.R[a, a])
        lattice.basis[a, a] = 1.0
        lattice.form[count, a] = lattice.centre[a]
        for i in range(n):
            lattice.form[count, count + i] += volume.items[free[a], i] * lattice.centre[a]
    if points > math.log(MOST_POINTS):
        return BALL_NODES
    reduce_basis(lattice.R, lattice.basis, lattice.centre)
    lay_out(lattice, volume.items)

    most = (max_nodes - BALL_NODES - REDUCED_NODES) * STEPS_PER_NODE
    # What a squared distance in the ball is above the gap to the incumbent.
    above = room - best.key[0]
    steps = walk_points(volume, arrays, nodes, b, lattice, left, np.empty(count), base, above, best, most)
    if lattice.cursor[0] == count:
        nodes.bound[b] = np.inf
    return BALL_NODES + REDUCED_NODES + steps // STEPS_PER_NODE
