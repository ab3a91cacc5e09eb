"""Prices, exposures and costs in the numeraire, from quotes. A missing or stale price is NaN, never a number."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse.csgraph import dijkstra

from solver.arrays import BoolArray, FloatArray, IntArray
from stream.config import NANOSECONDS, Config
from stream.events.types import QuoteDepth, Timestep

# Added to the length of each step of a path, and far below any bid-ask spread. Of paths with equal bid-ask spreads it
# chooses the one with the fewest steps, and it keeps the length of a locked pair (bid = ask) above zero.
_HOP = 1e-12


@dataclass(frozen=True)
class Valuation:
    """What one timestep's quotes are worth.

    Attributes
    ----------
    prices : (n,) numeraire per unit of asset; NaN where no fresh quotes price it.
    priced_by : for each asset the indices of the instruments whose quotes price it, along the path from the asset to
        the numeraire.
    exposures : (n, m) numeraire per bought lot; 0 where an instrument is not tradeable.
    cost_per_lot : (m,) numeraire: half the bid-ask spread plus fees; 0 where an instrument is not tradeable.
    point_value : (m,) numeraire: what a lot gains when its price rises by one.
    bids, asks : (m,) in quote units.
    quoted_at_ns : (m,) when they were quoted.
    tradeable : (m,) whether the instrument has a fresh quote of its own that is not doubtful, and every price that it
        needs is known and not suspect.
    doubtful : (m,) instruments whose latest quotes are not believed; their quotes here are the last that were.
    suspect : (n,) assets that only a doubtful instrument prices.
    depths : by instrument index, the sizes of quotes that show them.
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
    doubtful: BoolArray
    suspect: BoolArray
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
        # For each instrument of a single leg: its column, its leg, its quote asset, and the units of the leg.
        self._pairs = [
            (column, indices[leg], indices[instrument.quote], quantity)
            for column, instrument in enumerate(config.instruments)
            if len(instrument.legs) == 1
            for leg, quantity in instrument.legs.items()
        ]

    def value(self, timestep: Timestep, doubtful: BoolArray | None = None) -> Valuation:
        """Prices, exposures and costs at the close of `timestep`.

        Instruments that are `doubtful` (m,) price an asset only where no others do. Neither they nor instruments with
        such an asset are tradeable.
        """
        fresh = (timestep.quoted_at_ns > 0) & (timestep.end_ns - timestep.quoted_at_ns <= self._max_age_ns)
        mids = np.where(fresh, 0.5 * (timestep.bids + timestep.asks), np.nan)
        doubtful = np.zeros(len(mids), dtype=np.bool_) if doubtful is None else doubtful
        if doubtful.any():
            prices, priced_by, suspect = self._doubtful_prices(mids, doubtful, timestep)
        else:
            prices, priced_by = self._prices(mids, timestep)
            suspect = np.zeros(len(prices), dtype=np.bool_)
        exposures, cost_per_lot = self._exposures(mids, doubtful, prices, timestep)
        tradeable = np.isfinite(cost_per_lot) & np.isfinite(exposures).all(axis=0)
        tradeable &= ~(doubtful | suspect[self._quote] | (self._legs[suspect] != 0.0).any(axis=0))
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
            doubtful=doubtful,
            suspect=suspect[:-1],
            depths=timestep.depths,
        )

    def log_price_ticks(self, timestep: Timestep, valuation: Valuation) -> tuple[IntArray, FloatArray, FloatArray]:
        """The ticks of `timestep`: (k,) assets, times within the timestep from 0 to 1, and log prices.

        Only the instruments that price an asset directly in `valuation`, of the same timestep, have ticks here. An
        asset that is priced over a path of crosses has none.
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

    def _doubtful_prices(
        self, mids: FloatArray, doubtful: BoolArray, timestep: Timestep
    ) -> tuple[FloatArray, tuple[tuple[int, ...], ...], BoolArray]:
        """As `_prices`, over instruments that are not `doubtful` if possible, and (n + 1,) where it is not."""
        prices, priced_by = self._prices(np.where(doubtful, np.nan, mids), timestep)
        if not np.isnan(prices).any():
            return prices, priced_by, np.zeros(len(prices), dtype=np.bool_)
        all_prices, all_priced_by = self._prices(mids, timestep)
        suspect = np.isnan(prices) & np.isfinite(all_prices)
        paths = tuple(
            second if only else first
            for first, second, only in zip(priced_by, all_priced_by, suspect[:-1], strict=True)
        )
        return np.where(suspect, all_prices, prices), paths, suspect

    def _prices(self, mids: FloatArray, timestep: Timestep) -> tuple[FloatArray, tuple[tuple[int, ...], ...]]:
        """Prices (n + 1,) with that of the numeraire last, and for each asset the instruments that price it.

        An asset with a fresh instrument against the numeraire has the price of that instrument. Of several it is the
        first in the configuration, so the operator chooses. Any other asset is priced along a path of fresh instruments
        to the numeraire: the one with the least sum of bid-ask spreads, relative to their mids.
        """
        numeraire = len(self._legs) - 1
        # One step of a path, by (from asset, to asset): the instrument, and the units of the second per first.
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

    def _exposures(
        self, mids: FloatArray, doubtful: BoolArray, prices: FloatArray, timestep: Timestep
    ) -> tuple[FloatArray, FloatArray]:
        # 0 · NaN is NaN: an asset without a price must not spoil the instruments that do not have it as a leg.
        exposures = np.where(self._legs != 0, self._legs * prices[:, None], 0.0) * self._lots
        paid = self._lots * mids * prices[self._quote]
        # Lots at two venues of one instrument change the position equally, whatever their mids. The first
        # mid that is not doubtful counts.
        leading = np.where(np.isnan(mids) | doubtful, len(mids), self._columns)
        for twins in self._twins:
            leading[twins] = leading[twins].min()
        shared = np.append(mids, np.nan)[leading]
        exposures[self._quote, self._columns] -= self._lots * shared * prices[self._quote]
        half_spread = 0.5 * (timestep.asks - timestep.bids) * self._lots * prices[self._quote]
        return exposures, half_spread + self._fee * paid
