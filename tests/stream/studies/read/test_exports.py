"""Exports of well-known programs, in the form that they have on disk: read as they are, and said whose they are."""

# ruff: noqa: E501
# A table of one line for each sample.

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from stream.errors import ConfigError, DataUnavailable
from stream.studies.read.options import NOTHING_SAID, ReadOptions
from stream.studies.read.prices import read_prices
from stream.studies.read.reading import spoken

NOW_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9

DUKASCOPY = """\
Gmt time,Open,High,Low,Close,Volume
01.02.2012 00:00:00.000,1.30783,1.30853,1.30763,1.30790,4526.42
01.02.2012 01:00:00.000,1.30791,1.30839,1.30713,1.30752,5012.9
01.02.2012 02:00:00.000,1.30751,1.30774,1.30621,1.30634,4711.03
"""

DUKASCOPY_LOCAL = """\
Local time,Open,High,Low,Close,Volume
01.02.2012 02:00:00.000 GMT+0200,1.30783,1.30853,1.30763,1.30790,4526.42
01.02.2012 03:00:00.000 GMT+0200,1.30791,1.30839,1.30713,1.30752,5012.9
13.02.2012 02:00:00.000 GMT+0200,1.30751,1.30774,1.30621,1.30634,4711.03
"""

YFINANCE_OLD = """\
Date,Open,High,Low,Close,Adj Close,Volume
2012-02-01,1.30783,1.30853,1.30763,1.30790,1.2,0
2012-02-02,1.30791,1.30839,1.30713,1.30752,1.2,0
2012-02-03,1.30751,1.30774,1.30621,1.30634,1.2,0
"""

YFINANCE_THREE_LINES = """\
Price,Close,High,Low,Open,Volume
Ticker,EURUSD=X,EURUSD=X,EURUSD=X,EURUSD=X,EURUSD=X
Date,,,,,
2012-02-01,1.30790,1.30853,1.30763,1.30783,0
2012-02-02,1.30752,1.30839,1.30713,1.30791,0
2012-02-03,1.30634,1.30774,1.30621,1.30751,0
"""

YFINANCE_TWO_LINES = """\
Date,Close,High,Low,Open,Volume
,EURUSD=X,EURUSD=X,EURUSD=X,EURUSD=X,EURUSD=X
2012-02-01,1.30790,1.30853,1.30763,1.30783,0
2012-02-02,1.30752,1.30839,1.30713,1.30791,0
2012-02-03,1.30634,1.30774,1.30621,1.30751,0
"""

YFINANCE_ZONED = """\
Price,Close,High,Low,Open,Volume
Ticker,EURUSD=X,EURUSD=X,EURUSD=X,EURUSD=X,EURUSD=X
Datetime,,,,,
2012-02-01 00:00:00+00:00,1.30790,1.30853,1.30763,1.30783,0
2012-02-01 01:00:00+00:00,1.30752,1.30839,1.30713,1.30791,0
2012-02-01 02:00:00+00:00,1.30634,1.30774,1.30621,1.30751,0
"""

INVESTING = """\
"Date","Price","Open","High","Low","Vol.","Change %"
"02/15/2012","1,306.34","1,307.51","1,307.74","1,306.21","125.12K","-0.09%"
"02/02/2012","1,307.52","1,307.91","1,308.39","1,307.13","98.50K","-0.03%"
"02/01/2012","1,307.90","1,307.83","1,308.53","1,307.63","","0.01%"
"""

INVESTING_NAMES = """\
\N{ZERO WIDTH NO-BREAK SPACE}"Date","Price","Open","High","Low","Change %"
"Feb 03, 2012","1.30634","1.30751","1.30774","1.30621","-0.09%"
"Feb 02, 2012","1.30752","1.30791","1.30839","1.30713","-0.03%"
"Feb 01, 2012","1.30790","1.30783","1.30853","1.30763","0.01%"
"""

BLOOMBERG = """\
Security,EUR Curncy
Start Date,2/1/2012
End Date,2/15/2012
Period,D

Date,PX_LAST
2/1/2012,1.3079
2/2/2012,#N/A N/A
2/14/2012,1.3075
2/15/2012,1.3063
"""

METATRADER_TABS = """\
<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>
2012.02.01\t00:00:00\t83.783\t83.853\t83.763\t83.790\t4526\t0\t12
2012.02.01\t01:00:00\t83.791\t83.839\t83.713\t83.752\t5012\t0\t12
2012.02.01\t02:00:00\t83.751\t83.774\t83.621\t83.634\t4711\t0\t12
"""

