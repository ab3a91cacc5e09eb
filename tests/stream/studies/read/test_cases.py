"""Files that an earlier reader guessed at and passed: each as the users who made them had them."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from stream.errors import DataUnavailable
from stream.studies.read.options import ReadOptions
from stream.studies.read.prices import read_prices

NOW_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9
NAMES = ("EUR", "GBP", "CHF")


def rows(count: int) -> list[str]:
    """Cells of three walks near 1.17, 1.55 and 1.02."""
    chance = np.random.default_rng(5)
    walks = np.exp(np.cumsum(chance.normal(0.0, 0.004, (count, 3)), axis=0) + np.log([1.17, 1.55, 1.02]))
    return [",".join(f"{price:.5f}" for price in row) for row in walks]


def written(folder: Path, header: str | None, times: list[str], name: str = "prices.csv") -> Path:
    path = folder / name
    lines = [f"{time},{row}" for time, row in zip(times, rows(len(times)), strict=True)]
    path.write_text("\n".join([header, *lines] if header else lines) + "\n")
    return path


def days(count: int) -> list[datetime]:
    return [datetime(2015, 1, 5) + timedelta(days=day) for day in range(count)]  # noqa: DTZ001


def test_milliseconds_then_microseconds(tmp_path: Path) -> None:
    """Klines over the turn of 2025: refused at the first line of the second unit, both of which are named."""
    hours = [1_735_149_600 + 3_600 * hour for hour in range(300)]
    times = [f"{hour * (1_000 if hour < 1_735_689_600 else 1_000_000)}" for hour in hours]
    path = written(tmp_path, "open_time,EUR,GBP,CHF", times)
    with pytest.raises(DataUnavailable, match=r"line 152, column open_time: two units .* microseconds .* milliseconds"):
        read_prices(path, now_ns=NOW_NS)


def test_no_header(tmp_path: Path) -> None:
    """Refused with the option; with it every row is there, and the columns have their numbers for names."""
    path = written(tmp_path, None, [f"{day:%Y-%m-%d}" for day in days(200)])
    with pytest.raises(DataUnavailable, match=r"line 1 looks like data.*--no-header"):
        read_prices(path, now_ns=NOW_NS)
    prices = read_prices(path, options=ReadOptions(header=False), now_ns=NOW_NS)
    assert prices.names == ("2", "3", "4")
    assert len(prices.prices) == 200


def test_firsts_of_months_newest_first(tmp_path: Path) -> None:
    """01/08/2021 may be August or January: refused with the option, and with it the months are months."""
    months = [f"01/{1 + month % 12:02d}/{2005 + month // 12}" for month in range(199)][::-1]
    path = written(tmp_path, "Date,EUR,GBP,CHF", months)
    with pytest.raises(DataUnavailable, match=r"line 2, column Date: .*--date-order dmy\|mdy"):
        read_prices(path, now_ns=NOW_NS)
    prices = read_prices(path, options=ReadOptions(date_order="dmy"), now_ns=NOW_NS)
    firsts = prices.times_ns.astype("datetime64[ns]").astype("datetime64[D]")
    assert (firsts == firsts.astype("datetime64[M]")).all()
    assert (np.diff(firsts.astype("datetime64[M]").astype(int)) == 1).all()
    assert prices.readings[0].order == "newest first"


def test_a_folder_with_an_ending_in_capitals(tmp_path: Path) -> None:
    """CHF.CSV is read like the others, and what is passed over is counted."""
    for name in ("EUR.csv", "GBP.csv", "CHF.CSV", "JPY.Csv.Gz"):
        content = b"date,close\n" + b"".join(
            f"{day:%Y-%m-%d},{row.split(',')[0]}\n".encode() for day, row in zip(days(50), rows(50), strict=True)
        )
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("Gz") else content)
    for name in ("notes.txt", "prices.xlsx", ".EUR.csv"):
        (tmp_path / name).write_text("")
    (tmp_path / "old").mkdir()
    prices = read_prices(tmp_path, now_ns=NOW_NS)
    assert sorted(prices.names) == ["CHF", "EUR", "GBP", "JPY"]
    (passed_over,) = prices.left_out
    assert passed_over.count == 4
    assert "notes.txt" in passed_over.what
    (tmp_path / "chf.csv").write_bytes((tmp_path / "EUR.csv").read_bytes())
    with pytest.raises(DataUnavailable, match="several named CHF"):
        read_prices(tmp_path, now_ns=NOW_NS)


def test_a_stretch_in_pence(tmp_path: Path) -> None:
    """The asset, the date and the factor, at both ends of the stretch."""
    path = written(tmp_path, "Date,EUR,GBP,CHF", [f"{day:%Y-%m-%d}" for day in days(500)])
    lines = path.read_text().split("\n")
    for number in range(251, 351):
        time, eur, gbp, chf = lines[number].split(",")
        lines[number] = f"{time},{eur},{float(gbp) / 100:.7f},{chf}"
    path.write_text("\n".join(lines))
    first, second = read_prices(path, now_ns=NOW_NS).findings
    assert (first.asset, first.time) == ("GBP", f"{days(500)[250]:%Y-%m-%d}")
    assert first.factor == pytest.approx(0.01, rel=0.05)
    assert second.factor == pytest.approx(100, rel=0.05)


def test_dukascopys_times_beside_several_assets(tmp_path: Path) -> None:
    """20.12.2024 00:00:00.000 under `Gmt time`: the order and the zone are those of the export."""
    hours = [datetime(2024, 12, 1) + timedelta(hours=hour) for hour in range(119)]  # noqa: DTZ001
    path = written(tmp_path, "Gmt time,EUR,GBP,CHF", [f"{hour:%d.%m.%Y %H:%M:%S}.000" for hour in hours])
    prices = read_prices(path, now_ns=NOW_NS)
    assert prices.names == NAMES
    assert prices.times_ns[0] == np.datetime64("2024-12-01", "ns").astype(np.int64)
    assert prices.readings[0].export == "Dukascopy"
