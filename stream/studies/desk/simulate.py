"""The closed loop: clients deal at the desk's quotes, prices move, and policies hedge at the market's quotes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.market_making.internalise import Internaliser, implied_risk_aversion
from stream.config import BookConfig
from stream.engine.market.model import Market
from stream.engine.market.valuation import Valuation
from stream.events.types import Timestep
from stream.studies.desk.clients import Requests, poisson_requests
from stream.studies.desk.policies import Policy, flatten, netted_risk, single_best, single_cheapest
from stream.studies.desk.price_paths import PriceRows
from stream.studies.desk.service_in_process import DeskService
from stream.studies.desk.universe import BP, LOT, DeskUniverse

TARGET_SHARE = 0.8
"""Hedges bring the risk back to this share of the limit: the service's default."""


@dataclass(frozen=True)
class Plan:
    """A book: its policy, and the limit of its risk: one standard deviation over one timestep, USD."""

    policy: Policy
    limit: float

    @property
    def name(self) -> str:
        return f"{self.policy} {self.limit:.6g}"

    @property
    def asks_the_service(self) -> bool:
        return self.policy in ("ours", "ours and skew")


@dataclass(frozen=True)
class Outcome:
    """What became of one book; money in USD.

    Attributes
    ----------
    policy, limit : of the plan.
    risk : mean over timesteps of one standard deviation of the position over one timestep, under the true covariance
        where there is one, else under the model's.
    realised_risk : standard deviation of the P&L of one timestep.
    hedge_cost : paid for crossing the bid-ask spread.
    income : earned on clients' trades.
    volume, turnover : what clients dealt, and what the hedges dealt.
    hedges : how often the book hedged.
    """

    policy: Policy
    limit: float
    risk: float
    realised_risk: float
    hedge_cost: float
    income: float
    volume: float
    turnover: float
    hedges: int

    @property
    def internalised(self) -> float:
        """Share of the clients' volume that the desk did not pass on to the market."""
        return 1.0 - self.turnover / self.volume


@dataclass
class _Ledger:
    """One book while it is simulated: `quantities` (n,) units of each asset."""

    plan: Plan
    quantities: FloatArray
    risk_sum: float = 0.0
    hedge_cost: float = 0.0
    income: float = 0.0
    volume: float = 0.0
    turnover: float = 0.0
    hedges: int = 0


def simulate(
    universe: DeskUniverse,
    prices: PriceRows,
    plans: tuple[Plan, ...],
    warm_up_steps: int,
    rng: np.random.Generator,
    refit_every_steps: int,
) -> list[Outcome]:
    """Run every plan on the same prices and the same requests.

    The first `warm_up_steps` rows teach the models; then clients come. In each timestep requests deal at the last mid
    and the quoted markup; the timestep closes at its own mids; books over their limit hedge there, at the quoted cost.

    Parameters
    ----------
    prices : rows of the universe's assets at closes of its timesteps, more than `warm_up_steps` + 1.
    plans : each becomes a book. Those that ask the service are books of one engine.
    warm_up_steps : enough rows for the covariance to be published; β are found after a whole window of them.
    rng : for the clients.
    refit_every_steps : timesteps between two refits of β.

    Returns
    -------
    The outcome of each plan, in order.
    """
    desk = _Desk(universe, plans, refit_every_steps)
    for row in range(warm_up_steps):
        desk.service.close(desk.timestep(prices, row))
    market, _ = desk.service.close(desk.timestep(prices, warm_up_steps))
    steps = len(prices.mids) - warm_up_steps - 1
    n = len(universe.assets)
    requests = poisson_requests(rng, universe.dealer(np.eye(n), 1.0), steps)
    edges = np.searchsorted(requests.step, np.arange(steps + 1))
    changes = np.zeros((len(plans), steps))
    steps_a_day = max(1, round(universe.steps_a_day))
    for step in range(steps):
        row = warm_up_steps + 1 + step
        if step % steps_a_day == 0:
            desk.learn(market)
        desk.deal(requests, slice(edges[step], edges[step + 1]), prices.mids[row - 1])
        # Not a matrix product, whose rounding would depend on the number of books.
        changes[:, step] = (desk.quantities() * (prices.mids[row] - prices.mids[row - 1])).sum(axis=1)
        for ledger in desk.served:
            desk.service.hold(int(prices.end_ns[row]), ledger.plan.name, ledger.quantities)
        timestep = desk.timestep(prices, row)
        market, suggested = desk.service.close(timestep)
        Sigma = market.Sigma if prices.Sigma is None else prices.Sigma
        assert Sigma is not None
        # Once with the positions held to the close, once with those held from it on.
        desk.weigh(prices.mids[row], Sigma)
        desk.hedge(market, suggested)
        desk.weigh(prices.mids[row], Sigma)
    return [
        Outcome(
            policy=ledger.plan.policy,
            limit=ledger.plan.limit,
            risk=ledger.risk_sum / (2 * steps),
            realised_risk=float(np.std(changes[index])),
            hedge_cost=ledger.hedge_cost,
            income=ledger.income,
            volume=ledger.volume,
            turnover=ledger.turnover,
            hedges=ledger.hedges,
        )
        for index, ledger in enumerate(desk.ledgers)
    ]


