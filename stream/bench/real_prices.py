"""Real prices for benchmark instances: the European Central Bank's daily rates, and ETFs where there is a file."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import numpy as np

from solver.arrays import FloatArray
from stream.demo.rates import read_days
from stream.errors import ConfigError
from stream.studies.read.csv_file import read_csv
from stream.studies.read.prices import read_prices

# By the length of their common history: the first twelve since 2000, the first twenty since 2011.
CURRENCIES = (
    "EUR", "JPY", "GBP", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "SGD", "ZAR",
    "PLN", "CZK", "HUF", "KRW", "THB", "MXN", "ILS", "INR",
)  # fmt: skip
FIRST_DAY = date(2000, 1, 1)
# A newer package of rates must not change the instances of a seed.
LAST_DAY = date(2021, 12, 31)
ETF_FILE = "etf23_daily.csv.gz"


def ecb_prices(count: int) -> FloatArray:
    """(days, count) daily prices in USD of the first `count` of CURRENCIES.

    Raises
    ------
    ConfigError : the package with the rates is not installed.
    """
    currencies = tuple(CURRENCIES[:count])
    days = [day for day in read_days(currencies, FIRST_DAY) if day.date <= LAST_DAY]
    return np.array([[day.usd_prices[currency] for currency in currencies] for day in days])


def etf_prices(folder: Path, count: int) -> FloatArray:
    """(days, count) daily closes in USD of the first `count` ETFs of ETF_FILE in `folder`.

    Raises
    ------
    ConfigError : the file is not there, or has fewer columns or a missing price.
    DataUnavailable : the file cannot be read.
    """
    path = folder / ETF_FILE
    if not path.is_file():
        raise ConfigError(f"--data must be a folder with {ETF_FILE}, got {folder}")
    etfs = read_csv(path, hashlib.sha256()).names[:count]
    if len(etfs) < count or (found := read_prices(path, etfs)).left_out:
        raise ConfigError(f"{path} must have a date and {count} prices > 0 in every row")
    return found.prices
