"""Price files as they come: every trap is survived, every drop counted, every error says where."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from stream.errors import DataUnavailable
from stream.studies.read.currencies import currency_prices
from stream.studies.read.options import ReadOptions
from stream.studies.read.prices import Prices, read_prices
from stream.studies.read.quotes import read_quotes

HOUR_NS = 3_600_000_000_000


def written(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def left_out(prices: Prices) -> dict[str, int]:
    return {entry.what: entry.count for entry in prices.left_out}


def test_a_plain_file(tmp_path: Path) -> None:
    """Names, times, prices, timestep and hash are those of the file; a weekend is a gap, and nothing is left out."""
    text = "day,A,B\n2015-01-01,1,10\n2015-01-02,2,20\n2015-01-05,3,30\n2015-01-06,4,40\n"
    path = written(tmp_path, text)
    prices = read_prices(path)
    assert prices.names == ("A", "B")
    assert prices.times_ns[0] == np.datetime64("2015-01-01", "ns").astype(np.int64)
    assert prices.timestep_ns == 24 * HOUR_NS
    np.testing.assert_array_equal(prices.timesteps, [0, 1, 4, 5])
    np.testing.assert_array_equal(prices.prices, [[1, 10], [2, 20], [3, 30], [4, 40]])
    assert prices.gaps == 1
    assert prices.left_out == ()
    assert prices.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_packed_is_the_same(tmp_path: Path) -> None:
    """A gzipped file gives the same prices."""
    text = "day,A,B\n2015-01-01,1,10\n2015-01-02,2,20\n2015-01-05,3,31\n"
    packed = tmp_path / "prices.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    np.testing.assert_array_equal(read_prices(packed).prices, read_prices(written(tmp_path, text)).prices)


def test_every_trap_at_once(tmp_path: Path) -> None:
    """Disorder, a repeated time, a blank line, a missing, a zero and a negative price, an asset that stands still."""
    path = written(
        tmp_path,
        "time,A,B,still\n"
        "2015-01-02 00:00,2,20,7\n"
        "2015-01-01 00:00,1,10,7\n"
        "\n"
        "2015-01-03 00:00,3,30,7\n"
        "2015-01-03 00:00,3.5,35,7\n"
        "2015-01-04 00:00,,40,7\n"
        "2015-01-05 00:00,0,50,7\n"
        "2015-01-06 00:00,6,-60,7\n"
        "2015-01-07 00:00,7,nan,7\n"
        "2015-01-08 00:00,8,80,7\n",
    )
    prices = read_prices(path)
    assert prices.names == ("A", "B")
    np.testing.assert_array_equal(prices.prices, [[1, 10], [2, 20], [3.5, 35], [8, 80]])
    np.testing.assert_array_equal(prices.timesteps, [0, 1, 2, 7])
    assert left_out(prices) == {
        "blank lines": 1,
        "lines out of order in time: sorted, none lost": 1,
        "lines whose time a later line has too: the last counts": 1,
        "prices of A that are not > 0: taken as missing": 1,
        "prices of B that are not > 0: taken as missing": 1,
        "asset still, with one price only, which has no risk to forecast": 1,
        "times at which an asset has no price (most often A, 2 times)": 4,
    }


def test_a_folder_of_bars(tmp_path: Path) -> None:
    """Of bars the close is taken, the file's name is the asset's, and only common times stay."""
    written(tmp_path, "time,open,high,low,close\n2015-01-01 00:00:00,9,9,9,1\n2015-01-01 01:00:00,9,9,9,2\n"
                      "2015-01-01 02:00:00,9,9,9,3\n2015-01-01 04:00:00,9,9,9,5\n", "EURUSD.csv")  # fmt: skip
    written(tmp_path, "time,price\n2015-01-01 00:00:00,10\n2015-01-01 01:00:00,20\n2015-01-01 02:00:00,30\n"
                      "2015-01-01 03:00:00,40\n2015-01-01 04:00:00,50\n", "GBPUSD.csv")  # fmt: skip
    written(tmp_path, "not a price file", "README.md")
    prices = read_prices(tmp_path)
    assert prices.names == ("EURUSD", "GBPUSD")
    np.testing.assert_array_equal(prices.prices, [[1, 10], [2, 20], [3, 30], [5, 50]])
    assert prices.timestep_ns == HOUR_NS
    assert left_out(prices) == {
        "entries of the folder that are no CSV files, passed over: README.md": 1,
        "times at which an asset has no price (most often EURUSD, 1 times)": 1,
    }


@pytest.mark.parametrize(
    "times",
    [
        ("2015-01-30", "2015-01-31", "2015-02-01", "2015-02-02"),
        ("2015-01-30T00:00:00Z", "2015-01-31T00:00:00Z", "2015-02-01T00:00:00Z", "2015-02-02T00:00:00Z"),
        ("2015-01-30T02:00:00+02:00", "2015-01-31T02:00:00+02:00", "2015-02-01T01:00:00+01:00", "2015-02-02T00:00:00Z"),
        ("1/30/2015", "1/31/2015", "2/1/2015", "2/2/2015"),
        ("30/1/2015", "31/1/2015", "1/2/2015", "2/2/2015"),
        ("30.01.2015", "31.01.2015", "01.02.2015", "02.02.2015"),
        ("20150130", "20150131", "20150201", "20150202"),
        ("1422576000", "1422662400", "1422748800", "1422835200"),
        ("1422576000000", "1422662400000", "1422748800000", "1422835200000"),
        ("1422576000000000000", "1422662400000000000", "1422748800000000000", "1422835200000000000"),
    ],
)
def test_times_in_every_common_form(tmp_path: Path, times: tuple[str, ...]) -> None:
    """ISO with and without a zone, month first, day first, compact, and seconds to nanoseconds since 1970."""
    lines = "".join(f"{time},{i + 1},{2 * i + 3}\n" for i, time in enumerate(times))
    prices = read_prices(written(tmp_path, f"t,A,B\n{lines}"))
    days = prices.times_ns.astype("datetime64[ns]").astype("datetime64[D]").astype(str).tolist()
    assert days == ["2015-01-30", "2015-01-31", "2015-02-01", "2015-02-02"]


def test_ambiguous_days_are_refused(tmp_path: Path) -> None:
    """3/1/2015 is in January or in March. The order of the lines is no proof; the option is, and is said."""
    lines = "".join(
        f"{day},{i + 1},{i + 5}\n" for i, day in enumerate(("3/1/2015", "4/1/2015", "5/1/2015", "2/2/2015"))
    )
    path = written(tmp_path, f"t,A,B\n{lines}")
    with pytest.raises(DataUnavailable, match=r"2015-01-03 \(dmy\) or 2015-03-01 \(mdy\).*--date-order dmy\|mdy"):
        read_prices(path)
    prices = read_prices(path, options=ReadOptions(date_order="dmy"))
    assert prices.times_ns[0] == np.datetime64("2015-01-03", "ns").astype(np.int64)
    assert prices.readings[0].date_order == "day, month, year (--date-order)"


def test_months_keep_their_rows(tmp_path: Path) -> None:
    """Rows of unequal distance, as month ends, have a timestep each."""
    lines = "".join(f"2015-{m:02d}-28,{m},{m * m}\n" for m in range(1, 13))
    prices = read_prices(written(tmp_path, f"t,A,B\n{lines}"))
    np.testing.assert_array_equal(prices.timesteps, range(12))
    assert prices.gaps == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,A,B\n2015-01-01,1,2\n2015-01-02,abc,3\n", "line 3, column A: expected a price or an empty cell"),
        ("t,A,B\n2015-01-01,1,2\nsoon,1,3\n2015-01-03,1,2\n", "line 3, column t: expected a time or date"),
        ("t,A,A\n2015-01-01,1,2\n", "line 1, column 3: expected a name of its own, got 'A'"),
        ("t,A,\n2015-01-01,1,2\n", "line 1, column 3: expected a name of its own, got ''"),
        ("t,A,B\n2015-01-01,1,2,3\n", "line 2: expected 3 cells between commas as in the header, got 4"),
        ("", "is empty: it must have a header"),
        ("t,A,B\n", "got 1 lines of 3 columns"),
        ("t\n2015-01-01\n", "got 1 lines of 1 columns"),
        ("t,A\n2015-01-01,1\n2015-01-02,2\n2015-01-03,3\n", "at least two assets whose prices move, got 1"),
        ("t,A,B\n2015-01-01,1,\n2015-01-02,2,3\n2015-01-03,,4\n2015-01-04,4,\n", "every asset has a price, got 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    """The error names the file, and line, column, expected and got where there is one."""
    path = written(tmp_path, text)
    with pytest.raises(DataUnavailable) as raised:
        read_prices(path)
    assert said in str(raised.value)
    assert str(path) in str(raised.value)


def test_what_is_not_there_or_not_data(tmp_path: Path) -> None:
    """A missing path, another ending, an empty folder, a torn archive, and a folder whose file has no one price."""
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"t,A,B\n" * 1000)[:20])
    empty, quotes = tmp_path / "empty", tmp_path / "quotes"
    empty.mkdir()
    quotes.mkdir()
    for name in ("A.csv", "B.csv"):
        written(quotes, "t,bid,ask\n2015-01-01,1,2\n2015-01-02,1,2\n", name)
    for path, said in (
        (tmp_path / "none.csv", "does not exist"),
        (written(tmp_path, "x", "prices.xlsx"), r"must end in \.csv, \.csv\.gz"),
        (empty, "at least two files"),
        (torn, "torn.csv.gz"),
        (quotes, "one price column, or one named close, got bid, ask"),
    ):
        with pytest.raises(DataUnavailable, match=said):
            read_prices(path)
    written(quotes, "t,p\n2015-01-01,1\n", "A.x.csv")
    written(quotes, "t,p\n2015-01-01,1\n", "A.csv")
    written(quotes, "t,p\n2015-01-01,1\n", "B.csv")
    with pytest.raises(DataUnavailable, match="several named A"):
        read_prices(quotes)


def test_only_the_assets_that_are_asked_for(tmp_path: Path) -> None:
    """In the order asked, from a file and from a folder; what is wrong with the others does not matter."""
    text = "day,A,B,C\n2015-01-01,1,10,\n2015-01-02,2,20,\n2015-01-05,3,30,-1\n"
    prices = read_prices(written(tmp_path, text), ["B", "A"])
    assert prices.names == ("B", "A")
    np.testing.assert_array_equal(prices.prices, [[10, 1], [20, 2], [30, 3]])
    assert prices.left_out == ()
    folder = tmp_path / "bars"
    folder.mkdir()
    for name in "ABC":
        written(folder, "day,close\n2015-01-01,1\n2015-01-02,2\n2015-01-05,3\n", f"{name}.csv")
    assert read_prices(folder, ["C", "A"]).names == ("C", "A")
    with pytest.raises(DataUnavailable, match="got none of D"):
        read_prices(folder, ["C", "A", "D"])


def test_pairs_to_currencies(tmp_path: Path) -> None:
    """Quoted either way round, or through one other currency; a currency that no pair leads to is named."""
    text = "day,EURGBP,GBPUSD,USDJPY\n2015-01-01,0.8,1.6,100\n2015-01-02,0.7,1.5,110\n2015-01-05,0.9,1.4,90\n"
    pairs = read_prices(written(tmp_path, text))
    found = currency_prices(pairs, ["JPY", "EUR", "GBP"])
    np.testing.assert_array_equal(found[0], [1 / 100, 0.8 * 1.6, 1.6])
    with pytest.raises(DataUnavailable, match="CHF must have a price in USD"):
        currency_prices(pairs, ["CHF"])


def test_quotes_stay_as_they_came(tmp_path: Path) -> None:
    """Order, repeated times and crossed quotes are kept; a missing price and other columns are refused."""
    path = written(tmp_path, "ms,bid,ask\n1398920401813,2,1\n1398920401787,1,3\n1398920401787,1,3\n")
    quotes = read_quotes(path)
    assert quotes.times_ns.tolist() == [1398920401813000000, 1398920401787000000, 1398920401787000000]
    assert (quotes.bids.tolist(), quotes.asks.tolist()) == ([2, 1, 1], [1, 3, 3])
    assert len(quotes.first(2)) == 2
    with pytest.raises(DataUnavailable, match="line 2: expected a bid and an ask"):
        read_quotes(written(tmp_path, "ms,bid,ask\n1398920401813,2,\n"))
    with pytest.raises(DataUnavailable, match="columns time, bid and ask"):
        read_quotes(written(tmp_path, "ms,bid\n1398920401813,2\n"))
