"""The message about a decision: the trades, their cost, the risk that they remove, the runner-up and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from schemas.outbound import HedgeSuggestion, HedgeTrade
from solver.arrays import FloatArray, IntArray
from solver.hedging.cost import cost_parts
from stream.config import NANOSECONDS, Config, InstrumentConfig
from stream.engine.book.costs import Costs
from stream.engine.book.decide import Decision
from stream.engine.book.hedge_problems import BookProblem
from stream.engine.book.solved import SolvedBook, risk_name
from stream.engine.book.standing import Standing

Status: TypeAlias = Literal["trade", "none", "unreachable", "unchanged"]


@dataclass(frozen=True, eq=False)
class SuggestionFacts:
    """All that the message is built from.

    Attributes
    ----------
    solved : the book.
    asked : the hedge problem, over whose instruments the lots of `decision` are.
    decision : what becomes of the suggestion.
    standing : the suggestion that `decision` leaves standing, or that it withdraws.
    edge : the risk at the edge of the band, numeraire.
    pausing : names of the instruments that were left out because lots in them were refused.
    """

    solved: SolvedBook
    asked: BookProblem
    decision: Decision
    standing: Standing
    edge: float
    pausing: tuple[str, ...]

    @property
    def status(self) -> Status:
        """The status of the trades."""
        match self.decision.action:
            case "keep" | "renew":
                return "unchanged"
            case "withdraw":
                return "none"
            case "replace":
                assert self.decision.answer is not None
                return "trade" if self.decision.answer.status == "reached" else "unreachable"


def suggestion(config: Config, facts: SuggestionFacts) -> HedgeSuggestion:
    """The message with `facts`."""
    solved, asked, decision = facts.solved, facts.asked, facts.decision
    occasion, costs = solved.occasion, asked.costs
    answer, second = decision.answer, decision.runner_up
    lots = asked.everywhere(decision.lots)
    trades = trades_of(config.instruments, costs, lots, asked.everywhere(decision.share_removed))
    others: tuple[HedgeTrade, ...] = ()
    if second is not None:
        second_lots, second_shares = asked.everywhere(second.lots), asked.everywhere(second.share_removed)
        others = trades_of(config.instruments, costs, second_lots, second_shares)
    parts = cost_parts(costs.buy.ladders, costs.sell.ladders, lots)
    cost_lower_bound = _cost_lower_bound(decision)
    # The solver proves the trades that it found, not those that stand. A withdrawal needs no proof: it costs nothing.
    proven = decision.action == "withdraw" or (decision.action == "replace" and answer is not None and answer.proven)
    return HedgeSuggestion(
        id=occasion.id_of("hedge"),
        suggestion_id=facts.standing.suggestion_id,
        expires_at_ns=facts.standing.since_ns + round(config.hedging.expiry_s * NANOSECONDS),
        book=occasion.book.name,
        event_time_ns=occasion.trigger.event_time_ns,
        timestep=occasion.timestep,
        model_version=occasion.model_version,
        residual_exposure_id=occasion.id_of("residual"),
        trigger_source=occasion.trigger.source,
        status=facts.status,
        numeraire=config.universe.numeraire,
        limit=occasion.book.limit,
        target=decision.target,
        band=facts.edge,
        risk_before=solved.limit_risk,
        risk_after=decision.outcome.risk_after,
        expected_cost=decision.outcome.cost,
        cost_lower_bound=cost_lower_bound,
        gap=max(decision.outcome.cost - cost_lower_bound, 0.0),
        expected_spread=parts.bid_ask_spread,
        expected_fee=parts.fee,
        expected_depth=parts.depth,
        proven=proven,
        trades=trades,
        runner_up=others,
        runner_up_cost=None if second is None else second.cost.total,
        runner_up_proven=second is not None and second.proven,
        effort_nodes=sum(found.effort_nodes for found in (answer, second) if found),
        stopped_by_clock=any(found.stopped_by_clock for found in (answer, second) if found),
        limit_on=occasion.book.limit_on,
        reason=_reason(config, facts, trades, others),
    )


def _cost_lower_bound(decision: Decision) -> float:
    """What every hedge costs at least that brings the risk down as far as the trades of `decision` do; numeraire.

    The solver bounds the cost of what reaches the target. Trades that stand may end above it, and may cost less.
    """
    answer = decision.answer
    if answer is None or decision.outcome.risk_after > max(decision.target, answer.risk_after):
        return 0.0
    return answer.cost_lower_bound


def trades_of(
    instruments: tuple[InstrumentConfig, ...], costs: Costs, lots: IntArray, share_removed: FloatArray
) -> tuple[HedgeTrade, ...]:
    """The trades of (m,) `lots` at `costs`."""
    each = costs.each(lots)
    trades = []
    for index in np.flatnonzero(lots).tolist():
        instrument, count = instruments[index], int(lots[index])
        side = costs.buy if count > 0 else costs.sell
        trades.append(
            HedgeTrade(
                instrument=instrument.name,
                side="buy" if count > 0 else "sell",
                lots=abs(count),
                quantity=abs(count) * instrument.lot,
                limit_price=side.limit_price(index, abs(count)),
                expected_cost=float(each[index]),
                venue=instrument.venue,
                share_removed=float(share_removed[index]),
            )
        )
    return tuple(trades)


def _reason(config: Config, facts: SuggestionFacts, trades: Sequence[HedgeTrade], others: Sequence[HedgeTrade]) -> str:
    """One sentence for the trader."""
    solved, decision, edge, money = facts.solved, facts.decision, facts.edge, config.universe.numeraire
    before, limit = solved.limit_risk, solved.occasion.book.limit
    risk = f"{risk_name(solved.occasion.book.limit_on, config.risk.horizon_steps)} {before:,.0f} {money}"
    if facts.status == "none":
        inside = "the zone in which to wait for clients" if edge < limit else f"the limit of {limit:,.0f}"
        return f"{risk} is inside {inside} again: nothing to trade"
    over = f"{'over' if before > limit else 'not yet clear of'} the limit of {limit:,.0f}"
    if before <= limit and edge < limit:
        over = f"beyond {edge:,.0f}, where crossing the spread beats waiting for clients"
    state = f"{risk} {over}, largest residual {_largest_residual(config, solved)}"
    if facts.pausing:
        state += f", {', '.join(facts.pausing)} left out after a rejection"
    if not trades:
        return f"{state}: no permitted trade was found that lowers it by a hundredth"
    orders = ", ".join(f"{trade.side} {trade.lots} {_lots(trade.lots)} {trade.instrument}" for trade in trades)
    after, cost = decision.outcome.risk_after, decision.outcome.cost
    outcome = f"risk {after:,.0f} for {cost:,.0f} {money}"
    if facts.status == "unreachable":
        return f"{orders}: {state}; {outcome}, no trade found reaches the target of {decision.target:,.0f}"
    if facts.status == "trade":
        if decision.runner_up is None:
            outcome += ", no other instruments were found that reach the target"
        else:
            names = " + ".join(trade.instrument for trade in others)
            outcome += f", cheaper than {names} by {decision.runner_up.cost.total - cost:,.0f} {money}"
    return f"{orders}: {state}; {outcome}"


def _largest_residual(config: Config, solved: SolvedBook) -> str:
    """Side, size and asset of the residual that is largest in size, in words."""
    residual = solved.packing.residual
    # Among the assets in the message only. If every residual is zero, the first of these assets is named.
    held = np.flatnonzero((solved.Q != 0) | (residual != 0) | (solved.in_flight != 0))
    index = int(held[np.abs(residual[held]).argmax()])
    side = "long" if residual[index] > 0 else "short"
    return f"{side} {abs(residual[index]):,.0f} {config.universe.numeraire} of {config.universe.assets[index]}"


def _lots(count: int) -> str:
    return "lot" if count == 1 else "lots"
