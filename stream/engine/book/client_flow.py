"""A configured client flow as the solver's dealer: the zone of inventories at which to wait for clients.

Clients and directions do not change, so each new covariance costs one geometric mean of matrices. For 12 assets, 24
markets and 96 streams that takes 0.3 ms, once for all books of a flow. It takes 0.6 ms for each limit where the limit
implies the risk aversion.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from solver.arrays import BoolArray, FloatArray
from solver.errors import IllPosed
from solver.market_making.dealer import ClientStream, Dealer, HedgeMarket
from solver.market_making.demand import Logistic
from solver.market_making.internalise import Internalisation, Internaliser, implied_risk_aversion
from stream.config import Config, FlowsConfig
from stream.engine.book.prepared import PreparedModel
from stream.engine.market.valuation import Valuation
from stream.errors import ConfigError

BP = 1e-4
MILLION = 1e6
DAY_S = 86_400.0
SIDES = {"both": (1.0, -1.0), "sell": (1.0,), "buy": (-1.0,)}
"""The signs of what clients' deals add to the dealer's inventory in the instrument."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """What a dealer with one flow and risk aversion does at the current quotes and covariance.

    Attributes
    ----------
    internaliser : the dealer's problem, solved.
    zone : of inventories at which the dealer waits for clients.
    half_spreads : (k,) of the flow's instruments, half the bid-ask spread as a share of the price; NaN where no cost is
        known.
    known : (k,) whether all assets of an instrument have a covariance.
    """

    internaliser: Internaliser
    zone: Internalisation
    half_spreads: FloatArray
    known: BoolArray

    def urgency(self, y: FloatArray) -> float:
        """The greatest urgency of all markets at inventory `y` (n,). Up to 1 no hedge is worth its cost."""
        return float(self.internaliser.advise(y).urgency.max(initial=0.0))

    def scale_to_edge(self, y: FloatArray) -> float:
        """The factor by which the inventory `y` (n,) would be on the edge of the zone."""
        return self.internaliser.scale_to_edge(y)


class Flow:
    """A configured flow in the solver's terms, with the timestep as the unit of time.

    `key` is its key in the configuration.

    Attributes
    ----------
    settings, hash : the configuration, and a hash of it.
    names : (k) of its instruments, in the configuration's order.
    directions : (k, n) exposure of one unit bought.
    markets : the indices, among its instruments, of those in which it can be hedged.
    """

    def __init__(self, config: Config, flows: FlowsConfig, key: str) -> None:
        self.settings = flows
        self.hash = hashlib.sha256(msgspec.json.encode(flows)).hexdigest()[:16]
        used = {clients.instrument for clients in flows.clients} | {market.instrument for market in flows.markets}
        days = config.universe.timestep_s / DAY_S
        chosen = [(index, instrument) for index, instrument in enumerate(config.instruments) if instrument.name in used]
        self.names = tuple(instrument.name for _, instrument in chosen)
        self._indices = np.array([index for index, _ in chosen], dtype=np.int64)
        self._fees = np.array([instrument.fee_bps * BP for _, instrument in chosen])
        self.directions = np.array(
            [
                [float(asset in instrument.legs) - float(asset == instrument.quote) for asset in config.universe.assets]
                for _, instrument in chosen
            ]
        )
        own = {name: index for index, name in enumerate(self.names)}
        self.markets = tuple(own[market.instrument] for market in flows.markets)
        self._configured = np.full(len(chosen), np.nan)
        self._etas = np.full(len(chosen), np.nan)
        for market in flows.markets:
            at = own[market.instrument]
            self._etas[at] = market.eta_bps_per_million_a_day * BP / MILLION / days
            if market.half_spread_bps is not None:
                self._configured[at] = market.half_spread_bps * BP
        n = len(config.universe.assets)
        self._dealer = Dealer(
            streams=tuple(
                ClientStream(
                    direction=side * self.directions[own[clients.instrument]],
                    sizes=np.array(clients.sizes),
                    rates=days * np.array(clients.requests_per_day),
                    demand=Logistic(clients.alpha, clients.beta_per_bp / BP),
                )
                for clients in flows.clients
                for side in SIDES[clients.side]
            ),
            markets=(),
            Sigma=np.eye(n),
            risk_aversion=1.0 if flows.risk_aversion is None else flows.risk_aversion,
            impact=np.array(
                [flows.impact_bps_per_million.get(asset, 0.0) * BP / MILLION for asset in config.universe.assets]
            ),
        )
        try:
            Internaliser(self._dealer)
        except IllPosed as exc:
            assets = ", ".join(config.universe.assets)
            raise ConfigError(
                f"{key}.clients must be such that they deal in every combination of {assets}, got next to nothing in "
                f"one, beside the others: {exc}"
            ) from exc

    def solve(self, model: PreparedModel, valuation: Valuation, limit: float) -> Waiting:
        """The dealer at these prices and this covariance.

        Raises
        ------
        IllPosed : the limit has to imply the risk aversion and no market has a quote.
        """
        # Without the covariance of an asset there is no skew in its instruments.
        known = ~(self.directions[:, ~model.known] != 0).any(axis=1)
        half_spreads = np.where(known, self._half_spreads(valuation), np.nan)
        dealer = replace(
            self._dealer,
            Sigma=model.Sigma,
            markets=tuple(
                HedgeMarket(self.directions[index], float(half_spreads[index]), float(self._etas[index]))
                for index in self.markets
                if not math.isnan(half_spreads[index])
            ),
        )
        if self.settings.risk_aversion is None:
            dealer = replace(dealer, risk_aversion=implied_risk_aversion(dealer, limit))
        internaliser = Internaliser(dealer)
        return Waiting(internaliser, internaliser.zone(), half_spreads, known)

    def _half_spreads(self, valuation: Valuation) -> FloatArray:
        """(k,) the cost of crossing; NaN outside the markets, without a fresh quote, and where bid equals ask."""
        bids, asks = valuation.bids[self._indices], valuation.asks[self._indices]
        live = np.where(valuation.tradeable[self._indices] & (asks > bids), (asks - bids) / (asks + bids), np.nan)
        costs = np.where(np.isnan(self._configured), live + self._fees, self._configured)
        # A configured cost does not make an instrument tradeable that has no price.
        costs = np.where(valuation.tradeable[self._indices], costs, np.nan)
        return np.where(np.isnan(self._etas), np.nan, costs)
