"""Figures that both sides compute by one definition: equal up to rounding, or a fault."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stream.studies.validate.second_opinion.answers import Agreement

# Rounding of equal formulas in another order, on data without near dependence.
_ROUNDING = 1e-8

# A condition number, times the rounding of one operation, times this, bounds what a product of moments loses.
_LOST_DIGITS = 1e3 * float(np.finfo(np.float64).eps)

# Where rounding alone may move the third digit, equal figures prove nothing.
_WORTH_COMPARING = 1e-3


def rounding_of(condition: float) -> float:
    """The difference that rounding may make where products of moments with this condition number are inverted."""
    return max(_ROUNDING, _LOST_DIGITS * condition)


@dataclass
class Equality:
    """Collects pairs of figures that must be equal up to a tolerance each."""

    what: str
    reason: str = ""
    compared: int = 0
    worst: tuple[float, float] | None = None

    def take(self, ours: float, theirs: float, tolerance: float) -> None:
        """Compare one pair; not where rounding alone could part them."""
        if tolerance > _WORTH_COMPARING:
            self.reason = self.reason or f"too nearly dependent: rounding alone may move figures by {tolerance:.0e}"
            return
        difference = abs(ours - theirs) / max(abs(ours), abs(theirs), 1.0)
        if not math.isfinite(difference):
            difference = math.inf
        self.compared += 1
        if self.worst is None or difference / tolerance > self.worst[0] / self.worst[1]:
            self.worst = (difference, tolerance)

    def agreement(self) -> Agreement:
        """What was found."""
        difference, tolerance = self.worst or (None, None)
        return Agreement(
            what=self.what,
            compared=self.compared,
            largest_difference=difference,
            tolerance=tolerance,
            reason="" if self.compared else self.reason or "neither has an answer to compare",
        )
