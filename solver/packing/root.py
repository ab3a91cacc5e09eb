"""The root of the exact search: the relaxation of the whole problem and the first incumbent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.packing.incumbent import Incumbent, judge, to_beat
from solver.packing.polish import polish
from solver.packing.problem import PackingArrays, placed
from solver.packing.relaxation import Metric, bound_at, relax, shorten_all
from solver.packing.repair import repair
from solver.packing.tighten import row_edges, tighten_held, tighten_rows

# Rounds of shortening the ranges by the gap and tightening them by the rows, each with a new relaxation, as long as one
# leaves no more than this share of the lots.
PRESOLVE_ROUNDS = 4
SHRUNK = 0.7
# Rounding of a bound, as a share of the squared sum of the standalone risks of the positions: some ulp.
ROUNDING = 1e-15
# The relaxation is repeated when its ridge costs more than this share of the gap.
RIDGE_SHARE = 1e-4


class Root(NamedTuple):
    """Where the relaxation of the whole problem ended, and what its bound is made of."""

    low: IntArray  # (K,), the box of all that can beat the incumbent
    high: IntArray  # (K,)
    pull: FloatArray  # (K,), B'ΣQ
    point: FloatArray  # (K,)
    slope: FloatArray  # (K,), gradient at the point of everything but the cost
    least: FloatArray  # (K,), least of each t_k on the box before it is normalised
    multiplier: FloatArray  # (n,), of the rows
    base: float  # the bound; infinite if the incumbent is proven best
    unpacked: float  # the variance of the position
    rounding: float  # of a bound


@compiled
def with_own_box(arrays: PackingArrays, low: IntArray, high: IntArray) -> PackingArrays:
    """The same problem with the bounds ``low`` and ``high`` (K,), copied."""
    return placed(arrays, arrays.position, low.copy(), high.copy())


@compiled
def relax_root(problem: PackingArrays, metric: Metric, start: IntArray, incumbent: Incumbent) -> Root:
    """Tighten the box, relax, round off, shorten the box by the gap; for `inside` as long as that shrinks it much.

    `incumbent` becomes no worse than `start` (K,), where that is feasible.
    """
    items = start.shape[0]
    n = problem.position.shape[0]
    arrays = with_own_box(problem, problem.lower, problem.upper)
    low = arrays.lower
    high = arrays.upper
    floor = np.empty(n)
    ceiling = np.empty(n)
    give = np.empty(items)
    pull = np.zeros(items)
    point = np.zeros(items)
    slope = np.zeros(items)
    least = np.zeros(items)
    multiplier = np.zeros(n)
    trial = start.copy()
    unpacked = 0.0
    risks = 0.0
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += arrays.covariance[i, j] * arrays.position[j]
        unpacked += total * arrays.position[i]
        risks += abs(arrays.position[i]) * np.sqrt(max(arrays.covariance[i, i], 0.0))
        for k in range(items):
            pull[k] += arrays.items[k, i] * total
    rounding = ROUNDING * risks * risks
    row_edges(arrays, floor, ceiling)
    is_open = not arrays.inside or tighten_rows(arrays.items, floor, ceiling, low, high, items)
    moved = False
    for k in range(items):
        trial[k] = min(max(trial[k], low[k]), high[k])
        moved = moved or trial[k] != 0
    if is_open and moved:
        repair(arrays, trial)
        judge(arrays, incumbent, trial)
        polish(arrays, metric.gram, pull, trial)
        judge(arrays, incumbent, trial)
    base = -np.inf
    for _ in range(PRESOLVE_ROUNDS):
        if not is_open:
            break
        reached = 0.0
        for _ in range(2):
            reached = relax(arrays, metric, pull, floor, ceiling, point, multiplier, give, np.inf)
            base = bound_at(arrays, floor, ceiling, point, multiplier, slope, least)
            if unpacked + reached - base <= RIDGE_SHARE * (to_beat(incumbent, rounding) - base):
                break
        for k in range(items):
            trial[k] = int(min(max(np.rint(point[k]), float(low[k])), float(high[k])))
        repair(arrays, trial)
        polish(arrays, metric.gram, pull, trial)
        judge(arrays, incumbent, trial)
        room = to_beat(incumbent, rounding) - base
        width = np.sum(high - low)
        is_open = (
            reached < np.inf
            and room > 0.0
            and shorten_all(arrays, point, slope, least, room, low, high)
            and (not arrays.inside or tighten_held(arrays, floor, ceiling, multiplier, room, low, high))
        )
        if not arrays.inside or np.sum(high - low) > SHRUNK * width:
            break
    return Root(
        low=low,
        high=high,
        pull=pull,
        point=point,
        slope=slope,
        least=least,
        multiplier=multiplier,
        base=base if is_open else np.inf,
        unpacked=unpacked,
        rounding=rounding,
    )
