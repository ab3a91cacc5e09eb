"""The answer about efficient hedges: the cost of each level of risk, and the trades that reach it."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.answers import Frontier, FrontierPoint
from solver.hedging.frontier import FrontierPoint as EfficientHedge
from stream.config import Config
from stream.engine.book.hedge_problems import BookProblem
from stream.engine.book.messages.suggestion import trades_of
from stream.engine.book.solved import SolvedBook


def efficient_hedges(
    config: Config, solved: SolvedBook, asked: BookProblem, hedges: Sequence[EfficientHedge]
) -> Frontier:
    """The answer with the `hedges` of the problem `asked`, from no trade to no risk, for the book `solved`."""
    occasion = solved.occasion
    return Frontier(
        id=occasion.id_of("frontier"),
        book=occasion.book.name,
        event_time_ns=occasion.trigger.event_time_ns,
        timestep=occasion.timestep,
        model_version=occasion.model_version,
        numeraire=config.universe.numeraire,
        limit=occasion.book.limit,
        limit_on=occasion.book.limit_on,
        horizon_steps=config.risk.horizon_steps,
        risk_now=solved.limit_risk,
        status=solved.status,
        detail=solved.detail,
        points=tuple(
            FrontierPoint(
                target=point.target,
                risk=point.hedge.risk_after,
                cost=point.hedge.cost.total,
                cost_lower_bound=point.hedge.cost_lower_bound,
                proven=point.hedge.proven,
                stopped_by_clock=point.hedge.stopped_by_clock,
                trades=trades_of(
                    config.instruments,
                    asked.costs,
                    asked.everywhere(point.hedge.lots),
                    asked.everywhere(point.hedge.share_removed),
                ),
            )
            for point in hedges
        ),
    )
