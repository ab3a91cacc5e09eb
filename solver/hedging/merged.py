"""Merges instruments of the same legs into one group, which has the lots of all of them, the cheapest first.

Under a limit on trades that can bind, each instrument is a group of its own. The groups depend on what can be traded
alone, not on the position, so they are made once for all positions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.cost import CostLadders
from solver.kernels.compiled import compiled, compiled_borrowing

BUY, SELL = 0, 1


class Merged(NamedTuple):
    """The g groups of the m instruments that can be traded; all instruments of a group have the same legs.

    Where not all instruments may be traded at once, each is a group of its own, since each counts as a trade. Money is
    in units of `money`. Levels, lots and costs are as of `Terms`, and ``|root q + h G|`` is the risk of lots h (g,).
    """

    G: FloatArray  # (g, n)
    gram: FloatArray  # (g, g), G G'
    levels: IntArray  # (2, g)
    ends: FloatArray  # (2, g, L)
    slope: FloatArray  # (2, g, L)
    paid: FloatArray  # (2, g, L)
    instrument: IntArray  # (2, g, L)
    lower: IntArray  # (g,)
    upper: IntArray  # (g,)
    money: float  # numeraire, what the cheapest lot costs that is not free
    surcharge: float
    allowed: IntArray  # (2, m), lots that may be traded of each instrument on each side
    group_of: IntArray  # (m,), -1 where none may be
    legs: IntArray  # (g,), the same number for the same legs
    ahead: IntArray  # (2, g), a group of the same legs that costs no more for any lots this one has, or -1


def merged(
    A: FloatArray,
    buy: CostLadders,
    sell: CostLadders,
    lower: IntArray,
    upper: IntArray,
    root: FloatArray,
    tie: float,
    max_trades: int | None,
) -> Merged:
    """Group the instruments of a `HedgeProblem` by their legs.

    This is exact. A number of lots of the same legs is cheapest where the levels of all venues, sorted by price, are
    taken from the cheapest on; at equal prices in the order of the instruments.

    Parameters
    ----------
    A : (n, m) exposure per bought lot of each instrument, numeraire.
    buy, sell : what lots cost.
    lower, upper : (m,) lots.
    root : (n, n) of `covariance_root`.
    tie : what every lot costs on top, as a share of the cheapest lot that is not free, so that of equal costs the
        fewest lots win.
    max_trades : how many instruments may be traded at once; None for any number.
    """
    allowed = _allowed_lots(A, buy, sell, lower, upper, root)
    traded = np.flatnonzero(allowed.any(axis=0))
    legs = _numbered_legs(A[:, traded])
    apart = max_trades is not None and max_trades < len(traded)
    of_traded = np.arange(len(traded)) if apart else legs
    firsts = np.unique(of_traded, return_index=True)[1]
    g = len(firsts)
    group_of = np.full(len(lower), -1, dtype=np.int64)
    group_of[traded] = of_traded
    instrument, lots, cost, row = _sorted_levels(buy, sell, allowed, group_of, g)
    paying = cost[cost > 0]
    money = float(paying.min()) if len(paying) else 1.0
    surcharge = tie if len(paying) else 1.0

    # From one list to a matrix with a row for each side and group.
    levels = np.bincount(row, minlength=2 * g)
    level_in_row = np.arange(len(row)) - np.repeat(np.cumsum(levels) - levels, levels)
    width = int(levels.max(initial=0))
    level_lots, slope = np.zeros((2 * g, width)), np.zeros((2 * g, width))
    instruments = np.zeros((2 * g, width), dtype=np.int64)
    level_lots[row, level_in_row] = lots
    slope[row, level_in_row] = cost / money + surcharge
    instruments[row, level_in_row] = instrument
    paid = np.cumsum(level_lots * slope, axis=1)
    ends = np.cumsum(level_lots, axis=1)

    legs = legs[firsts]
    G = np.ascontiguousarray((root @ A[:, traded[firsts]]).T)
    return Merged(
        G=G,
        gram=G @ G.T,
        levels=levels.reshape(2, g),
        ends=ends.reshape(2, g, width),
        slope=slope.reshape(2, g, width),
        paid=paid.reshape(2, g, width),
        instrument=instruments.reshape(2, g, width),
        lower=-_by_group(allowed[SELL], group_of, g),
        upper=_by_group(allowed[BUY], group_of, g),
        money=money,
        surcharge=surcharge,
        allowed=allowed,
        group_of=group_of,
        legs=legs,
        ahead=_venues_ahead(legs, levels.reshape(2, g), ends.reshape(2, g, width), slope.reshape(2, g, width)),
    )


def _allowed_lots(
    A: FloatArray, buy: CostLadders, sell: CostLadders, lower: IntArray, upper: IntArray, root: FloatArray
) -> IntArray:
    """(2, m) lots that may be traded of each instrument on each side; arguments as of `merged`."""
    allowed = np.array([np.minimum(upper, buy.reach), np.minimum(-lower, sell.reach)])
    # An instrument whose variance is only the rounding of a singular covariance cannot help.
    variance = ((root @ A) ** 2).sum(axis=0)
    allowed[:, variance <= 1e-14 * (root**2).sum() * (A**2).sum(axis=0)] = 0
    return allowed


def _numbered_legs(A: FloatArray) -> IntArray:
    """(m,) the same number for equal columns of `A` (n, m), counted from 0 in their order."""
    number_of: dict[bytes, int] = {}
    # Plus 0 turns -0 into 0.
    numbers = [number_of.setdefault((column + 0.0).tobytes(), len(number_of)) for column in A.T]
    return np.array(numbers, dtype=np.int64)


def _sorted_levels(
    buy: CostLadders, sell: CostLadders, allowed: IntArray, group_of: IntArray, groups: int
) -> tuple[IntArray, FloatArray, FloatArray, IntArray]:
    """Instrument, lots, cost per lot and row of all usable levels, sorted by row, then by price, then by instrument.

    The row of a level is its group on the buying side, and `groups` later on the selling side.
    """
    columns = [_usable_levels(ladders, allowed[side]) for side, ladders in ((BUY, buy), (SELL, sell))]
    instrument = np.concatenate([column[0] for column in columns])
    lots, cost = (np.concatenate([column[k] for column in columns]) for k in (1, 2))
    row = group_of[instrument] + groups * np.repeat((BUY, SELL), [len(column[0]) for column in columns])
    order = np.lexsort((cost, row))
    return instrument[order], lots[order], cost[order], row[order]


def lots_of_groups(merged: Merged, lots: IntArray) -> IntArray:
    """Lots (g,) of the groups that `lots` (m,) of the instruments add up to."""
    return _by_group(lots, merged.group_of, len(merged.lower))


@compiled
def _venues_ahead(legs: IntArray, levels: IntArray, ends: FloatArray, slope: FloatArray) -> IntArray:
    """(2, g) for each group one of the same legs that is nowhere dearer on that side, or -1; of equal ones the first.

    Lots of the two that break this order can be exchanged, and cost no more.
    """
    groups = len(legs)
    ahead = np.full((2, groups), -1, np.int64)
    for side in range(2):
        for j in range(groups):
            for other in range(groups):
                if other == j or legs[other] != legs[j] or not _nowhere_dearer(side, other, j, levels, ends, slope):
                    continue
                if other < j or not _nowhere_dearer(side, j, other, levels, ends, slope):
                    ahead[side, j] = other
    return ahead


@compiled_borrowing
def _nowhere_dearer(side: int, one: int, other: int, levels: IntArray, ends: FloatArray, slope: FloatArray) -> bool:
    """Whether group `one` has at least the lots of `other`, none of them dearer."""
    k = 0
    for level in range(levels[side, other]):
        start = ends[side, other, level - 1] if level > 0 else 0.0
        while k < levels[side, one] and ends[side, one, k] <= start:
            k += 1
        while k < levels[side, one] and slope[side, one, k] <= slope[side, other, level]:
            if ends[side, one, k] >= ends[side, other, level]:
                break
            k += 1
        if k == levels[side, one] or slope[side, one, k] > slope[side, other, level]:
            return False
    return True


def _by_group(lots: IntArray, group_of: IntArray, groups: int) -> IntArray:
    traded = group_of >= 0
    return np.bincount(group_of[traded], weights=lots[traded], minlength=groups).astype(np.int64)


def _usable_levels(ladders: CostLadders, allowed: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Instrument, lots and cost per lot of every level with lots among the first `allowed` (m,) of each ladder."""
    before = ladders.reached - ladders.lots
    usable = np.clip(allowed[:, None] - before, 0, ladders.lots)
    instrument, level = np.nonzero(usable)
    return instrument, usable[instrument, level].astype(np.float64), ladders.cost_per_lot[instrument, level]
