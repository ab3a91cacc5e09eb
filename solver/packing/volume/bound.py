"""Lower bounds on the volume of every packing in a box, and the cuts that follow from them.

A node of the search (`solver.packing.volume.best_first`) is a box of residuals times a box of multiples. Its bound
comes in three steps.

1. log det(I + R diag(d)) is submodular in d = x² (its marginals fall as the other d grow: Kelmans and Kimelfeld, 1983,
   Multiplicative submodularity of a matrix's principal minor). So for a <= d <= b it is at least ``volume(a) + Σ h_i``,
   ``h_i = log(1 + P_ii (d_i - a_i))`` with P taken where the assets before i stand at b and those after it at a.
2. Σ h_i(x_i) is separable, but not convex. For any multipliers λ of the rows ``x + B omega = X``, the Lagrangian
   ``λ'X + Σ min (h_i(x_i) - λ_i x_i) + Σ min -(λ'B)_k omega_k`` is a bound, its minima taken exactly, one by one.
3. Good multipliers are the dual solution of the linear programme where each h_i is its chord, by a dual simplex that
   starts from the last node's basis (all variables are boxed, so every basis is dual feasible). Whatever rounding does
   to the tableau, the bound holds, as it is evaluated from λ alone.

What the multipliers show to be no better than the best packing known is cut from the box, and the rest bounded again.
Where all items that can move have the same leg in an asset, its residual lies on a grid, and the box ends on that.
"""

from __future__ import annotations

import math

import numpy as np

from solver.kernels.compiled import compiled_inline
from solver.packing.boxes.tighten import tighten_items
from solver.packing.evaluation import PROOF_TOLERANCE
from solver.packing.volume.dual_simplex import is_infeasible, solve_programme
from solver.packing.volume.nodes import Nodes
from solver.packing.volume.precision import refresh_precision, shift_precision
from solver.packing.volume.scaling import VolumeArrays
from solver.packing.volume.terms import first_within, least_of_term, marginal, smallest_square, stationary

# Passes over the rows when a node is tightened; its children are tightened again.
PROPAGATION_PASSES = 2
# A box that was cut is bounded again, so many times at most, while a range shrinks by more than this share.
SHRINK_ROUNDS = 4
SHRUNK = 0.2
# A node is split on a multiple once chords and coupling account for less than this share of its gap.
SPATIAL_SHARE = 0.2
# Rounding taken off every bound, as a share of the sum of its terms' sizes.
BOUND_ROUNDING = 1e-13


@compiled_inline
def propagate(volume: VolumeArrays, nodes: Nodes, b: int, passes: int) -> bool:
    """Shrink residuals and multiples of node `b` to what the other leaves, row by row; False if nothing is left."""
    x_low, x_high, low, high = nodes.x_low[b], nodes.x_high[b], nodes.low[b], nodes.high[b]
    items, position = volume.items, volume.position
    for _ in range(passes):
        changed = False
        for i in range(position.shape[0]):
            least = 0.0
            most = 0.0
            held = position[i]
            # The leg of all items that are not fixed, if it is the same; negative if not.
            unit = 0.0
            for k in range(low.shape[0]):
                leg = items[k, i]
                if leg > 0.0:
                    least += leg * low[k]
                    most += leg * high[k]
                elif leg < 0.0:
                    least += leg * high[k]
                    most += leg * low[k]
                else:
                    continue
                if low[k] == high[k]:
                    held -= leg * low[k]
                elif unit == 0.0:
                    unit = abs(leg)
                elif unit != abs(leg):
                    unit = -1.0
            # What is packed lies in [floor, ceiling]; the slack covers the rounding of the sums.
            slack = volume.tolerance[i] + 1e-14 * (max(most, -least) + abs(position[i]))
            x_low[i] = max(x_low[i], position[i] - most - slack)
            x_high[i] = min(x_high[i], position[i] - least + slack)
            if unit > 0.0:
                # To what whole lots leave (Chvátal's and Gomory's rounding).
                x_low[i] = max(x_low[i], held - unit * math.floor((held - x_low[i] + slack) / unit) - slack)
                x_high[i] = min(x_high[i], held - unit * math.ceil((held - x_high[i] - slack) / unit) + slack)
            if x_low[i] > x_high[i]:
                return False
            floor = position[i] - x_high[i] - slack
            ceiling = position[i] - x_low[i] + slack
            if floor <= least and ceiling >= most:
                continue
            some, moved = tighten_items(items, i, floor, ceiling, least, most, low, high)
            if not some:
                return False
            changed = changed or moved
        if not changed:
            break
    return True


