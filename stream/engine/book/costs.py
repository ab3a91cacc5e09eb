"""What lots cost at the quotes of one timestep: cost ladders for the solver, and their prices for limit orders."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.cost import CostLadders, impact_levels
from stream.config import Config, InstrumentConfig
from stream.engine.market.valuation import Valuation
from stream.events.types import QuoteDepth


@dataclass(frozen=True, eq=False)
class Side:
    """One side of every instrument: the cost ladders, and the `prices` (m, L) of their levels in quote units."""

    ladders: CostLadders
    prices: FloatArray

    def limit_price(self, instrument: int, lots: int) -> float:
        """The price of the last level that `lots` of the instrument at this index need."""
        return float(self.prices[instrument, self.ladders.reached[instrument].searchsorted(lots)])


@dataclass(frozen=True, eq=False)
class Costs:
    """Both sides of every instrument."""

    buy: Side
    sell: Side

    def each(self, lots: IntArray) -> FloatArray:
        """(m,) the cost of the `lots` (m,) of each instrument, bought or sold."""
        return self.buy.ladders.each(lots) + self.sell.ladders.each(-lots)


class CostBook:
    """Prices the lots of one configuration. The costs of the last valuation are kept, because books share it."""

    def __init__(self, config: Config) -> None:
        self._instruments = config.instruments
        self._most_lots = config.most_lots
        self._last: tuple[Valuation, Costs] | None = None

    def of(self, valuation: Valuation) -> Costs:
        """The costs at the quotes of `valuation`. An instrument that is not tradeable has no lots."""
        if self._last is None or self._last[0] is not valuation:
            self._last = (valuation, Costs(self._side(valuation, 1), self._side(valuation, -1)))
        return self._last[1]

    def _side(self, valuation: Valuation, sign: int) -> Side:
        rows: list[list[tuple[int, float, float]]] = []
        half_spread, fee = np.zeros(len(self._instruments)), np.zeros(len(self._instruments))
        for index, instrument in enumerate(self._instruments):
            if not valuation.tradeable[index]:
                rows.append([])
                continue
            bid, ask = float(valuation.bids[index]), float(valuation.asks[index])
            mid, point_value = 0.5 * (bid + ask), float(valuation.point_value[index])
            half_spread[index] = 0.5 * (ask - bid) * point_value
            fee[index] = instrument.fee_bps * 1e-4 * mid * point_value
            rows.append(
                [
                    # At least half the bid-ask spread, which every lot pays: rounding can bring it below.
                    (lots, max(sign * (price - mid) * point_value, half_spread[index]) + fee[index], price)
                    for lots, price in _levels(instrument, valuation.depths.get(index), bid, ask, sign, self._most_lots)
                ]
            )
        width = max((len(row) for row in rows), default=0)
        lots, cost, price = (np.zeros((len(rows), width)) for _ in range(3))
        for index, row in enumerate(rows):
            if row:
                lots[index, : len(row)], cost[index, : len(row)], price[index, : len(row)] = zip(*row, strict=True)
        return Side(CostLadders(lots.astype(np.int64), cost, half_spread, fee), price)


def _levels(
    instrument: InstrumentConfig, depth: QuoteDepth | None, bid: float, ask: float, sign: int, most_lots: int
) -> list[tuple[int, float]]:
    """Whole lots and price of each level, best first. Lots of unknown price get no level.

    The levels that the quote shows come first. With an impact, further levels follow from the last price. Without one
    there are no more, except where the quote shows no size: then the best price holds for any number of lots.
    """
    best = ask if sign > 0 else bid
    shown: list[tuple[float, float]] = []
    if depth is not None:
        size, behind = (depth.ask_size_lots, depth.ask_levels) if sign > 0 else (depth.bid_size_lots, depth.bid_levels)
        shown = [] if size is None else [(best, size), *behind]
    levels: list[tuple[int, float]] = []
    seen = total = 0
    size_so_far = 0.0
    for price, size in shown:
        size_so_far += size
        # Parts of a lot at two prices make a whole lot at the worse price.
        total = min(math.floor(size_so_far), most_lots)
        if total > seen:
            levels.append((total - seen, price))
            seen = total
    linear, square_root = instrument.impact_linear_bps * 1e-4, instrument.impact_sqrt_bps * 1e-4
    available = size_so_far if shown else instrument.available_lots
    if linear == square_root == 0.0:
        return levels if shown else [(most_lots, best)]
    if not available:
        return levels
    last, mid = (shown[-1][0] if shown else best), 0.5 * (bid + ask)
    lots, moves = impact_levels(most_lots - seen, available, linear, square_root)
    beyond = ((count, last + sign * move * mid) for count, move in zip(lots, moves, strict=True))
    # The impact curve does not hold for so many lots that the price would be zero or less.
    return levels + [(count, price) for count, price in beyond if price > 0]
