"""Sliding second moments that do not drift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.kernels.compiled import compiled

#: Entries beyond this are refused: their products would overflow, and a sum that was infinite once stays so.
LARGEST_ENTRY = 1e150


@compiled
def plus(high: float, low: float, term: float) -> tuple[float, float]:
    """The double-double `high + low` with `term` added.

    Joldes, Muller and Popescu (2017), Algorithm 4 (DWPlusFP), after Knuth's TwoSum and Dekker's Fast2Sum.
    """
    total = high + term
    recovered = total - high
    error = (high - (total - recovered)) + (term - recovered)
    carried = low + error
    rounded = total + carried
    return rounded, carried - (rounded - total)


@compiled
def add_outer(high: FloatArray, low: FloatArray, row: FloatArray, sign: float) -> None:
    """Add `sign * row row'` to the upper triangle of the double-double sums `high + low`."""
    # By views of one row each: indices into the matrices would keep the loop from being vectorised.
    for i in range(row.size):
        own, others, upper, lower = sign * row[i], row[i:], high[i, i:], low[i, i:]
        for j in range(others.size):
            upper[j], lower[j] = plus(upper[j], lower[j], own * others[j])


@compiled
def exchange_outer(high: FloatArray, low: FloatArray, old: FloatArray, new: FloatArray) -> None:
    """To the last bit `add_outer` of `old` with sign -1 and then of `new` with sign 1, in one loop."""
    for i in range(new.size):
        left, came, upper, lower = -old[i], new[i], high[i, i:], low[i, i:]
        leaving, coming = old[i:], new[i:]
        for j in range(coming.size):
            h, w = plus(upper[j], lower[j], left * leaving[j])
            upper[j], lower[j] = plus(h, w, came * coming[j])


@compiled
def _slide(
    ring: FloatArray, counters: IntArray, high: FloatArray, low: FloatArray, row: FloatArray, evicted: FloatArray
) -> int:
    """Put `row` in the ring; 1 when `evicted` took the row that left, 0 while filling, -1 when `row` was refused."""
    for value in row:
        if not abs(value) <= LARGEST_ENTRY:
            return -1
    count, position = counters[0], counters[1]
    full = count == ring.shape[0]
    if full:
        for i in range(row.size):
            evicted[i] = ring[position, i]
        add_outer(high, low, evicted, -1.0)
    else:
        counters[0] = count + 1
    # Entry by entry: numba would compile the error messages of a slice assignment for two seconds.
    for i in range(row.size):
        ring[position, i] = row[i]
    add_outer(high, low, row, 1.0)
    counters[1] = (position + 1) % ring.shape[0]
    return 1 if full else 0


class SlidingMoments:
    """The sum of outer products z z' over the last `window` rows z.

    A row costs O(dimension²) whatever the window. The sums are double-double: the product that is added when a row
    comes is the very product (rounded once, to double) that is subtracted when it leaves, so only the additions err.
    Each errs by at most 2⁻¹⁰⁵ of its result, and a step makes two. After `steps` rows the drift of an entry is
    therefore at most

        steps * 2⁻¹⁰⁴ * (largest absolute value that entry's sum ever had),

    1e-21 of it after 10¹⁰ rows. (Plain doubles drift by 1e-16 a step, and a large row that leaves takes the digits of
    all others with it.) What remains is the rounding of the products themselves, 2⁻⁵³ of each: with rows far from zero,
    whose centred moments are wanted, push them less a fixed anchor near them.

    Parameters
    ----------
    window : rows to keep, >= 1.
    dimension : length of a row, >= 1.

    Raises
    ------
    IllPosed : `window` or `dimension` is below 1.

    References
    ----------
    Joldes, Muller and Popescu (2017), Tight and rigorous error bounds for basic building blocks of double-word
    arithmetic, ACM TOMS 44(2), theorem 2.2.
    """

    def __init__(self, window: int, dimension: int) -> None:
        if window < 1 or dimension < 1:
            raise IllPosed(f"window and dimension must be >= 1, got {window} and {dimension}")
        self._ring = np.zeros((window, dimension))
        self._counters = np.zeros(2, dtype=np.int64)  # rows held, position that the next one takes
        self._high = np.zeros((dimension, dimension))
        self._low = np.zeros((dimension, dimension))

    @property
    def window(self) -> int:
        return self._ring.shape[0]

    @property
    def dimension(self) -> int:
        return self._ring.shape[1]

    @property
    def count(self) -> int:
        """Rows held, at most `window`."""
        return int(self._counters[0])

    @property
    def full(self) -> bool:
        return self.count == self.window

    def push(self, row: FloatArray) -> FloatArray | None:
        """Take the next row; O(dimension²).

        Parameters
        ----------
        row : (dimension,).

        Returns
        -------
        The row that fell out of the window, for a window behind this one; None while filling.

        Raises
        ------
        IllPosed : wrong shape, an entry that is not finite, or one beyond 1e150; nothing was changed.
        """
        row = np.ascontiguousarray(row, dtype=np.float64)
        if row.shape != (self.dimension,):
            raise IllPosed(f"row must have shape ({self.dimension},), got {row.shape}")
        evicted = np.empty(self.dimension)
        outcome = _slide(self._ring, self._counters, self._high, self._low, row, evicted)
        if outcome < 0:
            raise IllPosed(f"row must be finite and within ±{LARGEST_ENTRY:g}, got {row}")
        return evicted if outcome else None

    def rows(self, entries: slice = slice(None)) -> FloatArray:
        """(count, dimension) the rows held, oldest first, or these entries of each; a copy."""
        held = self._ring[:, entries]
        return np.roll(held, -int(self._counters[1]), axis=0) if self.full else held[: self.count].copy()

    def sums(self) -> FloatArray:
        """(dimension, dimension) symmetric sum of z z' over the rows held; a copy."""
        upper = np.triu(self._high)
        symmetric: FloatArray = upper + np.triu(upper, 1).T
        return symmetric

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        return {
            "ring": self._ring.copy(),
            "counters": self._counters.copy(),
            "high": self._high.copy(),
            "low": self._low.copy(),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave.

        Raises
        ------
        IllPosed : an array is missing, or of another shape than this window and dimension need; nothing was changed.
        """
        restored = restored_arrays(self.arrays(), arrays)
        self._ring, self._counters = restored["ring"], restored["counters"]
        self._high, self._low = restored["high"], restored["low"]


def restored_arrays(
    expected: Mapping[str, NDArray[Any]], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Contiguous copies of `arrays`, checked against the names, shapes and types of `expected`.

    Raises
    ------
    IllPosed : an array is missing or differs in shape or type: a state of other settings must not be continued.
    """
    restored = {}
    for name, own in expected.items():
        if name not in arrays:
            raise IllPosed(f"state lacks the array {name!r}; it has {sorted(arrays)}")
        given = arrays[name]
        if given.shape != own.shape or given.dtype != own.dtype:
            raise IllPosed(
                f"state array {name!r} must be {own.dtype}{own.shape} under these settings, "
                f"got {given.dtype}{given.shape}"
            )
        restored[name] = np.array(given, order="C")
    return restored
