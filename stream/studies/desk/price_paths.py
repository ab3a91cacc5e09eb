"""Mid prices for the simulated desk: correlated diffusions with a planted pair, or real prices by the hour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from solver.arrays import FloatArray, IntArray
from stream.config import NANOSECONDS
from stream.errors import DataUnavailable
from stream.studies.read.currencies import currency_prices
from stream.studies.read.options import ReadOptions
from stream.studies.read.prices import account, read_prices

START_NS = 1_748_822_400 * NANOSECONDS
"""2025-06-02 00:00 UTC, a Monday and a multiple of every timestep here."""

ASSETS = ("EUR", "GBP", "CHF", "JPY", "AUD", "NZD")
FIRST_PRICES = np.array([1.10, 1.27, 1.12, 0.0067, 0.66, 0.61])

# Basis points per root of a day, and correlations, of the first four: Barzykin, Bergault and Guéant (2023), table 1.
VOLATILITY_BPS = np.array([80.0, 70.0, 60.0, 60.0, 75.0])
CORRELATION = np.array(
    [
        [1.0, 0.6, 0.5, 0.3, 0.5],
        [0.6, 1.0, 0.3, 0.2, 0.5],
        [0.5, 0.3, 1.0, 0.4, 0.2],
        [0.3, 0.2, 0.4, 1.0, 0.1],
        [0.5, 0.5, 0.2, 0.1, 1.0],
    ]
)
# NZD follows AUD: the log basket spread of the two reverts to its mean. So there is a relationship to find.
BASKET_SPREAD_VOLATILITY_BPS = 15.0
BASKET_SPREAD_HALF_LIFE_DAYS = 0.25


HOURLY_PAIRS = ("EURGBP", "GBPUSD", "USDJPY", "USDCHF", "USDCAD", "AUDUSD")
HOURLY_CURRENCIES = ("EUR", "GBP", "JPY", "CHF", "CAD", "AUD")
DAY_NS = 86_400 * NANOSECONDS


@dataclass(frozen=True, eq=False)
class PriceRows:
    """Mids at the closes of timesteps.

    Attributes
    ----------
    end_ns : (T,) ascending, multiples of the timestep.
    mids : (T, n) numeraire per unit of asset.
    Sigma : (n, n) true covariance of log returns over one timestep; None where nobody knows it.
    """

    end_ns: IntArray
    mids: FloatArray
    Sigma: FloatArray | None


def diffusions(rng: np.random.Generator, steps: int, timestep_s: float) -> PriceRows:
    """`steps` + 1 rows of ASSETS: five correlated geometric walks, and NZD, whose basket spread to AUD reverts."""
    days = timestep_s / 86_400.0
    volatility = VOLATILITY_BPS * 1e-4 * np.sqrt(days)
    walks = CORRELATION * np.outer(volatility, volatility)
    kept = 0.5 ** (days / BASKET_SPREAD_HALF_LIFE_DAYS)
    stationary = BASKET_SPREAD_VOLATILITY_BPS * 1e-4
    changes = rng.multivariate_normal(np.zeros(len(walks)), walks, steps)
    shocks = rng.normal(0.0, stationary * np.sqrt(1.0 - kept**2), steps)
    basket_spread = np.empty(steps + 1)
    basket_spread[0] = rng.normal(0.0, stationary)
    for step in range(steps):
        basket_spread[step + 1] = kept * basket_spread[step] + shocks[step]
    logs = np.zeros((steps + 1, len(ASSETS)))
    logs[1:, :5] = np.cumsum(changes, axis=0)
    logs[:, 5] = logs[:, 4] + basket_spread - basket_spread[0]
    Sigma = np.zeros((len(ASSETS), len(ASSETS)))
    Sigma[:5, :5] = walks
    Sigma[5, :5] = Sigma[:5, 5] = walks[4]
    Sigma[5, 5] = walks[4, 4] + 2.0 * stationary**2 * (1.0 - kept)
    end_ns = START_NS + round(timestep_s * NANOSECONDS) * np.arange(steps + 1, dtype=np.int64)
    return PriceRows(end_ns, FIRST_PRICES * np.exp(logs), Sigma)


def hourly_prices(folder: Path, first: date, last: date, options: ReadOptions, say: Callable[[str], None]) -> PriceRows:
    """Hourly closes of EUR, GBP, JPY, CHF, CAD and AUD in USD from `first` to `last`, both included.

    The folder has no EURUSD, so EUR is priced through sterling. Hours that one of the files lacks are left out.
    `options` are for the files, and `say` takes the account of what was read.

    Raises
    ------
    DataUnavailable : a file is not there or cannot be read, or has no such hours.
    """
    pairs = read_prices(folder, HOURLY_PAIRS, options)
    for line in account(pairs):
        say(line)
    begin, end = np.datetime64(first, "ns").astype(np.int64), np.datetime64(last, "ns").astype(np.int64)
    chosen = (pairs.times_ns >= begin) & (pairs.times_ns < end + DAY_NS)
    if not chosen.any():
        raise DataUnavailable(f"{folder} has no hours from {first} to {last}")
    return PriceRows(pairs.times_ns[chosen], currency_prices(pairs, HOURLY_CURRENCIES)[chosen], None)
