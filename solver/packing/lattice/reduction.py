"""Lattice basis reduction, and the triangular factors that it works on.

References
----------
Lenstra, Lenstra and Lovász (1982), Factoring polynomials with rational coefficients.
Wübben, Böhnke, Rinas, Kühn and Kammeyer (2001), Efficient algorithm for decoding layered space-time codes.
"""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled_borrowing

# Lovász' condition: near its limit 1 the basis is better and the reduction longer.
LOVASZ = 0.99


@compiled_borrowing
def factorise(H: FloatArray, R: FloatArray) -> bool:
    """Upper Cholesky factor of H (K, K) into R; False where a pivot is not positive."""
    items = H.shape[0]
    for i in range(items):
        for j in range(items):
            R[i, j] = H[i, j] if j >= i else 0.0
    for k in range(items):
        if R[k, k] <= 0.0:
            return False
        pivot = np.sqrt(R[k, k])
        for j in range(k, items):
            R[k, j] /= pivot
        for i in range(k + 1, items):
            share = R[k, i]
            if share != 0.0:
                for j in range(i, items):
                    R[i, j] -= share * R[k, j]
    return True


@compiled_borrowing
def factorise_least_first(H: FloatArray, order: IntArray) -> bool:
    """Overwrite the symmetric H (K, K) with the upper Cholesky factor of it in another order, which `order` follows.

    Each pivot is the least that is left, so that the search begins where it has least choice, and the basis is half
    reduced (the sorted QR decomposition of Wübben and others). False where a pivot is not positive.
    """
    items = H.shape[0]
    for k in range(items):
        least = H[k, k]
        chosen = float(k)
        for i in range(k + 1, items):
            smaller = H[i, i] < least
            least = H[i, i] if smaller else least
            chosen = float(i) if smaller else chosen
        if least <= 0.0:
            return False
        m = int(chosen)
        if m > k:
            order[k], order[m] = order[m], order[k]
            for j in range(items):
                H[k, j], H[m, j] = H[m, j], H[k, j]
            for i in range(items):
                H[i, k], H[i, m] = H[i, m], H[i, k]
        share = 1.0 / np.sqrt(least)
        row = H[k]
        for j in range(k, items):
            row[j] *= share
        for i in range(k + 1, items):
            line, part = H[i], row[i]
            line[k] = 0.0
            for j in range(k + 1, items):
                line[j] -= part * row[j]
    return True


@compiled_borrowing
def solve_factored(R: FloatArray, x: FloatArray) -> None:
    """Overwrite x (K,) with the solution of R'R y = x."""
    items = x.shape[0]
    for i in range(items):
        x[i] /= R[i, i]
        for j in range(i + 1, items):
            x[j] -= R[i, j] * x[i]
    for i in range(items - 1, -1, -1):
        for j in range(i + 1, items):
            x[i] -= R[i, j] * x[j]
        x[i] /= R[i, i]


@compiled_borrowing
def reduce_basis(R: FloatArray, basis: FloatArray, centre: FloatArray) -> None:
    """LLL: make the columns of R (K, K) short and nearly orthogonal, and apply the same to the rows of `basis`.

    `centre` (K,), coordinates of a point, follows the basis.
    """
    items = R.shape[0]
    k = 1
    steps = 0
    while k < items and steps < 200 * items:
        steps += 1
        for j in range(k - 1, -1, -1):
            whole = np.rint(R[j, k] / R[j, j])
            if whole != 0.0:
                for i in range(j + 1):
                    R[i, k] -= whole * R[i, j]
                moved, by = basis[k], basis[j]
                for i in range(items):
                    moved[i] -= whole * by[i]
                centre[j] += whole * centre[k]
        if R[k, k] ** 2 + R[k - 1, k] ** 2 >= LOVASZ * R[k - 1, k - 1] ** 2:
            k += 1
            continue
        for i in range(items):
            basis[k, i], basis[k - 1, i] = basis[k - 1, i], basis[k, i]
        for i in range(k + 1):
            R[i, k], R[i, k - 1] = R[i, k - 1], R[i, k]
        centre[k], centre[k - 1] = centre[k - 1], centre[k]
        # A rotation of the two rows makes R triangular again.
        length = np.hypot(R[k - 1, k - 1], R[k, k - 1])
        cosine = R[k - 1, k - 1] / length
        sine = R[k, k - 1] / length
        for j in range(k - 1, items):
            one = R[k - 1, j]
            other = R[k, j]
            R[k - 1, j] = cosine * one + sine * other
            R[k, j] = cosine * other - sine * one
        R[k, k - 1] = 0.0
        k = max(k - 1, 1)
