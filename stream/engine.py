"""`engine.step(state, event)`: what one event changes and what it makes known. No I/O, and no other way to an output.

A live run, a replay and the recovery after a crash all go through here, so they cannot differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from schemas.outbound import (
    Alert,
    DeadLetter,
    HedgeSuggestion,
    LongerCovariance,
    Model,
    ModelBeta,
    QuoteSkew,
    ResidualExposure,
)
from solver.arrays import FloatArray
from solver.packing.methods.many_books import MapOver
from stream.alerts import Condition, Moment, update_alert
from stream.book_state import BookState
from stream.books import BookSolver, SolveStage, Trigger, finite_or_none
from stream.clock import Clock
from stream.config import BookConfig, Config
from stream.events import LATEST_NS, EngineEvent, FeedSilence, PositionLevel, Refused, Timestep, TradeReport
from stream.in_flight import take_report
from stream.log import MAX_RECORD_BYTES
from stream.market import Market, MarketModel, MarketState
from stream.refits import Submit
from stream.suggestion import risk_name

Output = ResidualExposure | HedgeSuggestion | QuoteSkew | Alert | Model | DeadLetter

DEAD_LETTER_VALUE_MAX = MAX_RECORD_BYTES * 5 // 8
"""Base64 makes four bytes of three, and the rest of the letter needs its place too."""


@dataclass
class EngineState:
    """All that the next step depends on. `alerts` holds the keys of those that stand."""

    market: MarketState
    books: dict[str, BookState]
    latest: Market | None = None
    alerts: set[str] = field(default_factory=set)
    silences: int = 0


class Engine:
    """The rules of one configuration. Holds nothing that changes between steps."""

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        timed: Callable[[SolveStage], AbstractContextManager[object]] = lambda stage: nullcontext(),
        map_over: MapOver = map,
        submit: Submit | None = None,
        patient: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._market = MarketModel(config, submit, patient)
        self._solver = BookSolver(config, clock, timed, map_over)
        self._books = {book.name: book for book in config.books}

    def new_state(self) -> EngineState:
        """Nothing seen yet."""
        n = len(self._config.universe.assets)
        return EngineState(
            market=self._market.new_state(),
            books={name: BookState(quantities=np.zeros(n)) for name in self._books},
        )

    def resume(self, state: EngineState) -> None:
        """Start again what ran beside the steps when `state` was kept."""
        self._market.refits.resume(state.market.refits)

    def step(self, state: EngineState, event: EngineEvent) -> tuple[EngineState, list[Output]]:
        """The state after `event`, and the messages it causes, in the order in which they are published.

        `state` is taken over: it is changed in place for speed, and the caller goes on with the one returned.
        """
        match event:
            case Timestep():
                return state, self._timestep(state, event)
            case PositionLevel():
                return state, self._position(state, event)
            case TradeReport():
                return state, self._report(state, event)
            case Refused():
                return state, [self._dead_letter(event)]
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
        outputs: list[Output] = [self._model_message(market)]
        outputs += self._price_alerts(state, market, newly_unpriced, moment)
        outputs += self._relationship_alerts(state, market, packed_in, moment)
        failed = update_alert(state.alerts, _refit_condition(market, self._config.universe.name), moment)
        if failed:
            outputs.append(failed)
        trigger = Trigger("timestep", timestep.end_ns, str(timestep.index))
        known = [book for book in self._config.books if state.books[book.name].has_positions]
        return outputs + self._solve(state, known, market, trigger)

    def _position(self, state: EngineState, position: PositionLevel) -> list[Output]:
        book_state = state.books[position.book]
        book_state.has_positions = True
        if position.asset is not None:
            if position.dated and position.event_time_ns < book_state.as_of_ns.get(position.asset, 0):
                return []  # sent again, or late: the book holds a newer level already
            book_state.quantities[position.asset] = position.quantity
            if position.dated:
                book_state.as_of_ns[position.asset] = position.event_time_ns
            book_state.position_ns[position.asset] = position.event_time_ns
        if state.latest is None:
            return []  # no price was ever seen: the first timestep solves the book
        return self._solve_at(state, position, "position", position.source)

    def _report(self, state: EngineState, report: TradeReport) -> list[Output]:
        """What became of a trade: what is in flight changes, and with it the book."""
        book_state = state.books[report.book]
        trades, standing = book_state.trades, book_state.standing
        before = book_state.in_flight, [trade.refused_ns for trade in trades]
        heard_ns = self._now_ns(state, report)
        unusable = take_report(trades, report, heard_ns, standing.suggestion_id if standing else None)
        if unusable:
            return [self._dead_letter(Refused(report.record, "unknown-trade", unusable, report.content_type))]
        same = np.array_equal(before[0], book_state.in_flight) and before[1] == [trade.refused_ns for trade in trades]
        if state.latest is None or same:
            return []
        source = f"{report.record.topic}[{report.record.partition}]@{report.record.offset}"
        return self._solve_at(state, report, "hedge-status", source)

    def _solve_at(
        self,
        state: EngineState,
        told: PositionLevel | TradeReport,
        kind: Literal["position", "hedge-status"],
        source: str,
    ) -> list[Output]:
        """Solve the book that `told` is about, on the latest prices as they are known at its time."""
        assert state.latest is not None
        event_time_ns = self._now_ns(state, told)
        silent = f"feed-silent:{self._config.universe.name}" in state.alerts
        # What has no time of its own says nothing of how old the prices are, but the silence does.
        market = self._market.at(state.latest, LATEST_NS if silent and not told.dated else event_time_ns)
        return self._solve(state, [self._books[told.book]], market, Trigger(kind, event_time_ns, source))

    def _now_ns(self, state: EngineState, told: PositionLevel | TradeReport) -> int:
        """The event time at which `told` takes effect.

        What has no time of its own has that of its record, within the timestep that is open: in a replay of old prices
        records lie far beyond it, and before it where quotes are dated ahead of the broker's clock.
        """
        if told.dated or state.latest is None:
            return told.event_time_ns
        opened_ns = state.latest.end_ns
        return min(max(told.event_time_ns, opened_ns), opened_ns + self._config.universe.timestep_ns)

    def _solve(self, state: EngineState, books: list[BookConfig], market: Market, trigger: Trigger) -> list[Output]:
        moment = Moment(trigger.event_time_ns, market.timestep, trigger.source)
        warming_up = market.observations < self._config.covariance.min_observations
        results = self._solver.solve([(book, state.books[book.name]) for book in books], market, trigger)
        outputs: list[Output] = []
        for book, result in zip(books, results, strict=True):
            outputs.append(result.residual)
            if result.suggestion is not None:
                outputs.append(result.suggestion)
            if result.quote is not None:
                outputs.append(result.quote)
            for condition in (
                _limit_condition(book, result.residual),
                _unsolved_condition(book, result.residual, warming_up),
                _overdue_condition(book, state.books[book.name]),
            ):
                alert = update_alert(state.alerts, condition, moment)
                if alert:
                    outputs.append(alert)
        return outputs

    def _unpriced_assets(self, market: Market) -> set[str]:
        assets = self._config.universe.assets
        return {asset for asset, missing in zip(assets, market.valuation.unpriced, strict=True) if missing}

    def _price_alerts(
        self, state: EngineState, market: Market, newly_unpriced: set[str], moment: Moment
    ) -> list[Output]:
        """One alert an asset: raised when its price goes stale, or was never there and a book holds the asset."""
        alerts: list[Output] = []
        unpriced = self._unpriced_assets(market)
        max_age_s = self._config.universe.max_price_age_s
        for place, asset in enumerate(self._config.universe.assets):
            holders = [name for name, book in state.books.items() if book.quantities[place] != 0]
            missing = asset in unpriced
            holds: bool | None = missing
            if missing and not holders and (asset not in newly_unpriced or np.isnan(state.market.log_prices[place])):
                holds = None  # not listed yet, and nobody holds it
            message = f"no price of {asset} within {max_age_s:g} s"
            if holders:
                message += f": not solved while it lasts: {', '.join(holders)}"
            condition = Condition(
                kind="price-stale",
                subject=asset,
                severity="critical" if holders else "warning",
                holds=holds,
                message=message if missing else f"{asset} has a price again",
            )
            alert = update_alert(state.alerts, condition, moment)
            if alert:
                alerts.append(alert)
        return alerts

    def _relationship_alerts(
        self, state: EngineState, market: Market, packed_in: dict[str, list[str]], moment: Moment
    ) -> list[Output]:
        """A β that books rely on and that broke, or that the refit no longer accepts: its lots are in the residual."""
        reasons = {
            broken.beta_id: f"broke, with a step of {broken.deviations:+.1f} deviations of what its evidence allows"
            for broken in market.retirements
        }
        conditions = [
            Condition(
                kind="relationship-broken",
                subject=beta_id,
                severity="critical",
                holds=True,
                message=f"{beta_id} {reasons.get(beta_id, 'is no longer accepted')}; "
                f"its lots are back in the residual of {', '.join(books)}",
            )
            for beta_id, books in packed_in.items()
            if books
        ]
        conditions += [
            Condition(
                kind="relationship-broken",
                subject=beta.beta_id,
                severity="critical",
                holds=False,
                message=f"{beta.beta_id} is accepted again",
            )
            for beta in market.betas
        ]
        alerts = (update_alert(state.alerts, condition, moment) for condition in conditions)
        return [alert for alert in alerts if alert]

    def _feed_silence(self, state: EngineState, silence: FeedSilence) -> list[Output]:
        timestep, end_ns = (state.latest.timestep, state.latest.end_ns) if state.latest else (0, 0)
        state.silences += silence.silent
        limit_s = self._config.universe.feed_silent_after_s
        condition = Condition(
            kind="feed-silent",
            subject=self._config.universe.name,
            severity="critical",
            holds=silence.silent,
            # Nothing that the clock measured: after a crash the same id must have the same bytes.
            message=f"no quote for {limit_s:g} s" if silence.silent else "quotes are back",
            limit=limit_s,
        )
        alert = update_alert(state.alerts, condition, Moment(end_ns, timestep, f"{timestep}/{state.silences}"))
        return [alert] if alert else []

    def _model_message(self, market: Market) -> Model:
        universe, reversion = self._config.universe, self._config.reversion
        prices = market.valuation.prices
        return Model(
            id=f"model/{universe.name}/{market.timestep}/{market.version}",
            universe=universe.name,
            numeraire=universe.numeraire,
            event_time_ns=market.end_ns,
            timestep=market.timestep,
            model_version=market.version,
            assets=universe.assets,
            prices=tuple(None if np.isnan(price) else float(price) for price in prices),
            priced_by=tuple(
                tuple(self._config.instruments[place].name for place in path) for path in market.valuation.priced_by
            ),
            covariance=_rows(market.Sigma),
            covariance_assets=_assets(market.Sigma, universe.assets),
            observations=market.observations,
            asset_observations=tuple(market.asset_observations.tolist()),
            longer_covariances=tuple(
                LongerCovariance(
                    every_steps=longer.every_steps,
                    timestep_ns=longer.every_steps * universe.timestep_ns,
                    assets=_assets(longer.Sigma, universe.assets),
                    covariance=_rows(longer.Sigma),
                    observations=longer.observations,
                )
                for longer in market.longer
            ),
            candidates_tried=market.candidates_tried,
            refusals=market.refusals,
            refitted_at_timestep=market.refitted_at_timestep,
            refit_late=market.refit_late,
            betas=tuple(
                ModelBeta(
                    beta_id=beta.beta_id,
                    method=beta.vector.method,
                    evidence=beta.vector.evidence,
                    weights={
                        asset: float(weight)
                        for asset, weight in zip(universe.assets, beta.vector.weights, strict=True)
                        if weight
                    },
                    basis_ratio=beta.vector.basis_ratio,
                    basis_horizon_steps=reversion.basis_horizon_steps,
                    half_life_steps=beta.vector.half_life_steps,
                    spread_volatility=beta.vector.spread_volatility,
                    deviation=beta.vector.deviation,
                    statistic=beta.vector.statistic,
                    version=beta.version,
                    age_steps=market.steps - beta.since_step,
                    basis_ratio_upper=finite_or_none(beta.vector.basis_ratio_upper),
                    p_value=beta.vector.p_value,
                    adjustment={
                        asset: float(speed)
                        for asset, speed in zip(universe.assets, beta.vector.adjustment, strict=True)
                        if speed and "reverting" in beta.vector.evidence
                    },
                )
                for beta in market.betas
            ),
        )

    def _dead_letter(self, refused: Refused) -> DeadLetter:
        record = refused.record
        value, detail = record.value, refused.detail
        if value is not None and len(value) > DEAD_LETTER_VALUE_MAX:
            # Only on topics that allow records above our own: the letter itself must stay below what Kafka takes.
            digest = hashlib.sha256(value).hexdigest()
            detail = f"{detail}; of {len(value)} bytes with sha256 {digest} the first {DEAD_LETTER_VALUE_MAX} are kept"
            value = value[:DEAD_LETTER_VALUE_MAX]
        timestamp_ns = record.timestamp_ms * 1_000_000
        return DeadLetter(
            id=f"dead-letter/{record.topic}/{record.partition}/{record.offset}/{refused.reason}",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=refused.reason,
            detail=detail,
            event_time_ns=timestamp_ns if 0 <= timestamp_ns <= LATEST_NS else 0,
            key=record.key,
            value=value,
            content_type=refused.content_type,
        )


def _rows(Sigma: FloatArray | None) -> tuple[tuple[float, ...], ...]:
    """The covariance of the assets that have one."""
    if Sigma is None:
        return ()
    known = ~np.isnan(np.diag(Sigma))
    return tuple(tuple(row) for row in Sigma[np.ix_(known, known)].tolist())


def _assets(Sigma: FloatArray | None, assets: tuple[str, ...]) -> tuple[str, ...]:
    if Sigma is None:
        return ()
    return tuple(asset for asset, variance in zip(assets, np.diag(Sigma), strict=True) if not np.isnan(variance))


def _refit_condition(market: Market, universe: str) -> Condition:
    """Raised by a refit that ended without a result, cleared by the next one that has one."""
    failure = market.refit_failure
    return Condition(
        kind="refit-failed",
        subject=universe,
        severity="warning",
        holds=bool(failure),
        message=f"refit failed, the β in use stay and are watched: {failure}" if failure else "refits succeed again",
    )


def _limit_condition(book: BookConfig, residual: ResidualExposure) -> Condition:
    """Raised at the limit, cleared below `clear_share` of it, unchanged in between and while the risk is unknown."""
    risk, share = residual.limit_risk, residual.limit_share
    if risk is None or share is None:
        holds = None
        message = ""
    else:
        holds = True if share >= 1 else False if share < book.clear_share else None
        message = (
            f"{book.name}: {risk_name(residual)} {risk:,.0f} {residual.numeraire}, "
            f"{share:.0%} of the limit {book.limit:,.0f}"
        )
    return Condition(
        kind="limit-breach",
        subject=book.name,
        severity="critical",
        holds=holds,
        message=message,
        value=risk,
        limit=book.limit,
    )


def _overdue_condition(book: BookConfig, state: BookState) -> Condition:
    """Raised while a trade that was being worked counts no more because nothing was heard of it."""
    overdue = [trade for trade in state.trades if trade.overdue]
    return Condition(
        kind="hedge-overdue",
        subject=book.name,
        severity="critical",
        holds=bool(overdue),
        message=f"{book.name}: nothing was heard of {len(overdue)} acknowledged trades of "
        f"{', '.join(sorted({trade.suggestion_id for trade in overdue}))} for too long; they count as not done"
        if overdue
        else f"{book.name}: no acknowledged trade is overdue any more",
    )


def _unsolved_condition(book: BookConfig, residual: ResidualExposure, warming_up: bool) -> Condition:
    """Raised when a book has no figures although the models have seen enough: its risk is unknown, whatever it is."""
    return Condition(
        kind="book-unsolved",
        subject=book.name,
        severity="critical",
        holds=None if warming_up else residual.status != "ok",
        message=f"{book.name}: {residual.detail}" if residual.detail else f"{book.name} has figures again",
    )
