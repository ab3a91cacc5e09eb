"""The term of one asset in the Lagrangian of `solver.packing.volume.bound`: its minimum, and where it meets a limit."""

from __future__ import annotations

import math

from solver.kernels.compiled import compiled_borrowing

# Evaluations when the end of a residual's range is looked for.
SHRINK_STEPS = 4


@compiled_borrowing
def smallest_square(low: float, high: float) -> float:
    """The least x² over an interval."""
    if low > 0.0:
        return low * low
    if high < 0.0:
        return high * high
    return 0.0


@compiled_borrowing
def marginal(weight: float, least: float, x: float) -> float:
    """h(x) = log(1 + weight · (x² - least))."""
    return math.log1p(weight * max(x * x - least, 0.0))


@compiled_borrowing
def stationary(weight: float, least: float, slope: float) -> float:
    """Where ``h(x) - slope · x`` has its local minimum, or infinity.

    ``2 w x = slope · (1 + w (x² - least))``: the root nearer to zero is the minimum, the other a maximum.
    """
    if weight <= 0.0:
        return math.inf
    inner = 1.0 - slope * slope * (1.0 - weight * least) / weight
    if inner < 0.0:
        return math.inf
    return slope * (1.0 - weight * least) / (weight * (1.0 + math.sqrt(inner)))


@compiled_borrowing
def least_of_term(
    weight: float, least: float, low: float, high: float, slope: float, at_low: float, at_high: float
) -> float:
    """The minimum of ``h(x) - slope · x`` over [low, high]: at an end, where h is given, or at a flat point.

    `least` is that of the box for which h was taken, which holds the range.

    Parameters
    ----------
    weight, least : of h.
    low, high : the range, lots' risk.
    slope : of the line.
    at_low, at_high : h at its ends.
    """
    best = min(at_low - slope * low, at_high - slope * high)
    if low < 0.0 < high:
        best = min(best, 0.0)
    x = stationary(weight, least, slope)
    if low < x < high:
        best = min(best, marginal(weight, least, x) - slope * x)
    return best


@compiled_borrowing
def first_within(
    weight: float, least: float, slope: float, limit: float, outside: float, above: float, inside: float, below: float
) -> float:
    """A point between `outside`, where ``h(x) - slope · x`` exceeds `limit`, and the first towards `inside` where not.

    There is one crossing between the two (see `shrink`), looked for by false position; `above` and `below` are by how
    much the function exceeds the limit at the two.

    Parameters
    ----------
    weight, least : of h.
    slope : of the line.
    limit : volume.
    outside, above : a point, and by how much the function exceeds the limit there.
    inside, below : the same of a point where it does not, <= 0.
    """
    for _ in range(SHRINK_STEPS):
        x = inside + (outside - inside) * (-below / (above - below))
        value = marginal(weight, least, x) - slope * x - limit
        if value > 0.0:
            outside = x
            above = value
        else:
            inside = x
            below = value
            # Or the outer end would never move (the Illinois rule): only there something is cut.
            above *= 0.5
    return outside
