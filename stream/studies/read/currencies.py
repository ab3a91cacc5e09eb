"""Prices of currency pairs to prices of currencies: one asset for each currency other than the numeraire."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from solver.arrays import FloatArray
from stream.errors import DataUnavailable
from stream.studies.read.prices import Prices


def currency_prices(pairs: Prices, currencies: Sequence[str], numeraire: str = "USD") -> FloatArray:
    """(T, n) price of each of `currencies` in `numeraire`, from pairs named base first, such as ``EURGBP``.

    A currency without a pair against the numeraire is priced through another that has one, the first that fits.

    Raises
    ------
    DataUnavailable : the pairs do not lead from a currency to the numeraire in at most two steps.
    """
    price_of: dict[str, FloatArray] = dict(zip(pairs.names, pairs.prices.T, strict=True))

    def price(base: str, quote: str) -> FloatArray | None:
        if base + quote in price_of:
            return price_of[base + quote]
        if quote + base in price_of:
            inverse: FloatArray = 1.0 / price_of[quote + base]
            return inverse
        return None

    columns = []
    for currency in currencies:
        direct = price(currency, numeraire)
        if direct is not None:
            columns.append(direct)
            continue
        for name in pairs.names:
            if name.startswith(currency):
                through, onward = price_of[name], price(name.removeprefix(currency), numeraire)
                if onward is not None:
                    columns.append(through * onward)
                    break
        else:
            raise DataUnavailable(
                f"{currency} must have a price in {numeraire}, directly or through one other currency, "
                f"got the pairs {', '.join(pairs.names)}"
            )
    return np.column_stack(columns)
