"""The query of a request to a checked question; or an error with the key, what was expected and what came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from stream.config import LOTS_MAX, Config
from stream.events.decode import QUANTITY_MAX
from stream.web.questions import HypotheticalTrade

Query: TypeAlias = Sequence[tuple[str, str]]

POINTS_MIN, POINTS_MAX, POINTS_DEFAULT = 2, 50, 20


class WrongRequest(Exception):
    """A parameter that cannot be used."""

    status = 400

    def __init__(self, key: str, expected: str, got: str) -> None:
        super().__init__(f"{key} must be {expected}, got {got}")
        self.key, self.expected, self.got = key, expected, got


class UnknownBook(WrongRequest):
    """A book that the configuration does not have."""

    status = 404


class Requests:
    """Reads queries about the books, assets and instruments of `config`."""

    def __init__(self, config: Config) -> None:
        self._books = [book.name for book in config.books]
        self._assets = [*config.universe.assets, config.universe.numeraire]
        self._instruments = [instrument.name for instrument in config.instruments]

    def what_if(self, query: Query) -> tuple[str, HypotheticalTrade]:
        """``book=franc&EUR=5e6&instrument=EURUSD&lots=-3``: units of assets, and lots of instruments, each in pairs.

        Raises
        ------
        WrongRequest : a key or value cannot be used; its subclass UnknownBook for a book that is not configured.
        """
        book = ""
        units: dict[str, float] = {}
        lots: dict[str, int] = {}
        instrument: str | None = None
        for key, value in query:
            if key == "book":
                book = self._book(book, value)
            elif key == "instrument":
                if instrument is not None:
                    raise WrongRequest("lots", f"given after instrument={instrument}", "another instrument")
                if value not in self._instruments:
                    raise WrongRequest(key, f"one of {', '.join(self._instruments)}", repr(value))
                if value in lots:
                    raise WrongRequest(key, "given once", f"{value!r} again")
                instrument = value
            elif key == "lots":
                if instrument is None:
                    raise WrongRequest("instrument", "given before lots", "none")
                lots[instrument], instrument = _whole(key, value, -LOTS_MAX, LOTS_MAX), None
            elif key not in self._assets:
                expected = f"book, instrument, lots, or an asset: {', '.join(self._assets)}"
                raise WrongRequest("parameter", expected, repr(key))
            elif key in units:
                raise WrongRequest(key, "given once", "it again")
            else:
                units[key] = _units(key, value)
        if instrument is not None:
            raise WrongRequest("lots", f"given after instrument={instrument}", "none")
        if not book:
            raise WrongRequest("book", f"one of {', '.join(self._books)}", "none")
        return book, HypotheticalTrade(units, lots)

    def frontier(self, query: Query) -> tuple[str, int]:
        """``book=franc&points=20``. Raises as `what_if`."""
        book, points = "", POINTS_DEFAULT
        for key, value in query:
            if key == "book":
                book = self._book(book, value)
            elif key == "points":
                points = _whole(key, value, POINTS_MIN, POINTS_MAX)
            else:
                raise WrongRequest("parameter", "book or points", repr(key))
        if not book:
            raise WrongRequest("book", f"one of {', '.join(self._books)}", "none")
        return book, points

    def _book(self, before: str, name: str) -> str:
        if before:
            raise WrongRequest("book", "given once", f"{name!r} again")
        if name not in self._books:
            raise UnknownBook("book", f"one of {', '.join(self._books)}", repr(name))
        return name


def _units(key: str, value: str) -> float:
    try:
        units = float(value)
    except ValueError:
        units = math.nan
    if not abs(units) <= QUANTITY_MAX:
        raise WrongRequest(key, f"a number of units within {QUANTITY_MAX:g} either way", repr(value))
    return units


def _whole(key: str, value: str, least: int, most: int) -> int:
    try:
        number = int(value)
    except ValueError:
        number = most + 1
    if not least <= number <= most:
        raise WrongRequest(key, f"a whole number from {least:,} to {most:,}", repr(value))
    return number
