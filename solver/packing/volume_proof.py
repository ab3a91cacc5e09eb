"""Lower bounds on the volume of every packing in a box, and the best-first search that they make.

A node of the search is a box of residuals times a box of multiples. Its bound comes in three steps.

1. log det(I + R diag(d)) is submodular in d = x² (its marginals fall as the other d grow: Kelmans and Kimelfeld, 1983,
   Multiplicative submodularity of a matrix's principal minor). So for a <= d <= b it is at least ``volume(a) + Σ h_i``,
   ``h_i = log(1 + P_ii (d_i - a_i))`` with P taken where the assets before i stand at b and those after it at a.
2. Σ h_i(x_i) is separable, but not convex. For any multipliers λ of the rows ``x + B omega = X``, the Lagrangian
   ``λ'X + Σ min (h_i(x_i) - λ_i x_i) + Σ min -(λ'B)_k omega_k`` is a bound, its minima taken exactly, one by one.
3. Good multipliers are the dual solution of the linear programme where each h_i is its chord, by a dual simplex that
   starts from the last node's basis (all variables are boxed, so every basis is dual feasible). Whatever rounding does
   to the tableau, the bound holds, as it is evaluated from λ alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.packing.problem import PROOF_TOLERANCE, PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.repair import repair
from solver.packing.volume import (
    BOX_NODES,
    Search,
    VolumeArrays,
    descend_volume,
    refresh_precision,
    shift_precision,
    stand_at,
)

# Pivots of one linear programme. A node differs from the last by a few bounds; more than this is cycling.
MAX_PIVOTS = 60
# Entries of the tableau below this are not divided by.
PIVOT_FLOOR = 1e-9
# Where a variable that is not basic stands.
AT_LOWER, AT_UPPER = -1, -2
# A reduced cost beyond this, of the wrong sign for the bound a variable stands at, moves it to the other bound. Smaller
# ones are rounding, and variables that follow it would make the dual simplex go in circles.
REDUCED_NOISE = 1e-12
# Violation of a bound that the linear programme lets pass, in lots' risk: it only costs tightness.
FEASIBILITY = 1e-9
# A multiple this close to whole is not branched on.
WHOLE = 1e-6
# Passes over the rows when a node is tightened; its children are tightened again.
PROPAGATION_PASSES = 2
# A node is split on a multiple once chords and coupling account for less than this share of its gap.
SPATIAL_SHARE = 0.2
# Candidates that improving a rounded point may cost, how many boxes are rounded at first, and every how many later.
ROUNDED_NODES = 500
ROUNDED_FIRST = 16
ROUNDED_EVERY = 16
# Boxes with at most so many packings are gone through, for at most so many steps, of which so many count as one node.
MOST_TRIED = 1e6
MOST_STEPS = 4_000
STEPS_PER_NODE = 16
# Rounding taken off every bound, as a share of the sum of its terms' sizes.
BOUND_ROUNDING = 1e-13


class Nodes(NamedTuple):
    """Open nodes in a heap by bound, and what bounding one needs."""

    x_low: FloatArray  # (capacity, n) residuals
    x_high: FloatArray  # (capacity, n)
    low: IntArray  # (capacity, K) multiples
    high: IntArray  # (capacity, K)
    bound: FloatArray  # (capacity,)
    solution: FloatArray  # (capacity, n + K) where the linear programme was left: residuals, multiples
    heap: IntArray  # (capacity,) open nodes, least bound on top
    free: IntArray  # (capacity,) slots in use by none
    tally: IntArray  # (4,) nodes in `heap`, slots in `free`, pivots made, boxes bounded
    branch: IntArray  # (capacity,) asset i, or n + item k, to branch on; -1 for none
    tableau: FloatArray  # (n, n + K) inverse basis times [I, B]
    basis: IntArray  # (n,) variable of each row
    row_of: IntArray  # (n + K,) row of a basic variable; of others, AT_LOWER or AT_UPPER
    P: FloatArray  # (n, n)
    row: FloatArray  # (n,)
    order: IntArray  # (n,) of the assets in step 1
    weight: FloatArray  # (n,) P_ii of step 1
    cost: FloatArray  # (n + K,)
    reduced: FloatArray  # (n + K,)
    point: FloatArray  # (n + K,)
    multiplier: FloatArray  # (n,)
    partial: FloatArray  # (K + 1, n) of `try_out`
    room_low: FloatArray  # (K + 1, n)
    room_high: FloatArray  # (K + 1, n)


def new_nodes(volume: VolumeArrays, capacity: int) -> Nodes:
    """Room for `capacity` open nodes, none of them in use, and the tableau of the basis of residuals."""
    items, n = volume.items.shape
    return Nodes(
        x_low=np.empty((capacity, n)),
        x_high=np.empty((capacity, n)),
        low=np.empty((capacity, items), dtype=np.int64),
        high=np.empty((capacity, items), dtype=np.int64),
        bound=np.empty(capacity),
        solution=np.empty((capacity, n + items)),
        heap=np.empty(capacity, dtype=np.int64),
        free=np.arange(capacity - 1, -1, -1),
        tally=np.array([0, capacity, 0, 0]),
        branch=np.empty(capacity, dtype=np.int64),
        tableau=np.ascontiguousarray(np.hstack([np.eye(n), volume.items.T])),
        basis=np.arange(n),
        row_of=np.concatenate([np.arange(n), np.full(items, AT_LOWER)]),
        P=np.empty((n, n)),
        row=np.empty(n),
        order=np.arange(n),
        weight=np.empty(n),
        cost=np.zeros(n + items),
        reduced=np.zeros(n + items),
        point=np.zeros(n + items),
        multiplier=np.zeros(n),
        partial=np.empty((items + 1, n)),
        room_low=np.empty((items + 1, n)),
        room_high=np.empty((items + 1, n)),
    )


@compiled
def propagate(volume: VolumeArrays, nodes: Nodes, b: int, passes: int) -> bool:
    """Shrink residuals and multiples of node `b` to what the other leaves, row by row; False if nothing is left."""
    x_low, x_high, low, high = nodes.x_low[b], nodes.x_high[b], nodes.low[b], nodes.high[b]
    items, position = volume.items, volume.position
    for _ in range(passes):
        changed = False
        for i in range(position.shape[0]):
            least = 0.0
            most = 0.0
            for k in range(low.shape[0]):
                leg = items[k, i]
                if leg > 0.0:
                    least += leg * low[k]
                    most += leg * high[k]
                elif leg < 0.0:
                    least += leg * high[k]
                    most += leg * low[k]
            # What is packed lies in [floor, ceiling]; the slack covers the rounding of the sums.
            slack = volume.tolerance[i] + 1e-14 * (max(most, -least) + abs(position[i]))
            x_low[i] = max(x_low[i], position[i] - most - slack)
            x_high[i] = min(x_high[i], position[i] - least + slack)
            if x_low[i] > x_high[i]:
                return False
            floor = position[i] - x_high[i] - slack
            ceiling = position[i] - x_low[i] + slack
            if floor <= least and ceiling >= most:
                continue
            for k in range(low.shape[0]):
                leg = items[k, i]
                if leg == 0.0 or low[k] == high[k]:
                    continue
                own_least = min(leg * low[k], leg * high[k])
                own_most = max(leg * low[k], leg * high[k])
                down = (floor - (most - own_most)) / leg
                up = (ceiling - (least - own_least)) / leg
                # Clamped before the conversion: a tiny leg makes quotients that no integer holds.
                new_low = int(min(max(math.ceil(max(min(down, up), -2e9)), low[k]), high[k] + 1))
                new_high = int(max(min(math.floor(min(max(down, up), 2e9)), high[k]), low[k] - 1))
                if new_low > new_high:
                    return False
                if new_low != low[k] or new_high != high[k]:
                    changed = True
                    low[k] = new_low
                    high[k] = new_high
                    least += min(leg * new_low, leg * new_high) - own_least
                    most += max(leg * new_low, leg * new_high) - own_most
        if not changed:
            break
    return True


@compiled
def smallest_square(low: float, high: float) -> float:
    """The least x² over an interval."""
    if low > 0.0:
        return low * low
    if high < 0.0:
        return high * high
    return 0.0


@compiled
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
        most = max(x_low[i] * x_low[i], x_high[i] * x_high[i])
        if most > least:
            shift_precision(P, i, most - least, nodes.row)
    return base


@compiled
def marginal(weight: float, least: float, x: float) -> float:
    """h(x) = log(1 + weight · (x² - least))."""
    return math.log1p(weight * max(x * x - least, 0.0))


@compiled
def least_of_marginal(weight: float, low: float, high: float, slope: float) -> float:
    """The minimum of ``h(x) - slope · x`` over [low, high]: at an end or where the derivative is zero."""
    least = smallest_square(low, high)
    best = min(marginal(weight, least, low) - slope * low, marginal(weight, least, high) - slope * high)
    if low < 0.0 < high:
        best = min(best, 0.0)
    if slope != 0.0 and weight > 0.0:
        # 2 w x = slope · (1 + w (x² - least)); the root nearer to zero is the minimum, the other a maximum.
        inner = 1.0 - slope * slope * (1.0 - weight * least) / weight
        if inner >= 0.0:
            x = slope * (1.0 - weight * least) / (weight * (1.0 + math.sqrt(inner)))
            if low < x < high:
                best = min(best, marginal(weight, least, x) - slope * x)
    return best


@compiled
def lagrangian(volume: VolumeArrays, nodes: Nodes, b: int, base: float) -> float:
    """Step 2: the bound that `nodes.multiplier` gives node `b`. O(n K)."""
    total = base
    size = abs(base)
    for i in range(volume.position.shape[0]):
        slope = nodes.multiplier[i]
        term = least_of_marginal(nodes.weight[i], nodes.x_low[b, i], nodes.x_high[b, i], slope)
        total += term + slope * volume.position[i]
        size += abs(term) + abs(slope * volume.position[i])
    for k in range(volume.items.shape[0]):
        price = 0.0
        for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
            price += nodes.multiplier[volume.leg[a]] * volume.leg_value[a]
        term = min(-price * nodes.low[b, k], -price * nodes.high[b, k])
        total += term
        size += abs(term)
    return total - BOUND_ROUNDING * size


@compiled
def solve_programme(volume: VolumeArrays, nodes: Nodes, b: int) -> int:
    """Step 3: a dual simplex over node `b` for `nodes.cost`; returns the row that shows it to be infeasible, or -1.

    Leaves the multipliers and the point. Stops after MAX_PIVOTS, when both are what they are.
    """
    tableau, basis, row_of = nodes.tableau, nodes.basis, nodes.row_of
    reduced, point, cost = nodes.reduced, nodes.point, nodes.cost
    n = basis.shape[0]
    columns = tableau.shape[1]
    for j in range(columns):
        reduced[j] = cost[j]
    for r in range(n):
        price = cost[basis[r]]
        if price != 0.0:
            for j in range(columns):
                reduced[j] -= price * tableau[r, j]
    infeasible = -1
    for _ in range(MAX_PIVOTS):
        for j in range(columns):
            if row_of[j] < 0:
                if reduced[j] > REDUCED_NOISE:
                    row_of[j] = AT_LOWER
                elif reduced[j] < -REDUCED_NOISE:
                    row_of[j] = AT_UPPER
                if row_of[j] == AT_LOWER:
                    point[j] = nodes.x_low[b, j] if j < n else float(nodes.low[b, j - n])
                else:
                    point[j] = nodes.x_high[b, j] if j < n else float(nodes.high[b, j - n])
        leaving = -1
        worst = FEASIBILITY
        rising = True
        for r in range(n):
            value = 0.0
            for i in range(n):
                value += tableau[r, i] * volume.position[i]
            for j in range(columns):
                if row_of[j] < 0:
                    value -= tableau[r, j] * point[j]
            j = basis[r]
            point[j] = value
            lower = nodes.x_low[b, j] if j < n else float(nodes.low[b, j - n])
            upper = nodes.x_high[b, j] if j < n else float(nodes.high[b, j - n])
            beyond = max(lower - value, value - upper)
            if beyond > worst:
                worst = beyond
                leaving = r
                rising = value < lower
        if leaving < 0:
            break
        entering = -1
        best = np.inf
        size = 0.0
        for j in range(columns):
            if row_of[j] >= 0:
                continue
            entry = tableau[leaving, j]
            if abs(entry) < PIVOT_FLOOR:
                continue
            lower = nodes.x_low[b, j] if j < n else float(nodes.low[b, j - n])
            upper = nodes.x_high[b, j] if j < n else float(nodes.high[b, j - n])
            if lower >= upper:
                continue
            at_lower = row_of[j] == AT_LOWER
            # The basic variable moves by -entry for each unit of j, which can only leave the bound it stands at.
            if (entry < 0.0) == (at_lower == rising):
                quotient = abs(reduced[j] / entry)
                if quotient < best - 1e-12 or (quotient <= best + 1e-12 and abs(entry) > size):
                    best = quotient
                    entering = j
                    size = abs(entry)
        if entering < 0:
            infeasible = leaving
            break
        nodes.tally[2] += 1
        old = basis[leaving]
        inverse = 1.0 / tableau[leaving, entering]
        for j in range(columns):
            tableau[leaving, j] *= inverse
        for r in range(n):
            if r != leaving:
                factor = tableau[r, entering]
                if factor != 0.0:
                    for j in range(columns):
                        tableau[r, j] -= factor * tableau[leaving, j]
        factor = reduced[entering]
        for j in range(columns):
            reduced[j] -= factor * tableau[leaving, j]
        reduced[entering] = 0.0
        basis[leaving] = entering
        row_of[entering] = leaving
        row_of[old] = AT_LOWER if rising else AT_UPPER
    for i in range(n):
        # The columns of the identity hold the inverse basis: cost - multiplier is what is left of them.
        nodes.multiplier[i] = cost[i] - reduced[i]
    return infeasible


@compiled
def is_infeasible(volume: VolumeArrays, nodes: Nodes, b: int, row: int) -> bool:
    """Whether this row of the tableau proves that node `b` holds no point, with room for rounding (Farkas' lemma)."""
    held = 0.0
    least = 0.0
    most = 0.0
    for i in range(volume.position.shape[0]):
        factor = nodes.tableau[row, i]
        held += factor * volume.position[i]
        least += min(factor * nodes.x_low[b, i], factor * nodes.x_high[b, i])
        most += max(factor * nodes.x_low[b, i], factor * nodes.x_high[b, i])
    for k in range(volume.items.shape[0]):
        factor = 0.0
        for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
            factor += nodes.tableau[row, volume.leg[a]] * volume.leg_value[a]
        least += min(factor * nodes.low[b, k], factor * nodes.high[b, k])
        most += max(factor * nodes.low[b, k], factor * nodes.high[b, k])
    slack = 1e-9 * (abs(held) + max(most, -least))
    return bool(held < least - slack or held > most + slack)


@compiled
def bound_node(volume: VolumeArrays, nodes: Nodes, b: int, best: float) -> float:
    """Bound node `b` and choose what to branch on; the bound it comes with, its parent's, is kept if higher.

    Returns volume(a) of step 1.
    """
    n = volume.position.shape[0]
    x_low, x_high = nodes.x_low[b], nodes.x_high[b]
    if not propagate(volume, nodes, b, PROPAGATION_PASSES):
        nodes.bound[b] = np.inf
        return 0.0
    base = separate(volume, nodes, b)
    for i in range(n):
        least = smallest_square(x_low[i], x_high[i])
        width = x_high[i] - x_low[i]
        nodes.cost[i] = 0.0
        if width > 0.0:
            weight = nodes.weight[i]
            nodes.cost[i] = (marginal(weight, least, x_high[i]) - marginal(weight, least, x_low[i])) / width
    row = solve_programme(volume, nodes, b)
    if row >= 0 and is_infeasible(volume, nodes, b, row):
        nodes.bound[b] = np.inf
        return base
    nodes.bound[b] = max(nodes.bound[b], lagrangian(volume, nodes, b, base))
    if nodes.bound[b] >= best * (1.0 - PROOF_TOLERANCE):
        return base

    # Where does the bound lose most? To the chords (asset by asset), to the coupling of assets, or to whole lots.
    chords = 0.0
    widest = 0.0
    asset = -1
    separable = base
    for i in range(n):
        x = min(max(nodes.point[i], x_low[i]), x_high[i])
        least = smallest_square(x_low[i], x_high[i])
        slope = nodes.multiplier[i]
        height = marginal(nodes.weight[i], least, x)
        loss = height - slope * x - least_of_marginal(nodes.weight[i], x_low[i], x_high[i], slope)
        separable += height
        chords += loss
        if loss > widest:
            widest = loss
            asset = i
        nodes.solution[b, i] = x
    for k in range(volume.items.shape[0]):
        nodes.solution[b, n + k] = min(max(nodes.point[n + k], float(nodes.low[b, k])), float(nodes.high[b, k]))
    coupling = refresh_precision(volume.correlation, nodes.solution[b, :n], nodes.P, nodes.row) - separable
    if coupling > 2.0 * widest:
        widest = 0.0
        for i in range(n):
            x = nodes.solution[b, i]
            most = max(x_low[i] * x_low[i], x_high[i] * x_high[i])
            # What the others lose because asset i was taken at its upper end.
            mixed = 0.0
            for j in range(n):
                if j != i:
                    mixed = max(mixed, abs(volume.correlation[i, j]))
            loss = mixed * mixed * math.log((1.0 + most) / (1.0 + x * x))
            if loss > widest:
                widest = loss
                asset = i
    fractional = -1
    furthest = WHOLE
    for k in range(volume.items.shape[0]):
        value = nodes.solution[b, n + k]
        distance = abs(value - math.floor(value + 0.5))
        if nodes.low[b, k] < nodes.high[b, k] and distance > furthest:
            furthest = distance
            fractional = k
    gap = best - nodes.bound[b]
    nodes.branch[b] = asset
    if fractional >= 0 and (asset < 0 or chords + max(coupling, 0.0) < SPATIAL_SHARE * gap):
        nodes.branch[b] = n + fractional
    elif asset < 0:
        # Nothing left to lose, yet the packing at this point has not closed it: halve any range.
        for k in range(volume.items.shape[0]):
            if nodes.low[b, k] < nodes.high[b, k]:
                nodes.branch[b] = n + k
    return base


@compiled
def push(nodes: Nodes, slot: int) -> None:
    """Add a node to the heap."""
    heap, bound = nodes.heap, nodes.bound
    at = nodes.tally[0]
    nodes.tally[0] += 1
    while at > 0 and bound[heap[(at - 1) // 2]] > bound[slot]:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = slot


@compiled
def pop(nodes: Nodes) -> int:
    """Take the node with the least bound from the heap."""
    heap, bound = nodes.heap, nodes.bound
    top = heap[0]
    nodes.tally[0] -= 1
    end = nodes.tally[0]
    if end > 0:
        slot = heap[end]
        at = 0
        while 2 * at + 1 < end:
            child = 2 * at + 1
            if child + 1 < end and bound[heap[child + 1]] < bound[heap[child]]:
                child += 1
            if bound[slot] <= bound[heap[child]]:
                break
            heap[at] = heap[child]
            at = child
        heap[at] = slot
    return int(top)


@compiled
def round_point(volume: VolumeArrays, nodes: Nodes, b: int, multiples: IntArray) -> None:
    """Put the multiples of node `b`'s point, rounded to whole lots, into `multiples`."""
    n = volume.position.shape[0]
    for k in range(multiples.shape[0]):
        nearest = math.floor(nodes.solution[b, n + k] + 0.5)
        multiples[k] = int(min(max(nearest, float(nodes.low[b, k])), float(nodes.high[b, k])))


@compiled
def keep_better(volume: VolumeArrays, arrays: PackingArrays, search: Search, best: Search) -> None:
    """Move `best` to where `search` stands if that precedes it."""
    if precedes(search.state[0], search.state[1], search.multiples, best.state[0], best.state[1], best.multiples):
        copy_multiples(search.multiples, best.multiples)
        stand_at(volume, arrays, best)


@compiled
def improve_from(volume: VolumeArrays, arrays: PackingArrays, search: Search, best: Search, max_nodes: int) -> int:
    """Repair and improve the multiples of `search`, then `keep_better`; returns the candidates judged."""
    spent = repair(arrays, search.multiples)
    stand_at(volume, arrays, search)
    progress = np.zeros(4, dtype=np.int64)
    spent += descend_volume(volume, arrays, search, progress, max_nodes)
    keep_better(volume, arrays, search, best)
    return spent


@compiled
def open_root(volume: VolumeArrays, nodes: Nodes, best: Search) -> bool:
    """Bound the whole problem as the only node; whether it stays open.

    Assets are taken in step 1 by the share of their position that `best` leaves, largest first: conditioning on an
    asset at its upper end costs nothing in packings that leave it there.
    """
    n = volume.position.shape[0]
    # The basis of residuals, so that nothing depends on what was bounded before.
    for i in range(n):
        for j in range(n):
            nodes.tableau[i, j] = 1.0 if i == j else 0.0
        for k in range(volume.items.shape[0]):
            nodes.tableau[i, n + k] = volume.items[k, i]
        nodes.basis[i] = i
        nodes.row_of[i] = i
    for k in range(volume.items.shape[0]):
        nodes.row_of[n + k] = AT_LOWER
    nodes.tally[2] = 0
    nodes.tally[3] = 0
    for at in range(n):
        i = at
        share = abs(best.x[i]) / (1.0 + abs(volume.position[i]))
        while at > 0:
            j = nodes.order[at - 1]
            if abs(best.x[j]) / (1.0 + abs(volume.position[j])) >= share:
                break
            nodes.order[at] = j
            at -= 1
        nodes.order[at] = i
    nodes.tally[0] = 0
    nodes.tally[1] = nodes.free.shape[0] - 1
    for slot in range(nodes.free.shape[0]):
        nodes.free[slot] = nodes.free.shape[0] - 1 - slot
    # Read from the list, not written as 0: numba would compile all that follows once more for the literal.
    root = nodes.free[nodes.tally[1]]
    for i in range(n):
        nodes.x_low[root, i] = volume.least[i]
        nodes.x_high[root, i] = volume.most[i]
    copy_multiples(volume.lower, nodes.low[root])
    copy_multiples(volume.upper, nodes.high[root])
    # No volume is negative.
    nodes.bound[root] = 0.0
    bound_node(volume, nodes, root, best.state[0])
    if nodes.bound[root] >= best.state[0] * (1.0 - PROOF_TOLERANCE):
        return False
    push(nodes, root)
    return True


@compiled
def least_open_bound(nodes: Nodes, best: Search) -> float:
    """What no packing beats: the least bound of an open node, or the best value if none is open."""
    reached = float(best.state[0])
    return min(float(nodes.bound[nodes.heap[0]]), reached) if nodes.tally[0] > 0 else reached


@compiled
def try_out(
    volume: VolumeArrays, arrays: PackingArrays, nodes: Nodes, b: int, base: float, search: Search, best: Search
) -> int:
    """Go through the packings of node `b` item by item, unless there are more than MOST_TRIED; returns the steps made.

    A part is left out when step 1, with every |x_i| at the least that the undecided items can reach, is no better than
    `best`: a product of n factors, no logarithm. That closes the node, or after MOST_STEPS leaves it open.
    """
    n = volume.position.shape[0]
    items = best.multiples.shape[0]
    count = 1.0
    for k in range(items):
        count *= nodes.high[b, k] - nodes.low[b, k] + 1
        if count > MOST_TRIED:
            return 0
    multiples, low, high = search.multiples, nodes.low[b], nodes.high[b]
    partial, room_low, room_high = nodes.partial, nodes.room_low, nodes.room_high
    x_low, x_high, weight, items_x = nodes.x_low[b], nodes.x_high[b], nodes.weight, volume.items
    # Below depth d the items before d are decided: `partial` is the residual of those, and the others take between
    # `room_low` and `room_high` from it.
    for i in range(n):
        partial[0, i] = volume.position[i]
        room_low[items, i] = 0.0
        room_high[items, i] = 0.0
    for k in range(items - 1, -1, -1):
        for i in range(n):
            one, two = items_x[k, i] * low[k], items_x[k, i] * high[k]
            room_low[k, i] = room_low[k + 1, i] + min(one, two)
            room_high[k, i] = room_high[k + 1, i] + max(one, two)
    limit = math.exp(min(best.state[0] * (1.0 - PROOF_TOLERANCE) - base, 700.0))
    steps = 0
    depth = 0
    multiples[0] = low[0] - 1
    while depth >= 0:
        multiples[depth] += 1
        if multiples[depth] > high[depth]:
            depth -= 1
            continue
        steps += 1
        if steps > MOST_STEPS:
            break
        product = 1.0
        for i in range(n):
            x = partial[depth, i] - multiples[depth] * items_x[depth, i]
            partial[depth + 1, i] = x
            slack = volume.tolerance[i]
            least = x - room_high[depth + 1, i] - slack
            most = x - room_low[depth + 1, i] + slack
            if least > x_high[i] or most < x_low[i]:
                product = np.inf
                break
            product *= 1.0 + weight[i] * max(smallest_square(least, most) - smallest_square(x_low[i], x_high[i]), 0.0)
        # 1e-12: the rounding of the product.
        if product * (1.0 - 1e-12) >= limit:
            continue
        if depth + 1 < items:
            depth += 1
            multiples[depth] = low[depth] - 1
            continue
        kept, value, tie = evaluate(arrays, multiples)
        if kept and precedes(value, tie, multiples, best.state[0], best.state[1], best.multiples):
            copy_multiples(multiples, best.multiples)
            best.state[0] = value
            best.state[1] = tie
            limit = math.exp(min(value * (1.0 - PROOF_TOLERANCE) - base, 700.0))
    stand_at(volume, arrays, best)
    if depth < 0:
        nodes.bound[b] = np.inf
    return steps


@compiled
def search_nodes(
    volume: VolumeArrays,
    arrays: PackingArrays,
    nodes: Nodes,
    search: Search,
    best: Search,
    enough: float,
    max_nodes: int,
) -> int:
    """Best first over the open nodes, until none is left whose bound is more than `enough` below the best value.

    Every bounded box costs BOX_NODES of `max_nodes`. The first boxes' points are rounded and improved, later ones'
    now and then. Returns the nodes spent; stops early when there is no room for another node.
    """
    n = volume.position.shape[0]
    items = best.multiples.shape[0]
    spent = 0
    while nodes.tally[0] > 0 and spent < max_nodes and nodes.tally[1] > 0:
        parent = nodes.heap[0]
        if nodes.bound[parent] >= best.state[0] * (1.0 - PROOF_TOLERANCE) - enough:
            break
        parent = pop(nodes)
        other = nodes.free[nodes.tally[1] - 1]
        variable = nodes.branch[parent]
        for j in range(n):
            nodes.x_low[other, j] = nodes.x_low[parent, j]
            nodes.x_high[other, j] = nodes.x_high[parent, j]
        for k in range(items):
            nodes.low[other, k] = nodes.low[parent, k]
            nodes.high[other, k] = nodes.high[parent, k]
        nodes.bound[other] = nodes.bound[parent]
        if variable < n:
            low, high = nodes.x_low[parent, variable], nodes.x_high[parent, variable]
            room = 0.1 * (high - low)
            at = min(max(nodes.solution[parent, variable], low + room), high - room)
            nodes.x_high[parent, variable] = at
            nodes.x_low[other, variable] = at
        else:
            k = variable - n
            at = math.floor(nodes.solution[parent, variable])
            whole = int(min(max(at, float(nodes.low[parent, k])), float(nodes.high[parent, k] - 1)))
            nodes.high[parent, k] = whole
            nodes.low[other, k] = whole + 1
        nodes.tally[1] -= 1
        for child in (parent, other):
            spent += BOX_NODES
            nodes.tally[3] += 1
            base = bound_node(volume, nodes, child, best.state[0])
            if nodes.bound[child] < best.state[0] * (1.0 - PROOF_TOLERANCE) - enough:
                spent += try_out(volume, arrays, nodes, child, base, search, best) // STEPS_PER_NODE
            if nodes.bound[child] >= best.state[0] * (1.0 - PROOF_TOLERANCE) - enough:
                nodes.free[nodes.tally[1]] = child
                nodes.tally[1] += 1
                continue
            push(nodes, child)
            if nodes.tally[3] <= ROUNDED_FIRST or nodes.tally[3] % ROUNDED_EVERY == 0:
                round_point(volume, nodes, child, search.multiples)
                spent += improve_from(volume, arrays, search, best, min(ROUNDED_NODES, max_nodes))
    return spent
