"""Cells to numbers: which sign stands before decimals and which between thousands, the same in a whole file.

`float` reads the digits, once these signs are settled. It alone would take ``1_000``, ``infinity`` and full-width
digits for numbers, so every cell has to have the form of a number first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from solver.arrays import FloatArray
from stream.errors import ConfigError, DataUnavailable
from stream.studies.read.exports import Export
from stream.studies.read.options import ReadOptions

#: What a cell without a number says, in lower case.
MISSING = frozenset(
    {"", "na", "nan", "null", "none", "n/a", "n.a.", "-", "--", ".", "#n/a", "#n/a n/a", "<na>", "nil", "nd", "n.d."}
)

_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
_APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"
_GROUPS = {"": "", ",": ",", ".": ".", "'": _APOSTROPHES, "space": _SPACES}


@dataclass(frozen=True)
class Style:
    """How the numbers of a file are written: the sign of decimals, and that of thousands or ``""`` for none."""

    decimal: str
    thousands: str

    @property
    def pattern(self) -> str:
        """A number of this style, as a regular expression."""
        point = re.escape(self.decimal)
        whole = r"\d+"
        if self.thousands:
            whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:[{re.escape(_GROUPS[self.thousands])}]\d{{3}})+)"
        return rf"[+-]?(?:{whole}(?:{point}\d+)?|{point}\d+)(?:[eE][+-]?\d{{1,3}})?"

    def number(self, text: str) -> float:
        """The number of a text that has `pattern`."""
        for sign in _GROUPS[self.thousands]:
            text = text.replace(sign, "")
        return float(text.replace(self.decimal, "."))


# The simplest first. A file is read by the first that fits, and refused where another would give other numbers.
_STYLES = tuple(
    Style(decimal, thousands)
    for thousands in ("", ",", ".", "'", "space")
    for decimal in (".", ",")
    if decimal != thousands
)


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers of columns: (lines,) each, NaN where a cell says that there is none; `missing` counts its words."""

    columns: dict[str, FloatArray]
    style: Style
    missing: Counter[str]


def read_numbers(
    path: Path,
    columns: dict[str, Sequence[str]],
    lines: Sequence[int],
    options: ReadOptions,
    export: Export | None,
    separator: str,
) -> Numbers:
    """The numbers of `columns`, all in one style.

    Parameters
    ----------
    path, lines : the file and the numbers of its lines, for messages.
    columns : cells by name.
    options : what the user says of the file.
    export : whose export it is, where that was recognised.
    separator : of cells; beside commas a decimal point needs no proof.

    Raises
    ------
    DataUnavailable : a cell is neither a number nor empty, or the style is not clear; the message names the option.
    """
    stripped = {name: list(map(str.strip, cells)) for name, cells in columns.items()}
    missing: Counter[str] = Counter()
    present: dict[str, list[int]] = {}
    for name, cells in stripped.items():
        if re.fullmatch(r"(?>[^\n\d]*+\d[^\n]*+\n)*+", "\n".join(cells) + "\n", re.ASCII):
            # No word for a missing number has a digit.
            present[name] = list(range(len(cells)))
            continue
        present[name] = [index for index, cell in enumerate(cells) if cell.lower() not in MISSING]
        missing.update(cell for cell in cells if cell.lower() in MISSING)
    texts = {name: [stripped[name][index] for index in present[name]] for name in stripped}
    style = _style(path, texts, present, lines, options, export, separator)
    found: dict[str, FloatArray] = {}
    for name, cells in texts.items():
        numbers = np.full(len(stripped[name]), np.nan)
        numbers[present[name]] = _converted(style, cells)
        beyond = np.flatnonzero(np.isinf(numbers))
        if len(beyond):
            _refuse(path, lines[beyond[0]], name, stripped[name][beyond[0]])
        found[name] = numbers
    return Numbers(found, style, missing)


def _converted(style: Style, cells: list[str]) -> list[float]:
    if style == Style(".", ""):
        return list(map(float, cells))
    return [style.number(cell) for cell in cells]


def _style(
    path: Path,
    texts: dict[str, list[str]],
    present: dict[str, list[int]],
    lines: Sequence[int],
    options: ReadOptions,
    export: Export | None,
    separator: str,
) -> Style:
    allowed = _allowed(options, export)
    whole = "\n".join(cell for cells in texts.values() for cell in cells)
    if not whole:
        return allowed[0]
    first = next((style for style in allowed if _fits(style, whole)), None)
    if first is None:
        _refuse_first(path, texts, present, lines, allowed)
    # Styles with a sign of thousands come after those without.
    grouped = next((style for style in allowed if style.thousands == first.decimal), None)
    if first.thousands or first.decimal not in whole or grouped is None or not _fits(grouped, whole):
        return first
    # 1,234 is a thousand, or one and a bit: every number has three digits after its only sign.
    if first.decimal == "." and separator == ",":
        return first
    name, example, line = next(
        (name, cell, lines[index])
        for name, cells in texts.items()
        for cell, index in zip(cells, present[name], strict=True)
        if first.decimal in cell
    )
    raise DataUnavailable(
        f"{path}, line {line}, column {name}: {example!r} may be {first.number(example):g} or "
        f"{grouped.number(example):g}, and no number of the file tells; say which with "
        f"--decimal {first.decimal} or --decimal {grouped.decimal}"
    )


def _fits(style: Style, whole: str) -> bool:
    """Whether every line of `whole` is a number of this style. Possessive, so that millions of lines need no stack."""
    return re.fullmatch(f"(?>{style.pattern}\n)++", f"{whole}\n", re.ASCII) is not None


def _allowed(options: ReadOptions, export: Export | None) -> list[Style]:
    if options.decimal not in (None, ".", ","):
        raise ConfigError(f"--decimal must be . or , got {options.decimal!r}")
    thousands = {" ": "space"}.get(options.thousands, options.thousands) if options.thousands else None
    if thousands is not None and (thousands not in _GROUPS or thousands == options.decimal):
        raise ConfigError(
            f"--thousands must be one of . , ' space, and not the sign of decimals, got {options.thousands!r}"
        )
    decimal = options.decimal or (export.decimal if export else None)
    return [
        style
        for style in _STYLES
        if (decimal is None or style.decimal == decimal)
        and (thousands is None or style.thousands == thousands)
    ]  # fmt: skip


def _refuse_first(
    path: Path, texts: dict[str, list[str]], present: dict[str, list[int]], lines: Sequence[int], allowed: list[Style]
) -> NoReturn:
    """Refuse the first cell that the style which most cells have does not explain."""
    matchers = [(style, re.compile(style.pattern, re.ASCII).fullmatch) for style in allowed]
    matches = {style: sum(bool(match(cell)) for cells in texts.values() for cell in cells) for style, match in matchers}
    best = max(allowed, key=lambda style: matches[style])
    match = dict(matchers)[best]
    wrong = [
        (lines[index], name, cell)
        for name, cells in texts.items()
        for cell, index in zip(cells, present[name], strict=True)
        if not match(cell)
    ]
    _refuse(path, *min(wrong, key=lambda each: each[0]))


def _refuse(path: Path, line: int, name: str, cell: str) -> NoReturn:
    raise DataUnavailable(
        f"{path}, line {line}, column {name}: expected a price or an empty cell, written as in the other lines, "
        f"got {cell!r} (--decimal and --thousands name signs that a file leaves open)"
    )
