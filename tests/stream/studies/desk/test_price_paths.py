"""Simulated and replayed prices: what was planted is there, and real rows are those of the files."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from stream.errors import DataUnavailable
from stream.studies.desk.price_paths import (
    ASSETS,
    BASKET_SPREAD_HALF_LIFE_DAYS,
    BASKET_SPREAD_VOLATILITY_BPS,
    diffusions,
    hourly_prices,
)
from stream.studies.read.options import NOTHING_SAID

FILES = ("EURGBP", "GBPUSD", "USDJPY", "USDCHF", "USDCAD", "AUDUSD")


def test_returns_have_the_covariance_that_is_said() -> None:
    """60,000 steps: every entry within five standard errors, the root of (s_ii s_jj + s_ij²) / T for normal returns."""
    rows = diffusions(np.random.default_rng(1), 60_000, 600.0)
    assert rows.Sigma is not None
    returns = np.diff(np.log(rows.mids), axis=0)
    scale = np.sqrt((np.outer(np.diag(rows.Sigma), np.diag(rows.Sigma)) + rows.Sigma**2) / len(returns))
    assert (np.abs(returns.T @ returns / len(returns) - rows.Sigma) < 5 * scale).all()


def test_the_planted_basket_spread_reverts() -> None:
    """log NZD - log AUD forgets half of its deviation in the planted half-life and has the planted deviation.

    Over 2,000 days there are some 5,500 independent stretches: one standard error is 1 %, and 5 % is asked.
    """
    rows = diffusions(np.random.default_rng(2), 2_000 * 24, 3600.0)
    logs = np.log(rows.mids)
    basket_spread = logs[:, ASSETS.index("NZD")] - logs[:, ASSETS.index("AUD")]
    basket_spread -= basket_spread.mean()
    lag = round(BASKET_SPREAD_HALF_LIFE_DAYS * 24)
    assert np.corrcoef(basket_spread[lag:], basket_spread[:-lag])[0, 1] == pytest.approx(0.5, abs=0.05)
    assert basket_spread.std() == pytest.approx(BASKET_SPREAD_VOLATILITY_BPS * 1e-4, rel=0.05)


def test_one_seed_one_path() -> None:
    """The same seed gives the same rows to the bit, another seed others."""
    one, two, other = (diffusions(np.random.default_rng(seed), 50, 600.0).mids for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert (one[1:] != other[1:]).all()


def bars(folder: Path, name: str, closes: dict[str, float]) -> None:
    lines = ["time,open,high,low,close", *(f"{time},1,1,1,{close}" for time, close in closes.items())]
    with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")


def test_hourly_rows_are_the_files_closes(tmp_path: Path) -> None:
    """Prices in USD, EUR through sterling; an hour that one file lacks, and hours outside the dates, are left out."""
    hours = [f"2014-05-0{day} 10:00:00" for day in (1, 2, 3, 4, 5)]
    for name, close in zip(FILES, (0.8, 1.6, 100.0, 0.9, 1.1, 0.7), strict=True):
        closes = {hour: close * (1 + number) for number, hour in enumerate(hours)}
        bars(tmp_path, name, {hour: close for hour, close in closes.items() if name != "USDCAD" or hour != hours[1]})
    said: list[str] = []
    rows = hourly_prices(tmp_path, date(2014, 5, 1), date(2014, 5, 3), NOTHING_SAID, said.append)
    days = [datetime(2014, 5, day, 10, tzinfo=UTC).timestamp() for day in (1, 3)]
    assert rows.end_ns.tolist() == [round(day) * 10**9 for day in days]
    first = np.array([1.28, 1.6, 0.01, 1 / 0.9, 1 / 1.1, 0.7])
    np.testing.assert_allclose(rows.mids, [first, first * [9, 3, 1 / 3, 1 / 3, 1 / 3, 3]])
    assert rows.Sigma is None
    assert any("USDCAD.csv.gz" in line and "zone: UTC, for none is named" in line for line in said)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing file, one without the columns, and dates without an hour: an error that names the path."""
    said: list[str] = []
    with pytest.raises(DataUnavailable, match=r"must hold at least two files .* of EURGBP, GBPUSD"):
        hourly_prices(tmp_path, date(2014, 5, 1), date(2014, 5, 3), NOTHING_SAID, said.append)
    for name in FILES[:-1]:
        bars(tmp_path, name, {f"2014-05-01 {hour}:00:00": 1.0 + hour for hour in (10, 11, 12)})
    with pytest.raises(DataUnavailable, match=r"got none of AUDUSD"):
        hourly_prices(tmp_path, date(2014, 5, 1), date(2014, 5, 3), NOTHING_SAID, said.append)
    bars(tmp_path, FILES[-1], {f"2014-05-01 {hour}:00:00": 1.0 + hour for hour in (10, 11, 12)})
    with pytest.raises(DataUnavailable, match="has no hours from 2015-01-01 to 2015-01-02"):
        hourly_prices(tmp_path, date(2015, 1, 1), date(2015, 1, 2), NOTHING_SAID, said.append)
    with gzip.open(tmp_path / "USDCAD.csv.gz", "wt") as file:
        file.write("when,what\n1,2\n")
    with pytest.raises(DataUnavailable, match=r"USDCAD\.csv\.gz, line 2, column when: expected a time or date"):
        hourly_prices(tmp_path, date(2014, 5, 1), date(2014, 5, 3), NOTHING_SAID, said.append)
