"""Exports of well-known programs: how each is recognised, and what it settles that its cells leave open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stream.studies.read.options import DateOrder

#: Names of a column of times wherever it stands, as `plain_name` gives them.
TIME_NAMES = frozenset(
    {
        "time", "date", "dates", "datetime", "date time", "timestamp", "gmt time", "local time", "open time",
        "close time", "event time", "event time ms", "trading day", "utc time", "time (utc)", "observation date",
        "datum",
    }
)  # fmt: skip

#: Names of a first column of times. Elsewhere they may be names of assets.
FIRST_TIME_NAMES = TIME_NAMES | {"t", "ts", "day", "month", "unix", "epoch"}

#: Names of the price of a file of one asset, after ``close``.
PRICE_NAMES = frozenset({"price", "px last", "last", "last price", "mid", "value", "rate", "settle", "closing price"})

#: The other columns of bars: their presence says that a file holds one asset.
BAR_NAMES = frozenset({"open", "high", "low", "px open", "px high", "px low"})

#: Columns of numbers that are no prices of an asset.
NOT_PRICES = frozenset(
    {
        "volume", "vol", "vol.", "px volume", "tick volume", "tickvol", "real volume", "change", "change %", "chg %",
        "spread", "open interest", "openint", "count", "trades", "number of trades", "quote volume",
        "quote asset volume", "taker buy base asset volume", "taker buy quote asset volume", "taker buy volume",
        "taker buy quote volume", "ignore", "dividends", "stock splits", "capital gains", "per", "ticker", "symbol",
    }
)  # fmt: skip

#: Of these, what stands beside the prices of several assets in one file. The others may be names of assets.
NOT_ASSETS = frozenset(
    {"volume", "vol.", "px volume", "tick volume", "tickvol", "real volume", "change %", "chg %", "open interest"}
)

CLOSE = "close"

#: What a line of fields may say, above or below a line of assets.
FIELD_NAMES = PRICE_NAMES | BAR_NAMES | NOT_PRICES | {CLOSE, "adj close"}


@dataclass(frozen=True)
class Export:
    """What is known of a program's exports. `columns` are those of one without a header; () where it has one."""

    name: str
    columns: tuple[str, ...] = ()
    date_order: DateOrder | None = None
    decimal: str | None = None
    zone: str | None = None


_DUKASCOPY = Export("Dukascopy", date_order="dmy", decimal=".", zone="UTC")
_INVESTING = Export("Investing.com", decimal=".")
_YFINANCE = Export("yfinance", decimal=".")
_BINANCE = Export("binance klines", decimal=".")
_METATRADER = Export("MetaTrader", decimal=".")
_BLOOMBERG = Export("Bloomberg")

_BINANCE_COLUMNS = (
    "open time", "open", "high", "low", "close", "volume", "close time", "quote asset volume", "number of trades",
    "taker buy base asset volume", "taker buy quote asset volume", "ignore",
)  # fmt: skip
_BARS = ("open", "high", "low", "close", "volume")

# What the first cells of a line without a header look like, how many cells it has, and whose it is.
_WITHOUT_HEADER = (
    (r"\d{4}\.\d\d\.\d\d\n\d\d:\d\d(:\d\d)?\n", (6, 7), Export("MetaTrader", ("date", "time", *_BARS), decimal=".")),
    (r"\d{13}(\d{3})?\n([\d.]+\n){5}\d{13}(\d{3})?\n", (12,), Export("binance klines", _BINANCE_COLUMNS, decimal=".")),
    # Its users differ in the zone, so that none is known.
    (r"\d{8} \d{6}\n", (6,), Export("NinjaTrader or HistData", ("time", *_BARS), decimal=".")),
)


def plain_name(name: str) -> str:
    """A column's name without case, brackets, underscores and the number that some servers put before it."""
    plain = re.sub(r"^\d+\. ", "", name.strip().lower().strip("<>"))
    return re.sub(r"[\s_]+", " ", plain).strip()


def export_by_header(names: Sequence[str], first_head_cell: str) -> Export | None:
    """The export that has these column names. `first_head_cell` begins the first of several header lines."""
    plain = {plain_name(name) for name in names}
    if "gmt time" in plain:
        return _DUKASCOPY
    if {"date", "price", "open", "high", "low", "change %"} <= plain:
        return _INVESTING
    if first_head_cell in ("Price", "Ticker") and plain_name(names[0]) in FIRST_TIME_NAMES:
        return _YFINANCE
    if {"open time", "close time", "open", "high", "low", "close"} <= plain:
        return _BINANCE
    if names[0].strip().upper() in ("<DATE>", "<TICKER>"):
        return _METATRADER
    if any(name.strip().upper().startswith("PX_") for name in names):
        return _BLOOMBERG
    return None


def export_by_cells(cells: Sequence[str]) -> Export | None:
    """The export whose lines look like `cells` and that has no header."""
    start = "".join(f"{cell.strip()}\n" for cell in cells)
    for pattern, widths, export in _WITHOUT_HEADER:
        if len(cells) in widths and re.match(pattern, start):
            return export
    return None
