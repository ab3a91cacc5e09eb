"""The least product of legs where lots cost: depth first, item after item, with tables of the sums of lots.

What the items not yet fixed can pack of an asset are the sums of their lots. They are tabled, and looked up for how
close to zero each leg can still come.

References
----------
Horowitz and Sahni (1974), Computing partitions with applications to the knapsack problem (sums of a part, tabled).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import BoolArray, FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.objective import determinant_kernel
from solver.packing.determinant.products import MOST_SUMS, SUM_ROUNDING
from solver.packing.evaluation import PackingArrays, copy_multiples, evaluate, precedes
from solver.packing.incumbent import is_hopeless

# Multiples of one item that a node lists. Wider ranges are left to the branch and bound that halves them.
MOST_LISTED = 4_096
# Taken off every bound: keys are rounded to KEY_BITS, which is 2^-40 of them at most.
KEY_ROUNDING = 2.0**-39
# Stands for the smallest |q_i| where there is none.
NONE = -1.0


class Tree(NamedTuple):
    """A depth-first search that can be interrupted. Items are in search order: the last one is fixed first.

    Level k of K + 1 is the node that has fixed the items from k on.
    """

    order: IntArray  # (K,), the item of each level
    legs: FloatArray  # (K, n), exposure per lot
    cost: FloatArray  # (K,)
    low: IntArray  # (K,), the box
    high: IntArray  # (K,)
    sums: FloatArray  # (any,), every table, each ascending
    first: IntArray  # (K + 1, n), where the table of an asset and the items below the level starts
    last: IntArray  # (K + 1, n), and where it ends
    whole: BoolArray  # (K + 1, n), whether it holds all sums, or only the least and the largest
    rounding: FloatArray  # (n,), of a residual
    residual: FloatArray  # (K + 1, n)
    near: FloatArray  # (K + 1, n), the smallest |q_i| that is possible
    spent: FloatArray  # (K + 1,), cost
    bound: FloatArray  # (K + 1,), no packing below the node has a smaller objective
    x: IntArray  # (K,), the current multiples
    listed: IntArray  # (K, widest range), multiples to be tried at each level, by their bounds
    listed_bound: FloatArray  # (K, widest range)
    listed_count: IntArray  # (K,)
    next_listed: IntArray  # (K,), which of them comes next
    cursor: IntArray  # (2,), the current level (K when done), and whether it is yet to be listed


@compiled_borrowing
def first_above(sums: FloatArray, first: int, last: int, limit: float) -> int:
    """The index of the first of ``sums[first:last]``, ascending, that is above `limit`; `last` without one."""
    while first < last:
        middle = (first + last) // 2
        if sums[middle] > limit:
            last = middle
        else:
            first = middle + 1
    return first


@compiled_borrowing
def nearest(arrays: PackingArrays, tree: Tree, k: int, i: int) -> float:
    """The smallest |q_i| but zero that the items below level `k` can leave and the mode allows, or NONE."""
    left = tree.residual[k, i]
    first = tree.first[k, i]
    last = tree.last[k, i]
    rounding = tree.rounding[i]
    # What is not flat is further from zero than this.
    smallest = max(arrays.leg_tolerance[i] - rounding, 0.0)
    least = -np.inf
    most = np.inf
    if arrays.inside:
        least = min(arrays.position[i], 0.0) - arrays.leg_tolerance[i] - rounding
        most = max(arrays.position[i], 0.0) + arrays.leg_tolerance[i] + rounding
    if not tree.whole[k, i]:
        least = max(least, left - tree.sums[last - 1])
        most = min(most, left - tree.sums[first])
        if least > most + rounding:
            return NONE
        return float(max(least - rounding, -most - rounding, smallest))
    above = first_above(tree.sums, first, last, left + smallest)
    below = first_above(tree.sums, first, last, left - smallest) - 1
    best = np.inf
    if below >= first and left - tree.sums[below] <= most:
        best = left - tree.sums[below]
    if above < last and left - tree.sums[above] >= least:
        best = min(best, tree.sums[above] - left)
    return float(max(best - rounding, smallest)) if best < np.inf else NONE


@compiled_borrowing
def fix(arrays: PackingArrays, tree: Tree, k: int, x: int) -> bool:
    """Make the node at level `k` from the one above it by the multiple `x`; False if it holds no packing."""
    tree.x[k] = x
    tree.spent[k] = tree.spent[k + 1] + tree.cost[k] * abs(x)
    for i in range(arrays.position.shape[0]):
        leg = tree.legs[k, i]
        tree.residual[k, i] = tree.residual[k + 1, i] - x * leg
        tree.near[k, i] = tree.near[k + 1, i]
        if leg != 0.0:
            tree.near[k, i] = nearest(arrays, tree, k, i)
            if tree.near[k, i] == NONE:
                return False
    value = determinant_kernel(tree.near[k], arrays.determinant_of_sigma) + tree.spent[k]
    tree.bound[k] = value * (1.0 - KEY_ROUNDING)
    return True


@compiled_borrowing
def lies_between(arrays: PackingArrays, tree: Tree, x: int) -> bool:
    """Whether one lot more or less of the last item is sure to leave a smaller determinant than the multiple `x`.

    As long as no leg turns its sign, the logarithm of the determinant is strictly concave in the multiple.
    """
    if x == tree.low[0] or x == tree.high[0]:
        return False
    for i in range(arrays.position.shape[0]):
        leg = tree.legs[0, i]
        if leg != 0.0:
            one = tree.residual[1, i] - (x - 1) * leg
            other = tree.residual[1, i] - (x + 1) * leg
            tolerance = arrays.leg_tolerance[i] + tree.rounding[i]
            if min(one, other) <= tolerance and max(one, other) >= -tolerance:
                return False
            held = arrays.position[i]
            if arrays.inside and (max(one, other) > max(held, 0.0) or min(one, other) < min(held, 0.0)):
                return False
    return True


@compiled_borrowing
def open_node(arrays: PackingArrays, tree: Tree, k: int, value: float, tie: float) -> int:
    """List the multiples of the item at level `k` that may precede the key (value, tie), the best bounds first.

    Returns how many were tried.

    Parameters
    ----------
    arrays : the problem.
    tree : the search.
    k : the level, the one above it fixed.
    value, tie : the key of the best packing so far.
    """
    listed = tree.listed[k]
    bounds = tree.listed_bound[k]
    count = 0
    nodes = 0
    for x in range(tree.low[k], tree.high[k] + 1):
        if k == 0 and tree.cost[0] == 0.0 and lies_between(arrays, tree, x):
            continue
        nodes += 1
        if not fix(arrays, tree, k, x) or is_hopeless(tree.bound[k], 0.0, value, tie):
            continue
        at = count
        while at > 0 and tree.bound[k] < bounds[at - 1]:
            listed[at] = listed[at - 1]
            bounds[at] = bounds[at - 1]
            at -= 1
        listed[at] = x
        bounds[at] = tree.bound[k]
        count += 1
    tree.listed_count[k] = count
    tree.next_listed[k] = 0
    return nodes


@compiled
def search_sums(arrays: PackingArrays, tree: Tree, best: IntArray, max_nodes: int) -> int:
    """Search further; returns the nodes spent, a node being one multiple tried at one level.

    `best` (K,), in the order of the problem, is replaced by any packing found that precedes it.
    """
    items = best.shape[0]
    _, value, tie = evaluate(arrays, best)
    trial = np.zeros_like(best)
    k = tree.cursor[0]
    opening = tree.cursor[1] == 1
    nodes = 0
    while k < items and nodes < max_nodes:
        if opening:
            nodes += open_node(arrays, tree, k, value, tie)
            opening = False
        if tree.next_listed[k] == tree.listed_count[k]:
            k += 1
            continue
        at = tree.next_listed[k]
        tree.next_listed[k] += 1
        if is_hopeless(tree.listed_bound[k, at], 0.0, value, tie):
            # Nor are those with higher bounds any better.
            tree.next_listed[k] = tree.listed_count[k]
            continue
        if k > 0:
            fix(arrays, tree, k, tree.listed[k, at])
            k -= 1
            opening = True
            continue
        tree.x[0] = tree.listed[0, at]
        for j in range(items):
            trial[tree.order[j]] = tree.x[j]
        kept, new_value, new_tie = evaluate(arrays, trial)
        if kept and precedes(new_value, new_tie, trial, value, tie, best):
            copy_multiples(trial, best)
            value, tie = new_value, new_tie
    tree.cursor[0] = k
    tree.cursor[1] = 1 if opening else 0
    return nodes


def least_open_bound(tree: Tree) -> float:
    """The least bound of what the search has still to look at, infinite once nothing is left."""
    level, opening = tree.cursor.tolist()
    least = np.inf
    if level < len(tree.x) and opening:
        least = float(tree.bound[level + 1])
        level += 1
    for k in range(level, len(tree.x)):
        if tree.next_listed[k] < tree.listed_count[k]:
            least = min(least, float(tree.listed_bound[k, tree.next_listed[k]]))
    return least


def tree_of(arrays: PackingArrays, low: IntArray, high: IntArray) -> Tree:
    """A search that has not begun, for packings without a flat leg. O(n K MOST_SUMS) at most for its tables."""
    items, n = arrays.items.shape
    # Fixed first, and so at the end: what leaves least to choose from in all assets together.
    weight = np.where(low == high, np.inf, np.count_nonzero(arrays.items, axis=1) * np.log1p(high - low))
    order = np.argsort(weight, kind="stable").astype(np.int64)
    legs = np.ascontiguousarray(arrays.items[order])
    low, high = low[order], high[order]
    shape = (items + 1, n)
    first, last, whole = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64), np.ones(shape, dtype=bool)
    tables = []
    used = 0
    for i in range(n):
        sums = np.array([0.0])
        for k in range(items + 1):
            if k and legs[k - 1, i] == 0.0:
                first[k, i], last[k, i], whole[k, i] = first[k - 1, i], last[k - 1, i], whole[k - 1, i]
                continue
            if k:
                step = np.sort(legs[k - 1, i] * np.arange(low[k - 1], high[k - 1] + 1))
                whole[k, i] = whole[k - 1, i] and len(sums) * len(step) <= MOST_SUMS
                sums = np.unique(np.add.outer(sums, step)) if whole[k, i] else sums[[0, -1]] + step[[0, -1]]
            tables.append(sums)
            first[k, i], last[k, i] = used, used + len(sums)
            used += len(sums)
    width = int(np.max(high - low)) + 1
    tree = Tree(
        order=order,
        legs=legs,
        cost=arrays.cost[order],
        low=low,
        high=high,
        sums=np.concatenate(tables),
        first=first,
        last=last,
        whole=whole,
        rounding=SUM_ROUNDING * (np.abs(arrays.position) + np.maximum(np.abs(low), np.abs(high)) @ np.abs(legs)),
        residual=np.zeros(shape),
        near=np.zeros(shape),
        spent=np.zeros(items + 1),
        bound=np.zeros(items + 1),
        x=np.zeros(items, dtype=np.int64),
        listed=np.zeros((items, width), dtype=np.int64),
        listed_bound=np.zeros((items, width)),
        listed_count=np.zeros(items, dtype=np.int64),
        next_listed=np.zeros(items, dtype=np.int64),
        cursor=np.array([items - 1, 1]),
    )
    tree.residual[items] = arrays.position
    for i in range(n):
        tree.near[items, i] = nearest(arrays, tree, items, i)
    if (tree.near[items] == NONE).any():
        tree.cursor[:] = items, 0
    else:
        tree.bound[items] = determinant_kernel(tree.near[items], arrays.determinant_of_sigma) * (1.0 - KEY_ROUNDING)
    return tree
