"""Presolve of a volume problem: the smaller problem of the items that can move, conditioned on the other assets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_inline
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
    n, every = arrays.position.shape[0], arrays.lower.shape[0]
    low, high = arrays.lower.copy(), arrays.upper.copy()
    if arrays.inside:
        # Zero is feasible, so the box keeps it. As many passes as items: a chain of them is undone link by link.
        tighten(arrays, low, high, every)
    # Arrays are made here and filled by the steps: those are inlined, and count no references.
    items, item_index = np.empty(every, dtype=np.int64), np.empty(every, dtype=np.int64)
    assets, asset_index = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    K, m, legs = list_movable(volume, low, high, items, item_index, assets, asset_index)
    x, P, row = np.zeros(n), np.empty((n, n)), np.empty(n)
    rest_at(volume, arrays, asset_index, x)
    constant = refresh_precision(volume.correlation, x, P, row)
    leg_start, leg = np.empty(K + 1, dtype=np.int64), np.empty(legs, dtype=np.int64)
    list_legs(volume, items, asset_index, leg_start, leg)
    near = np.empty_like(volume.near)
    pairs = list_pairs(volume.near, item_index, near)
    part_arrays = PackingArrays(
        items=np.zeros((K, m)),
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
    scale, correlation = np.empty(m), np.empty((m, m))
    for a in range(m):
        i = assets[a]
        scale[a] = volume.scale[i]
        part_arrays.position[a] = arrays.position[i]
        part_arrays.leg_tolerance[a] = arrays.leg_tolerance[i]
        for b in range(m):
            j = assets[b]
            correlation[a, b] = P[i, j]
            part_arrays.covariance[a, b] = P[i, j] * (scale[a] * arrays.epsilon) * (volume.scale[j] * arrays.epsilon)
    for k in range(K):
        part_arrays.lower[k] = low[items[k]]
        part_arrays.upper[k] = high[items[k]]
        for c in range(leg_start[k], leg_start[k + 1]):
            part_arrays.items[k, leg[c]] = arrays.items[items[k], assets[leg[c]]]
    part = scaled(part_arrays, scale, correlation, leg_start, leg, near[:pairs].copy())
    return Movable(volume=part, arrays=part_arrays, items=items[:K].copy(), constant=constant)


@compiled_inline
def list_movable(
    volume: VolumeArrays,
    low: IntArray,
    high: IntArray,
    items: IntArray,
    item_index: IntArray,
    assets: IntArray,
    asset_index: IntArray,
) -> tuple[int, int, int]:
    """List the items whose range in the box is not one multiple, and the assets that they touch, both ascending.

    Parameters
    ----------
    volume : the whole problem, scaled; the structure of its items is read.
    low, high : (K,) the box.
    items : (K,) filled in from the front with the items that can move.
    item_index : (K,) becomes the index of each item in `items`, -1 for those that cannot.
    assets, asset_index : (n,) the same of the assets.

    Returns
    -------
    How many items and assets there are, and how many legs the items have.
    """
    for i in range(assets.shape[0]):
        asset_index[i] = -1
    K = 0
    legs = 0
    for k in range(items.shape[0]):
        item_index[k] = -1
        if low[k] < high[k]:
            items[K] = k
            item_index[k] = K
            K += 1
            legs += volume.leg_start[k + 1] - volume.leg_start[k]
            for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
                asset_index[volume.leg[a]] = 0
    m = 0
    for i in range(assets.shape[0]):
        if asset_index[i] == 0:
            assets[m] = i
            asset_index[i] = m
            m += 1
    return K, m, legs


@compiled_inline
def rest_at(volume: VolumeArrays, arrays: PackingArrays, asset_index: IntArray, x: FloatArray) -> None:
    """Put the residuals of the assets that no item moves into `x` (n,), zeros before."""
    for i in range(x.shape[0]):
        if asset_index[i] < 0 and abs(arrays.position[i]) > arrays.leg_tolerance[i]:
            x[i] = arrays.position[i] * volume.scale[i]


@compiled_inline
def list_legs(volume: VolumeArrays, items: IntArray, asset_index: IntArray, leg_start: IntArray, leg: IntArray) -> None:
    """List the legs of the items that can move.

    Parameters
    ----------
    volume : the whole problem, scaled; the structure of its items is read.
    items : the first of them are those that can move.
    asset_index : (n,) of the assets that they touch.
    leg_start : (K' + 1,) filled in: where the legs of each start in `leg`.
    leg : (legs,) filled in with the indices of their assets.
    """
    filled = 0
    for k in range(leg_start.shape[0] - 1):
        leg_start[k] = filled
        for a in range(volume.leg_start[items[k]], volume.leg_start[items[k] + 1]):
            leg[filled] = asset_index[volume.leg[a]]
            filled += 1
    leg_start[leg_start.shape[0] - 1] = filled


@compiled_inline
def list_pairs(near: IntArray, item_index: IntArray, kept: IntArray) -> int:
    """Put the pairs of `near` (pairs, 2) whose items can both move into `kept`, by their indices; returns how many."""
    count = 0
    for pair in range(near.shape[0]):
        k, other = item_index[near[pair, 0]], item_index[near[pair, 1]]
        if k >= 0 and other >= 0:
            kept[count, 0] = k
            kept[count, 1] = other
            count += 1
    return count
