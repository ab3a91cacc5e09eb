"""Enumerates every packing in a search node that could beat the incumbent, in a reduced lattice basis.

With more items than assets, many combinations of lots hardly change the residual, and a search item by item sees that
only at the last one. The Lagrangian of `solver.packing.volume.bound` is a sum of a term for each asset and each item.
What a packing has above their minima, t_j >= 0, adds up to less than the gap between the incumbent and the bound. On
the range of its asset or item a parabola lies below each t_j, so the sum of the parabolas holds all that is better in a
ball, which is searched as in `solver.packing.lattice.sphere_search`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled_borrowing, compiled_inline
from solver.packing.evaluation import PROOF_TOLERANCE, PackingArrays
from solver.packing.incumbent import Incumbent, judge
from solver.packing.lattice.reduction import factorise, reduce_basis, solve_factored
from solver.packing.lattice.sphere_search import SLACK, Lattice, bend, lay_out, next_leaf, read_point
from solver.packing.volume.nodes import Nodes
from solver.packing.volume.scaling import VolumeArrays
from solver.packing.volume.terms import marginal, stationary

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

    h is convex near zero and concave beyond (see `shrink` in `solver.packing.volume.bound`), and bends less and less
    up to there. So on the way out from its minimum m, t less the parabola is convex, then concave, and not negative
    where it is not at the end.

    Parameters
    ----------
    weight, least : of h, see `solver.packing.volume.terms.marginal`.
    slope : the multiplier of the asset's row.
    low, high : the range of the residual, lots' risk.
    lowest : the minimum of ``h(x) - slope · x`` on it.
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


class Ball(NamedTuple):
    """All of a box that can beat the incumbent: ``|R (lots - centre)|² <= room``, lots above the low end of the box.

    The parabolas' sum is ``lots' H lots - 2 pull' lots`` and a constant, H = R'R.
    """

    free: IntArray  # (count,) the items that can move
    left: FloatArray  # (n,) the residual with every item at its low end
    H: FloatArray  # (count, count)
    R: FloatArray  # (count, count) upper triangular
    pull: FloatArray  # (count,)
    centre: FloatArray  # (count,)
    legs: FloatArray  # (count,) of one asset


@compiled_inline
def ball_in(nodes: Nodes, count: int) -> tuple[Ball, int]:
    """A ball of so many items in the scratch room of `nodes`, H and pull zero; and how much of the room it takes."""
    room, square, n = nodes.room, count * count, nodes.weight.shape[0]
    at = 2 * square
    ball = Ball(
        free=nodes.free_items[:count],
        H=room[:square].reshape(count, count),
        R=room[square:at].reshape(count, count),
        pull=room[at : at + count],
        centre=room[at + count : at + 2 * count],
        legs=room[at + 2 * count : at + 3 * count],
        left=room[at + 3 * count : at + 3 * count + n],
    )
    for a in range(count):
        ball.pull[a] = 0.0
        for c in range(count):
            ball.H[a, c] = 0.0
    return ball, at + 3 * count + n


@compiled_inline
def bend_assets(volume: VolumeArrays, nodes: Nodes, b: int, gap: float, ball: Ball) -> float:
    """Add the parabolas of the assets of node `b` to the ball; returns what the constant gains.

    Parameters
    ----------
    volume, nodes, b : the problem, the search's arrays and the node in them.
    gap : between the incumbent and the node's Lagrangian.
    ball : its H and `pull` are added to.
    """
    x_low, x_high = nodes.x_low[b], nodes.x_high[b]
    legs, left, free = ball.legs, ball.left, ball.free
    n, count = left.shape[0], legs.shape[0]
    constant = 0.0
    for i in range(n):
        largest = 0.0
        smallest = math.inf
        for a in range(count):
            legs[a] = volume.items[free[a], i]
            if legs[a] != 0.0:
                largest = max(largest, abs(legs[a]))
                smallest = min(smallest, abs(legs[a]))
        nodes.largest[i] = largest
        if largest < NO_LEG:
            continue
        # Where all legs are one step, a ball thinner than the step holds no fewer points, only its volume says so.
        narrowest = 0.5 * largest if smallest == largest else NARROWEST * largest
        half = max(0.5 * (x_high[i] - x_low[i]), narrowest)
        bent = ASSET_SHARE * gap / (n * half * half)
        middle = left[i] - 0.5 * (x_low[i] + x_high[i])
        constant += bent * (middle * middle - half * half)
        if x_high[i] - x_low[i] <= SLACK * largest:
            bend(legs, bent, middle, ball.H, ball.pull)
            continue
        curvature, centre = parabola(
            nodes.weight[i], nodes.least[i], nodes.multiplier[i], x_low[i], x_high[i], nodes.lowest[i]
        )
        curvature = min(curvature, gap / narrowest**2)
        target = left[i] - centre
        constant += curvature * target * target
        # Both at once: their sum is a parabola about the mean of the two.
        total = curvature + bent
        if total > 0.0:
            bend(legs, total, (curvature * target + bent * middle) / total, ball.H, ball.pull)
    return constant


@compiled_inline
def bend_items(nodes: Nodes, b: int, gap: float, ball: Ball) -> tuple[float, float]:
    """Add the parabolas of the items, last of all; returns what the constant gains, and the reach of the box.

    The reach is that of its lots in the norm of H.
    """
    constant = 0.0
    reach = 0.0
    count = ball.free.shape[0]
    for a in range(count):
        k = ball.free[a]
        width = float(nodes.high[b, k] - nodes.low[b, k])
        # A term that is linear, and least at one end.
        curvature = abs(nodes.price[k]) / width
        least = width if nodes.price[k] > 0.0 else 0.0
        bent = ITEM_SHARE * gap / (count * 0.25 * width * width)
        ball.H[a, a] += curvature + bent
        ball.pull[a] += curvature * least + bent * 0.5 * width
        # The range's own parabola is zero at both ends.
        constant += curvature * least * least
        reach += math.sqrt(ball.H[a, a]) * width
    return constant, reach


@compiled_inline
def fill_ball(volume: VolumeArrays, nodes: Nodes, b: int, gap: float, ball: Ball) -> float:
    """Make the ball of node `b`, and return its squared radius; infinite if it is too flat for the arithmetic.

    Parameters
    ----------
    volume, nodes, b : the problem, the search's arrays and the node in them.
    gap : between the incumbent and the node's Lagrangian.
    ball : its free items are listed, the rest is filled in.
    """
    left, count = ball.left, ball.free.shape[0]
    for i in range(left.shape[0]):
        left[i] = volume.position[i]
    for k in range(volume.items.shape[0]):
        if nodes.low[b, k] != 0:
            for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
                left[volume.leg[a]] -= nodes.low[b, k] * volume.leg_value[a]
    offset = bend_assets(volume, nodes, b, gap, ball)
    constant, reach = bend_items(nodes, b, gap, ball)
    offset += constant
    rounding = BALL_ROUNDING * reach * reach
    if rounding > MOST_ROUNDING * gap or not factorise(ball.H, ball.R):
        return math.inf
    for a in range(count):
        ball.centre[a] = ball.pull[a]
    solve_factored(ball.R, ball.centre)
    for a in range(count):
        offset -= ball.centre[a] * ball.pull[a]
    return gap + rounding - offset


@compiled_inline
def log_points(ball: Ball, room: float) -> float:
    """Logarithm of how many points the ball holds: its volume over that of a cell."""
    count = ball.free.shape[0]
    points = 0.5 * count * math.log(math.pi * room) - math.lgamma(0.5 * count + 1.0)
    for a in range(count):
        points -= math.log(ball.R[a, a])
    return float(points)


@compiled_inline
def lattice_in(volume: VolumeArrays, nodes: Nodes, b: int, ball: Ball, taken: int) -> Lattice:
    """A search of the ball, its basis reduced, in what is left of the scratch room of `nodes`.

    Parameters
    ----------
    volume, nodes, b : the problem, the search's arrays and the node in them.
    ball : filled.
    taken : how much of the scratch room it takes.
    """
    low, high, free, left = nodes.low[b], nodes.high[b], ball.free, ball.left
    count, n = free.shape[0], left.shape[0]
    forms = count + n
    room = nodes.room[taken:]
    square, wide = count * count, count * forms
    lines = square + wide
    # What only the search of `exact` reads is left empty.
    line = lines + 2 * (wide + forms)
    for at in range(line + 2 * forms + 7 * count + 1):
        room[at] = 0.0
    point = line + 2 * forms
    lattice = Lattice(
        free=free,
        fixed=room[:0],
        basis=room[:square].reshape(count, count),
        R=ball.R,
        centre=ball.centre,
        direction=room[square:lines].reshape(count, forms),
        extent=room[lines : lines + wide + forms].reshape(count + 1, forms),
        form=room[lines + wide + forms : line].reshape(count + 1, forms),
        floor=room[line : line + forms],
        ceiling=room[line + forms : point],
        bound=room[point : point + count + 1],
        z=room[point + count + 1 : point + 2 * count + 1],
        middle=room[point + 2 * count + 1 : point + 3 * count + 1],
        next_z=room[point + 3 * count + 1 : point + 5 * count + 1].reshape(2, count),
        next_bound=room[point + 5 * count + 1 : point + 7 * count + 1].reshape(2, count),
        lots=ball.legs,
        off=room[:0],
        pull=ball.pull,
        trial=nodes.trial,
        cursor=nodes.cursor,
    )
    lattice.cursor[0] = count - 1
    lattice.cursor[1] = 1
    for a in range(count):
        lattice.floor[a] = -SLACK
        lattice.ceiling[a] = high[free[a]] - low[free[a]] + SLACK
        lattice.basis[a, a] = 1.0
        lattice.form[count, a] = ball.centre[a]
        for c in range(volume.leg_start[free[a]], volume.leg_start[free[a] + 1]):
            lattice.form[count, count + volume.leg[c]] += volume.leg_value[c] * ball.centre[a]
    for i in range(n):
        slack = volume.tolerance[i] + SLACK * nodes.largest[i]
        lattice.floor[count + i] = left[i] - nodes.x_high[b, i] - slack
        lattice.ceiling[count + i] = left[i] - nodes.x_low[b, i] + slack
    reduce_basis(lattice.R, lattice.basis, lattice.centre)
    lay_out(lattice, volume.items)
    return lattice


@compiled_inline
def judge_points(
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

    Parameters
    ----------
    volume, arrays : the problem, scaled and as it is.
    nodes, b : the search's arrays and the node in them.
    lattice : the search, advanced.
    left : (n,) residual with every item at its low end, lots' risk.
    lots : (count,) overwritten.
    base : volume(a) of the node's bound.
    above : what is added to the incumbent's value for the squared radius.
    best : replaced by what precedes it.
    most : steps at most.
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


@compiled_inline
def search_ball(
    volume: VolumeArrays, arrays: PackingArrays, nodes: Nodes, b: int, base: float, best: Incumbent, max_nodes: int
) -> int:
    """Search node `b`, which was just bounded with volume(a) = `base`, unless its ball is too large.

    That closes the node, or leaves it open where `max_nodes` end the search. Returns the nodes spent.

    Parameters
    ----------
    volume, arrays : the problem, scaled and as it is.
    nodes, b : the search's arrays and the node in them.
    base : volume(a) of the node's bound.
    best : replaced by what precedes it.
    max_nodes : that may be spent.
    """
    low, high, trial = nodes.low[b], nodes.high[b], nodes.trial
    count = 0
    for k in range(low.shape[0]):
        trial[k] = low[k]
        if low[k] < high[k]:
            nodes.free_items[count] = k
            count += 1
    if count == 0:
        judge(arrays, best, trial)
        nodes.bound[b] = np.inf
        return 1
    gap = best.key[0] - nodes.relaxed[0]
    if gap <= 0.0:
        nodes.bound[b] = np.inf
        return 1
    ball, taken = ball_in(nodes, count)
    room = fill_ball(volume, nodes, b, gap, ball)
    if room <= 0.0:
        nodes.bound[b] = np.inf
        return BALL_NODES
    # Not NaN either, as of a factor that was not finished.
    if not log_points(ball, room) <= math.log(MOST_POINTS):
        return BALL_NODES
    lattice = lattice_in(volume, nodes, b, ball, taken)
    most = (max_nodes - BALL_NODES - REDUCED_NODES) * STEPS_PER_NODE
    # What a squared distance in the ball is above the gap to the incumbent.
    above = room - best.key[0]
    steps = judge_points(volume, arrays, nodes, b, lattice, ball.left, ball.legs, base, above, best, most)
    if lattice.cursor[0] == count:
        nodes.bound[b] = np.inf
    return BALL_NODES + REDUCED_NODES + steps // STEPS_PER_NODE
