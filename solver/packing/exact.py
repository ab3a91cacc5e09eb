"""The proving method: exact search for the packing of least objective, with an honest bound when its budget ends.

The quadratic objectives (`variance`, also with a horizon covariance in place of Sigma) are integer least squares over a
box: minimise ``|L (Q - B omega)|² + cost @ |omega|`` with L'L = Sigma. What is searched is the gap to a relaxation:
around any point w with any multipliers nu of the rows of the mode `inside`,

    objective(omega)  >=  base + |L B (omega - w)|² + sum_k t_k(omega_k),        t_k >= 0 on the box,

where t_k is convex and piecewise linear: it holds the gradient at w, the cost and the multipliers. At the relaxed
optimum base is the relaxed objective; elsewhere it is lower but still a bound.

Read on in `relaxation` (the bound), `root` (the first incumbent and what the bound rules out at once), `lattice` and
`relaxed` (the two searches) and `incumbent` (how they judge what they find).

References
----------
Chang and Han (2008), Solving box-constrained integer least squares problems.
Danna, Rothberg and Le Pape (2005), Exploring relaxation induced neighborhoods to improve MIP solutions (branch and
bound as a local search).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.errors import IllPosed
from solver.packing.determinant import pack_determinant
from solver.packing.incremental import pack_incrementally
from solver.packing.incumbent import Incumbent, judge, nothing_packed, to_beat
from solver.packing.lattice import Lattice, ball, least_open, walk_lattice
from solver.packing.polish import polish
from solver.packing.problem import PROOF_TOLERANCE, Packing, PackingArrays, PackingProblem, finish
from solver.packing.relaxation import Metric, metric_of
from solver.packing.relaxed import branch, empty_boxes
from solver.packing.root import Root, relax_root, with_own_box

# About a second.
DEFAULT_MAX_NODES = 5_000_000
# Nodes between two looks at the clock: half a millisecond.
BATCH_NODES = 5_000
# Nodes of the search in a ball that comes first.
FIRST_NODES = 2_000
# Nodes of the first turn of each search; each further turn has twice as many. What is wide and without costs needs the
# ball, what rows decide the boxes; a third of the effort around the incumbent found what each missed.
BALL_NODES = 8_000
BRANCH_NODES = 16_000
NEAR_NODES = 16_000
# What a relaxed box counts for.
RELAXED_NODES = 200
# A ball is made again when the gap has come below this share of the one it was made for.
SHRUNK = 0.7
# Widest neighbourhood of the incumbent that is searched, in lots to either side.
WIDEST = 4


class QuadraticFactors:
    """What stays while Sigma and the items stay: B'ΣB and its factors. O(K³ + n² K) to make.

    Parameters
    ----------
    B : (n, K) exposure per lot of each item, numeraire.
    Sigma : (n, n) symmetric PSD covariance.
    """

    def __init__(self, B: FloatArray, Sigma: FloatArray) -> None:
        self.B = B
        self.Sigma = Sigma
        self.metric = metric_of(B, Sigma)

    def suit(self, problem: PackingProblem) -> bool:
        """Whether they were made for the items and the covariance of this problem."""
        return (self.B is problem.B or np.array_equal(self.B, problem.B)) and (
            self.Sigma is problem.Sigma or np.array_equal(self.Sigma, problem.Sigma)
        )


@compiled
def settle(arrays: PackingArrays, metric: Metric, start: IntArray, max_nodes: int) -> tuple[Incumbent, float, int]:
    """The root and a short search in a ball, in one kernel: most `free` problems are through then.

    Returns
    -------
    (incumbent, bound, nodes) : the bound is infinite once the incumbent is proven best.
    """
    incumbent = nothing_packed(arrays)
    root = relax_root(arrays, metric, start, incumbent)
    bound = root.base - root.rounding
    if bound == np.inf:
        return incumbent, bound, 1
    boxed = with_own_box(arrays, root.low, root.high)
    ok, offset, lattice = ball(boxed, metric.gram, root, to_beat(incumbent, root.rounding) - root.base)
    if not ok:
        return incumbent, np.inf if offset == 0.0 else bound, 1
    base = root.base + offset
    nodes = walk_lattice(boxed, lattice, incumbent, base, root.rounding, min(max_nodes, FIRST_NODES))
    return incumbent, max(bound, base - root.rounding + least_open(lattice)), nodes


class InBall:
    """The search in a reduced basis (`solver.packing.lattice`), in a new ball whenever the gap has shrunk."""

    turn = BALL_NODES

    def __init__(self, arrays: PackingArrays, metric: Metric, root: Root, incumbent: Incumbent) -> None:
        self.arrays, self.metric, self.root, self.incumbent = arrays, metric, root, incumbent
        self.boxed = with_own_box(arrays, root.low, root.high)
        self.lattice: Lattice | None = None
        self.offset = self.room = 0.0
        self.bound = -np.inf
        self.idle = False

    def advance(self, nodes: int) -> int:
        """Go on for so many nodes; returns how many it took."""
        root = self.root
        room = to_beat(self.incumbent, root.rounding) - root.base
        if self.lattice is None or room < SHRUNK * self.room:
            candidate = self.incumbent.multiples.copy()
            polish(self.arrays, self.metric.gram, root.pull, candidate)
            judge(self.arrays, self.incumbent, candidate)
            self.room = to_beat(self.incumbent, root.rounding) - root.base
            ok, self.offset, self.lattice = ball(self.boxed, self.metric.gram, root, self.room)
            if not ok:
                # Either nothing can be better, or the ball is too flat for the arithmetic.
                if self.offset == 0.0:
                    self.bound = np.inf
                self.idle, self.lattice = True, None
                return 1
        base = root.base + self.offset
        nodes = walk_lattice(self.boxed, self.lattice, self.incumbent, base, root.rounding, nodes)
        self.bound = max(self.bound, base - root.rounding + least_open(self.lattice))
        return nodes


class OverBoxes:
    """Branch and bound over the relaxation (`solver.packing.relaxed`)."""

    turn = BRANCH_NODES

    def __init__(self, arrays: PackingArrays, metric: Metric, root: Root, incumbent: Incumbent) -> None:
        self.metric, self.root, self.incumbent = metric, root, incumbent
        self.work = with_own_box(arrays, root.low, root.high)
        self.boxes = empty_boxes(len(root.low))
        self.depth = 0
        self.bound = -np.inf
        self.idle = False
        self.begin(root.low, root.high)

    def begin(self, low: IntArray, high: IntArray) -> None:
        """Begin anew with the packings ``low <= omega <= high``."""
        boxes = self.boxes
        boxes.low[0], boxes.high[0], boxes.point[0], boxes.bound[0] = low, high, self.root.point, self.root.base
        self.depth = 1

    def advance(self, nodes: int) -> int:
        """Go on for so many nodes; returns how many it took."""
        root = self.root
        self.depth, relaxed = branch(
            self.work,
            self.metric,
            root.pull,
            root.unpacked,
            self.boxes,
            self.depth,
            self.incumbent,
            root.rounding,
            -(-nodes // RELAXED_NODES),
        )
        self.bound = float(np.min(self.boxes.bound[: self.depth], initial=np.inf)) - root.rounding
        return max(relaxed, 1) * RELAXED_NODES


class NearIncumbent(OverBoxes):
    """Branch and bound a few lots around the incumbent: it finds better ones, and proves nothing."""

    turn = NEAR_NODES

    def __init__(self, arrays: PackingArrays, metric: Metric, root: Root, incumbent: Incumbent) -> None:
        super().__init__(arrays, metric, root, incumbent)
        self.depth = 0
        self.radius = 0
        self.around = incumbent.multiples.copy()

    def advance(self, nodes: int) -> int:
        """Go on for so many nodes; returns how many it took."""
        if self.depth == 0:
            if (self.around != self.incumbent.multiples).any():
                self.around, self.radius = self.incumbent.multiples.copy(), 0
            # Idle until another search finds a better incumbent.
            self.idle = self.radius == WIDEST
            if self.idle:
                return 1
            self.radius += 1
            low = np.maximum(self.root.low, self.around - self.radius)
            high = np.minimum(self.root.high, self.around + self.radius)
            if (low > high).any():
                # The incumbent lies outside what can beat it, and further than this.
                return 1
            self.begin(low, high)
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
    `pack_incrementally`, the determinant to `solver.packing.determinant`, unless it is always zero: then the variance
    decides.

    Variance: the relaxation (`solver.packing.relaxation`) gives the bound of the root and, rounded and improved, a
    first packing. Then searches take turns of doubling length, as each is fast where the others are not: over the
    relaxation of ever smaller boxes where rows, bounds and costs matter, in a reduced basis where they hardly do, and
    around the incumbent.

    Parameters
    ----------
    start : (K,) integer multiples, feasible or not, that the search begins from.
    max_nodes : >= 1; a multiple tried is one node, a relaxed box RELAXED_NODES, and the last box may go over.
    should_stop : asked after the first FIRST_NODES nodes and before every BATCH_NODES more; True ends the search with
        the best so far.
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
        # Zero costs nothing with nothing packed, so the variance of what costs nothing to pack decides.
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
    start = problem.checked_start(start, max_nodes)
    if factors is None:
        factors = QuadraticFactors(problem.B, problem.Sigma)
    elif not factors.suit(problem):
        raise IllPosed("factors must be made of the problem's B and Sigma, got those of others")

    arrays = problem.arrays
    incumbent, bound, nodes = settle(arrays, factors.metric, start, max_nodes)
    stopped = False
    searches: list[InBall | OverBoxes] = []
    if bound < np.inf:
        # Again, because a better incumbent leaves a smaller box.
        root = relax_root(arrays, factors.metric, incumbent.multiples, incumbent)
        bound = max(bound, root.base - root.rounding)
        kinds = (OverBoxes, InBall, NearIncumbent)
        searches = [kind(arrays, factors.metric, root, incumbent) for kind in kinds]
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
    value = float(incumbent.key[0])
    return finish(
        problem,
        incumbent.multiples,
        lower_bound=max(min(bound, value), 0.0),
        proven=bound >= value * (1.0 - PROOF_TOLERANCE),
        effort_nodes=nodes,
        stopped_by_clock=stopped,
        second_best=float(incumbent.key[2]) if np.isfinite(incumbent.key[2]) else None,
    )


def _is_always_zero(problem: PackingProblem) -> bool:
    """Whether the determinant is zero whatever is packed: dependent assets, or a leg that nothing takes from zero."""
    untouched = ~problem.B.any(axis=1)
    return problem.arrays.determinant_of_sigma == 0.0 or bool(
        ((problem.Q == 0.0) & (untouched | (problem.mode == "inside"))).any()
    )
