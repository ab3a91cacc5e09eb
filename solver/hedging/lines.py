"""The best lots of a small box: every line of it along its longest side, the best point of each in closed form."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.descent import is_better, lots_between_roots, residual
from solver.hedging.terms import Terms, cost_at
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline


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
    """Replace `best` by the best lots in the box, if these are better; it changes `best` and `known` in place.

    On a line the risk is within its limit on an interval, and the cheapest lots in it are those nearest to 0. With
    `lower_risk` the lots of least risk are wanted: those nearest to the middle of the interval.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (g,) the box of lots.
    along : index of the group along which the lines run.
    limit : of ``|y + h G|²``, in squared targets.
    lower_risk : whether less risk is better, and not less cost.
    enough : lots that cost more do not replace `best`.
    best : (g,) the best lots so far.
    known : (1,) their cost.

    Returns
    -------
    ``|y + h G|²`` of the new `best`; infinite where it was not replaced.
    """
    groups = terms.G.shape[0]
    h = lo.copy()
    h[along] = 0
    r, _ = residual(terms, h)
    own = np.zeros(groups)
    paid = 0.0
    traded = 0
    for j in range(groups):
        if j != along:
            own[j] = cost_at(terms, j, float(h[j]))
            paid += own[j]
            traded += h[j] != 0
    # On the very edge this quadratic and the sum that is checked disagree by rounding.
    inside = limit * (1.0 - 1e-12)
    found = np.inf
    more = True
    while more:
        if paid <= enough and traded <= terms.max_trades:
            least, most, centre = _interval(terms, along, lo[along], hi[along], traded, inside, r)
            if least <= most:
                h[along] = min(max(round(centre) if lower_risk else 0, least), most)
                cost = paid + cost_at(terms, along, float(h[along]))
                if cost <= enough and (lower_risk or is_better(cost, h, known[0], best)):
                    after = residual(terms, h)[1]
                    if after <= limit:
                        found = after
                        known[0] = cost
                        for j in range(groups):
                            best[j] = h[j]
                        if lower_risk:
                            limit, inside = after, after * (1.0 - 1e-12)
        more, paid, traded = _next_line(terms, lo, hi, along, h, r, own, paid, traded)
    return found


@compiled_inline
def _interval(
    terms: Terms, along: int, lo: int, hi: int, traded: int, limit: float, r: FloatArray
) -> tuple[int, int, float]:
    """The lots of group `along` that keep the risk and the number of trades within their limits: (least, most, centre).

    The risk is least at `centre`, which is no whole number; least > most where no lots do.

    `r` (n,) is the residual with none of its lots, `traded` the trades in the other groups.
    """
    gram = terms.gram[along, along]
    slope = 0.0
    square = 0.0
    for k in range(r.shape[0]):
        slope += terms.G[along, k] * r[k]
        square += r[k] * r[k]
    centre = -slope / gram
    least, most = lots_between_roots(centre, centre * centre - (square - limit) / gram, lo, hi)
    if traded == terms.max_trades:
        least, most = max(least, 0), min(most, 0)
    return least, most, centre


@compiled_inline
def _next_line(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    along: int,
    h: IntArray,
    r: FloatArray,
    own: FloatArray,
    paid: float,
    traded: int,
) -> tuple[bool, float, int]:
    """Turn `h`, in place, to the next line, as an odometer over the other sides of the box.

    Residual `r` (n,), cost of each group `own` (g,), their sum `paid` and the number of trades follow each step.

    Returns
    -------
    (more, paid, traded) : whether there is another line, its cost and its trades.
    """
    groups, n = terms.G.shape
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
        return False, paid, traded
    for k in range(n):
        r[k] += terms.G[j, k]
    traded += (h[j] == -1) * -1 + (h[j] == 0)
    h[j] += 1
    paid -= own[j]
    own[j] = cost_at(terms, j, float(h[j]))
    paid += own[j]
    return True, paid, traded
