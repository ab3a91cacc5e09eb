"""A problem in the kernels' units, and what lots cost there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.hedging.merged import Merged
from solver.hedging.problem import TIE, HedgeProblem

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


def scaled(problem: HedgeProblem) -> Terms:
    """The kernels' view of `problem`; `lots_of_instruments` is the way back."""
    merged, target = problem.merged, problem.target
    return Terms(
        y=problem.root @ problem.q / target,
        G=merged.G / target,
        gram=merged.gram / target**2,
        levels=merged.levels,
        ends=merged.ends,
        slope=merged.slope,
        paid=merged.paid,
        venue=merged.venue,
        capacity=merged.capacity,
        lower=merged.lower,
        upper=merged.upper,
        max_trades=_ANY_NUMBER if problem.max_trades is None else problem.max_trades,
        basis=problem.basis_variance / target**2,
        resolution=max(TIE, problem.risk_resolution),
        tolerance=problem.cost_resolution / merged.money,
        money=merged.money,
        surcharge=merged.surcharge,
    )


def lots_of_groups(merged: Merged, lots: IntArray) -> IntArray:
    """Lots (g,) of the groups that `lots` (m,) of the instruments add up to."""
    traded = merged.group_of >= 0
    totals = np.bincount(merged.group_of[traded], weights=lots[traded], minlength=len(merged.lower))
    return totals.astype(np.int64)


@compiled
def lots_of_instruments(terms: Terms, group_of: IntArray, venue_of: IntArray, h: IntArray) -> IntArray:
    """(m,) lots h (g,) of the groups, at the venues where they cost least within the number of trades.

    `group_of`, `venue_of` (m,) as of `Merged`.
    """
    lots = np.zeros(len(group_of), np.int64)
    chosen = np.zeros(len(h), np.int64)
    trades_price(terms, h, chosen)
    taken = np.zeros(terms.capacity.shape[1:], np.int64)
    for j in range(len(h)):
        side = 0 if h[j] > 0 else 1
        left = abs(h[j])
        start = 0
        for k in range(terms.levels[side, j]):
            end = int(terms.ends[side, j, k])
            venue = terms.venue[side, j, k]
            if chosen[j] >> venue & 1:
                part = min(end - start, left)
                taken[j, venue] += part if side == 0 else -part
                left -= part
            start = end
    for i in range(len(group_of)):
        if group_of[i] >= 0:
            lots[i] = taken[group_of[i], venue_of[i]]
    return lots


@compiled_borrowing
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


@compiled_borrowing
def merged_price(terms: Terms, h: IntArray) -> float:
    """What lots h (g,) cost with any number of trades."""
    total = 0.0
    for j in range(h.shape[0]):
        total += cost_at(terms, j, float(h[j]))
    return total


@compiled_borrowing
def least_trades(terms: Terms, j: int, h: int) -> int:
    """Instruments that h lots of group j need at least."""
    side = 0 if h > 0 else 1
    left = float(abs(h))
    count = 0
    while left > 0.0 and count < terms.capacity.shape[2]:
        left -= terms.capacity[side, j, count]
        count += 1
    return count


@compiled_borrowing
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
