"""The proving method: exact search for the packing of least objective, with an honest bound when its budget ends.

The quadratic objectives (`variance`, also with a horizon covariance in place of Sigma) are integer least squares over a
box: minimise ``|L (Q - B omega)|² + cost @ |omega|`` with L'L = Sigma. What is searched is the gap to a relaxation:
around any point w with any multipliers nu of the rows of the mode `inside`,

    objective(omega)  >=  base + |L B (omega - w)|² + sum_k t_k(omega_k),        t_k >= 0 on the box,

where t_k is convex and piecewise linear: it holds the gradient at w, the cost and the multipliers. At the relaxed
optimum base is the relaxed objective; elsewhere it is lower but still a bound.

The parts are in `solver.packing.quadratic`: `relaxation` (the bound), `active_set` and `principal_pivots` (two ways to
the relaxed optimum, with and without rows), `branch_and_bound` over it, and `ball` (the search that ends most boxes).

References
----------
Chang and Han (2008), Solving box-constrained integer least squares problems.
Danna, Rothberg and Le Pape (2005), Exploring relaxation induced neighborhoods to improve MIP solutions (branch and
bound as a local search).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.kernels.compiled import compiled
from solver.objective import VARIANCE
from solver.packing.boxes.repair import repair
from solver.packing.boxes.tighten import tighten_rows
from solver.packing.determinant.solve import pack_determinant
from solver.packing.evaluation import (
    PROOF_TOLERANCE,
    PackingArrays,
    copy_multiples,
    repositioned,
)
from solver.packing.incumbent import Incumbent, judge, nothing_packed, nothing_packed_with_value
from solver.packing.methods.incremental import pack_incrementally
from solver.packing.problem import PackingProblem
from solver.packing.quadratic.branch_and_bound import DEPTH, branch, no_open_nodes
from solver.packing.quadratic.metric import Frame, Metric, frame_of, in_one, metric_of, taken_apart
from solver.packing.quadratic.polish import polish
from solver.packing.result import Packing, finish, judged, judged_beside

# About a second.
DEFAULT_MAX_NODES = 5_000_000
# Nodes between two looks at the clock: a millisecond. So many go before the first one, and may leave so many boxes.
BATCH_NODES = 5_000
FIRST_BOXES = 64
# Nodes of the first turn of each search; each further turn has twice as many.
BRANCH_NODES = 16_000
NEAR_NODES = 16_000
# Nodes in the ball of a box: half or twice as many take as long.
BALL_NODES = 150
# Widest neighbourhood of the incumbent that is searched, in lots to either side.
WIDEST = 4


class QuadraticFactors:
    """B'ΣB and its factors: what can be kept as long as Sigma and the items stay. O(K³ + n² K) to make.

    Parameters
    ----------
    B : (n, K) exposure per lot of each item, numeraire.
    Sigma : (n, n) symmetric PSD covariance.
    """

    def __init__(self, B: FloatArray, Sigma: FloatArray) -> None:
        self.B = B
        self.Sigma = Sigma
        self.metric = metric_of(B, Sigma)
        self.prepared = in_one(B, Sigma, self.metric)

    def suit(self, problem: PackingProblem) -> bool:
        """Whether the factors are those of this problem's items and covariance."""
        return (self.B is problem.B or np.array_equal(self.B, problem.B)) and (
            self.Sigma is problem.Sigma or np.array_equal(self.Sigma, problem.Sigma)
        )


@compiled
def with_own_box(arrays: PackingArrays, low: IntArray, high: IntArray) -> PackingArrays:
    """The same problem with the bounds ``low`` and ``high`` (K,), copied."""
    return repositioned(arrays, arrays.position, low.copy(), high.copy(), arrays.residual, arrays.factor)


