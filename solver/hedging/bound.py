"""A lower bound of the cost of any hedge in a box of lots: the dual of the continuous problem. It also shortens boxes.

Lots h reach the target when ``|y + h G| <= radius``. For any r, every such h has ``r'(y + h G) <= radius |r|``. So for
any ``t >= 0`` it costs at least

    F(t) = -t radius |r| + t r'y + sum_j min over h_j of (c_j(h_j) + t G_j'r h_j),

where each instrument stands on its own, over the box. With a limit on trades only so many of them may differ from 0:
those that gain the most by it. F is concave and piecewise linear in t. Take ``r = y + x G`` for continuous lots x near
the optimum, and for t the multiplier of the risk: then F(t) comes as near to the optimum as the continuous problem
does.

With a limit on trades the continuous problem charges each instrument ``u z_j``, where z_j between 0 and 1 is the share
of it that is traded. Its lots stay within z_j times the box, and all z_j sum to the limit. For a given charge u the
problem separates again. The cost of an instrument is then the convex envelope of ``u [h_j != 0] + c_j(h_j)``: a line
from 0 up to where the next lots cost more than those so far on average. The charge is what the last of the instruments
that may be traded gains by it.

References
----------
Tseng (2001), Convergence of a Block Coordinate Descent Method for Nondifferentiable Minimization, JOTA 109(3).
Frangioni and Gentile (2006), Perspective cuts for a class of convex 0-1 mixed integer programs, Mathematical
Programming 106 (the envelope).
Ryoo and Sahinidis (1996), A branch-and-reduce approach to global optimization, Journal of Global Optimization 8(2)
(`shorten`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.terms import Terms, cost_at
from solver.kernels.compiled import compiled, compiled_borrowing, compiled_inline

# Values of F that are computed in the last round: the first at the multiplier that the coordinate descent used, the
# others where its tangents meet.
_LOOKS = 3
# Sweeps of coordinate descent in a round, at one multiplier.
_SWEEPS = 2


@compiled_borrowing
def cheapest(terms: Terms, j: int, lo: int, hi: int, price: float) -> tuple[float, float]:
    """The lots of group j that minimise ``c_j(h) + price h``, and that minimum; of equal ones the fewest.

    Parameters
    ----------
    terms : the problem.
    j : index of the group.
    lo, hi : bounds of its lots.
    price : per lot; negative where lots are wanted.
    """
    side = 0 if price < 0.0 else 1
    low = 0
    high = terms.levels[side, j]
    while low < high:
        middle = (low + high) // 2
        if terms.slope[side, j, middle] < abs(price):
            low = middle + 1
        else:
            high = middle
    lots = terms.ends[side, j, low - 1] if low > 0 else 0.0
    if side == 1:
        lots = -lots
    lots = min(max(lots, float(lo)), float(hi))
    return lots, cost_at(terms, j, lots) + price * lots


@compiled_borrowing
def free_trades(terms: Terms, lo: IntArray, hi: IntArray) -> int:
    """How many groups that may be 0 can still be traded; negative where the box forces more trades than allowed."""
    left = terms.max_trades
    for j in range(lo.shape[0]):
        left -= lo[j] > 0 or hi[j] < 0
    return left


@compiled_borrowing
def keep_to_trades(terms: Terms, lo: IntArray, hi: IntArray) -> bool:
    """Cut lots off the box, in place, that need more trades than are allowed; False where nothing is left.

    Of two groups of the same legs, the one that is nowhere dearer is given no fewer lots.
    """
    for j in range(lo.shape[0]):
        first, then = terms.ahead[0, j], terms.ahead[1, j]
        if first >= 0:
            hi[j] = min(hi[j], max(hi[first], 0))
            if lo[j] > 0:
                lo[first] = max(lo[first], lo[j])
        if then >= 0:
            lo[j] = max(lo[j], min(lo[then], 0))
            if hi[j] < 0:
                hi[then] = min(hi[then], hi[j])
    free = free_trades(terms, lo, hi)
    if free == 0:
        for j in range(lo.shape[0]):
            if lo[j] <= 0 <= hi[j]:
                lo[j] = hi[j] = 0
    return free >= 0


@compiled_borrowing
def _pick(lo: IntArray, hi: IntArray, gain: FloatArray, free: int, taken: IntArray) -> float:
    """Mark in `taken` the `free` groups, of those that may be 0, that gain most by being traded; the gain of the last.

    The gain is 0 where there are trades left over.
    """
    groups = lo.shape[0]
    optional = 0
    for j in range(groups):
        taken[j] = 1
        if lo[j] <= 0 <= hi[j] and gain[j] < 0.0:
            optional += 1
    if optional <= free:
        return 0.0
    for j in range(groups):
        if lo[j] <= 0 <= hi[j]:
            taken[j] = 0
    last = -np.inf
    for _ in range(free):
        most = -1
        for j in range(groups):
            if taken[j] == 0 and gain[j] < 0.0 and (most < 0 or gain[j] < gain[most]):
                most = j
        taken[most] = 1
        last = gain[most]
    return last


class Room(NamedTuple):
    """Scratch arrays of `dual_bound`."""

    r: FloatArray  # (n,)
    gain: FloatArray  # (g,)
    at: FloatArray  # (g,)
    taken: IntArray  # (g,)


@compiled_borrowing
def dual_bound(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    free: int,
    radius: float,
    x: FloatArray,
    weight: float,
    looks: int,
    gradient: FloatArray,
    room: Room,
) -> tuple[float, float, float, float]:
    """The largest F(t) met in a few looks, for the r of continuous lots x: a bound of the cost in the box.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (g,) the box of lots.
    free : groups that may be 0 and can still be traded, see `free_trades`.
    radius : root of the limit of ``|y + h G|²``.
    x : (g,) continuous lots.
    weight : > 0, the first multiplier t to look at.
    looks : >= 1, how many multipliers to look at.
    gradient : (g,) gets ``G r``.
    room : scratch.

    Returns
    -------
    (bound, t, norm, charge) : the bound, its multiplier, ``|r|``, and what the last trade gains. The bound is infinite
    where F has none: then no lots in the box reach the target.
    """
    square = _continuous_residual(terms, x, room.r)
    norm = math.sqrt(square)
    # Slope of -t radius |r| + t r'r.
    excess = square - radius * norm
    if _rises_for_ever(terms, lo, hi, free, excess, square, x, gradient, room):
        return np.inf, 0.0, norm, 0.0
    best = -np.inf
    charge = 0.0
    best_t = weight
    t = weight
    left_t, left_value, left_slope = 0.0, 0.0, 0.0
    right_t, right_value, right_slope = -1.0, 0.0, 0.0
    for look in range(looks):
        value, slope, charge = _dual_at(terms, lo, hi, free, excess, t, x, gradient, room)
        if value > best:
            best, best_t = value, t
        if look == looks - 1 or slope == 0.0:
            break
        if slope > 0.0:
            left_t, left_value, left_slope = t, value, slope
        else:
            right_t, right_value, right_slope = t, value, slope
        if right_t < 0.0:
            t *= 2.0
        elif left_slope == 0.0:
            t *= 0.5
        else:
            # Where the tangents meet.
            t = (right_value - left_value + left_slope * left_t - right_slope * right_t) / (left_slope - right_slope)
            if not left_t < t < right_t:
                break
    return best, best_t, norm, charge


@compiled_inline
def _continuous_residual(terms: Terms, x: FloatArray, r: FloatArray) -> float:
    """Write ``y + x G`` of continuous lots to `r` (n,); its square."""
    groups, n = terms.G.shape
    for k in range(n):
        r[k] = terms.y[k]
    for j in range(groups):
        if x[j] != 0.0:
            for k in range(n):
                r[k] += x[j] * terms.G[j, k]
    square = 0.0
    for k in range(n):
        square += r[k] * r[k]
    return square


@compiled_inline
def _rises_for_ever(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    free: int,
    excess: float,
    square: float,
    x: FloatArray,
    gradient: FloatArray,
    room: Room,
) -> bool:
    """Whether F rises without end, as t goes to infinity and costs no longer count; writes ``G r`` to `gradient`."""
    groups, n = terms.G.shape
    r, gain, taken = room.r, room.gain, room.taken
    limited = terms.max_trades < groups
    rising = excess
    size = square
    for j in range(groups):
        g = 0.0
        for k in range(n):
            g += terms.G[j, k] * r[k]
        gradient[j] = g
        far = float(hi[j] if g < 0.0 else lo[j])
        gain[j] = g * far
        if not limited:
            rising += g * (far - x[j])
        size += abs(g) * (abs(x[j]) + abs(far))
    if limited:
        _pick(lo, hi, gain, free, taken)
        for j in range(groups):
            rising += (gain[j] if taken[j] else 0.0) - gradient[j] * x[j]
    # A slope that is only what cancellation left over is no evidence of an empty set.
    return bool(rising > 1e-13 * size)


@compiled_inline
def _dual_at(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    free: int,
    excess: float,
    t: float,
    x: FloatArray,
    gradient: FloatArray,
    room: Room,
) -> tuple[float, float, float]:
    """F(t), its slope there, and what the last of the trades that are allowed gains."""
    groups = x.shape[0]
    gain, at, taken = room.gain, room.at, room.taken
    limited = terms.max_trades < groups
    value = t * excess
    slope = excess
    charge = 0.0
    for j in range(groups):
        at[j], gain[j] = cheapest(terms, j, lo[j], hi[j], t * gradient[j])
    if limited:
        charge = -_pick(lo, hi, gain, free, taken)
    for j in range(groups):
        if limited and taken[j] == 0:
            at[j] = 0.0
            gain[j] = 0.0
        value += gain[j] - t * gradient[j] * x[j]
        slope += gradient[j] * (at[j] - x[j])
    return value, slope, charge


@compiled_borrowing
def first_weight(terms: Terms) -> float:
    """The least weight at which `relax` takes any lots; from a lower one it would have to grow for many rounds."""
    weight = np.inf
    for j in range(terms.G.shape[0]):
        gradient = 0.0
        for k in range(terms.G.shape[1]):
            gradient += terms.G[j, k] * terms.y[k]
        side = 1 if gradient > 0.0 else 0
        if gradient != 0.0 and terms.levels[side, j] > 0:
            weight = min(weight, terms.slope[side, j, 0] / abs(gradient))
    return weight if weight < np.inf else 1.0


class _Envelope(NamedTuple):
    """The first line of each group's cost envelope on each side, with the charge for trading the group in it."""

    end: FloatArray  # (2, g), its lots
    slope: FloatArray  # (2, g), what each of them costs
    level: IntArray  # (2, g), the first level that begins behind it


