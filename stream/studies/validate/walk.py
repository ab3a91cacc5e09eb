"""The service's own market model, taken through a price file row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stream.config import (
    NANOSECONDS,
    BookConfig,
    Config,
    CovarianceConfig,
    InstrumentConfig,
    ReversionConfig,
    SolverConfig,
    UniverseConfig,
    check_config,
)
from stream.engine.market.model import Market, MarketModel
from stream.events.types import Timestep
from stream.studies.read.prices import Prices

# The currency of the prices: a name that no column of a file has.
_NUMERAIRE = "\N{CURRENCY SIGN}"


@dataclass(frozen=True)
class Models:
    """The two sections of a configuration that say how Σ and β are estimated."""

    covariance: CovarianceConfig
    reversion: ReversionConfig


def walk_forward(prices: Prices, models: Models) -> Iterator[tuple[int, Market]]:
    """The index of each row, and the market as the service knows it at the row's close.

    The service's own `MarketModel` is advanced. In its configuration every column is an asset, quoted with a bid-ask
    spread of zero. A row is read only when its turn comes, so nothing can look ahead.

    Raises
    ------
    ConfigError : settings that do not fit the number of assets; the message names the key.
    """
    config = service_config(prices.names, prices.timestep_ns, models)
    model = MarketModel(config)
    state = model.new_state()
    for row, (step, quotes) in enumerate(zip(prices.timesteps.tolist(), prices.prices, strict=True)):
        # Step 0 would end at time 0, which means "never quoted" to the service.
        end_ns = (step + 1) * prices.timestep_ns
        quoted_at_ns = np.full(len(quotes), end_ns, dtype=np.int64)
        yield row, model.advance(state, Timestep(step + 1, end_ns, quotes, quotes, quoted_at_ns))


def service_config(names: tuple[str, ...], timestep_ns: int, models: Models) -> Config:
    """A checked configuration of one universe whose assets are the columns of a file."""
    config = Config(
        universe=UniverseConfig(
            name="validate",
            numeraire=_NUMERAIRE,
            assets=names,
            timestep_s=timestep_ns / NANOSECONDS,
            max_price_age_s=timestep_ns / NANOSECONDS,
        ),
        instruments=tuple(InstrumentConfig(name=name, legs={name: 1.0}, quote=_NUMERAIRE, lot=1.0) for name in names),
        books=(BookConfig(name="validate", limit=1.0),),
        solver=SolverConfig(lot_notional=1.0),
        covariance=models.covariance,
        reversion=models.reversion,
    )
    check_config(config)
    return config
