"""What client flow makes of a book's inventory: how to lean its quotes, and the zone in which to wait for clients.

Clients and directions stay, so what is solved anew with a covariance is one geometric mean of matrices: .3 ms for 12
assets, 24 markets and 96 streams, once for all books of a flow; .6 ms for each limit where that is the risk aversion. A
book then takes 15 µs, and 50 more when it publishes. So it is solved in its turn, and nothing waits for it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from schemas.outbound import InstrumentSkew, QuoteSkew
from schemas.wire import finite_or_none
from solver.arrays import BoolArray, FloatArray
from solver.errors import IllPosed
from solver.market_making.dealer import ClientStream, Dealer, HedgeMarket
from solver.market_making.demand import Logistic
from solver.market_making.internalise import Internalisation, Internaliser, implied_risk_aversion
from stream.config import BookConfig, Config, FlowsConfig
from stream.engine.book.prepared import PreparedModel
from stream.engine.book.solved import SolvedBook, UnsolvedBook
from stream.engine.market.valuation import Valuation
from stream.errors import ConfigError

BP = 1e-4
MILLION = 1e6
DAY_S = 86_400.0
SIDES = {"both": (1.0, -1.0), "sell": (1.0,), "buy": (-1.0,)}
"""What clients' deals do to the dealer's inventory in the instrument."""

QuoteStatus: TypeAlias = Literal["ok", "unpriced", "no-model", "unsolved"]


@dataclass(frozen=True, eq=False)
class Waiting:
    """What a dealer of one flow and risk aversion does at the quotes and the covariance of now.

    `half_spreads` (k,) of the flow's instruments, share of the price, NaN where no cost is known; `known` (k,) says for
    which all assets have a covariance.
    """

    internaliser: Internaliser
    zone: Internalisation
    half_spreads: FloatArray
    known: BoolArray

    def urgency(self, y: FloatArray) -> float:
        """The greatest over markets at inventory `y` (n,): up to 1 nothing is worth a hedge."""
        return float(self.internaliser.advise(y).urgency.max(initial=0.0))

    def scale_to_edge(self, y: FloatArray) -> float:
        """So many times the inventory `y` (n,) is on the edge of the zone."""
        return self.internaliser.scale_to_edge(y)


@dataclass
class Quoted:
    """The quote skew last published for a book, as far as the next is compared with it; (k,) by instrument."""

    status: QuoteStatus
    flows_hash: str
    skew: FloatArray
    half_spreads: FloatArray
    least_risk: float


class Quoter:
    """Solves the flows of one configuration. Holds nothing that changes a result.

    What was solved for the latest covariance and quotes is kept: a timestep's books share it, as does every position
    until the next. They are known again by their very objects, which nobody changes in place.

    Raises
    ------
    ConfigError : a flow that the solver refuses. `betapack check` builds one to find that out ahead of the start.
    """

    def __init__(self, config: Config) -> None:
        self._flows = {flows.name: _Flow(config, flows, f"flows[{index}]") for index, flows in enumerate(config.flows)}
        self._universe = config.universe
        self._latest: tuple[PreparedModel, Valuation] | None = None
        self._solved: dict[tuple[str, float], Waiting] = {}

    def waiting(self, book: BookConfig, model: PreparedModel, valuation: Valuation) -> Waiting | None:
        """What the flow of `book` says; None for a book without one.

        Raises
        ------
        IllPosed : there is no answer, such as a limit that implies no risk aversion while no market has a quote.
        """
        if book.flows is None:
            return None
        if self._latest is None or self._latest[0] is not model or self._latest[1] is not valuation:
            self._latest = model, valuation
            self._solved = {}
        flow = self._flows[book.flows]
        key = book.flows, book.limit if flow.settings.risk_aversion is None else 0.0
        if key not in self._solved:
            self._solved[key] = flow.solve(model, valuation, book.limit)
        return self._solved[key]

    def quote(
        self, found: SolvedBook | UnsolvedBook, last: Quoted | None, waiting: Waiting | IllPosed | None
    ) -> tuple[QuoteSkew, Quoted] | None:
        """The message for a book; None where it would differ from `last` by nothing material.

        Parameters
        ----------
        found : the book, what is in flight included.
        last : what was published before.
        waiting : what the book's flow says, or why it says nothing; None for a book without figures.
        """
        occasion = found.occasion
        if occasion.book.flows is None:
            return None
        flow = self._flows[occasion.book.flows]
        status, detail = _status(found, waiting)
        if isinstance(found, SolvedBook) and isinstance(waiting, Waiting):
            # No negative zero: flat is flat.
            skew = np.where(waiting.known, waiting.internaliser.skew(found.Q, flow.directions) + 0.0, np.nan)
            quoted = Quoted(status, flow.hash, skew, waiting.half_spreads, waiting.zone.risk)
        else:
            k = len(flow.names)
            quoted = Quoted(status, flow.hash, np.zeros(k), np.full(k, np.nan), math.inf)
        if last is not None and not _material(quoted, last, flow.settings.material_share):
            return None
        message = QuoteSkew(
            id=occasion.id_of("quote"),
            book=occasion.book.name,
            universe=self._universe.name,
            event_time_ns=occasion.trigger.event_time_ns,
            timestep=occasion.timestep,
            model_version=occasion.model_version,
            status=status,
            numeraire=self._universe.numeraire,
            flows=occasion.book.flows,
            flows_hash=flow.hash,
            residual_exposure_id=occasion.id_of("residual"),
            trigger_source=occasion.trigger.source,
            detail=detail,
        )
        if isinstance(found, SolvedBook) and isinstance(waiting, Waiting):
            message = msgspec.structs.replace(
                message,
                risk_aversion=waiting.internaliser.dealer.risk_aversion,
                risk=found.over_timestep.netted,
                urgency=finite_or_none(waiting.urgency(found.Q)),
                least_risk=finite_or_none(waiting.zone.risk),
                instruments=_instruments(flow, waiting, found.Q, quoted.skew),
            )
        return message, quoted


class _Flow:
    """A configured flow in the solver's terms, with the timestep as the unit of time.

    `names` (k) of its instruments, in the configuration's order; `directions` (k, n) exposure by a unit bought. `key`
    is where it stands in the configuration.
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
        """Raises IllPosed where nothing can be crossed and the limit is to say how averse to risk it is."""
        # What is known of an asset without a covariance is nothing, and neither is what to do in its instruments.
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
        """(k,) what crossing costs; NaN off the markets, without a fresh quote, and where bid and ask are locked."""
        bids, asks = valuation.bids[self._indices], valuation.asks[self._indices]
        live = np.where(valuation.tradeable[self._indices] & (asks > bids), (asks - bids) / (asks + bids), np.nan)
        costs = np.where(np.isnan(self._configured), live + self._fees, self._configured)
        # A configured cost is no way to deal where there is no price.
        costs = np.where(valuation.tradeable[self._indices], costs, np.nan)
        return np.where(np.isnan(self._etas), np.nan, costs)


