"""`engine.step(state, event)`: what one event changes, and the messages that it causes. Without I/O.

There is no other way to an output. A live run, a replay and the recovery after a crash all go through here, so they
cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from schemas.outbound import Alert, DeadLetter, HedgeSuggestion, Model, QuoteSkew, ResidualExposure
from stream.config import BookConfig, Config
from stream.engine.alerts import Condition, Moment, alert_key, update_alert
from stream.engine.book.in_flight import take_report
from stream.engine.book.solve import BookSolver
from stream.engine.book.solved import Trigger
from stream.engine.book.state import BookState
from stream.engine.conditions import (
    feed_condition,
    limit_condition,
    overdue_condition,
    price_condition,
    refit_condition,
    relationship_conditions,
    unsolved_condition,
)
from stream.engine.dead_letter import dead_letter
from stream.engine.market.message import model_message
from stream.engine.market.model import Market, MarketModel, MarketState
from stream.engine.runtime import Runtime
from stream.events.types import LATEST_NS, EngineEvent, FeedSilence, PositionLevel, Refused, Timestep, TradeReport

Output = ResidualExposure | HedgeSuggestion | QuoteSkew | Alert | Model | DeadLetter


@dataclass
class EngineState:
    """All that the next step depends on. `alerts` holds the keys of the alerts that stand."""

    market: MarketState
    books: dict[str, BookState]
    latest: Market | None = None
    alerts: set[str] = field(default_factory=set)
    silences: int = 0


class Engine:
    """The rules of one configuration. Holds nothing that changes between steps."""

    def __init__(self, config: Config, runtime: Runtime | None = None) -> None:
        runtime = runtime or Runtime()
        self._config = config
        self._market = MarketModel(config, runtime.submit, runtime.patient)
        self._solver = BookSolver(config, runtime)
        self._books = {book.name: book for book in config.books}

    def new_state(self) -> EngineState:
        """Nothing seen yet."""
        n = len(self._config.universe.assets)
        return EngineState(
            market=self._market.new_state(),
            books={name: BookState(quantities=np.zeros(n)) for name in self._books},
        )

    def resume(self, state: EngineState) -> None:
        """Start again the refit that was running when the snapshot of `state` was taken."""
        self._market.refits.resume(state.market.refits)

    def step(self, state: EngineState, event: EngineEvent) -> tuple[EngineState, list[Output]]:
        """The state after `event`, and the messages it causes, in the order in which they are published.

        For speed `state` itself is changed and returned: the old one is gone.
        """
        match event:
            case Timestep():
                return state, self._timestep(state, event)
            case PositionLevel():
                return state, self._position(state, event)
            case TradeReport():
                return state, self._report(state, event)
            case Refused():
                return state, [dead_letter(event)]
            case FeedSilence():
                return state, self._feed_silence(state, event)

    def _timestep(self, state: EngineState, timestep: Timestep) -> list[Output]:
        before = {beta.beta_id for beta in state.latest.betas} if state.latest else set[str]()
        market = self._market.advance(state.market, timestep)
        packed_in = {
            beta_id: sorted(name for name, book in state.books.items() if beta_id in book.multiples)
            for beta_id in sorted(before - {beta.beta_id for beta in market.betas})
        }
        newly_unpriced = self._unpriced_assets(market) - (
            self._unpriced_assets(state.latest) if state.latest else set[str]()
        )
        state.latest = market
        moment = Moment(timestep.end_ns, timestep.index, str(timestep.index))
        conditions = [
            *self._price_conditions(state, market, newly_unpriced),
            *relationship_conditions(
                market, packed_in, self._config.universe.timestep_ns, self._config.reversion.holdout_steps
            ),
            refit_condition(market, self._config.universe.name),
        ]
        outputs: list[Output] = [model_message(self._config, market), *_update_alerts(state, conditions, moment)]
        trigger = Trigger("timestep", timestep.end_ns, str(timestep.index))
        known = [book for book in self._config.books if state.books[book.name].has_positions]
        return outputs + self._solve(state, known, market, trigger)

    def _position(self, state: EngineState, position: PositionLevel) -> list[Output]:
        book_state = state.books[position.book]
        book_state.has_positions = True
        if position.asset is not None:
            if position.dated and position.event_time_ns < book_state.as_of_ns.get(position.asset, 0):
                return []  # repeated or late: the book already has a newer level
            book_state.quantities[position.asset] = position.quantity
            if position.dated:
                book_state.as_of_ns[position.asset] = position.event_time_ns
            book_state.position_ns[position.asset] = position.event_time_ns
        if state.latest is None:
            return []  # no price was ever seen: the first timestep solves the book
        return self._solve_at(state, position, "position", position.source)

    def _report(self, state: EngineState, report: TradeReport) -> list[Output]:
        """Apply a report of a trade. Solve the book again if what is in flight, or what was refused, has changed."""
        book_state = state.books[report.book]
        trades, standing = book_state.trades, book_state.standing
        before = book_state.in_flight, [trade.refused_ns for trade in trades]
        heard_ns = self._now_ns(state, report)
        unusable = take_report(trades, report, heard_ns, standing.suggestion_id if standing else None)
        if unusable:
            return [dead_letter(Refused(report.record, "unknown-trade", unusable, report.content_type))]
        same = np.array_equal(before[0], book_state.in_flight) and before[1] == [trade.refused_ns for trade in trades]
        if state.latest is None or same:
            return []
        source = f"{report.record.topic}[{report.record.partition}]@{report.record.offset}"
        return self._solve_at(state, report, "hedge-status", source)

    def _solve_at(
        self,
        state: EngineState,
        event: PositionLevel | TradeReport,
        kind: Literal["position", "hedge-status"],
        source: str,
    ) -> list[Output]:
        """Solve the book that `event` is about, on the latest prices as they are known at its time."""
        assert state.latest is not None
        event_time_ns = self._now_ns(state, event)
        silent = alert_key("feed-silent", self._config.universe.name) in state.alerts
        # An event without a time of its own does not tell how old the prices are. A silent feed does: too old.
        market = self._market.at(state.latest, LATEST_NS if silent and not event.dated else event_time_ns)
        return self._solve(state, [self._books[event.book]], market, Trigger(kind, event_time_ns, source))

    def _now_ns(self, state: EngineState, event: PositionLevel | TradeReport) -> int:
        """The event time at which `event` takes effect.

        An event without a time of its own has that of its record, moved into the open timestep. In a replay of old
        prices the record's time lies far after that timestep. It lies before it where quotes are dated ahead of the
        broker's clock.
        """
        if event.dated or state.latest is None:
            return event.event_time_ns
        opened_ns = state.latest.end_ns
        return min(max(event.event_time_ns, opened_ns), opened_ns + self._config.universe.timestep_ns)

    def _solve(self, state: EngineState, books: list[BookConfig], market: Market, trigger: Trigger) -> list[Output]:
        moment = Moment(trigger.event_time_ns, market.timestep, trigger.source)
        warming_up = market.observations < self._config.covariance.min_observations
        results = self._solver.solve([(book, state.books[book.name]) for book in books], market, trigger)
        outputs: list[Output] = []
        universe, horizon_steps = self._config.universe, self._config.risk.horizon_steps
        for book, result in zip(books, results, strict=True):
            outputs += [each for each in (result.residual, result.suggestion, result.quote) if each is not None]
            conditions = [
                limit_condition(result.found, universe.numeraire, horizon_steps),
                unsolved_condition(result.found, warming_up),
                overdue_condition(book, state.books[book.name]),
            ]
            outputs += _update_alerts(state, conditions, moment)
        return outputs

    def _unpriced_assets(self, market: Market) -> set[str]:
        assets = self._config.universe.assets
        return {asset for asset, missing in zip(assets, market.valuation.unpriced, strict=True) if missing}

    def _price_conditions(self, state: EngineState, market: Market, newly_unpriced: set[str]) -> list[Condition]:
        unpriced, universe = self._unpriced_assets(market), self._config.universe
        return [
            price_condition(
                asset,
                [name for name, book in state.books.items() if book.quantities[index] != 0],
                missing=asset in unpriced,
                went_stale=asset in newly_unpriced and not np.isnan(state.market.log_prices[index]),
                max_price_age_s=universe.max_price_age_s,
            )
            for index, asset in enumerate(universe.assets)
        ]

    def _feed_silence(self, state: EngineState, silence: FeedSilence) -> list[Output]:
        timestep, end_ns = (state.latest.timestep, state.latest.end_ns) if state.latest else (0, 0)
        state.silences += silence.silent
        condition = feed_condition(self._config.universe, silence.silent)
        return _update_alerts(state, [condition], Moment(end_ns, timestep, f"{timestep}/{state.silences}"))


def _update_alerts(state: EngineState, conditions: Iterable[Condition], moment: Moment) -> list[Output]:
    """Raise and clear alerts in `state`. Returns the messages of those that `conditions` changed."""
    alerts = (update_alert(state.alerts, condition, moment) for condition in conditions)
    return [alert for alert in alerts if alert]
