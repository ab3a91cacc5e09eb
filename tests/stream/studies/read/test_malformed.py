"""A good file with one thing changed: it is read to the right prices and the change is said, or it is refused.

The third way is a finding, with which `betapack validate` ends with exit code 1. What must not be is a file that is read
to other prices or times, and passes.
"""

# ruff: noqa: E501
# A table of one line for each change, which is read line by line.

from __future__ import annotations

import codecs
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from stream.errors import DataUnavailable
from stream.studies.read.prices import read_prices
from stream.studies.read.reading import spoken

ROWS = 60
HEADER = "Date,EUR,GBP,CHF"
NOW_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9
HOUR_NS = 3_600 * 10**9

Lines = list[str]
Change = Callable[[Lines], str | bytes]


def moments() -> list[datetime]:
    """Sixty days on which exchanges are open."""
    days = [datetime(2015, 1, 5) + timedelta(days=day) for day in range(2 * ROWS)]  # noqa: DTZ001
    return [day for day in days if day.weekday() < 5][:ROWS]


def walks() -> np.ndarray:
    """(60, 3) prices near 1.17, 1.55 and 1.02, with five decimals, none of which ends with a zero."""
    chance = np.random.default_rng(14)
    logs = np.cumsum(chance.normal(0.0, 0.005, (ROWS, 3)), axis=0) + np.log([1.17, 1.55, 1.02])
    return np.array([[float(f"{price:.4f}7") for price in row] for row in np.exp(logs)])


DAYS, WALKS = moments(), walks()
TIMES_NS = np.array([int(day.replace(tzinfo=UTC).timestamp()) * 10**9 for day in DAYS])


def cells(row: int) -> list[str]:
    return [f"{price:.5f}" for price in WALKS[row]]


def good() -> Lines:
    """Line 1 is the header; row r stands in line r + 2."""
    return [HEADER, *(",".join([f"{day:%Y-%m-%d}", *cells(row)]) for row, day in enumerate(DAYS))]


def text(lines: Lines) -> str:
    return "\n".join(lines) + "\n"


def line(number: int, *pairs: tuple[str, str]) -> Change:
    """Replace in one line, counted from 1."""

    def change(lines: Lines) -> str:
        for old, new in pairs:
            assert old in lines[number - 1], (old, lines[number - 1])
            lines[number - 1] = lines[number - 1].replace(old, new, 1)
        return text(lines)

    return change


def cell(number: int, column: int, new: Callable[[str], str] | str) -> Change:
    """Replace one cell; column 0 is the time."""

    def change(lines: Lines) -> str:
        parts = lines[number - 1].split(",")
        parts[column] = new(parts[column]) if callable(new) else new
        lines[number - 1] = ",".join(parts)
        return text(lines)

    return change


def column(index: int, new: Callable[[str], str], first: int = 2, last: int = ROWS + 1) -> Change:
    """Replace the cells of one column from line `first` to line `last`."""

    def change(lines: Lines) -> str:
        for number in range(first, last + 1):
            cell(number, index, new)(lines)
        return text(lines)

    return change


def whole(new: Callable[[str], str | bytes]) -> Change:
    """Change the text as a whole."""
    return lambda lines: new(text(lines))


def timed(form: str | Callable[[int], str], start: int = 0) -> Change:
    """Write the times of the rows from `start` on in another form."""

    def change(lines: Lines) -> str:
        for row in range(start, ROWS):
            time = form(row) if callable(form) else f"{DAYS[row]:{form}}"
            lines[row + 1] = ",".join([time, *cells(row)])
        return text(lines)

    return change


def put(number: int, *new: str) -> Change:
    """Put lines before the one with this number."""
    return lambda lines: text([*lines[: number - 1], *new, *lines[number - 1 :]])


def without(number: int) -> Change:
    return lambda lines: text([*lines[: number - 1], *lines[number:]])


def rebuilt(row_of: Callable[[int], str], header: str = HEADER) -> Change:
    return lambda lines: text([header, *map(row_of, range(ROWS))])


def second(row: int, factor: int) -> str:
    """The row's time as a count since 1970."""
    return f"{TIMES_NS[row] // 10**9 * factor}"


def excel(row: int) -> str:
    return f"{TIMES_NS[row] // (24 * HOUR_NS) + 25_569}"


def swapped(row: int) -> str:
    return f"{DAYS[row]:%d/%m/%Y}" if row < 30 else f"{DAYS[row]:%m/%d/%Y}"


