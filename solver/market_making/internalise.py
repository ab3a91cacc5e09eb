"""What a value of inventories tells the dealer to do: skew, hedge, or wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray
from solver.market_making.dealer import Dealer
from solver.market_making.quadratic import QuadraticValue, quadratic_value


@dataclass(frozen=True, eq=False)
class Internalisation:
    """When crossing the spread beats waiting: no position inside the zone is worth a hedge.

    The zone is ``|direction' ((2 A - K) y + B)| <= psi`` for every market, K the diagonal matrix of the impact.

    Attributes
    ----------
    threshold : (m,) numeraire, the inventory along each market's own direction, and nothing else, from which on that
        market is worth crossing; infinite where impact makes it never so.
    asset_threshold : (d,) numeraire, the same for each asset held alone: the least over all markets.
    market_risk : (m,) numeraire per root of the unit of time, the least risk at which that market can be worth
        crossing, whatever the position.
    risk : the least of these: a book whose risk is below has nothing to hedge, a limit below it hedges too early.
    """

    threshold: FloatArray
    asset_threshold: FloatArray
    market_risk: FloatArray
    risk: float


@dataclass(frozen=True, eq=False)
class QuoteSkew:
    """What to do about one inventory.

    Attributes
    ----------
    skew : (m,) share of the price: the price of each market's instrument at which the dealer is indifferent to a small
        trade, less the mid. Long, it is negative: both quotes go down by about as much.
    hedging_rate : (m,) numeraire per unit of time to trade in each market; 0 inside the zone, negative sells.
    urgency : (m,) |what a unit hedged is worth| / psi: above 1, crossing beats waiting.
    """

    skew: FloatArray
    hedging_rate: FloatArray
    urgency: FloatArray


class Internaliser:
    """The approximate policy of one dealer: greedy with respect to its `quadratic_value`.

    Immutable. Building it costs O(d³) and belongs off the hot path; `advise` costs O(m d + d²), `markups` O(d²).

    Raises
    ------
    IllPosed : as `quadratic_value`.

    References
    ----------
    Barzykin, Bergault and Guéant (2023), Dealing with multi-currency inventory risk in FX cash markets. Its closed form
    of the hedging rate has A y + B where the gradient of -y' A y - y' B is -(2 A y + B); here it is the latter.
    """

    def __init__(self, dealer: Dealer) -> None:
        self.dealer = dealer
        self.value: QuadraticValue = quadratic_value(dealer)
        d = len(dealer.impact)
        self._directions = np.array([market.direction for market in dealer.markets]).reshape(-1, d)
        self._psi = np.array([market.psi for market in dealer.markets])

    def markups(self, y: FloatArray, stream: int) -> FloatArray:
        """(k,) markup to quote to `dealer.streams[stream]` for each of its sizes at inventory `y` (d,), shares."""
        client = self.dealer.streams[stream]
        return client.demand.quote(self.value.shadow_cost(y, client.direction, client.sizes))

    def advise(self, y: FloatArray) -> QuoteSkew:
        """What to do at inventory `y` (d,), numeraire."""
        cost = self._directions @ (2.0 * self.value.A @ y + self.value.B)
        # A purchase costs this in value, but lifts the price of what is held.
        p = self._directions @ (self.dealer.impact * y) - cost
        rates = [float(market.rate(each)) for market, each in zip(self.dealer.markets, p, strict=True)]
        return QuoteSkew(
            skew=-cost,
            hedging_rate=np.array(rates, dtype=np.float64),
            urgency=_over(np.abs(p), self._psi),
        )

    def zone(self) -> Internalisation:
        """The zone of pure internalisation; where clients' flow is one-sided (B is not 0), its nearer side."""
        slopes = self._directions @ (2.0 * self.value.A - np.diag(self.dealer.impact))
        room = np.maximum(self._psi - np.abs(self._directions @ self.value.B), 0.0)
        along = np.einsum("md,md->m", slopes, self._directions)
        # Along its own direction a hedge must push the value up, or impact eats it.
        threshold = np.where(along > 0, _over(room, np.abs(along)), np.inf)
        alone = np.where(slopes != 0, _over(room[:, None], np.abs(slopes)), np.inf)
        # The least y' Sigma y with slope' y = room; what has no variance has no risk to hedge.
        values, axes = np.linalg.eigh(self.dealer.Sigma)
        kept = values > 1e-12 * values[-1]
        steepness = np.sqrt((((slopes @ axes[:, kept]) ** 2) / values[kept]).sum(axis=1))
        market_risk = _over(room, steepness)
        return Internalisation(
            threshold=threshold,
            asset_threshold=np.asarray(alone.min(axis=0, initial=np.inf), dtype=np.float64),
            market_risk=market_risk,
            risk=float(market_risk.min(initial=np.inf)),
        )


def _over(a: FloatArray, b: FloatArray) -> FloatArray:
    """a / b for a, b >= 0; where b is 0, infinite unless a is 0 too."""
    whole = np.where(a == 0, 0.0, np.inf)
    return np.asarray(np.where(b == 0, whole, a / np.where(b == 0, 1.0, b)), dtype=np.float64)
