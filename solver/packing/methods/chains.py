"""Random exchanges of one to three items: the moves of annealing, and the walk that they make.

References
----------
Glover (1996), Ejection chains, reference structures and alternating path methods for traveling salesman problems.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled_borrowing
from solver.objective import VOLUME
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.methods.local_search import legal_steps

# A chain has at most so many items, and takes so many random numbers for each, one for its length and one that is left
# for whether it is accepted.
LINKS = 3
LINK_DRAWS = 5
DRAWS = 2 + LINKS * LINK_DRAWS
# Shares of the links that step to the least variance, and of the first links that step by one lot.
VARIANCE_SHARE = 0.3
LOT_SHARE = 0.3
# Of the others, the share that make a leg flat and the share that give it back to the whole position.
FLAT_SHARE = 0.5
WHOLE_SHARE = 0.1


class Walk(NamedTuple):
    """Where the annealing stands, the best packing it has met, and what its moves read."""

    multiples: IntArray  # (K,) the packing it stands at
    residual: FloatArray  # (n,) of it
    state: FloatArray  # (2,) and its key
    best: IntArray  # (K,)
    best_state: FloatArray  # (2,) its key
    second: FloatArray  # (1,) value of the best other packing, infinite without one
    trial: IntArray  # (K,)
    moved: FloatArray  # (n,) residual along a chain
    item_risk: FloatArray  # (K, n), items @ Sigma
    leg_start: IntArray  # (K + 1,) where the legs of each item start in `leg`
    leg: IntArray  # assets of the legs, item by item
    holder_start: IntArray  # (n + 1,) where the items of each asset start in `holder`
    holder: IntArray  # items with a leg in it, asset by asset


def new_walk(arrays: PackingArrays, item_risk: FloatArray) -> Walk:
    """A walk whose best is nothing packed; `stand_at` puts it somewhere."""
    touched = arrays.items != 0.0
    items, n = touched.shape
    nothing = np.zeros(items, dtype=np.int64)
    _, value, tie = evaluate(arrays, nothing)
    return Walk(
        multiples=nothing.copy(),
        residual=np.zeros(n),
        state=np.zeros(2),
        best=nothing,
        best_state=np.array([value, tie]),
        second=np.full(1, np.inf),
        trial=nothing.copy(),
        moved=np.zeros(n),
        item_risk=item_risk,
        leg_start=np.concatenate([[0], np.cumsum(touched.sum(axis=1))]).astype(np.int64),
        leg=np.nonzero(touched)[1].astype(np.int64),
        holder_start=np.concatenate([[0], np.cumsum(touched.sum(axis=0))]).astype(np.int64),
        holder=np.nonzero(touched.T)[1].astype(np.int64),
    )


@compiled_borrowing
def stand_at(arrays: PackingArrays, walk: Walk, multiples: IntArray) -> None:
    """Put the walk at feasible multiples."""
    _, value, tie = evaluate(arrays, multiples)
    copy_multiples(multiples, walk.multiples)
    for i in range(walk.residual.shape[0]):
        walk.residual[i] = arrays.residual[i]
    walk.state[0] = value
    walk.state[1] = tie


@compiled_borrowing
def offer(walk: Walk, multiples: IntArray, value: float, tie: float) -> None:
    """Keep feasible multiples with this key if they are the best or the second best so far."""
    best_value, best_tie = walk.best_state[0], walk.best_state[1]
    if precedes(value, tie, multiples, best_value, best_tie, walk.best):
        walk.second[0] = best_value
        copy_multiples(multiples, walk.best)
        walk.best_state[0] = value
        walk.best_state[1] = tie
    elif value < walk.second[0] and precedes(best_value, best_tie, walk.best, value, tie, multiples):
        walk.second[0] = value


@compiled_borrowing
def variance_step(arrays: PackingArrays, walk: Walk, k: int) -> float:
    """The fractional lots of item `k` that take `walk.moved` to the least variance."""
    slope = 0.0
    curvature = 0.0
    for i in range(walk.moved.shape[0]):
        slope += walk.item_risk[k, i] * walk.moved[i]
        curvature += walk.item_risk[k, i] * arrays.items[k, i]
    return slope / curvature if curvature > 0.0 else 0.0


@compiled_borrowing
def propose(arrays: PackingArrays, walk: Walk, draws: FloatArray) -> bool:
    """Put a random neighbour of where the walk stands into `walk.trial`; False if no item takes a step.

    A chain of up to LINKS items. The first takes one lot, makes one of its legs flat, or gives it back to the position.
    Each further one shares an asset with the one before, and takes it back to where it was, to zero or to the whole
    position, so that two or three items are exchanged without moving what they share. Unless the objective is `volume`,
    any link may instead be any item, stepping to where the variance is least. Fractions of lots are rounded at random
    in proportion, and the last step is clipped to what the mode allows. Mode and bounds of all are for `evaluate`.
    """
    copy_multiples(walk.multiples, walk.trial)
    n = walk.moved.shape[0]
    for i in range(n):
        walk.moved[i] = walk.residual[i]
    links = 1 + int(LINKS * draws[1])
    k = 0
    different = False
    for link in range(links):
        at = 2 + LINK_DRAWS * link
        which, aim, leg, level, rounding = draws[at], draws[at + 1], draws[at + 2], draws[at + 3], draws[at + 4]
        by_variance = arrays.objective_code != VOLUME and aim < VARIANCE_SHARE
        if link == 0 or by_variance:
            k = int(walk.trial.shape[0] * which)
        begin, end = walk.leg_start[k], walk.leg_start[k + 1]
        i = walk.leg[begin + int((end - begin) * leg)]
        if by_variance:
            wanted = variance_step(arrays, walk, k)
        elif link == 0 and aim >= 1.0 - LOT_SHARE:
            wanted = 1.0 if level < 0.5 else -1.0
        else:
            if link > 0:
                begin, end = walk.holder_start[i], walk.holder_start[i + 1]
                if end - begin < 2:
                    break
                index = begin + int((end - begin - 1) * which)
                k = walk.holder[index] if walk.holder[index] < k else walk.holder[index + 1]
            target = walk.residual[i]
            if level < FLAT_SHARE:
                target = 0.0
            elif link == 0 or level >= 1.0 - WHOLE_SHARE:
                target = arrays.position[i]
            wanted = (walk.moved[i] - target) / arrays.items[k, i]
        low = float(arrays.lower[k] - walk.trial[k])
        high = float(arrays.upper[k] - walk.trial[k])
        if link == links - 1:
            low, high = legal_steps(arrays, walk.moved, k, low, high)
            if low > high:
                return False
        step = min(max(np.floor(wanted + rounding), low), high)
        if step != 0.0:
            different = True
            walk.trial[k] += int(step)
            for j in range(n):
                walk.moved[j] -= step * arrays.items[k, j]
    return different
