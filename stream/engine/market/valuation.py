"""Quotes to prices, exposures and costs in the numeraire. A missing or stale price is NaN here, never a number."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse.csgraph import dijkstra

from solver.arrays import BoolArray, FloatArray, IntArray
from stream.config import NANOSECONDS, Config
from stream.events.types import QuoteDepth, Timestep

# Of paths with equal spreads the shortest: far below any spread, and a locked pair keeps a length above zero.
_HOP = 1e-12


@dataclass(frozen=True)
class Valuation:
    """What one timestep's quotes are worth.

    `prices` (n,) numeraire per unit of asset, NaN where no fresh quotes price it; `priced_by` names for each the
    instruments, by their index, whose quotes do, from the asset on. `exposures` (n, m) numeraire per bought lot.
    `cost_per_lot` (m,) numeraire: half the spread plus fees. `point_value` (m,) numeraire: what a lot gains when its
    price rises by one. `bids`, `asks` (m,) in quote units, as of `quoted_at_ns`,
    and `depths` where these quotes show how much can be dealt.
    `tradeable` (m,): the instrument's own quote is fresh and every price it needs is there; exposures and cost are 0
    where it is not.
    """

    prices: FloatArray
    priced_by: tuple[tuple[int, ...], ...]
    exposures: FloatArray
    cost_per_lot: FloatArray
    point_value: FloatArray
    bids: FloatArray
    asks: FloatArray
    quoted_at_ns: IntArray
    tradeable: BoolArray
    depths: dict[int, QuoteDepth] = field(default_factory=dict)

    @property
    def unpriced(self) -> BoolArray:
        """(n,) assets without a price."""
        return np.isnan(self.prices)


class Valuer:
    """Values the quotes of one configuration. Stateless."""

    def __init__(self, config: Config) -> None:
        universe = config.universe
        indices = {asset: index for index, asset in enumerate((*universe.assets, universe.numeraire))}
        m = len(config.instruments)
        self._timestep_ns = universe.timestep_ns
        self._max_age_ns = round(universe.max_price_age_s * NANOSECONDS)
        self._legs = np.zeros((len(indices), m))
        for column, instrument in enumerate(config.instruments):
            for asset, quantity in instrument.legs.items():
                self._legs[indices[asset], column] = quantity
        self._quote = np.array([indices[instrument.quote] for instrument in config.instruments], dtype=np.int64)
        self._lots = np.array([instrument.lot for instrument in config.instruments])
        self._fee = np.array([instrument.fee_bps for instrument in config.instruments]) * 1e-4
        self._columns = np.arange(m)
        alike: dict[tuple[object, ...], list[int]] = {}
        for column, instrument in enumerate(config.instruments):
            key = (frozenset(instrument.legs.items()), instrument.quote, instrument.lot)
            alike.setdefault(key, []).append(column)
        self._twins = [np.array(columns) for columns in alike.values() if len(columns) > 1]
        # What each instrument of a single leg says of two assets: so many units of its quote asset for one of its leg.
        self._pairs = [
            (column, indices[leg], indices[instrument.quote], quantity)
            for column, instrument in enumerate(config.instruments)
            if len(instrument.legs) == 1
            for leg, quantity in instrument.legs.items()
        ]

    def value(self, timestep: Timestep) -> Valuation:
        """Prices, exposures and costs at the close of `timestep`."""
        fresh = (timestep.quoted_at_ns > 0) & (timestep.end_ns - timestep.quoted_at_ns <= self._max_age_ns)
        mids = np.where(fresh, 0.5 * (timestep.bids + timestep.asks), np.nan)
        prices, priced_by = self._prices(mids, timestep)
        exposures, cost_per_lot = self._exposures(mids, prices, timestep)
        tradeable = np.isfinite(cost_per_lot) & np.isfinite(exposures).all(axis=0)
        return Valuation(
            prices=prices[:-1],
            priced_by=priced_by,
            exposures=np.where(tradeable, exposures, 0.0)[:-1],
            cost_per_lot=np.where(tradeable, cost_per_lot, 0.0),
            point_value=np.where(tradeable, self._lots * prices[self._quote], 0.0),
            bids=timestep.bids,
            asks=timestep.asks,
            quoted_at_ns=timestep.quoted_at_ns,
            tradeable=tradeable,
            depths=timestep.depths,
        )

    def log_price_ticks(self, timestep: Timestep, valuation: Valuation) -> tuple[IntArray, FloatArray, FloatArray]:
        """Assets, moments within the timestep from 0 to 1, and log prices (k,) of the ticks of `timestep`.

        Those of the instruments that `valuation`, of the same timestep, prices assets by directly; an asset that is
        priced over a path of crosses has no ticks of its own.
        """
        assert timestep.ticks is not None
        asset_of = np.full(len(timestep.bids), -1, dtype=np.int64)
        quantity, inverse = np.ones(len(asset_of)), np.zeros(len(asset_of), dtype=np.bool_)
        for column, leg, quote, units in self._pairs:
            asset = leg if quote == len(self._legs) - 1 else quote
            if asset < len(valuation.priced_by) and valuation.priced_by[asset] == (column,):
                asset_of[column], quantity[column], inverse[column] = asset, units, asset == quote
        own = asset_of[timestep.ticks.instruments] >= 0
        columns, times_ns = timestep.ticks.instruments[own], timestep.ticks.times_ns[own]
        log_mids = np.log(timestep.ticks.mids[own] / quantity[columns])
        moments = 1.0 - (timestep.end_ns - times_ns) / self._timestep_ns
        return asset_of[columns], moments, np.where(inverse[columns], -log_mids, log_mids)

    def _prices(self, mids: FloatArray, timestep: Timestep) -> tuple[FloatArray, tuple[tuple[int, ...], ...]]:
        """Prices (n + 1,), the last that of the numeraire itself, and the instruments that each stands on.

        An asset that a fresh instrument prices against the numeraire has that one's price, of several the first in the
        configuration, so the choice is the operator's. Any other is priced along the path of fresh instruments to the
        numeraire whose spreads, relative to their mids, add up to the least.
        """
        numeraire = len(self._legs) - 1
        # One step of a path: from this asset, over this instrument, to that asset; so many of that for one of this.
        rates: dict[tuple[int, int], tuple[int, float]] = {}
        lengths = np.zeros((numeraire + 1, numeraire + 1))
        for column, leg, quote, quantity in self._pairs:
            mid = mids[column]
            if not np.isfinite(mid):
                continue
            length = (timestep.asks[column] - timestep.bids[column]) / mid + _HOP
            direct = numeraire in (leg, quote)
            if (leg, quote) in rates and (direct or lengths[leg, quote] <= length):
                continue
            rates[leg, quote] = column, mid / quantity
            rates[quote, leg] = column, quantity / mid
            lengths[leg, quote] = lengths[quote, leg] = length
        prices = np.full(numeraire + 1, np.nan)
        prices[numeraire] = 1.0
        priced_by: list[tuple[int, ...]] = [()] * numeraire
        for asset in range(numeraire):
            if (asset, numeraire) in rates:
                column, prices[asset] = rates[asset, numeraire]
                priced_by[asset] = (column,)
        if np.isnan(prices).any():
            towards = dijkstra(lengths, directed=False, indices=numeraire, return_predecessors=True)[1]
            for asset in np.flatnonzero(np.isnan(prices)).tolist():
                at, price, path = asset, 1.0, []
                while at != numeraire and towards[at] >= 0:
                    column, rate = rates[at, int(towards[at])]
                    price *= rate
                    path.append(column)
                    at = int(towards[at])
                if at == numeraire:
                    prices[asset] = price
                    priced_by[asset] = tuple(path)
        return prices, tuple(priced_by)

    def _exposures(self, mids: FloatArray, prices: FloatArray, timestep: Timestep) -> tuple[FloatArray, FloatArray]:
        # 0 · NaN would make a leg that the instrument does not have spoil it.
        exposures = np.where(self._legs != 0, self._legs * prices[:, None], 0.0) * self._lots
        paid = self._lots * mids * prices[self._quote]
        # Two venues of one instrument change what is held by the same, whatever each one's mid: that of the first.
        leading = np.where(np.isnan(mids), len(mids), self._columns)
        for twins in self._twins:
            leading[twins] = leading[twins].min()
        shared = np.append(mids, np.nan)[leading]
        exposures[self._quote, self._columns] -= self._lots * shared * prices[self._quote]
        half_spread = 0.5 * (timestep.asks - timestep.bids) * self._lots * prices[self._quote]
        return exposures, half_spread + self._fee * paid
