"""The relaxation of a box without rows: multiples are let go one by one from where the cost or a bound holds them.

Where nothing couples the multiples but the variance, few of them end between their edges (a bound, or zero where the
cost bends), and the way there from all being held is short: each step lets go of the one that is pulled hardest, and
takes the others along, until it rests or one of them meets an edge. `solver.packing.relaxation` comes from the other
side, and takes in one constraint after the other.

References
----------
Keller (1973), The general quadratic optimization problem (principal pivots on one symmetric tableau).
Goodnight (1979), A tutorial on the SWEEP operator.
"""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.compiled import compiled, compiled_borrowing
from solver.packing.problem import PackingArrays
from solver.packing.relaxation import DEPENDENT, FEASIBLE, Frame, Metric, Relaxed


@compiled_borrowing
def sweep(T: FloatArray, p: int, row: FloatArray) -> None:
    """Exchange pull and multiple of item `p` in the symmetric tableau (K, K), or back; `row` (K,) is overwritten.

    With some items let go and the others held, it holds minus the inverse of their B'ΣB, the Schur complement of
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


@compiled
def relax_without_rows(arrays: PackingArrays, metric: Metric, frame: Frame, relaxed: Relaxed) -> None:
    """Move `relaxed.point` to the least relaxed objective in the box of `arrays`, and fill in `give`.

    As `solver.packing.relaxation.relax`, which takes rows in; their multipliers become zero. O(K²) for every item let
    go or held again.
    """
    gram, point, give = metric.gram, relaxed.point, relaxed.give
    items = point.shape[0]
    for i in range(relaxed.multiplier.shape[0]):
        relaxed.multiplier[i] = 0.0
    T = gram.copy()
    work = np.empty(items)
    # Half of the slope of the variance, downwards.
    pull = frame.pull.copy()
    # Between which edges each multiple is let go; a held one has none.
    is_free = np.zeros(items, dtype=np.bool_)
    low = np.empty(items)
    high = np.empty(items)
    for k in range(items):
        point[k] = float(min(max(0, arrays.lower[k]), arrays.upper[k]))
        if point[k] != 0.0:
            row = gram[k]
            for j in range(items):
                pull[j] -= row[j] * point[k]
    for _ in range(20 * (items + 1)):
        # The held one whose way would bring most, as far as it would go alone.
        entering = -1
        most = 0.0
        sign = 0.0
        for k in range(items):
            # Rounding may leave a riskless item a slope, and no curvature to go by.
            if is_free[k] or gram[k, k] <= 0.0:
                continue
            at, bend = point[k], 0.5 * arrays.cost[k]
            up = pull[k] - (bend if at >= 0.0 else -bend)
            down = (-bend if at <= 0.0 else bend) - pull[k]
            force = max(up if at < arrays.upper[k] else 0.0, down if at > arrays.lower[k] else 0.0)
            stiff = max(T[k, k], DEPENDENT * gram[k, k])
            if force > FEASIBLE * gram[k, k] and force * force > most * stiff:
                entering = k
                most = force * force / stiff
                sign = 1.0 if up > 0.0 and at < arrays.upper[k] else -1.0
        if entering < 0:
            break
        e = entering
        bend = 0.5 * arrays.cost[e]
        positive = point[e] > 0.0 or (point[e] == 0.0 and sign > 0.0)
        low[e], high[e] = float(arrays.lower[e]), float(arrays.upper[e])
        if bend > 0.0:
            low[e] = max(low[e], 0.0) if positive else low[e]
            high[e] = high[e] if positive else min(high[e], 0.0)
        price = bend if positive else -bend
        while True:
            row = T[e]
            # It rests where its pull is its price.
            force = sign * (pull[e] - price)
            end = high[e] - point[e] if sign > 0.0 else point[e] - low[e]
            step = end
            rests = row[e] > DEPENDENT * gram[e, e] and force <= step * row[e]
            if rests:
                step = max(force, 0.0) / row[e]
            meets = -1
            for k in range(items):
                if is_free[k] and row[k] != 0.0:
                    room = point[k] - low[k] if sign * row[k] > 0.0 else high[k] - point[k]
                    if room < step * abs(row[k]):
                        step = max(room, 0.0) / abs(row[k])
                        meets = k
            for k in range(items):
                if is_free[k]:
                    point[k] -= sign * step * row[k]
                else:
                    pull[k] -= sign * step * row[k]
            point[e] += sign * step
            if meets < 0:
                break
            side = sign * row[meets] > 0.0
            point[meets] = low[meets] if side else high[meets]
            is_free[meets] = False
            pull[meets] = 0.5 * arrays.cost[meets] * (1.0 if high[meets] > 0.0 else -1.0)
            sweep(T, meets, work)
        if rests:
            is_free[e] = True
            sweep(T, e, work)
        else:
            point[e] = high[e] if sign > 0.0 else low[e]
    for k in range(items):
        give[k] = -0.5 * T[k, k] if is_free[k] else 0.0
