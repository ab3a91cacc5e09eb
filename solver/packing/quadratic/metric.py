"""What all boxes of a quadratic problem share: the metric of the items, and the position as that metric sees it.

The items and the covariance alone decide the metric, so it is kept while they stay.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray
from solver.kernels.compiled import compiled
from solver.packing.boxes.tighten import round_edges, row_edges
from solver.packing.evaluation import PackingArrays

# What keeps the Hessian regular where items are combinations of each other, as a share of its diagonal. It pulls
# towards where the relaxation starts, so that it fades when started again from where it ended.
RIDGE = 1e-9
# Rounding of a bound, as a share of the squared sum of the standalone risks of the positions: some ulp.
ROUNDING = 1e-15


class Metric(NamedTuple):
    """What the relaxation needs of Sigma and the items."""

    gram: FloatArray  # (K, K), B'ΣB
    ridge: FloatArray  # (K,), on the diagonal of the Hessian
    inverse: FloatArray  # (K, K), of the Hessian 2 B'ΣB and its ridge
    root: FloatArray  # (K, K), root' root = inverse
    length: FloatArray  # (K + n,), of the multiples and the rows in the norm of the inverse; zero for an empty row


class Frame(NamedTuple):
    """What all boxes of one problem share."""

    pull: FloatArray  # (K,), B'ΣQ
    floor: FloatArray  # (n,), the least that may be packed of each asset; read for `inside` only
    ceiling: FloatArray  # (n,), and the most
    unpacked: float  # the variance of the position
    rounding: float  # of a bound


def metric_of(B: FloatArray, Sigma: FloatArray) -> Metric:
    """The metric of items B (n, K) under the covariance Sigma (n, n). O(K³ + n² K)."""
    gram = B.T @ Sigma @ B
    gram = np.ascontiguousarray(0.5 * (gram + gram.T))
    diagonal = 2.0 * np.diag(gram)
    largest = float(np.max(diagonal, initial=0.0))
    ridge = RIDGE * np.maximum(diagonal, RIDGE * largest if largest > 0.0 else 1.0)
    hessian = 2.0 * gram + np.diag(ridge)
    try:
        root = np.ascontiguousarray(np.linalg.inv(np.linalg.cholesky(hessian)))
    except np.linalg.LinAlgError:
        # Rounding took an eigenvalue of a singular B'ΣB further below zero than the ridge lifts it.
        values, vectors = np.linalg.eigh(hessian)
        root = np.ascontiguousarray((vectors / np.sqrt(np.maximum(values, RIDGE * values[-1]))).T)
    inverse = np.ascontiguousarray(root.T @ root)
    length = np.concatenate([np.sqrt(np.diag(inverse)), np.sqrt(np.sum((root @ B.T) ** 2, axis=0))])
    return Metric(gram=gram, ridge=ridge, inverse=inverse, root=root, length=length)


def in_one(B: FloatArray, Sigma: FloatArray, metric: Metric) -> FloatArray:
    """Items, covariance and metric in one array; `taken_apart` gives them back.

    Each array that is handed to a kernel from Python costs some 60 ns, and twice that in a tuple.
    """
    parts = (B.T, Sigma, metric.gram, metric.ridge, metric.inverse, metric.root, metric.length)
    return np.concatenate([part.ravel() for part in parts])


@compiled
def taken_apart(prepared: FloatArray, n: int, items: int) -> tuple[FloatArray, FloatArray, Metric]:
    """(items (K, n), covariance (n, n), metric) as views of what `in_one` made."""
    square = items * items
    legs, rest = prepared[: items * n].reshape(items, n), prepared[items * n :]
    covariance, rest = rest[: n * n].reshape(n, n), rest[n * n :]
    gram, rest = rest[:square].reshape(items, items), rest[square:]
    ridge, rest = rest[:items], rest[items:]
    inverse, rest = rest[:square].reshape(items, items), rest[square:]
    root, length = rest[:square].reshape(items, items), rest[square:]
    return legs, covariance, Metric(gram=gram, ridge=ridge, inverse=inverse, root=root, length=length)


@compiled
def frame_of(arrays: PackingArrays) -> Frame:
    """The frame of a problem. O(n² + n K)."""
    n = arrays.position.shape[0]
    pull = np.zeros(arrays.lower.shape[0])
    floor = np.empty(n)
    ceiling = np.empty(n)
    if arrays.inside:
        row_edges(arrays, floor, ceiling)
        round_edges(arrays, floor, ceiling)
    unpacked = 0.0
    risks = 0.0
    force = np.empty(n)
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += arrays.covariance[i, j] * arrays.position[j]
        force[i] = total
        unpacked += total * arrays.position[i]
        risks += abs(arrays.position[i]) * np.sqrt(max(arrays.covariance[i, i], 0.0))
    for k in range(pull.shape[0]):
        for i in range(n):
            pull[k] += arrays.items[k, i] * force[i]
    return Frame(pull=pull, floor=floor, ceiling=ceiling, unpacked=unpacked, rounding=ROUNDING * risks * risks)