METATRADER_PLAIN = """\
2012.02.01,00:00,1.30783,1.30853,1.30763,1.30790,4526
2012.02.01,01:00,1.30791,1.30839,1.30713,1.30752,5012
2012.02.01,02:00,1.30751,1.30774,1.30621,1.30634,4711
"""

METATRADER_DAILY = """\
<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>
2012.02.01\t1.30783\t1.30853\t1.30763\t1.30790\t4526\t0\t12
2012.02.02\t1.30791\t1.30839\t1.30713\t1.30752\t5012\t0\t12
2012.02.03\t1.30751\t1.30774\t1.30621\t1.30634\t4711\t0\t12
"""

HISTDATA = """\
20120201 000000;1.30783;1.30853;1.30763;1.30790;0
20120201 010000;1.30791;1.30839;1.30713;1.30752;0
20120201 020000;1.30751;1.30774;1.30621;1.30634;0
"""

STOOQ = """\
<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>
EURUSD,60,20120201,000000,1.30783,1.30853,1.30763,1.30790,0,0
EURUSD,60,20120201,010000,1.30791,1.30839,1.30713,1.30752,0,0
EURUSD,60,20120201,020000,1.30751,1.30774,1.30621,1.30634,0,0
"""

ALPHA_VANTAGE = """\
timestamp,open,high,low,close
2012-02-03,1.30751,1.30774,1.30621,1.30634
2012-02-02,1.30791,1.30839,1.30713,1.30752
2012-02-01,1.30783,1.30853,1.30763,1.30790
"""

GERMAN_EXCEL = """\
Datum;Schluss
01.02.2012;1.307,90
14.02.2012;1.307,52
15.02.2012;1.306,34
"""

EXCEL_DAYS = """\
Date,Close
40940,1.30790
40941,1.30752
40942,1.30634
"""

EXCEL_HOURS = """\
Date,Close
40940,1.30790
40940.0416666667,1.30752
40940.0833333333,1.30634
"""


def klines(per_second: int) -> str:
    """Binance's klines: no header, twelve columns, times in milliseconds, from 2025 on in microseconds."""
    first = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) if per_second > 1000 else 1_328_054_400
    rows = zip((first, first + 3600, first + 7200), ("1.30790", "1.30752", "1.30634"), strict=True)
    return "".join(
        f"{second * per_second},1.30783,1.30853,1.30763,{close},4526.1,{(second + 3600) * per_second - 1},"
        "5912.3,310,2100.5,2745.1,0\n"
        for second, close in rows
    )


CLOSES = (1.3079, 1.30752, 1.30634)
HOURS = ("2012-02-01T00", "2012-02-01T01", "2012-02-01T02")
DAYS = ("2012-02-01T00", "2012-02-02T00", "2012-02-03T00")


@dataclass(frozen=True)
class Sample:
    """An export of one asset: its text, and the times and prices that stand in it."""

    name: str
    text: str
    times: tuple[str, ...]
    closes: tuple[float, ...]
    says: tuple[str, ...]
    encoding: str = "utf-8"
    options: ReadOptions = NOTHING_SAID


