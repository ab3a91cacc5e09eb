"""Efficient hedges to the answer that a trader reads: what each level of risk costs, and the trades that reach it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.answers import Frontier, FrontierPoint
from schemas.outbound import ResidualExposure
from solver.arrays import FloatArray, IntArray
from solver.hedging.problem import Hedge
from stream.config import Config
from stream.engine.book.costs import Costs
from stream.engine.book.suggestion import trades_of


@dataclass(frozen=True, eq=False)
class EfficientHedge:
    """The cheapest hedge found down to `target`: its `lots` (m,) of every instrument, and what each takes away."""

    target: float
    hedge: Hedge
    lots: IntArray
    share_removed: FloatArray


def frontier(config: Config, residual: ResidualExposure, costs: Costs, hedges: Sequence[EfficientHedge]) -> Frontier:
    """The answer that says `hedges`, from nothing to flat, for the book of `residual`."""
    assert residual.limit_risk is not None
    return Frontier(
        id=f"frontier/{residual.id.removeprefix('residual/')}",
        book=residual.book,
        event_time_ns=residual.event_time_ns,
        timestep=residual.timestep,
        model_version=residual.model_version,
        numeraire=residual.numeraire,
        limit=residual.limit,
        limit_on=residual.limit_on,
        horizon_steps=residual.horizon_steps,
        risk_now=residual.limit_risk,
        points=tuple(
            FrontierPoint(
                target=point.target,
                risk=point.hedge.risk_after,
                cost=point.hedge.cost.total,
                cost_lower_bound=point.hedge.cost_lower_bound,
                proven=point.hedge.proven,
                stopped_by_clock=point.hedge.stopped_by_clock,
                trades=trades_of(config.instruments, costs, point.lots, point.share_removed),
            )
            for point in hedges
        ),
    )
