"""Bounds of the multiples: how many lots of each item a book has room for."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.packing.evaluation import LEG_TOLERANCE

Mode: TypeAlias = Literal["inside", "free"]

# Bounds beyond it are refused, so that multiples stay exact as float64 with room to spare.
LARGEST_MULTIPLE = 10**9


@compiled_borrowing
def first_without_zero(lower: IntArray, upper: IntArray) -> int:
    """The first item whose bounds do not have zero between them, or go beyond LARGEST_MULTIPLE; -1 without one."""
    for k in range(lower.shape[0]):
        if not -LARGEST_MULTIPLE <= lower[k] <= 0 <= upper[k] <= LARGEST_MULTIPLE:
            return k
    return -1


def lot_bounds(B: FloatArray, Q: FloatArray, mode: Mode, chains: bool = False) -> tuple[IntArray, IntArray]:
    """Bounds (lower, upper), each (K,), for the multiples of items B in a book Q; never above LARGEST_MULTIPLE.

    `inside`: an item is packed only as far as the book itself holds each of its legs, in their direction. With a leg
    flat or on the wrong side, its bounds are zero.

    With `chains`, ``± ceil(sum|Q| / largest leg)``: an item may also take what another one brings (EUR to CHF to JPY),
    and the whole book is more than any chain moves. That is all that the mode asks for, but a hedge that the data
    support is an item of its own: a chain rests on two relationships where the pair of its ends was not good enough.
    And K >= n items that may circulate pack any book whatever, to within fractions of a lot.

    `free`: twice that, as items of unequal volatility may hedge by more than the notional held.

    Parameters
    ----------
    B : (n, K) exposure per lot of each item, numeraire.
    Q : (n,) held exposure, numeraire; or (books, n), and the bounds are (books, K).
    mode : "inside" or "free".
    chains : for `inside`, whether items may pass on to one another.

    Raises
    ------
    IllPosed : an item of zeros, or anything not finite.
    """
    if not (np.isfinite(Q).all() and np.isfinite(B).all()):
        raise IllPosed("B and Q must be finite, got NaN or infinity in them")
    some = B.any(axis=0)
    if not some.all():
        column = some.argmin()
        raise IllPosed(f"B must have a non-zero leg in every item, got only zeros in column {column}")
    return checked_lot_bounds(B, Q, mode, chains)


def checked_lot_bounds(B: FloatArray, Q: FloatArray, mode: Mode, chains: bool = False) -> tuple[IntArray, IntArray]:
    """`lot_bounds` without its checks: all is known to be finite, and no item is all zeros."""
    if mode == "free" or chains:
        largest_leg = np.max(np.abs(B), axis=0, initial=0.0)
        held = np.sum(np.abs(Q), axis=-1)[..., None]
        lots = np.ceil(held / largest_leg) * (1 if mode == "inside" else 2)
        upper = np.minimum(lots, LARGEST_MULTIPLE).astype(np.int64)
        return -upper, upper
    books = np.ascontiguousarray(np.atleast_2d(Q), dtype=np.float64)
    lower, upper = held_lots(np.ascontiguousarray(B, dtype=np.float64), books)
    return (lower, upper) if Q.ndim == 2 else (lower[0], upper[0])


@compiled
def held_lots(B: FloatArray, Q: FloatArray) -> tuple[IntArray, IntArray]:
    """`lot_bounds` of books Q (books, n) for `inside` without chains, and without the checks."""
    n, items = B.shape
    slack = np.zeros(n)
    for i in range(n):
        for k in range(items):
            slack[i] = max(slack[i], abs(B[i, k]))
        slack[i] *= LEG_TOLERANCE
    lower = np.empty((Q.shape[0], items), dtype=np.int64)
    upper = np.empty((Q.shape[0], items), dtype=np.int64)
    for k in range(items):
        for book in range(Q.shape[0]):
            # How many lots every asset holds, negative where the book holds the other side; as far as `fits` goes.
            least = float(LARGEST_MULTIPLE)
            most = -float(LARGEST_MULTIPLE)
            for i in range(n):
                leg = B[i, k]
                if leg != 0.0:
                    held = Q[book, i] / leg
                    room = slack[i] / abs(leg)
                    least = min(least, held + room)
                    most = max(most, held - room)
            lower[book, k] = int(np.ceil(min(most, 0.0)))
            upper[book, k] = int(np.floor(max(least, 0.0)))
    return lower, upper
