"""A problem in the kernels' units, and what lots cost there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.problem import TIE, HedgeProblem
from solver.kernels.compiled import compiled, compiled_borrowing

_ANY_NUMBER = 2**30


class Terms(NamedTuple):
    """A problem in units in which the target risk is 1 and the cheapest lot that is not free costs 1.

    The g groups are instruments of the same legs; with fewer trades allowed than there are groups, each group is one
    instrument. ``|y + h G|²`` is the variance of lots h (g,) without the basis variance. Level k of a side holds the
    lots after ``ends[side, j, k - 1]`` up to ``ends[side, j, k]``, of ``instrument[side, j, k]``. A tuple, since numba
    takes no dataclass.
    """

    y: FloatArray  # (n,)
    G: FloatArray  # (g, n)
    gram: FloatArray  # (g, g), G G'
    levels: IntArray  # (2, g), how many levels each side has
    ends: FloatArray  # (2, g, L)
    slope: FloatArray  # (2, g, L), cost per lot, rising
    paid: FloatArray  # (2, g, L), cost of all lots up to the level's end
    instrument: IntArray  # (2, g, L)
    ahead: IntArray  # (2, g), a group of the same legs that costs no more for any lots this one has, or -1
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
        instrument=merged.instrument,
        ahead=merged.ahead,
        lower=merged.lower,
        upper=merged.upper,
        max_trades=_ANY_NUMBER if problem.max_trades is None else problem.max_trades,
        basis=problem.basis_variance / target**2,
        resolution=max(TIE, problem.risk_resolution),
        tolerance=problem.cost_resolution / merged.money,
        money=merged.money,
        surcharge=merged.surcharge,
    )


@compiled
def lots_of_instruments(terms: Terms, m: int, h: IntArray) -> IntArray:
    """(m,) lots of the instruments: the lots h (g,) of the groups, dealt at the venues where they cost least."""
    lots = np.zeros(m, np.int64)
    for j in range(len(h)):
        side = 0 if h[j] > 0 else 1
        left = abs(h[j])
        start = 0
        for k in range(terms.levels[side, j]):
            end = int(terms.ends[side, j, k])
            part = min(end - start, left)
            lots[terms.instrument[side, j, k]] += part if side == 0 else -part
            left -= part
            start = end
    return lots


@compiled_borrowing
def cost_at(terms: Terms, j: int, h: float) -> float:
    """What h lots of group j cost at the cheapest venues; h is within its levels."""
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
def trades_price(terms: Terms, h: IntArray) -> float:
    """What lots h (g,) cost, infinite if they need more trades than there may be."""
    traded = 0
    for j in range(h.shape[0]):
        traded += h[j] != 0
    return merged_price(terms, h) if traded <= terms.max_trades else np.inf
