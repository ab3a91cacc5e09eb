"""Cells to times: which form they have in common, in which order its parts stand, in which unit and zone.

A form is taken only if every cell has it. Dates are read by pandas with one exact format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from solver.arrays import IntArray
from stream.config import NANOSECONDS
from stream.errors import ConfigError, DataUnavailable
from stream.studies.read.exports import Export
from stream.studies.read.options import ReadOptions

DAY_NS = 86_400 * NANOSECONDS

# A time that is a number counts from 1970, and its size says in which unit: of each, the years 1973 to 2100.
_UNITS = (
    ("s", "seconds", NANOSECONDS),
    ("ms", "milliseconds", 1_000_000),
    ("us", "microseconds", 1_000),
    ("ns", "nanoseconds", 1),
)
_LEAST_S, _MOST_S = 100_000_000, 4_102_444_800
_EXCEL_LEAST, _EXCEL_MOST = 25_569, 60_000

# The years 1990 to 2050.
_TENTHS_OF_MICROSECONDS = (
    (122_700_000_000_000_000, 141_700_000_000_000_000, "a file time of Windows"),
    (627_600_000_000_000_000, 646_700_000_000_000_000, "ticks of .NET"),
)

_CLOCK = r"(?:[T ,]+ ?((?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?)( ?[AaPp][Mm])?)?"
_ZONE = r"(?: ?(Z|UTC|GMT|(?:GMT|UTC)?[+-](?:0\d|1[0-4])(?::?[0-5]\d)?))?"
_DATES = (
    ("ymd", r"(\d{4}([-/.])\d{1,2}\2\d{1,2})"),
    ("digits", r"(\d{1,2}([-/.])\d{1,2}\2(?:\d{4}|\d{2}))"),
    ("words", r"(\d{1,2}([- /])[A-Za-z]{3,9}\2(?:\d{4}|\d{2})|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})"),
    ("compact", r"(\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])())"),
)  # fmt: skip
_ISO_DATE = r"\d{4}-\d\d-\d\d"
_ISO_CLOCK = r"[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?"
_COMPACT_CLOCK = re.compile(r"(\d{8})[ T]?(\d\d)(\d\d)(\d\d)?", re.ASCII)
_ORDER_FORMATS = {"dmy": "%d-%m-%Y", "mdy": "%m-%d-%Y", "ymd": "%Y-%m-%d"}
_ORDER_NAMES = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}
_WORD_FORMATS = ("%d-%b-%Y", "%d-%B-%Y", "%b-%d-%Y", "%B-%d-%Y", "%d-%b-%y", "%d-%B-%y")


@dataclass(frozen=True, eq=False)
class Times:
    """The times of a file, and what they were taken for.

    Attributes
    ----------
    ns : (lines,) nanoseconds since 1970, UTC.
    form : of the cells, in words.
    date_order : in words; empty where the form leaves no choice.
    zone : in which the cells are, in words.
    dates_only : no cell has a time of day.
    named_zone : cells name their zone, or count from a moment in UTC.
    midnights : (lines,) dates in ns, where every cell is a midnight on the clock of its own zone; None otherwise.
    """

    ns: IntArray
    form: str
    date_order: str
    zone: str
    dates_only: bool
    named_zone: bool
    midnights: IntArray | None


@dataclass(frozen=True)
class _Cells:
    """The column of times, and where an error in it is."""

    path: Path
    name: str
    text: list[str]
    lines: Sequence[int]

    def refusal(self, index: int, why: str) -> DataUnavailable:
        return DataUnavailable(
            f"{self.path}, line {self.lines[index]}, column {self.name}: {why}, got {self.text[index]!r}"
        )


def read_times(
    path: Path, name: str, column: Sequence[str], lines: Sequence[int], options: ReadOptions, export: Export | None
) -> Times:
    """The times of a column.

    Parameters
    ----------
    path, name, lines : the file, the column's name and the numbers of its lines, for messages.
    column : cells.
    options : what the user says of the file.
    export : whose export it is, where that was recognised.

    Raises
    ------
    DataUnavailable : a cell is not a time in the form of the others, or there is more than one way to read them; the
        message names the option that settles it.
    ConfigError : a zone that nobody knows.
    """
    if options.zone is not None:
        zone_named(options.zone)
    cells = _Cells(path, name, list(map(str.strip, column)), lines)
    if re.fullmatch(r"(?>\d+(?:\.\d+)?\n)++", "\n".join(cells.text) + "\n", re.ASCII):
        numbers = _numeric(cells, options)
        if numbers is not None:
            return numbers
    return _textual(cells, options, export)


def shown(time_ns: int | np.integer) -> str:
    """A time as ISO 8601 to the second, or its date at midnight."""
    return str(np.datetime64(int(time_ns), "ns").astype("datetime64[s]")).removesuffix("T00:00:00").replace("T", " ")


def _numeric(cells: _Cells, options: ReadOptions) -> Times | None:
    """Counts since 1970 or day numbers; None where the digits are those of a date."""
    whole = [text.partition(".")[0] for text in cells.text]
    if options.time_unit is None and _all(r"(?:19|20|21)\d{6}(?:[0-2]\d[0-5]\d(?:[0-5]\d)?)?", cells.text):
        return None
    too_long = next((index for index, text in enumerate(whole) if len(text) > 19), None)
    if too_long is not None:
        raise cells.refusal(too_long, "expected a time")
    values = np.array([int(text) for text in whole], dtype=np.uint64)
    if options.time_unit is None:
        units = _units(values)
        unknown = np.flatnonzero(units < 0)
        other = np.flatnonzero(units != units[0])
        if len(unknown) == len(units):
            raise cells.refusal(
                0, "expected a time or date: this is no count since 1970 in s, ms, us or ns and no day number; "
                "say which with --time-unit",
            )  # fmt: skip
        if len(unknown):
            raise cells.refusal(int(unknown[0]), "expected a time or date as the other lines have")
        if len(other):
            first, second = (_UNIT_NAMES[int(units[index])] for index in (0, other[0]))
            raise cells.refusal(
                int(other[0]), f"two units of time in one file: {second} here, {first} in the lines before"
            )
        unit = int(units[0])
        if _UNIT_NAMES[unit] == "nanoseconds":
            _check_not_of_windows(cells, values)
    else:
        unit = [key for key, _, _ in _UNITS].index(options.time_unit) if options.time_unit != "excel" else len(_UNITS)
    said = " (--time-unit)" if options.time_unit else ""
    if unit == len(_UNITS):
        return _excel(cells, options, said)
    _, words, unit_ns = _UNITS[unit]
    wrong = np.flatnonzero(values > np.uint64(_MOST_S * (NANOSECONDS // unit_ns)))
    if len(wrong):
        raise cells.refusal(int(wrong[0]), f"expected a count of {words} since 1970 that lies before the year 2100")
    ns = values.astype(np.int64) * unit_ns
    digits = len(str(unit_ns)) - 1
    if any("." in text for text in cells.text):
        fractions = [text.partition(".")[2][:digits].ljust(digits, "0") or "0" for text in cells.text]
        ns = ns + np.array([int(fraction) for fraction in fractions], dtype=np.int64)
    return Times(ns, f"{words} since 1970{said}", "", "UTC", False, True, None)


_UNIT_NAMES = (*(words for _, words, _ in _UNITS), "day numbers of Excel")


def _check_not_of_windows(cells: _Cells, values: np.ndarray) -> None:
    """Tenths of microseconds since 1601 or since the year 1 would be nanoseconds of 1974 or of 1990."""
    for least, most, what in _TENTHS_OF_MICROSECONDS:
        if ((values >= least) & (values <= most)).all():
            raise cells.refusal(
                0, f"this may count nanoseconds since 1970 or be {what}; if it is the former, say --time-unit ns"
            )


def _units(values: np.ndarray) -> np.ndarray:
    """The index of each number's unit; -1 where it fits none."""
    found = np.full(len(values), -1)
    for index, (_, _, unit_ns) in enumerate(_UNITS):
        per_second = NANOSECONDS // unit_ns
        fits = (values >= np.uint64(_LEAST_S * per_second)) & (values <= np.uint64(_MOST_S * per_second))
        found[fits] = index
    found[(values >= _EXCEL_LEAST) & (values <= _EXCEL_MOST)] = len(_UNITS)
    return found