SAMPLES = (
    Sample("Dukascopy", DUKASCOPY, HOURS, CLOSES, ("Dukascopy", "day, month, year (Dukascopy)", "UTC (Dukascopy)")),
    Sample("Dukascopy, local time", DUKASCOPY_LOCAL, (*HOURS[:2], "2012-02-13T00"), CLOSES, ("named in each line",)),
    Sample("yfinance of years ago", YFINANCE_OLD, DAYS, CLOSES, ("prices in Close",)),
    Sample("yfinance, three lines", YFINANCE_THREE_LINES, DAYS, CLOSES, ("yfinance", "header in line 1, 2, 3")),
    Sample("yfinance, two lines", YFINANCE_TWO_LINES, DAYS, CLOSES, ("header in line 1, 2",)),
    Sample("yfinance, hours", YFINANCE_ZONED, HOURS, CLOSES, ("yfinance", "time in 'Datetime'", "named in each line")),
    Sample(
        "Investing.com", INVESTING, ("2012-02-01T00", "2012-02-02T00", "2012-02-15T00"), (1307.90, 1307.52, 1306.34),
        ("Investing.com", "newest first", "month, day, year", "prices in Price", "thousands ','", "column Vol."),
    ),
    Sample("Investing.com, months by name", INVESTING_NAMES, DAYS, CLOSES, ("Investing.com", "newest first", "byte-order mark")),
    Sample(
        "Bloomberg", BLOOMBERG, ("2012-02-01T00", "2012-02-14T00", "2012-02-15T00"), (1.3079, 1.3075, 1.3063),
        ("Bloomberg", "prices in PX_LAST", "header in line 6", "line 1, line 2, line 3, line 4", "'#N/A N/A' 1 times"),
    ),
    Sample("MetaTrader, tabs", METATRADER_TABS, HOURS, (83.790, 83.752, 83.634), ("MetaTrader", "tabs", "prices in <CLOSE>", "'<DATE> and <TIME>'")),
    Sample("MetaTrader, UTF-16", METATRADER_TABS, HOURS, (83.790, 83.752, 83.634), ("UTF-16 with a byte-order mark",), "utf-16"),
    Sample("MetaTrader, no header", METATRADER_PLAIN, HOURS, CLOSES, ("MetaTrader", "no header", "prices in close")),
    Sample("MetaTrader, days", METATRADER_DAILY, DAYS, CLOSES, ("MetaTrader",)),
    Sample("binance", klines(1_000), HOURS, CLOSES, ("binance klines", "no header", "milliseconds since 1970")),
    Sample("binance since 2025", klines(1_000_000), ("2025-01-01T00", "2025-01-01T01", "2025-01-01T02"), CLOSES, ("binance klines", "microseconds since 1970")),
    Sample("HistData", HISTDATA, HOURS, CLOSES, ("NinjaTrader or HistData", "UTC, for none is named")),
    Sample("Stooq", STOOQ, HOURS, CLOSES, ("'<DATE> and <TIME>'", "prices in <CLOSE>")),
    Sample("Alpha Vantage", ALPHA_VANTAGE, DAYS, CLOSES, ("newest first", "prices in close")),
    Sample("German Excel", GERMAN_EXCEL, ("2012-02-01T00", "2012-02-14T00", "2012-02-15T00"), (1307.90, 1307.52, 1306.34), ("decimal sign ','", "thousands '.'", "semicolons")),
    Sample("Excel's days", EXCEL_DAYS, DAYS, CLOSES, ("day numbers of Excel", "none, for they are dates")),
    Sample("Excel's hours", EXCEL_HOURS, HOURS, CLOSES, ("day numbers of Excel", "UTC, for none is named")),
    Sample("a zone that the user names", METATRADER_PLAIN, ("2012-01-31T22", "2012-01-31T23", "2012-02-01T00"), CLOSES, ("Europe/Athens (--zone)",), options=ReadOptions(zone="Europe/Athens")),
)  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_an_export_is_read_and_said(tmp_path: Path, sample: Sample) -> None:
    """Times and closes are those of the file to the digit, and what was taken for what is said.

    A folder needs two assets, so the file is there twice.
    """
    for name in ("EURUSD.csv", "TWIN.csv"):
        (tmp_path / name).write_bytes(sample.text.encode(sample.encoding))
    prices = read_prices(tmp_path, options=sample.options, now_ns=NOW_NS)
    assert prices.times_ns.tolist() == [np.datetime64(time, "ns").astype(np.int64) for time in sample.times]
    assert prices.prices[:, 0].tolist() == prices.prices[:, 1].tolist() == list(sample.closes)
    (said,) = spoken(prices.readings)
    for part in sample.says:
        assert part in said


def test_several_assets_of_yfinance(tmp_path: Path) -> None:
    """A file of fields and tickers: the closes of each ticker; another field by its name."""
    path = tmp_path / "prices.csv"
    path.write_text(
        "Price,Close,Close,Open,Open,Volume,Volume\n"
        "Ticker,EURUSD=X,GBPUSD=X,EURUSD=X,GBPUSD=X,EURUSD=X,GBPUSD=X\n"
        "Date,,,,,,\n"
        "2012-02-01,1.1,1.5,1.2,1.6,0,0\n2012-02-02,1.11,1.51,1.21,1.61,0,0\n2012-02-03,1.12,1.49,1.22,1.59,0,0\n"
    )
    prices = read_prices(path, now_ns=NOW_NS)
    assert prices.names == ("EURUSD=X", "GBPUSD=X")
    assert prices.prices.tolist() == [[1.1, 1.5], [1.11, 1.51], [1.12, 1.49]]
    opens = read_prices(path, options=ReadOptions(price_column="open"), now_ns=NOW_NS)
    assert opens.prices[0].tolist() == [1.2, 1.6]
    assert "EURUSD=X Open" in opens.readings[0].price_columns


