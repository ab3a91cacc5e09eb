"""What the simulated desk deals in: pairs with their bid-ask spreads and clients, and the service's configuration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray
from solver.market_making.dealer import ClientStream, Dealer, HedgeMarket
from solver.market_making.demand import Logistic
from stream.config import (
    BookConfig,
    Config,
    CovarianceConfig,
    InstrumentConfig,
    ReversionConfig,
    SolverConfig,
    UniverseConfig,
    check_config,
)

BP = 1e-4
LOT = 500_000.0
NUMERAIRE = "USD"
SIZES = np.array([1e6, 5e6, 10e6, 20e6])
"""USD. The sizes of Barzykin, Bergault and Guéant (2023) without 50 million, too much for a desk of this size."""

FLOW_SHARE = 0.05
"""The desk's share of the requests in their table 1: that of an average dealer."""


@dataclass(frozen=True)
class Pair:
    """A currency pair, its market and its clients.

    Attributes
    ----------
    base, quote : currencies.
    half_spread_bps : half the bid-ask spread, which is what crossing it costs.
    impact_bps_per_musd : what trading one million USD a day faster adds.
    rates : requests a day on each side, by size.
    tiers : demand (alpha, beta per basis point) of each tier of clients.
    """

    base: str
    quote: str
    half_spread_bps: float
    impact_bps_per_musd: float
    rates: tuple[float, ...]
    tiers: tuple[tuple[float, float], ...]

    @property
    def name(self) -> str:
        return self.base + self.quote


@dataclass(frozen=True)
class DeskUniverse:
    """Assets against USD, the pairs among them, and the timestep on which the desk hedges."""

    name: str
    assets: tuple[str, ...]
    pairs: tuple[Pair, ...]
    timestep_s: float

    @property
    def steps_a_day(self) -> float:
        return 86_400.0 / self.timestep_s

    def direction(self, pair: Pair) -> FloatArray:
        """(n,) exposure gained by buying one USD's worth of `pair`."""
        return np.array([float(pair.base == asset) - float(pair.quote == asset) for asset in self.assets])

    def dealer(self, Sigma: FloatArray, risk_aversion: float) -> Dealer:
        """The desk for `solver.market_making`, in timesteps. Each side of each tier of each pair is a client stream."""
        days = 1.0 / self.steps_a_day
        streams = tuple(
            ClientStream(
                direction=side * self.direction(pair),
                sizes=SIZES,
                rates=FLOW_SHARE * days * np.array(pair.rates),
                demand=Logistic(alpha, beta / BP),
            )
            for pair in self.pairs
            for side in (1.0, -1.0)
            for alpha, beta in pair.tiers
        )
        markets = tuple(
            HedgeMarket(self.direction(pair), pair.half_spread_bps * BP, pair.impact_bps_per_musd * BP * 1e-6 / days)
            for pair in self.pairs
        )
        # No permanent impact: fills do not move the simulated prices.
        return Dealer(streams, markets, Sigma, risk_aversion, np.zeros(len(self.assets)))

    def config(self, books: tuple[BookConfig, ...], refit_every_steps: int) -> Config:
        """The service's configuration for this desk with `books`."""
        config = Config(
            universe=UniverseConfig(
                name=self.name,
                numeraire=NUMERAIRE,
                assets=self.assets,
                timestep_s=self.timestep_s,
                max_price_age_s=3 * self.timestep_s,
            ),
            instruments=tuple(
                InstrumentConfig(name=pair.name, legs={pair.base: 1.0}, quote=pair.quote, lot=LOT)
                for pair in self.pairs
            ),
            books=books,
            covariance=CovarianceConfig(half_life_steps=250.0, min_observations=100),
            reversion=ReversionConfig(window_steps=400, holdout_steps=100, refit_every_steps=refit_every_steps),
            solver=SolverConfig(lot_notional=LOT, max_hedge_nodes=200, threads=1),
        )
        check_config(config)
        return config


_MAJOR_TIERS = {
    "EUR": ((-1.9, 11.0), (-0.3, 3.5)),
    "GBP": ((-1.4, 5.5), (0.0, 2.0)),
    "CHF": ((-1.2, 4.5), (0.0, 1.9)),
    "JPY": ((-1.6, 9.0), (-0.1, 3.0)),
}
_CROSS_TIERS = ((-0.5, 3.5), (0.5, 2.5))
_CROSS = (400.0, 50.0, 25.0, 20.0)
_SMALL_CROSS = (160.0, 20.0, 10.0, 8.0)

EURUSD = Pair("EUR", "USD", 0.1, 1e-5, (900.0, 540.0, 234.0, 90.0), _MAJOR_TIERS["EUR"])
GBPUSD = Pair("GBP", "USD", 0.15, 1.5e-5, (600.0, 200.0, 150.0, 40.0), _MAJOR_TIERS["GBP"])
USDCHF = Pair("USD", "CHF", 0.25, 2.5e-5, (420.0, 140.0, 105.0, 28.0), _MAJOR_TIERS["CHF"])
USDJPY = Pair("USD", "JPY", 0.1, 1.5e-5, (825.0, 375.0, 180.0, 105.0), _MAJOR_TIERS["JPY"])
EURGBP = Pair("EUR", "GBP", 0.25, 3e-5, _CROSS, _CROSS_TIERS)
EURCHF = Pair("EUR", "CHF", 0.25, 3e-5, _CROSS, _CROSS_TIERS)
EURJPY = Pair("EUR", "JPY", 0.25, 3e-5, _CROSS, _CROSS_TIERS)
GBPCHF = Pair("GBP", "CHF", 0.4, 5e-5, _SMALL_CROSS, _CROSS_TIERS)
GBPJPY = Pair("GBP", "JPY", 0.4, 5e-5, _SMALL_CROSS, _CROSS_TIERS)
# Not in table 1: these copy its GBPUSD, USDCHF and crosses.
AUDUSD = Pair("AUD", "USD", 0.2, 2e-5, (500.0, 170.0, 120.0, 35.0), _MAJOR_TIERS["GBP"])
NZDUSD = Pair("NZD", "USD", 0.3, 3e-5, (300.0, 100.0, 70.0, 20.0), _MAJOR_TIERS["CHF"])
USDCAD = Pair("USD", "CAD", 0.2, 2e-5, (500.0, 170.0, 120.0, 35.0), _MAJOR_TIERS["GBP"])
AUDNZD = Pair("AUD", "NZD", 0.3, 4e-5, _SMALL_CROSS, _CROSS_TIERS)
AUDJPY = Pair("AUD", "JPY", 0.3, 4e-5, _SMALL_CROSS, _CROSS_TIERS)

SIMULATED = DeskUniverse(
    name="simulated-desk",
    assets=("EUR", "GBP", "CHF", "JPY", "AUD", "NZD"),
    pairs=(EURUSD, GBPUSD, USDCHF, USDJPY, AUDUSD, NZDUSD, EURGBP, EURCHF, EURJPY, GBPCHF, GBPJPY, AUDNZD),
    timestep_s=600.0,
)
"""Prices from `stream.studies.desk.price_paths.diffusions`."""

HOURLY = DeskUniverse(
    name="hourly-desk",
    assets=("EUR", "GBP", "JPY", "CHF", "CAD", "AUD"),
    pairs=(EURUSD, GBPUSD, USDJPY, USDCHF, USDCAD, AUDUSD, EURGBP, EURJPY, EURCHF, GBPJPY, AUDJPY),
    timestep_s=3600.0,
)
"""Prices from `stream.studies.desk.price_paths.hourly_prices`."""