def _excel(cells: _Cells, options: ReadOptions, said: str) -> Times:
    days = np.array([float(text) for text in cells.text])
    wrong = np.flatnonzero((days < 1) | (days > 2_958_465))
    if len(wrong):
        raise cells.refusal(int(wrong[0]), "expected a day number of Excel")
    # A day number has eleven digits at most: to the millisecond it is exact.
    ns = np.rint((days - _EXCEL_LEAST) * 86_400_000).astype(np.int64) * 1_000_000
    dates_only = bool((ns % DAY_NS == 0).all())
    local = Times(ns, f"day numbers of Excel since 1900{said}", "", "", dates_only, False, ns if dates_only else None)
    return _in_zone(cells, local, options, None)


def _textual(cells: _Cells, options: ReadOptions, export: Export | None) -> Times:
    plain = _plain(cells)
    if plain is not None:
        return _in_zone(cells, plain, options, export)
    kind, groups = _common_form(cells)
    with_dashes = {date: re.sub(r"[-/. ,]+", "-", date) for date in {group[0] for group in groups}}
    dates = [with_dashes[group[0]] for group in groups]
    date_of, form, order = _parsed_dates(cells, kind, dates, options, export)
    ns = np.array([date_of[date] for date in dates], dtype=np.int64)
    clocks = [group[2] for group in groups]
    halves = [group[3] for group in groups]
    with_clock = np.array([bool(clock) for clock in clocks])
    dates_only = not with_clock.any()
    if not dates_only:
        _check_alike(cells, [bool(half) for half, clock in zip(halves, clocks, strict=True) if clock], with_clock)
        ns = ns + _clock_ns(cells, clocks, halves)
        form += ", with AM and PM" if any(halves) else " and time"
        if not with_clock.all():
            form += f", {int((~with_clock).sum()):,} without a time taken as midnight"
    offsets = [group[4] for group in groups]
    with_zone = np.array([bool(offset) for offset in offsets])
    if with_zone.any() and not with_zone.all():
        other = int(np.flatnonzero(with_zone != with_zone[0])[0])
        raise cells.refusal(other, f"{'no zone' if with_zone[0] else 'a zone'} here, other than in the lines before")
    if with_zone.any():
        midnights = ns if (ns % DAY_NS == 0).all() else None
        offset_ns = {offset: _offset_ns(offset) for offset in set(offsets)}
        utc = ns - np.array([offset_ns[offset] for offset in offsets], dtype=np.int64)
        return Times(utc, form, order, "named in each line", False, True, midnights)
    return _in_zone(cells, Times(ns, form, order, "", dates_only, False, ns if dates_only else None), options, export)


