"""Real prices as the timesteps that the gate sees: daily rates, hourly bars, and ticks of two venues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from solver.arrays import FloatArray, IntArray
from stream.config import NANOSECONDS, BookConfig, Config, InstrumentConfig, SolverConfig, UniverseConfig
from stream.demo.rates import OTHER_HALF_SPREAD_BPS, read_days
from stream.errors import ConfigError
from stream.events.types import Timestep
from stream.studies.read.prices import read_prices
from stream.studies.read.quotes import read_quotes

NUMERAIRE = "USD"
DAY_S, HOUR_S, TICK_S = 86_400.0, 3_600.0, 1.0
YEAR_S = 365.25 * DAY_S

RATES_FIRST = date(1999, 1, 4)
RATES_LAST = date(2026, 6, 30)
# All that the central bank has quoted against the euro for more than ten years.
CURRENCIES = (
    "EUR", "AUD", "BGN", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EEK", "GBP", "HKD", "HRK", "HUF", "IDR", "INR",
    "ISK", "JPY", "KRW", "LTL", "LVL", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "RON", "RUB", "SEK", "SGD", "THB",
    "TRL", "TRY", "ZAR",
)  # fmt: skip

HOURLY = ("AUDJPY", "AUDUSD", "EURGBP", "EURJPY", "GBPJPY", "GBPUSD", "USDCAD", "USDCHF", "USDJPY", "XAUUSD")
HOURLY_FOLDER = "fx_h1"
# The files have mids only.
HOURLY_HALF_SPREAD_BPS = 0.5

TICK_FOLDER = "fx_ticks"
VENUES = ("oanda", "fxcm")
TICK_PAIRS = ("EURUSD", "NZDUSD")


@dataclass(frozen=True, eq=False)
class Course:
    """Prices of several instruments over time.

    Attributes
    ----------
    name : in words.
    config : a universe with these instruments.
    timesteps : in order.
    years : by asset, how long it was quoted; a week of ticks is a 52nd of a year.
    """

    name: str
    config: Config
    timesteps: Sequence[Timestep]
    years: dict[str, float]


def daily_rates(first: date = RATES_FIRST) -> Course:
    """The European Central Bank's rates in dollars, one instrument for each currency.

    Raises
    ------
    ConfigError : the package with the rates is not installed.
    """
    quotes = []
    for currency in CURRENCIES:
        try:
            days = [day for day in read_days((currency,), first) if day.date <= RATES_LAST]
        except ConfigError:
            days = []  # a currency that ended before `first`
        prices = np.array([day.usd_prices[currency] for day in days])
        quotes.append(Quoted(np.array([day.event_time_ns for day in days], dtype=np.int64), prices, prices))
    names = tuple(currency for currency, each in zip(CURRENCIES, quotes, strict=True) if len(each.times_ns))
    quotes = [each.widened(OTHER_HALF_SPREAD_BPS) for each in quotes if len(each.times_ns)]
    config = _config([(f"{name}USD", name, NUMERAIRE, "") for name in names], DAY_S)
    return _course("daily rates of the European Central Bank", config, quotes)


def hourly_bars(folder: Path) -> Course:
    """Closes of hourly bars of nine pairs and gold, with crosses among them. Hours that a file lacks are left out.

    Raises
    ------
    ConfigError : the folder is not there.
    DataUnavailable : a file is missing or cannot be read.
    """
    if not (folder / HOURLY_FOLDER).is_dir():
        raise ConfigError(f"--data must be a folder with {HOURLY_FOLDER}, got {folder}")
    bars = read_prices(folder / HOURLY_FOLDER, HOURLY)
    quotes = [
        Quoted(bars.times_ns, closes, closes).widened(HOURLY_HALF_SPREAD_BPS) for closes in np.array(bars.prices).T
    ]
    config = _config([(pair, pair[:3], pair[3:], "") for pair in HOURLY], HOUR_S)
    return _course("hourly bars", config, quotes)


def venue_ticks(folder: Path, venues: Sequence[str] = VENUES, share: float = 1.0) -> Course:
    """Every tick of two pairs at `venues`, the first `share` of each file. Crossed quotes are left out, as by decode.

    Raises
    ------
    ConfigError : a file is not there.
    DataUnavailable : it cannot be read.
    """
    quotes, instruments = [], []
    for venue in venues:
        for pair in TICK_PAIRS:
            path = folder / TICK_FOLDER / f"{venue}_{pair.lower()}.csv.gz"
            if not path.is_file():
                raise ConfigError(f"--data must be a folder with {TICK_FOLDER}/{path.name}, got {folder}")
            rows = read_quotes(path)
            rows = rows.first(round(share * len(rows)))
            good = rows.asks >= rows.bids
            quotes.append(Quoted(rows.times_ns[good], rows.bids[good], rows.asks[good]))
            instruments.append((f"{pair}@{venue}", pair[:3], pair[3:], venue))
    where = "two venues" if len(venues) > 1 else f"{venues[0]} alone"
    return _course(f"ticks of {where}", _config(instruments, TICK_S), quotes)


def resent(course: Course) -> Course:
    """`course` as from a feed that repeats the latest quote of every instrument in each timestep.

    It stops where nothing was quoted for an hour: the market is closed.
    """
    timestep_ns = course.config.universe.timestep_ns
    most = round(HOUR_S * NANOSECONDS) // timestep_ns
    timesteps: list[Timestep] = []
    for before, after in zip(course.timesteps, [*course.timesteps[1:], None], strict=True):
        last = before.index if after is None or after.index - before.index > most else after.index - 1
        for index in range(before.index, last + 1):
            at_ns = np.where(before.quoted_at_ns > 0, index * timestep_ns, 0)
            timesteps.append(Timestep(index, index * timestep_ns, before.bids, before.asks, at_ns))
    return Course(f"{course.name}, each sent again every second", course.config, timesteps, course.years)


@dataclass(frozen=True, eq=False)
class Quoted:
    """Quotes of one instrument in the order of time."""

    times_ns: IntArray
    bids: FloatArray
    asks: FloatArray

    def widened(self, half_spread_bps: float) -> Quoted:
        """Mids with a bid-ask spread around them."""
        half = half_spread_bps * 1e-4
        return Quoted(self.times_ns, self.bids * (1.0 - half), self.asks * (1.0 + half))


def _config(instruments: Iterable[tuple[str, str, str, str]], timestep_s: float) -> Config:
    """A universe of pairs (name, base, quote, venue)."""
    pairs = tuple(instruments)
    currencies = dict.fromkeys(each for _, base, quote, _ in pairs for each in (base, quote))
    return Config(
        universe=UniverseConfig(
            name="gate",
            numeraire=NUMERAIRE,
            assets=tuple(each for each in currencies if each != NUMERAIRE),
            timestep_s=timestep_s,
            max_price_age_s=10.0 * timestep_s,
        ),
        instruments=tuple(
            InstrumentConfig(name=name, legs={base: 1.0}, quote=quote, lot=100_000.0, venue=venue)
            for name, base, quote, venue in pairs
        ),
        books=(BookConfig(name="gate", limit=1.0),),
        solver=SolverConfig(lot_notional=100_000.0),
    )


def _course(name: str, config: Config, quotes: Sequence[Quoted]) -> Course:
    """The last quote of each instrument in each timestep, as the service closes them."""
    timestep_ns, m = config.universe.timestep_ns, len(quotes)
    indices = [-(-each.times_ns // timestep_ns) for each in quotes]
    last = [np.flatnonzero(np.diff(steps, append=steps[-1] + 1)) for steps in indices]
    step = np.concatenate([steps[rows] for steps, rows in zip(indices, last, strict=True)])
    column = np.concatenate([np.full(len(rows), number) for number, rows in enumerate(last)])
    row = np.concatenate(last)
    order = np.argsort(step, kind="stable")
    bids, asks, at_ns = np.full(m, np.nan), np.full(m, np.nan), np.zeros(m, dtype=np.int64)
    timesteps: list[Timestep] = []
    for group in np.split(order, np.flatnonzero(np.diff(step[order])) + 1):
        bids, asks, at_ns = bids.copy(), asks.copy(), at_ns.copy()
        for number, at in zip(column[group].tolist(), row[group].tolist(), strict=True):
            of = quotes[number]
            bids[number], asks[number], at_ns[number] = of.bids[at], of.asks[at], of.times_ns[at]
        index = int(step[group[0]])
        timesteps.append(Timestep(index, index * timestep_ns, bids, asks, at_ns))
    years = {
        asset: max(
            float(each.times_ns[-1] - each.times_ns[0]) / NANOSECONDS / YEAR_S
            for instrument, each in zip(config.instruments, quotes, strict=True)
            if asset in (*instrument.legs, instrument.quote)
        )
        for asset in config.universe.assets
    }
    return Course(name, config, timesteps, years)
