"""The metaheuristic: simulated annealing by chains of one to three items, and exact search over a few items at a time.

Exchanges of more than three items are what chains miss, and what a branch and bound over some related items, all others
held, decides for good; and a determinant above zero is least where several legs are small at once, which neither sees.

References
----------
Kirkpatrick, Gelatt and Vecchi (1983), Optimization by simulated annealing.
Shaw (1998), Using constraint programming and local search methods to solve vehicle routing problems (neighbourhoods of
related items, as large as can be searched).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from solver.arrays import BoolArray, FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.objective import DETERMINANT
from solver.packing.boxes.depth_first import ANY, BoxStack, interval_bound, root_box, search
from solver.packing.boxes.repair import repair
from solver.packing.boxes.tighten import movable_items, tighten
from solver.packing.determinant.solve import OverSizes, OverSums, can_search_legs, flat_arrays, search_legs
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate
from solver.packing.incumbent import is_hopeless
from solver.packing.methods.chains import DRAWS, Walk, new_walk, offer, propose, stand_at
from solver.packing.methods.local_search import descend
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing, finish

# Some 200 ms for a dozen assets and ten items, if it is not proven before.
DEFAULT_MAX_NODES = 200_000
# Nodes between two looks at the clock: some tenths of a millisecond.
BATCH_NODES = 256
# Nodes of one annealing run. Half or twice as many do as well within what the seed explains, 8,192 do worse: too little
# of the budget is left for the searches.
RUN_NODES = 2_048
# Moves sampled to set the temperature, of which it accepts a setback of median size with this probability at first.
SAMPLES = 256
START_ACCEPTANCE = 0.3
# The last temperature of a run as a share of its first one.
LAST_TEMPERATURE = 1e-3
# Exact searches in a row that find nothing before the next run, the nodes that one may take, and of how many items the
# first is.
PATIENCE = 8
SEARCH_NODES = 512
FIRST_FREE_ITEMS = 6
# A determinant above zero is a product of legs that can come as near to zero as one likes, where boxes of multiples
# bound nothing. So all but one search in so many are for the least product, of LEG_NODES, and the one over all items
# gets TURN_NODES a turn. With half or twice as many of either, one more or less of 58 with 8 items ends at the optimum.
BOXES_EVERY = 4
LEG_NODES = 1_000
TURN_NODES = 32_000


@compiled_borrowing
def setback(walk: Walk, value: float, tie: float) -> tuple[int, float]:
    """Which number of the key is the first to differ from where the walk stands, and the factor it rose by, at least 1.

    Factors, because packings are good or bad in proportion: near a perfect hedge a difference that is nothing far from
    it is everything. And of a key only the first difference counts, as in the order of packings.
    """
    level = 0 if value != walk.state[0] else 1
    after = value if level == 0 else tie
    before = walk.state[level]
    if after <= before:
        return level, 1.0
    return level, after / before if before > 0.0 else np.inf


@compiled
def sample_setbacks(arrays: PackingArrays, walk: Walk, draws: FloatArray, factors: FloatArray) -> None:
    """Fill `factors` (N, 2) with the setbacks in value and tie-break of one proposal for each row of `draws`."""
    for d in range(draws.shape[0]):
        factors[d, 0] = 1.0
        factors[d, 1] = 1.0
        if propose(arrays, walk, draws[d]):
            kept, value, tie = evaluate(arrays, walk.trial)
            if kept:
                level, factor = setback(walk, value, tie)
                factors[d, level] = factor


@compiled
def anneal(arrays: PackingArrays, walk: Walk, draws: FloatArray, coldness: FloatArray, cooling: float) -> None:
    """Metropolis steps, one for each row of `draws` (N, DRAWS).

    A setback by a factor f is accepted with probability ``f ** -coldness``: the energy is the logarithm of the
    objective, `coldness` (2,) the inverse temperature, for the value and for its tie-break. It is multiplied by
    `cooling` at every step.
    """
    for d in range(draws.shape[0]):
        coldness[0] *= cooling
        coldness[1] *= cooling
        if not propose(arrays, walk, draws[d]):
            continue
        kept, value, tie = evaluate(arrays, walk.trial)
        if not kept:
            continue
        offer(walk, walk.trial, value, tie)
        level, factor = setback(walk, value, tie)
        if factor == 1.0 or draws[d, 0] < factor ** -coldness[level]:
            copy_multiples(walk.trial, walk.multiples)
            for i in range(walk.residual.shape[0]):
                walk.residual[i] = arrays.residual[i]
            walk.state[0] = value
            walk.state[1] = tie


def pack_by_annealing(
    problem: PackingProblem,
    chance: np.random.Generator,
    start: IntArray | None = None,
    max_nodes: int = DEFAULT_MAX_NODES,
    should_stop: Callable[[], bool] | None = None,
) -> Packing:
    """A good packing within a budget, whatever the objective.

    From the best of nothing packed, `start` and the rounded packing of least variance, the latter two improved by
    `solver.packing.methods.incremental.descend`, in turns until `max_nodes` are spent:

    1. An annealing run of RUN_NODES from the best packing so far, reheated. Its first temperature is set by the
       setbacks that moves from there would bring.
    2. From where it ends a descent until no item alone helps, then exact searches over a few items that share assets,
       all others held, until PATIENCE in a row find nothing. One item more is freed after a search that came to its
       end, one less after one that did not. For a `determinant` above zero most of them search for the least product
       of legs (`search_products_around`).
    3. For a `determinant` above zero TURN_NODES of a search for the least product of legs over all items, which goes
       on where it was in the turn before.

    A search that frees all items and comes to its end proves the packing, and ends the method; with up to six items,
    eight for `determinant`, that is the rule. Otherwise `lower_bound` is that of the whole box, weak for `volume` and
    `determinant`. `second_best` is the best other packing that a step of the annealing, a descent or a search ended at.

    Never worse than packing nothing or, where `start` is feasible, than `start`. A function of the arguments and the
    state of `chance` unless `should_stop` ends it. A node is one candidate or one box, O(n K + n³) for `volume`,
    O(n K + n²) for the others; `solver.packing.determinant.solve.OverSizes` counts several steps as one.

    Parameters
    ----------
    chance : all randomness; a generator of the same seed gives the same packing. It is advanced.
    start : (K,) integer multiples, feasible or not; None is no start of its own.
    max_nodes : >= 1; checked between neighbourhoods, so some dozens more may go. Repairing is not held back by it.
    should_stop : asked before every BATCH_NODES nodes or exact search; True ends it with the best so far.

    Raises
    ------
    IllPosed : `start` of another shape or not of integers, max_nodes < 1.
    """
    start = problem.checked_start(start, max_nodes)

    movable, arrays = movable_items(problem)
    if not movable.size:
        return finish(problem, np.zeros_like(problem.lower), lower_bound=0.0, proven=True, effort_nodes=1)

    stop = should_stop or (lambda: False)
    boxes = root_box(arrays, ANY)
    # Its bound is kept, the stack is used again for every exact search.
    root = boxes._replace(value=boxes.value[:1].copy(), tie=boxes.tie[:1].copy())
    walk = new_walk(arrays, boxes.item_risk)
    nodes = 1
    stopped = False
    for multiples in (
        np.clip(start[movable], arrays.lower, arrays.upper).astype(np.int64),
        np.rint(boxes.relaxed[0]).astype(np.int64),
    ):
        nodes += repair(arrays, multiples)
        # As it is too: the budget or the clock may not leave it a descent.
        nodes += _offer(arrays, walk, multiples)
        if not stopped:
            spent, stopped = _descend(arrays, walk, multiples, max_nodes - nodes, stop)
            nodes += spent

    shared = (arrays.items != 0.0).astype(np.int64) @ (arrays.items.T != 0.0) > 0
    free = free_legs = min(FIRST_FREE_ITEMS, len(movable))
    above_zero = None
    if _is_above_zero(arrays, walk) and can_search_legs(arrays, arrays.lower, arrays.upper):
        above_zero = search_legs(arrays, arrays.lower, arrays.upper)
    proven = bool(is_hopeless(root.value[0], root.tie[0], walk.best_state[0], walk.best_state[1]))
    while not (proven or stopped) and nodes < max_nodes:
        stand_at(arrays, walk, walk.best)
        samples = chance.random((min(SAMPLES, max_nodes - nodes), DRAWS))
        coldness = _first_coldness(arrays, walk, samples)
        nodes += len(samples)
        until = min(nodes + RUN_NODES, max_nodes)
        while not stopped and nodes < until:
            stopped = stop()
            if not stopped:
                draws = chance.random((min(BATCH_NODES, until - nodes), DRAWS))
                anneal(arrays, walk, draws, coldness, LAST_TEMPERATURE ** (-1.0 / RUN_NODES))
                nodes += len(draws)
        here = walk.multiples.copy()
        if not stopped:
            spent, stopped = _descend(arrays, walk, here, max_nodes - nodes, stop)
            nodes += spent
        idle = 0
        proven = bool(is_hopeless(root.value[0], root.tie[0], walk.best_state[0], walk.best_state[1]))
        while not (proven or stopped) and nodes < max_nodes and idle < PATIENCE:
            stopped = stop()
            if not stopped:
                before = here.copy()
                if above_zero is not None and walk.best_state[0] > 0.0 and idle % BOXES_EVERY:
                    around = related_items(shared, free_legs, chance)
                    count = min(LEG_NODES, max_nodes - nodes)
                    ended, spent = search_products_around(arrays, walk, here, around, count)
                    free_legs = min(free_legs + 1, len(movable)) if ended else max(free_legs - 1, 1)
                else:
                    around = related_items(shared, free, chance)
                    count = min(SEARCH_NODES, max_nodes - nodes)
                    ended, spent = search_around(arrays, boxes, walk, here, around, count)
                    proven = ended and free == len(movable)
                    free = min(free + 1, len(movable)) if ended else max(free - 1, 1)
                nodes += spent
                idle = idle + 1 if np.array_equal(here, before) else 0
        if above_zero is not None and not (proven or stopped) and nodes < max_nodes:
            spent, stopped = _advance(arrays, walk, above_zero, min(TURN_NODES, max_nodes - nodes), stop)
            nodes += spent
            searched = above_zero.least_open(walk.best_state[0]) == np.inf
            proven = searched and _is_above_zero(arrays, walk) and not any_flat(arrays)
            if searched or not _is_above_zero(arrays, walk):
                above_zero = None

    full = np.zeros_like(problem.lower)
    full[movable] = walk.best
    return finish(
        problem,
        full,
        lower_bound=float(root.value[0]),
        proven=proven,
        effort_nodes=int(nodes),
        stopped_by_clock=stopped,
        second_best=float(walk.second[0]) if np.isfinite(walk.second[0]) else None,
    )


def _offer(arrays: PackingArrays, walk: Walk, multiples: IntArray) -> int:
    """`offer` feasible multiples; returns the one candidate judged."""
    _, value, tie = evaluate(arrays, multiples)
    offer(walk, multiples, value, tie)
    return 1


def _descend(
    arrays: PackingArrays, walk: Walk, multiples: IntArray, max_nodes: int, stop: Callable[[], bool]
) -> tuple[int, bool]:
    """Improve feasible multiples until no item alone helps, offer the end; the nodes spent and if the clock struck."""
    progress = np.zeros(2, dtype=np.int64)
    nodes = 0
    stopped = False
    while not stopped and nodes < max_nodes and progress[1] < len(multiples):
        stopped = stop()
        if not stopped:
            nodes += descend(arrays, multiples, progress, min(BATCH_NODES, max_nodes - nodes))
    return nodes + _offer(arrays, walk, multiples), stopped


def _first_coldness(arrays: PackingArrays, walk: Walk, draws: FloatArray) -> FloatArray:
    """(2,) the inverse temperatures that accept the median setback of the moves in `draws` with START_ACCEPTANCE.

    Infinite where none of them is a setback: then there is nothing to cross.
    """
    factors = np.empty((len(draws), 2))
    sample_setbacks(arrays, walk, draws, factors)
    coldness = np.full(2, np.inf)
    for level in range(2):
        worse = factors[(factors[:, level] > 1.0) & np.isfinite(factors[:, level]), level]
        if worse.size:
            coldness[level] = -math.log(START_ACCEPTANCE) / float(np.median(np.log(worse)))
    return coldness


def related_items(shared: BoolArray, count: int, chance: np.random.Generator) -> IntArray:
    """`count` random items, each sharing an asset with one before it as long as there is any; ascending."""
    chosen = np.zeros(len(shared), dtype=np.bool_)
    chosen[chance.integers(len(shared))] = True
    for _ in range(count - 1):
        near = shared[chosen].any(axis=0) & ~chosen
        chosen[chance.choice(np.flatnonzero(near if near.any() else ~chosen))] = True
    return np.flatnonzero(chosen)


def _is_above_zero(arrays: PackingArrays, walk: Walk) -> bool:
    """Whether the best packing so far has a determinant, and above zero."""
    return arrays.objective_code == DETERMINANT and bool(walk.best_state[0] > 0.0)


def _advance(
    arrays: PackingArrays, walk: Walk, legs: OverSums | OverSizes, max_nodes: int, stop: Callable[[], bool]
) -> tuple[int, bool]:
    """Go on with the search for the least product from the best packing so far; nodes spent and if the clock struck."""
    best = walk.best.copy()
    nodes = 0
    stopped = False
    while not stopped and nodes < max_nodes and legs.least_open(walk.best_state[0]) < np.inf:
        stopped = stop()
        if not stopped:
            nodes += legs.advance(best, min(BATCH_NODES, max_nodes - nodes)) + _offer(arrays, walk, best)
    return nodes, stopped


def any_flat(arrays: PackingArrays) -> bool:
    """Whether some packing may leave an asset flat."""
    low, high = arrays.lower, arrays.upper
    return any(flat_arrays(arrays, low, high, i) is not None for i in range(len(arrays.position)))


def search_products_around(
    arrays: PackingArrays, walk: Walk, multiples: IntArray, free: IntArray, max_nodes: int
) -> tuple[bool, int]:
    """Improve feasible multiples without a flat leg by the least product of legs of the items `free`, all others held.

    The end is offered. Returns whether the search came to its end, so that these items make no smaller product above
    zero, and the nodes spent.
    """
    low, high = multiples.copy(), multiples.copy()
    low[free], high[free] = arrays.lower[free], arrays.upper[free]
    if arrays.inside:
        tighten(arrays, low, high, len(free))
    if (low == high).all():
        return True, 1
    legs = search_legs(arrays, low, high)
    spent = legs.advance(multiples, max_nodes) + _offer(arrays, walk, multiples)
    _, value, _ = evaluate(arrays, multiples)
    return legs.least_open(value) == np.inf, spent


def search_around(
    arrays: PackingArrays, boxes: BoxStack, walk: Walk, multiples: IntArray, free: IntArray, max_nodes: int
) -> tuple[bool, int]:
    """Improve feasible multiples by the best lots of the items `free`, all others held, and offer the end.

    Returns whether the search came to its end, so that these items can do no better, and the nodes spent.
    """
    boxes.low[0] = multiples
    boxes.high[0] = multiples
    boxes.low[0, free] = arrays.lower[free]
    boxes.high[0, free] = arrays.upper[free]
    boxes.relaxed[0] = multiples
    if arrays.inside:
        # The limits are those of the whole packing: the items held leave the free ones what room is left.
        tighten(arrays, boxes.low[0], boxes.high[0], len(free))
    if (boxes.low[0] == boxes.high[0]).all():
        # Nothing to halve, and its bound, less its rounding, may be below the value that it bounds.
        return True, 1
    interval_bound(arrays, boxes, 0)
    depth, spent = search(arrays, boxes, 1, multiples, max_nodes)
    return depth == 0, spent + 1 + _offer(arrays, walk, multiples)
