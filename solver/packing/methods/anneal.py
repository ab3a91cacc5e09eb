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
from solver.kernels.compiled import compiled, compiled_borrowing
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
    """The first number of the key that differs from where the walk stands, and the factor by which it rose, at least 1.

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

    Parameters
    ----------
    arrays : the problem; its `residual` and `factor` are overwritten.
    walk : where it stands; moved.
    draws : (N, DRAWS) uniform in [0, 1).
    coldness : (2,) inverse temperatures, advanced.
    cooling : >= 1, the factor of both at each step.
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
    `solver.packing.methods.local_search.descend`, in turns until `max_nodes` are spent:

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

    method = _Annealing(arrays, chance, max_nodes, should_stop or (lambda: False))
    method.begin(start[movable])
    while not method.is_over():
        here = method.run()
        method.search_around(here)
        method.search_least_product()
    full = np.zeros_like(problem.lower)
    full[movable] = method.walk.best
    second = float(method.walk.second[0])
    return finish(
        problem,
        full,
        lower_bound=float(method.root_value),
        proven=method.proven,
        effort_nodes=int(method.nodes),
        stopped_by_clock=method.stopped,
        second_best=second if np.isfinite(second) else None,
    )


class _Annealing:
    """What one call of `pack_by_annealing` has found and spent, and the three parts of its turns."""

    def __init__(
        self, arrays: PackingArrays, chance: np.random.Generator, max_nodes: int, stop: Callable[[], bool]
    ) -> None:
        self.arrays, self.chance, self.max_nodes, self.stop = arrays, chance, max_nodes, stop
        self.boxes = root_box(arrays, ANY)
        # The root's bound is kept, the stack is used again for every exact search.
        self.root_value, self.root_tie = self.boxes.value[0], self.boxes.tie[0]
        self.walk = new_walk(arrays, self.boxes.item_risk)
        self.nodes = 1
        self.stopped = self.proven = False
        self.shared = (arrays.items != 0.0).astype(np.int64) @ (arrays.items.T != 0.0) > 0
        # How many items the next exact search frees, and the next search for the least product of legs.
        self.free = self.free_legs = min(FIRST_FREE_ITEMS, len(arrays.lower))
        self.above_zero: OverSums | OverSizes | None = None

    def is_over(self) -> bool:
        """Whether nothing is left to do, or to do it with."""
        return self.proven or self.stopped or self.nodes >= self.max_nodes

    def begin(self, start: IntArray) -> None:
        """Offer `start` (K,) and the rounded packing of least variance, both repaired and improved."""
        for multiples in (
            np.clip(start, self.arrays.lower, self.arrays.upper).astype(np.int64),
            np.rint(self.boxes.relaxed[0]).astype(np.int64),
        ):
            self.nodes += repair(self.arrays, multiples)
            # As it is too: the budget or the clock may not leave it a descent.
            self.nodes += _offer(self.arrays, self.walk, multiples)
            self._descend(multiples)
        if self._is_above_zero() and can_search_legs(self.arrays, self.arrays.lower, self.arrays.upper):
            self.above_zero = search_legs(self.arrays, self.arrays.lower, self.arrays.upper)
        self.proven = self._meets_root_bound()

    def run(self) -> IntArray:
        """Anneal from the best packing so far, reheated, and improve the end; returns that."""
        stand_at(self.arrays, self.walk, self.walk.best)
        samples = self.chance.random((min(SAMPLES, self.max_nodes - self.nodes), DRAWS))
        coldness = _first_coldness(self.arrays, self.walk, samples)
        self.nodes += len(samples)
        until = min(self.nodes + RUN_NODES, self.max_nodes)
        while not self.stopped and self.nodes < until:
            self.stopped = self.stop()
            if not self.stopped:
                draws = self.chance.random((min(BATCH_NODES, until - self.nodes), DRAWS))
                anneal(self.arrays, self.walk, draws, coldness, LAST_TEMPERATURE ** (-1.0 / RUN_NODES))
                self.nodes += len(draws)
        here = self.walk.multiples.copy()
        self._descend(here)
        self.proven = self._meets_root_bound()
        return here

    def search_around(self, here: IntArray) -> None:
        """Improve `here` (K,) by exact searches over a few items, until PATIENCE in a row find nothing."""
        items = len(here)
        idle = 0
        while not self.is_over() and idle < PATIENCE:
            self.stopped = self.stop()
            if self.stopped:
                return
            before = here.copy()
            if self.above_zero is not None and self.walk.best_state[0] > 0.0 and idle % BOXES_EVERY:
                around = related_items(self.shared, self.free_legs, self.chance)
                count = min(LEG_NODES, self.max_nodes - self.nodes)
                ended, spent = search_products_around(self.arrays, self.walk, here, around, count)
                self.free_legs = min(self.free_legs + 1, items) if ended else max(self.free_legs - 1, 1)
            else:
                around = related_items(self.shared, self.free, self.chance)
                count = min(SEARCH_NODES, self.max_nodes - self.nodes)
                ended, spent = search_around(self.arrays, self.boxes, self.walk, here, around, count)
                self.proven = ended and self.free == items
                self.free = min(self.free + 1, items) if ended else max(self.free - 1, 1)
            self.nodes += spent
            idle = idle + 1 if np.array_equal(here, before) else 0

    def search_least_product(self) -> None:
        """For a determinant above zero, continue the search for the least product of legs over all items."""
        if self.above_zero is None or self.is_over():
            return
        legs, best = self.above_zero, self.walk.best.copy()
        until = self.nodes + min(TURN_NODES, self.max_nodes - self.nodes)
        while not self.stopped and self.nodes < until and legs.least_open(self.walk.best_state[0]) < np.inf:
            self.stopped = self.stop()
            if not self.stopped:
                self.nodes += legs.advance(best, min(BATCH_NODES, until - self.nodes))
                self.nodes += _offer(self.arrays, self.walk, best)
        ended = legs.least_open(self.walk.best_state[0]) == np.inf
        self.proven = ended and self._is_above_zero() and not any_flat(self.arrays)
        if ended or not self._is_above_zero():
            self.above_zero = None

    def _descend(self, multiples: IntArray) -> None:
        """Improve feasible multiples until no item alone helps, and offer the end, unless the clock has struck."""
        if self.stopped:
            return
        progress = np.zeros(2, dtype=np.int64)
        while not self.stopped and self.nodes < self.max_nodes and progress[1] < len(multiples):
            self.stopped = self.stop()
            if not self.stopped:
                left = self.max_nodes - self.nodes
                self.nodes += descend(self.arrays, multiples, progress, min(BATCH_NODES, left))
        self.nodes += _offer(self.arrays, self.walk, multiples)

    def _is_above_zero(self) -> bool:
        """Whether the best packing so far has a determinant, and above zero."""
        return self.arrays.objective_code == DETERMINANT and bool(self.walk.best_state[0] > 0.0)

    def _meets_root_bound(self) -> bool:
        """Whether no packing at all can be better than the best so far."""
        return bool(is_hopeless(self.root_value, self.root_tie, self.walk.best_state[0], self.walk.best_state[1]))


def _offer(arrays: PackingArrays, walk: Walk, multiples: IntArray) -> int:
    """`offer` feasible multiples; returns the one candidate judged."""
    _, value, tie = evaluate(arrays, multiples)
    offer(walk, multiples, value, tie)
    return 1


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

    Parameters
    ----------
    arrays : the problem; its `residual` and `factor` are overwritten.
    walk : what is found is offered to it.
    multiples : (K,) improved in place.
    free : indices of the items that may change, ascending.
    max_nodes : that the search may take.
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

    Parameters
    ----------
    arrays : the problem; its `residual` and `factor` are overwritten.
    boxes : the stack, overwritten.
    walk : what is found is offered to it.
    multiples : (K,) improved in place.
    free : indices of the items that may change, ascending.
    max_nodes : that the search may take.
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
