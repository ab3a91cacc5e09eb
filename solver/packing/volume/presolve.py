"""What of a volume problem can move: the smaller problem that is left once the rest is conditioned on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import IntArray
from solver.compiled import compiled
from solver.packing.boxes.tighten import tighten
from solver.packing.evaluation import PackingArrays
from solver.packing.volume.precision import refresh_precision
from solver.packing.volume.scaling import VolumeArrays


class Movable(NamedTuple):
    """The items that can move and the assets that they touch, as a problem of their own."""

    volume: VolumeArrays
    arrays: PackingArrays
    items: IntArray  # (K',) places of its items in the whole problem
    constant: float  # what to add to its volume


@compiled
def movable_part(volume: VolumeArrays, arrays: PackingArrays) -> Movable:
    """Presolve: drop items that the mode leaves no lot of, and assets that no other item touches. O(n³ + K² n).

    With the assets b at rest, ``log det(I + D R D) = log det(I + D_b R_bb D_b) + log det(I + D_a P_aa D_a)``, where P
    is the matrix of `solver.packing.volume.descent` with the assets a flat (Schur complement). So what is left is a
    volume problem with P_aa in place of R, plus a constant. Position and bounds are read from `arrays`, the structure
    of the items from `volume`.
    """
    n, every = arrays.position.shape[0], arrays.lower.shape[0]
    low, high = arrays.lower.copy(), arrays.upper.copy()
    if arrays.inside:
        # Zero is feasible, so the box keeps it. As many passes as items: a chain of them is undone link by link.
        tighten(arrays, low, high, every)
    items = np.empty(every, dtype=np.int64)
    # Where an item or an asset of the whole problem is found in what is left, -1 for nowhere.
    item_at = np.full(every, -1)
    asset_at = np.full(n, -1)
    K = 0
    legs = 0
    for k in range(every):
        if low[k] < high[k]:
            items[K] = k
            item_at[k] = K
            K += 1
            legs += volume.leg_start[k + 1] - volume.leg_start[k]
            for a in range(volume.leg_start[k], volume.leg_start[k + 1]):
                asset_at[volume.leg[a]] = 0
    assets = np.empty(n, dtype=np.int64)
    m = 0
    x = np.zeros(n)
    for i in range(n):
        if asset_at[i] == 0:
            assets[m] = i
            asset_at[i] = m
            m += 1
        elif abs(arrays.position[i]) > arrays.leg_tolerance[i]:
            x[i] = arrays.position[i] * volume.scale[i]
    P, row = np.empty((n, n)), np.empty(n)
    constant = refresh_precision(volume.correlation, x, P, row)

    pairs = 0
    near = np.empty_like(volume.near)
    for pair in range(volume.near.shape[0]):
        k, other = item_at[volume.near[pair, 0]], item_at[volume.near[pair, 1]]
        if k >= 0 and other >= 0:
            near[pairs, 0] = k
            near[pairs, 1] = other
            pairs += 1

    part = VolumeArrays(
        items=np.zeros((K, m)),
        position=np.empty(m),
        least=np.empty(m),
        most=np.empty(m),
        tolerance=np.empty(m),
        scale=np.empty(m),
        correlation=np.empty((m, m)),
        lower=np.empty(K, dtype=np.int64),
        upper=np.empty(K, dtype=np.int64),
        leg_start=np.empty(K + 1, dtype=np.int64),
        leg=np.empty(legs, dtype=np.int64),
        leg_value=np.empty(legs),
        near=near[:pairs].copy(),
    )
    part_arrays = PackingArrays(
        items=np.zeros((K, m)),
        position=np.empty(m),
        lower=part.lower,
        upper=part.upper,
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
        held, slack, scale = arrays.position[i], arrays.leg_tolerance[i], volume.scale[i]
        part_arrays.position[a] = held
        part_arrays.leg_tolerance[a] = slack
        part.position[a] = held * scale
        part.least[a] = (min(held, 0.0) - slack) * scale if arrays.inside else -np.inf
        part.most[a] = (max(held, 0.0) + slack) * scale if arrays.inside else np.inf
        part.tolerance[a] = slack * scale
        part.scale[a] = scale
        for b in range(m):
            j = assets[b]
            part.correlation[a, b] = P[i, j]
            part_arrays.covariance[a, b] = P[i, j] * (scale * arrays.epsilon) * (volume.scale[j] * arrays.epsilon)
    filled = 0
    for k in range(K):
        whole = items[k]
        part.lower[k] = low[whole]
        part.upper[k] = high[whole]
        part.leg_start[k] = filled
        for a in range(volume.leg_start[whole], volume.leg_start[whole + 1]):
            i = volume.leg[a]
            part.leg[filled] = asset_at[i]
            part.leg_value[filled] = volume.leg_value[a]
            part.items[k, asset_at[i]] = volume.leg_value[a]
            part_arrays.items[k, asset_at[i]] = arrays.items[whole, i]
            filled += 1
    part.leg_start[K] = filled
    return Movable(volume=part, arrays=part_arrays, items=items[:K].copy(), constant=constant)