def _plain(cells: _Cells) -> Times | None:
    """Years, months and days in this order, all with a time of day or none, without zones: the most common form."""
    for form, words in ((_ISO_DATE, ""), (_ISO_DATE + _ISO_CLOCK, " and time")):
        if _all(form, cells.text):
            parsed = pd.Series(pd.to_datetime(pd.Series(cells.text, dtype=str), format="ISO8601", errors="coerce"))
            _refuse_unread(cells, cells.text, cells.text, parsed)
            ns = np.asarray(parsed.astype("datetime64[ns]").astype("int64"))
            return Times(ns, f"year-month-day{words}", "", "", not words, False, None if words else ns)
    return None


def _all(pattern: str, texts: Sequence[str]) -> bool:
    return re.fullmatch(f"(?>{pattern}\n)*+", "\n".join(texts) + "\n", re.ASCII) is not None


def _common_form(cells: _Cells) -> tuple[str, list[tuple[str, ...]]]:
    """Which kind of date all cells have; of each its date, separator, clock, half of the day and zone."""
    texts = cells.text
    if _all(_COMPACT_CLOCK.pattern, texts):
        # 20150115 0930 and 20150115093000
        texts = [_COMPACT_CLOCK.sub(lambda m: f"{m[1]} {m[2]}:{m[3]}" + (f":{m[4]}" if m[4] else ""), t) for t in texts]
    fits: dict[str, tuple[int, bool]] = {}
    for kind, date in _DATES:
        match: Callable[[str], re.Match[str] | None] = re.compile(date + _CLOCK + _ZONE, re.ASCII).fullmatch
        matched = [match(text) for text in texts]
        if all(matched):
            return kind, [each.groups("") for each in matched if each is not None]
        fits[kind] = sum(each is not None for each in matched), matched[0] is not None
    kind = max(fits, key=lambda each: fits[each])
    if not any(fits[kind]):
        raise cells.refusal(
            0,
            "expected a time or date, such as 2015-01-30, 30.01.2015 17:00, 30-Jan-2015, 20150130 or a count since "
            "1970 (--time-column names another column of times)",
        )
    pattern = re.compile(dict(_DATES)[kind] + _CLOCK + _ZONE, re.ASCII)
    wrong = next(index for index, text in enumerate(texts) if not pattern.fullmatch(text))
    raise cells.refusal(wrong, "expected a time or date as the other lines have")