@compiled
def settle(
    prepared: FloatArray,
    position: FloatArray,
    lower: IntArray,
    upper: IntArray,
    cost: FloatArray,
    leg_tolerance: FloatArray,
    inside: bool,
    max_nodes: int,
    multiples: IntArray,
    residual: FloatArray,
) -> tuple[float, float, int, int, int, float, float, int, FloatArray | None]:
    """The first boxes, in one kernel: that solves most `free` problems.

    Few arrays go in and out: each costs some 60 ns to hand over, and 200 ns to get.

    Parameters
    ----------
    prepared : of `QuadraticFactors`.
    position, lower, upper, cost, leg_tolerance, inside : as in `PackingArrays`.
    max_nodes : >= 1; at most BATCH_NODES are spent here.
    multiples : (K,), where to begin; becomes the best.
    residual : (n,), becomes that of the best.

    Returns
    -------
    (objective, before, lots, outside, broken, rounding, second, nodes, left) : `judged` of the best without its
    residual, the value of the second best, the nodes spent, and the boxes still to be searched, (boxes, 3 K + 1) with
    low, high, point and bound in a row, or None.
    """
    n = position.shape[0]
    items = multiples.shape[0]
    legs, covariance, metric = taken_apart(prepared, n, items)
    problem = PackingArrays(
        items=legs,
        position=position,
        lower=lower,
        upper=upper,
        cost=cost,
        covariance=covariance,
        leg_tolerance=leg_tolerance,
        inside=inside,
        objective_code=VARIANCE,
        # What the other objectives need.
        epsilon=1.0,
        determinant_of_sigma=0.0,
        residual=residual,
        factor=np.empty((0, 0)),
    )
    incumbent, before = nothing_packed_with_value(problem)
    frame = frame_of(problem)
    arrays = with_own_box(problem, lower, upper)
    boxes = no_open_nodes(items, FIRST_BOXES)
    low = boxes.low[0]
    high = boxes.high[0]
    copy_multiples(lower, low)
    copy_multiples(upper, high)
    if inside:
        # Zero is feasible, so the box keeps it. As many passes as items: a chain of them is undone link by link.
        tighten_rows(legs, frame.floor, frame.ceiling, low, high, items)
    boxes.bound[0] = -np.inf
    moved = False
    for k in range(items):
        boxes.point[0, k] = 0.0
        multiples[k] = min(max(multiples[k], low[k]), high[k])
        moved = moved or multiples[k] != 0
    if moved:
        repair(problem, multiples)
        judge(problem, incumbent, multiples)
        polish(problem, metric.gram, frame.pull, multiples)
        judge(problem, incumbent, multiples)
    depth, nodes = branch(arrays, metric, frame, boxes, 1, incumbent, BALL_NODES, min(max_nodes, BATCH_NODES))
    left = None
    if depth > 0:
        left = np.empty((depth, 3 * items + 1))
        for b in range(depth):
            for k in range(items):
                left[b, k] = boxes.low[b, k]
                left[b, items + k] = boxes.high[b, k]
                left[b, 2 * items + k] = boxes.point[b, k]
            left[b, 3 * items] = boxes.bound[b]
    copy_multiples(incumbent.multiples, multiples)
    objective, before, lots, outside, broken, rounding, _ = judged_beside(problem, multiples, before)
    return objective, before, lots, outside, broken, rounding, float(incumbent.key[2]), nodes, left


