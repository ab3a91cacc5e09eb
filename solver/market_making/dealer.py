"""What a dealer faces: clients who ask for quotes, a market to hedge in, and prices that move."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.market_making.demand import Demand
from solver.psd import check_covariance


@dataclass(frozen=True, eq=False)
class ClientStream:
    """Requests of one kind: one tier of clients, one instrument, one side.

    Parameters
    ----------
    direction : (d,) exposure that the dealer gains for each unit dealt. A client who sells EUR against GBP brings +1 of
        EUR and -1 of GBP. A deal against the numeraire has one entry.
    sizes : (k,) > 0, numeraire, the sizes in which clients ask.
    rates : (k,) >= 0, requests of each size per unit of time.
    demand : the share that deals at a quote.

    Raises
    ------
    IllPosed : shapes that do not fit, a size or rate out of range, a direction of zeros.
    """

    direction: FloatArray
    sizes: FloatArray
    rates: FloatArray
    demand: Demand

    def __post_init__(self) -> None:
        _check_direction(self.direction)
        if self.sizes.ndim != 1 or self.sizes.shape != self.rates.shape or not len(self.sizes):
            raise IllPosed(f"sizes and rates must both be (k,), got {self.sizes.shape} and {self.rates.shape}")
        if not (np.isfinite(self.sizes).all() and (self.sizes > 0).all()):
            raise IllPosed(f"sizes must be finite and > 0, got {self.sizes}")
        if not (np.isfinite(self.rates).all() and (self.rates >= 0).all()):
            raise IllPosed(f"rates must be finite and >= 0, got {self.rates}")

    # For the parabola of H at 0. Cached, since covariances come and go while clients stay the same.

    @cached_property
    def dealt(self) -> float:
        """Numeraire per unit of time that clients deal at the best markup when the shadow cost is 0."""
        return float(self.rates @ self.sizes) * float(self.demand.share(self.demand.quote(np.zeros(()))))

    @cached_property
    def response(self) -> float:
        """Sum of rate · size · H''(0): numeraire per unit of time by which a skew of 1 changes what deals."""
        return float(self.rates @ self.sizes) * float(self.demand.curvature(np.zeros(())))

    @cached_property
    def response_to_size(self) -> float:
        """Sum of rate · size² · H''(0), numeraire² per unit of time."""
        return float(self.rates @ self.sizes**2) * float(self.demand.curvature(np.zeros(())))


@dataclass(frozen=True, eq=False)
class HedgeMarket:
    """An instrument in which the dealer can cross the bid-ask spread: trading at rate v costs ``psi |v| + eta v²``.

    Parameters
    ----------
    direction : (d,) exposure gained for each unit bought, as for `ClientStream`.
    psi : >= 0, half the bid-ask spread plus fees, share of the price.
    eta : > 0, share of the price per (numeraire per unit of time): what trading faster costs.

    Raises
    ------
    IllPosed : a number outside these ranges, or a direction of zeros.
    """

    direction: FloatArray
    psi: float
    eta: float

    def __post_init__(self) -> None:
        _check_direction(self.direction)
        if not 0 <= self.psi < math.inf:
            raise IllPosed(f"psi must be finite and >= 0, got {self.psi}")
        if not 0 < self.eta < math.inf:
            raise IllPosed(f"eta must be finite and > 0, got {self.eta}")

    def rate(self, p: FloatArray) -> FloatArray:
        """`hedging_rate` here, elementwise."""
        return hedging_rate(p, self.psi, self.eta)


def hedging_rate(p: FloatArray, psi: FloatArray | float, eta: FloatArray | float) -> FloatArray:
    """The rate that maximises ``v p - psi |v| - eta v²``, elementwise: 0 while |p| <= psi."""
    p = np.asarray(p, dtype=np.float64)
    worth = np.copysign(np.maximum(np.abs(p) - psi, 0.0), p)
    return np.asarray(worth / (2.0 * eta) + 0.0, dtype=np.float64)  # no negative zero


@dataclass(frozen=True, eq=False)
class Dealer:
    """Maximises markups earned less hedging cost less ``risk_aversion / 2`` times the variance of its inventory.

    All parameters share one unit of time. Inventories change by trades alone: that a held exposure grows with its price
    changes its value by less than a millionth of the risk term.

    Parameters
    ----------
    streams : client flow; both sides of an instrument are two streams.
    markets : where it can hedge; may be empty.
    Sigma : (d, d) covariance of log returns per unit of time, symmetric PSD.
    risk_aversion : > 0, per numeraire.
    impact : (d,) >= 0, share by which a price moves for good per numeraire of that asset that the dealer hedges.

    Raises
    ------
    IllPosed : shapes that do not fit, numbers outside their ranges, a Sigma that is not symmetric PSD.
    """

    streams: tuple[ClientStream, ...]
    markets: tuple[HedgeMarket, ...]
    Sigma: FloatArray
    risk_aversion: float
    impact: FloatArray

    def __post_init__(self) -> None:
        d = len(self.impact)
        if self.impact.shape != (d,) or self.Sigma.shape != (d, d) or d == 0:
            raise IllPosed(f"Sigma must be (d, d) and impact (d,), got {self.Sigma.shape} and {self.impact.shape}")
        if not (np.isfinite(self.Sigma).all() and np.isfinite(self.impact).all()):
            raise IllPosed("Sigma and impact must be finite")
        if (self.impact < 0).any():
            raise IllPosed(f"impact must be >= 0, got {self.impact.min()}")
        if not 0 < self.risk_aversion < math.inf:
            raise IllPosed(f"risk_aversion must be finite and > 0, got {self.risk_aversion}")
        check_covariance(self.Sigma)
        for name, directions in (
            ("streams", [stream.direction for stream in self.streams]),
            ("markets", [market.direction for market in self.markets]),
        ):
            for k, direction in enumerate(directions):
                if direction.shape != (d,):
                    raise IllPosed(f"{name}[{k}].direction must be ({d},), got {direction.shape}")

    @property
    def stream_directions(self) -> FloatArray:
        """(s, d) of each stream."""
        return np.array([stream.direction for stream in self.streams]).reshape(-1, len(self.impact))

    @property
    def market_directions(self) -> FloatArray:
        """(m, d) of each market."""
        return np.array([market.direction for market in self.markets]).reshape(-1, len(self.impact))


def _check_direction(direction: FloatArray) -> None:
    if direction.ndim != 1 or not np.isfinite(direction).all() or not direction.any():
        raise IllPosed(f"direction must be finite numbers that are not all zero, got {direction}")
