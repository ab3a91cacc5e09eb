"""What to trade: a book's risk over its limit to a suggestion, which stands until something material changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from schemas.outbound import HedgeSuggestion, HedgeTrade, ResidualExposure
from solver.arrays import FloatArray, IntArray
from solver.hedge import HedgeProblem, hedge
from stream.book_state import BookState
from stream.clock import Deadline
from stream.config import NANOSECONDS, BookConfig, Config
from stream.in_flight import SuggestedTrade, settle
from stream.prepared import PreparedModel
from stream.standing import Outcome, Standing, aim, before_solving, still_stands
from stream.valuation import Valuation

RISK_RESOLUTION = 0.01
"""Out of reach of the target, the last hundredth of the risk is not chased: it can double what the trades cost."""

Status: TypeAlias = Literal["trade", "none", "unreachable", "unchanged"]


@dataclass(frozen=True, eq=False)
class _Decision:
    """What is published: `lots` (m,) of each instrument, and what is known of them."""

    status: Status
    suggestion_id: str
    since_ns: int
    target: float
    lots: IntArray
    outcome: Outcome
    cost_lower_bound: float = 0.0
    proven: bool = False
    effort_nodes: int = 0
    stopped_by_clock: bool = False


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
                round((hedging.expiry_s + hedging.in_flight_max_s) * NANOSECONDS),
            )

    def suggest(
        self,
        book: BookConfig,
        state: BookState,
        valuation: Valuation,
        model: PreparedModel,
        residual: ResidualExposure,
        Q: FloatArray,
    ) -> HedgeSuggestion | None:
        """The message for a book of (n,) exposures `Q`, what is in flight included; None where there is nothing to say.

        `state` remembers the suggestion that stands afterwards.
        """
        risk, now_ns, hedging = residual.limit_risk, residual.event_time_ns, self._config.hedging
        assert risk is not None
        waiting = state.waiting_trades()
        if state.standing is not None and state.standing.had_trades and not waiting:
            state.standing = None  # taken up or refused: what is left to do is a new decision
        standing = state.standing
        if standing is None and risk <= book.limit:
            return None
        # Nobody knows the risk of what has no covariance; with a zero for it, it would be the best hedge of all.
        known = ~valuation.exposures[~model.known].any(axis=0)
        columns = np.flatnonzero(self._permitted[book.name] & valuation.tradeable & known)
        problem = self._problem(book, valuation, model, residual, Q, columns)
        lots = np.zeros(len(self._quote), dtype=np.int64)
        for trade in waiting:
            lots[trade.instrument] = trade.lots
        outcome = _outcome(problem, columns, lots)
        match before_solving(standing, outcome, risk, book, hedging, now_ns):
            case "withdraw":
                return self._withdrawn(book, state, valuation, residual, problem.target)
            case "keep":
                assert standing is not None
                assert outcome is not None
                kept = _Decision("unchanged", standing.suggestion_id, standing.since_ns, problem.target, lots, outcome)
                return self._message(book, valuation, residual, kept)
        with self._timed():
            deadline = self._deadline
            answer = hedge(problem, self._config.solver.max_hedge_nodes, deadline() if deadline else None)
        if answer.status == "none-needed":  # with target_share 1, and over the limit by rounding alone
            return self._withdrawn(book, state, valuation, residual, problem.target)
        best = Outcome(answer.risk_after, answer.cost)
        if standing is not None and still_stands(standing, outcome, best, problem.target, hedging, now_ns):
            assert outcome is not None
            status: Status = "unchanged"
        else:
            lots = np.zeros(len(self._quote), dtype=np.int64)
            lots[columns] = answer.lots
            outcome, status = best, "trade" if answer.status == "reached" else "unreachable"
            standing = self._stand(state, valuation, residual, lots)
        decision = _Decision(
            status=status,
            suggestion_id=standing.suggestion_id,
            since_ns=standing.since_ns,
            target=problem.target,
            lots=lots,
            outcome=outcome,
            cost_lower_bound=answer.cost_lower_bound,
            proven=answer.proven and status != "unchanged",
            effort_nodes=answer.effort_nodes,
            stopped_by_clock=answer.stopped_by_clock,
        )
        return self._message(book, valuation, residual, decision)

    def _problem(
        self,
        book: BookConfig,
        valuation: Valuation,
        model: PreparedModel,
        residual: ResidualExposure,
        Q: FloatArray,
        columns: IntArray,
    ) -> HedgeProblem:
        risk = residual.limit_risk
        if book.limit_on == "horizon":
            Sigma, netted_risk = model.Sigma_H, residual.horizon_netted_risk
        else:
            Sigma, netted_risk = model.Sigma, residual.netted_risk
        assert risk is not None
        assert netted_risk is not None
        bound = np.full(len(columns), book.max_lots, dtype=np.int64)
        return HedgeProblem(
            # The whole position, so that a trade may also take apart what is packed: its basis risk is risk.
            q=Q,
            A=valuation.exposures[:, columns],
            cost_per_lot=valuation.cost_per_lot[columns],
            lower=-bound,
            upper=bound,
            Sigma=Sigma,
            basis_variance=max(risk**2 - netted_risk**2, 0.0),
            target=aim(book, self._config.hedging, risk),
            risk_resolution=RISK_RESOLUTION,
        )

    def _stand(self, state: BookState, valuation: Valuation, residual: ResidualExposure, lots: IntArray) -> Standing:
        """Remember a new suggestion and its trades, in place of the one that stood."""
        suggestion_id = _message_id(residual)
        for place in np.flatnonzero(lots).tolist():
            units = self._lot_legs[:, place].copy()
            quote = self._quote[place]
            if quote is not None:
                mid = 0.5 * float(valuation.bids[place] + valuation.asks[place])
                units[quote] -= mid * self._config.instruments[place].lot
            state.trades.append(SuggestedTrade(suggestion_id, place, int(lots[place]), units, residual.event_time_ns))
        state.standing = Standing(suggestion_id, residual.event_time_ns, bool(lots.any()))
        return state.standing

    def _withdrawn(
        self, book: BookConfig, state: BookState, valuation: Valuation, residual: ResidualExposure, target: float
    ) -> HedgeSuggestion | None:
        standing, state.standing = state.standing, None
        if standing is None:
            return None
        assert residual.limit_risk is not None
        nothing = np.zeros(len(self._quote), dtype=np.int64)
        decision = _Decision(
            "none",
            standing.suggestion_id,
            standing.since_ns,
            target,
            nothing,
            Outcome(residual.limit_risk, 0.0),
            proven=True,
        )
        return self._message(book, valuation, residual, decision)

    def _message(
        self, book: BookConfig, valuation: Valuation, residual: ResidualExposure, decision: _Decision
    ) -> HedgeSuggestion:
        assert residual.limit_risk is not None
        trades = self._trades(valuation, decision.lots)
        return HedgeSuggestion(
            id=_message_id(residual),
            suggestion_id=decision.suggestion_id,
            expires_at_ns=decision.since_ns + round(self._config.hedging.expiry_s * NANOSECONDS),
            book=book.name,
            event_time_ns=residual.event_time_ns,
            timestep=residual.timestep,
            model_version=residual.model_version,
            residual_exposure_id=residual.id,
            trigger_source=residual.trigger_source,
            status=decision.status,
            numeraire=residual.numeraire,
            limit=book.limit,
            target=decision.target,
            risk_before=residual.limit_risk,
            risk_after=decision.outcome.risk_after,
            expected_cost=decision.outcome.cost,
            cost_lower_bound=decision.cost_lower_bound,
            proven=decision.proven,
            trades=trades,
            effort_nodes=decision.effort_nodes,
            stopped_by_clock=decision.stopped_by_clock,
            limit_on=book.limit_on,
            reason=_reason(residual, trades, decision),
        )

    def _trades(self, valuation: Valuation, lots: IntArray) -> tuple[HedgeTrade, ...]:
        return tuple(
            HedgeTrade(
                instrument=instrument.name,
                side="buy" if count > 0 else "sell",
                lots=abs(int(count)),
                quantity=abs(int(count)) * instrument.lot,
                limit_price=float(valuation.asks[place] if count > 0 else valuation.bids[place]),
                expected_cost=abs(int(count)) * float(valuation.cost_per_lot[place]),
            )
            for place, (instrument, count) in enumerate(zip(self._config.instruments, lots, strict=True))
            if count
        )


def _outcome(problem: HedgeProblem, columns: IntArray, lots: IntArray) -> Outcome | None:
    """Of (m,) `lots`; None where one of them is of an instrument that is not among `columns`, those of `problem`."""
    own = lots[columns]
    if np.count_nonzero(own) < np.count_nonzero(lots):
        return None
    exposure = problem.q + problem.A @ own
    variance = max(float(exposure @ problem.Sigma @ exposure), 0.0) + problem.basis_variance
    return Outcome(math.sqrt(variance), float(problem.cost_per_lot @ np.abs(own)))


def _message_id(residual: ResidualExposure) -> str:
    return f"hedge/{residual.id.removeprefix('residual/')}"


def risk_name(residual: ResidualExposure) -> str:
    """What the limit is held against, in words."""
    return f"unhedged risk over {residual.horizon_steps} steps" if residual.limit_on == "horizon" else "unhedged risk"


def _reason(residual: ResidualExposure, trades: Sequence[HedgeTrade], decision: _Decision) -> str:
    """One sentence for the trader."""
    assert residual.limit_risk is not None
    money = residual.numeraire
    before, limit = residual.limit_risk, residual.limit
    risk = f"{risk_name(residual)} {before:,.0f} {money}"
    after, cost = decision.outcome.risk_after, decision.outcome.cost
    if decision.status == "none":
        return f"{risk} is inside the limit of {limit:,.0f} again: nothing to trade"
    widest = max(residual.positions, key=lambda position: abs(position.residual))
    side = "long" if widest.residual > 0 else "short"
    orders = ", ".join(f"{trade.side} {trade.lots} {_lots(trade.lots)} {trade.instrument}" for trade in trades)
    state = (
        f"{risk} over the limit of {limit:,.0f}, "
        f"largest residual {side} {abs(widest.residual):,.0f} {money} of {widest.asset}"
    )
    if not trades:
        return f"{state}: no permitted trade was found that lowers it by a hundredth"
    outcome = f"risk {after:,.0f} for {cost:,.0f} {money}"
    if decision.status == "unreachable":
        return f"{orders}: {state}; {outcome}, no trade found reaches the target of {decision.target:,.0f}"
    return f"{orders}: {state}; {outcome}"


def _lots(count: int) -> str:
    return "lot" if count == 1 else "lots"
