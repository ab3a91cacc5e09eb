"""What to trade: a book's risk over its limit to a suggestion, which stands until something material changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

import numpy as np

from schemas.answers import Frontier
from schemas.outbound import HedgeSuggestion, LimitOn, ResidualExposure
from solver.arrays import FloatArray, IntArray
from solver.errors import ConstraintViolated
from solver.hedging.check import check_lots
from solver.hedging.frontier import cost_risk_frontier
from solver.hedging.problem import HedgeProblem, risk_of, shares_removed
from solver.hedging.runner_up import runner_up
from solver.hedging.solve import hedge
from solver.interrupt import Deadline
from stream.config import NANOSECONDS, BookConfig, Config
from stream.engine.book.costs import CostBook, Costs
from stream.engine.book.frontier import EfficientHedge, frontier
from stream.engine.book.in_flight import SuggestedTrade, pausing, settle
from stream.engine.book.prepared import PreparedModel
from stream.engine.book.quote_skew import Waiting
from stream.engine.book.standing import (
    RISK_RESOLUTION,
    Outcome,
    Standing,
    aim,
    band_edge,
    before_solving,
    is_expired,
    still_stands,
)
from stream.engine.book.state import BookState
from stream.engine.book.suggestion import Alternative, Decision, Status, message_id, suggestion
from stream.engine.market.valuation import Valuation


class Suggester:
    """Decides for the books of one configuration. Holds nothing that changes.

    `deadline` stops a solve, `timed` brackets it for metrics.
    """

    def __init__(
        self, config: Config, deadline: Deadline | None, timed: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self._config = config
        self._deadline = deadline
        self._timed = timed
        self._costs = CostBook(config)
        names = [instrument.name for instrument in config.instruments]
        self._permitted = {
            book.name: np.array([not book.instruments or name in book.instruments for name in names])
            for book in config.books
        }
        places = {asset: place for place, asset in enumerate(config.universe.assets)}
        self._lot_legs = np.zeros((len(places), len(names)))
        for column, instrument in enumerate(config.instruments):
            for asset, quantity in instrument.legs.items():
                if asset in places:
                    self._lot_legs[places[asset], column] = quantity * instrument.lot
        self._quote = [places.get(instrument.quote) for instrument in config.instruments]
        self._latest: tuple[Valuation, PreparedModel] | None = None
        self._usable = np.zeros(0, dtype=np.bool_)
        self._prepared: dict[tuple[bytes, int, int | None, LimitOn], HedgeProblem] = {}

    def settle(self, state: BookState, now_ns: int) -> None:
        """Drop trades that no longer matter, and mark those of which nothing was heard for too long."""
        hedging = self._config.hedging
        if state.trades:
            state.trades = settle(
                state.trades,
                state.position_ns,
                now_ns,
                round(hedging.in_flight_max_s * NANOSECONDS),
                # Somebody may take up a suggestion at the last moment, and be silent about it for so long.
                round(max(hedging.expiry_s + hedging.in_flight_max_s, hedging.rejection_pause_s) * NANOSECONDS),
                state.standing.suggestion_id if state.standing else None,
            )

    def suggest(
        self,
        book: BookConfig,
        state: BookState,
        valuation: Valuation,
        model: PreparedModel,
        residual: ResidualExposure,
        Q: FloatArray,
        zone: Waiting | None = None,
    ) -> HedgeSuggestion | None:
        """The message for a book of (n,) exposures `Q`, what is in flight included; None where there is nothing to say.

        `zone` is that in which the book waits for clients, None for one that waits up to its limit. `state` remembers
        the suggestion that stands afterwards.
        """
        risk, now_ns, hedging = residual.limit_risk, residual.event_time_ns, self._config.hedging
        assert risk is not None
        waiting = state.waiting_trades()
        if state.standing is not None and state.standing.had_trades and not waiting:
            state.standing = None  # taken up or refused: what is left to do is a new decision
        standing = state.standing
        edge = band_edge(book, risk, zone.scale_to_edge(Q) if zone else math.inf)
        if standing is None and risk <= edge:
            return None
        pause = pausing(state.trades, now_ns, round(hedging.rejection_pause_s * NANOSECONDS))
        columns = self._columns(book, valuation, model, pause)
        costs = self._costs.of(valuation)
        target = aim(book.target_share * edge, hedging, risk)
        problem = self._problem(book, valuation, model, residual, Q, columns, costs, target)
        lots = np.zeros(len(self._quote), dtype=np.int64)
        for trade in waiting:
            lots[trade.instrument] = trade.lots
        outcome = None if standing is None else _outcome(problem, columns, lots)
        match before_solving(standing, outcome, risk, edge, book, hedging, now_ns):
            case "withdraw":
                return self._withdrawn(book, state, valuation, residual, problem.target, edge)
            case "keep":
                assert standing is not None
                assert outcome is not None
                kept = Decision(
                    status="unchanged",
                    suggestion_id=standing.suggestion_id,
                    since_ns=standing.since_ns,
                    target=problem.target,
                    edge=edge,
                    lots=lots,
                    outcome=outcome,
                    share_removed=_everywhere(shares_removed(problem, lots[columns]), columns, lots),
                    pausing=self._names(pause),
                )
                return suggestion(self._config, book, residual, costs, kept)
        max_nodes = self._config.solver.max_hedge_nodes
        should_stop = self._deadline() if self._deadline else None
        with self._timed():
            answer = hedge(problem, max_nodes, should_stop)
            if zone and answer.status == "reached" and zone.urgency(Q + problem.A @ answer.lots) > 1.0:
                # These trades turn the position towards a nearer edge. No position of the zone's least risk leaves it.
                inside = math.hypot(math.sqrt(problem.basis_variance), book.target_share * zone.zone.risk)
                problem = problem.at_position(Q, problem.basis_variance, aim(inside, hedging, risk))
                answer = hedge(problem, max_nodes, should_stop)
        if answer.status == "none-needed":  # with target_share 1, and over the edge by rounding alone
            return self._withdrawn(book, state, valuation, residual, problem.target, edge)
        best = Outcome(answer.risk_after, answer.cost.total)
        alternative = None
        if standing is not None and still_stands(outcome, best, problem.target, hedging):
            assert outcome is not None
            status: Status = "unchanged"
            share_removed = shares_removed(problem, lots[columns])
            if is_expired(standing, hedging, now_ns):
                standing = self._renew(state, valuation, now_ns)
        elif risk <= edge:
            return self._withdrawn(book, state, valuation, residual, problem.target, edge)
        else:
            with self._timed():
                second = runner_up(problem, answer, max_nodes, should_stop)
            if second is not None:
                alternative = Alternative(
                    _everywhere(second.lots, columns, lots),
                    _everywhere(second.share_removed, columns, lots),
                    second.cost.total,
                    second.proven,
                    second.effort_nodes,
                    second.stopped_by_clock,
                )
            lots = _everywhere(answer.lots, columns, lots)
            share_removed = answer.share_removed
            outcome, status = best, "trade" if answer.status == "reached" else "unreachable"
            standing = self._stand(state, valuation, residual, lots)
        decision = Decision(
            status=status,
            suggestion_id=standing.suggestion_id,
            since_ns=standing.since_ns,
            target=problem.target,
            edge=edge,
            lots=lots,
            outcome=outcome,
            share_removed=_everywhere(share_removed, columns, lots),
            cost_lower_bound=answer.cost_lower_bound,
            proven=answer.proven and status != "unchanged",
            effort_nodes=answer.effort_nodes,
            stopped_by_clock=answer.stopped_by_clock,
            alternative=alternative,
            pausing=self._names(pause),
        )
        return suggestion(self._config, book, residual, costs, decision)

    def frontier(
        self,
        book: BookConfig,
        valuation: Valuation,
        model: PreparedModel,
        residual: ResidualExposure,
        Q: FloatArray,
        points: int,
    ) -> Frontier:
        """What each level of risk costs a book of (n,) exposures `Q`, as `suggest` would hedge it, had nobody refused.

        All points share one deadline and each has `solver.max_hedge_nodes`. `points` >= 2.
        """
        columns = self._columns(book, valuation, model, set())
        costs = self._costs.of(valuation)
        # The points have targets of their own.
        problem = self._problem(book, valuation, model, residual, Q, columns, costs, book.target_share * book.limit)
        should_stop = self._deadline() if self._deadline else None
        found = cost_risk_frontier(problem, points, self._config.solver.max_hedge_nodes, should_stop)
        nothing = np.zeros(len(self._quote), dtype=np.int64)
        return frontier(
            self._config,
            residual,
            costs,
            [
                EfficientHedge(
                    point.target,
                    point.hedge,
                    _everywhere(point.hedge.lots, columns, nothing),
                    _everywhere(point.hedge.share_removed, columns, nothing),
                )
                for point in found
            ],
        )

    def _columns(self, book: BookConfig, valuation: Valuation, model: PreparedModel, pause: set[int]) -> IntArray:
        """The places of the instruments in which `book` can be hedged, but for those that `pause`."""
        if self._latest is None or self._latest[0] is not valuation or self._latest[1] is not model:
            # Nobody knows the risk of what has no covariance; with a zero for it, it would be the best hedge of all.
            known = ~valuation.exposures[~model.known].any(axis=0)
            self._latest, self._usable, self._prepared = (valuation, model), valuation.tradeable & known, {}
        usable = self._permitted[book.name] & self._usable
        usable[list(pause)] = False
        return np.flatnonzero(usable)

    def _names(self, places: set[int]) -> tuple[str, ...]:
        return tuple(self._config.instruments[place].name for place in sorted(places))

    def _problem(
        self,
        book: BookConfig,
        valuation: Valuation,
        model: PreparedModel,
        residual: ResidualExposure,
        Q: FloatArray,
        columns: IntArray,
        costs: Costs,
        target: float,
    ) -> HedgeProblem:
        """The question for `book`, of `columns` that were found last.

        What can be traded is prepared once for all books that may trade the same, at the quotes and the model of now.
        """
        risk = residual.limit_risk
        netted_risk = residual.horizon_netted_risk if book.limit_on == "horizon" else residual.netted_risk
        assert risk is not None
        assert netted_risk is not None
        basis_variance = max(risk**2 - netted_risk**2, 0.0)
        key = columns.tobytes(), book.max_lots, book.max_trades, book.limit_on
        prepared = self._prepared.get(key)
        if prepared is None:
            bound = np.full(len(columns), book.max_lots, dtype=np.int64)
            prepared = self._prepared[key] = HedgeProblem(
                # The whole position, so that a trade may also take apart what is packed: its basis risk is risk.
                q=Q,
                A=valuation.exposures[:, columns],
                buy=costs.buy.ladders.of(columns),
                sell=costs.sell.ladders.of(columns),
                lower=-bound,
                upper=bound,
                Sigma=model.Sigma_H if book.limit_on == "horizon" else model.Sigma,
                basis_variance=basis_variance,
                target=target,
                max_trades=book.max_trades,
                risk_resolution=RISK_RESOLUTION,
                cost_resolution=self._config.solver.hedge_cost_resolution,
            )
        return prepared.at_position(Q, basis_variance, target)

    def _stand(self, state: BookState, valuation: Valuation, residual: ResidualExposure, lots: IntArray) -> Standing:
        """Remember a new suggestion and its trades, in place of the one that stood."""
        suggestion_id, now_ns = message_id(residual), residual.event_time_ns
        for place in np.flatnonzero(lots).tolist():
            units = self._units_per_lot(place, valuation)
            state.trades.append(SuggestedTrade(suggestion_id, place, int(lots[place]), units, now_ns))
        state.standing = Standing(suggestion_id, now_ns, bool(lots.any()))
        return state.standing

    def _renew(self, state: BookState, valuation: Valuation, now_ns: int) -> Standing:
        """Let what stands be taken up for as long as if it had been made now, at the prices of now."""
        assert state.standing is not None
        for trade in state.waiting_trades():
            trade.units_per_lot = self._units_per_lot(trade.instrument, valuation)
            trade.heard_ns = now_ns
        state.standing = replace(state.standing, since_ns=now_ns)
        return state.standing

    def _units_per_lot(self, place: int, valuation: Valuation) -> FloatArray:
        """(n,) what a bought lot of the instrument at `place` adds to each asset at its mid."""
        units: FloatArray = self._lot_legs[:, place].copy()
        quote = self._quote[place]
        if quote is not None:
            mid = 0.5 * float(valuation.bids[place] + valuation.asks[place])
            units[quote] -= mid * self._config.instruments[place].lot
        return units

    def _withdrawn(
        self,
        book: BookConfig,
        state: BookState,
        valuation: Valuation,
        residual: ResidualExposure,
        target: float,
        edge: float,
    ) -> HedgeSuggestion | None:
        standing, state.standing = state.standing, None
        if standing is None:
            return None
        assert residual.limit_risk is not None
        decision = Decision(
            status="none",
            suggestion_id=standing.suggestion_id,
            since_ns=standing.since_ns,
            target=target,
            edge=edge,
            lots=np.zeros(len(self._quote), dtype=np.int64),
            outcome=Outcome(residual.limit_risk, 0.0),
            share_removed=np.zeros(len(self._quote)),
            proven=True,
        )
        return suggestion(self._config, book, residual, self._costs.of(valuation), decision)


_Values = TypeVar("_Values", FloatArray, IntArray)


def _everywhere(values: _Values, columns: IntArray, lots: IntArray) -> _Values:
    """(m,) `values` at the places `columns`, zero elsewhere; as many as `lots`."""
    spread = np.zeros(len(lots), dtype=values.dtype)
    spread[columns] = values
    return spread


def _outcome(problem: HedgeProblem, columns: IntArray, lots: IntArray) -> Outcome | None:
    """Of (m,) `lots`; None where they cannot be dealt: no instrument of `columns`, or a constraint of `problem`.

    Quotes may show less than they did, and after a restart the book may be allowed less.
    """
    own = lots[columns]
    if np.count_nonzero(own) < np.count_nonzero(lots):
        return None
    try:
        check_lots(problem, own, reached=False)
    except ConstraintViolated:
        return None
    cost = problem.buy.each(own) + problem.sell.each(-own)
    return Outcome(risk_of(problem, own), float(cost.sum()))
