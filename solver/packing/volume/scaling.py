"""A volume problem in units of the materiality floor, with the structure of its items.

x_i = q_i σ_i / ε, R the correlation matrix, D = diag(x), so that ``volume = log det(I + D R D)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
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
    touched = (arrays.items != 0.0).astype(np.float64)
    shared = touched @ touched.T > 0.0
    np.fill_diagonal(shared, False)
    # argwhere gives columns, but rows where there are few: another layout is another kernel to compile.
    return scaled(arrays, scale, correlation, np.ascontiguousarray(np.argwhere(shared), dtype=np.int64))


@compiled
def scaled(arrays: PackingArrays, scale: FloatArray, correlation: FloatArray, near: IntArray) -> VolumeArrays:
    """The volume problem of `arrays`. O(n K).

    Parameters
    ----------
    scale : (n,) x per numeraire.
    correlation : (n, n).
    near : (pairs, 2) ordered pairs of items that share an asset.
    """
    items, n = arrays.items.shape
    legs = 0
    for k in range(items):
        for i in range(n):
            legs += 1 if arrays.items[k, i] != 0.0 else 0
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
        leg_start=np.empty(items + 1, dtype=np.int64),
        leg=np.empty(legs, dtype=np.int64),
        leg_value=np.empty(legs),
        near=near,
    )
    for i in range(n):
        held, slack = arrays.position[i], arrays.leg_tolerance[i]
        volume.position[i] = held * scale[i]
        volume.least[i] = (min(held, 0.0) - slack) * scale[i] if arrays.inside else -np.inf
        volume.most[i] = (max(held, 0.0) + slack) * scale[i] if arrays.inside else np.inf
        volume.tolerance[i] = slack * scale[i]
    filled = 0
    for k in range(items):
        volume.leg_start[k] = filled
        for i in range(n):
            leg = arrays.items[k, i]
            if leg != 0.0:
                volume.leg[filled] = i
                volume.leg_value[filled] = leg * scale[i]
                volume.items[k, i] = leg * scale[i]
                filled += 1
    volume.leg_start[items] = filled
    return volume
