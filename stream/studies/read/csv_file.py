"""One CSV file: its columns, its times and its numbers. Every error names the file, the line and the column.

What the numbers mean, and whether they may be negative, is for the caller to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solver.arrays import IntArray
from stream.errors import DataUnavailable
from stream.studies.read.decimals import Numbers, read_numbers
from stream.studies.read.encoded_text import read_text
from stream.studies.read.exports import TIME_NAMES, Export, plain_name
from stream.studies.read.layout import SEPARATOR_NAMES, Layout, laid_out
from stream.studies.read.options import NOTHING_SAID, ReadOptions
from stream.studies.read.reading import Reading
from stream.studies.read.times import Times, read_times, shown

#: What a file name must end in, in whatever case.
ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


@dataclass(frozen=True, eq=False)
class CsvFile:
    """The cells of a CSV file, one column of which is the time.

    Attributes
    ----------
    path : of the file.
    layout : its cells, and what was taken for their separator and header.
    columns : (lines,) cells of every column of `layout.names`.
    time_indices : the columns that are the time: one, or a date and a time of day.
    encoding : in words.
    ends_with_line_end : whether the last line is closed; if not, the file may have been cut off.
    options : what the user says of it.
    """

    path: Path
    layout: Layout
    columns: list[Sequence[str]]
    time_indices: tuple[int, ...]
    encoding: str
    ends_with_line_end: bool
    options: ReadOptions

    @property
    def names(self) -> list[str]:
        """Names of the columns other than the time."""
        return [self.layout.names[index] for index in self.others]

    @property
    def others(self) -> list[int]:
        """Indices of the columns other than the time, and than numbers of rows."""
        every = range(len(self.layout.names))
        return [index for index in every if index not in self.time_indices and not (index == 0 and self.counts_rows)]

    @property
    def counts_rows(self) -> bool:
        """Whether the first column numbers the rows, as in tables that were saved with their index."""
        return 0 not in self.time_indices and _counts(self.columns[0])

    @property
    def lines(self) -> list[int]:
        """The number of each line of data."""
        return self.layout.lines

    @property
    def export(self) -> Export | None:
        """Whose export it is, where that was recognised."""
        return self.layout.export

    @property
    def time_name(self) -> str:
        """The name of the column of times, or of both."""
        return " and ".join(self.layout.names[index] for index in self.time_indices)

    def times(self) -> Times:
        """The time of every line. Raises DataUnavailable where a cell is no time, or may be several."""
        first = self.columns[self.time_indices[0]]
        column: Sequence[str] = first
        if len(self.time_indices) == 2:
            clocks = self.columns[self.time_indices[1]]
            column = [f"{date.strip()} {_clock(clock.strip())}" for date, clock in zip(first, clocks, strict=True)]
        return read_times(self.path, self.time_name, column, self.lines, self.options, self.export)

    def numbers(self, indices: Sequence[int]) -> Numbers:
        """Numbers of the columns at `indices` of `layout.names`; NaN where a cell says that there is none.

        Raises
        ------
        DataUnavailable : a cell is neither a number nor empty, the style is not clear, or the last cell was cut off.
        """
        columns = {self._label(index): self.columns[index] for index in indices}
        found = read_numbers(self.path, columns, self.lines, self.options, self.export, self.layout.separator)
        if not self.ends_with_line_end and len(self.layout.names) - 1 in indices:
            self._check_not_cut(found.style.decimal)
        return found

    def _label(self, index: int) -> str:
        """The column's name, with its field where there are several of that name."""
        name, fields = self.layout.names[index], self.layout.fields
        return f"{name} {fields[index]}" if fields is not None and self.layout.names.count(name) > 1 else name

    def labels(self, indices: Sequence[int]) -> list[str]:
        """The names under which `numbers` has the columns at `indices`."""
        return [self._label(index) for index in indices]

    def _check_not_cut(self, decimal: str) -> None:
        *before, last = (cell.strip() for cell in self.columns[-1])
        digits = [len(cell.partition(decimal)[2]) for cell in before if cell]
        if digits and last and len(last.partition(decimal)[2]) < min(digits):
            raise DataUnavailable(
                f"{self.path}, line {self.lines[-1]}, column {self.layout.names[-1]}: the file ends without a line "
                f"end, and its last cell has fewer decimals than any other, got {last!r}; it was cut off"
            )

    def reading(self, times: Times, ns: IntArray, zone: str, prices: Sequence[str], numbers: Numbers) -> Reading:
        """What all of it was taken for.

        Parameters
        ----------
        times : of the lines, as they were read.
        ns, zone : the times as they are used, and their zone in words.
        prices, numbers : the columns used, and their numbers.
        """
        layout = self.layout
        unused = [name for name in self.names if name not in prices]
        passed_over = [f"line {line}" for line in layout.passed_over]
        passed_over += [f"column {name}" for name in unused] if layout.fields is None else []
        passed_over += ["column 1, which numbers the rows"] if self.counts_rows else []
        passed_over += [f"{layout.blank_columns} columns without a cell"] if layout.blank_columns else []
        header = ", ".join(f"{line}" for line in layout.header_lines)
        return Reading(
            file=self.path.name,
            export=layout.export.name if layout.export else "",
            encoding=self.encoding,
            separator=SEPARATOR_NAMES.get(layout.separator, repr(layout.separator)),
            header=f"header in line {header}" if layout.header_lines else "no header",
            time_column=self.time_name,
            time_form=times.form,
            date_order=times.date_order,
            zone=zone,
            order=_order(ns),
            first=shown(ns.min()),
            last=shown(ns.max()),
            price_columns=tuple(prices),
            decimal=numbers.style.decimal,
            thousands=numbers.style.thousands,
            scale="as written",
            missing=tuple(sorted((word or "empty", count) for word, count in numbers.missing.items())),
            passed_over=tuple(passed_over),
        )


