"""What a file was taken for: the record that is printed, and that stands in reports."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct


class Reading(Struct, frozen=True, kw_only=True):
    """What the reader settled of one file, in words.

    Attributes
    ----------
    file : its name.
    export : whose export it was recognised as; empty where it is nobody's known.
    encoding : of its text.
    separator : of its cells.
    header : where the names of its columns stand.
    time_column : which column is the time.
    time_form : what a time looks like: a date and its order, or a count and its unit.
    date_order : of dates in digits; empty where the form leaves no choice.
    zone : of the times.
    order : of its lines in time.
    first, last : the earliest and the latest time as they were read, ISO 8601.
    price_columns : the columns that are prices.
    decimal, thousands : the sign of decimals, and that of thousands; empty where there is none.
    scale : of its numbers.
    missing : words that were taken for "no price here", each with its count.
    passed_over : lines and columns that were not used.
    """

    file: str
    export: str
    encoding: str
    separator: str
    header: str
    time_column: str
    time_form: str
    date_order: str
    zone: str
    order: str
    first: str
    last: str
    price_columns: tuple[str, ...]
    decimal: str
    thousands: str
    scale: str
    missing: tuple[tuple[str, int], ...]
    passed_over: tuple[str, ...]


_MOST_NAMES = 6


def spoken(readings: Iterable[Reading]) -> list[str]:
    """A line for each kind of file, with the files that it is true of."""
    alike: dict[Reading, list[Reading]] = {}
    for reading in readings:
        alike.setdefault(msgspec.structs.replace(reading, file="", first="", last=""), []).append(reading)
    return [f"{_listed(each.file for each in group)}: {_sentence(group)}" for group in alike.values()]


def _sentence(group: list[Reading]) -> str:
    reading = group[0]
    span = f"{min(each.first for each in group)} to {max(each.last for each in group)}"
    order = f" in the order {reading.date_order}" if reading.date_order else ""
    parts = [
        f"{reading.export}, " * bool(reading.export) + f"{reading.encoding}, separated by {reading.separator}",
        reading.header,
        f"time in {reading.time_column!r}: {reading.time_form}{order}; zone: {reading.zone}; {reading.order}, {span}",
        f"prices in {_listed(reading.price_columns)}: decimal sign {reading.decimal!r}, "
        + (f"thousands {reading.thousands!r}" if reading.thousands else "no sign of thousands")
        + f", {reading.scale}",
    ]
    if reading.missing:
        parts.append("taken for no price: " + ", ".join(f"{word!r} {count:,} times" for word, count in reading.missing))
    if reading.passed_over:
        parts.append(f"passed over: {', '.join(reading.passed_over)}")
    return "; ".join(parts)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    if len(every) <= _MOST_NAMES:
        return ", ".join(every)
    return f"{', '.join(every[:_MOST_NAMES])} and {len(every) - _MOST_NAMES} more"
