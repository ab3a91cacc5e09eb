"""The European Central Bank's rates as days and quotes."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from stream.config import Config
from stream.demo.rates import Day, half_spread_bps, read_days, ticks_of
from stream.errors import ConfigError


def test_days_are_the_fixings() -> None:
    """In their order, none on a weekend or a holiday, at 15:00 UTC, with the rate of EURUSD that was published."""
    days = read_days(("EUR", "CHF"), date(2024, 12, 23))
    dates = [day.date for day in days]
    assert dates == sorted(set(dates))
    assert dates[:4] == [date(2024, 12, 23), date(2024, 12, 24), date(2024, 12, 27), date(2024, 12, 30)]
    assert all(day.weekday() < 5 for day in dates)
    first = days[0]
    assert datetime.fromtimestamp(first.event_time_ns / 1e9, UTC) == datetime(2024, 12, 23, 15, tzinfo=UTC)
    # As published: one euro at 1.0393 dollars.
    assert first.usd_prices["EUR"] == pytest.approx(1.0393, abs=1e-12)
    assert first.usd_prices["USD"] == 1.0
    assert first.price("EUR", "CHF") * first.price("CHF", "EUR") == pytest.approx(1.0)


def test_days_that_do_not_exist_are_said_to_be_none() -> None:
    """With the last day that the package has."""
    with pytest.raises(ConfigError, match=r"no rates .* from 2999-01-01 on: the package has them up to 20\d\d-"):
        read_days(("EUR",), date(2999, 1, 1))


def test_quotes_stand_around_the_fixing(desk: Config) -> None:
    """One of every instrument at the day's time: the fixing's cross rate as mid, the simulated bid-ask spread."""
    prices = {"EUR": 1.08, "CHF": 1.11, "JPY": 0.0067, "USD": 1.0}
    day = Day(date(2024, 12, 23), 1_734_966_000_000_000_000, prices)
    ticks = list(ticks_of(day, desk))
    assert [tick.instrument for tick in ticks] == [instrument.name for instrument in desk.instruments]
    for tick, instrument in zip(ticks, desk.instruments, strict=True):
        base, quote = tick.instrument[:3], tick.instrument[3:]
        mid = prices[base] / prices[quote]
        assert tick.event_time_ns == day.event_time_ns
        assert (tick.bid + tick.ask) / 2 == pytest.approx(mid, rel=1e-14)
        assert (tick.ask - tick.bid) / 2 / mid * 1e4 == pytest.approx(half_spread_bps(instrument), rel=1e-9)
    assert half_spread_bps(desk.instruments[0]) == 0.25