def _status(found: SolvedBook | UnsolvedBook, waiting: Waiting | IllPosed | None) -> tuple[QuoteStatus, str]:
    """Whether there is a skew, and why not."""
    if isinstance(found, UnsolvedBook):
        return found.status, found.detail
    return ("ok", "") if isinstance(waiting, Waiting) else ("unsolved", str(waiting))


def _material(now: Quoted, last: Quoted, share: float) -> bool:
    """Whether `now` differs so much from `last` that whoever quotes should know."""
    if now.status != last.status or now.flows_hash != last.flows_hash:
        return True
    if now.status != "ok":
        return False
    known = ~np.isnan(now.half_spreads)
    if not np.array_equal(known, ~np.isnan(last.half_spreads)):
        return True
    if not np.array_equal(np.isnan(now.skew), np.isnan(last.skew)):
        return True
    # What only clients deal in is held against what is cheapest to cross; a large skew against itself.
    unit = np.where(known, now.half_spreads, now.half_spreads[known].min(initial=math.inf))
    if (np.abs(now.skew - last.skew) > share * np.maximum(unit, np.abs(last.skew))).any():
        return True
    least, most = sorted((now.least_risk, last.least_risk))
    return most != least and most - least > share * least


def _instruments(flow: _Flow, waiting: Waiting, Q: FloatArray, skew: FloatArray) -> tuple[InstrumentSkew, ...]:
    advice = waiting.internaliser.advise(Q)
    crossable = [index for index in flow.markets if not math.isnan(waiting.half_spreads[index])]
    markets = {index: column for column, index in enumerate(crossable)}
    skews = []
    for index, name in enumerate(flow.names):
        if not waiting.known[index]:
            continue
        column = markets.get(index)
        told = InstrumentSkew(instrument=name, skew_bps=float(skew[index]) / BP)
        if column is not None:
            told = msgspec.structs.replace(
                told,
                half_spread_bps=float(waiting.half_spreads[index]) / BP,
                urgency=finite_or_none(float(advice.urgency[column])),
                hedging_rate=float(advice.hedging_rate[column]),
                threshold=finite_or_none(float(waiting.zone.threshold[column])),
            )
        skews.append(told)
    return tuple(skews)
