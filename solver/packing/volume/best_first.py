"""Branch and bound for the volume: best first over boxes of residuals and multiples."""

from __future__ import annotations

import math

import numpy as np

from solver.arrays import IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.packing.boxes.repair import repair
from solver.packing.evaluation import PROOF_TOLERANCE, PackingArrays, copy_multiples, fits
from solver.packing.incumbent import Incumbent, judge
from solver.packing.volume.ball import search_ball
from solver.packing.volume.bound import bound_node
from solver.packing.volume.descent import Search, descend_volume, stand_at
from solver.packing.volume.dual_simplex import AT_LOWER
from solver.packing.volume.nodes import BOX_NODES, Nodes
from solver.packing.volume.scaling import VolumeArrays

# The lesser part of a residual's range that is cut, at least. Where the programme ended is often at an end, and a
# sliver cut off there leaves the other child as it was: a tenth takes half as many boxes again, a half a seventh.
LEAST_PART = 0.35
# Candidates that improving a rounded point may cost, how many boxes are rounded at first, and every how many later.
ROUNDED_NODES = 500
ROUNDED_FIRST = 4
ROUNDED_EVERY = 64


@compiled_borrowing
def push(nodes: Nodes, slot: int) -> None:
    """Add a node to the heap."""
    heap, bound = nodes.heap, nodes.bound
    at = nodes.tally[0]
    nodes.tally[0] += 1
    while at > 0 and bound[heap[(at - 1) // 2]] > bound[slot]:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = slot


@compiled_borrowing
def pop(nodes: Nodes) -> int:
    """Take the node with the least bound from the heap."""
    heap, bound = nodes.heap, nodes.bound
    top = heap[0]
    nodes.tally[0] -= 1
    end = nodes.tally[0]
    if end > 0:
        slot = heap[end]
        at = 0
        while 2 * at + 1 < end:
            child = 2 * at + 1
            if child + 1 < end and bound[heap[child + 1]] < bound[heap[child]]:
                child += 1
            if bound[slot] <= bound[heap[child]]:
                break
            heap[at] = heap[child]
            at = child
        heap[at] = slot
    return int(top)


@compiled_borrowing
def round_point(volume: VolumeArrays, nodes: Nodes, b: int, multiples: IntArray) -> None:
    """Put the multiples of node `b`'s point, rounded to whole lots, into `multiples`."""
    n = volume.position.shape[0]
    for k in range(multiples.shape[0]):
        nearest = math.floor(nodes.solution[b, n + k] + 0.5)
        multiples[k] = int(min(max(nearest, float(nodes.low[b, k])), float(nodes.high[b, k])))


@compiled
def improve_from(volume: VolumeArrays, arrays: PackingArrays, search: Search, best: Incumbent, max_nodes: int) -> int:
    """Repair and improve the multiples of `search`, and judge them; returns the candidates tried.

    Parameters
    ----------
    volume, arrays : the problem, scaled and as it is.
    search : its multiples (K,) are where to begin.
    best : replaced by what precedes it.
    max_nodes : candidates that may be tried.
    """
    spent = repair(arrays, search.multiples)
    stand_at(volume, arrays, search)
    progress = np.zeros(4, dtype=np.int64)
    spent += descend_volume(volume, arrays, search, progress, max_nodes)
    judge(arrays, best, search.multiples)
    return spent


@compiled
def open_root(volume: VolumeArrays, arrays: PackingArrays, nodes: Nodes, best: Incumbent) -> bool:
    """Bound the whole problem as the only node; whether it stays open.

    Assets are taken in step 1 by the share of their position that `best` leaves, largest first: conditioning on an
    asset at its upper end costs nothing in packings that leave it there.
    """
    n = volume.position.shape[0]
    # The basis of residuals, so that nothing depends on what was bounded before.
    for i in range(n):
        for j in range(n):
            nodes.tableau[i, j] = 1.0 if i == j else 0.0
        for k in range(volume.items.shape[0]):
            nodes.tableau[i, n + k] = volume.items[k, i]
        nodes.basis[i] = i
        nodes.row_of[i] = i
    for k in range(volume.items.shape[0]):
        nodes.row_of[n + k] = AT_LOWER
    nodes.tally[2] = 0
    fits(arrays, best.multiples)
    left = np.empty(n)
    for i in range(n):
        left[i] = abs(arrays.residual[i] * volume.scale[i]) / (1.0 + abs(volume.position[i]))
    for at in range(n):
        i = at
        share = left[i]
        while at > 0:
            j = nodes.order[at - 1]
            if left[j] >= share:
                break
            nodes.order[at] = j
            at -= 1
        nodes.order[at] = i
    nodes.tally[0] = 0
    nodes.tally[1] = nodes.free.shape[0] - 1
    for slot in range(nodes.free.shape[0]):
        nodes.free[slot] = nodes.free.shape[0] - 1 - slot
    # Read from the list, not written as 0: numba would compile all that follows once more for the literal.
    root = nodes.free[nodes.tally[1]]
    for i in range(n):
        nodes.x_low[root, i] = volume.least[i]
        nodes.x_high[root, i] = volume.most[i]
    copy_multiples(volume.lower, nodes.low[root])
    copy_multiples(volume.upper, nodes.high[root])
    # No volume is negative.
    nodes.bound[root] = 0.0
    bound_node(volume, nodes, root, best.key[0])
    if nodes.bound[root] >= best.key[0] * (1.0 - PROOF_TOLERANCE):
        return False
    push(nodes, root)
    return True


@compiled_borrowing
def least_open_bound(nodes: Nodes, best: Incumbent) -> float:
    """What no packing beats: the least bound of an open node, or the best value if none is open."""
    reached = float(best.key[0])
    return min(float(nodes.bound[nodes.heap[0]]), reached) if nodes.tally[0] > 0 else reached


@compiled_borrowing
def search_nodes(
    volume: VolumeArrays,
    arrays: PackingArrays,
    nodes: Nodes,
    search: Search,
    best: Incumbent,
    enough: float,
    until: int,
    max_nodes: int,
) -> int:
    """Best first over the open nodes, until none is left whose bound is more than `enough` below the best value.

    Every bounded box costs BOX_NODES. The first boxes' points are rounded and improved, later ones' now and then.
    Returns the nodes spent: it stops at `until` to be called again, and what it does in between depends on what is left
    of `max_nodes` alone. Stops early when there is no room for another node.

    Parameters
    ----------
    volume, arrays : the problem, scaled and as it is.
    nodes : the open nodes.
    search : room for the local search.
    best : replaced by what precedes it.
    enough : >= 0, a gap that is good enough, volume.
    until : nodes after which to stop and be called again.
    max_nodes : that may be spent in all.
    """
    n = volume.position.shape[0]
    items = best.multiples.shape[0]
    spent = 0
    while nodes.tally[0] > 0 and spent < until and nodes.tally[1] > 0:
        parent = nodes.heap[0]
        if nodes.bound[parent] >= best.key[0] * (1.0 - PROOF_TOLERANCE) - enough:
            break
        parent = pop(nodes)
        other = nodes.free[nodes.tally[1] - 1]
        variable = nodes.branch[parent]
        for j in range(n):
            nodes.x_low[other, j] = nodes.x_low[parent, j]
            nodes.x_high[other, j] = nodes.x_high[parent, j]
        for k in range(items):
            nodes.low[other, k] = nodes.low[parent, k]
            nodes.high[other, k] = nodes.high[parent, k]
        nodes.bound[other] = nodes.bound[parent]
        if variable < n:
            low, high = nodes.x_low[parent, variable], nodes.x_high[parent, variable]
            room = LEAST_PART * (high - low)
            at = min(max(nodes.solution[parent, variable], low + room), high - room)
            if not low <= at <= high:
                # Where the programme overflowed, there is no solution.
                at = 0.5 * (low + high)
            nodes.x_high[parent, variable] = at
            nodes.x_low[other, variable] = at
        else:
            k = variable - n
            at = math.floor(nodes.solution[parent, variable])
            whole = int(min(max(at, float(nodes.low[parent, k])), float(nodes.high[parent, k] - 1)))
            nodes.high[parent, k] = whole
            nodes.low[other, k] = whole + 1
        nodes.tally[1] -= 1
        for child in (parent, other):
            spent += BOX_NODES
            nodes.tally[2] += 1
            base = bound_node(volume, nodes, child, best.key[0])
            if nodes.bound[child] < best.key[0] * (1.0 - PROOF_TOLERANCE) - enough:
                spent += search_ball(volume, arrays, nodes, child, base, best, max_nodes - spent)
            # A box that is only good enough stays open: `least_open_bound` counts it, or the result would look proven.
            if nodes.bound[child] >= best.key[0] * (1.0 - PROOF_TOLERANCE):
                nodes.free[nodes.tally[1]] = child
                nodes.tally[1] += 1
                continue
            push(nodes, child)
            worth = nodes.bound[child] < best.key[0] * (1.0 - PROOF_TOLERANCE) - enough
            due = nodes.tally[2] <= ROUNDED_FIRST or nodes.tally[2] % ROUNDED_EVERY == 0
            if worth and due and spent < max_nodes:
                round_point(volume, nodes, child, search.multiples)
                spent += improve_from(volume, arrays, search, best, min(ROUNDED_NODES, max_nodes - spent))
    return spent
