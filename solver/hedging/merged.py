"""Instruments of the same legs as one, which has the lots of all of them, the cheapest first.

It depends on what can be traded alone, not on the position, so it is made once for all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.cost import CostLadders

BUY, SELL = 0, 1


class Merged(NamedTuple):
    """The g groups of the m instruments that can be traded, each of the same legs; money in units of `money`.

    Levels, lots and costs are as of `Terms`, ``|root q + h G|`` is the risk of lots h (g,).
    """

    G: FloatArray  # (g, n)
    gram: FloatArray  # (g, g), G G'
    levels: IntArray  # (2, g)
    ends: FloatArray  # (2, g, L)
    slope: FloatArray  # (2, g, L)
    paid: FloatArray  # (2, g, L)
    venue: IntArray  # (2, g, L)
    capacity: FloatArray  # (2, g, V)
    lower: IntArray  # (g,)
    upper: IntArray  # (g,)
    money: float  # numeraire, what the cheapest lot costs that is not free
    surcharge: float
    allowed: IntArray  # (2, m), lots that may be traded of each instrument on each side
    group_of: IntArray  # (m,), -1 where none may be
    venue_of: IntArray  # (m,)


def merged(
    A: FloatArray,
    buy: CostLadders,
    sell: CostLadders,
    lower: IntArray,
    upper: IntArray,
    root: FloatArray,
    tie: float,
) -> Merged:
    """The instruments of `HedgeProblem` by legs; `root` (n, n) of `covariance_root`.

    It is exact: a number of lots of the same legs is cheapest where the levels of all venues, sorted by price, are
    taken from the cheapest on; at equal prices in the order of the instruments. `tie` is what every lot costs on top,
    as a share of the cheapest one that is not free.
    """
    allowed = np.array([np.minimum(upper, buy.reach), np.minimum(-lower, sell.reach)])
    # An instrument whose variance is only the rounding of a singular covariance cannot help.
    variance = ((root @ A) ** 2).sum(axis=0)
    allowed[:, variance <= 1e-14 * (root**2).sum() * (A**2).sum(axis=0)] = 0

    by_legs: dict[bytes, list[int]] = {}
    traded = np.flatnonzero(allowed.any(axis=0))
    for j in traded.tolist():
        by_legs.setdefault((A[:, j] + 0.0).tobytes(), []).append(j)
    members = list(by_legs.values())
    venues = max((len(group) for group in members), default=1)
    g, m = len(members), len(lower)
    group_of, venue_of = np.full(m, -1, dtype=np.int64), np.zeros(m, dtype=np.int64)
    for place, group in enumerate(members):
        for v, j in enumerate(group):
            group_of[j], venue_of[j] = place, v
    capacity = np.zeros((2, g, venues))
    capacity[:, group_of[traded], venue_of[traded]] = allowed[:, traded]

    # All levels of both sides in one list, sorted by row (side and group), then by price, then by instrument.
    columns = [_usable_levels(ladders, allowed[side]) for side, ladders in ((BUY, buy), (SELL, sell))]
    instrument = np.concatenate([column[0] for column in columns])
    lots, cost = (np.concatenate([column[k] for column in columns]) for k in (1, 2))
    row = group_of[instrument] + g * np.repeat((BUY, SELL), [len(column[0]) for column in columns])
    order = np.lexsort((cost, row))
    instrument, lots, cost, row = instrument[order], lots[order], cost[order], row[order]
    paying = cost[cost > 0]
    money = float(paying.min()) if len(paying) else 1.0
    surcharge = tie if len(paying) else 1.0
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

    G = np.ascontiguousarray((root @ A[:, [group[0] for group in members]]).T)
    return Merged(
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
        money=money,
        surcharge=surcharge,
        allowed=allowed,
        group_of=group_of,
        venue_of=venue_of,
    )


def _usable_levels(ladders: CostLadders, allowed: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Instrument, lots and cost per lot of every level with lots among the first `allowed` (m,) of each ladder."""
    before = ladders.reached - ladders.lots
    usable = np.clip(allowed[:, None] - before, 0, ladders.lots)
    instrument, level = np.nonzero(usable)
    return instrument, usable[instrument, level].astype(np.float64), ladders.cost_per_lot[instrument, level]
