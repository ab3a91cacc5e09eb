"""What a move of a price looks like, in words."""

from __future__ import annotations

import math

# Factors that people know, with what they usually are.
_FACTORS = (
    (100.0, "a change of unit, as from pounds to pence"),
    (10.0, "a shifted decimal point"),
    (1000.0, "a shifted decimal point"),
    (10_000.0, "a change of unit"),
    (2.0, "a split"),
    (3.0, "a split"),
    (4.0, "a split"),
    (5.0, "a split"),
)

# How near the move must be to the factor: the market has moved too.
_NEAR = 0.03


def looks_like(before: float, after: float) -> str:
    """The move as a factor, with what it looks like where that is known.

    Parameters
    ----------
    before, after : prices, > 0.
    """
    log_factor = math.log(after / before)
    if abs(math.log(before * after)) <= _NEAR < abs(log_factor):
        return "its inverse, like a pair quoted the other way round"
    for factor, meaning in _FACTORS:
        if abs(abs(log_factor) - math.log(factor)) <= _NEAR:
            return f"{'×' if log_factor > 0 else '÷'} {factor:g}, like {meaning}"
    if abs(log_factor) > math.log(1.5):
        return f"{'×' if log_factor > 0 else '÷'} {math.exp(abs(log_factor)):.3g}"
    return f"{math.expm1(log_factor):+.2%}"


def price(value: float) -> str:
    """A price as people read it: six digits."""
    return f"{value:.6g}"


def seconds(nanoseconds: float) -> str:
    """A duration as people read it."""
    value = nanoseconds / 1e9
    if value < 120.0:
        return f"{value:.3g} s"
    if value < 7200.0:
        return f"{value / 60.0:.3g} minutes"
    return f"{value / 3600.0:.3g} hours" if value < 172_800.0 else f"{value / 86_400.0:.3g} days"