@compiled_inline
def separate(volume: VolumeArrays, nodes: Nodes, b: int) -> float:
    """Step 1: fill `nodes.weight` with each P_ii and return volume(a). O(n³)."""
    x_low, x_high = nodes.x_low[b], nodes.x_high[b]
    n = x_low.shape[0]
    P = nodes.P
    for i in range(n):
        nodes.multiplier[i] = math.sqrt(smallest_square(x_low[i], x_high[i]))
    base = refresh_precision(volume.correlation, nodes.multiplier, P, nodes.row)
    for at in range(n):
        i = nodes.order[at]
        nodes.weight[i] = max(P[i, i], 0.0)
        least = nodes.multiplier[i] * nodes.multiplier[i]
        nodes.least[i] = least
        most = max(x_low[i] * x_low[i], x_high[i] * x_high[i])
        if most > least:
            shift_precision(P, i, most - least, nodes.row)
    return base


@compiled_inline
def weigh_ends(nodes: Nodes, b: int) -> None:
    """Each h_i at the ends of node `b`, and the slopes of the chords as the costs of the programme."""
    for i in range(nodes.weight.shape[0]):
        low, high = nodes.x_low[b, i], nodes.x_high[b, i]
        nodes.at_low[i] = marginal(nodes.weight[i], nodes.least[i], low)
        nodes.at_high[i] = marginal(nodes.weight[i], nodes.least[i], high)
        nodes.cost[i] = (nodes.at_high[i] - nodes.at_low[i]) / (high - low) if high > low else 0.0


@compiled_inline
def lagrangian(volume: VolumeArrays, nodes: Nodes, b: int, base: float) -> float:
    """Step 2: the bound that `nodes.multiplier` gives node `b`. O(n K)."""
    total = base
    size = abs(base)
    for i in range(volume.position.shape[0]):
        slope = nodes.multiplier[i]
        term = least_of_term(
            nodes.weight[i],
            nodes.least[i],
            nodes.x_low[b, i],
            nodes.x_high[b, i],
            slope,
            nodes.at_low[i],
            nodes.at_high[i],
        )
        nodes.lowest[i] = term
        total += term + slope * volume.position[i]
        size += abs(term) + abs(slope * volume.position[i])
    for k in range(volume.items.shape[0]):
        price = 0.0
        for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
            price += nodes.multiplier[volume.leg[a]] * volume.leg_value[a]
        nodes.price[k] = price
        term = min(-price * nodes.low[b, k], -price * nodes.high[b, k])
        total += term
        size += abs(term)
    return total - BOUND_ROUNDING * size


@compiled_inline
def shrink(volume: VolumeArrays, nodes: Nodes, b: int, bound: float, limit: float) -> float:
    """Cut from node `b` what its Lagrangian shows to be no better than `limit`; returns the widest share cut.

    With all other terms at their minimum, an item or a residual may be no further from its own than the gap allows
    (reduced cost fixing). ``h(x) - slope · x`` is convex near zero and concave beyond, so it has one minimum inside the
    interval at most: where it is within the limit, both ends are cut towards it, else towards the other end.

    Parameters
    ----------
    volume, nodes, b : the problem, the search's arrays and the node in them.
    bound : the node's Lagrangian.
    limit : a volume: what is no better is cut.
    """
    gap = limit - bound
    cut = 0.0
    for k in range(volume.items.shape[0]):
        low, high = nodes.low[b, k], nodes.high[b, k]
        if low == high:
            continue
        price = nodes.price[k]
        if abs(price) * (high - low) <= gap:
            continue
        # The quotient's rounding may be lots of a wide range.
        room = min(math.floor(gap / abs(price) * (1.0 + 1e-9)), high - low)
        if price > 0.0:
            nodes.low[b, k] = high - room
        else:
            nodes.high[b, k] = low + room
        cut = max(cut, 1.0 - room / (high - low))
    for i in range(volume.position.shape[0]):
        low_x, high_x = nodes.x_low[b, i], nodes.x_high[b, i]
        width = high_x - low_x
        if width <= 0.0:
            continue
        weight, least, slope = nodes.weight[i], nodes.least[i], nodes.multiplier[i]
        most = nodes.lowest[i] + gap
        over_low = nodes.at_low[i] - slope * low_x - most
        over_high = nodes.at_high[i] - slope * high_x - most
        if over_low <= 0.0 and over_high <= 0.0:
            continue
        inner = stationary(weight, least, slope)
        over_inner = 1.0
        if low_x < inner < high_x:
            over_inner = marginal(weight, least, inner) - slope * inner - most
        if over_inner > 0.0:
            inner, over_inner = (high_x, over_high) if over_high <= over_low else (low_x, over_low)
            if over_inner > 0.0:
                # Only rounding gets here.
                continue
        if over_low > 0.0:
            nodes.x_low[b, i] = first_within(weight, least, slope, most, low_x, over_low, inner, over_inner)
        if over_high > 0.0:
            nodes.x_high[b, i] = first_within(weight, least, slope, most, high_x, over_high, inner, over_inner)
        cut = max(cut, 1.0 - (nodes.x_high[b, i] - nodes.x_low[b, i]) / width)
    return cut


