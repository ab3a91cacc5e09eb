"""Good lots quickly: relaxed lots rounded, then improved by moves of one and two instruments."""

from __future__ import annotations

import math

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.bound import first_weight, relax
from solver.hedging.problem import TIE
from solver.hedging.terms import Terms, cost_at, merged_price, trades_price
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline

# Rounds of coordinate descent for lots that only get rounded.
_START_ROUNDS = 20
# Sweeps of coordinate descent to find how little risk a few instruments can leave.
_SUPPORT_SWEEPS = 30
# Moves of one local improvement; each takes 10 µs with 18 instruments. Lots of a twentieth of a position settle within
# 15 moves, lots of a two-hundredth within 50. Without a limit the smallest lots, which hardly gain by a move, would go
# on for seconds.
_MOST_MOVES = 50
# Shares of the target risk at which relaxed lots are rounded: always the first two, and the others while the target is
# not reached. With one share, hedges of five trades in small lots take more nodes than it saves; three always gain no
# more.
_START_SHARES = (1.0, 0.9, 0.75, 0.5, 0.25)


@compiled
def residual(terms: Terms, h: IntArray) -> tuple[FloatArray, float]:
    """``y + h G`` and its square."""
    r = terms.y.copy()
    for j in range(len(h)):
        if h[j] != 0:
            for k in range(len(r)):
                r[k] += h[j] * terms.G[j, k]
    square = 0.0
    for k in range(len(r)):
        square += r[k] * r[k]
    return r, square


@compiled_borrowing
def is_better(ours: float, h: IntArray, theirs: float, than: IntArray) -> bool:
    """Whether lots h at cost `ours` are better than lots `than` at cost `theirs`.

    Lower cost first, then fewer lots, then more lots in the groups listed first, then bought before sold.
    """
    if ours == np.inf:
        return False
    if theirs == np.inf or abs(ours - theirs) > 1e-12 * theirs:
        return bool(ours < theirs)
    fewer = 0
    for j in range(len(h)):
        fewer += abs(than[j]) - abs(h[j])
    if fewer != 0:
        return bool(fewer > 0)
    for j in range(len(h)):
        if h[j] != than[j]:
            return bool(abs(h[j]) > abs(than[j]) or (abs(h[j]) == abs(than[j]) and h[j] > than[j]))
    return False


@compiled
def descend(terms: Terms, lo: IntArray, hi: IntArray, limit: float, h: IntArray) -> None:
    """Take the best move of one or two groups until none helps, or `_MOST_MOVES` are done; changes `h` in place.

    While ``|y + h G|² > limit`` a move must lower the risk. Once it is within `limit`, a move must lower the cost and
    keep the risk within. No move leads to more trades than are allowed.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (g,) bounds of the lots.
    limit : of ``|y + h G|²``, in squared targets.
    h : (g,) lots to improve, within the bounds.
    """
    for _ in range(_MOST_MOVES):
        r, square = residual(terms, h)
        within = square <= limit
        first, first_to, second, second_to = _best_move(terms, lo, hi, limit, h, r, square)
        if first < 0:
            return
        was_first, was_second = h[first], h[second]
        h[first] = first_to
        h[second] = second_to
        after = residual(terms, h)[1]
        if after > limit if within else after >= square:
            # On the very edge the quadratic and the sum disagree by rounding. The sum is what gets checked, and a risk
            # that only fell by rounding would go round in circles.
            h[first] = was_first
            h[second] = was_second
            return