def test_several_assets_of_bloomberg(tmp_path: Path) -> None:
    """Names above, fields below: the fields are all one."""
    path = tmp_path / "prices.csv"
    path.write_text(
        ",EUR Curncy,GBP Curncy\nDates,PX_LAST,PX_LAST\n2/1/2012,1.1,1.5\n2/14/2012,1.11,1.51\n2/15/2012,1.12,1.49\n"
    )
    prices = read_prices(path, now_ns=NOW_NS)
    assert prices.names == ("EUR Curncy", "GBP Curncy")
    assert prices.prices[-1].tolist() == [1.12, 1.49]


def test_which_price_is_asked_for_where_none_is_clear(tmp_path: Path) -> None:
    """Bid and ask: the error names the option, and with it the file is read. A name that is not there is refused."""
    for name in ("EUR", "GBP"):
        (tmp_path / f"{name}.csv").write_text("time,bid,ask\n2012-02-01,1,2\n2012-02-02,1.1,2.1\n2012-02-03,1,2.2\n")
    with pytest.raises(DataUnavailable, match="got bid, ask; say which with --price-column"):
        read_prices(tmp_path, now_ns=NOW_NS)
    prices = read_prices(tmp_path, options=ReadOptions(price_column="ask"), now_ns=NOW_NS)
    assert prices.prices[:, 0].tolist() == [2, 2.1, 2.2]
    with pytest.raises(DataUnavailable, match="must have one column 'mid' for --price-column"):
        read_prices(tmp_path, options=ReadOptions(price_column="mid"), now_ns=NOW_NS)


PLAIN = "2012-02-01;1,234;5,678\n2012-02-02;1,235;5,677\n2012-02-03;1,236;5,676\n"


@pytest.mark.parametrize(
    ("text", "options", "first"),
    [
        ("t;A;B\n" + PLAIN, ReadOptions(decimal=","), (1.234, 5.678)),
        ("t;A;B\n" + PLAIN, ReadOptions(decimal="."), (1234.0, 5678.0)),
        ("t;A;B\n" + PLAIN, ReadOptions(thousands=","), (1234.0, 5678.0)),
        ("t;A;B\n" + PLAIN, ReadOptions(decimal=",", separator=";"), (1.234, 5.678)),
        (PLAIN, ReadOptions(decimal=",", header=False), (1.234, 5.678)),
        ("note 1\nt;A;B\n" + PLAIN, ReadOptions(decimal=",", header_line=2), (1.234, 5.678)),
        ("t;A;B\nday;USD;EUR\n" + PLAIN, ReadOptions(decimal=",", header_line=1), (1.234, 5.678)),
    ],
)  # fmt: skip
def test_options_settle_what_a_file_leaves_open(
    tmp_path: Path, text: str, options: ReadOptions, first: tuple[float, float]
) -> None:
    """Each is refused without the option, except where it only confirms."""
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(DataUnavailable, match="--"):
        read_prices(path, now_ns=NOW_NS)
    prices = read_prices(path, options=options, now_ns=NOW_NS)
    assert prices.prices[0].tolist() == list(first)


def test_a_column_of_times_that_is_not_the_first(tmp_path: Path) -> None:
    """Its name settles which it is, though no reader would take it for one."""
    path = tmp_path / "prices.csv"
    path.write_text("A,when,B\n1.5,2012-02-01,2\n1.6,2012-02-02,3\n1.4,2012-02-03,4\n")
    with pytest.raises(DataUnavailable, match="line 2, column A: expected a time or date"):
        read_prices(path, now_ns=NOW_NS)
    prices = read_prices(path, options=ReadOptions(time_column="when"), now_ns=NOW_NS)
    assert prices.names == ("A", "B")
    assert prices.prices[0].tolist() == [1.5, 2.0]


