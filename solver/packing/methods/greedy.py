"""Best single step until none helps."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.objective import VOLUME
from solver.packing.problem import (
    Packing,
    PackingArrays,
    PackingProblem,
    copy_multiples,
    evaluate,
    finish,
    fits,
    precedes,
)

# Room in the quotients of limits and legs before rounding to whole lots. Only which steps are tried depends on it:
# `evaluate` judges each of them.
STEP_SLACK = 1e-9


@compiled_borrowing
def legal_steps(arrays: PackingArrays, q: FloatArray, k: int, low: float, high: float) -> tuple[float, float]:
    """The part of the steps ``low..high`` of item `k` that keep the residual `q` (n,) within the mode; may be empty."""
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


@compiled
def climb_down(arrays: PackingArrays, multiples: IntArray) -> tuple[int, float]:
    """Move `multiples` (K,) by the best step of one item until none helps.

    Returns how many candidates were judged and the value of the second best of them, infinite without one.
    """
    best = multiples.copy()
    _, value, tie = evaluate(arrays, best)
    second = np.inf
    nodes = 1
    improved = True
    while improved:
        improved = False
        for k in range(multiples.shape[0]):
            trial = multiples.copy()
            for step in line_steps(arrays, multiples, k, True):
                trial[k] = multiples[k] + step
                kept, trial_value, trial_tie = evaluate(arrays, trial)
                nodes += 1
                if kept and precedes(trial_value, trial_tie, trial, value, tie, best):
                    copy_multiples(trial, best)
                    second = value
                    value, tie = trial_value, trial_tie
                    improved = True
                elif kept and trial_value < second and precedes(value, tie, best, trial_value, trial_tie, trial):
                    second = trial_value
        copy_multiples(best, multiples)
    return nodes, second


def pack_greedily(problem: PackingProblem) -> Packing:
    """From nothing packed, the best step of one item at a time until none helps.

    A step changes one multiple by any number of lots (see `line_steps`). No bound comes with it: `lower_bound` is 0,
    below which no objective goes, and only an empty set of items or a value of 0 is proven. `effort_nodes` counts the
    candidates judged.
    """
    multiples = np.zeros_like(problem.lower)
    nodes, second = climb_down(problem.arrays, multiples)
    proven = multiples.size == 0 or problem.key(multiples) == (0.0, 0.0)
    return finish(
        problem,
        multiples,
        lower_bound=0.0,
        proven=proven,
        effort_nodes=nodes,
        second_best=second if np.isfinite(second) else None,
    )
