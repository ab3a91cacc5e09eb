"""Lower bounds on the volume of every packing in a box, and what they leave of it.

A node of the search (`solver.packing.volume_tree`) is a box of residuals times a box of multiples. Its bound comes in
three steps.

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
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.packing.problem import PROOF_TOLERANCE
from solver.packing.volume import VolumeArrays, refresh_precision, shift_precision

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
# What the gap leaves of a box is bounded again, so many times at most, while a range shrinks by more than this share.
SHRINK_ROUNDS = 4
SHRUNK = 0.2
# Halvings when the end of a residual's range is looked for.
SHRINK_HALVINGS = 7
# A node is split on a multiple once chords and coupling account for less than this share of its gap.
SPATIAL_SHARE = 0.2
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
    tally: IntArray  # (3,) nodes in `heap`, slots in `free`, boxes bounded
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
    least: FloatArray  # (n,) each a_i of step 1
    trial: IntArray  # (K,) of `walk_ball`


@compiled
def new_nodes(items: int, assets: int, capacity: int) -> Nodes:
    """Room for `capacity` open nodes; `open_root` puts the first one in."""
    columns = assets + items
    return Nodes(
        x_low=np.empty((capacity, assets)),
        x_high=np.empty((capacity, assets)),
        low=np.empty((capacity, items), dtype=np.int64),
        high=np.empty((capacity, items), dtype=np.int64),
        bound=np.empty(capacity),
        solution=np.empty((capacity, columns)),
        heap=np.empty(capacity, dtype=np.int64),
        free=np.empty(capacity, dtype=np.int64),
        tally=np.zeros(3, dtype=np.int64),
        branch=np.empty(capacity, dtype=np.int64),
        tableau=np.empty((assets, columns)),
        basis=np.empty(assets, dtype=np.int64),
        row_of=np.empty(columns, dtype=np.int64),
        P=np.empty((assets, assets)),
        row=np.empty(assets),
        order=np.empty(assets, dtype=np.int64),
        weight=np.empty(assets),
        cost=np.zeros(columns),
        reduced=np.zeros(columns),
        point=np.zeros(columns),
        multiplier=np.zeros(assets),
        least=np.zeros(assets),
        trial=np.zeros(items, dtype=np.int64),
    )


@compiled_borrowing
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


@compiled_borrowing
def smallest_square(low: float, high: float) -> float:
    """The least x² over an interval."""
    if low > 0.0:
        return low * low
    if high < 0.0:
        return high * high
    return 0.0


@compiled_borrowing
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


@compiled_borrowing
def marginal(weight: float, least: float, x: float) -> float:
    """h(x) = log(1 + weight · (x² - least))."""
    return math.log1p(weight * max(x * x - least, 0.0))


@compiled_borrowing
def stationary(weight: float, least: float, slope: float) -> float:
    """Where ``h(x) - slope · x`` has its local minimum, or infinity.

    ``2 w x = slope · (1 + w (x² - least))``: the root nearer to zero is the minimum, the other a maximum.
    """
    if weight <= 0.0:
        return math.inf
    inner = 1.0 - slope * slope * (1.0 - weight * least) / weight
    if inner < 0.0:
        return math.inf
    return slope * (1.0 - weight * least) / (weight * (1.0 + math.sqrt(inner)))


@compiled_borrowing
def least_of_marginal(weight: float, low: float, high: float, slope: float) -> float:
    """The minimum of ``h(x) - slope · x`` over [low, high]: at an end or where the derivative is zero."""
    return least_given(weight, smallest_square(low, high), low, high, slope)


@compiled_borrowing
def least_given(weight: float, least: float, low: float, high: float, slope: float) -> float:
    """The same where h was taken for a box that holds this one."""
    best = min(marginal(weight, least, low) - slope * low, marginal(weight, least, high) - slope * high)
    if low < 0.0 < high:
        best = min(best, 0.0)
    x = stationary(weight, least, slope)
    if low < x < high:
        best = min(best, marginal(weight, least, x) - slope * x)
    return best


@compiled_borrowing
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


@compiled_borrowing
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


@compiled_borrowing
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


@compiled_borrowing
def first_within(weight: float, least: float, slope: float, limit: float, outside: float, inside: float) -> float:
    """A point between `outside`, where ``h(x) - slope · x`` exceeds `limit`, and the first towards `inside` where not.

    There is one crossing between the two (see `shrink`); a few halvings bring all but a share of 2⁻⁷ of what there is.
    """
    for _ in range(SHRINK_HALVINGS):
        middle = 0.5 * (outside + inside)
        if marginal(weight, least, middle) - slope * middle > limit:
            outside = middle
        else:
            inside = middle
    return outside


@compiled_borrowing
def shrink(volume: VolumeArrays, nodes: Nodes, b: int, bound: float, limit: float) -> float:
    """Cut from node `b` what its Lagrangian shows to be no better than `limit`; returns the widest share cut.

    With all other terms at their minimum, an item or a residual may be no further from its own than the gap allows
    (reduced cost fixing). ``h(x) - slope · x`` is convex near zero and concave beyond, so it has one minimum inside the
    interval at most: where it is within the limit, both ends are cut towards it, else towards the other end.
    """
    gap = limit - bound
    cut = 0.0
    for k in range(volume.items.shape[0]):
        low, high = nodes.low[b, k], nodes.high[b, k]
        if low == high:
            continue
        price = 0.0
        for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
            price += nodes.multiplier[volume.leg[a]] * volume.leg_value[a]
        if abs(price) * (high - low) <= gap:
            continue
        room = math.floor(gap / abs(price) * (1.0 + 1e-9))
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
        weight, slope = nodes.weight[i], nodes.multiplier[i]
        least = smallest_square(low_x, high_x)
        at_low = marginal(weight, least, low_x) - slope * low_x
        at_high = marginal(weight, least, high_x) - slope * high_x
        lowest = least_of_marginal(weight, low_x, high_x, slope)
        most = lowest + gap
        if at_low <= most and at_high <= most:
            continue
        inner = stationary(weight, least, slope)
        if not (low_x < inner < high_x and marginal(weight, least, inner) - slope * inner <= most):
            inner = high_x if at_high <= most else low_x
        if at_low > most:
            nodes.x_low[b, i] = first_within(weight, least, slope, most, low_x, inner)
        if at_high > most:
            nodes.x_high[b, i] = first_within(weight, least, slope, most, high_x, inner)
        cut = max(cut, 1.0 - (nodes.x_high[b, i] - nodes.x_low[b, i]) / width)
    return cut


@compiled_borrowing
def bound_node(volume: VolumeArrays, nodes: Nodes, b: int, best: float) -> float:
    """Bound node `b` and choose what to branch on; the bound it comes with, its parent's, is kept if higher.

    Returns volume(a) of step 1.
    """
    n = volume.position.shape[0]
    x_low, x_high = nodes.x_low[b], nodes.x_high[b]
    limit = best * (1.0 - PROOF_TOLERANCE)
    base = 0.0
    for _ in range(SHRINK_ROUNDS):
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
        bound = lagrangian(volume, nodes, b, base)
        nodes.bound[b] = max(nodes.bound[b], bound)
        if nodes.bound[b] >= limit:
            return base
        if shrink(volume, nodes, b, bound, limit) < SHRUNK:
            break

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
