"""A decision to the message that a trader reads: trades, what they cost and take away, the runner-up, the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from schemas.outbound import HedgeSuggestion, HedgeTrade, ResidualExposure
from solver.arrays import FloatArray, IntArray
from solver.hedging.cost import cost_parts
from stream.config import NANOSECONDS, BookConfig, Config, InstrumentConfig
from stream.costs import Costs
from stream.standing import Outcome

Status: TypeAlias = Literal["trade", "none", "unreachable", "unchanged"]


@dataclass(frozen=True, eq=False)
class Alternative:
    """The runner-up: `lots` (m,), their shares of what they remove, and what is known of them."""

    lots: IntArray
    share_removed: FloatArray
    cost: float
    proven: bool
    effort_nodes: int
    stopped_by_clock: bool


@dataclass(frozen=True, eq=False)
class Decision:
    """What is published: `lots` (m,) of each instrument, and what is known of them.

    `edge` is that of the band, `pausing` names the instruments that were left out for what was refused in them.
    """

    status: Status
    suggestion_id: str
    since_ns: int
    target: float
    edge: float
    lots: IntArray
    outcome: Outcome
    share_removed: FloatArray
    cost_lower_bound: float = 0.0
    proven: bool = False
    effort_nodes: int = 0
    stopped_by_clock: bool = False
    alternative: Alternative | None = None
    pausing: tuple[str, ...] = ()


def suggestion(
    config: Config, book: BookConfig, residual: ResidualExposure, costs: Costs, decision: Decision
) -> HedgeSuggestion:
    """The message that says `decision`, at `costs`."""
    assert residual.limit_risk is not None
    second = decision.alternative
    trades = trades_of(config.instruments, costs, decision.lots, decision.share_removed)
    others = () if second is None else trades_of(config.instruments, costs, second.lots, second.share_removed)
    parts = cost_parts(costs.buy.ladders, costs.sell.ladders, decision.lots)
    return HedgeSuggestion(
        id=message_id(residual),
        suggestion_id=decision.suggestion_id,
        expires_at_ns=decision.since_ns + round(config.hedging.expiry_s * NANOSECONDS),
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
        band=decision.edge,
        risk_before=residual.limit_risk,
        risk_after=decision.outcome.risk_after,
        expected_cost=decision.outcome.cost,
        cost_lower_bound=decision.cost_lower_bound,
        gap=max(decision.outcome.cost - decision.cost_lower_bound, 0.0),
        expected_spread=parts.bid_ask_spread,
        expected_fee=parts.fee,
        expected_depth=parts.depth,
        proven=decision.proven,
        trades=trades,
        runner_up=others,
        runner_up_cost=None if second is None else second.cost,
        runner_up_proven=second is not None and second.proven,
        effort_nodes=decision.effort_nodes + (0 if second is None else second.effort_nodes),
        stopped_by_clock=decision.stopped_by_clock or (second is not None and second.stopped_by_clock),
        limit_on=book.limit_on,
        reason=_reason(residual, trades, others, decision),
    )


def message_id(residual: ResidualExposure) -> str:
    """The id of the suggestion that answers `residual`."""
    return f"hedge/{residual.id.removeprefix('residual/')}"


def risk_name(residual: ResidualExposure) -> str:
    """What the limit is held against, in words."""
    return f"unhedged risk over {residual.horizon_steps} steps" if residual.limit_on == "horizon" else "unhedged risk"


def trades_of(
    instruments: tuple[InstrumentConfig, ...], costs: Costs, lots: IntArray, share_removed: FloatArray
) -> tuple[HedgeTrade, ...]:
    """The trades that are (m,) `lots`, at `costs`."""
    each = costs.each(lots)
    trades = []
    for place in np.flatnonzero(lots).tolist():
        instrument, count = instruments[place], int(lots[place])
        side = costs.buy if count > 0 else costs.sell
        trades.append(
            HedgeTrade(
                instrument=instrument.name,
                side="buy" if count > 0 else "sell",
                lots=abs(count),
                quantity=abs(count) * instrument.lot,
                limit_price=side.limit_price(place, abs(count)),
                expected_cost=float(each[place]),
                venue=instrument.venue,
                share_removed=float(share_removed[place]),
            )
        )
    return tuple(trades)


def _reason(
    residual: ResidualExposure, trades: Sequence[HedgeTrade], others: Sequence[HedgeTrade], decision: Decision
) -> str:
    """One sentence for the trader."""
    assert residual.limit_risk is not None
    money = residual.numeraire
    before, limit = residual.limit_risk, residual.limit
    risk = f"{risk_name(residual)} {before:,.0f} {money}"
    after, cost = decision.outcome.risk_after, decision.outcome.cost
    if decision.status == "none":
        inside = "the zone in which to wait for clients" if decision.edge < limit else f"the limit of {limit:,.0f}"
        return f"{risk} is inside {inside} again: nothing to trade"
    widest = max(residual.positions, key=lambda position: abs(position.residual))
    side = "long" if widest.residual > 0 else "short"
    orders = ", ".join(f"{trade.side} {trade.lots} {_lots(trade.lots)} {trade.instrument}" for trade in trades)
    over = f"{'over' if before > limit else 'not yet clear of'} the limit of {limit:,.0f}"
    if before <= limit and decision.edge < limit:
        over = f"beyond {decision.edge:,.0f}, where crossing the spread beats waiting for clients"
    state = f"{risk} {over}, largest residual {side} {abs(widest.residual):,.0f} {money} of {widest.asset}"
    if decision.pausing:
        state += f", {', '.join(decision.pausing)} left out after a rejection"
    if not trades:
        return f"{state}: no permitted trade was found that lowers it by a hundredth"
    outcome = f"risk {after:,.0f} for {cost:,.0f} {money}"
    if decision.status == "unreachable":
        return f"{orders}: {state}; {outcome}, no trade found reaches the target of {decision.target:,.0f}"
    if decision.status == "trade":
        if decision.alternative is None:
            outcome += ", no other instruments were found that reach the target"
        else:
            names = " + ".join(trade.instrument for trade in others)
            outcome += f", cheaper than {names} by {decision.alternative.cost - cost:,.0f} {money}"
    return f"{orders}: {state}; {outcome}"


def _lots(count: int) -> str:
    return "lot" if count == 1 else "lots"