@compiled_inline
def bound_node(volume: VolumeArrays, nodes: Nodes, b: int, best: float) -> float:
    """Bound node `b` and choose what to branch on; the bound it comes with, its parent's, is kept if higher.

    Returns volume(a) of step 1.
    """
    limit = best * (1.0 - PROOF_TOLERANCE)
    base = 0.0
    for _ in range(SHRINK_ROUNDS):
        if not propagate(volume, nodes, b, PROPAGATION_PASSES):
            nodes.bound[b] = np.inf
            return 0.0
        base = separate(volume, nodes, b)
        weigh_ends(nodes, b)
        row = solve_programme(volume, nodes, b)
        if row >= 0 and is_infeasible(volume, nodes, b, row):
            nodes.bound[b] = np.inf
            return base
        bound = lagrangian(volume, nodes, b, base)
        if not bound > -np.inf:
            # A singular covariance and positions beyond all floors: what overflowed shows nothing.
            break
        nodes.bound[b] = max(nodes.bound[b], bound)
        if nodes.bound[b] >= limit:
            return base
        if shrink(volume, nodes, b, bound, limit) < SHRUNK:
            break

    # Of what is left, for `search_ball`: with the same multipliers and the same h.
    weigh_ends(nodes, b)
    nodes.relaxed[0] = lagrangian(volume, nodes, b, base)
    if nodes.relaxed[0] > nodes.bound[b]:
        nodes.bound[b] = nodes.relaxed[0]
    choose_branch(volume, nodes, b, base, best)
    return base


@compiled_inline
def choose_branch(volume: VolumeArrays, nodes: Nodes, b: int, base: float, best: float) -> None:
    """Keep the point where the programme ended, and choose what to branch on.

    While chords and coupling lose much of the gap, the asset whose h varies most over its range; once whole lots do,
    the item with the narrowest range, as the fewest children fix it. On the 417 hardest of 20,000 steps of real prices
    that bounds half of the boxes that the greatest loss and the most fractional multiple do.

    Parameters
    ----------
    volume, nodes, b : the problem, the search's arrays and the node in them.
    base : volume(a) of step 1.
    best : the incumbent's volume.
    """
    n = volume.position.shape[0]
    x_low, x_high = nodes.x_low[b], nodes.x_high[b]
    chords = 0.0
    widest = 0.0
    asset = -1
    separable = base
    for i in range(n):
        x = min(max(nodes.point[i], x_low[i]), x_high[i])
        height = marginal(nodes.weight[i], nodes.least[i], x)
        separable += height
        chords += height - nodes.multiplier[i] * x - nodes.lowest[i]
        rise = max(nodes.at_low[i], nodes.at_high[i])
        if rise > widest:
            widest = rise
            asset = i
        nodes.solution[b, i] = x
    item = -1
    narrowest = 0.0
    for k in range(volume.items.shape[0]):
        low, high = float(nodes.low[b, k]), float(nodes.high[b, k])
        value = min(max(nodes.point[n + k], low), high)
        nodes.solution[b, n + k] = value
        width = high - low - abs(value - math.floor(value + 0.5))
        if low < high and (item < 0 or width < narrowest):
            narrowest = width
            item = k
    coupling = refresh_precision(volume.correlation, nodes.solution[b, :n], nodes.P, nodes.row) - separable
    gap = best - nodes.bound[b]
    nodes.branch[b] = asset
    if item >= 0 and (asset < 0 or chords + max(coupling, 0.0) < SPATIAL_SHARE * gap):
        nodes.branch[b] = n + item
