"""From the value of inventories to what the dealer does: skew quotes, hedge, or wait."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.market_making.dealer import Dealer, hedging_rate
from solver.market_making.quadratic import QuadraticValue, quadratic_value


@dataclass(frozen=True, eq=False)
class Internalisation:
    """When crossing the bid-ask spread beats waiting: no position inside the zone is worth a hedge.

    The zone is ``|direction' ((2 A - K) y + B)| <= psi`` for every market, where K is the diagonal matrix of the
    impact.

    Attributes
    ----------
    threshold : (m,) numeraire, the inventory along each market's own direction, with nothing else held, from which on
        that market is worth crossing; infinite where impact makes it never so.
    risk : numeraire per root of the unit of time, the least risk at which any market can be worth crossing, whatever
        the position. A book whose risk is below it has nothing to hedge, and a limit below it hedges too early.
    """

    threshold: FloatArray
    risk: float


@dataclass(frozen=True, eq=False)
class QuoteSkew:
    """What to do about one inventory.

    Attributes
    ----------
    skew : (m,) share of the price: the price of each market's instrument at which the dealer is indifferent to a small
        trade, less the mid. With a long inventory it is negative: both quotes go down by about as much.
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
        self._directions = dealer.market_directions
        self._psi = np.array([market.psi for market in dealer.markets])
        self._eta = np.array([market.eta for market in dealer.markets])

    def markups(self, y: FloatArray, stream: int) -> FloatArray:
        """(k,) markup to quote to `dealer.streams[stream]` for each of its sizes at inventory `y` (d,), shares."""
        client = self.dealer.streams[stream]
        return client.demand.quote(self.value.shadow_cost(y, client.direction, client.sizes))

    def skew(self, y: FloatArray, directions: FloatArray) -> FloatArray:
        """(k,) `QuoteSkew.skew` of instruments of these `directions` (k, d), markets or not, at inventory `y` (d,)."""
        return np.asarray(-directions @ (2.0 * self.value.A @ y + self.value.B), dtype=np.float64)

    def advise(self, y: FloatArray) -> QuoteSkew:
        """What to do at inventory `y` (d,), numeraire."""
        skew = self.skew(y, self._directions)
        # What a purchase does to the value, and that it lifts the price of what is held.
        p = skew + self._directions @ (self.dealer.impact * y)
        return QuoteSkew(
            skew=skew,
            hedging_rate=hedging_rate(p, self._psi, self._eta),
            urgency=_over(np.abs(p), self._psi),
        )

    def scale_to_edge(self, y: FloatArray) -> float:
        """The factor by which inventory `y` (d,) has to be multiplied to leave the zone; infinite where none does.

        It is 1 over the urgency where clients buy as much as they sell. One-sided flow can make a market worth crossing
        with nothing held. Then the factor is 0 for inventories that this flow adds to.
        """
        pull = self._directions @ self.value.B
        slope = self._directions @ (2.0 * self.value.A @ y) - self._directions @ (self.dealer.impact * y)
        room = np.maximum(self._psi - np.copysign(pull, slope * pull), 0.0)
        return float(_over(room, np.abs(slope))[slope != 0].min(initial=np.inf))

    def zone(self) -> Internalisation:
        """The zone of pure internalisation; where clients' flow is one-sided (B is not 0), its nearer side."""
        slopes = self._directions @ (2.0 * self.value.A - np.diag(self.dealer.impact))
        room = np.maximum(self._psi - np.abs(self._directions @ self.value.B), 0.0)
        along = np.einsum("md,md->m", slopes, self._directions)
        # Along its own direction a hedge must push the value up, or impact eats it.
        threshold = np.where(along > 0, _over(room, np.abs(along)), np.inf)
        # Of each market the least y' Sigma y with slope' y = room.
        risks = _over(room, np.sqrt((_whitened(slopes, self.dealer.Sigma) ** 2).sum(axis=1)))
        return Internalisation(
            threshold=threshold,
            risk=float(risks.min(initial=np.inf)),
        )


def implied_risk_aversion(dealer: Dealer, least_risk: float) -> float:
    """The risk aversion at which the zone of `dealer` has `least_risk`: what a limit says about the one who set it.

    Along market i the zone begins at the risk psi / |s a - k|, where s is the root of the risk aversion, and a and k
    are what value and impact make of the direction of the market. The answer is the least s that brings one of these
    down to `least_risk`. Without impact that is ``(zone(1).risk / least_risk)²``.

    Parameters
    ----------
    dealer : clients buy as much as they sell. Its own risk aversion is not read.
    least_risk : > 0, numeraire per root of the unit of time.

    Returns
    -------
    > 0, per numeraire. O(d³).

    Raises
    ------
    IllPosed : no market, or a free one; one-sided flow; an impact so large that no risk aversion has such a zone; what
        `quadratic_value` refuses.
    """
    if not 0 < least_risk < np.inf:
        raise IllPosed(f"least_risk must be finite and > 0, got {least_risk}")
    psi = np.array([market.psi for market in dealer.markets])
    if not len(psi) or not (psi > 0).all():
        raise IllPosed(f"markets must cost something for a limit to imply a risk aversion, got psi {psi}")
    unit = quadratic_value(replace(dealer, risk_aversion=1.0))
    if np.abs(unit.B).max() > 1e-9 * psi.max():
        raise IllPosed("streams must come in two equal sides for a limit to imply a risk aversion")
    directions = dealer.market_directions
    a = _whitened(2.0 * directions @ unit.A, dealer.Sigma)
    k = _whitened(directions * dealer.impact, dealer.Sigma)
    # |s a - k|² = (psi / least_risk)², the greater s of two: below the lesser one impact eats what hedging is worth.
    aa, ak, kk = (a**2).sum(axis=1), (a * k).sum(axis=1), (k**2).sum(axis=1)
    reach = ak**2 - aa * (kk - (psi / least_risk) ** 2)
    if not (aa > 0).any():
        raise IllPosed("Sigma must leave some risk for a limit to imply a risk aversion, got none")
    if (reach < 0).any():
        raise IllPosed(f"impact must leave a zone with the least risk {least_risk:g}, got none at any risk aversion")
    moved = aa > 0  # what no risk reaches is never worth a hedge
    root = float(((ak + np.sqrt(reach))[moved] / aa[moved]).min())
    if root <= 0 or (np.sqrt(np.maximum(aa * root**2 - 2 * ak * root + kk, 0.0)) > psi / least_risk * (1 + 1e-9)).any():
        raise IllPosed(f"impact must leave a zone with the least risk {least_risk:g}, got none at any risk aversion")
    return root**2


def _whitened(slopes: FloatArray, Sigma: FloatArray) -> FloatArray:
    """`slopes` (m, d) in units of risk: the least risk with slope' y = 1 is 1 over the length of its row.

    What has no variance has no risk to hedge, and is left out.
    """
    values, axes = np.linalg.eigh(Sigma)
    kept = values > 1e-12 * values[-1]
    return np.asarray(slopes @ axes[:, kept] / np.sqrt(values[kept]), dtype=np.float64)


def _over(a: FloatArray, b: FloatArray) -> FloatArray:
    """a / b for a, b >= 0; where b is 0, infinite unless a is 0 too."""
    whole = np.where(a == 0, 0.0, np.inf)
    return np.asarray(np.where(b == 0, whole, a / np.where(b == 0, 1.0, b)), dtype=np.float64)
