"""The proving method: exact search for the packing of least objective, with an honest bound when its budget ends.

The quadratic objectives (`variance`, also with a horizon covariance in place of Sigma) are integer least squares over a
box: minimise ``|L (Q - B omega)|² + cost @ |omega|`` with L'L = Sigma. What is searched is the gap to a relaxation:
around any point w with any multipliers nu of the rows of the mode `inside`,

    objective(omega)  >=  base + |R (omega - w)|² + sum_k t_k(omega_k),        t_k >= 0 on the box,

where R is the triangular factor of L B and t_k is convex and piecewise linear: it holds the gradient at w, the cost and
the multipliers. At the relaxed optimum base is the relaxed objective; elsewhere it is lower but still a bound, so the
relaxation never has to be solved exactly. The right-hand side is separable once R is triangular, which makes it a
depth-first sphere search (Schnorr and Euchner) whose levels list their multiples in the order of the bound.

References
----------
Schnorr and Euchner (1994), Lattice basis reduction: improved practical algorithms and solving subset sum problems.
Agrell, Eriksson, Vardy and Zeger (2002), Closest point search in lattices.
Chang and Han (2008), Solving box-constrained integer least squares problems.
Foschini, Golden, Valenzuela and Wolniansky (1999), Simplified processing for high spectral efficiency wireless
communication employing multi-element arrays (the order of the columns, "V-BLAST").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.errors import IllPosed
from solver.packing.determinant import pack_determinant
from solver.packing.incremental import pack_incrementally
from solver.packing.lattice import (
    ball,
    empty_lattice,
    least_open,
    shorten_all,
    walk_lattice,
)
from solver.packing.problem import (
    PROOF_TOLERANCE,
    Packing,
    PackingArrays,
    PackingProblem,
    copy_multiples,
    evaluate,
    finish,
    precedes,
)
from solver.packing.relaxation import ROUNDS, polish, relax
from solver.packing.relaxed import branch, one_box
from solver.packing.repair import repair
from solver.packing.tighten import tighten

# Some tens of milliseconds.
DEFAULT_MAX_NODES = 500_000
# Nodes between two looks at the clock: a tenth of a millisecond.
BATCH_NODES = 5_000
# Nodes of the first turn of the search item by item and of the one in a ball; each further turn has twice as many.
PLAIN_NODES = 500
BALL_NODES = 2_000
# Rounds of shortening the ranges by the gap and tightening them by the rows, each with a new relaxation.
PRESOLVE_ROUNDS = 4
# With no more packings than this in the box, the search item by item is sure to end and goes first.
FEW = 300_000
# The first turn of branch and bound over the relaxation, which only `inside` has, and what one of its boxes counts for.
BRANCH_NODES = 16_000
RELAXED_NODES = 200
# A ball is made again when the gap has come below this share of the one it was made for.
SHRUNK = 0.7
# Share of the gap that is paid for parabolas from the box, and from the rows.
BOX_SHARE = 0.01
ROW_SHARE = 0.1
# Rounding of a bound, as a share of the squared sum of the standalone risks of the positions: some ulp.
ROUNDING = 1e-15


class Tree(NamedTuple):
    """A sphere search that can be interrupted. Items are in search order: the last one is fixed first."""

    order: IntArray  # (K,), which item stands at each place
    R: FloatArray  # (K, K), upper triangular
    around: FloatArray  # (K,), the point w
    slope: FloatArray  # (K,), gradient at w of everything but the cost
    cost: FloatArray  # (K,)
    least: FloatArray  # (K,), least value on the box of the part of t_k that is not normalised
    low: FloatArray  # (K,), the box
    high: FloatArray  # (K,)
    legs: FloatArray  # (K, n), exposure per lot
    rest_least: FloatArray  # (K + 1, n), the least that the places below can pack of each asset
    rest_most: FloatArray  # (K + 1, n)
    packed: FloatArray  # (K + 1, n), what the places from this one on pack
    bound: FloatArray  # (K + 1,), the bound with the places from this one on fixed
    x: FloatArray  # (K,), the current multiples
    centre: FloatArray  # (K,), of the parabola at each place
    end: FloatArray  # (2, K), bounds of the multiples at each place, given those above
    next_x: FloatArray  # (2, K), next multiple to try to the left and to the right
    next_bound: FloatArray  # (2, K), and what they add to the bound
    cursor: IntArray  # (2,), the current place (K when done), and whether it is yet to be opened


@compiled
def added(tree: Tree, k: int, x: float) -> float:
    """What the multiple `x` at place `k` adds to the bound, given the centre there; infinite beyond the ends."""
    if x < tree.end[0, k] or x > tree.end[1, k]:
        return np.inf
    off = tree.R[k, k] * (x - tree.centre[k])
    linear = tree.slope[k] * (x - tree.around[k]) + tree.cost[k] * (abs(x) - abs(tree.around[k]))
    return float(off * off + max(linear - tree.least[k], 0.0))


@compiled
def open_place(arrays: PackingArrays, tree: Tree, k: int) -> None:
    """Find the ends of place `k` and the multiple with the least bound, from where both sides are listed outwards."""
    low = tree.low[k]
    high = tree.high[k]
    if arrays.inside:
        for i in range(arrays.position.shape[0]):
            leg = tree.legs[k, i]
            if leg == 0.0:
                continue
            least = tree.packed[k + 1, i] + tree.rest_least[k, i]
            most = tree.packed[k + 1, i] + tree.rest_most[k, i]
            slack = arrays.leg_tolerance[i] + 1e-14 * (abs(tree.packed[k + 1, i]) + abs(least) + abs(most))
            down = (min(arrays.position[i], 0.0) - slack - most) / leg
            up = (max(arrays.position[i], 0.0) + slack - least) / leg
            low = max(low, np.ceil(min(down, up)))
            high = min(high, np.floor(max(down, up)))
    tree.end[0, k] = low
    tree.end[1, k] = high
    if low > high:
        tree.next_bound[0, k] = np.inf
        tree.next_bound[1, k] = np.inf
        return
    r = tree.R[k, k]
    tree.centre[k] = tree.around[k]
    best = 0.0
    if r != 0.0:
        shift = 0.0
        for j in range(k + 1, tree.x.shape[0]):
            shift += tree.R[k, j] * (tree.x[j] - tree.around[j])
        tree.centre[k] -= shift / r
        best = tree.centre[k] - 0.5 * (tree.slope[k] + tree.cost[k]) / r / r
        if best < 0.0:
            best = min(tree.centre[k] - 0.5 * (tree.slope[k] - tree.cost[k]) / r / r, 0.0)
    elif tree.slope[k] + tree.cost[k] < 0.0:
        best = high
    elif tree.slope[k] - tree.cost[k] > 0.0:
        best = low
    best = np.floor(min(max(best, low), high))
    tree.next_x[0, k] = best
    tree.next_x[1, k] = best + 1.0
    tree.next_bound[0, k] = added(tree, k, best)
    tree.next_bound[1, k] = added(tree, k, best + 1.0)


@compiled
def walk(
    arrays: PackingArrays, tree: Tree, best: IntArray, second: FloatArray, base: float, rounding: float, max_nodes: int
) -> int:
    """Go on with the search; returns the nodes spent, a node being one multiple tried at one place.

    `best` (K,), in the order of the problem, is replaced by any packing found that precedes it, and `second` (1,) by
    the value of any other that is the next best so far.
    """
    items = best.shape[0]
    _, value, tie = evaluate(arrays, best)
    limit = value * (1.0 - PROOF_TOLERANCE) + rounding - base
    trial = np.zeros_like(best)
    k = tree.cursor[0]
    opening = tree.cursor[1] == 1
    nodes = 0
    while k < items and nodes < max_nodes and value > 0.0:
        if opening:
            open_place(arrays, tree, k)
            opening = False
        nodes += 1
        side = 0 if tree.next_bound[0, k] <= tree.next_bound[1, k] else 1
        bound = tree.bound[k + 1] + tree.next_bound[side, k]
        if bound >= limit:
            # What is left at this place is no better: the bound is convex in the multiple.
            k += 1
            continue
        tree.x[k] = tree.next_x[side, k]
        tree.next_x[side, k] += 2.0 * side - 1.0
        tree.next_bound[side, k] = added(tree, k, tree.next_x[side, k])
        if k > 0:
            tree.bound[k] = bound
            if arrays.inside:
                for i in range(arrays.position.shape[0]):
                    tree.packed[k, i] = tree.packed[k + 1, i] + tree.x[k] * tree.legs[k, i]
            k -= 1
            opening = True
            continue
        for j in range(items):
            trial[tree.order[j]] = int(tree.x[j])
        kept, new_value, new_tie = evaluate(arrays, trial)
        if kept and precedes(new_value, new_tie, trial, value, tie, best):
            copy_multiples(trial, best)
            second[0] = value
            value, tie = new_value, new_tie
            limit = value * (1.0 - PROOF_TOLERANCE) + rounding - base
        elif kept and new_value < second[0] and precedes(value, tie, best, new_value, new_tie, trial):
            second[0] = new_value
    if value == 0.0:
        k = items
    tree.cursor[0] = k
    tree.cursor[1] = 1 if opening else 0
    return nodes


class Root(NamedTuple):
    """Where the relaxation ended, and what its bound is made of; in the order of the problem."""

    point: FloatArray  # (K,)
    slope: FloatArray  # (K,)
    least: FloatArray  # (K,)
    multiplier: FloatArray  # (n,)
    pull: FloatArray  # (K,), B'ΣQ


class QuadraticFactors:
    """What stays while Sigma and the items stay: the factor of B'ΣB and the order of its columns. O(K³ + n³) to make.

    Parameters
    ----------
    B : (n, K) exposure per lot of each item, numeraire.
    Sigma : (n, n) symmetric PSD covariance.
    """

    def __init__(self, B: FloatArray, Sigma: FloatArray) -> None:
        self.B = B
        self.Sigma = Sigma
        values, vectors = np.linalg.eigh(Sigma)
        self.root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        self.image = self.root @ B
        self.gram = np.ascontiguousarray(self.image.T @ self.image)
        self.order = _order(self.gram)
        self.R = np.zeros_like(self.gram)
        upper = np.linalg.qr(self.image[:, self.order], mode="r")
        self.R[: len(upper)] = upper

    def suit(self, problem: PackingProblem) -> bool:
        """Whether they were made for the items and the covariance of this problem."""
        return (self.B is problem.B or np.array_equal(self.B, problem.B)) and (
            self.Sigma is problem.Sigma or np.array_equal(self.Sigma, problem.Sigma)
        )


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
    first packing. Then the search item by item and the search in a reduced basis (`solver.packing.lattice`) take turns
    of doubling length, as each is fast where the other is not: bounds and costs that nearly decide, or hardly matter.
    With `inside`, branch and bound over the relaxation (`solver.packing.relaxed`) takes turns too, the longest ones.

    Parameters
    ----------
    start : (K,) integer multiples, feasible or not, that the search begins from.
    max_nodes : >= 1; a multiple tried is one node, a relaxed box RELAXED_NODES, and the last box may go over.
    should_stop : asked before every BATCH_NODES nodes; True ends the search with the best so far.
    factors : of these items and this covariance, to save making them again.

    Raises
    ------
    IllPosed : `start` of another shape or not of integers, max_nodes < 1, factors of another problem.
    """
    items = problem.B.shape[1]
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
    if start is None:
        start = np.zeros(items, dtype=np.int64)
    if start.shape != (items,) or not np.issubdtype(start.dtype, np.integer):
        raise IllPosed(f"start must be integers of shape {(items,)}, got {start.dtype} of shape {start.shape}")
    if max_nodes < 1:
        raise IllPosed(f"max_nodes must be >= 1, got {max_nodes}")
    if factors is None:
        factors = QuadraticFactors(problem.B, problem.Sigma)
    elif not factors.suit(problem):
        raise IllPosed("factors must be made of the problem's B and Sigma, got those of others")

    low, high = problem.lower.copy(), problem.upper.copy()
    if problem.mode == "inside" and items:
        tighten(problem.arrays, low, high, items)
    best = np.clip(start, low, high).astype(np.int64)
    repair(problem.arrays, best)
    _, value, tie = evaluate(problem.arrays, best)
    nothing = np.zeros(items, dtype=np.int64)
    _, nothing_value, nothing_tie = evaluate(problem.arrays, nothing)
    if precedes(nothing_value, nothing_tie, nothing, value, tie, best):
        best, value = nothing, nothing_value
    if not (low < high).any():
        return finish(problem, best, lower_bound=value, proven=True, effort_nodes=1)

    arrays = problem.arrays._replace(lower=low.copy(), upper=high.copy())
    volatility = np.sqrt(np.diag(problem.Sigma))
    rounding = ROUNDING * float(np.abs(problem.Q) @ volatility) ** 2
    tree, base, root = _plant(arrays, factors)
    rounded = np.clip(np.rint(root.point), low, high).astype(np.int64)
    if arrays.inside:
        repair(arrays, rounded)
    starts = [rounded, best.copy()] if best.any() else [rounded]
    for candidate in starts:
        polish(arrays, factors.gram, root.pull, candidate)
        _adopt(arrays, candidate, best)
    _, value, _ = evaluate(arrays, best)
    done = False
    for _ in range(PRESOLVE_ROUNDS if arrays.inside else 0):
        room = value * (1.0 - PROOF_TOLERANCE) + rounding - base
        width = int(np.sum(high - low))
        done = not (
            shorten_all(arrays, root.point, root.slope, root.least, room, low, high)
            and tighten(arrays, low, high, items)
        )
        if done or int(np.sum(high - low)) > SHRUNK * width:
            break
        arrays = arrays._replace(lower=low.copy(), upper=high.copy())
        tree, base, root = _plant(arrays, factors)
    second = np.full(1, np.inf)
    forms = items + (len(problem.Q) if arrays.inside else 0)
    nodes = 1
    bound = np.inf if done else base - rounding
    stopped = False
    # The searches take turns: item by item settles what bounds and costs nearly do, the ball the rest.
    plain_nodes, ball_nodes, relaxed_nodes = PLAIN_NODES, BALL_NODES, BRANCH_NODES
    if float(np.prod(high - low + 1.0)) <= FEW:
        plain_nodes = FEW
    lattice = None
    offset = room = 0.0
    boxes = one_box(low, high, root.point, root.multiplier, base - rounding) if arrays.inside else None
    boxed = arrays._replace(lower=low.copy(), upper=high.copy())
    unpacked = float(problem.Q @ problem.Sigma @ problem.Q)
    depth = 1
    while not done and not stopped and nodes < max_nodes:
        until = min(nodes + plain_nodes, max_nodes)
        while not done and not stopped and nodes < until:
            stopped = should_stop is not None and should_stop()
            if not stopped:
                nodes += walk(arrays, tree, best, second, base, rounding, min(BATCH_NODES, until - nodes))
                done = bool(tree.cursor[0] == items)
        bound = max(bound, base + least_open(tree.cursor, tree.bound, tree.next_bound) - rounding)
        until = min(nodes + ball_nodes, max_nodes)
        while not done and not stopped and nodes < until:
            _, value, _ = evaluate(arrays, best)
            now = value * (1.0 - PROOF_TOLERANCE) + rounding - base
            if lattice is None or now < SHRUNK * room:
                # A smaller gap makes a smaller ball.
                if lattice is not None:
                    candidate = best.copy()
                    polish(arrays, factors.gram, root.pull, candidate)
                    _adopt(arrays, candidate, best)
                    _, value, _ = evaluate(arrays, best)
                room = value * (1.0 - PROOF_TOLERANCE) + rounding - base
                lattice = empty_lattice(items, forms)
                ok, offset = ball(
                    arrays,
                    factors.gram,
                    root.point,
                    root.slope,
                    root.least,
                    root.multiplier,
                    room,
                    BOX_SHARE,
                    ROW_SHARE,
                    lattice,
                )
                if not ok:
                    # Either nothing can be better, or the ball is too flat for the arithmetic: then it gets no turn.
                    done = offset == 0.0
                    bound = np.inf if done else bound
                    ball_nodes, lattice = 0, None
                    break
            stopped = should_stop is not None and should_stop()
            if not stopped:
                batch = min(BATCH_NODES if now >= SHRUNK * room else BALL_NODES, until - nodes)
                nodes += walk_lattice(arrays, lattice, best, second, base + offset, rounding, batch)
                done = bool(lattice.cursor[0] == items)
                bound = max(
                    bound, base + offset + least_open(lattice.cursor, lattice.bound, lattice.next_bound) - rounding
                )
        until = min(nodes + relaxed_nodes, max_nodes)
        while boxes is not None and not done and not stopped and nodes < until:
            stopped = should_stop is not None and should_stop()
            if not stopped:
                left = (min(BATCH_NODES, until - nodes) + RELAXED_NODES - 1) // RELAXED_NODES
                depth, relaxed = branch(
                    boxed, factors.gram, root.pull, unpacked, boxes, depth, best, second, rounding, left
                )
                nodes += max(relaxed, 1) * RELAXED_NODES
                done = depth == 0
                bound = max(bound, float(np.min(boxes.bound[:depth], initial=np.inf)) - rounding)
        plain_nodes *= 2
        ball_nodes *= 2
        relaxed_nodes *= 2
    _, value, _ = evaluate(arrays, best)
    return finish(
        problem,
        best,
        lower_bound=max(min(bound, value), 0.0),
        proven=bound >= value * (1.0 - PROOF_TOLERANCE),
        effort_nodes=nodes,
        stopped_by_clock=stopped,
        second_best=float(second[0]) if np.isfinite(second[0]) else None,
    )


