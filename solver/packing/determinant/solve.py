"""Exact search for `determinant`: first for a flat leg, then for the least product of legs.

A determinant is zero as soon as one leg is flat, and then the least variance is wanted. So there is one branch and
bound over boxes (`solver.packing.boxes.depth_first.search`) for each asset that some packing can leave flat. Where
none can, what is left is ``det Σ · Π q_i²``, which grows with every |q_i|, and has its minima where legs are close to
zero. Intervals of multiples say nothing there, so the second search is over the sizes of legs
(`solver.packing.determinant.products`).

That one knows no costs. With costs the second search is depth first, item after item
(`solver.packing.determinant.sums`).

References
----------
Land and Doig (1960), An automatic method of solving discrete programming problems.
Horowitz and Sahni (1974), Computing partitions with applications to the knapsack problem (a sum from two halves).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solver.arrays import IntArray
from solver.packing.boxes.depth_first import root_box, search
from solver.packing.boxes.tighten import tighten
from solver.packing.determinant.products import SUM_ROUNDING, cover_of, least_open_product, search_products
from solver.packing.determinant.sums import MOST_LISTED, least_open_bound, search_sums, tree_of
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.methods.incremental import BATCH_NODES, pack_incrementally
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing, finish

# Nodes that the local search and its branch and bound may take first: the best they find prunes from the start.
FIRST_NODES = 1_000
# Steps of the search over sizes that count as one node: together they take as long, a microsecond.
STEPS = 10
# Sums of half the items that touch an asset which are compared with those of the other half: a tenth of a second.
MOST_HALVES = 600_000


class OverSums:
    """The search for the least product of legs where lots cost: by tables of the sums of lots."""

    def __init__(self, arrays: PackingArrays, low: IntArray, high: IntArray) -> None:
        self.arrays = arrays
        self.tree = tree_of(arrays, low, high)

    def advance(self, best: IntArray, nodes: int) -> int:
        """Search for so many nodes more, replace `best` by what precedes it; returns how many it took."""
        return int(search_sums(self.arrays, self.tree, best, nodes))

    def least_open(self, value: float) -> float:
        """No packing without a flat leg still to be searched is below this; infinite where none is left."""
        return least_open_bound(self.tree)


class OverSizes:
    """The search for the least product of legs where nothing costs: by boxes of leg sizes."""

    def __init__(self, arrays: PackingArrays, low: IntArray, high: IntArray) -> None:
        self.arrays = arrays
        self.cover = cover_of(arrays, low, high)

    def advance(self, best: IntArray, nodes: int) -> int:
        """Search for so many nodes more, replace `best` by what precedes it; returns how many it took."""
        return -(-int(search_products(self.arrays, self.cover, best, STEPS * nodes)) // STEPS)

    def least_open(self, value: float) -> float:
        """No packing without a flat leg still to be searched is below this; infinite where none is below `value`."""
        return least_open_product(self.cover, value) if value > 0.0 else np.inf


def can_search_legs(arrays: PackingArrays, low: IntArray, high: IntArray) -> bool:
    """Whether `search_legs` is for this box: with costs it lists the multiples of an item, fewer than MOST_LISTED."""
    return not arrays.cost.any() or int(np.max(high - low)) < MOST_LISTED


def search_legs(arrays: PackingArrays, low: IntArray, high: IntArray) -> OverSums | OverSizes:
    """The search for the least determinant above zero in a box (K,) that holds such a packing, not begun."""
    return (OverSums if arrays.cost.any() else OverSizes)(arrays, low, high)


def pack_determinant(
    problem: PackingProblem,
    start: IntArray | None,
    max_nodes: int,
    should_stop: Callable[[], bool] | None = None,
) -> Packing:
    """`solver.packing.methods.exact.pack_exactly` for the objective `determinant`.

    First `pack_incrementally`, with FIRST_NODES at most; unless that proves its packing, the searches above.
    """
    first = pack_incrementally(problem, start, min(max_nodes, FIRST_NODES), should_stop)
    if first.proven or first.stopped_by_clock or first.effort_nodes >= max_nodes:
        return first
    low, high = problem.lower.copy(), problem.upper.copy()
    if problem.mode == "inside":
        tighten(problem.arrays, low, high, len(low))
    if not can_search_legs(problem.arrays, low, high):
        return pack_incrementally(problem, first.multiples, max_nodes, should_stop)
    best = first.multiples.copy()
    nodes = first.effort_nodes
    stopped = False
    flat = [
        (root_box(arrays, i), arrays)
        for i in range(len(problem.Q))
        if (arrays := flat_arrays(problem.arrays, low, high, i)) is not None
    ]
    open_bound = np.inf
    # The most promising asset first: what is found there ends the search for others.
    for boxes, arrays in sorted(flat, key=lambda one: (one[0].value[0], one[0].tie[0])):
        depth = 1
        if (arrays.lower == arrays.upper).all():
            depth = 0
            adopt(arrays, arrays.lower, best)
        while not stopped and nodes < max_nodes and depth:
            stopped = should_stop is not None and should_stop()
            if not stopped:
                depth, spent = search(arrays, boxes, depth, best, min(BATCH_NODES, max_nodes - nodes))
                nodes += spent
        open_bound = min(open_bound, float(np.min(boxes.value[:depth], initial=np.inf)))
    _, value, _ = evaluate(problem.arrays, best)
    if value > 0.0:
        legs = search_legs(problem.arrays, low, high)
        while not stopped and nodes < max_nodes and legs.least_open(value) < np.inf:
            stopped = should_stop is not None and should_stop()
            if not stopped:
                nodes += legs.advance(best, min(BATCH_NODES, max_nodes - nodes))
                _, value, _ = evaluate(problem.arrays, best)
        open_bound = min(open_bound, legs.least_open(value))
    _, value, _ = evaluate(problem.arrays, best)
    return finish(
        problem,
        best,
        lower_bound=max(first.lower_bound, min(value, open_bound)),
        proven=open_bound == np.inf,
        effort_nodes=nodes,
        stopped_by_clock=stopped,
    )


def adopt(arrays: PackingArrays, candidate: IntArray, best: IntArray) -> None:
    """Take over `candidate` (K,) where it precedes `best`."""
    kept, value, tie = evaluate(arrays, candidate)
    _, best_value, best_tie = evaluate(arrays, best)
    if kept and precedes(value, tie, candidate, best_value, best_tie, best):
        copy_multiples(candidate, best)


def flat_arrays(arrays: PackingArrays, low: IntArray, high: IntArray, i: int) -> PackingArrays | None:
    """The problem with its box shrunk to the multiples with which asset `i` can be flat; None if it cannot.

    The items that touch it are cut into two halves. What half of them packs stays if the other half can make up for it.
    """
    legs, held = arrays.items[:, i], arrays.position[i]
    touching = np.flatnonzero(legs)
    if not touching.size:
        return arrays._replace(lower=low, upper=high) if held == 0.0 else None
    halves = (touching[::2], touching[1::2])
    if max(np.prod(high[half] - low[half] + 1.0) for half in halves) > MOST_HALVES:
        return arrays._replace(lower=low, upper=high)
    grids = [
        np.stack(np.meshgrid(*map(np.arange, low[half], high[half] + 1), indexing="ij"), axis=-1).reshape(-1, len(half))
        if half.size
        else np.zeros((1, 0), dtype=np.int64)
        for half in halves
    ]
    sums = [grid @ legs[half] for grid, half in zip(grids, halves, strict=True)]
    slack = arrays.leg_tolerance[i] + SUM_ROUNDING * (abs(held) + sum(float(np.abs(part).max()) for part in sums))
    low, high = low.copy(), high.copy()
    for half, grid, part, rest in zip(halves, grids, sums, sums[::-1], strict=True):
        rest = np.sort(rest)
        made_up = np.searchsorted(rest, held - part - slack) < np.searchsorted(rest, held - part + slack, "right")
        if not made_up.any():
            return None
        low[half], high[half] = grid[made_up].min(axis=0), grid[made_up].max(axis=0)
    return arrays._replace(lower=low, upper=high)
