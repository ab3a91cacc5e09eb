"""A table of text, and how figures are written in its cells."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from stream.studies.validate.findings import Estimate

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Table:
    """One table: a title, column names, cells, and the note that belongs to it.

    With `prose` the cells are sentences: they start at the left and may take several lines.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    prose: bool = False


def with_interval(value: Estimate) -> str:
    """``1.02 (.98 to 1.05)``, the interval one of 95 %."""
    return _spanned(figure(value.estimate), figure(value.lower), figure(value.upper))


def percent_with_interval(value: Estimate) -> str:
    """``92 % (88 to 95)``."""
    return _spanned(percent(value.estimate), _hundredths(value.lower), _hundredths(value.upper))


def figure(value: float) -> str:
    """Three significant digits, a real minus, no exponent; a dash where there is no figure."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    if value == 0.0:
        return "0"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    rounded = f"{value:,.{digits}f}"
    if digits and not rounded.strip("-0.,"):
        return "0"
    return rounded.replace("-", MINUS)


def percent(share: float) -> str:
    """A share in per cent, to a hundredth."""
    return f"{_hundredths(share)} %" if math.isfinite(share) else figure(share)


def shown_time(time: str) -> str:
    """``2015-01-15 11:00:00``, or the day alone at midnight."""
    return time.removesuffix("T00:00:00").replace("T", " ")


def p_figure(p_value: float) -> str:
    """A p-value, to three digits down to a ten-thousandth."""
    return "<.0001" if p_value < 1e-4 else figure(p_value)


def _hundredths(share: float) -> str:
    return figure(100 * share) if abs(share) >= 1e-4 else "0"


def _spanned(estimate: str, lower: str, upper: str) -> str:
    return estimate if not re.search(r"\d", estimate) else f"{estimate} ({lower} to {upper})"