class OverBoxes:
    """Branch and bound over all of what is left (`solver.packing.quadratic.branch_and_bound`).

    Parameters
    ----------
    arrays : the problem: B (n, K), bounds (K,), position (n,).
    metric : what the relaxation needs of the covariance and the items.
    frame : the position as that metric sees it.
    incumbent : the best packing found so far, which the search replaces in place.
    left : (boxes, columns) the open boxes: lower bounds (K,), upper bounds (K,), relaxed point, and last the bound.
    """

    def __init__(
        self, arrays: PackingArrays, metric: Metric, frame: Frame, incumbent: Incumbent, left: FloatArray
    ) -> None:
        self.metric, self.frame, self.incumbent = metric, frame, incumbent
        self.work = with_own_box(arrays, arrays.lower, arrays.upper)
        items = len(arrays.lower)
        self.boxes = no_open_nodes(items, DEPTH)
        self.depth = len(left)
        self.boxes.low[: self.depth], self.boxes.high[: self.depth] = left[:, :items], left[:, items : 2 * items]
        self.boxes.point[: self.depth], self.boxes.bound[: self.depth] = left[:, 2 * items : -1], left[:, -1]
        self.bound = -np.inf
        self.idle = False
        self.turn = BRANCH_NODES

    def advance(self, nodes: int) -> int:
        """Search for so many nodes more; returns how many it took."""
        self.depth, spent = branch(
            self.work, self.metric, self.frame, self.boxes, self.depth, self.incumbent, BALL_NODES, nodes
        )
        self.bound = float(np.min(self.boxes.bound[: self.depth], initial=np.inf)) - self.frame.rounding
        return max(spent, 1)


class NearIncumbent(OverBoxes):
    """Branch and bound over a few lots around the incumbent: it finds better packings sooner, and proves nothing."""

    def __init__(
        self, arrays: PackingArrays, metric: Metric, frame: Frame, incumbent: Incumbent, left: FloatArray
    ) -> None:
        super().__init__(arrays, metric, frame, incumbent, left)
        self.low, self.high = self.boxes.low[: self.depth].min(axis=0), self.boxes.high[: self.depth].max(axis=0)
        self.depth = 0
        self.radius = 0
        self.around = incumbent.multiples.copy()
        self.turn = NEAR_NODES

    def advance(self, nodes: int) -> int:
        """Search for so many nodes more; returns how many it took."""
        if self.depth == 0:
            if (self.around != self.incumbent.multiples).any():
                self.around, self.radius = self.incumbent.multiples.copy(), 0
            # Idle until another search finds a better incumbent.
            self.idle = self.radius == WIDEST
            if self.idle:
                return 1
            self.radius += 1
            low = np.maximum(self.low, self.around - self.radius)
            high = np.minimum(self.high, self.around + self.radius)
            if (low > high).any():
                # The incumbent lies outside what can beat it, and further than this.
                return 1
            boxes = self.boxes
            boxes.low[0], boxes.high[0], boxes.point[0], boxes.bound[0] = low, high, self.around, -np.inf
            self.depth = 1
        nodes = super().advance(nodes)
        self.bound = -np.inf
        return nodes


def pack_exactly(
    problem: PackingProblem,
    start: IntArray | None = None,
    max_nodes: int = DEFAULT_MAX_NODES,
    should_stop: Callable[[], bool] | None = None,
    factors: QuadraticFactors | None = None,
) -> Packing:
    """The best packing, proven, or within the budget the best found with the least bound of what was left open.

    Never worse than packing nothing or, where `start` is feasible, than `start`. Deterministic unless `should_stop`
    ends it. What is within PROOF_TOLERANCE of the best is not searched for fewer lots. Volume goes to
    `pack_incrementally`, the determinant to `solver.packing.determinant.solve`, unless it is always zero: then the
    variance decides.

    Variance: branch and bound over the relaxation of ever smaller boxes, most of which a short search in a reduced
    basis ends (`solver.packing.quadratic.branch_and_bound`), in turns of doubling length with the same around the
    incumbent, which finds what is better sooner.

    Parameters
    ----------
    start : (K,) integer multiples, feasible or not, that the search begins from.
    max_nodes : >= 1; a multiple tried is one node, a relaxed box RELAXED_NODES, and the last box may go over.
    should_stop : asked after every BATCH_NODES nodes; True ends the search with the best so far.
    factors : of these items and this covariance, to save making them again.

    Raises
    ------
    IllPosed : `start` of another shape or not of integers, max_nodes < 1, factors of another problem.
    """
    if problem.objective == "volume":
        return pack_incrementally(problem, start, max_nodes, should_stop)
    if problem.objective == "determinant" and not _is_always_zero(problem):
        return pack_determinant(problem, start, max_nodes, should_stop)
    if problem.objective == "determinant":
        return _pack_by_tie_break(problem, start, max_nodes, should_stop, factors)
    multiples = problem.checked_start(start, max_nodes)
    if multiples is start:
        multiples = start.copy()
    if factors is None:
        factors = QuadraticFactors(problem.B, problem.Sigma)
    elif not factors.suit(problem):
        raise IllPosed("factors must be made of the problem's B and Sigma, got those of others")

    arrays = problem.arrays
    residual = np.empty(len(arrays.position))
    value, before, lots, outside, broken, rounding, second, nodes, left = settle(
        factors.prepared,
        arrays.position,
        arrays.lower,
        arrays.upper,
        arrays.cost,
        arrays.leg_tolerance,
        arrays.inside,
        max_nodes,
        multiples,
        residual,
    )
    judgement = value, before, lots, outside, broken, rounding, residual
    bound = np.inf
    stopped = False
    if left is not None:
        incumbent = nothing_packed(arrays)
        judge(arrays, incumbent, multiples)
        incumbent.key[2] = second
        bound, nodes, stopped = _search(problem, factors.metric, incumbent, left, nodes, max_nodes, should_stop)
        multiples, second = incumbent.multiples, float(incumbent.key[2])
        judgement = judged(arrays, multiples)
        value = judgement[0]
    return finish(
        problem,
        multiples,
        lower_bound=max(min(bound, value), 0.0),
        proven=bound >= value * (1.0 - PROOF_TOLERANCE),
        effort_nodes=nodes,
        stopped_by_clock=stopped,
        second_best=second if second < math.inf else None,
        judgement=judgement,
    )


