"""Local search over whole lots for every objective: steps of one item and of two."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.objective import VOLUME
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate, fits, precedes

# Room in the quotients of limits and legs before rounding to whole lots. Only which steps are tried depends on it:
# `evaluate` judges each of them.
STEP_SLACK = 1e-9


@compiled_borrowing
def legal_steps(arrays: PackingArrays, q: FloatArray, k: int, low: float, high: float) -> tuple[float, float]:
    """The part of the steps ``low..high`` of item `k` that keep the residual `q` (n,) within the mode; may be empty.

    Parameters
    ----------
    arrays : the problem.
    q : (n,) residual, numeraire.
    k : the item.
    low, high : lots, the steps that its bounds allow.
    """
    if arrays.inside:
        for i in range(q.shape[0]):
            leg = arrays.items[k, i]
            if leg != 0.0:
                held = arrays.position[i]
                down = (q[i] - max(held, 0.0) - arrays.leg_tolerance[i]) / leg
                up = (q[i] - min(held, 0.0) + arrays.leg_tolerance[i]) / leg
                low = max(low, np.ceil(min(down, up) - STEP_SLACK))
                high = min(high, np.floor(max(down, up) + STEP_SLACK))
    return low, high


@compiled
def line_steps(arrays: PackingArrays, multiples: IntArray, k: int, far: bool) -> IntArray:
    """The changes of multiple `k` worth trying from `multiples`: distinct, non-zero, within bounds and mode.

    One lot either way, the whole lots on both sides of where a residual leg reaches zero (where the volume has its
    minima), and those beside the quadratic minimum for the objectives that see the variance; if `far`, powers of two
    and the ends of the range too.
    """
    n = arrays.position.shape[0]
    fits(arrays, multiples)
    q = arrays.residual
    low, high = legal_steps(arrays, q, k, float(arrays.lower[k] - multiples[k]), float(arrays.upper[k] - multiples[k]))
    wanted = np.empty(2 * n + 75)
    count = 0
    slope = 0.0
    curvature = 0.0
    for i in range(n):
        leg = arrays.items[k, i]
        if leg == 0.0:
            continue
        flat = q[i] / leg
        wanted[count] = np.floor(flat)
        wanted[count + 1] = np.ceil(flat)
        count += 2
        for j in range(n):
            slope += leg * arrays.covariance[i, j] * q[j]
            curvature += leg * arrays.covariance[i, j] * arrays.items[k, j]
    if arrays.objective_code != VOLUME and curvature > 0.0:
        wanted[count] = np.floor(slope / curvature)
        wanted[count + 1] = np.ceil(slope / curvature)
        count += 2
        if arrays.cost[k] > 0.0:
            # Where the cost of one direction balances the slope of the variance, and the kink between them.
            pull = 0.5 * arrays.cost[k]
            wanted[count] = np.floor((slope + pull) / curvature)
            wanted[count + 1] = np.ceil((slope + pull) / curvature)
            wanted[count + 2] = np.floor((slope - pull) / curvature)
            wanted[count + 3] = np.ceil((slope - pull) / curvature)
            wanted[count + 4] = float(-multiples[k])
            count += 5
    power = 1.0
    while power < (max(high, -low) if far else 2.0):
        wanted[count] = power
        wanted[count + 1] = -power
        count += 2
        power *= 2.0
    if far:
        wanted[count] = low
        wanted[count + 1] = high
        count += 2

    steps = np.empty(count, dtype=np.int64)
    distinct = 0
    for w in range(count):
        step = int(min(max(wanted[w], low), high)) if low <= high else 0
        new = step != 0
        for s in range(distinct):
            new = new and steps[s] != step
        if new:
            steps[distinct] = step
            distinct += 1
    return steps[:distinct]


@compiled_borrowing
def within_bounds(arrays: PackingArrays, multiples: IntArray) -> bool:
    """Whether every multiple keeps its bounds."""
    for k in range(multiples.shape[0]):
        if multiples[k] < arrays.lower[k] or multiples[k] > arrays.upper[k]:
            return False
    return True


@compiled
def descend(arrays: PackingArrays, multiples: IntArray, progress: IntArray, max_nodes: int) -> int:
    """Improve `multiples` (K,) towards a local optimum under moves of one and two items; returns the nodes spent.

    One item takes the best of `line_steps`; of two, the first takes one lot either way or is dropped, and the second
    the best of its steps from there (so one item can be exchanged for another). The K one-item moves are repeated until
    none helps before the K (K - 1) ordered pairs are tried, and again after a pair helped.

    `progress` (2,) carries the next neighbourhood and the number found without improvement in a row from call to call;
    the optimum is reached when all K² are.
    """
    items = multiples.shape[0]
    best = multiples.copy()
    _, value, tie = evaluate(arrays, best)
    nodes = 0
    while nodes < max_nodes and progress[1] < items * items:
        neighbourhood = progress[0]
        first = -1
        last = neighbourhood
        if neighbourhood >= items:
            first = (neighbourhood - items) // (items - 1)
            last = (neighbourhood - items) % (items - 1)
            if last >= first:
                last += 1
        improved = False
        for move in range(3 if first >= 0 else 1):
            base = multiples.copy()
            if first >= 0:
                base[first] += (-1, 1, -multiples[first])[move]
                if move == 2 and abs(multiples[first]) <= 1:
                    continue
                if base[first] < arrays.lower[first] or base[first] > arrays.upper[first]:
                    continue
            trial = base.copy()
            for step in line_steps(arrays, base, last, first < 0):
                trial[last] = base[last] + step
                kept, trial_value, trial_tie = evaluate(arrays, trial)
                nodes += 1
                if kept and precedes(trial_value, trial_tie, trial, value, tie, best):
                    copy_multiples(trial, best)
                    value, tie = trial_value, trial_tie
                    improved = True
        # What helped once often helps again: along a valley of two or more items, single lots would take for ever.
        stride = best - multiples
        ahead = improved
        while ahead:
            trial = best + stride
            ahead = within_bounds(arrays, trial)
            if ahead:
                kept, trial_value, trial_tie = evaluate(arrays, trial)
                nodes += 1
                ahead = kept and precedes(trial_value, trial_tie, trial, value, tie, best)
            if ahead:
                copy_multiples(trial, best)
                value, tie = trial_value, trial_tie
                stride *= 2
        copy_multiples(best, multiples)
        if improved:
            progress[1] = 0
            progress[0] = neighbourhood + 1 if first < 0 else 0
        else:
            progress[1] += 1
            progress[0] = neighbourhood + 1
        if progress[0] == items:
            if progress[1] < items:
                progress[0] = 0
            else:
                progress[1] = items
    return nodes
