"""Quotes from a file of ticks, line by line as they came: nothing is sorted, repaired or left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solver.arrays import FloatArray, IntArray
from stream.errors import DataUnavailable
from stream.studies.read.csv_file import read_csv


@dataclass(frozen=True, eq=False)
class QuoteRows:
    """Quotes of one instrument: (ticks,) event time in ns since 1970, bid and ask in quote units."""

    times_ns: IntArray
    bids: FloatArray
    asks: FloatArray

    def __len__(self) -> int:
        return len(self.times_ns)

    def first(self, count: int) -> QuoteRows:
        """The first `count` of them."""
        return QuoteRows(self.times_ns[:count], self.bids[:count], self.asks[:count])


def read_quotes(path: Path) -> QuoteRows:
    """Read a CSV or CSV.gz file with a header and the columns time, bid and ask, in this order.

    Whether a quote can be used is for `stream.events.decode` to say: crossed and non-positive ones are kept.

    Raises
    ------
    DataUnavailable : the file is not there, is not CSV, has other columns, or a cell is not what it should be.
    """
    file = read_csv(path, hashlib.sha256())
    if len(file.names) != 2:
        raise DataUnavailable(f"{path} must have the columns time, bid and ask, got {', '.join(file.names)} after it")
    numbers = file.numbers(file.others)
    bids, asks = (numbers.columns[label] for label in file.labels(file.others))
    missing = np.flatnonzero(np.isnan(bids) | np.isnan(asks))
    if len(missing):
        raise DataUnavailable(f"{path}, line {file.lines[missing[0]]}: expected a bid and an ask, got an empty cell")
    return QuoteRows(file.times().ns, bids, asks)