def _pack_by_tie_break(
    problem: PackingProblem,
    start: IntArray | None,
    max_nodes: int,
    should_stop: Callable[[], bool] | None,
    factors: QuadraticFactors | None,
) -> Packing:
    """`pack_exactly` where the determinant is zero whatever is packed.

    Zero costs nothing with nothing packed, so the variance of what costs nothing to pack decides.
    """
    free = problem.arrays.cost == 0.0
    decides = replace(
        problem,
        objective="variance",
        lower=np.where(free, problem.lower, 0),
        upper=np.where(free, problem.upper, 0),
        cost_per_lot=None,
    )
    packing = pack_exactly(decides, start, max_nodes, should_stop, factors)
    return finish(
        problem,
        packing.multiples,
        lower_bound=0.0,
        proven=packing.proven,
        effort_nodes=packing.effort_nodes,
        stopped_by_clock=packing.stopped_by_clock,
    )


def _search(
    problem: PackingProblem,
    metric: Metric,
    incumbent: Incumbent,
    left: FloatArray,
    nodes: int,
    max_nodes: int,
    should_stop: Callable[[], bool] | None,
) -> tuple[float, int, bool]:
    """Continue where `settle` ended; returns the bound, the nodes spent in all, and whether the clock ended it."""
    frame = frame_of(problem.arrays)
    bound = float(np.min(left[:, -1])) - frame.rounding
    searches = [kind(problem.arrays, metric, frame, incumbent, left) for kind in (OverBoxes, NearIncumbent)]
    stopped = False
    while not stopped and nodes < max_nodes and bound < np.inf:
        for search in searches:
            until = min(nodes + search.turn, max_nodes)
            search.idle = False
            while not stopped and nodes < until and bound < np.inf and not search.idle:
                stopped = should_stop is not None and should_stop()
                if not stopped:
                    nodes += search.advance(min(BATCH_NODES, until - nodes))
                    bound = max(bound, search.bound)
            search.turn *= 2
    return bound, nodes, stopped


def _is_always_zero(problem: PackingProblem) -> bool:
    """Whether the determinant is zero whatever is packed: dependent assets, or a leg that nothing takes from zero."""
    untouched = ~problem.B.any(axis=1)
    return problem.arrays.determinant_of_sigma == 0.0 or bool(
        ((problem.Q == 0.0) & (untouched | (problem.mode == "inside"))).any()
    )
