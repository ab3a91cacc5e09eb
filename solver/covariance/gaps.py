"""The returns that two assets have in common when rows of returns have gaps.

A common return of a pair runs between two rows in which both had a price. So the first one after a gap spans the gap
for both assets, and what one asset did while the other was silent is set against all that the other did. A return over
k rows counts as one observation and is divided by √k, because a random walk moves √k times as far in k rows. Rows in
which nothing has a price do not exist; a weekend is one step.
"""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.moments import LARGEST_ENTRY

# What is known of an asset at a row of returns: no return yet, one in the row before, none in the row before.
UNLISTED, PRESENT, ABSENT = range(3)


@compiled_borrowing
def is_usable(row: FloatArray) -> bool:
    """Whether each return of `row` is missing (NaN) or small enough that sums of products stay finite."""
    for value in row:  # noqa: SIM110, numba knows no generators
        if value == value and not abs(value) <= LARGEST_ENTRY:
            return False
    return True


@compiled_borrowing
def is_whole(waiting: int, row: FloatArray) -> bool:
    """Whether `row` has a return of every asset, and so had the row before it (`waiting` is then 0, see `note`)."""
    if waiting != 0:
        return False
    for value in row:  # noqa: SIM110, numba knows no generators
        if value != value:
            return False
    return True


@compiled
def begin(known: IntArray, pending: FloatArray) -> None:
    """Note that the first row has a return of every asset: each pair begins in the row before it."""
    if known[0] == UNLISTED:
        pending[:] = 0.0
        known[:] = PRESENT


@compiled_borrowing
def common_returns(
    pending: FloatArray, spans: FloatArray, i: int, j: int, known: IntArray, row: FloatArray
) -> tuple[bool, float, float]:
    """Take `row` for the pair of assets i and j: their common return, if there is one, scaled to one timestep.

    Parameters
    ----------
    pending : (n, n) log return of the first asset since both had a price, NaN while they never had; updated in place.
    spans : (n, n) rows that `pending` covers; updated in place.
    i, j : indices of the assets; equal for an asset's own return.
    known : (n,) what is known of each asset as of the row before: `UNLISTED`, `PRESENT` or `ABSENT`.
    row : (n,) log returns, NaN where there is none. An asset's first return says that it had a price in the row before.

    Returns
    -------
    (common, a, b) : whether there is a common return, and the returns of i and of j divided by √(rows it covers).
    """
    here, there = row[i] == row[i], row[j] == row[j]
    both = here and there
    if pending[i, j] != pending[i, j]:
        began_i = known[i] == PRESENT or (known[i] == UNLISTED and here)
        began_j = known[j] == PRESENT or (known[j] == UNLISTED and there)
        if both or (began_i and began_j):
            # From the row before on, or from this one.
            pending[i, j] = pending[j, i] = 0.0
        if not (began_i and began_j):
            return False, 0.0, 0.0
    if not both:
        spans[i, j] += 1.0
        if i != j:
            spans[j, i] = spans[i, j]
            pending[i, j] += row[i] if here else 0.0
            pending[j, i] += row[j] if there else 0.0
        return False, 0.0, 0.0
    scale = np.sqrt(spans[i, j] + 1.0)
    a, b = (pending[i, j] + row[i]) / scale, (pending[j, i] + row[j]) / scale
    pending[i, j] = pending[j, i] = spans[i, j] = spans[j, i] = 0.0
    return True, a, b


@compiled_borrowing
def note(known: IntArray, row: FloatArray) -> bool:
    """Update in place what is known of each asset after `row`; whether an asset is missing from it."""
    missing = False
    for i in range(row.size):
        if row[i] == row[i]:
            known[i] = PRESENT
        else:
            missing = True
            if known[i] == PRESENT:
                known[i] = ABSENT
    return missing
