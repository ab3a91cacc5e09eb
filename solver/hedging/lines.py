"""The best lots of a small box: every line of it along its longest side, the best point of each in closed form."""

from __future__ import annotations

import math

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.hedging.descent import is_better, residual
from solver.hedging.terms import Terms, cost_at


@compiled_borrowing
def lines_of(lo: IntArray, hi: IntArray, most: int) -> tuple[int, int]:
    """The longest side of the box ``lo .. hi``, and how many lines run along it, at most `most` + 1."""
    along = 0
    for j in range(lo.shape[0]):
        if hi[j] - lo[j] > hi[along] - lo[along]:
            along = j
    lines = 1
    for j in range(lo.shape[0]):
        if j != along:
            # No product of two such numbers overflows.
            lines = min(lines * min(hi[j] - lo[j] + 1, most + 1), most + 1)
    return along, lines


@compiled
def search_lines(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    along: int,
    limit: float,
    lower_risk: bool,
    enough: float,
    best: IntArray,
    known: FloatArray,
) -> float:
    """Replace `best` (g,), in place, by the best lots in the box: |y + h G|² of `best` if it was, else infinity.

    Where on a line the risk is within its limit is an interval, and the cheapest lots in it are those nearest to 0;
    with `lower_risk` the lots of least risk count, those nearest to the interval's middle. `known` holds the cost of
    `best`, which lots that cost more than `enough` do not replace.
    """
    groups, n = terms.G.shape
    h = lo.copy()
    h[along] = 0
    r, _ = residual(terms, h)
    # On the very edge this quadratic and the sum that is checked disagree by rounding.
    inside = limit * (1.0 - 1e-12)
    own = np.zeros(groups)
    paid = 0.0
    traded = 0
    for j in range(groups):
        if j != along:
            own[j] = cost_at(terms, j, float(h[j]))
            paid += own[j]
            traded += h[j] != 0
    gram = terms.gram[along, along]
    found = np.inf
    while True:
        if paid <= enough and traded <= terms.max_trades:
            slope = 0.0
            square = 0.0
            for k in range(n):
                slope += terms.G[along, k] * r[k]
                square += r[k] * r[k]
            centre = -slope / gram
            spread = centre * centre - (square - inside) / gram
            if spread >= 0.0:
                root = math.sqrt(spread)
                least, most = max(math.ceil(centre - root), lo[along]), min(math.floor(centre + root), hi[along])
                if traded == terms.max_trades:
                    least, most = max(least, 0), min(most, 0)
                if least <= most:
                    at = min(max(round(centre) if lower_risk else 0, least), most)
                    h[along] = at
                    cost = paid + cost_at(terms, along, float(at))
                    if cost <= enough and (lower_risk or is_better(cost, h, known[0], best)):
                        after = residual(terms, h)[1]
                        if after <= limit:
                            found = after
                            known[0] = cost
                            for j in range(groups):
                                best[j] = h[j]
                            if lower_risk:
                                limit, inside = after, after * (1.0 - 1e-12)
        # The next line: an odometer over the other sides, in which risk and cost follow each step.
        j = 0
        while j < groups and (j == along or h[j] == hi[j]):
            if j != along and lo[j] < hi[j]:
                for k in range(n):
                    r[k] += (lo[j] - h[j]) * terms.G[j, k]
                traded += (lo[j] != 0) - (h[j] != 0)
                h[j] = lo[j]
                paid -= own[j]
                own[j] = cost_at(terms, j, float(h[j]))
                paid += own[j]
            j += 1
        if j == groups:
            return found
        for k in range(n):
            r[k] += terms.G[j, k]
        traded += (h[j] == -1) * -1 + (h[j] == 0)
        h[j] += 1
        paid -= own[j]
        own[j] = cost_at(terms, j, float(h[j]))
        paid += own[j]