def test_units_and_encodings_by_option(tmp_path: Path) -> None:
    """Seconds before 1973 look like no unit, and Latin-1 like no text; the options say what they are."""
    path = tmp_path / "prices.csv"
    path.write_bytes("t,A,B\xe9\n3600,1,2\n7200,2,3\n10800,1,4\n".encode("latin-1"))
    with pytest.raises(DataUnavailable, match="--encoding"):
        read_prices(path, now_ns=NOW_NS)
    with pytest.raises(DataUnavailable, match="--time-unit"):
        read_prices(path, options=ReadOptions(encoding="latin-1"), now_ns=NOW_NS)
    prices = read_prices(path, options=ReadOptions(encoding="latin-1", time_unit="s"), now_ns=NOW_NS)
    assert prices.times_ns.tolist() == [3_600 * 10**9, 7_200 * 10**9, 10_800 * 10**9]
    assert prices.names == ("A", "B\xe9")
    path.write_text("t,A,B\n1422576000000,1,2\n1422662400000,2,3\n1422748800000,1,4\n")
    with pytest.raises(DataUnavailable, match="line 2, column t: expected a count of seconds since 1970"):
        read_prices(path, options=ReadOptions(time_unit="s"), now_ns=NOW_NS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ReadOptions(separator="abc"), "--separator"),
        (ReadOptions(decimal=";"), "--decimal"),
        (ReadOptions(thousands="x"), "--thousands"),
        (ReadOptions(encoding="klingon"), "--encoding"),
        (ReadOptions(zone="Mars/Olympus"), "--zone"),
        (ReadOptions(header_line=9), "--header-line"),
        (ReadOptions(header=False, header_line=1), "--no-header"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: ReadOptions, said: str) -> None:
    """A usage error that names the option."""
    path = tmp_path / "prices.csv"
    path.write_text("t,A,B\n2012-02-01 00:00,1,2\n2012-02-01 01:00,2,3\n2012-02-01 02:00,1,4\n")
    with pytest.raises(ConfigError, match=said):
        read_prices(path, options=options, now_ns=NOW_NS)


def test_hours_that_a_zone_has_twice_or_never(tmp_path: Path) -> None:
    """The lines of autumn are told apart by their order; an hour that spring leaves out is refused."""
    path, zone = tmp_path / "prices.csv", ReadOptions(zone="Europe/Zurich")
    hours = ("01:00", "02:00", "02:00", "03:00")
    path.write_text("t,A,B\n" + "".join(f"2014-10-26 {hour},{i + 1},{i + 5}\n" for i, hour in enumerate(hours)))
    prices = read_prices(path, options=zone, now_ns=NOW_NS)
    assert np.diff(prices.times_ns).tolist() == [3_600 * 10**9] * 3
    path.write_text(
        "t,A,B\n" + "".join(f"2014-10-26 {hour},{i + 1},{i + 5}\n" for i, hour in enumerate(hours[1:2] + hours[3:]))
    )
    with pytest.raises(DataUnavailable, match="line 2, column t: expected a time that Europe/Zurich has once"):
        read_prices(path, options=zone, now_ns=NOW_NS)
    path.write_text("t,A,B\n2014-03-30 01:00,1,2\n2014-03-30 02:30,2,3\n2014-03-30 03:00,1,4\n")
    with pytest.raises(DataUnavailable, match="line 3, column t"):
        read_prices(path, options=zone, now_ns=NOW_NS)


def test_tickers_that_are_words_of_time_or_of_bars(tmp_path: Path) -> None:
    """T, DAY and LOW are assets in a table of assets; LOW beside HIGH is a bar."""
    path = tmp_path / "prices.csv"
    rows = "2012-02-01,1.5,2,3,9\n2012-02-02,1.6,3,4,8\n2012-02-03,1.4,4,3,7\n"
    path.write_text("t,T,DAY,LOW,VOL\n" + rows)
    assert read_prices(path, now_ns=NOW_NS).names == ("T", "DAY", "LOW", "VOL")
    path.write_text(",T,DAY,LOW,VOL\n" + rows)
    assert read_prices(path, now_ns=NOW_NS).names == ("T", "DAY", "LOW", "VOL")
    path.write_text("t,T,DAY,LOW,High\n" + rows)
    with pytest.raises(DataUnavailable, match="looks like the bars of one asset"):
        read_prices(path, now_ns=NOW_NS)


def test_an_offset_of_hours_alone(tmp_path: Path) -> None:
    """As PostgreSQL writes it."""
    path = tmp_path / "prices.csv"
    path.write_text("t,A,B\n" + "".join(f"2012-02-01 0{hour}:00:00+01,{hour},{hour * hour}\n" for hour in range(1, 5)))
    prices = read_prices(path, now_ns=NOW_NS)
    assert prices.times_ns[0] == np.datetime64("2012-02-01T00", "ns").astype(np.int64)