@compiled_borrowing
def _charge(terms: Terms, lo: IntArray, hi: IntArray, charge: float, envelope: _Envelope) -> None:
    """Write the convex envelope of each group's cost; `charge` is added where the group may be 0 and is not."""
    for j in range(lo.shape[0]):
        due = charge if lo[j] <= 0 <= hi[j] else 0.0
        for side in range(2):
            most = float(max(hi[j] if side == 0 else -lo[j], 0))
            levels = terms.levels[side, j]
            k = 0
            end, cost, slope = 0.0, due, np.inf
            while k < levels and end < most and terms.slope[side, j, k] < slope:
                upto = min(terms.ends[side, j, k], most)
                cost += (upto - end) * terms.slope[side, j, k]
                end, slope = upto, cost / upto
                k += 1
            envelope.end[side, j], envelope.slope[side, j], envelope.level[side, j] = end, slope, k


@compiled_inline
def _sweep(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    weight: float,
    envelope: _Envelope,
    x: FloatArray,
    gradient: FloatArray,
) -> None:
    """Move each of the continuous lots x, in place, to where it is best while the others stay; `gradient` follows."""
    groups = x.shape[0]
    for j in range(groups):
        if lo[j] == hi[j]:
            continue
        pull = weight * terms.gram[j, j]
        wanted = x[j] - gradient[j] / terms.gram[j, j]
        side = 0 if wanted > 0.0 else 1
        wanted = abs(wanted)
        # Lots go on being taken while a level costs less than the risk that its lots remove.
        to = min(max(wanted - envelope.slope[side, j] / pull, 0.0), envelope.end[side, j])
        if to == envelope.end[side, j]:
            for k in range(envelope.level[side, j], terms.levels[side, j]):
                level = wanted - terms.slope[side, j, k] / pull
                if level <= to:
                    break
                to = min(level, terms.ends[side, j, k])
                if level <= terms.ends[side, j, k]:
                    break
        step = min(max(to if side == 0 else -to, float(lo[j])), float(hi[j])) - x[j]
        if step != 0.0:
            x[j] += step
            for i in range(groups):
                gradient[i] += step * terms.gram[j, i]


