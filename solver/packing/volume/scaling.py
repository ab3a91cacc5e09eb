"""A volume problem in units of the materiality floor, with the structure of its items.

x_i = q_i σ_i / ε, R the correlation matrix, D = diag(x), so that ``volume = log det(I + D R D)``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
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
    """Scale a problem's arrays and list who shares what with whom; O(K² n) in numpy."""
    volatility = np.sqrt(np.maximum(np.diag(arrays.covariance), 0.0))
    # An asset without risk counts nothing in the objective, but its limits hold: any scale will do.
    scale = np.where(volatility > 0.0, volatility, 1.0) / arrays.epsilon
    inverse = np.divide(1.0, volatility, out=np.zeros_like(volatility), where=volatility > 0.0)
    touched = arrays.items != 0.0
    shared = touched.astype(np.float64) @ touched.T.astype(np.float64) > 0.0
    np.fill_diagonal(shared, False)
    held = arrays.position
    slack = arrays.leg_tolerance
    unlimited = np.full_like(held, np.inf)
    return VolumeArrays(
        items=np.ascontiguousarray(arrays.items * scale),
        position=held * scale,
        least=(np.minimum(held, 0.0) - slack) * scale if arrays.inside else -unlimited,
        most=(np.maximum(held, 0.0) + slack) * scale if arrays.inside else unlimited,
        tolerance=slack * scale,
        scale=scale,
        correlation=np.ascontiguousarray(arrays.covariance * inverse[:, None] * inverse),
        lower=arrays.lower,
        upper=arrays.upper,
        leg_start=np.concatenate([[0], np.cumsum(touched.sum(axis=1))]).astype(np.int64),
        leg=np.nonzero(touched)[1].astype(np.int64),
        leg_value=(arrays.items * scale)[touched],
        # argwhere gives columns, but rows where there are few: another layout is another kernel to compile.
        near=np.ascontiguousarray(np.argwhere(shared), dtype=np.int64),
    )