def comma_rows(form: str, separator: str) -> Change:
    """The whole file with another separator and decimal commas."""
    return rebuilt(
        lambda row: separator.join([f"{DAYS[row]:{form}}", *(each.replace(".", ",") for each in cells(row))]),
        HEADER.replace(",", separator),
    )


def big(row: int, thousands: str, point: str, separator: str) -> str:
    """A row whose first price is in the thousands: that of the file times a thousand."""
    first, *others = cells(row)
    figure = f"{1_000 * float(first):,.2f}".replace(",", "T").replace(".", point).replace("T", thousands)
    return separator.join([f"{DAYS[row]:%Y-%m-%d}", figure, *(each.replace(".", point) for each in others)])


@dataclass(frozen=True)
class Malformed:
    """One change of the good file.

    `verdict` is what becomes of it, `says` a part of what is then said, and `kept` the rows that are left.
    """

    name: str
    change: Change
    verdict: Literal["read", "refused", "finding"]
    says: str
    kept: range | tuple[int, ...] = range(ROWS)
    packed: bool = False


ALL_BUT_30 = tuple(row for row in range(ROWS) if row != 28)
"""Without line 30."""

MALFORMED = (
    # The header.
    Malformed("no header", without(1), "refused", "line 1 looks like data"),
    Malformed("header twice in a row", put(2, HEADER), "refused", "--header-line"),
    Malformed("header again in the middle", put(31, HEADER), "refused", "line 31"),
    Malformed("a name twice", line(1, ("GBP", "EUR")), "refused", "line 1, column 3"),
    Malformed("a name is blank", line(1, ("GBP", "")), "refused", "line 1, column 3"),
    Malformed("a name too few", line(1, (",CHF", "")), "refused", "line 2: expected 3 cells"),
    Malformed("a name too many", line(1, ("CHF", "CHF,JPY")), "refused", "line 2: expected 5 cells"),
    Malformed("a title above", put(1, "My prices"), "read", "passed over: line 1"),
    Malformed("a title and a blank line above", put(1, "My prices", ""), "read", "passed over: line 1"),
    Malformed("a line of units below", put(2, ",USD,USD,USD"), "refused", "lines 1 and 2"),
    Malformed("a line of different units below", put(2, "day,USD,pence,CHF"), "refused", "lines 1 and 2"),
    Malformed("two-line header", lambda lines: text(["Price,Close,Close,Close", "Ticker,EUR,GBP,CHF", "Date,,,", *lines[1:]]), "read", "yfinance"),
    Malformed("names of numbers", line(1, ("EUR,GBP,CHF", "7203,6758,9984")), "read", "header in line 1"),
    Malformed("bars of one asset", line(1, ("EUR,GBP,CHF", "high,low,close")), "refused", "folder"),
    Malformed("spaces around names", line(1, ("EUR,GBP", " EUR , GBP ")), "read", "header in line 1"),
    Malformed("quoted names", line(1, ("EUR", '"EUR"')), "read", "header in line 1"),
    # The lines.
    Malformed("last line cut in a price", lambda lines: text(lines)[:-5], "refused", "cut off"),
    Malformed("last line cut after a date", lambda lines: text(lines)[: -len(",".join(cells(59))) - 2], "refused", f"line {ROWS + 1}"),
    Malformed("last line cut in a date", lambda lines: text(lines)[: -len(",".join(cells(59))) - 6], "refused", f"line {ROWS + 1}"),
    Malformed("last line cut after a comma", lambda lines: text(lines)[:-8], "read", "no price", range(ROWS - 1)),
    Malformed("last line not ended", lambda lines: text(lines)[:-1], "read", "oldest first"),
    Malformed("two lines run together", lambda lines: text([*lines[:29], lines[29] + lines[30], *lines[31:]]), "refused", "line 30"),
    Malformed("a cell too few", line(30, (cells(28)[1] + ",", "")), "refused", "line 30: expected 4 cells"),
    Malformed("a cell too many", line(30, (cells(28)[1], cells(28)[1] + ",1.5")), "refused", "line 30: expected 4 cells"),
    Malformed("commas at the end of every line", whole(lambda good: good.replace("\n", ",\n")), "read", "1 columns without a cell"),
    Malformed("commas at the end of lines of data", lambda lines: text([lines[0], *(each + "," for each in lines[1:])]), "read", "oldest first"),
    Malformed("a blank column in the middle", whole(lambda good: "".join(each.replace(",", ",,", 1) + "\n" for each in good.split("\n")[:-1])), "read", "1 columns without a cell"),
    Malformed("blank lines", put(31, "", ""), "read", "blank lines: 2"),
    Malformed("lines of commas", put(31, ",,,"), "read", "blank lines: 1"),
    Malformed("a footer", put(ROWS + 2, "Source: somebody"), "refused", f"line {ROWS + 2}"),
    Malformed("a footer as wide as the data", put(ROWS + 2, "Source: somebody,,,"), "refused", f"line {ROWS + 2}"),
    Malformed("a line of totals", put(ROWS + 2, "Total,70.1,93.2,61.0"), "refused", f"line {ROWS + 2}"),
    Malformed("a line of means without a name", put(ROWS + 2, ",1.17,1.55,1.02"), "refused", f"line {ROWS + 2}"),
    Malformed("a comment", put(31, "# a holiday"), "refused", "line 31"),
    Malformed("a block repeated in its place", lambda lines: text([*lines[:31], *lines[21:]]), "finding", "out of order"),
    Malformed("a line repeated", lambda lines: text([*lines[:31], *lines[30:]]), "read", "a later line has too: the last counts: 1"),
    Malformed("a time twice with other prices", put(31, f"{DAYS[28]:%Y-%m-%d},1.2,1.5,1.1"), "finding", "more than one price"),
    Malformed("a block at another place", lambda lines: text([*lines[:11], *lines[41:51], *lines[11:41], *lines[51:]]), "finding", "out of order"),
    Malformed("a block backwards", lambda lines: text([*lines[:21], *lines[21:41][::-1], *lines[41:]]), "finding", "out of order"),
    Malformed("newest first", lambda lines: text([lines[0], *lines[1:][::-1]]), "read", "newest first"),
    Malformed("two files one after the other", lambda lines: text(lines + lines), "refused", f"line {ROWS + 2}"),
    Malformed("a quotation mark too many", line(30, (",", ',"')), "refused", "line 30"),
    Malformed("two quotation marks lines apart", lambda lines: line(40, (",", ',"'))(good()) and text([*lines[:29], lines[29].replace(",", ',"', 1), *lines[30:39], lines[39] + '"', *lines[40:]]), "refused", "line 30"),
    Malformed("all cells quoted", whole(lambda good: "\n".join(",".join(f'"{each}"' for each in row.split(",")) for row in good.split("\n")[:-1]) + "\n"), "read", "commas"),
    Malformed("text after a quoted cell", line(30, (cells(28)[0], f'"{cells(28)[0]}"x')), "refused", "line 30"),
    Malformed("another separator in one line", line(30, (",", ";"), (",", ";"), (",", ";")), "refused", "line 30"),
    Malformed("semicolons", whole(lambda good: good.replace(",", ";")), "read", "semicolons"),
    Malformed("tabs", whole(lambda good: good.replace(",", "\t")), "read", "tabs"),
    Malformed("bars", whole(lambda good: good.replace(",", "|")), "read", "bars"),
    Malformed("colons", whole(lambda good: good.replace(",", ":")), "refused", "--separator"),
    Malformed("Windows line ends", whole(lambda good: good.replace("\n", "\r\n")), "read", "oldest first"),
    Malformed("line ends of old Macs", whole(lambda good: good.replace("\n", "\r")), "read", "oldest first"),
    Malformed("row numbers before the time", lambda lines: text(["," + lines[0], *(f"{row},{each}" for row, each in enumerate(lines[1:]))]), "read", "passed over: column 1, which numbers the rows"),
    Malformed("a column of text", lambda lines: text([lines[0] + ",Note", *(each + ",ok" for each in lines[1:])]), "refused", "column Note"),
    Malformed("a column of volumes", lambda lines: text([lines[0] + ",Volume", *(each + ",1200" for each in lines[1:])]), "read", "passed over: column Volume"),
    Malformed("a long table", rebuilt(lambda row: f"{DAYS[row]:%Y-%m-%d},EUR,{cells(row)[0]},1", "Date,Symbol,Price,Lots"), "refused", "line 2, column Symbol"),
    # The bytes.
    Malformed("UTF-8 with a mark", whole(lambda good: codecs.BOM_UTF8 + good.encode()), "read", "UTF-8 with a byte-order mark"),
    Malformed("UTF-16", whole(lambda good: good.encode("utf-16")), "read", "UTF-16 with a byte-order mark"),
    Malformed("UTF-16 big-endian with a mark", whole(lambda good: codecs.BOM_UTF16_BE + good.encode("utf-16-be")), "read", "UTF-16 with a byte-order mark"),
    Malformed("UTF-16 without a mark", whole(lambda good: good.encode("utf-16-le")), "refused", "--encoding"),
    Malformed("UTF-32", whole(lambda good: good.encode("utf-32")), "read", "UTF-32 with a byte-order mark"),
    Malformed("UTF-16 cut within a letter", whole(lambda good: good.encode("utf-16")[:-1]), "refused", "UTF-16"),
    Malformed("a letter of Latin-1", whole(lambda good: good.replace("CHF", "CH\xe9").encode("latin-1")), "refused", "--encoding"),
    Malformed("a NUL", line(30, (",", "\0,")), "refused", "line 30"),
    Malformed("NULs at the end", whole(lambda good: good.encode() + bytes(512)), "refused", "NUL"),
    Malformed("packed and cut", whole(lambda good: gzip.compress(good.encode())[:-20]), "refused", "torn", packed=True),
    Malformed("packed under a plain name", whole(lambda good: gzip.compress(good.encode())), "read", "oldest first"),
    Malformed("plain under a packed name", whole(lambda good: good.encode()), "read", "oldest first", packed=True),
    Malformed("a workbook", lambda lines: b"PK\x03\x04" + bytes(100), "refused", "workbook"),
    Malformed("a web page", lambda lines: "<!DOCTYPE html><p>404</p>\n", "refused", "web page"),
    Malformed("an empty file", lambda lines: "", "refused", "empty"),
    Malformed("a mark in the middle", lambda lines: text([*lines[:30], "\N{ZERO WIDTH NO-BREAK SPACE}" + lines[30], *lines[31:]]), "refused", "line 31"),
    # The times.
    Malformed("day, month, year", timed("%d/%m/%Y"), "read", "day, month, year"),
    Malformed("month, day, year", timed("%m/%d/%Y"), "read", "month, day, year"),
    Malformed("day and month in dots", timed("%d.%m.%Y"), "read", "day, month, year"),
    Malformed("day and month in dashes", timed("%d-%m-%Y"), "read", "day, month, year"),
    Malformed("no day above the twelfth", lambda lines: text([lines[0], *(f"{month:02d}/0{1 + month % 3}/2015,{','.join(cells(month))}" for month in range(1, 13))]), "refused", "--date-order"),
    Malformed("day and month exchanged from a line on", timed(swapped), "refused", "line "),
    Malformed("day and month exchanged in one line", cell(6, 0, "2015-09-01"), "finding", "out of order"),
    Malformed("years of two digits", timed("%d/%m/%y"), "refused", "--date-order"),
    Malformed("years of two digits in one line", lambda lines: cell(30, 0, f"{DAYS[28]:%d/%m/%y}")(timed("%d/%m/%Y")(lines).split("\n")[:-1]), "refused", "line 30"),
    Malformed("months by name", timed("%d-%b-%Y"), "read", "months by name"),
    Malformed("months by name first", timed(lambda row: f'"{DAYS[row]:%b %d, %Y}"'), "read", "months by name"),
    Malformed("a month in Polish", cell(30, 0, "13-lut-2015"), "refused", "line 30"),
    Malformed("without separators", timed("%Y%m%d"), "read", "without separators"),
    Malformed("another form in one line", cell(30, 0, f"{DAYS[28]:%d.%m.%Y}"), "refused", "line 30"),
    Malformed("another form from a line on", timed("%d.%m.%Y", 30), "refused", "line 32"),
    Malformed("31 February", cell(42, 0, "2015-02-31"), "refused", "line 42"),
    Malformed("29 February of no leap year", cell(42, 0, "2015-02-29"), "refused", "line 42"),
    Malformed("month 13", cell(30, 0, "2015-13-02"), "refused", "line 30"),
    Malformed("year 20155", cell(30, 0, "20155-02-12"), "refused", "line 30"),
    Malformed("year 215", cell(30, 0, "215-02-12"), "refused", "line 30"),
    Malformed("year 0215", cell(30, 0, "0215-02-12"), "refused", "line 30"),
    Malformed("year 2051", cell(30, 0, "2051-02-12"), "finding", "after tomorrow"),
    Malformed("year 1915", timed(lambda row: f"19{DAYS[row]:%y-%m-%d}"), "finding", "before 1970"),
    Malformed("a date of the future at the end", cell(ROWS + 1, 0, "2027-03-27"), "finding", "after tomorrow"),
    Malformed("a blank date", cell(30, 0, ""), "refused", "line 30"),
    Malformed("a word for a date", cell(30, 0, "soon"), "refused", "line 30"),
    Malformed("a number for a date", cell(30, 0, "42047"), "refused", "line 30"),
    Malformed("full-width digits in a date", cell(30, 0, "２０１５-02-12"), "refused", "line 30"),
    Malformed("a dash that is none", cell(30, 0, f"{DAYS[28]:%Y\N{EN DASH}%m\N{EN DASH}%d}"), "refused", "line 30"),
    Malformed("Excel's day numbers", timed(excel), "read", "day numbers of Excel"),
    Malformed("Excel's day numbers from a line on", timed(excel, 30), "refused", "line 32"),
    Malformed("a day number too large", lambda lines: cell(30, 0, "420470")(timed(excel)(lines).split("\n")[:-1]), "refused", "line 30"),
    Malformed("seconds", timed(lambda row: second(row, 1)), "read", "seconds since 1970"),
    Malformed("milliseconds", timed(lambda row: second(row, 10**3)), "read", "milliseconds since 1970"),
    Malformed("microseconds", timed(lambda row: second(row, 10**6)), "read", "microseconds since 1970"),
    Malformed("nanoseconds", timed(lambda row: second(row, 10**9)), "read", "nanoseconds since 1970"),
    Malformed("seconds, then milliseconds", timed(lambda row: second(row, 1 if row < 30 else 10**3)), "refused", "line 32"),
    Malformed("milliseconds, then microseconds", timed(lambda row: second(row, 10**3 if row < 30 else 10**6)), "refused", "line 32"),
    Malformed("one line in nanoseconds", timed(lambda row: second(row, 10**9 if row == 28 else 10**3)), "refused", "line 30"),
    Malformed("a digit of a count missing", timed(lambda row: second(row, 10**3)[: 12 if row == 28 else 13]), "finding", "out of order"),
    Malformed("two digits of a count missing", timed(lambda row: second(row, 10**3)[: 11 if row == 28 else 13]), "refused", "line 30"),
    Malformed("file times of Windows", timed(lambda row: f"{int(second(row, 10**7)) + 116_444_736 * 10**9}"), "refused", "--time-unit"),
    Malformed("ticks of .NET", timed(lambda row: f"{int(second(row, 10**7)) + 621_355_968 * 10**9}"), "refused", "--time-unit"),
    Malformed("counts in scientific notation", timed(lambda row: f"{float(second(row, 10**3)):.5E}"), "refused", "line 2"),
    Malformed("negative counts", timed(lambda row: "-" + second(row, 1)), "refused", "line 2"),
    Malformed("24:00:00", timed(lambda row: f"{DAYS[row]:%Y-%m-%d} {'24' if row == 28 else '10'}:00:00"), "refused", "line 30"),
    Malformed("second 60", timed(lambda row: f"{DAYS[row]:%Y-%m-%d} 00:00:{'60' if row == 28 else '00'}"), "refused", "line 30"),
    Malformed("a comma before fractions of seconds", timed(lambda row: f'"{DAYS[row]:%Y-%m-%d} 00:00:00,000"'), "read", "and time"),
    Malformed("AM in all lines", timed(lambda row: f"{DAYS[row]:%m/%d/%Y} 12:00:00 AM"), "read", "AM and PM"),
    Malformed("AM in one line", timed(lambda row: f"{DAYS[row]:%m/%d/%Y} 10:00:00{' AM' if row == 28 else ''}"), "refused", "line 30"),
    Malformed("13 o'clock with PM", timed(lambda row: f"{DAYS[row]:%m/%d/%Y} {13 if row == 28 else 10}:00:00 PM"), "refused", "line 30"),
    Malformed("zone Z", timed(lambda row: f"{DAYS[row]:%Y-%m-%dT00:00:00}Z"), "read", "named in each line"),
    Malformed("zone in one line only", timed(lambda row: f"{DAYS[row]:%Y-%m-%dT00:00:00}{'Z' if row == 28 else ''}"), "refused", "line 30"),
    Malformed("no zone in one line", timed(lambda row: f"{DAYS[row]:%Y-%m-%dT00:00:00}{'' if row == 28 else 'Z'}"), "refused", "line 30"),
    Malformed("midnights of Zurich", timed(lambda row: f"{DAYS[row]:%Y-%m-%dT00:00:00}+01:00"), "read", "taken as dates"),
    Malformed("a zone by a name that many have", timed(lambda row: f"{DAYS[row]:%Y-%m-%d 00:00:00} EST"), "refused", "line 2"),
    Malformed("zone +25:00", timed(lambda row: f"{DAYS[row]:%Y-%m-%dT00:00:00}+25:00"), "refused", "line 2"),
    Malformed("a time of day in some lines", timed(lambda row: f"{DAYS[row]:%Y-%m-%d}{' 00:00' if row % 2 else ''}"), "read", "without a time taken as midnight"),
    Malformed("months without days", timed("%Y-%m"), "refused", "line 2"),
    Malformed("quarters", timed(lambda row: f"{DAYS[row]:%Y}:Q1"), "refused", "line 2"),
    # The prices.
    Malformed("a unit switch to pence and back", column(2, lambda price: f"{float(price) / 100:.7f}", 20, 40), "finding", "change of unit by 100"),
    Malformed("a unit switch that stays", column(2, lambda price: f"{float(price) * 100:.3f}", 20), "finding", "change of unit by 100"),
    Malformed("thousandths", column(1, lambda price: f"{float(price) * 1000:.2f}", 30), "finding", "change of unit by 1,000"),
    Malformed("one price in pence", cell(30, 2, lambda price: f"{float(price) * 100:.3f}"), "finding", "in this row alone"),
    Malformed("a decimal sign slipped", cell(30, 1, lambda price: f"{float(price) * 10:.4f}"), "finding", "in this row alone"),
    Malformed("a decimal sign lost", cell(30, 1, lambda price: price.replace(".", "")), "finding", "in this row alone"),
    Malformed("a split by two", column(3, lambda price: f"{float(price) / 2:.5f}", 30), "finding", "split by 2"),
    Malformed("a split by three", column(3, lambda price: f"{float(price) / 3:.5f}", 30), "finding", "split by 3"),
    Malformed("a merger of ten shares", column(3, lambda price: f"{float(price) * 10:.5f}", 30), "finding", "split by 10"),
    Malformed("a digit lost in the last line", cell(ROWS + 1, 3, lambda price: price.replace(".0", ".", 1).replace("1.", "0.", 1)), "finding", "the last price of CHF"),
    Malformed("two digits exchanged in the first line", cell(2, 1, "1.71417"), "finding", "the first price of EUR"),
    Malformed("the pair the other way round", column(2, lambda price: f"{1 / float(price):.5f}", 30), "finding", "times the price before"),
    Malformed("two digits exchanged", cell(30, 1, lambda price: price.replace("1.", "7.", 1)), "finding", "in this row alone"),
    Malformed("two columns exchanged in a line", line(30, (",".join(cells(28)[:2]), ",".join(cells(28)[1::-1]))), "finding", "in this row alone"),
    Malformed("two columns exchanged from a line on", lambda lines: text([*lines[:29], *(",".join(np.array(each.split(","))[[0, 2, 1, 3]]) for each in lines[29:])]), "finding", "have each other's price"),
    Malformed("a decimal comma in one line", cell(30, 1, lambda price: f'"{price.replace(".", ",")}"'), "refused", "line 30, column EUR"),
    Malformed("decimal commas and semicolons", comma_rows("%Y-%m-%d", ";"), "read", "decimal sign ','"),
    Malformed("decimal commas in quoted cells", rebuilt(lambda row: ",".join([f"{DAYS[row]:%Y-%m-%d}", *(f'"{each.replace(".", ",")}"' for each in cells(row))])), "read", "decimal sign ','"),
    Malformed("decimal commas not quoted", comma_rows("%Y-%m-%d", ","), "refused", "line 2: expected 4 cells"),
    Malformed("a decimal point among commas", lambda lines: line(30, (",", "."))(comma_rows("%Y-%m-%d", ";")(lines).split("\n")[:-1]), "refused", "line 30"),
    Malformed("three decimals after commas", rebuilt(lambda row: f'{DAYS[row]:%Y-%m-%d};{cells(row)[0][:5]};{cells(row)[1][:5]};{cells(row)[2][:5]}'.replace(".", ","), HEADER.replace(",", ";")), "refused", "--decimal"),
    Malformed("three decimals after points beside semicolons", rebuilt(lambda row: f'{DAYS[row]:%Y-%m-%d};{cells(row)[0][:5]};{cells(row)[1][:5]};{cells(row)[2][:5]}', HEADER.replace(",", ";")), "refused", "--decimal"),
    Malformed("a thousand with a comma in one line", cell(30, 1, lambda price: '"1,170.07"'), "finding", "in this row alone"),
    Malformed("a sign of thousands at the wrong place", cell(30, 1, '"1,17.07"'), "refused", "line 30, column EUR"),
    Malformed("a percent sign", cell(30, 1, lambda price: price + "%"), "refused", "line 30, column EUR"),
    Malformed("a currency sign", cell(30, 1, lambda price: "$" + price), "refused", "line 30, column EUR"),
    Malformed("a currency behind", cell(30, 1, lambda price: price + " USD"), "refused", "line 30, column EUR"),
    Malformed("currency signs in a column", column(1, lambda price: "$" + price), "refused", "line 2, column EUR"),
    Malformed("a negative price", cell(30, 1, lambda price: "-" + price), "read", "not > 0: taken as missing: 1", ALL_BUT_30),
    Malformed("a price of zero", cell(30, 1, "0"), "read", "not > 0: taken as missing: 1", ALL_BUT_30),
    Malformed("negative prices", column(1, lambda price: "-" + price), "refused", "line 2, column EUR"),
    Malformed("a price in parentheses", cell(30, 1, lambda price: f"({price})"), "refused", "line 30, column EUR"),
    Malformed("a minus of Unicode", cell(30, 1, lambda price: "\N{MINUS SIGN}" + price), "refused", "line 30, column EUR"),
    Malformed("a plus", cell(30, 1, lambda price: "+" + price), "read", "oldest first"),
    Malformed("spaces around prices", cell(30, 1, lambda price: f"  {price} "), "read", "oldest first"),
    Malformed("non-breaking spaces around a price", cell(30, 1, lambda price: f"\N{NO-BREAK SPACE}{price}\N{NO-BREAK SPACE}"), "read", "oldest first"),
    Malformed("a space within a price", cell(30, 1, lambda price: price.replace(".", ". ")), "refused", "line 30, column EUR"),
    Malformed("full-width digits", cell(30, 1, "１．１７"), "refused", "line 30, column EUR"),
    Malformed("Arabic digits", cell(30, 1, "١.١٧"), "refused", "line 30, column EUR"),
    Malformed("a letter O for a zero", cell(30, 1, "1.O7"), "refused", "line 30, column EUR"),
    Malformed("infinity", cell(30, 1, "inf"), "refused", "line 30, column EUR"),
    Malformed("Infinity", cell(30, 1, "Infinity"), "refused", "line 30, column EUR"),
    Malformed("a number beyond floats", cell(30, 1, "1e400"), "refused", "line 30, column EUR"),
    Malformed("hexadecimal", cell(30, 1, "0x1F"), "refused", "line 30, column EUR"),
    Malformed("digits in groups as Python's", cell(30, 1, "1_170.5"), "refused", "line 30, column EUR"),
    Malformed("true", cell(30, 1, "TRUE"), "refused", "line 30, column EUR"),
    Malformed("a formula", cell(30, 1, "=B29"), "refused", "line 30, column EUR"),
    Malformed("an error of Excel", cell(30, 1, "#REF!"), "refused", "line 30, column EUR"),
    Malformed("a fraction", cell(30, 1, "1 11/64"), "refused", "line 30, column EUR"),
    Malformed("two points", cell(30, 1, "1.17.07"), "refused", "line 30, column EUR"),
    Malformed("a point and nothing after it", cell(30, 1, "1."), "refused", "line 30, column EUR"),
    Malformed("a date where a price should be", cell(30, 1, "2015-02-12"), "refused", "line 30, column EUR"),
    Malformed("scientific notation", cell(30, 1, lambda price: f"{float(price):.9E}"), "read", "oldest first"),
    Malformed("an empty price", cell(30, 1, ""), "read", "'empty' 1 times", ALL_BUT_30),
    Malformed("N/A", cell(30, 1, "N/A"), "read", "'N/A' 1 times", ALL_BUT_30),
    Malformed("#N/A N/A of Bloomberg", cell(30, 1, "#N/A N/A"), "read", "'#N/A N/A' 1 times", ALL_BUT_30),
    Malformed("null", cell(30, 1, "null"), "read", "'null' 1 times", ALL_BUT_30),
    Malformed("a point for no price", cell(30, 1, "."), "read", "'.' 1 times", ALL_BUT_30),
    Malformed("a word that is not known", cell(30, 1, "holiday"), "refused", "line 30, column EUR"),
    Malformed("returns in place of prices", column(1, lambda price: f"{float(price) - 1.17:.5f}"), "refused", "of returns or positions"),
    Malformed("a column without a price", column(2, lambda price: ""), "read", "asset GBP, with no price: 1"),
    Malformed("a price that stands still", column(2, lambda price: "1.5"), "read", "asset GBP, with one price only"),
)  # fmt: skip


