"""The matrix ``P = (R⁻¹ + D²)⁻¹`` kept up to date, and the determinant ratios that are read off it.

With d = x², ``volume = log det(I + D R D) = log det(I + R diag(d))``. As R may be singular, P is built as
``R - R D (I + D R D)⁻¹ D R``, one asset after the other.
"""

from __future__ import annotations

import math

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled_borrowing


@compiled_borrowing
def shift_precision(P: FloatArray, i: int, change: float, row: FloatArray) -> float:
    """Update P for ``d_i += change`` and return the pivot ``1 + P_ii change``, > 0 in exact arithmetic.

    Sherman-Morrison: ``P -= change / pivot · P_i P_i'``. The logarithms of the pivots add up to the change of the
    volume (matrix determinant lemma). A pivot near zero magnifies earlier rounding by its inverse. O(n²); `row` (n,) is
    overwritten.
    """
    n = P.shape[0]
    pivot = 1.0 + P[i, i] * change
    if pivot <= 0.0:
        # Only rounding gets here; the smallest number that keeps what follows finite.
        pivot = 1e-300
    share = change / pivot
    for m in range(n):
        row[m] = P[i, m]
    # The full square, though half would do: this form is vectorised, and four times as fast.
    for j in range(n):
        weight = share * row[j]
        for m in range(n):
            P[j, m] -= weight * row[m]
    # 1 - share P_ii = 1 / pivot, without the cancellation.
    for m in range(n):
        P[i, m] = row[m] / pivot
        P[m, i] = P[i, m]
    return float(pivot)


@compiled_borrowing
def refresh_precision(correlation: FloatArray, x: FloatArray, P: FloatArray, row: FloatArray) -> float:
    """P from scratch for the residual x; returns the volume. O(n² · legs that are not flat); `row` is overwritten."""
    n = x.shape[0]
    for i in range(n):
        for j in range(n):
            P[i, j] = correlation[i, j]
    total = 0.0
    for i in range(n):
        if x[i] != 0.0:
            # For singular R rounding can take a variance below zero.
            P[i, i] = max(P[i, i], 0.0)
            # Not the logarithm of the pivot: 1 + t has lost the digits of positions far below the floor.
            total += math.log1p(P[i, i] * x[i] * x[i])
            shift_precision(P, i, x[i] * x[i], row)
    return total


@compiled_borrowing
def ratio_of_two(p_ii: float, p_jj: float, p_ij: float, change_i: float, change_j: float) -> float:
    """``det(I + P_ss diag(change))`` for two legs.

    Parameters
    ----------
    p_ii, p_jj, p_ij : entries of P.
    change_i, change_j : of the two d.
    """
    return (1.0 + p_ii * change_i) * (1.0 + p_jj * change_j) - p_ij * p_ij * change_i * change_j


@compiled_borrowing
def determinant_ratio(P: FloatArray, legs: IntArray, change: FloatArray, count: int, work: FloatArray) -> float:
    """``det(I_s + P_ss diag(change))`` for the first `count` = s legs: the factor of exp(volume). O(s³).

    No pivoting: every leading minor is the ratio for some of the changes alone, so it is positive.

    Parameters
    ----------
    P : (n, n).
    legs : (n,) assets, the first `count` of them are read.
    change : (n,) of their d.
    count : s.
    work : (n, n) overwritten where s > 3.
    """
    if count == 0:
        return 1.0
    i = legs[0]
    if count == 1:
        return float(1.0 + P[i, i] * change[0])
    j = legs[1]
    pair = ratio_of_two(P[i, i], P[j, j], P[i, j], change[0], change[1])
    if count == 2:
        return pair
    if count == 3:
        m = legs[2]
        p_im = P[i, m] * P[i, m] * change[0] * change[2]
        p_jm = P[j, m] * P[j, m] * change[1] * change[2]
        cross = P[i, j] * P[j, m] * P[i, m] * change[0] * change[1] * change[2]
        return float(
            pair * (1.0 + P[m, m] * change[2])
            + 2.0 * cross
            - (1.0 + P[i, i] * change[0]) * p_jm
            - (1.0 + P[j, j] * change[1]) * p_im
        )
    ratio = 1.0
    for a in range(count):
        for b in range(count):
            work[a, b] = P[legs[a], legs[b]] * change[b]
        work[a, a] += 1.0
    for a in range(count):
        pivot = work[a, a]
        ratio *= pivot
        if pivot <= 0.0:
            return float(ratio)
        for b in range(a + 1, count):
            factor = work[b, a] / pivot
            if factor != 0.0:
                for c in range(a + 1, count):
                    work[b, c] -= factor * work[a, c]
    return float(ratio)
