"""Quotes to prices, exposures and costs in the numeraire. A missing or stale price is NaN here, never a number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import BoolArray, FloatArray, IntArray
from stream.config import NANOSECONDS, Config, direct_asset
from stream.events import Timestep


@dataclass(frozen=True)
class Valuation:
    """What one timestep's quotes are worth.

    `prices` (n,) numeraire per unit of asset, NaN where no fresh quote prices it. `exposures` (n, m) numeraire per
    bought lot. `cost_per_lot` (m,) numeraire: half the spread plus fees. `bids`, `asks` (m,) in quote units, as of
    `quoted_at_ns`.
    `tradeable` (m,): the instrument's own quote is fresh and every price it needs is there; exposures and cost are 0
    where it is not.
    """

    prices: FloatArray
    exposures: FloatArray
    cost_per_lot: FloatArray
    bids: FloatArray
    asks: FloatArray
    quoted_at_ns: IntArray
    tradeable: BoolArray

    @property
    def unpriced(self) -> BoolArray:
        """(n,) assets without a price."""
        return np.isnan(self.prices)


class Valuer:
    """Values the quotes of one configuration. Stateless."""

    def __init__(self, config: Config) -> None:
        universe = config.universe
        places = {asset: place for place, asset in enumerate((*universe.assets, universe.numeraire))}
        m = len(config.instruments)
        self._max_age_ns = round(universe.max_price_age_s * NANOSECONDS)
        self._legs = np.zeros((len(places), m))
        for column, instrument in enumerate(config.instruments):
            for asset, quantity in instrument.legs.items():
                self._legs[places[asset], column] = quantity
        self._quote = np.array([places[instrument.quote] for instrument in config.instruments], dtype=np.int64)
        self._lots = np.array([instrument.lot for instrument in config.instruments])
        self._fee = np.array([instrument.fee_bps for instrument in config.instruments]) * 1e-4
        self._columns = np.arange(m)
        # In the order of the configuration: the first fresh one prices the asset, so the choice is the operator's.
        self._direct: list[list[tuple[int, float, bool]]] = [[] for _ in universe.assets]
        for column, instrument in enumerate(config.instruments):
            priced = direct_asset(instrument, universe.numeraire)
            if priced is not None:
                (quantity,) = instrument.legs.values()
                self._direct[places[priced]].append((column, quantity, instrument.quote == priced))

    def value(self, timestep: Timestep) -> Valuation:
        """Prices, exposures and costs at the close of `timestep`."""
        fresh = (timestep.quoted_at_ns > 0) & (timestep.end_ns - timestep.quoted_at_ns <= self._max_age_ns)
        mids = np.where(fresh, 0.5 * (timestep.bids + timestep.asks), np.nan)
        prices = np.full(len(self._direct) + 1, np.nan)
        prices[-1] = 1.0
        for place, sources in enumerate(self._direct):
            for column, quantity, inverse in sources:
                if fresh[column]:
                    prices[place] = quantity / mids[column] if inverse else mids[column] / quantity
                    break
        exposures, cost_per_lot = self._exposures(mids, prices, timestep)
        tradeable = np.isfinite(cost_per_lot) & np.isfinite(exposures).all(axis=0)
        return Valuation(
            prices=prices[:-1],
            exposures=np.where(tradeable, exposures, 0.0)[:-1],
            cost_per_lot=np.where(tradeable, cost_per_lot, 0.0),
            bids=timestep.bids,
            asks=timestep.asks,
            quoted_at_ns=timestep.quoted_at_ns,
            tradeable=tradeable,
        )

    def _exposures(self, mids: FloatArray, prices: FloatArray, timestep: Timestep) -> tuple[FloatArray, FloatArray]:
        # 0 · NaN would make a leg that the instrument does not have spoil it.
        exposures = np.where(self._legs != 0, self._legs * prices[:, None], 0.0) * self._lots
        paid = self._lots * mids * prices[self._quote]
        exposures[self._quote, self._columns] -= paid
        half_spread = 0.5 * (timestep.asks - timestep.bids) * self._lots * prices[self._quote]
        return exposures, half_spread + self._fee * paid
