"""What a user says of a file of prices, where the file itself leaves it open. Loads nothing, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

DateOrder: TypeAlias = Literal["dmy", "mdy", "ymd"]
TimeUnit: TypeAlias = Literal["s", "ms", "us", "ns", "excel"]


@dataclass(frozen=True)
class ReadOptions:
    """None leaves it to the file. What the file leaves open is then an error that names the option.

    Attributes
    ----------
    separator : between the cells: a character, or ``tab``.
    decimal : sign of decimals, ``.`` or ``,``.
    thousands : separator of thousands: ``.``, ``,``, ``'`` or ``space``.
    encoding : of the text, as Python names it.
    header : whether line 1 names the columns.
    header_line : the line that names the columns; what stands above it is passed over.
    date_order : of dates in digits whose year does not come first with four of them.
    time_unit : of times that are numbers: counts since 1970, or ``excel`` for day numbers since 1900.
    zone : in which times without a zone are, by its name in the IANA database.
    time_column, price_column : their names in the header; of files without one, their numbers from 1.
    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | None = None
    header_line: int | None = None
    date_order: DateOrder | None = None
    time_unit: TimeUnit | None = None
    zone: str | None = None
    time_column: str | None = None
    price_column: str | None = None


NOTHING_SAID = ReadOptions()
