"""The best lots: depth-first branch and bound over boxes of lots, small ones line by line.

References
----------
Land and Doig (1960), An Automatic Method of Solving Discrete Programming Problems, Econometrica 28(3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.bound import free_trades, keep_to_trades, relax, shorten
from solver.hedging.descent import is_better, residual
from solver.hedging.lines import lines_of, search_lines
from solver.hedging.terms import Terms, trades_price
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline

# Nodes between two calls of `should_stop`: one to four milliseconds with 18 instruments.
_BATCH = 256
# Rounds of coordinate descent in a node, which starts from its parent's lots, and in the root. In a node, on desks of
# six currencies, 4 to 8 rounds take about as long; with 4, single books in lots of 100,000 stayed unproven.
_NODE_ROUNDS = 6
ROOT_ROUNDS = 40
# A box of no more lines than this is searched line by line instead of being split. On desks of six currencies in lots
# of 100,000 the p99 of the nodes falls from 1,700 to 120, and the p99 of the time to a third. From here up to 2,048 it
# stays there.
_MOST_LINES = 512

_Rows = TypeVar("_Rows", FloatArray, IntArray)


@dataclass
class Effort:
    """What a search may spend and has spent.

    Attributes
    ----------
    nodes_left : boxes that may still be looked at.
    should_stop : asked before every 256 boxes whether to end the search; None never ends it.
    nodes : boxes that were looked at.
    stopped : whether `should_stop` ended the search.
    """

    nodes_left: int
    should_stop: Callable[[], bool] | None
    nodes: int = 0
    stopped: bool = False


def explore(
    terms: Terms,
    lower: IntArray,
    upper: IntArray,
    limit: float,
    lower_risk: bool,
    best: IntArray,
    found: bool,
    effort: Effort,
    x: FloatArray,
    weight: float,
) -> tuple[bool, float]:
    """Improve `best`, in place, over the box ``lower .. upper``: lower cost, or with `lower_risk` lower risk.

    Parameters
    ----------
    terms : the problem.
    lower, upper : (g,) the box of lots.
    limit : of ``|y + h G|²``, in squared targets.
    lower_risk : whether the least risk is wanted, and not the least cost.
    best : (g,) the best lots so far.
    found : False where `best` does not count, and any lots are better.
    effort : what may be spent; it is counted here.
    x : (g,) relaxed lots of the box.
    weight : > 0, the weight that `relax` starts from.

    Returns
    -------
    (done, bound) : whether no box was left open, and a lower bound of the cost of any lots in the box.
    """
    if lower_risk:
        terms = terms._replace(slope=np.zeros_like(terms.slope), paid=np.zeros_like(terms.paid), tolerance=0.0)
    lo, hi = lower[None, :], upper[None, :]
    relaxed, weights, bounds = x[None, :], np.array([weight]), np.zeros(1)
    known = np.array([trades_price(terms, best) if found else math.inf])
    # Without a group there is nothing to choose, and no side of a box to search along.
    open_nodes = 1 if len(best) else 0
    while open_nodes:
        if effort.nodes_left == 0:
            return False, float(min(bounds[:open_nodes].min(), known[0]))
        if effort.should_stop is not None and effort.should_stop():
            effort.stopped = True
            return False, float(min(bounds[:open_nodes].min(), known[0]))
        batch = min(_BATCH, effort.nodes_left)
        # A node makes room for itself and leaves two.
        room = open_nodes + batch
        lo, hi = _with_room(lo[:open_nodes], room), _with_room(hi[:open_nodes], room)
        relaxed, weights = _with_room(relaxed[:open_nodes], room), _with_room(weights[:open_nodes], room)
        bounds = _with_room(bounds[:open_nodes], room)
        open_nodes, looked = _search(
            terms, lo, hi, relaxed, weights, bounds, open_nodes, batch, limit, lower_risk, best, known, _NODE_ROUNDS
        )
        effort.nodes += looked
        effort.nodes_left -= looked
    return True, max(float(known[0]) - terms.tolerance, 0.0)


def _with_room(rows: _Rows, room: int) -> _Rows:
    """`rows` with empty ones behind them, `room` in all."""
    roomy = np.zeros((room, *rows.shape[1:]), dtype=rows.dtype)
    roomy[: len(rows)] = rows
    return roomy


@compiled_borrowing
def _branch(terms: Terms, lo: IntArray, hi: IntArray, x: FloatArray, free: int) -> tuple[int, int]:
    """The group to split and the last lot of the lower half; some group is not fixed.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (g,) the box of lots.
    x : (g,) relaxed lots.
    free : groups that may be 0 and can still be traded.
    """
    groups = lo.shape[0]
    optional = 0
    for j in range(groups):
        optional += lo[j] <= 0 <= hi[j] and x[j] != 0.0
    branch = -1
    furthest = -1.0
    if optional > free:
        # More trades than allowed: the group that holds most risk is traded in one half, and not in the other.
        for j in range(groups):
            risk = abs(x[j]) * math.sqrt(terms.gram[j, j])
            if lo[j] <= 0 <= hi[j] and risk > 0.0 and risk > furthest:
                branch, furthest = j, risk
        if x[branch] > 0.0:
            return branch, 0
        return branch, -1
    for j in range(groups):
        away = abs(x[j] - round(x[j])) * math.sqrt(terms.gram[j, j])
        if lo[j] < hi[j] and away > furthest:
            branch, furthest = j, away
    return branch, min(math.floor(x[branch]), hi[branch] - 1)


@compiled_borrowing
def _move_into(lo: IntArray, hi: IntArray, x: FloatArray) -> bool:
    """Move lots x to the nearest ones in the box, in place; False where the box is empty."""
    empty = False
    for j in range(x.shape[0]):
        empty |= lo[j] > hi[j]
        x[j] = min(max(x[j], float(lo[j])), float(hi[j]))
    return not empty


@compiled_inline
def _split(
    lo: IntArray, hi: IntArray, x: FloatArray, weight: FloatArray, bounds: FloatArray, k: int, branch: int, split: int
) -> None:
    """Split box k, in place, into boxes k and k + 1: lots of group `branch` up to `split`, and beyond."""
    # The half nearer to the relaxed value goes last, so that it is next.
    up, down = (k + 1, k) if x[k, branch] > split + 0.5 else (k, k + 1)
    # Entry by entry: numba would compile the error messages of a slice assignment for two seconds.
    for j in range(lo.shape[1]):
        lo[k + 1, j] = lo[k, j]
        hi[k + 1, j] = hi[k, j]
        x[k + 1, j] = x[k, j]
    weight[k + 1] = weight[k]
    bounds[k + 1] = bounds[k]
    lo[up, branch] = split + 1
    hi[down, branch] = split


@compiled
def _search(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    x: FloatArray,
    weight: FloatArray,
    bounds: FloatArray,
    open_nodes: int,
    nodes: int,
    limit: float,
    lower_risk: bool,
    best: IntArray,
    known: FloatArray,
    rounds: int,
) -> tuple[int, int]:
    """Look at up to `nodes` boxes, depth first, and improve `best` in place.

    Box k is ``lo[k] <= h <= hi[k]``; the last open one is next. Each is bounded, shortened, and then searched line by
    line, or split. The question is the least cost with ``|y + h G|² <= limit``. With `lower_risk` it is the least risk,
    down to `limit`; costs are then all zeros, so the bound of a box is infinite where no lots beat the best, else 0.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (rows, g) the open boxes, with room for those to come.
    x : (rows, g) relaxed lots to start from in each.
    weight : (rows,) the weight to start from.
    bounds : (rows,) the bound of its parent.
    open_nodes : boxes that are open.
    nodes : boxes that may be looked at.
    limit : of ``|y + h G|²``, in squared targets.
    lower_risk : whether the least risk is wanted, and not the least cost.
    best : (g,) the best lots so far.
    known : (1,) their cost.
    rounds : of relaxation in each box.

    Returns
    -------
    How many boxes are open, and how many were looked at.
    """
    m = len(best)
    h = np.empty(m, np.int64)
    price = np.zeros(m)
    best_square = residual(terms, best)[1]
    looked = 0
    while open_nodes > 0 and looked < nodes:
        within = limit
        if lower_risk:
            within = max((best_square + terms.basis) * (1.0 - terms.resolution) ** 2 - terms.basis, limit)
            if best_square <= limit or within < 0.0:
                return 0, looked
        looked += 1
        open_nodes -= 1
        k = open_nodes
        feasible = keep_to_trades(terms, lo[k], hi[k])
        feasible &= _move_into(lo[k], hi[k], x[k])
        # Boxes that can only equal the best stay where ties are ordered too.
        enough = known[0] - terms.tolerance if terms.tolerance > 0.0 else known[0] * (1.0 + 1e-12)
        if not feasible or bounds[k] > enough:
            continue
        bound, weight[k] = relax(terms, lo[k], hi[k], math.sqrt(within), x[k], weight[k], rounds, enough, price)
        if bound > enough:
            continue
        bounds[k] = max(bounds[k], bound)
        if not lower_risk and enough < np.inf:
            shorten(terms, lo[k], hi[k], price, enough - bound + 1e-9 * enough)
            if not _move_into(lo[k], hi[k], x[k]):
                continue
        along, lines = lines_of(lo[k], hi[k], _MOST_LINES)
        if lines <= _MOST_LINES:
            best_square = min(
                best_square, search_lines(terms, lo[k], hi[k], along, within, lower_risk, enough, best, known)
            )
            continue
        for j in range(m):
            h[j] = round(x[k, j])
        square = residual(terms, h)[1]
        if square <= within:
            cost = trades_price(terms, h)
            if cost < np.inf if lower_risk else is_better(cost, h, known[0], best):
                known[0] = cost
                best_square = square
                for j in range(m):
                    best[j] = h[j]
        branch, split = _branch(terms, lo[k], hi[k], x[k], free_trades(terms, lo[k], hi[k]))
        _split(lo, hi, x, weight, bounds, k, branch, split)
        open_nodes = k + 2
    return open_nodes, looked
