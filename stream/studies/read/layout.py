"""Where the cells of a text stand: its separator, its header and its lines of data. What a cell says is for others."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from stream.errors import ConfigError, DataUnavailable
from stream.studies.read.exports import (
    FIELD_NAMES,
    FIRST_TIME_NAMES,
    Export,
    export_by_cells,
    export_by_header,
    plain_name,
)
from stream.studies.read.options import ReadOptions

_SEPARATORS = (",", ";", "\t", "|")
SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAMPLE_LINES = 200

_TIME_LIKE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ,]+\d{2,4}"
    r"|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})([T ,]+\d{1,2}:[^;|\t]*)?|\d{5,19}([.,]\d+)?|\d{8}[ T]\d{4,6}",
    re.ASCII,
)
_NUMBER_LIKE = re.compile(
    r"[-+\N{MINUS SIGN}(]?[$€£]?\d[\d.,'\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE} ]*([eE][+-]?\d+)?[%)]?"
)

Row = list[str]


@dataclass(frozen=True, eq=False)
class Layout:
    """The lines of data of a text, and what stands around them.

    Attributes
    ----------
    names : of the columns, stripped, each once; of a file with a line of fields those of the assets.
    fields : of each column, from a line of fields; None where there is no such line.
    rows : cells of every line of data that is not blank, as many as there are names.
    lines : the number of each of these lines, from 1.
    separator : between cells.
    header_lines : numbers of the lines that name columns; () where no line does.
    passed_over : numbers of the lines above the data that name nothing.
    blank_lines, blank_columns : how many had no cell with text; neither are in `rows`.
    export : whose export it is, where that was recognised.
    """

    names: tuple[str, ...]
    fields: tuple[str, ...] | None
    rows: list[Row]
    lines: list[int]
    separator: str
    header_lines: tuple[int, ...]
    passed_over: tuple[int, ...]
    blank_lines: int
    blank_columns: int
    export: Export | None


@dataclass(frozen=True)
class _Head:
    """What stands above the data: names and fields of the columns, and which lines were taken for what."""

    names: Row
    fields: Row | None
    header_lines: tuple[int, ...]
    passed_over: tuple[int, ...]
    export: Export | None


def laid_out(path: Path, text: str, options: ReadOptions) -> Layout:
    """The lines of data of `text` below its header.

    Raises
    ------
    DataUnavailable : the text has no such lines, a line has more or fewer cells than the header, the header is not
        there or not clear, or two columns have one name.
    ConfigError : an option that cannot be.
    """
    separator = _separator(path, text, options)
    rows, lines, blank_lines = _split(path, text, separator)
    if not rows:
        raise DataUnavailable(f"{path} is empty: it must have a header, and below it a time and a price a line")
    first = _first_data(path, rows, lines, options)
    head = _head(path, rows[:first], lines[:first], rows[first], options)
    below, numbers = rows[first:], lines[first:]
    _check_widths(path, below, numbers, len(head.names), separator)
    empty = _empty_columns(path, head, below)
    kept = [index for index in range(len(head.names)) if index not in empty]
    if empty:
        below = [[row[index] for index in kept] for row in below]
    return Layout(
        names=tuple(head.names[index] for index in kept),
        fields=None if head.fields is None else tuple(head.fields[index] for index in kept),
        rows=below,
        lines=numbers,
        separator=separator,
        header_lines=head.header_lines,
        passed_over=head.passed_over,
        blank_lines=blank_lines,
        blank_columns=len(empty),
        export=head.export,
    )


def _separator(path: Path, text: str, options: ReadOptions) -> str:
    if options.separator is not None:
        separator = {"tab": "\t", "\\t": "\t"}.get(options.separator, options.separator)
        if len(separator) != 1 or separator.isalnum() or separator in '"\r\n.':
            raise ConfigError(f"--separator must be one character such as ; or the word tab, got {options.separator!r}")
        return separator
    sample = list(islice(io.StringIO(text), _SAMPLE_LINES))
    # The right separator leaves a time and numbers in the cells; with a wrong one hardly a line has both.
    found = {each: sum(_has_time_and_number(row) for row in _sample_rows(sample, each)) for each in _SEPARATORS}
    most = max(found.values())
    likely = [each for each in _SEPARATORS if found[each] == most]
    if most and len(likely) > 1:
        names = " or ".join(SEPARATOR_NAMES[each] for each in likely)
        raise DataUnavailable(f"{path}: {names} may separate its cells; say which with --separator")
    if most:
        return likely[0]
    # No line can be read at all. The separator that most lines agree on gives the error that says most.
    return max(_SEPARATORS, key=lambda each: _lines_that_agree(sample, each))


def _sample_rows(sample: list[str], separator: str) -> list[Row]:
    try:
        return list(csv.reader(sample, delimiter=separator))
    except csv.Error:
        return []


def _lines_that_agree(sample: list[str], separator: str) -> int:
    widths = Counter(len(row) for row in _sample_rows(sample, separator) if len(row) > 1)
    return max(widths.values(), default=0)


def _has_time_and_number(row: Row) -> bool:
    times = [index for index, cell in enumerate(row) if _TIME_LIKE.fullmatch(cell.strip())]
    return bool(times) and any(
        _NUMBER_LIKE.fullmatch(cell.strip()) for index, cell in enumerate(row) if index != times[0]
    )


def _split(path: Path, text: str, separator: str) -> tuple[list[Row], list[int], int]:
    """The lines with text in a cell, their numbers, and how many had none."""
    rows, lines, blank, line = [], [], 0, 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            if reader.line_num > line + 1:
                raise DataUnavailable(
                    f"{path}, line {line + 1}: a quoted cell goes on over {reader.line_num - line} lines; "
                    "a quotation mark is missing or one too many"
                )
            line += 1
            if row and (row[0].strip() or any(map(str.strip, row))):
                rows.append(row)
                lines.append(line)
            else:
                blank += 1
    except csv.Error as exc:
        raise DataUnavailable(f"{path}, line {line + 1}: not CSV: {exc}; look for a quotation mark") from exc
    return rows, lines, blank


def _first_data(path: Path, rows: list[Row], lines: list[int], options: ReadOptions) -> int:
    """The index of the first row of data."""
    if options.header is False:
        if options.header_line is not None:
            raise ConfigError(f"--no-header and --header-line {options.header_line} exclude each other; give one")
        return 0
    named = options.header_line if options.header_line is not None else 1 if options.header else None
    if named is not None:
        if named not in lines:
            raise ConfigError(f"--header-line must be a line of {path} that is not blank, got {named}")
        after = lines.index(named) + 1
        begin = next((index for index in range(after, len(rows)) if _is_data(rows[index])), None)
    else:
        begin = next((index for index, row in enumerate(rows) if _is_data(row)), None)
    if begin is None:
        raise DataUnavailable(
            f"{path} must have a header, and below it a time and at least one price a line; "
            f"got {len(rows)} lines of {max(map(len, rows))} columns, in none of which a time or a number was found; "
            "if another character separates the cells, name it with --separator"
        )
    return begin


def _is_data(row: Row) -> bool:
    first, others = row[0].strip(), [cell.strip() for cell in row[1:]]
    if _TIME_LIKE.fullmatch(first):
        return True
    # Assets may have numbers for names.
    if plain_name(first) in FIRST_TIME_NAMES:
        return False
    return any(_NUMBER_LIKE.fullmatch(cell) for cell in others)


def _head(path: Path, rows: list[Row], lines: list[int], data: Row, options: ReadOptions) -> _Head:
    if not rows:
        return _without_header(path, data, options)
    # Each level has its cells stripped; blank ones at the end are not columns.
    heads = [([cell.strip() for cell in row], line) for row, line in zip(rows, lines, strict=True)]
    chosen = options.header_line if options.header_line is not None else 1 if options.header else None
    if chosen is not None:
        names = next(row for row, line in heads if line == chosen)
        others = tuple(line for line in lines if line != chosen)
        return _Head(names, None, (chosen,), others, export_by_header(names, ""))
    index_name = None
    if len(heads) > 1 and len(data) > 1 and heads[-1][0][0] and not any(heads[-1][0][1:]):
        index_name = heads.pop()
    last, line = heads[-1]
    above, above_line = heads[-2] if len(heads) > 1 else ([], 0)
    used = (line,) if index_name is None else (line, index_name[1])
    if above and above_line == line - 1:
        levels = _levels(above, last)
        if levels is not None:
            time_names = (index_name[0][0] if index_name else "", last[0], above[0])
            used = (above_line, *used)
            return _two_levels(levels, time_names, used, _others(lines, used))
        if sum(map(bool, above)) >= max(sum(map(bool, last)), len(data) - 1):
            raise DataUnavailable(
                f"{path}: lines {above_line} and {line} both look like a header; "
                "say which names the columns with --header-line"
            )
    names = list(last)
    if index_name is not None and not names[0]:
        names[0] = index_name[0][0]
    elif index_name is not None:
        used = (line,)
    return _Head(names, None, used, _others(lines, used), export_by_header(names, above[0] if above else ""))


def _two_levels(
    levels: tuple[Row, Row], time_names: tuple[str, str, str], used: tuple[int, ...], others: tuple[int, ...]
) -> _Head:
    """The head of names of assets and of fields in two lines; `time_names` may name the time, the last is above."""
    assets, fields = levels
    above = time_names[-1]
    time_name = next((name for name in time_names if name), "time")
    if plain_name(above) in FIRST_TIME_NAMES:
        time_name = above
    export = export_by_header([time_name, *fields[1:]], above)
    return _Head([time_name, *assets[1:]], ["", *fields[1:]], used, others, export)


def _others(lines: list[int], used: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(line for line in lines if line not in used)


def _levels(above: Row, last: Row) -> tuple[Row, Row] | None:
    """Names of assets and of fields, when one of two lines has the former and the other the latter."""
    upper = list(above) + [""] * (len(last) - len(above))
    for index in range(2, len(upper)):
        # A name that stands over several columns is often written once.
        upper[index] = upper[index] or upper[index - 1]
    if len(upper) != len(last) or len(last) < 2 or not all(upper[1:]) or not all(last[1:]):
        return None
    upper_has, last_has = ({plain_name(cell) for cell in row[1:]} <= FIELD_NAMES for row in (upper, last))
    if upper_has == last_has:
        return None
    return (last, upper) if upper_has else (upper, last)


def _without_header(path: Path, data: Row, options: ReadOptions) -> _Head:
    export = export_by_cells(data)
    if export is not None:
        names = [*export.columns[: len(data)]]
        return _Head(names, None, (), (), export)
    if options.header is not False:
        raise DataUnavailable(
            f"{path}, line 1 looks like data: {_shortened(data)}; a header must name the columns, or say --no-header "
            "(or --header, if these are names)"
        )
    return _Head([f"{index + 1}" for index in range(len(data))], None, (), (), None)


def _check_widths(path: Path, rows: list[Row], lines: list[int], width: int, separator: str) -> None:
    for row, line in zip(rows, lines, strict=True):
        if len(row) == width:
            continue
        if len(row) > width and not any(cell.strip() for cell in row[width:]):
            del row[width:]
            continue
        raise DataUnavailable(
            f"{path}, line {line}: expected {width} cells between {SEPARATOR_NAMES.get(separator, repr(separator))} "
            f"as in the header, got {len(row)}: {_shortened(row)}"
        )


def _empty_columns(path: Path, head: _Head, rows: list[Row]) -> set[int]:
    """Columns without a name and without a cell; the others must have names of their own."""
    empty: set[int] = set()
    seen: set[tuple[str, str]] = set()
    fields = head.fields or [""] * len(head.names)
    line = head.header_lines[0] if head.header_lines else 1
    for index, (name, field) in enumerate(zip(head.names, fields, strict=True)):
        if index and not name and not any(row[index].strip() for row in rows):
            empty.add(index)
        elif (index and not name) or (name, field) in seen:
            raise DataUnavailable(f"{path}, line {line}, column {index + 1}: expected a name of its own, got {name!r}")
        seen.add((name, field))
    if len(head.names) - len(empty) < 2:
        raise DataUnavailable(
            f"{path} must have a header, and below it a time and at least one price a line; got "
            f"{len(rows)} lines of {len(head.names) - len(empty)} columns; if another character separates the cells, "
            "name it with --separator"
        )
    return empty


def _shortened(row: Sequence[str]) -> str:
    shown = ", ".join(repr(cell) for cell in row[:4])
    return shown if len(row) <= 4 else f"{shown}, …"
