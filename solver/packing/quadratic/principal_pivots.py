"""The relaxation of a box without rows, by principal pivots on one symmetric tableau.

Where nothing couples the multiples but the variance, few of them end between their edges (a bound, or zero where the
cost bends). A few rounds of coordinate descent tell most of those few. They become free one after the other: a multiple
that becomes free moves, and takes those along that are free already, until it rests or one of them meets an edge. Then
any held multiple that still wants to move follows, the one with most to gain first, until none does.
`solver.packing.quadratic.active_set` does the opposite: it takes in one constraint after the other.

What ends where is different in each box, so that a processor guesses every second branch on it wrong, and each of those
costs as much as a vector of arithmetic. So nothing in the loops over the items branches.

References
----------
Keller (1973), The general quadratic optimization problem (principal pivots on one symmetric tableau).
Goodnight (1979), A tutorial on the SWEEP operator.
Friedman, Hastie, Höfling and Tibshirani (2007), Pathwise coordinate optimization (one multiple at a time, with costs).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.packing.evaluation import PackingArrays
from solver.packing.quadratic.metric import Frame, Metric
from solver.packing.quadratic.relaxation import DEPENDENT, FEASIBLE, Relaxed

# Rounds before the first multiple becomes free: with two to six, all takes about as long.
ROUNDS = 4
# One over less than that is infinite.
LEAST_RISK = float(np.finfo(np.float64).tiny)


class Tableau(NamedTuple):
    """Room for the pivots: how the multiples follow each other, and where each stands."""

    T: FloatArray  # (K, K), see `sweep`
    rows: FloatArray  # (ROWS, K), the following


# Two arrays in all, as each is copied at each call of a kernel that is given them.
PULL = 0  # half of the slope of the variance, downwards
BEND = 1  # half of the cost
PER = 2  # 1 / B'ΣB of the multiple alone, zero for a riskless one
BOTTOM, TOP = 3, 4  # the box
LOW, HIGH = 5, 6  # the edges between which it became free
FREE, HELD = 7, 8  # 1.0 and 0.0 if it is free, 0.0 and 1.0 if it is held
SCORE, LINE = 9, 10  # overwritten
ROWS = 11


@compiled
def empty_tableau(items: int) -> Tableau:
    """Room for so many multiples."""
    return Tableau(T=np.empty((items, items)), rows=np.empty((ROWS, items)))


@compiled_borrowing
def sweep(T: FloatArray, p: int, row: FloatArray) -> None:
    """Exchange pull and multiple of item `p` in the symmetric tableau (K, K), or back; `row` (K,) is overwritten.

    With some items free and the others held, it holds minus the inverse of their B'ΣB, the Schur complement of
    those held, and between both how the first follow the second.
    """
    items = T.shape[0]
    # One division, and none in the loops: each would be a branch, and keep them from becoming vector instructions.
    inverse = 1.0 / T[p, p]
    for j in range(items):
        row[j] = T[p, j]
    for i in range(items):
        share = row[i] * inverse
        line = T[i]
        for j in range(items):
            line[j] -= share * row[j]
    for j in range(items):
        T[p, j] = row[j] * abs(inverse)
        T[j, p] = row[j] * abs(inverse)
    T[p, p] = -inverse


@compiled_borrowing
def start_held(arrays: PackingArrays, gram: FloatArray, pull: FloatArray, point: FloatArray, tableau: Tableau) -> None:
    """Begin at `point` (K,), moved into the box, with all multiples held; `pull` (K,) is that with nothing packed.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    gram : (K, K), B'ΣB.
    pull : (K,), B'ΣQ.
    point : (K,) moved into the box.
    tableau : its rows are filled in.
    """
    rows = tableau.rows
    for k in range(point.shape[0]):
        rows[BOTTOM][k] = float(arrays.lower[k])
        rows[TOP][k] = float(arrays.upper[k])
        rows[BEND][k] = 0.5 * arrays.cost[k]
        rows[PULL][k] = pull[k]
        rows[FREE][k] = 0.0
        rows[HELD][k] = 1.0
        # Rounding may leave a riskless item a pull, and no curvature to go by: it stays as near to zero as it can.
        rows[PER][k] = 0.0
        begin = 0.0
        if gram[k, k] > LEAST_RISK:
            rows[PER][k] = 1.0 / gram[k, k]
            begin = point[k]
        point[k] = min(max(begin, rows[BOTTOM][k]), rows[TOP][k])
    for k in range(point.shape[0]):
        follow(gram[k], point[k], rows[PULL])


@compiled_borrowing
def follow(row: FloatArray, step: float, pull: FloatArray) -> None:
    """Take `step` times `row` (K,) from `pull` (K,)."""
    for j in range(pull.shape[0]):
        pull[j] -= step * row[j]


@compiled_borrowing
def coordinate_descent(gram: FloatArray, point: FloatArray, tableau: Tableau) -> None:
    """ROUNDS times over, move each multiple in turn to its optimum while the others stay."""
    rows = tableau.rows
    pull, bend, per, bottom, top = rows[PULL], rows[BEND], rows[PER], rows[BOTTOM], rows[TOP]
    for _ in range(ROUNDS):
        for k in range(point.shape[0]):
            up = point[k] + (pull[k] - bend[k]) * per[k]
            down = point[k] + (pull[k] + bend[k]) * per[k]
            target = (up if up > 0.0 else 0.0) + (down if down < 0.0 else 0.0)
            target = target if target > bottom[k] else bottom[k]
            target = target if target < top[k] else top[k]
            step = target - point[k]
            point[k] = target
            follow(gram[k], step, pull)


@compiled_borrowing
def entering_item(point: FloatArray, tableau: Tableau) -> int:
    """The held multiple that would gain most by moving alone; -1 if none wants to move."""
    score = tableau.rows[SCORE]
    some = 0
    for k in range(point.shape[0]):
        at, bend = point[k], tableau.rows[BEND][k]
        up = tableau.rows[PULL][k] - (bend if at >= 0.0 else -bend)
        down = (-bend if at <= 0.0 else bend) - tableau.rows[PULL][k]
        up = up if at < tableau.rows[TOP][k] else 0.0
        down = down if at > tableau.rows[BOTTOM][k] else 0.0
        force = up if up > down else down
        way = force * tableau.rows[PER][k] * tableau.rows[HELD][k]
        score[k] = force * (way if way > FEASIBLE else 0.0)
    for k in range(point.shape[0]):
        some += 1 if score[k] > 0.0 else 0
    if some == 0:
        return -1
    most = 0.0
    hardest = -1.0
    for k in range(point.shape[0]):
        better = score[k] > most
        most = score[k] if better else most
        hardest = float(k) if better else hardest
    return int(hardest)


@compiled_borrowing
def ratio_test(row: FloatArray, sign: float, step: float, point: FloatArray, tableau: Tableau) -> tuple[int, float]:
    """Which free multiple meets an edge first when the held one of this `row` moves by ``sign step``, and how far then.

    (-1, step) if none does.

    Parameters
    ----------
    row : (K,) of the tableau.
    sign : 1.0 or -1.0, the direction of the held multiple.
    step : >= 0, how far it would move.
    point : (K,) where the multiples stand.
    tableau : its SCORE is overwritten.
    """
    score = tableau.rows[SCORE]
    some = 0
    for k in range(point.shape[0]):
        along = sign * row[k]
        ahead = point[k] - tableau.rows[LOW][k]
        behind = tableau.rows[HIGH][k] - point[k]
        room = ahead if along > 0.0 else behind
        # As numpy divides: what does not move has infinite room, and what has none of it neither (NaN).
        score[k] = np.divide(room if room > 0.0 else 0.0, abs(along) * tableau.rows[FREE][k])
    for k in range(point.shape[0]):
        some += 1 if score[k] < step else 0
    first = -1.0
    if some > 0:
        for k in range(point.shape[0]):
            closer = score[k] < step
            step = score[k] if closer else step
            first = float(k) if closer else first
    return int(first), step


@compiled_borrowing
def free_item(e: int, gram: FloatArray, point: FloatArray, tableau: Tableau) -> None:
    """Move the held multiple `e`, and the free ones with it, to where it rests and is free, or to its next edge."""
    T, pull, low, high = tableau.T, tableau.rows[PULL], tableau.rows[LOW], tableau.rows[HIGH]
    bend = tableau.rows[BEND][e]
    sign = 1.0 if pull[e] > (bend if point[e] >= 0.0 else -bend) and point[e] < tableau.rows[TOP][e] else -1.0
    positive = point[e] > 0.0 or (point[e] == 0.0 and sign > 0.0)
    low[e], high[e] = tableau.rows[BOTTOM][e], tableau.rows[TOP][e]
    if bend > 0.0:
        low[e] = max(low[e], 0.0) if positive else low[e]
        high[e] = high[e] if positive else min(high[e], 0.0)
    price = bend if positive else -bend
    while True:
        row = T[e]
        # It rests where its pull is its price.
        force = sign * (pull[e] - price)
        step = high[e] - point[e] if sign > 0.0 else point[e] - low[e]
        rests = row[e] > DEPENDENT * gram[e, e] and force <= step * row[e]
        if rests:
            step = max(force, 0.0) / row[e]
        met, step = ratio_test(row, sign, step, point, tableau)
        for k in range(point.shape[0]):
            move = sign * step * row[k]
            point[k] -= move * tableau.rows[FREE][k]
            pull[k] -= move * tableau.rows[HELD][k]
        point[e] += sign * step
        if met < 0:
            break
        point[met] = low[met] if sign * row[met] > 0.0 else high[met]
        pull[met] = tableau.rows[BEND][met] * (1.0 if high[met] > 0.0 else -1.0)
        tableau.rows[FREE][met], tableau.rows[HELD][met] = 0.0, 1.0
        sweep(T, met, tableau.rows[LINE])
    if rests:
        tableau.rows[FREE][e], tableau.rows[HELD][e] = 1.0, 0.0
        sweep(T, e, tableau.rows[LINE])
    else:
        point[e] = high[e] if sign > 0.0 else low[e]


@compiled_borrowing
def relax_without_rows(arrays: PackingArrays, metric: Metric, frame: Frame, relaxed: Relaxed, tableau: Tableau) -> None:
    """Move `relaxed.point` to the least relaxed objective in the box of `arrays`, and fill in `give`.

    As `solver.packing.quadratic.active_set.relax`, which takes rows in; their multipliers become zero. O(K²) for every
    item that becomes free or held. `tableau` is overwritten.

    Parameters
    ----------
    arrays : the problem, its bounds the box at hand.
    metric, frame : of the items and the covariance, and of the position.
    relaxed : its point (K,) is where to begin.
    tableau : overwritten.
    """
    gram, point = metric.gram, relaxed.point
    items = point.shape[0]
    for i in range(relaxed.multiplier.shape[0]):
        relaxed.multiplier[i] = 0.0
    start_held(arrays, gram, frame.pull, point, tableau)
    coordinate_descent(gram, point, tableau)
    for k in range(items):
        for j in range(items):
            tableau.T[k, j] = gram[k, j]
    for k in range(items):
        at = point[k]
        between = tableau.rows[BOTTOM][k] < at < tableau.rows[TOP][k] and (at != 0.0 or tableau.rows[BEND][k] == 0.0)
        if between and tableau.rows[PER][k] > 0.0:
            free_item(k, gram, point, tableau)
    for _ in range(20 * (items + 1)):
        k = entering_item(point, tableau)
        if k < 0:
            break
        free_item(k, gram, point, tableau)
    for k in range(items):
        relaxed.give[k] = -0.5 * tableau.T[k, k] * tableau.rows[FREE][k]
