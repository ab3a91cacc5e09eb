"""What each level of risk costs: the efficient hedges from nothing to flat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from solver.errors import IllPosed
from solver.hedging.problem import Hedge, HedgeProblem, risk_of
from solver.hedging.solve import hedge

# A book at a thousandth of its risk is flat; a target of zero would leave the kernels no unit.
_FLAT_SHARE = 1e-3


@dataclass(frozen=True)
class FrontierPoint:
    """The cheapest hedge down to `target`, numeraire, one standard deviation; proven or with its gap."""

    target: float
    hedge: Hedge


def cost_risk_frontier(
    problem: HedgeProblem, points: int, max_nodes: int = 1000, should_stop: Callable[[], bool] | None = None
) -> tuple[FrontierPoint, ...]:
    """The cheapest hedges for `points` targets, evenly spaced from no trade to the least risk that lots reach.

    The least risk is that of `hedge` for a target out of reach; the own target of the problem does not matter. So the
    last fraction of the risk is left to `risk_resolution`, or a thousandth of the risk without a trade. Each point
    starts from the lots of the next tighter one. So costs fall as targets rise, even where a search was cut short.

    Parameters
    ----------
    problem : as for `hedge`.
    points : >= 2.
    max_nodes, should_stop : as of `hedge`, for each point.

    Returns
    -------
    From nothing (cost 0) to flat, costs rising. Only the first point where no trade lowers the risk.

    Raises
    ------
    IllPosed : fewer than two points.
    """
    if points < 2:
        raise IllPosed(f"points must be >= 2, got {points}")
    before = risk_of(problem, np.zeros(len(problem.lower), dtype=np.int64))
    if before == 0.0:
        return (FrontierPoint(problem.target, hedge(problem, 0)),)

    def at(target: float) -> HedgeProblem:
        return problem.at_position(problem.q, problem.basis_variance, target)

    flat = hedge(at(_FLAT_SHARE * before), max_nodes, should_stop)
    nothing = FrontierPoint(before, hedge(at(before), 0))
    if flat.risk_after >= before:
        return (nothing,)
    lots = flat.lots
    tighter = []
    least = max(flat.risk_after, _FLAT_SHARE * before)
    for target in np.linspace(least, before, points)[:-1].tolist():
        answer = hedge(at(target), max_nodes, should_stop, lots)
        tighter.append(FrontierPoint(target, answer))
        lots = answer.lots
    return (nothing, *reversed(tighter))