@compiled
def _best_move(
    terms: Terms, lo: IntArray, hi: IntArray, limit: float, h: IntArray, r: FloatArray, square: float
) -> tuple[int, int, int, int]:
    """The best move (first group, its lots, second group, its lots) from `h`; the first is -1 where no move helps.

    The first group moves by one lot, to zero, or not at all. The second one moves to whatever number of lots is then
    best. `r` (n,) is ``y + h G`` and `square` its square.
    """
    m = len(h)
    gradient = np.empty(m)
    traded = 0
    for j in range(m):
        gradient[j] = np.sum(terms.G[j] * r)
        traded += h[j] != 0
    most_trades = max(terms.max_trades, traded)
    within = square <= limit
    gain = TIE * (merged_price(terms, h) if within else square)
    first = second = -1
    first_to = second_to = 0
    for i in range(m):
        for choice in range(4):
            to = h[i] + choice - 1 if choice < 3 else 0
            step = to - h[i]
            # Moves of the second group alone are looked at once.
            if to < lo[i] or to > hi[i] or (step == 0 and (i > 0 or choice == 3)):
                continue
            gain, found, found_to = _best_second(
                terms, lo, hi, limit, h, gradient, square, within, i, step, traded, most_trades, gain
            )
            if found >= 0:
                first, first_to, second, second_to = i, to, found, found_to
    return first, first_to, second, second_to


@compiled_inline
def _best_second(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    limit: float,
    h: IntArray,
    gradient: FloatArray,
    square: float,
    within: bool,
    i: int,
    step: int,
    traded: int,
    most_trades: int,
    gain: float,
) -> tuple[float, int, int]:
    """What is won by moving group i by `step` lots and the best second group too: (won, second group, its lots).

    The second group is -1 where nothing wins more than `gain`, which is then what comes back.
    """
    gram = terms.gram
    to = h[i] + step
    base = square + step * (2.0 * gradient[i] + step * gram[i, i])
    saved = cost_at(terms, i, float(h[i])) - cost_at(terms, i, float(to)) if within else 0.0
    count = traded - (h[i] != 0) + (to != 0)
    second, second_to = -1, 0
    for j in range(h.shape[0]):
        if lo[j] == hi[j] or (j == i and step != 0) or (h[j] == 0 and j != i and count >= most_trades):
            continue
        slope = gradient[j] + step * gram[i, j]
        centre = h[j] - slope / gram[j, j]
        if within:
            least, most = lots_between_roots(
                centre, (slope / gram[j, j]) ** 2 - (base - limit) / gram[j, j], lo[j], hi[j]
            )
            if least > most:
                continue
            other = min(max(0, least), most)
            # Costs rise: without lots saved there is nothing to look up.
            if saved <= 0.0 and abs(other) >= abs(h[j]):
                continue
            won = saved + cost_at(terms, j, float(h[j])) - cost_at(terms, j, float(other))
        else:
            other = min(max(round(centre), lo[j]), hi[j])
            by = other - h[j]
            won = square - base - by * (2.0 * slope + by * gram[j, j])
        if won > gain and count - (h[j] != 0) + (other != 0) <= most_trades:
            gain, second, second_to = won, j, other
    return gain, second, second_to


@compiled_borrowing
def lots_between_roots(centre: float, discriminant: float, lo: int, hi: int) -> tuple[int, int]:
    """The whole lots (least, most) in ``lo .. hi`` and in ``centre ± sqrt(discriminant)``; least > most where none are.

    On a line of lots the squared risk is a parabola about `centre`, and it is within its limit between these roots.
    """
    if discriminant < 0.0:
        return 1, 0
    root = math.sqrt(discriminant)
    return max(math.ceil(centre - root), lo), min(math.floor(centre + root), hi)


