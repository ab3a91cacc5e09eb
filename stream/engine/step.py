"""`engine.step(state, event)`: what one event changes, and the messages that it causes. Without I/O.

There is no other way to an output. A live run, a replay and the recovery after a crash all go through here, so they
cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from schemas.outbound import Alert, DeadLetter, HedgeSuggestion, Model, QuoteSkew, RefusedSummary, ResidualExposure
from stream.config import BookConfig, Config
from stream.engine.alerts import Condition, Moment, alert_key, standing_subjects, update_alert
from stream.engine.book.doubts import InputGaps
from stream.engine.book.in_flight import take_report
from stream.engine.book.solve import BookSolver
from stream.engine.book.solved import SolvedBook, Trigger
from stream.engine.book.state import BookState
from stream.engine.completeness import Completeness
from stream.engine.conditions.books import (
    incomplete_condition,
    left_condition,
    limit_condition,
    overdue_condition,
    rebuilt_condition,
    unsolved_condition,
    waiting_condition,
)
from stream.engine.conditions.feeds import ahead_conditions, feed_condition, late_conditions
from stream.engine.conditions.prices import doubt_conditions, price_condition
from stream.engine.conditions.relationships import refit_condition, relationship_conditions
from stream.engine.market.message import model_message
from stream.engine.market.model import Market, MarketModel, MarketState
from stream.engine.refusals.rules import Refusals
from stream.engine.refusals.state import RefusalsState
from stream.engine.runtime import Runtime
from stream.events.types import (
    LATEST_NS,
    BooksChanged,
    EngineEvent,
    FeedSilence,
    LevelsMissing,
    LogEnd,
    PositionLevel,
    PositionsCompacted,
    PositionsConfirmed,
    Rebuilt,
    Refused,
    Timestep,
    TradeReport,
    Waiting,
)

Output = ResidualExposure | HedgeSuggestion | QuoteSkew | Alert | Model | DeadLetter | RefusedSummary


@dataclass
class EngineState:
    """All that the next step depends on.

    `alerts` holds the keys of the alerts that stand. `earlier_alerts` are those that stood when a rebuild began, until
    it is through: whoever reads `alerts` takes them for standing.
    """

    market: MarketState
    books: dict[str, BookState]
    latest: Market | None = None
    alerts: set[str] = field(default_factory=set)
    silences: int = 0
    gaps: InputGaps = field(default_factory=InputGaps)
    earlier_alerts: tuple[str, ...] = ()
    refused: RefusalsState = field(default_factory=dict)


class Engine:
    """The rules of one configuration. Holds nothing that changes between steps."""

    def __init__(self, config: Config, runtime: Runtime | None = None) -> None:
        runtime = runtime or Runtime()
        self._config = config
        self._market = MarketModel(config, runtime.submit, runtime.patient)
        self._solver = BookSolver(config, runtime)
        self._completeness = Completeness(config)
        self._refusals = Refusals(config)
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
                return state, self._refused(state, event)
            case FeedSilence():
                return state, self._feed_silence(state, event)
            case PositionsConfirmed():
                return state, self._confirmed(state, event)
            case LevelsMissing():
                marked = self._completeness.missing(state.books, state.gaps, event)
                return state, self._marked(state, marked, _unlogged(state, f"{event.key}/{sum(event.ends.values())}"))
            case PositionsCompacted():
                state.gaps.compacted_ends = event.ends
                return state, []
            case BooksChanged():
                return state, self._books_changed(state, event)
            case Rebuilt():
                return state, self._rebuilt(state)
            case Waiting():
                return state, self._waiting(state, event)
            case LogEnd():
                return state, [*self._refusals.at_log_end(state.refused)]

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
        holders = self._holders(state)
        conditions = [
            *self._price_conditions(state, market, newly_unpriced, holders),
            *doubt_conditions(market, self._config.universe.assets, state.alerts, holders),
            *relationship_conditions(
                market, packed_in, self._config.universe.timestep_ns, self._config.reversion.holdout_steps
            ),
            refit_condition(market, self._config.universe.name),
            *late_conditions(timestep.late, standing_subjects(state.alerts, "quotes-late")),
            *ahead_conditions(timestep.ahead, standing_subjects(state.alerts, "clock-ahead")),
        ]
        outputs: list[Output] = [model_message(self._config, market), *_update_alerts(state, conditions, moment)]
        outputs += self._refusals.at_timestep(state.refused, state.alerts, timestep.end_ns, timestep.index)
        trigger = Trigger("timestep", timestep.end_ns, str(timestep.index))
        known = [book for book in self._config.books if state.books[book.name].is_shown]
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
        alerts = []
        if self._completeness.level(book_state, state.gaps, position):
            alerts = self._marked(state, [position.book], _now(state, position.source))
        if state.latest is None:
            return alerts  # no price was ever seen: the first timestep solves the book
        return alerts + self._solve_at(state, position, "position", position.source)

    def _confirmed(self, state: EngineState, statement: PositionsConfirmed) -> list[Output]:
        """Take what the book holds from the statement where it says so, and drop the doubts that it settles."""
        book_state = state.books[statement.book]
        book_state.has_positions = True
        for asset, quantity in enumerate(statement.quantities or ()):
            if statement.dated and statement.event_time_ns < book_state.as_of_ns.get(asset, 0):
                continue
            book_state.quantities[asset] = quantity
            if statement.dated:
                book_state.as_of_ns[asset] = statement.event_time_ns
            book_state.position_ns[asset] = statement.event_time_ns
        alerts = []
        if self._completeness.confirmed(book_state, statement):
            alerts = self._marked(state, [statement.book], _now(state, statement.source))
        if state.latest is None:
            return alerts
        return alerts + self._solve_at(state, statement, "position", statement.source)

    def _refused(self, state: EngineState, refused: Refused) -> list[Output]:
        """Keep the record or count it, and say so if there are many. Mark the books that lack a level now.

        These are published at once: nobody may read the figures from before as complete.
        """
        source = refused.record.source
        now = _now(state, source)
        outputs: list[Output] = [
            *self._refusals.take(state.refused, state.alerts, refused, now.event_time_ns, now.timestep)
        ]
        marked = self._completeness.refused(state.books, state.gaps, refused)
        outputs += self._marked(state, marked, now)
        if state.latest is not None and marked:
            silent = alert_key("feed-silent", self._config.universe.name) in state.alerts
            market = self._market.at(state.latest, LATEST_NS if silent else state.latest.end_ns)
            trigger = Trigger("position", state.latest.end_ns, source)
            outputs += self._solve(state, [self._books[name] for name in marked], market, trigger)
        return outputs

    def _marked(self, state: EngineState, books: Iterable[str], moment: Moment) -> list[Output]:
        """The alerts of books whose doubts have changed."""
        return _update_alerts(state, [incomplete_condition(name, state.books[name]) for name in books], moment)

    def _books_changed(self, state: EngineState, changed: BooksChanged) -> list[Output]:
        moment = _unlogged(state, "configuration")
        cleared = _update_alerts(state, map(left_condition, changed.left_alerts), moment)
        return cleared + self._marked(state, changed.joined, moment)

    def _rebuilt(self, state: EngineState) -> list[Output]:
        """Clear the alerts that stood before the rebuild and that it did not find again.

        The limit of an incomplete book stays as it is: a part of what breached it may be missing.
        """
        lost = sorted(set(state.earlier_alerts) - state.alerts)
        state.earlier_alerts = ()
        unknown = {alert_key("limit-breach", name) for name, book in state.books.items() if book.doubts}
        state.alerts.update(lost)
        conditions = [rebuilt_condition(key) for key in lost if key not in unknown]
        return _update_alerts(state, conditions, _unlogged(state, "rebuilt"))

    def _waiting(self, state: EngineState, waiting: Waiting) -> list[Output]:
        timesteps = 0 if state.latest is None else state.latest.timestep
        needed = self._config.covariance.min_observations
        conditions = [
            waiting_condition(name, True, timesteps, needed)
            for name in waiting.books
            if state.books[name].is_shown and not state.books[name].answered
        ]
        return _update_alerts(state, conditions, _unlogged(state, "waiting"))

    def _report(self, state: EngineState, report: TradeReport) -> list[Output]:
        """Apply a report of a trade. Solve the book again if what is in flight, or what was refused, has changed."""
        book_state = state.books[report.book]
        trades, standing = book_state.trades, book_state.standing
        before = book_state.in_flight, [trade.refused_ns for trade in trades]
        heard_ns = self._now_ns(state, report)
        unusable = take_report(trades, report, heard_ns, standing.suggestion_id if standing else None)
        if unusable:
            return self._refused(state, Refused(report.record, "unknown-trade", unusable, report.content_type))
        same = np.array_equal(before[0], book_state.in_flight) and before[1] == [trade.refused_ns for trade in trades]
        if state.latest is None or same:
            return []
        return self._solve_at(state, report, "hedge-status", report.record.source)

    def _solve_at(
        self,
        state: EngineState,
        event: PositionLevel | PositionsConfirmed | TradeReport,
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

    def _now_ns(self, state: EngineState, event: PositionLevel | PositionsConfirmed | TradeReport) -> int:
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
            answered = isinstance(result.found, SolvedBook)
            state.books[book.name].answered |= answered
            conditions = [
                waiting_condition(book.name, False if answered else None, market.timestep, 0),
                limit_condition(result.found, universe.numeraire, horizon_steps),
                unsolved_condition(result.found, warming_up),
                overdue_condition(book, state.books[book.name]),
            ]
            outputs += _update_alerts(state, conditions, moment)
        return outputs

    def _unpriced_assets(self, market: Market) -> set[str]:
        assets = self._config.universe.assets
        return {asset for asset, missing in zip(assets, market.valuation.unpriced, strict=True) if missing}

    def _price_conditions(
        self, state: EngineState, market: Market, newly_unpriced: set[str], holders: list[list[str]]
    ) -> list[Condition]:
        unpriced, universe = self._unpriced_assets(market), self._config.universe
        return [
            price_condition(
                asset,
                holders[index],
                missing=asset in unpriced,
                went_stale=asset in newly_unpriced and not np.isnan(state.market.log_prices[index]),
                max_price_age_s=universe.max_price_age_s,
            )
            for index, asset in enumerate(universe.assets)
        ]

    def _holders(self, state: EngineState) -> list[list[str]]:
        """By asset, the names of the books that hold it."""
        return [
            [name for name, book in state.books.items() if book.quantities[index] != 0]
            for index in range(len(self._config.universe.assets))
        ]

    def _feed_silence(self, state: EngineState, silence: FeedSilence) -> list[Output]:
        state.silences += silence.silent
        refused, why = self._refusals.instead_of_quotes(state.refused)
        condition = feed_condition(self._config.universe, silence.silent, why)
        # The wall clock decides how many were refused until now. Another number makes another message.
        which = f"{state.silences}" + (f"/{refused}" if silence.silent and refused else "")
        return _update_alerts(state, [condition], _unlogged(state, which))


def _now(state: EngineState, source: str) -> Moment:
    """The latest timestep, as the moment of something that `source` changed."""
    timestep, end_ns = (state.latest.timestep, state.latest.end_ns) if state.latest else (0, 0)
    return Moment(end_ns, timestep, source)


def _unlogged(state: EngineState, what: str) -> Moment:
    """The same for something that is in no record: the timestep tells two of a kind apart."""
    timestep = state.latest.timestep if state.latest else 0
    return _now(state, f"{timestep}/{what}")


def _update_alerts(state: EngineState, conditions: Iterable[Condition], moment: Moment) -> list[Output]:
    """Raise and clear alerts in `state`. Returns the messages of those that `conditions` changed."""
    alerts = (update_alert(state.alerts, condition, moment) for condition in conditions)
    return [alert for alert in alerts if alert]
