"""What whole lots cost: levels of rising cost on each side, from quotes, ladders and an impact curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.kernels.compiled import compiled, compiled_borrowing

#: Times an exposure, a larger number of lots leaves no digits for a single lot.
MOST_LOTS = 10**9
# Up to this many, each lot of an impact curve is a level of its own. From there each level is wider than the last by
# this factor: a chord of x^1.5 then lies within 0.2 % above it, far less than any impact is known to.
_SINGLE_LOTS = 16
_WIDER = 1.1


@dataclass(frozen=True, eq=False)
class CostLadders:
    """What each of m instruments costs on one side: a convex function of the lots traded, zero at zero.

    Lots are taken level by level. Where prices come from quotes, `cost_per_lot` is the distance of the level's price
    from mid times the lot, plus fees. So it is all that the trade loses against the mid at which positions are valued.

    Parameters
    ----------
    lots : (m, L) int64 >= 0, lots of each level; 0 where an instrument has fewer levels.
    cost_per_lot : (m, L) >= 0, numeraire, rising from level to level where there are lots.
    bid_ask_spread_per_lot : (m,) >= 0, numeraire, half the bid-ask spread of a lot at the best prices, which every lot
        costs.
    fee_per_lot : (m,) >= 0, numeraire, which every lot costs too. What is left of `cost_per_lot` is depth and impact.

    Raises
    ------
    IllPosed : a wrong shape or type, negative lots or costs, more than 1e9 lots, costs that fall along the levels, or
        levels that cost less than bid-ask spread and fee.
    """

    lots: IntArray
    cost_per_lot: FloatArray
    bid_ask_spread_per_lot: FloatArray
    fee_per_lot: FloatArray

    def __post_init__(self) -> None:
        m = len(self.bid_ask_spread_per_lot)
        shape = (m, self.lots.shape[1] if self.lots.ndim == 2 else 0)
        for name, expected, dtype in (
            ("lots", shape, np.int64),
            ("cost_per_lot", shape, np.float64),
            ("bid_ask_spread_per_lot", (m,), np.float64),
            ("fee_per_lot", (m,), np.float64),
        ):
            values = getattr(self, name)
            if values.shape != expected or values.dtype != dtype:
                raise IllPosed(
                    f"{name} must have shape {expected} and type {dtype.__name__}, "
                    f"got {values.shape} and {values.dtype}"
                )
            if not np.isfinite(values).all():
                raise IllPosed(f"{name} must be finite, got {values[~np.isfinite(values)][0]}")
            if (values < 0).any():
                raise IllPosed(f"{name} must be >= 0, got {values.min()}")
        if (self.lots > MOST_LOTS).any() or (self.lots.sum(axis=1) > MOST_LOTS).any():
            raise IllPosed(f"lots must be at most {MOST_LOTS} an instrument, got {self.lots.sum(axis=1).max()}")
        costs = np.where(self.lots > 0, self.cost_per_lot, 0.0)
        highest = np.maximum.accumulate(costs, axis=1)
        falling = np.argwhere((self.lots > 0) & (costs < highest))
        if len(falling):
            j, k = falling[0].tolist()
            raise IllPosed(
                f"cost_per_lot must not fall along the levels, got {costs[j, k]} after {highest[j, k]} for the "
                f"instrument {j}"
            )
        # Parts are sums of the same products in another order.
        parts = (self.bid_ask_spread_per_lot + self.fee_per_lot)[:, None] * (1.0 - 1e-12)
        if ((self.lots > 0) & (costs < parts)).any():
            j, k = np.argwhere((self.lots > 0) & (costs < parts))[0].tolist()
            raise IllPosed(
                f"cost_per_lot must be at least bid_ask_spread_per_lot + fee_per_lot, got {costs[j, k]} for the "
                f"instrument {j}"
            )

    @cached_property
    def reached(self) -> IntArray:
        """(m, L) lots of each level and those before it."""
        return np.cumsum(self.lots, axis=1)

    @cached_property
    def reach(self) -> IntArray:
        """(m,) lots of all levels."""
        return np.asarray(self.lots.sum(axis=1), dtype=np.int64)

    def of(self, columns: IntArray) -> CostLadders:
        """The ladders of some instruments."""
        return CostLadders(
            self.lots[columns],
            self.cost_per_lot[columns],
            self.bid_ask_spread_per_lot[columns],
            self.fee_per_lot[columns],
        )

    def each(self, lots: IntArray) -> FloatArray:
        """(m,) what `lots` (m,) of each instrument cost on this side; negative lots cost nothing."""
        return level_costs(self.lots, self.cost_per_lot, lots)

    def parts(self, lots: IntArray) -> tuple[float, float, float]:
        """Cost of the positive ones of `lots` (m,) on this side, and bid-ask spread and fee in it, numeraire."""
        return _parts_of_side(self.lots, self.cost_per_lot, self.bid_ask_spread_per_lot, self.fee_per_lot, lots)


@compiled_borrowing
def level_cost(levels: IntArray, cost_per_lot: FloatArray, j: int, lots: int) -> float:
    """What `lots` of instrument j cost when they take its `levels` (m, L) in turn; negative lots cost nothing."""
    cost = 0.0
    left = lots
    for k in range(levels.shape[1]):
        if left <= 0:
            break
        taken = min(left, levels[j, k])
        cost += taken * cost_per_lot[j, k]
        left -= taken
    return cost


@compiled
def level_costs(levels: IntArray, cost_per_lot: FloatArray, lots: IntArray) -> FloatArray:
    """(m,) `level_cost` of every instrument."""
    cost = np.empty(len(lots))
    for j in range(len(lots)):
        cost[j] = level_cost(levels, cost_per_lot, j, lots[j])
    return cost


@compiled
def _parts_of_side(
    levels: IntArray,
    cost_per_lot: FloatArray,
    bid_ask_spread_per_lot: FloatArray,
    fee_per_lot: FloatArray,
    lots: IntArray,
) -> tuple[float, float, float]:
    """Total cost of the positive ones of `lots` (m,), and the bid-ask spread and the fee in it."""
    total = bid_ask_spread = fee = 0.0
    for j in range(len(lots)):
        if lots[j] > 0:
            total += level_cost(levels, cost_per_lot, j, lots[j])
            bid_ask_spread += lots[j] * bid_ask_spread_per_lot[j]
            fee += lots[j] * fee_per_lot[j]
    return total, bid_ask_spread, fee


@dataclass(frozen=True)
class CostParts:
    """An expected cost in its components, numeraire.

    Attributes
    ----------
    bid_ask_spread : half the bid-ask spread at the best prices.
    fee : fees.
    depth : what levels behind the best price and impact add.
    """

    bid_ask_spread: float
    fee: float
    depth: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.bid_ask_spread + self.fee + self.depth


def flat_ladders(cost_per_lot: FloatArray) -> CostLadders:
    """Any number of lots at `cost_per_lot` (m,), all of it counted as bid-ask spread."""
    lots = np.full((len(cost_per_lot), 1), MOST_LOTS, dtype=np.int64)
    return CostLadders(lots, cost_per_lot[:, None], cost_per_lot, np.zeros(len(cost_per_lot)))


def cost_parts(buy: CostLadders, sell: CostLadders, lots: IntArray) -> CostParts:
    """Expected cost of `lots` (m,), positive bought and negative sold, by component."""
    bought, bought_bid_ask, bought_fee = buy.parts(lots)
    sold, sold_bid_ask, sold_fee = sell.parts(-lots)
    bid_ask_spread, fee = bought_bid_ask + sold_bid_ask, bought_fee + sold_fee
    return CostParts(bid_ask_spread, fee, max(bought + sold - bid_ask_spread - fee, 0.0))


def impact_levels(
    most_lots: int, available_lots: float, linear: float, square_root: float
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Levels of the impact cost of up to `most_lots` lots, in units of one lot's notional.

    With phi = h / available_lots, h lots move the average price they are dealt at by ``linear phi + square_root
    sqrt(phi)``, as a share of the price, so they cost ``h (linear phi + square_root sqrt(phi))`` notionals of one lot:
    convex, of order h² and h^1.5. Almgren and others estimate such a curve from 700,000 equity orders, with phi the
    share of a day's volume: a permanent part that is linear, half of which the order itself pays (0.314 daily
    volatilities over two), and a temporary part with the exponent 0.6 (0.142 daily volatilities).

    Parameters
    ----------
    most_lots : >= 0, at most 1e9.
    available_lots : > 0, the size at which the two coefficients are stated.
    linear, square_root : >= 0, shares of the price at phi = 1.

    Returns
    -------
    Lots of each level, and the cost of one lot in it as a share of one lot's notional, rising. Every lot up to 16 is a
    level of its own, so the curve is met exactly there; beyond, the chords lie within 0.2 % above it (0.45 % where
    it is all linear).

    References
    ----------
    Almgren, Thum, Hauptmann and Li (2005), Direct Estimation of Equity Market Impact, Risk 18(7).
    """
    if not (0 <= most_lots <= MOST_LOTS):
        raise IllPosed(f"most_lots must be from 0 to {MOST_LOTS}, got {most_lots}")
    if not 0 < available_lots < math.inf:
        raise IllPosed(f"available_lots must be finite and > 0, got {available_lots}")
    for name, value in (("linear", linear), ("square_root", square_root)):
        if not 0 <= value < math.inf:
            raise IllPosed(f"{name} must be finite and >= 0, got {value}")
    if most_lots == 0:
        return (), ()
    if linear == square_root == 0.0:
        return (most_lots,), (0.0,)
    ends = list(range(1, min(_SINGLE_LOTS, most_lots) + 1))
    while ends[-1] < most_lots:
        ends.append(min(math.ceil(ends[-1] * _WIDER), most_lots))

    def paid(h: float) -> float:
        phi = h / available_lots
        return h * (linear * phi + square_root * math.sqrt(phi))

    starts = [0, *ends[:-1]]
    lots = tuple(end - start for start, end in zip(starts, ends, strict=True))
    costs = [(paid(end) - paid(start)) / (end - start) for start, end in zip(starts, ends, strict=True)]
    # Differences of large numbers lose digits; what they lose must not make the levels fall.
    return lots, tuple(np.maximum.accumulate(costs).tolist())
