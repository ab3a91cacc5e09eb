"""The whole lots of least cost that bring the risk to its target."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from solver.arrays import IntArray
from solver.errors import IllPosed
from solver.hedging.bound import first_weight, relax
from solver.hedging.check import check_lots
from solver.hedging.cost import CostParts, cost_parts
from solver.hedging.descent import descend, improve_start, residual
from solver.hedging.merged import lots_of_groups
from solver.hedging.problem import TIE, Hedge, HedgeProblem, risk_of, shares_removed
from solver.hedging.search import ROOT_ROUNDS, Effort, explore
from solver.hedging.terms import Terms, lots_of_instruments, scaled, trades_price


def hedge(
    problem: HedgeProblem,
    max_nodes: int = 1000,
    should_stop: Callable[[], bool] | None = None,
    start: IntArray | None = None,
) -> Hedge:
    """The whole lots of least cost that bring the risk to its target.

    ``min sum_j c_j(h_j)  subject to  (q + A h)' Sigma (q + A h) + basis_variance <= target²``, with whole lots h within
    their bounds, at most `max_trades` of them other than 0. Of equal costs the fewest lots win, then more lots in the
    instruments listed first (those of equal legs together), then bought before sold.

    The start is a continuous solution, rounded and locally improved. A depth-first branch and bound over boxes of lots
    improves and proves it. Its bound is the dual of the continuous problem, which also shortens the boxes.

    Parameters
    ----------
    problem : see `HedgeProblem`.
    max_nodes : >= 0, boxes that may be looked at; the same number gives the same answer on any machine of one kind.
    should_stop : asked before every 256 boxes whether to end the search; it changes nothing else.
    start : (m,) lots to start from as well, for example those of a similar problem; ignored where they break a
        constraint.

    Returns
    -------
    `Hedge`, never worse than the start. O(g n + g²) a box, with g instruments of different legs: about 5 µs with 5
    currencies and 15 pairs.

    Raises
    ------
    IllPosed : `max_nodes` is negative.
    ConstraintViolated : the lots, checked from scratch, break a constraint or miss the target they claim to reach.
    """
    if max_nodes < 0:
        raise IllPosed(f"max_nodes must be >= 0, got {max_nodes}")
    nothing = np.zeros(len(problem.lower), dtype=np.int64)
    before = risk_of(problem, nothing)
    if before <= problem.target * (1.0 + TIE):
        free = CostParts(0.0, 0.0, 0.0)
        return Hedge(nothing, free, before, "none-needed", 0.0, True, np.zeros(len(nothing)), 0, False)

    terms, merged = scaled(problem), problem.merged
    effort = Effort(max_nodes, should_stop)
    limit = (1.0 + TIE) ** 2 - terms.basis
    h = np.zeros(len(terms.lower), dtype=np.int64)
    if start is not None:
        given = lots_of_groups(merged, np.clip(start, -merged.allowed[1], merged.allowed[0]))
        if trades_price(terms, given) < math.inf:
            h = given
    improve_start(terms, terms.lower, terms.upper, limit, h)
    lowest_known = True
    reached = residual(terms, h)[1] <= limit
    if not reached:
        lowest_known, _ = explore(terms, terms.lower, terms.upper, limit, True, h, True, effort, np.zeros(len(h)), 1.0)
        square = residual(terms, h)[1]
        reached = square <= limit
        if not reached:
            # From here on the lowest risk found stands in for the target.
            limit = (square + terms.basis) * (1.0 + terms.resolution) ** 2 - terms.basis
        polished = h.copy()
        descend(terms, terms.lower, terms.upper, limit, polished)
        if trades_price(terms, polished) < math.inf:
            h = polished

    x, price = np.zeros(len(h)), np.empty(len(h))
    radius, weight = math.sqrt(limit), first_weight(terms)
    _, weight = relax(terms, terms.lower, terms.upper, radius, x, weight, ROOT_ROUNDS, math.inf, price)
    cheapest_known, bound = explore(terms, terms.lower, terms.upper, limit, False, h, True, effort, x, weight)
    lots = lots_of_instruments(terms, len(nothing), h)
    check_lots(problem, lots, reached)
    cost = cost_parts(problem.buy, problem.sell, lots)
    return Hedge(
        lots=lots,
        cost=cost,
        risk_after=risk_of(problem, lots),
        status="reached" if reached else "unreachable",
        cost_lower_bound=_without_surcharge(terms, bound, cost.total, cheapest_known),
        proven=lowest_known and cheapest_known,
        share_removed=shares_removed(problem, lots),
        effort_nodes=effort.nodes,
        stopped_by_clock=effort.stopped,
    )


def _without_surcharge(terms: Terms, bound: float, cost: float, proven: bool) -> float:
    """The bound in numeraire, without the surcharge that `terms` adds to each lot to order ties."""
    if proven:
        return max(cost - terms.tolerance * terms.money, 0.0)
    # Where every lot costs at least one, the surcharge is that share of it at most.
    if (terms.slope[terms.slope > 0] >= 1.0).all():
        bound /= 1.0 + terms.surcharge
    else:
        bound -= terms.surcharge * float((terms.upper - terms.lower).sum())
    return min(cost, max(bound * terms.money, 0.0))