class _Desk:
    """The books of one run, the service they ask, and the quotes they give."""

    def __init__(self, universe: DeskUniverse, plans: tuple[Plan, ...], refit_every_steps: int) -> None:
        n = len(universe.assets)
        self.universe = universe
        self.ledgers = [_Ledger(plan, np.zeros(n)) for plan in plans]
        self.served = [ledger for ledger in self.ledgers if ledger.plan.asks_the_service]
        self._plain = [ledger for ledger in self.ledgers if ledger.plan.policy != "ours and skew"]
        self._skewed = [ledger for ledger in self.ledgers if ledger.plan.policy == "ours and skew"]
        books = tuple(
            BookConfig(name=ledger.plan.name, limit=ledger.plan.limit, target_share=TARGET_SHARE)
            for ledger in self.served
        ) or (BookConfig(name="nobody", limit=1.0),)
        self.service = DeskService(universe.config(books, refit_every_steps))
        self._half_spreads = BP * np.array([pair.half_spread_bps for pair in universe.pairs])
        indices = {asset: index for index, asset in enumerate((*universe.assets, "USD"))}
        self._bases = np.array([indices[pair.base] for pair in universe.pairs])
        self._quotes = np.array([indices[pair.quote] for pair in universe.pairs])
        unskewed = universe.dealer(np.eye(n), 1.0)
        self._directions = np.array([stream.direction for stream in unskewed.streams])
        self._sizes = np.array([stream.sizes for stream in unskewed.streams])
        quotes = [float(stream.demand.quote(np.zeros(()))) for stream in unskewed.streams]
        self._markups = np.array(quotes)
        self._shares = np.array(
            [
                float(stream.demand.share(np.array(quote)))
                for stream, quote in zip(unskewed.streams, quotes, strict=True)
            ]
        )
        self._internalisers: list[Internaliser] = []

    def timestep(self, prices: PriceRows, row: int) -> Timestep:
        """Quotes of every pair at the mids of `row`."""
        worth = np.append(prices.mids[row], 1.0)
        mids = worth[self._bases] / worth[self._quotes]
        end_ns = int(prices.end_ns[row])
        return Timestep(
            index=end_ns // round(self.universe.timestep_s * 1e9),
            end_ns=end_ns,
            bids=mids * (1.0 - self._half_spreads),
            asks=mids * (1.0 + self._half_spreads),
            quoted_at_ns=np.full(len(mids), end_ns, dtype=np.int64),
        )

    def quantities(self) -> FloatArray:
        """(books, n) units of each asset."""
        return np.array([ledger.quantities for ledger in self.ledgers])

    def learn(self, market: Market) -> None:
        """Solve the quotes of the books that skew, from the covariance that the service publishes."""
        assert market.Sigma is not None
        dealer = self.universe.dealer(market.Sigma, 1.0)
        # With this risk aversion the limit is the least risk at which a hedge is worth its cost.
        self._internalisers = [
            Internaliser(replace(dealer, risk_aversion=implied_risk_aversion(dealer, ledger.plan.limit)))
            for ledger in self._skewed
        ]

    def deal(self, requests: Requests, arrived: slice, mids: FloatArray) -> None:
        """Let the clients who `arrived` deal: with plain books at fixed markups, with books that skew one by one."""
        stream, size = requests.stream[arrived], requests.size[arrived]
        patience = requests.patience[arrived]
        amounts = self._sizes[stream, size]
        dealt = patience < self._shares[stream]
        bought = (amounts[dealt, None] * self._directions[stream[dealt]]).sum(axis=0) / mids
        volume, income = float(amounts[dealt].sum()), float(amounts[dealt] @ self._markups[stream[dealt]])
        for ledger in self._plain:
            ledger.quantities = ledger.quantities + bought
            ledger.volume += volume
            ledger.income += income
        for ledger, internaliser in zip(self._skewed, self._internalisers, strict=True):
            y = ledger.quantities * mids
            for each, index, amount, last in zip(
                stream.tolist(), size.tolist(), amounts.tolist(), patience.tolist(), strict=True
            ):
                markup = internaliser.markups(y, each)[index]
                if last < internaliser.dealer.streams[each].demand.share(markup):
                    y = y + amount * self._directions[each]
                    ledger.volume += amount
                    ledger.income += amount * float(markup)
            ledger.quantities = y / mids

    def weigh(self, mids: FloatArray, Sigma: FloatArray) -> None:
        """Add the risk of the positions held now."""
        for ledger in self.ledgers:
            ledger.risk_sum += netted_risk(ledger.quantities * mids, Sigma)

    def hedge(self, market: Market, suggested: dict[str, IntArray]) -> None:
        """Let every book that is over its limit trade, at half the bid-ask spread."""
        valuation = market.valuation
        assert market.Sigma is not None
        for ledger in self.ledgers:
            lots = self._lots(ledger, valuation, market.Sigma, suggested)
            if lots is None or not lots.any():
                continue
            ledger.quantities = ledger.quantities + (valuation.exposures @ lots) / valuation.prices
            ledger.hedge_cost += float(valuation.cost_per_lot @ np.abs(lots))
            ledger.turnover += float(self._notionals(valuation) @ np.abs(lots))
            ledger.hedges += 1

    def _lots(
        self, ledger: _Ledger, valuation: Valuation, Sigma: FloatArray, suggested: dict[str, IntArray]
    ) -> IntArray | None:
        plan = ledger.plan
        if plan.asks_the_service:
            return suggested.get(plan.name)
        Q = ledger.quantities * valuation.prices
        if plan.policy == "no hedge" or netted_risk(Q, Sigma) <= plan.limit:
            return None
        if plan.policy == "flatten":
            return flatten(Q, valuation.exposures)
        if plan.policy == "single best":
            return single_best(Q, valuation.exposures, Sigma)
        return single_cheapest(Q, valuation.exposures, Sigma, valuation.cost_per_lot, TARGET_SHARE * plan.limit)

    def _notionals(self, valuation: Valuation) -> FloatArray:
        """(m,) USD that one lot of each pair deals."""
        notionals: FloatArray = LOT * np.append(valuation.prices, 1.0)[self._bases]
        return notionals
