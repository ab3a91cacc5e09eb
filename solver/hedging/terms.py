"""A problem in the kernels' units, with instruments of the same legs as one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.errors import IllPosed
from solver.hedging.cost import CostLadders
from solver.hedging.problem import MOST_VENUES, TIE, HedgeProblem, covariance_root

BUY, SELL = 0, 1
_ANY_NUMBER = 2**30


class Terms(NamedTuple):
    """The target risk is 1, the cheapest lot that is not free costs 1; the g groups are instruments of the same legs.

    ``|y + h G|²`` is the variance of lots h (g,) without the basis variance. Level k of a side holds the lots after
    ``ends[side, j, k - 1]`` up to ``ends[side, j, k]``, of the venue ``venue[side, j, k]``. A tuple, since numba takes
    no dataclass.
    """

    y: FloatArray  # (n,)
    G: FloatArray  # (g, n)
    gram: FloatArray  # (g, g), G G'
    levels: IntArray  # (2, g), how many levels each side has
    ends: FloatArray  # (2, g, L)
    slope: FloatArray  # (2, g, L), cost per lot, rising
    paid: FloatArray  # (2, g, L), cost of all lots up to the level's end
    venue: IntArray  # (2, g, L), which instrument of the group
    capacity: FloatArray  # (2, g, V), lots of each instrument of the group, the largest first
    lower: IntArray  # (g,)
    upper: IntArray  # (g,)
    max_trades: int
    basis: float
    resolution: float  # of the risk, as a share
    tolerance: float  # of the cost
    money: float  # numeraire per unit of cost
    surcharge: float  # what every lot costs on top, so that of equal costs the fewest lots win


class Groups(NamedTuple):
    """Which instruments make up each group, in the order of the problem."""

    members: list[list[int]]
    lots: IntArray  # (2, m), lots that may be traded of each instrument on each side


def scaled(problem: HedgeProblem) -> tuple[Terms, Groups]:
    """The kernels' view of `problem`, and the way back.

    Merging is exact: a number of lots of the same legs is cheapest where the levels of all venues, sorted by price, are
    taken from the cheapest on; at equal prices in the order of the instruments.
    """
    allowed = np.array([np.minimum(problem.upper, problem.buy.reach), np.minimum(-problem.lower, problem.sell.reach)])
    root = covariance_root(problem.Sigma) / problem.target
    # An instrument whose variance is only the rounding of a singular Sigma cannot help.
    variance = ((root @ problem.A) ** 2).sum(axis=0)
    allowed[:, variance <= 1e-14 * (root**2).sum() * (problem.A**2).sum(axis=0)] = 0

    by_legs: dict[bytes, list[int]] = {}
    traded = np.flatnonzero(allowed.any(axis=0))
    for j in traded.tolist():
        by_legs.setdefault((problem.A[:, j] + 0.0).tobytes(), []).append(j)
    members = list(by_legs.values())
    venues = max((len(group) for group in members), default=1)
    if problem.max_trades is not None and venues > MOST_VENUES:
        raise IllPosed(f"max_trades must go with at most {MOST_VENUES} instruments of equal legs, got {venues}")
    g, m = len(members), len(problem.lower)
    group_of, venue_of = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    for place, group in enumerate(members):
        for v, j in enumerate(group):
            group_of[j], venue_of[j] = place, v
    capacity = np.zeros((2, g, venues))
    capacity[:, group_of[traded], venue_of[traded]] = allowed[:, traded]

    # All levels of both sides in one list, sorted by row (side and group), then by price, then by instrument.
    columns = [_usable_levels(ladders, allowed[side]) for side, ladders in ((BUY, problem.buy), (SELL, problem.sell))]
    instrument = np.concatenate([column[0] for column in columns])
    lots, cost = (np.concatenate([column[k] for column in columns]) for k in (1, 2))
    row = group_of[instrument] + g * np.repeat((BUY, SELL), [len(column[0]) for column in columns])
    order = np.lexsort((cost, row))
    instrument, lots, cost, row = instrument[order], lots[order], cost[order], row[order]
    paying = cost[cost > 0]
    money = float(paying.min()) if len(paying) else 1.0
    surcharge = TIE if len(paying) else 1.0
    levels = np.bincount(row, minlength=2 * g)
    place_in_row = np.arange(len(row)) - np.repeat(np.cumsum(levels) - levels, levels)
    width = int(levels.max(initial=0))
    ends, slope = np.zeros((2 * g, width)), np.zeros((2 * g, width))
    venue = np.zeros((2 * g, width), dtype=np.int64)
    ends[row, place_in_row] = lots
    slope[row, place_in_row] = cost / money + surcharge
    venue[row, place_in_row] = venue_of[instrument]
    paid = np.cumsum(ends * slope, axis=1)
    ends = np.cumsum(ends, axis=1)

    G = np.ascontiguousarray((root @ problem.A[:, [group[0] for group in members]]).T)
    terms = Terms(
        y=root @ problem.q,
        G=G,
        gram=G @ G.T,
        levels=levels.reshape(2, g),
        ends=ends.reshape(2, g, width),
        slope=slope.reshape(2, g, width),
        paid=paid.reshape(2, g, width),
        venue=venue.reshape(2, g, width),
        capacity=-np.sort(-capacity, axis=2),
        lower=-np.asarray(capacity[SELL].sum(axis=1), dtype=np.int64),
        upper=np.asarray(capacity[BUY].sum(axis=1), dtype=np.int64),
        max_trades=_ANY_NUMBER if problem.max_trades is None else problem.max_trades,
        basis=problem.basis_variance / problem.target**2,
        resolution=max(TIE, problem.risk_resolution),
        tolerance=problem.cost_resolution / money,
        money=money,
        surcharge=surcharge,
    )
    return terms, Groups(members, allowed)


def _usable_levels(ladders: CostLadders, allowed: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Instrument, lots and cost per lot of every level with lots among the first `allowed` (m,) of each ladder."""
    before = np.cumsum(ladders.lots, axis=1) - ladders.lots
    usable = np.clip(allowed[:, None] - before, 0, ladders.lots)
    instrument, level = np.nonzero(usable)
    return instrument, usable[instrument, level].astype(np.float64), ladders.cost_per_lot[instrument, level]