def read_csv(path: Path, digest: hashlib._Hash, options: ReadOptions = NOTHING_SAID) -> CsvFile:
    """Read a CSV file, packed or not, and add its bytes to `digest`.

    Raises
    ------
    DataUnavailable : the file cannot be read, is not CSV, has no data, or its columns are not clear.
    ConfigError : an option that cannot be.
    """
    text, encoding = read_text(path, digest, options.encoding)
    layout = laid_out(path, text, options)
    columns: list[Sequence[str]] = list(zip(*layout.rows, strict=True))
    indices = _time_indices(path, layout, columns, options)
    return CsvFile(path, layout, columns, indices, encoding, text.endswith(("\n", "\r")), options)


def _time_indices(path: Path, layout: Layout, columns: list[Sequence[str]], options: ReadOptions) -> tuple[int, ...]:
    plain = [plain_name(name) for name in layout.names]
    if options.time_column is not None:
        found = [index for index, name in enumerate(layout.names) if name == options.time_column]
        if not found:
            raise DataUnavailable(
                f"{path} has no column {options.time_column!r} for --time-column, got {', '.join(layout.names)}"
            )
        return (found[0],)
    if "date" in plain and "time" in plain and ":" not in columns[plain.index("date")][0]:
        return plain.index("date"), plain.index("time")
    named = [index for index, name in enumerate(plain) if name in TIME_NAMES]
    # A table that was saved with its index has the numbers of its rows first.
    return (named[0],) if named and 0 not in named and _counts(columns[0]) else (0,)


def _counts(column: Sequence[str]) -> bool:
    """Whether cells count up by one from 0 or from 1."""
    first = column[0].strip()
    return first in ("0", "1") and all(
        cell.strip() == f"{number}" for number, cell in enumerate(column, start=int(first))
    )


def _clock(text: str) -> str:
    """093000 as 09:30:00."""
    return f"{text[:2]}:{text[2:4]}:{text[4:]}" if len(text) == 6 and text.isdigit() else text


def _order(ns: IntArray) -> str:
    steps = np.diff(ns)
    if (steps >= 0).all():
        return "oldest first"
    return "newest first" if (steps <= 0).all() else "not in the order of time"
