"""The best alternative to a hedge."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.hedging.bound import first_weight, relax
from solver.hedging.check import check_lots
from solver.hedging.cost import CostParts, cost_parts
from solver.hedging.descent import improve_start, residual
from solver.hedging.merged import lots_of_groups
from solver.hedging.problem import TIE, Hedge, HedgeProblem, risk_of, shares_removed
from solver.hedging.search import ROOT_ROUNDS, Effort, explore
from solver.hedging.terms import lots_of_instruments, scaled


@dataclass(frozen=True, eq=False)
class RunnerUp:
    """The cheapest hedge found without at least one of the instruments of the best one.

    Attributes
    ----------
    lots : (m,) int64, bought lots of each instrument; negative is sold.
    cost : numeraire, by component.
    risk_after : numeraire, one standard deviation.
    share_removed : (m,) as of `Hedge`.
    proven : whether no other such hedge is cheaper, to the cost resolution of the problem.
    effort_nodes : boxes of the search that were looked at.
    stopped_by_clock : whether `should_stop` ended the search.
    """

    lots: IntArray
    cost: CostParts
    risk_after: float
    share_removed: FloatArray
    proven: bool
    effort_nodes: int
    stopped_by_clock: bool


def runner_up(
    problem: HedgeProblem, best: Hedge, max_nodes: int = 1000, should_stop: Callable[[], bool] | None = None
) -> RunnerUp | None:
    """The cheapest hedge that reaches the target without at least one of the instruments that `best` trades.

    Instruments of equal legs count as one: another venue is no other hedge. One search is made for each instrument that
    `best` trades, in which it stays at zero; the cheapest answer of all searches wins. Each search goes only as far as
    it could beat the others.

    Parameters
    ----------
    problem : the problem.
    best : what `hedge` answered to it.
    max_nodes, should_stop : as of `hedge`, for all the searches together.

    Returns
    -------
    None where `best` trades nothing or misses the target, or where no such hedge was found.

    Raises
    ------
    IllPosed : `max_nodes` is negative.
    ConstraintViolated : the lots, checked from scratch, break a constraint.
    """
    if max_nodes < 0:
        raise IllPosed(f"max_nodes must be >= 0, got {max_nodes}")
    if best.status != "reached":
        return None
    terms, merged = scaled(problem), problem.merged
    limit = (1.0 + TIE) ** 2 - terms.basis
    radius = math.sqrt(limit)
    boxes = []
    for legs in np.unique(merged.legs[lots_of_groups(merged, best.lots) != 0]).tolist():
        same = merged.legs == legs
        lower, upper = np.where(same, 0, terms.lower), np.where(same, 0, terms.upper)
        x, price = np.zeros(len(lower)), np.empty(len(lower))
        bound, weight = relax(terms, lower, upper, radius, x, first_weight(terms), ROOT_ROUNDS, math.inf, price)
        boxes.append((bound, legs, lower, upper, x, weight))
    # The most promising first: what it costs ends most of the other searches at once.
    boxes.sort(key=lambda box: box[:2])
    effort = Effort(max_nodes, should_stop)
    h = np.zeros(len(terms.lower), dtype=np.int64)
    found, proven = False, True
    for bound, _, lower, upper, x, weight in boxes:
        if bound == math.inf:
            break
        if not found:
            improve_start(terms, lower, upper, limit, h)
            found = bool(residual(terms, h)[1] <= limit)
        done, _ = explore(terms, lower, upper, limit, False, h, found, effort, x, weight)
        found = bool(residual(terms, h)[1] <= limit)
        proven = proven and done
    if not found:
        return None
    lots = lots_of_instruments(terms, len(best.lots), h)
    check_lots(problem, lots, True)
    return RunnerUp(
        lots=lots,
        cost=cost_parts(problem.buy, problem.sell, lots),
        risk_after=risk_of(problem, lots),
        share_removed=shares_removed(problem, lots),
        proven=proven,
        effort_nodes=effort.nodes,
        stopped_by_clock=effort.stopped,
    )