def _parsed_dates(
    cells: _Cells, kind: str, dates: list[str], options: ReadOptions, export: Export | None
) -> tuple[dict[str, int], str, str]:
    """Nanoseconds of each date; the form and the order of its parts in words."""
    unique = list(dict.fromkeys(dates))
    if kind == "digits":
        return _ordered_dates(cells, dates, unique, options, export)
    formats = {"ymd": ("%Y-%m-%d",), "compact": ("%Y%m%d",), "words": _WORD_FORMATS}[kind]
    parsed = [_by_format(unique, form) for form in formats]
    best = min(parsed, key=lambda each: int(each.isna().sum()))
    _refuse_unread(cells, dates, unique, best)
    words = {"ymd": "year-month-day", "compact": "year, month, day without separators", "words": "months by name"}[kind]
    return _as_dict(unique, best), words, ""


def _ordered_dates(
    cells: _Cells, dates: list[str], unique: list[str], options: ReadOptions, export: Export | None
) -> tuple[dict[str, int], str, str]:
    """Of 03/04/2015, where day and month may be either way round; with two digits the year may come first."""
    short = [len(date.rsplit("-", 1)[1]) == 2 for date in dates]
    if any(short) and not all(short):
        raise cells.refusal(short.index(not short[0]), "years with two and with four digits")
    orders = ("dmy", "mdy", "ymd") if short[0] else ("dmy", "mdy")
    parsed = {
        order: _by_format(unique, _ORDER_FORMATS[order].replace("%Y", "%y" if short[0] else "%Y")) for order in orders
    }
    said = options.date_order or (export.date_order if export else None)
    if said is not None and said not in parsed:
        raise cells.refusal(0, f"--date-order {said} is of dates that begin with the year")
    fitting = [order for order in orders if not parsed[order].isna().any()] if said is None else [said]
    if len(fitting) > 1:
        readings = " or ".join(f"{parsed[order].iloc[0]:%Y-%m-%d} ({order})" for order in fitting)
        raise DataUnavailable(
            f"{cells.path}, line {cells.lines[0]}, column {cells.name}: {cells.text[0]!r} may be {readings}, and no "
            f"line of the file tells; say which with --date-order {'|'.join(fitting)}"
        )
    order = fitting[0] if fitting else min(orders, key=lambda each: int(parsed[each].isna().sum()))
    _refuse_unread(cells, dates, unique, parsed[order], f" in the order {_ORDER_NAMES[order]}")
    by = " (--date-order)" if options.date_order else f" ({export.name})" if said and export else ""
    return _as_dict(unique, parsed[order]), "digits", f"{_ORDER_NAMES[order]}{by}"


def _by_format(texts: list[str], form: str) -> pd.Series[pd.Timestamp]:
    return pd.Series(pd.to_datetime(pd.Series(texts, dtype=str), format=form, errors="coerce"))


def _as_dict(texts: list[str], parsed: pd.Series[pd.Timestamp]) -> dict[str, int]:
    return dict(zip(texts, parsed.astype("datetime64[ns]").astype("int64").tolist(), strict=True))