def _is_always_zero(problem: PackingProblem) -> bool:
    """Whether the determinant is zero whatever is packed: dependent assets, or a leg that nothing takes from zero."""
    untouched = ~problem.B.any(axis=1)
    return problem.arrays.determinant_of_sigma == 0.0 or bool(
        ((problem.Q == 0.0) & (untouched | (problem.mode == "inside"))).any()
    )


def _adopt(arrays: PackingArrays, candidate: IntArray, best: IntArray) -> None:
    """Take over `candidate` (K,) where it precedes `best`."""
    kept, value, tie = evaluate(arrays, candidate)
    _, best_value, best_tie = evaluate(arrays, best)
    if kept and precedes(value, tie, candidate, best_value, best_tie, best):
        copy_multiples(candidate, best)


def _plant(arrays: PackingArrays, factors: QuadraticFactors) -> tuple[Tree, float, Root]:
    """The relaxation at the root and an untouched search around it, with the bound of its root."""
    items, n = arrays.items.shape
    target = factors.root @ arrays.position
    pull = factors.image.T @ target
    point = np.zeros(items)
    multiplier = np.zeros(n)
    relax(arrays, factors.gram, pull, point, multiplier, ROUNDS)
    left = target - factors.image @ point
    slope = -2.0 * (factors.image.T @ left) + arrays.items @ multiplier
    low, high = arrays.lower.astype(np.float64), arrays.upper.astype(np.float64)
    ends = np.stack([low, high, np.zeros(items)])
    least = np.min(slope * (ends - point) + arrays.cost * (np.abs(ends) - np.abs(point)), axis=0)
    reach = np.where(multiplier > 0.0, np.maximum(arrays.position, 0.0), np.minimum(arrays.position, 0.0))
    base = float(left @ left + arrays.cost @ np.abs(point) + multiplier @ (point @ arrays.items - reach) + least.sum())
    order = factors.order
    legs = np.ascontiguousarray(arrays.items[order])
    low, high = low[order], high[order]
    one, other = legs * low[:, None], legs * high[:, None]
    rest_least, rest_most = np.zeros((items + 1, n)), np.zeros((items + 1, n))
    np.cumsum(np.minimum(one, other), axis=0, out=rest_least[1:])
    np.cumsum(np.maximum(one, other), axis=0, out=rest_most[1:])
    tree = Tree(
        order=order,
        R=factors.R,
        around=point[order],
        slope=slope[order],
        cost=arrays.cost[order],
        least=least[order],
        low=low,
        high=high,
        legs=legs,
        rest_least=rest_least,
        rest_most=rest_most,
        packed=np.zeros((items + 1, n)),
        bound=np.zeros(items + 1),
        x=np.zeros(items),
        centre=np.zeros(items),
        end=np.zeros((2, items)),
        next_x=np.zeros((2, items)),
        next_bound=np.zeros((2, items)),
        cursor=np.array([items - 1, 1]),
    )
    return tree, base, Root(point=point, slope=slope, least=least, multiplier=multiplier, pull=pull)


def _order(gram: FloatArray) -> IntArray:
    """The V-BLAST order: at the place fixed first the item that the others can replace least."""
    items = len(gram)
    ridge = 1e-10 * float(np.trace(gram)) / max(items, 1)
    inverse = np.linalg.inv(gram + ridge * np.eye(items))
    order = np.empty(items, dtype=np.int64)
    alive = np.arange(items)
    for place in range(items - 1, -1, -1):
        k = int(np.argmin(np.diag(inverse)))
        order[place] = alive[k]
        alive = np.delete(alive, k)
        inverse = inverse - np.outer(inverse[:, k], inverse[k]) / inverse[k, k]
        inverse = np.delete(np.delete(inverse, k, 0), k, 1)
    return order
