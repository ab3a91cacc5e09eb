"""The linear programme of a box of the volume's search: dual simplex from the last box's basis, and Farkas' lemma.

Minimise ``cost @ x`` over residuals and multiples of the box with ``x + B omega = X``. All variables are boxed, so
every basis is dual feasible once each that is not basic stands at the bound that its reduced cost asks for.
"""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.kernels.compiled import compiled_borrowing, compiled_inline
from solver.packing.volume.nodes import Nodes
from solver.packing.volume.scaling import VolumeArrays

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


@compiled_borrowing
def ends(nodes: Nodes, b: int, j: int) -> tuple[float, float]:
    """The range of variable `j` of the programme in node `b`: residuals, then multiples."""
    n = nodes.basis.shape[0]
    if j < n:
        return nodes.x_low[b, j], nodes.x_high[b, j]
    return float(nodes.low[b, j - n]), float(nodes.high[b, j - n])


@compiled_borrowing
def weighed_sum(one: FloatArray, other: FloatArray) -> float:
    """one @ other, in four sums side by side: each addition of a single one would wait for the last."""
    count = one.shape[0]
    a = b = c = d = 0.0
    j = 0
    while j + 3 < count:
        a += one[j] * other[j]
        b += one[j + 1] * other[j + 1]
        c += one[j + 2] * other[j + 2]
        d += one[j + 3] * other[j + 3]
        j += 4
    while j < count:
        a += one[j] * other[j]
        j += 1
    return (a + b) + (c + d)


@compiled_inline
def solve_programme(volume: VolumeArrays, nodes: Nodes, b: int) -> int:
    """Step 3: a dual simplex over node `b` for `nodes.cost`; returns the row that shows it to be infeasible, or -1.

    Leaves the multipliers and the point. Stops after MAX_PIVOTS, when both are what they are.
    """
    start_from_basis(volume, nodes, b)
    infeasible = -1
    for _ in range(MAX_PIVOTS):
        leaving, worst, rising = leaving_row(nodes, b)
        if leaving < 0:
            break
        entering = entering_column(nodes, b, leaving, rising)
        if entering < 0:
            infeasible = leaving
            break
        pivot(nodes, b, leaving, entering, worst if not rising else -worst, rising)
    for i in range(nodes.basis.shape[0]):
        # The columns of the identity hold the inverse basis: cost - multiplier is what is left of them.
        nodes.multiplier[i] = nodes.cost[i] - nodes.reduced[i]
    return infeasible


@compiled_inline
def start_from_basis(volume: VolumeArrays, nodes: Nodes, b: int) -> None:
    """From the last basis: reduced costs, nonbasic variables at the bounds those ask for, and the basic variables."""
    tableau, basis, row_of = nodes.tableau, nodes.basis, nodes.row_of
    reduced, point, weighed = nodes.reduced, nodes.point, nodes.weighed
    n = basis.shape[0]
    columns = tableau.shape[1]
    for j in range(columns):
        reduced[j] = nodes.cost[j]
    for r in range(n):
        price = nodes.cost[basis[r]]
        if price != 0.0:
            for j in range(columns):
                reduced[j] -= price * tableau[r, j]
    for j in range(columns):
        # The first n columns are the inverse basis.
        weighed[j] = volume.position[j] if j < n else 0.0
        if row_of[j] >= 0:
            continue
        if reduced[j] > REDUCED_NOISE:
            row_of[j] = AT_LOWER
        elif reduced[j] < -REDUCED_NOISE:
            row_of[j] = AT_UPPER
        lower, upper = ends(nodes, b, j)
        point[j] = lower if row_of[j] == AT_LOWER else upper
        weighed[j] -= point[j]
    for r in range(n):
        point[basis[r]] = weighed_sum(tableau[r], weighed)


@compiled_inline
def leaving_row(nodes: Nodes, b: int) -> tuple[int, float, bool]:
    """The row whose basic variable is furthest out of its range, by how much, and whether it has to rise; or -1."""
    leaving = -1
    worst = FEASIBILITY
    rising = True
    for r in range(nodes.basis.shape[0]):
        j = nodes.basis[r]
        lower, upper = ends(nodes, b, j)
        beyond = max(lower - nodes.point[j], nodes.point[j] - upper)
        if beyond > worst:
            worst = beyond
            leaving = r
            rising = nodes.point[j] < lower
    return leaving, worst, rising


@compiled_inline
def entering_column(nodes: Nodes, b: int, leaving: int, rising: bool) -> int:
    """The ratio test of the dual simplex: the nonbasic variable whose reduced cost reaches zero first, or -1.

    Of equal ratios, the one of largest entry.
    """
    tableau, row_of = nodes.tableau, nodes.row_of
    entering = -1
    best = np.inf
    size = 0.0
    for j in range(tableau.shape[1]):
        entry = tableau[leaving, j]
        if row_of[j] >= 0 or abs(entry) < PIVOT_FLOOR:
            continue
        # The basic variable moves by -entry for each unit of j, which can only leave the bound it stands at.
        if (entry < 0.0) == ((row_of[j] == AT_LOWER) == rising):
            lower, upper = ends(nodes, b, j)
            quotient = abs(nodes.reduced[j] / entry)
            if lower < upper and (quotient < best - 1e-12 or (quotient <= best + 1e-12 and abs(entry) > size)):
                best = quotient
                entering = j
                size = abs(entry)
    return entering


@compiled_inline
def pivot(nodes: Nodes, b: int, leaving: int, entering: int, beyond: float, rising: bool) -> None:
    """Exchange the basic variable of row `leaving`, which moves to the bound it missed by `beyond`, for `entering`.

    Parameters
    ----------
    nodes, b : the search's arrays and the node in them.
    leaving : the row of the basic variable that leaves.
    entering : the variable that enters.
    beyond : by how much the leaving one misses its bound, > 0 above it.
    rising : whether it moves up to its lower bound.
    """
    tableau, basis, row_of = nodes.tableau, nodes.basis, nodes.row_of
    reduced, point = nodes.reduced, nodes.point
    n = basis.shape[0]
    columns = tableau.shape[1]
    old = basis[leaving]
    inverse = 1.0 / tableau[leaving, entering]
    moved = inverse * beyond
    for j in range(columns):
        tableau[leaving, j] *= inverse
    for r in range(n):
        if r != leaving:
            factor = tableau[r, entering]
            if factor != 0.0:
                for j in range(columns):
                    tableau[r, j] -= factor * tableau[leaving, j]
                point[basis[r]] -= factor * moved
    factor = reduced[entering]
    for j in range(columns):
        reduced[j] -= factor * tableau[leaving, j]
    reduced[entering] = 0.0
    lower, upper = ends(nodes, b, old)
    point[old] = lower if rising else upper
    point[entering] += moved
    basis[leaving] = entering
    row_of[entering] = leaving
    row_of[old] = AT_LOWER if rising else AT_UPPER


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