def _refuse_unread(
    cells: _Cells, dates: list[str], unique: list[str], parsed: pd.Series[pd.Timestamp], how: str = ""
) -> None:
    unread = parsed.isna().to_numpy()
    if unread.any():
        wrong = {date for date, bad in zip(unique, unread, strict=True) if bad}
        index = next(index for index, date in enumerate(dates) if date in wrong)
        raise cells.refusal(index, f"expected a time or date as the other lines have{how}, and one of the calendar")
    outside = (parsed < pd.Timestamp("1700-01-01")) | (parsed > pd.Timestamp("2250-01-01"))
    if outside.any():
        index = dates.index(unique[int(np.flatnonzero(outside.to_numpy())[0])])
        raise cells.refusal(index, "expected a date between the years 1700 and 2250")


def _check_alike(cells: _Cells, flags: list[bool], of: np.ndarray) -> None:
    if any(flags) and not all(flags):
        raise cells.refusal(
            int(np.flatnonzero(of)[flags.index(not flags[0])]), "AM or PM in some lines and not in others"
        )


def _clock_ns(cells: _Cells, clocks: list[str], halves: list[str]) -> IntArray:
    found = np.zeros(len(clocks), dtype=np.int64)
    known: dict[str, int] = {"": 0}
    for index, (clock, half) in enumerate(zip(clocks, halves, strict=True)):
        key = clock + half
        if key not in known:
            hours, minutes, *rest = clock.replace(",", ".").split(":")
            seconds, _, fraction = (rest[0] if rest else "0").partition(".")
            hour = int(hours)
            if half:
                if not 1 <= hour <= 12:
                    raise cells.refusal(index, "expected an hour from 1 to 12 with AM or PM")
                hour = hour % 12 + (12 if half.strip().lower() == "pm" else 0)
            known[key] = (hour * 3600 + int(minutes) * 60 + int(seconds)) * NANOSECONDS + int(fraction.ljust(9, "0"))
        found[index] = known[key]
    return found


def _offset_ns(offset: str) -> int:
    signed = re.sub(r"^(GMT|UTC)", "", offset).replace(":", "")
    if signed in ("", "Z"):
        return 0
    sign = -1 if signed[0] == "-" else 1
    return sign * (int(signed[1:3]) * 3600 + int(signed[3:5] or 0) * 60) * NANOSECONDS


def zone_named(name: str) -> ZoneInfo:
    """The zone of that name. Raises ConfigError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ConfigError(f"--zone must be a zone of the IANA database, as Europe/Zurich or UTC, got {name!r}") from exc


def _in_zone(cells: _Cells, local: Times, options: ReadOptions, export: Export | None) -> Times:
    """Times without a zone, taken to be in that of the options, of the export, or in UTC."""
    if local.dates_only:
        return replace(local, zone="none, for they are dates")
    if export is not None and export.zone is not None:
        name, words = export.zone, f"{export.zone} ({export.name})"
    elif options.zone is not None:
        name, words = options.zone, f"{options.zone} (--zone)"
    else:
        return replace(local, zone="UTC, for none is named (--zone)")
    midnights = local.ns if (local.ns % DAY_NS == 0).all() else None
    if name == "UTC":
        return replace(local, zone=words, named_zone=True)
    return replace(local, ns=_localized(cells, local.ns, name), zone=words, named_zone=True, midnights=midnights)


def _localized(cells: _Cells, local_ns: IntArray, zone: str) -> IntArray:
    backwards = len(local_ns) > 1 and local_ns[0] > local_ns[-1]
    ordered = pd.DatetimeIndex(local_ns[::-1] if backwards else local_ns)
    try:
        found = ordered.tz_localize(zone_named(zone), ambiguous="infer", nonexistent="NaT")
    except ValueError:
        # The hour that comes twice in autumn cannot be told from the order of the lines.
        found = ordered.tz_localize(zone_named(zone), ambiguous="NaT", nonexistent="NaT")
    lost = np.asarray(found.isna())
    utc = np.asarray(found.tz_convert("UTC").tz_localize(None).astype("datetime64[ns]").astype("int64"))
    if backwards:
        lost, utc = lost[::-1], utc[::-1]
    if lost.any():
        raise cells.refusal(
            int(np.flatnonzero(lost)[0]),
            f"expected a time that {zone} has once: its clocks are put forward or back in that hour; export it in UTC",
        )
    return utc