@compiled
def relax(
    terms: Terms,
    lo: IntArray,
    hi: IntArray,
    radius: float,
    x: FloatArray,
    weight: float,
    rounds: int,
    enough: float,
    price: FloatArray,
) -> tuple[float, float]:
    """Move continuous lots x, in place, towards the least cost within `radius`.

    Coordinate descent on ``sum_j c_j(x_j) + weight / 2 |y + x G|²``, where c_j includes the charge for a trade. In each
    round, weight and charge follow the risk and the gains that result. It ends early when the bound exceeds `enough`.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (g,) the box of lots.
    radius : root of the limit of ``|y + h G|²``.
    x : (g,) continuous lots to start from; changed in place.
    weight : > 0, the weight to start from.
    rounds : >= 1.
    enough : a bound above this is all that is asked for.
    price : (g,) gets ``t G_j'r`` of the best bound.

    Returns
    -------
    (bound, weight) : the best bound met, infinite where no lots in the box reach the target; and the last weight.
    """
    groups = x.shape[0]
    gradient = np.empty(groups)
    room = Room(np.empty_like(terms.y), np.empty(groups), np.empty(groups), np.empty(groups, np.int64))
    envelope = _Envelope(np.empty((2, groups)), np.empty((2, groups)), np.empty((2, groups), np.int64))
    charge = 0.0
    _charge(terms, lo, hi, charge, envelope)
    best = -np.inf
    free = free_trades(terms, lo, hi)
    if free < 0:
        return np.inf, weight
    for turn in range(rounds):
        looks = _LOOKS if turn == rounds - 1 else 1
        bound, t, norm, gained = dual_bound(terms, lo, hi, free, radius, x, weight, looks, gradient, room)
        if bound > best:
            best = bound
            for j in range(groups):
                price[j] = t * gradient[j]
        if best > enough or best == np.inf:
            break
        if terms.max_trades < groups:
            # Half way: which instruments gain most depends on the charge, and the choice would alternate.
            charge = gained if turn == 0 else 0.5 * (charge + gained)
            _charge(terms, lo, hi, charge, envelope)
        weight *= min(max(norm / max(radius, 1e-9), 0.5), 2.0)
        # Without a limit it would overflow where no weight is right: a radius of zero, or one that holds every x.
        weight = min(max(weight, 1e-12), 1e12)
        for _ in range(_SWEEPS):
            _sweep(terms, lo, hi, weight, envelope, x, gradient)
    return best, weight