@compiled
def improve_start(terms: Terms, lo: IntArray, hi: IntArray, limit: float, best: IntArray) -> None:
    """Replace `best`, in place, by whole lots in the box that are better, if the rounding of relaxed lots finds any.

    Better is a lower risk until ``|y + h G|² <= limit``, then a lower cost.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (g,) the box of lots.
    limit : of ``|y + h G|²``, in squared targets.
    best : (g,) the best lots so far, with no more trades than are allowed; changed in place.
    """
    x, price = np.zeros(len(best)), np.empty(len(best))
    weight = first_weight(terms)
    best_square = residual(terms, best)[1]
    best_price = trades_price(terms, best)
    for trial in range(len(_START_SHARES)):
        if trial >= 2 and best_square <= limit:
            break
        radius = _START_SHARES[trial] * math.sqrt(max(limit, 0.0))
        _, weight = relax(terms, lo, hi, radius, x, weight, _START_ROUNDS, np.inf, price)
        if terms.max_trades < len(best):
            few_lo, few_hi = few_groups(terms, lo, hi, radius, x)
            relax(terms, few_lo, few_hi, radius, x, weight, _START_ROUNDS, np.inf, price)
        lots = np.empty_like(best)
        for j in range(len(best)):
            lots[j] = round(x[j])
        descend(terms, lo, hi, limit, lots)
        cost = trades_price(terms, lots)
        if cost == np.inf:
            continue
        square = residual(terms, lots)[1]
        both_reach = max(square, best_square) <= limit
        if is_better(cost, lots, best_price, best) if both_reach else square < best_square:
            best_square, best_price = square, cost
            best[:] = lots


@compiled
def few_groups(terms: Terms, lo: IntArray, hi: IntArray, radius: float, x: FloatArray) -> tuple[IntArray, IntArray]:
    """A box with no more groups than trades are allowed, all others at 0, in which lots can leave little risk.

    Local search: it starts from the groups that hold the most risk in x. One group is exchanged for another while that
    lowers the least risk that lots in the box can leave, until it is within `radius`.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (g,) the whole box of lots.
    radius : root of the limit of ``|y + h G|²``.
    x : (g,) relaxed lots; gets continuous lots of about least risk in the new box.

    Returns
    -------
    (lo, hi) of the new box.
    """
    m = len(x)
    few_lo, few_hi = np.zeros(m, np.int64), np.zeros(m, np.int64)
    trial = np.zeros(m)
    members = np.empty(terms.max_trades, np.int64)
    count = 0
    for _ in range(terms.max_trades):
        most, risk = -1, 0.0
        for j in range(m):
            held = abs(x[j]) * math.sqrt(terms.gram[j, j])
            if few_lo[j] == few_hi[j] and lo[j] < hi[j] and held >= risk:
                most, risk = j, held
        if most < 0:
            break
        few_lo[most], few_hi[most] = lo[most], hi[most]
        members[count] = most
        count += 1
    square = _least_square(terms, lo, hi, members[:count], trial)
    while square > radius * radius:
        least, out, entrant = square * (1.0 - TIE), -1, -1
        for leaving in range(count):
            was = members[leaving]
            for j in range(m):
                if few_lo[j] == few_hi[j] and lo[j] < hi[j]:
                    members[leaving] = j
                    left = _least_square(terms, lo, hi, members[:count], trial)
                    if left < least:
                        least, out, entrant = left, leaving, j
            members[leaving] = was
        if out < 0:
            break
        was = members[out]
        few_lo[was] = few_hi[was] = 0
        few_lo[entrant], few_hi[entrant] = lo[entrant], hi[entrant]
        members[out] = entrant
        square = least
    for j in range(m):
        x[j] = 0.0
    _least_square(terms, lo, hi, members[:count], x)
    return few_lo, few_hi


@compiled
def _least_square(terms: Terms, lo: IntArray, hi: IntArray, members: IntArray, x: FloatArray) -> float:
    """About the least ``|y + x G|²`` with lots of `members` alone, which x (g,) gets; by coordinate descent."""
    for j in members:
        x[j] = 0.0
    r = terms.y.copy()
    for _ in range(_SUPPORT_SWEEPS):
        for j in members:
            slope = 0.0
            for k in range(len(r)):
                slope += terms.G[j, k] * r[k]
            step = min(max(x[j] - slope / terms.gram[j, j], float(lo[j])), float(hi[j])) - x[j]
            if step != 0.0:
                x[j] += step
                for k in range(len(r)):
                    r[k] += step * terms.G[j, k]
    square = 0.0
    for k in range(len(r)):
        square += r[k] * r[k]
    return square
