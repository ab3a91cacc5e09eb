"""How many clients deal at a quote, and the best quote against what a trade costs the dealer's inventory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, wrightomega

from solver.arrays import FloatArray
from solver.errors import IllPosed


class Demand(Protocol):
    """The share f of requests that deal at a markup, and what follows from it.

    A markup `delta` and a shadow cost `p` are shares of the price: the client deals `delta` worse than mid, and the
    dealer's inventory is worth `p` less per unit dealt. H(p) = sup f(delta) (delta - p) is what a request is worth.
    """

    def share(self, delta: FloatArray) -> FloatArray:
        """f(delta), elementwise."""
        ...

    def quote(self, p: FloatArray) -> FloatArray:
        """The markup at which H(p) is reached, elementwise; it rises with p."""
        ...

    def curvature(self, p: FloatArray) -> FloatArray:
        """H''(p), elementwise, > 0. H'(p) is ``-share(quote(p))``, by the envelope theorem."""
        ...


@dataclass(frozen=True)
class Logistic:
    """f(delta) = 1 / (1 + exp(alpha + beta delta)): no client deals far above what others quote, all do far below.

    With u exp(u) = exp(-1 - alpha - beta p) the best markup is p + (1 + u) / beta, the share that deals u / (1 + u),
    and H(p) = u / beta. u is Wright's omega function of -1 - alpha - beta p.

    Parameters
    ----------
    alpha : log odds against a deal at mid.
    beta : > 0, price sensitivity, per share of the price (one per basis point is 1e4).

    Raises
    ------
    IllPosed : `alpha` is not finite, or `beta` not a finite number above 0.

    References
    ----------
    Barzykin, Bergault and Guéant (2023), Dealing with multi-currency inventory risk in FX cash markets, section 2.
    Corless and Jeffrey (2002), The Wright omega function, AISC 2002.
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.alpha):
            raise IllPosed(f"alpha must be finite, got {self.alpha}")
        if not 0 < self.beta < math.inf:
            raise IllPosed(f"beta must be finite and > 0, got {self.beta}")

    def share(self, delta: FloatArray) -> FloatArray:
        return np.asarray(expit(-self.alpha - self.beta * np.asarray(delta)), dtype=np.float64)

    def quote(self, p: FloatArray) -> FloatArray:
        return np.asarray(p + (1.0 + self._omega(p)) / self.beta, dtype=np.float64)

    def curvature(self, p: FloatArray) -> FloatArray:
        u = self._omega(p)
        return np.asarray(self.beta * u / (1.0 + u) ** 3, dtype=np.float64)

    def _omega(self, p: FloatArray) -> FloatArray:
        return np.asarray(
            wrightomega(-1.0 - self.alpha - self.beta * np.asarray(p, dtype=np.float64)), dtype=np.float64
        )