@compiled_borrowing
def _walk(terms: Terms, j: int, side: int, start: float, end: float, price: float, room: float) -> float:
    """How far lots of group j may go from `start` up to `end` while ``c_j(h) + price h`` rises by `room` at most.

    Parameters
    ----------
    terms : the problem.
    j : index of the group.
    side : 0 where h counts bought lots; 1 where it counts sold lots, and all is mirrored.
    start, end : lots, start <= end.
    price : per lot.
    room : >= 0, how much the sum may rise.
    """
    other = 1 - side
    at = start
    while at < end:
        k = 0
        if at >= 0.0:
            while terms.ends[side, j, k] <= at:
                k += 1
            slope = terms.slope[side, j, k] + price
            stop = min(terms.ends[side, j, k], end)
        else:
            while terms.ends[other, j, k] < -at:
                k += 1
            slope = price - terms.slope[other, j, k]
            stop = min(-(terms.ends[other, j, k - 1] if k > 0 else 0.0), end)
        if slope * (stop - at) > room:
            return min(float(math.floor(at + room / slope)), end)
        room -= max(slope, 0.0) * (stop - at)
        at = stop
    return end


@compiled
def shorten(terms: Terms, lo: IntArray, hi: IntArray, price: FloatArray, room: float) -> int:
    """Cut lots off the box, in place, that alone raise the bound by more than `room`.

    The bound is F at the multipliers `price`. It rises by what the own minimum of an instrument rises when its lots are
    given. With a limit on trades, an instrument that is not traded would replace the least valuable of those that are.
    One that is no longer traded leaves its trade to the most valuable of those that are not.

    Parameters
    ----------
    terms : the problem.
    lo, hi : (g,) the box of lots; changed in place.
    price : (g,) ``t G_j'r`` of a bound, as `relax` gives it.
    room : >= 0, what the bound may rise by.

    Returns
    -------
    How many groups got shorter.
    """
    groups = lo.shape[0]
    free = free_trades(terms, lo, hi)
    gain = np.empty(groups)
    at = np.empty(groups)
    taken = np.empty(groups, np.int64)
    for j in range(groups):
        at[j], gain[j] = cheapest(terms, j, lo[j], hi[j], price[j])
    last = _pick(lo, hi, gain, free, taken)
    instead = 0.0
    for j in range(groups):
        if taken[j] == 0:
            instead = min(instead, gain[j])
    shorter = 0
    for j in range(groups):
        if lo[j] == hi[j]:
            continue
        spare = room if taken[j] else room + last - gain[j]
        low, high = 0, 0
        if spare >= 0.0:
            low = -int(_walk(terms, j, 1, -at[j], -float(lo[j]), -price[j], spare))
            high = int(_walk(terms, j, 0, at[j], float(hi[j]), price[j], spare))
        if taken[j] == 0 or (lo[j] <= 0 <= hi[j] and instead - gain[j] <= room):
            low, high = min(low, 0), max(high, 0)
        if low > lo[j] or high < hi[j]:
            shorter += 1
            lo[j], hi[j] = low, high
    return shorter
