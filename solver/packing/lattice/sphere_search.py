"""Sphere search: enumerates the points of a lattice in a ball, in a reduced basis.

A ball is ``|R (omega - c)|² <= limit`` in multiples omega. Depth first, one coordinate after the other and nearest
value first, each coordinate fixed leaves a smaller ball for the rest; in a basis reduced by Lenstra, Lenstra and Lovász
(`solver.packing.lattice.reduction`) such a search meets few dead ends. Box and rows are no box in that basis; each node
checks them against the extent of what is left of the ball instead.

References
----------
Schnorr and Euchner (1994), Lattice basis reduction: improved practical algorithms and solving subset sum problems.
Agrell, Eriksson, Vardy and Zeger (2002), Closest point search in lattices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing

# What ranges are shortened by is taken as this much less, in lots: far above rounding, far below a lot.
SLACK = 1e-6


class Lattice(NamedTuple):
    """A search in a reduced basis that can be interrupted, over the K items that are not fixed.

    Forms are their multiples, then the rows of `inside`.
    """

    free: IntArray  # (K,), these items
    fixed: FloatArray  # (all items,), the multiples of the others
    basis: FloatArray  # (K, K), rows are the basis in multiples, whole numbers
    R: FloatArray  # (K, K), upper triangular factor of the ball in that basis
    centre: FloatArray  # (K,), centre of the ball in that basis
    direction: FloatArray  # (K, F), change of the forms with the coordinate of a level, those below following
    extent: FloatArray  # (K + 1, F), squared extent of the forms over a unit ball of the levels below
    floor: FloatArray  # (F,)
    ceiling: FloatArray  # (F,)
    form: FloatArray  # (K + 1, F), forms at the centre of what is left with the levels from this one on fixed
    bound: FloatArray  # (K + 1,), squared distance of the levels from this one on, over the bound of the box
    z: FloatArray  # (K,), current coordinates
    middle: FloatArray  # (K,), centre at each level, given those above
    next_z: FloatArray  # (2, K)
    next_bound: FloatArray  # (2, K)
    lots: FloatArray  # (K,), overwritten
    off: FloatArray  # (all items,), overwritten
    pull: FloatArray  # (all items,), of the parabolas
    trial: IntArray  # (all items,), overwritten
    cursor: IntArray  # (2,), current level (K when done), and whether it is yet to be opened


@compiled
def lay_out(lattice: Lattice, legs: FloatArray) -> None:
    """Fill in directions and extents of the forms; the first K forms are the multiples, the rest rows of `legs`."""
    items = lattice.z.shape[0]
    forms = lattice.floor.shape[0]
    # Column k of the inverse of R, times R[k, k]: how the levels below follow when level k moves by one.
    follow = np.zeros(items)
    for f in range(forms):
        lattice.extent[0, f] = 0.0
    for k in range(items):
        for i in range(items):
            follow[i] = 0.0
        follow[k] = 1.0
        for i in range(k - 1, -1, -1):
            total = 0.0
            for j in range(i + 1, k + 1):
                total += lattice.R[i, j] * follow[j]
            follow[i] = -total / lattice.R[i, i]
        # One row after the other: sums side by side become vector instructions, one long sum does not.
        direction = lattice.direction[k]
        for f in range(forms):
            direction[f] = 0.0
        for j in range(k + 1):
            share = follow[j]
            vector = lattice.basis[j]
            for i in range(items):
                direction[i] += share * vector[i]
        for i in range(items if forms > items else 0):
            share = direction[i]
            rows = legs[lattice.free[i]]
            for f in range(items, forms):
                direction[f] += share * rows[f - items]
        for f in range(forms):
            step = lattice.direction[k, f] / lattice.R[k, k]
            lattice.extent[k + 1, f] = lattice.extent[k, f] + step * step


@compiled_borrowing
def next_leaf(lattice: Lattice, limit: float, max_nodes: int) -> tuple[bool, int]:
    """Advance to the next point of the ball: whether there is one, and the nodes spent (Schnorr and Euchner's order).

    A node is one value tried at one level. `limit` is the squared radius; it may shrink from call to call. Without
    a point nothing is left, or `max_nodes` are spent.
    """
    items = lattice.z.shape[0]
    forms = lattice.floor.shape[0]
    floor = lattice.floor
    ceiling = lattice.ceiling
    k = lattice.cursor[0]
    opening = lattice.cursor[1] == 1
    nodes = 0
    found = False
    while k < items and nodes < max_nodes and not found:
        if opening:
            shift = 0.0
            for j in range(k + 1, items):
                shift += lattice.R[k, j] * (lattice.z[j] - lattice.centre[j])
            middle = lattice.centre[k] - shift / lattice.R[k, k]
            lattice.middle[k] = middle
            left = np.floor(middle)
            lattice.next_z[0, k] = left
            lattice.next_z[1, k] = left + 1.0
            lattice.next_bound[0, k] = (lattice.R[k, k] * (left - middle)) ** 2
            lattice.next_bound[1, k] = (lattice.R[k, k] * (left + 1.0 - middle)) ** 2
            opening = False
        nodes += 1
        side = 0 if lattice.next_bound[0, k] <= lattice.next_bound[1, k] else 1
        bound = lattice.bound[k + 1] + lattice.next_bound[side, k]
        if bound >= limit:
            k += 1
            continue
        z = lattice.next_z[side, k]
        lattice.next_z[side, k] += 2.0 * side - 1.0
        lattice.next_bound[side, k] = (lattice.R[k, k] * (lattice.next_z[side, k] - lattice.middle[k])) ** 2
        lattice.z[k] = z
        off = z - lattice.middle[k]
        room = limit - bound
        # Rows as arrays of their own and no branch in the loop, so that it becomes vector instructions.
        above = lattice.form[k + 1]
        here = lattice.form[k]
        direction = lattice.direction[k]
        extent = lattice.extent[k]
        outside = 0
        for f in range(forms):
            form = above[f] + off * direction[f]
            here[f] = form
            over = form - ceiling[f]
            under = floor[f] - form
            beyond = over if over > under else under
            outside += 1 if (beyond if beyond > 0.0 else 0.0) * beyond > room * extent[f] else 0
        if outside > 0:
            continue
        if k > 0:
            lattice.bound[k] = bound
            k -= 1
            opening = True
        else:
            found = True
    lattice.cursor[0] = k
    lattice.cursor[1] = 1 if opening else 0
    return found, nodes


@compiled_borrowing
def read_point(lattice: Lattice, lots: FloatArray) -> None:
    """Put the multiples of the point that `next_leaf` found into `lots` (K,), which may be out of bounds."""
    for i in range(lots.shape[0]):
        lots[i] = 0.0
    for j in range(lots.shape[0]):
        vector, z = lattice.basis[j], lattice.z[j]
        for i in range(lots.shape[0]):
            lots[i] += vector[i] * z


@compiled_borrowing
def bend(legs: FloatArray, curvature: float, target: float, H: FloatArray, pull: FloatArray) -> float:
    """Add ``curvature (legs @ x - target)²`` to ``x'Hx - 2 pull'x``; returns what the constant gains.

    Parameters
    ----------
    legs : (K,) coefficients of the form.
    curvature : >= 0.
    target : the value of the form at which the parabola is zero.
    H : (K, K) symmetric, added to.
    pull : (K,) added to.
    """
    for k in range(pull.shape[0]):
        leg = curvature * legs[k]
        if leg != 0.0:
            pull[k] += leg * target
            for j in range(pull.shape[0]):
                H[k, j] += leg * legs[j]
    return curvature * target * target
