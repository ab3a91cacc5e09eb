"""A volume problem in units of the materiality floor, with the structure of its items.

x_i = q_i σ_i / ε, R the correlation matrix, D = diag(x), so that ``volume = log det(I + D R D)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled
from solver.packing.evaluation import PackingArrays


class VolumeArrays(NamedTuple):
    """A volume problem in units of the materiality floor, with the structure of its items, for kernels."""

    items: FloatArray  # (K, n) x per lot
    position: FloatArray  # (n,) x with nothing packed
    least: FloatArray  # (n,) the smallest residual that the mode allows, -inf if `free`
    most: FloatArray  # (n,) and the largest
    tolerance: FloatArray  # (n,) residuals within it count as zero
    scale: FloatArray  # (n,) x per numeraire
    correlation: FloatArray  # (n, n)
    lower: IntArray  # (K,)
    upper: IntArray  # (K,)
    leg_start: IntArray  # (K + 1,) where the legs of each item start in `leg`
    leg: IntArray  # assets of the legs, item by item
    leg_value: FloatArray  # and their x per lot
    near: IntArray  # (pairs, 2) ordered pairs of items that share an asset


def volume_arrays(arrays: PackingArrays) -> VolumeArrays:
    """Scale a problem's arrays and list which items share an asset; O(K² n) in numpy."""
    volatility = np.sqrt(np.maximum(np.diag(arrays.covariance), 0.0))
    # An asset without risk counts nothing in the objective, but its limits hold: any scale will do.
    scale = np.where(volatility > 0.0, volatility, 1.0) / arrays.epsilon
    inverse = np.divide(1.0, volatility, out=np.zeros_like(volatility), where=volatility > 0.0)
    correlation = np.ascontiguousarray(arrays.covariance * inverse[:, None] * inverse)
    touched = arrays.items != 0.0
    shared = touched.astype(np.float64) @ touched.T.astype(np.float64) > 0.0
    np.fill_diagonal(shared, False)
    return scaled(
        arrays,
        scale,
        correlation,
        np.concatenate([[0], np.cumsum(touched.sum(axis=1))]).astype(np.int64),
        np.nonzero(touched)[1].astype(np.int64),
        # argwhere gives columns, but rows where there are few: another layout is another kernel to compile.
        np.ascontiguousarray(np.argwhere(shared), dtype=np.int64),
    )


@compiled
def scaled(
    arrays: PackingArrays,
    scale: FloatArray,
    correlation: FloatArray,
    leg_start: IntArray,
    leg: IntArray,
    near: IntArray,
) -> VolumeArrays:
    """The volume problem of `arrays`, given the structure of its items. O(n K).

    Parameters
    ----------
    arrays : the problem.
    scale : (n,) x per numeraire.
    correlation : (n, n).
    leg_start : (K + 1,) where the legs of each item start in `leg`.
    leg : (legs,) assets of the legs, item by item.
    near : (pairs, 2) ordered pairs of items that share an asset.
    """
    items, n = arrays.items.shape
    volume = VolumeArrays(
        items=np.zeros((items, n)),
        position=np.empty(n),
        least=np.empty(n),
        most=np.empty(n),
        tolerance=np.empty(n),
        scale=scale,
        correlation=correlation,
        lower=arrays.lower,
        upper=arrays.upper,
        leg_start=leg_start,
        leg=leg,
        leg_value=np.empty(leg.shape[0]),
        near=near,
    )
    for i in range(n):
        held, slack = arrays.position[i], arrays.leg_tolerance[i]
        volume.position[i] = held * scale[i]
        volume.least[i] = (min(held, 0.0) - slack) * scale[i] if arrays.inside else -np.inf
        volume.most[i] = (max(held, 0.0) + slack) * scale[i] if arrays.inside else np.inf
        volume.tolerance[i] = slack * scale[i]
    for k in range(items):
        for a in range(leg_start[k], leg_start[k + 1]):
            i = leg[a]
            volume.leg_value[a] = arrays.items[k, i] * scale[i]
            volume.items[k, i] = volume.leg_value[a]
    return volume