def test_a_hundred_changes_and_more() -> None:
    """Each has a name of its own, and the file that they change is good: read to the digit, with nothing to say."""
    assert len({each.name for each in MALFORMED}) == len(MALFORMED) >= 100


def written(folder: Path, content: str | bytes, packed: bool) -> Path:
    path = folder / ("prices.csv.gz" if packed else "prices.csv")
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_the_good_file(tmp_path: Path) -> None:
    """It is read to the digit, and there is nothing to say but what it was taken for."""
    prices = read_prices(written(tmp_path, text(good()), False), now_ns=NOW_NS)
    np.testing.assert_array_equal(prices.prices, WALKS)
    np.testing.assert_array_equal(prices.times_ns, TIMES_NS)
    assert (prices.findings, prices.left_out) == ((), ())


@pytest.mark.parametrize("malformed", MALFORMED, ids=lambda malformed: malformed.name)
def test_never_read_wrongly(tmp_path: Path, malformed: Malformed) -> None:
    """Right prices and times with the change said, an error that says where or which option, or a finding."""
    path = written(tmp_path, malformed.change(good()), malformed.packed)
    assert path.read_bytes() != text(good()).encode() or malformed.packed
    if malformed.verdict == "refused":
        with pytest.raises(DataUnavailable) as refused:
            read_prices(path, now_ns=NOW_NS)
        assert malformed.says in str(refused.value)
        assert str(path) in str(refused.value)
        return
    prices = read_prices(path, now_ns=NOW_NS)
    found = [finding.text for finding in prices.findings]
    left_out = [f"{entry.what}: {entry.count}" for entry in prices.left_out]
    said = "\n".join([*spoken(prices.readings), *left_out, *found])
    assert malformed.verdict == ("finding" if found else "read"), said
    assert malformed.says in said
    if not found:
        kept = list(malformed.kept)
        np.testing.assert_array_equal(prices.times_ns, TIMES_NS[kept])
        # Assets that a change leaves without a price are not there; the others are, in their order.
        names = ("EUR", "GBP", "CHF") if "GBP" in prices.names or len(prices.names) == 3 else ("EUR", "CHF")
        columns = [("EUR", "GBP", "CHF").index(name) for name in names]
        np.testing.assert_array_equal(prices.prices, WALKS[np.ix_(kept, columns)])


