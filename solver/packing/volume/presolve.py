"""Presolve of a volume problem: the smaller problem of the items that can move, conditioned on the other assets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.packing.boxes.tighten import tighten
from solver.packing.evaluation import PackingArrays
from solver.packing.volume.precision import refresh_precision
from solver.packing.volume.scaling import VolumeArrays, scaled


class Movable(NamedTuple):
    """The items that can move and the assets that they touch, as a problem of their own."""

    volume: VolumeArrays
    arrays: PackingArrays
    items: IntArray  # (K',) indices of its items in the whole problem
    constant: float  # what to add to its volume


@compiled
def movable_part(volume: VolumeArrays, arrays: PackingArrays) -> Movable:
    """Presolve: drop items that the mode leaves no lot of, and assets that no other item touches. O(n³ + K² n).

    With the assets b at rest, ``log det(I + D R D) = log det(I + D_b R_bb D_b) + log det(I + D_a P_aa D_a)``, where P
    is the matrix of `solver.packing.volume.precision` with the assets a flat (Schur complement). So what is left is a
    volume problem with P_aa in place of R, plus a constant. Position and bounds are read from `arrays`, the structure
    of the items from `volume`.
    """
    low, high = arrays.lower.copy(), arrays.upper.copy()
    if arrays.inside:
        # Zero is feasible, so the box keeps it. As many passes as items: a chain of them is undone link by link.
        tighten(arrays, low, high, low.shape[0])
    items, assets = movable_indices(volume, low, high)
    P, constant = conditioned(volume, arrays, assets)
    part_arrays = part_of(volume, arrays, items, assets, P)
    m = assets.shape[0]
    scale, correlation = np.empty(m), np.empty((m, m))
    for a in range(m):
        scale[a] = volume.scale[assets[a]]
        for b in range(m):
            correlation[a, b] = P[assets[a], assets[b]]
    for k in range(items.shape[0]):
        part_arrays.lower[k] = low[items[k]]
        part_arrays.upper[k] = high[items[k]]
    part = scaled(part_arrays, scale, correlation, pairs_among(volume.near, items, low.shape[0]))
    return Movable(volume=part, arrays=part_arrays, items=items, constant=constant)


@compiled
def movable_indices(volume: VolumeArrays, low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """The items whose range in the box is not one multiple, and the assets that they touch, both ascending."""
    items = np.empty(low.shape[0], dtype=np.int64)
    touched = np.zeros(volume.position.shape[0], dtype=np.bool_)
    K = 0
    for k in range(low.shape[0]):
        if low[k] < high[k]:
            items[K] = k
            K += 1
            for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
                touched[volume.leg[a]] = True
    assets = np.empty(touched.shape[0], dtype=np.int64)
    m = 0
    for i in range(touched.shape[0]):
        if touched[i]:
            assets[m] = i
            m += 1
    return items[:K].copy(), assets[:m].copy()


@compiled
def conditioned(volume: VolumeArrays, arrays: PackingArrays, assets: IntArray) -> tuple[FloatArray, float]:
    """P (n, n) with `assets` flat and the others as they are held, and the volume of those others."""
    n = arrays.position.shape[0]
    x = np.zeros(n)
    for i in range(n):
        if abs(arrays.position[i]) > arrays.leg_tolerance[i]:
            x[i] = arrays.position[i] * volume.scale[i]
    for a in range(assets.shape[0]):
        x[assets[a]] = 0.0
    P, row = np.empty((n, n)), np.empty(n)
    constant = refresh_precision(volume.correlation, x, P, row)
    return P, constant


@compiled
def part_of(
    volume: VolumeArrays, arrays: PackingArrays, items: IntArray, assets: IntArray, P: FloatArray
) -> PackingArrays:
    """The problem of these items and assets, with P for the correlations; its bounds are left to be filled in.

    Parameters
    ----------
    volume, arrays : the whole problem, scaled and as it is.
    items, assets : indices of what is left, ascending.
    P : (n, n) with these assets flat.
    """
    K, m = items.shape[0], assets.shape[0]
    part = PackingArrays(
        items=np.empty((K, m)),
        position=np.empty(m),
        lower=np.empty(K, dtype=np.int64),
        upper=np.empty(K, dtype=np.int64),
        cost=np.zeros(K),
        covariance=np.empty((m, m)),
        leg_tolerance=np.empty(m),
        inside=arrays.inside,
        objective_code=arrays.objective_code,
        epsilon=arrays.epsilon,
        determinant_of_sigma=arrays.determinant_of_sigma,
        residual=np.empty(m),
        factor=np.empty((m, m)),
    )
    for a in range(m):
        i = assets[a]
        scale = volume.scale[i]
        part.position[a] = arrays.position[i]
        part.leg_tolerance[a] = arrays.leg_tolerance[i]
        for b in range(m):
            j = assets[b]
            part.covariance[a, b] = P[i, j] * (scale * arrays.epsilon) * (volume.scale[j] * arrays.epsilon)
        for k in range(K):
            part.items[k, a] = arrays.items[items[k], i]
    return part


@compiled
def pairs_among(near: IntArray, items: IntArray, every: int) -> IntArray:
    """The pairs of `near` (pairs, 2) whose items are both in `items`, as indices into it; `every` counts all items."""
    index = np.full(every, -1)
    for k in range(items.shape[0]):
        index[items[k]] = k
    kept = np.empty_like(near)
    count = 0
    for pair in range(near.shape[0]):
        k, other = index[near[pair, 0]], index[near[pair, 1]]
        if k >= 0 and other >= 0:
            kept[count, 0] = k
            kept[count, 1] = other
            count += 1
    return kept[:count].copy()
