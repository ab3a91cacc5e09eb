"""Daily bars are joined by date, in summer as in winter, and the zone is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from stream.errors import DataUnavailable
from stream.studies.read.options import ReadOptions
from stream.studies.read.prices import Prices, read_prices

DATES = [datetime(2013, 1, 1) + timedelta(days=day) for day in range(900)]  # noqa: DTZ001
WEEKDAYS = [date for date in DATES if date.weekday() < 5]
NOW_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9


def written(folder: Path, name: str, times: list[str], start: float) -> None:
    prices = start * np.exp(np.cumsum(np.random.default_rng(len(name)).normal(0.0, 0.005, len(times))))
    lines = [f"{time},{price:.5f}" for time, price in zip(times, prices, strict=True)]
    (folder / name).write_text("time,close\n" + "\n".join(lines) + "\n")


def midnights(zone: str, form: str) -> list[str]:
    """Local midnights of each weekday, in UTC."""
    moments = [date.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for date in WEEKDAYS]
    return [f"{moment.timestamp():.0f}" if form == "epoch" else moment.strftime(form) for moment in moments]


def beside_plain_dates(folder: Path, times: list[str], options: ReadOptions | None = None) -> Prices:
    written(folder, "PLAIN.csv", [f"{date:%Y-%m-%d}" for date in WEEKDAYS], 1.5)
    written(folder, "STAMPED.csv", times, 1.1)
    return read_prices(folder, options=options or ReadOptions(), now_ns=NOW_NS)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "epoch"])
@pytest.mark.parametrize(
    "zone", ["Europe/Zurich", "Europe/London", "America/New_York", "Australia/Sydney", "Europe/Athens"]
)
def test_midnights_of_an_exchange(tmp_path: Path, zone: str, form: str) -> None:
    """22:00 and 23:00 of the day before, or 5:00 and 4:00: every day is joined, and the zone is named."""
    prices = beside_plain_dates(tmp_path, midnights(zone, form))
    assert prices.times_ns.tolist() == [int(date.replace(tzinfo=UTC).timestamp()) * 10**9 for date in WEEKDAYS]
    assert prices.left_out == ()
    assert prices.findings == ()
    stamped = next(reading for reading in prices.readings if reading.file == "STAMPED.csv")
    assert f"midnight on the clock of {zone}" in stamped.zone


def test_midnights_with_their_offsets(tmp_path: Path) -> None:
    """2013-07-01T00:00:00+02:00 is a date, whatever the zone's name."""
    local = [date.replace(tzinfo=ZoneInfo("Europe/Zurich")).isoformat() for date in WEEKDAYS]
    prices = beside_plain_dates(tmp_path, local)
    assert len(prices.prices) == len(WEEKDAYS)
    assert "taken as dates" in prices.readings[1].zone


def test_an_hour_that_never_moves_is_no_midnight(tmp_path: Path) -> None:
    """22:00 UTC the year round may be a midnight of Johannesburg or a close of New York: the option says which."""
    fixed = [f"{date - timedelta(days=1):%Y-%m-%d} 22:00:00" for date in WEEKDAYS]
    with pytest.raises(DataUnavailable, match=r"STAMPED\.csv has daily times .* PLAIN\.csv has dates; .* --zone"):
        beside_plain_dates(tmp_path, fixed)
    # Alone, no date is asked of it.
    (tmp_path / "PLAIN.csv").unlink()
    written(tmp_path, "OTHER.csv", fixed, 1.2)
    prices = read_prices(tmp_path, now_ns=NOW_NS)
    assert prices.times_ns[0] % (86_400 * 10**9) == 22 * 3_600 * 10**9


def test_the_clock_that_the_user_names(tmp_path: Path) -> None:
    """The close of New York at 16:00 is of that day: as counts in UTC, with --zone."""
    closes = [
        f"{date.replace(hour=16, tzinfo=ZoneInfo('America/New_York')).timestamp():.0f}" for date in WEEKDAYS
    ]  # fmt: skip
    with pytest.raises(DataUnavailable, match="--zone"):
        beside_plain_dates(tmp_path, closes)
    prices = beside_plain_dates(tmp_path, closes, ReadOptions(zone="America/New_York"))
    assert len(prices.prices) == len(WEEKDAYS)
    assert "clock of America/New_York (--zone)" in prices.readings[1].zone


def test_zones_of_hours_must_be_known_to_join_them(tmp_path: Path) -> None:
    """Hours with a zone beside hours without one are refused; --zone settles it."""
    hours = [datetime(2013, 6, 3) + timedelta(hours=hour) for hour in range(48)]  # noqa: DTZ001
    written(tmp_path, "A.csv", [f"{hour:%Y-%m-%d %H:%M}" for hour in hours], 1.0)
    written(tmp_path, "BB.csv", [f"{hour:%Y-%m-%d %H:%M}Z" for hour in hours], 1.0)
    with pytest.raises(DataUnavailable, match=r"A\.csv has times without a zone, .* --zone"):
        read_prices(tmp_path, now_ns=NOW_NS)
    assert len(read_prices(tmp_path, options=ReadOptions(zone="UTC"), now_ns=NOW_NS).prices) == 48
    assert len(read_prices(tmp_path, options=ReadOptions(zone="Europe/Zurich"), now_ns=NOW_NS).prices) == 46


def test_other_timesteps_are_a_finding(tmp_path: Path) -> None:
    """Hours beside days meet once a day: said, for a validation of what is left is of other data."""
    hours = [datetime(2013, 6, 3) + timedelta(hours=hour) for hour in range(240)]  # noqa: DTZ001
    written(tmp_path, "A.csv", [f"{hour:%Y-%m-%d %H:%M}" for hour in hours], 1.0)
    written(tmp_path, "BB.csv", [f"{hour:%Y-%m-%d}" for hour in hours[::24]], 1.0)
    prices = read_prices(tmp_path, now_ns=NOW_NS)
    assert any("only 10 have a price of every asset" in finding.text for finding in prices.findings)