def lots_of_groups(groups: Groups, lots: IntArray) -> IntArray:
    """Lots (g,) of the groups that `lots` (m,) of the instruments add up to."""
    return np.array([int(lots[group].sum()) for group in groups.members], dtype=np.int64)


def lots_of_instruments(problem: HedgeProblem, terms: Terms, groups: Groups, h: IntArray) -> IntArray:
    """(m,) lots h (g,) of the groups, at the venues where they cost least within the number of trades."""
    lots = np.zeros(len(problem.lower), dtype=np.int64)
    chosen = np.zeros(len(h), dtype=np.int64)
    trades_price(terms, h, chosen)
    for place, group in enumerate(groups.members):
        side, left = (BUY, int(h[place])) if h[place] > 0 else (SELL, -int(h[place]))
        start = 0
        for k in range(terms.levels[side, place]):
            end = int(terms.ends[side, place, k])
            if chosen[place] >> terms.venue[side, place, k] & 1:
                taken = min(end - start, left)
                lots[group[terms.venue[side, place, k]]] += taken if side == BUY else -taken
                left -= taken
            start = end
    return lots


@compiled
def cost_at(terms: Terms, j: int, h: float) -> float:
    """What h lots of group j cost, at the cheapest venues; h within its levels."""
    side = 0 if h > 0.0 else 1
    x = abs(h)
    if x == 0.0:
        return 0.0
    low = 0
    high = terms.levels[side, j] - 1
    while low < high:
        middle = (low + high) // 2
        if terms.ends[side, j, middle] < x:
            low = middle + 1
        else:
            high = middle
    return float(terms.paid[side, j, low] - terms.slope[side, j, low] * (terms.ends[side, j, low] - x))


@compiled
def merged_price(terms: Terms, h: IntArray) -> float:
    """What lots h (g,) cost with any number of trades."""
    total = 0.0
    for j in range(h.shape[0]):
        total += cost_at(terms, j, float(h[j]))
    return total


@compiled
def least_trades(terms: Terms, j: int, h: int) -> int:
    """Instruments that h lots of group j need at least."""
    side = 0 if h > 0 else 1
    left = float(abs(h))
    count = 0
    while left > 0.0 and count < terms.capacity.shape[2]:
        left -= terms.capacity[side, j, count]
        count += 1
    return count


@compiled
def _cost_with(terms: Terms, j: int, h: int, chosen: int) -> float:
    """What h lots of group j cost at the venues in the bits of `chosen`, infinite where they have too few."""
    side = 0 if h > 0 else 1
    left = float(abs(h))
    start = 0.0
    total = 0.0
    for k in range(terms.levels[side, j]):
        if left <= 0.0:
            break
        if (chosen >> terms.venue[side, j, k]) & 1:
            taken = min(terms.ends[side, j, k] - start, left)
            total += taken * terms.slope[side, j, k]
            left -= taken
        start = terms.ends[side, j, k]
    return total if left <= 0.0 else np.inf


@compiled
def trades_price(terms: Terms, h: IntArray, chosen: IntArray) -> float:
    """What lots h (g,) cost within the number of trades, infinite if they need more.

    Writes to `chosen` (g,) the venues of each group, as bits. Without a limit these are all of them. With one, the best
    cost of each group with each number of venues is found by looking at every set of them, and trades are given to the
    groups by dynamic programming.
    """
    groups, venues = terms.capacity.shape[1], terms.capacity.shape[2]
    most = terms.max_trades
    if most >= groups * venues:
        for j in range(groups):
            chosen[j] = (1 << venues) - 1
        return merged_price(terms, h)
    best = np.full((groups + 1, most + 1), np.inf)
    pick = np.zeros((groups, most + 1), dtype=np.int64)
    best[0, :] = 0.0
    for j in range(groups):
        for used in range(most + 1):
            if h[j] == 0:
                best[j + 1, used] = best[j, used]
                continue
            for bits in range(1, 1 << venues):
                count = 0
                for v in range(venues):
                    count += (bits >> v) & 1
                if count > used or best[j, used - count] == np.inf:
                    continue
                total = best[j, used - count] + _cost_with(terms, j, h[j], bits)
                if total < best[j + 1, used]:
                    best[j + 1, used] = total
                    pick[j, used] = bits
    used = most
    if best[groups, most] < np.inf:
        for j in range(groups - 1, -1, -1):
            chosen[j] = pick[j, used] if h[j] != 0 else 0
            for v in range(venues):
                used -= (chosen[j] >> v) & 1
    return float(best[groups, most])
