"""Log prices with gaps to log returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.moments import restored_arrays


class LogReturns:
    """The log return of each asset since its last price.

    The first return after a gap spans the gap: a market that reopens elsewhere has moved. A newly listed asset has its
    first return once it has a price in two rows in a row, so that the moves of the others meanwhile are known to belong
    to it. Nothing is filled: where there is no price, or none before, there is no return.

    Parameters
    ----------
    n : assets, >= 1.

    Raises
    ------
    IllPosed : `n` below 1.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise IllPosed(f"n must be >= 1, got {n}")
        self._last = np.full(n, np.nan)
        self._priced = np.zeros(n, dtype=np.bool_)  # in the latest row
        self._listed = np.zeros(n, dtype=np.bool_)  # has had a return

    def take(self, log_prices: FloatArray) -> FloatArray:
        """(n,) log returns up to `log_prices` (n,), the next row, NaN where there is no price.

        Raises
        ------
        IllPosed : wrong shape, or an infinite value; nothing was changed.
        """
        log_prices = np.asarray(log_prices, dtype=np.float64)
        if log_prices.shape != self._last.shape:
            raise IllPosed(f"log_prices must have shape {self._last.shape}, got {log_prices.shape}")
        if np.isinf(log_prices).any():
            raise IllPosed(f"log_prices must be finite or NaN, got {log_prices}")
        priced = ~np.isnan(log_prices)
        begun = self._listed | self._priced
        returns: FloatArray = np.where(begun, log_prices - self._last, np.nan)
        self._listed = self._listed | (begun & priced)
        self._last = np.where(priced, log_prices, self._last)
        self._priced = priced
        return returns

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of everything needed to go on bit for bit."""
        return {"last": self._last.copy(), "priced": self._priced.copy(), "listed": self._listed.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `arrays` gave; IllPosed when it does not fit `n`."""
        restored = restored_arrays(self.arrays(), arrays)
        self._last, self._priced, self._listed = restored["last"], restored["priced"], restored["listed"]