@pytest.mark.slow
def test_random_damage_ends_in_typed_errors(tmp_path: Path) -> None:
    """Bytes put in, taken out, replaced and repeated at random: never anything but an answer or a refusal with a path.

    A price that is off by more than a third, or a time that is none of the file's, never comes without a finding.
    """
    chance = np.random.default_rng(7)
    signs = b"0123456789.,;:-+/ \t\n\r\"'%$eETZx\x00\xff"
    for _ in range(300):
        damaged = bytearray(text(good()).encode())
        begin, length = int(chance.integers(len(damaged))), int(chance.integers(1, 60))
        new = [b"", bytes([chance.choice(list(signs))]), bytes(damaged[begin : begin + length]) * 2][chance.integers(3)]
        damaged[begin : begin + (length if len(new) != 1 else int(chance.integers(2)))] = new
        path = written(tmp_path, bytes(damaged), False)
        try:
            prices = read_prices(path, now_ns=NOW_NS)
        except DataUnavailable:
            continue
        if prices.findings or prices.names != ("EUR", "GBP", "CHF"):
            continue
        rows = np.searchsorted(TIMES_NS, prices.times_ns)
        assert np.abs(np.log(prices.prices / WALKS[np.minimum(rows, ROWS - 1)])).max() < 0.3, bytes(damaged)


@pytest.mark.parametrize(
    ("thousands", "point", "separator"),
    [("'", ".", ";"), (",", ".", ";"), (".", ",", ";"), (" ", ",", ";"), ("\N{NO-BREAK SPACE}", ",", ";"),
     ("\N{NARROW NO-BREAK SPACE}", ".", "\t"), ("\N{RIGHT SINGLE QUOTATION MARK}", ".", ",")],
)  # fmt: skip
def test_signs_of_thousands(tmp_path: Path, thousands: str, point: str, separator: str) -> None:
    """1'170.07, 1,170.07, 1.170,07, 1 170,07: the number is the same, and the signs are said."""
    lines = [HEADER.replace(",", separator), *(big(row, thousands, point, separator) for row in range(ROWS))]
    prices = read_prices(written(tmp_path, text(lines), False), now_ns=NOW_NS)
    np.testing.assert_array_equal(prices.prices[:, 0], [float(f"{1000 * price:.2f}") for price in WALKS[:, 0]])
    np.testing.assert_array_equal(prices.prices[:, 1:], WALKS[:, 1:])
    assert prices.findings == ()
    (reading,) = prices.readings
    assert reading.decimal == point
    assert reading.thousands
