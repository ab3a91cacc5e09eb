"""One CSV file: its header, its times and its numbers. Every error names the file, the line and the column."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from solver.arrays import IntArray
from stream.config import NANOSECONDS
from stream.errors import DataUnavailable

#: What a file name must end in; pandas unpacks ``.gz`` by the name.
ENDINGS = (".csv", ".csv.gz")

# A time that is a number counts from 1970. Its size says in which unit: seconds of the present have ten digits.
_EPOCH_UNITS_NS = ((1e17, 1), (1e14, 1_000), (1e11, 1_000_000), (1e8, NANOSECONDS))

_MISSING = ("", "na", "nan", "null", "none", "n/a", "-", "#n/a")


@dataclass(frozen=True, eq=False)
class CsvFile:
    """The text of a CSV file whose first column is the time.

    Attributes
    ----------
    path : of the file.
    cells : one row for each line that is not blank, indexed by its line number; one column for each name of the header.
    blank_lines : how many lines had no cell with text.
    """

    path: Path
    cells: pd.DataFrame
    blank_lines: int

    @property
    def names(self) -> list[str]:
        """Names of the columns after the time."""
        return [str(name) for name in self.cells.columns[1:]]

    def times_ns(self) -> IntArray:
        """(lines,) nanoseconds since 1970. A date without a time is its midnight; a time without a zone is UTC.

        Raises
        ------
        DataUnavailable : a cell is not a time or date in the form of the other lines.
        """
        return _times_ns(self.path, self.cells.iloc[:, 0])

    def numbers(self, column: int) -> pd.Series[float]:
        """The numbers of a column after the time, counted from 0; NaN where the cell is empty or says so.

        Raises
        ------
        DataUnavailable : a cell is neither a number nor empty.
        """
        return _numbers(self.path, self.cells.iloc[:, column + 1])


def read_csv(path: Path, digest: hashlib._Hash) -> CsvFile:
    """Read a CSV or CSV.gz file with a header, and add its bytes to `digest`.

    Raises
    ------
    DataUnavailable : the file cannot be read, is not CSV, has no data, or two columns have one name.
    """
    try:
        digest.update(path.read_bytes())
        # The header is read as a line like the others: pandas would rename a name that comes twice.
        raw = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, skip_blank_lines=False).fillna("")
    except OSError as exc:
        raise DataUnavailable(f"cannot read {path}: {exc.strerror or exc}") from exc
    except (UnicodeDecodeError, EOFError, zlib.error, pd.errors.ParserError, pd.errors.EmptyDataError) as exc:
        raise DataUnavailable(f"{path} is not a CSV file with a header: {exc}") from exc
    if raw.shape[1] < 2 or len(raw) < 2:
        raise DataUnavailable(
            f"{path} must have a header, and below it a time and at least one price a line; "
            f"got {len(raw)} lines of {raw.shape[1]} columns"
        )
    names = [str(name).strip() for name in raw.iloc[0]]
    for index, name in enumerate(names):
        if index and (not name or name in names[1:index]):
            raise DataUnavailable(f"{path}, line 1, column {index + 1}: expected a name of its own, got {name!r}")
    cells = raw.iloc[1:].set_axis(names, axis=1)
    cells.index = pd.RangeIndex(2, len(cells) + 2)
    blank = (cells == "").all(axis=1)
    return CsvFile(path, cells[~blank] if blank.any() else cells, int(blank.sum()))


def _times_ns(file: Path, column: pd.Series[str]) -> IntArray:
    text = column.str.strip()
    numbers = pd.to_numeric(text, errors="coerce")
    # Eight digits are a date as 20150115, unless they count seconds of the year 1970.
    if numbers.notna().all() and not text.str.fullmatch(r"\d{8}").all():
        for least, unit_ns in _EPOCH_UNITS_NS:
            if (numbers >= least).all():
                return np.asarray((numbers * unit_ns).round().astype("int64") if unit_ns > 1 else text.astype("int64"))
    readings = [_dates(text, dayfirst) for dayfirst in (False, True)]
    # 3/4/2015 is in March or in April. The right reading leaves fewer lines unread and out of order.
    parsed = min(readings, key=lambda read: (read.isna().sum(), (read.dropna().astype("int64").diff() < 0).sum()))
    unread = parsed.isna()
    if unread.any():
        line = column.index[unread][0]
        raise DataUnavailable(
            f"{file}, line {line}, column {column.name}: expected a time or date as the other lines have, "
            f"got {column[line]!r}"
        )
    return np.asarray(parsed.dt.tz_localize(None).astype("datetime64[ns]").astype("int64"))


def _dates(text: pd.Series[str], dayfirst: bool) -> pd.Series[pd.Timestamp]:
    # Without a format pandas would guess one from the first line, which may be ambiguous.
    slashed = text.str.match(r"\d{1,2}[/.]\d{1,2}[/.]\d{4}").any()
    if slashed:
        separator = "/" if text.str.contains("/").any() else "."
        order = ("%d", "%m") if dayfirst else ("%m", "%d")
        clock = " %H:%M:%S" if text.str.count(":").max() == 2 else " %H:%M" if text.str.contains(":").any() else ""
        form = separator.join([*order, "%Y"]) + clock
        return pd.to_datetime(text, format=form, errors="coerce", utc=True)
    return pd.to_datetime(
        text, format="%Y%m%d" if text.str.fullmatch(r"\d{8}").all() else "ISO8601", errors="coerce", utc=True
    )


def _numbers(file: Path, column: pd.Series[str]) -> pd.Series[float]:
    text = column.str.strip()
    missing = text.str.lower().isin(_MISSING)
    numbers = pd.to_numeric(text.where(~missing), errors="coerce").astype("float64")
    wrong = numbers.isna() & ~missing
    if wrong.any():
        line = column.index[wrong][0]
        raise DataUnavailable(
            f"{file}, line {line}, column {column.name}: expected a price or an empty cell, got {column[line]!r}"
        )
    return numbers
