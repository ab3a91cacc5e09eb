"""What can be traded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from stream.config.checks import at_least, no_twins, positive, wrong

if TYPE_CHECKING:
    from stream.config.load import Config


class InstrumentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something tradeable.

    Buying one unit adds `legs` (units of each asset) and costs `price` units of `quote`. EURUSD is legs {EUR = 1},
    quote USD; USDJPY is legs {USD = 1}, quote JPY; a share is legs {SPY = 1}, quote USD. `lot` is in units of the
    instrument. The same at two venues is two instruments.

    Lots beyond what a quote shows move the price by `impact_linear_bps` phi + `impact_sqrt_bps` sqrt(phi), phi their
    number over the lots shown, or over `available_lots` where quotes show no size. Without an impact no more is traded
    than a quote shows, and any number where it shows no size.
    """

    name: str
    legs: dict[str, float]
    quote: str
    lot: float
    fee_bps: float = 0.0
    venue: str = ""
    impact_linear_bps: float = 0.0
    impact_sqrt_bps: float = 0.0
    available_lots: float | None = None


def check_instruments(config: Config) -> None:
    universe = config.universe
    known = {*universe.assets, universe.numeraire}
    no_twins("instruments.name", [instrument.name for instrument in config.instruments])
    for place, instrument in enumerate(config.instruments):
        key = f"instruments[{place}]"
        positive(f"{key}.lot", instrument.lot)
        for name in ("fee_bps", "impact_linear_bps", "impact_sqrt_bps"):
            at_least(f"{key}.{name}", getattr(instrument, name), 0)
        if instrument.available_lots is not None:
            positive(f"{key}.available_lots", instrument.available_lots)
        elif instrument.impact_linear_bps or instrument.impact_sqrt_bps:
            raise wrong(f"{key}.available_lots", "> 0 where there is an impact", None)
        if not instrument.legs:
            raise wrong(f"{key}.legs", "at least one leg", instrument.legs)
        for asset, quantity in instrument.legs.items():
            if asset not in known:
                raise wrong(f"{key}.legs", f"assets of the universe or {universe.numeraire}", asset)
            if not math.isfinite(quantity) or quantity == 0:
                raise wrong(f"{key}.legs.{asset}", "a finite number other than 0", quantity)
        if instrument.quote not in known:
            raise wrong(f"{key}.quote", f"an asset of the universe or {universe.numeraire}", instrument.quote)
        if set(instrument.legs) == {instrument.quote}:
            raise wrong(f"{key}.quote", "another asset than the only leg", instrument.quote)
        if len(instrument.legs) == 1 and min(instrument.legs.values()) < 0:
            # Its price would be negative, and a negative price has no logarithm.
            raise wrong(f"{key}.legs", f"a long leg, since it prices {next(iter(instrument.legs))}", instrument.legs)
    singles = [instrument for instrument in config.instruments if len(instrument.legs) == 1]
    priced = connected(singles, universe.numeraire)
    for asset in universe.assets:
        if asset not in priced:
            raise wrong(
                "instruments",
                f"one of a single leg that prices {asset} against {universe.numeraire}, or a chain of such ones",
                "none among them",
            )


def connected(instruments: list[InstrumentConfig], numeraire: str) -> set[str]:
    """The numeraire, and what instruments of a single leg join to it."""
    joined = {numeraire}
    pairs = [{*instrument.legs, instrument.quote} for instrument in instruments]
    while reached := [pair for pair in pairs if len(pair & joined) == 1]:
        joined.update(*reached)
    return joined
