"""Greedy search: takes the best step of one item until none improves the packing."""

from __future__ import annotations

import numpy as np

from solver.arrays import IntArray
from solver.kernels.compiled import compiled
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.methods.local_search import line_steps
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing, finish


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
    """From nothing packed, take the best step of one item at a time until none helps.

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
