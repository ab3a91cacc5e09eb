"""[[instruments]]: what can be traded."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from stream.config.checks import ABOVE_ZERO, at_least, check_distinct, wrong
from stream.config.universe import UniverseConfig


class InstrumentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something tradeable.

    Buying one unit adds `legs` and costs the instrument's price, in `quote`. EURUSD has `legs = { EUR = 1.0 }` and
    `quote = "USD"`. USDJPY has `legs = { USD = 1.0 }` and `quote = "JPY"`. A share has `legs = { SPY = 1.0 }` and
    `quote = "USD"`. The same instrument at two venues is two instruments with the same legs.

    Lots beyond what a quote shows move the price by `impact_linear_bps` phi + `impact_sqrt_bps` sqrt(phi) basis points.
    Here phi is the number of these lots over the lots that the quote shows. Where quotes show no size,
    `available_lots` stands for the lots that a quote shows. Without an impact, no more is traded than a quote shows,
    and any number of lots where it shows no size.
    """

    name: Annotated[str, Meta(description="Name of the instrument, as `ticks` have it.")]
    legs: Annotated[
        dict[str, float],
        Meta(description="Units of each asset that buying one unit adds. A single leg is positive."),
    ]
    quote: Annotated[str, Meta(description="The asset, or the numeraire, in which the price is paid.")]
    lot: Annotated[float, Meta(description="Size of one lot, in units of the instrument."), ABOVE_ZERO]
    fee_bps: Annotated[
        float, Meta(description="Fee in basis points, on top of half the bid-ask spread."), at_least(0)
    ] = 0.0
    venue: Annotated[str, Meta(description="Venue that suggested trades name.")] = ""
    impact_linear_bps: Annotated[
        float,
        Meta(
            description="Price impact in basis points of trading as many lots again as the quote shows, the part "
            "that grows in proportion to the lots."
        ),
        at_least(0),
    ] = 0.0
    impact_sqrt_bps: Annotated[
        float,
        Meta(
            description="Price impact in basis points of trading as many lots again as the quote shows, the part "
            "that grows with the square root of the lots."
        ),
        at_least(0),
    ] = 0.0
    available_lots: Annotated[
        float | None,
        Meta(
            description="Lots that count as shown where quotes show no size. Required where there is an impact. Left "
            "out: no bound."
        ),
        ABOVE_ZERO,
    ] = None


def check_instruments_section(instruments: tuple[InstrumentConfig, ...], universe: UniverseConfig) -> None:
    check_distinct("instruments.name", [instrument.name for instrument in instruments])
    for index, instrument in enumerate(instruments):
        key = f"instruments[{index}]"
        _check_impact(key, instrument)
        _check_legs(key, instrument, universe)
        _check_quote(key, instrument, universe)
    _check_every_asset_is_priced(instruments, universe)


def connected(instruments: Iterable[InstrumentConfig], numeraire: str) -> set[str]:
    """The numeraire, and every asset that a chain of `instruments`, each of a single leg, connects to it."""
    joined = {numeraire}
    pairs = [{*instrument.legs, instrument.quote} for instrument in instruments]
    while reached := [pair for pair in pairs if len(pair & joined) == 1]:
        joined.update(*reached)
    return joined


def _check_impact(key: str, instrument: InstrumentConfig) -> None:
    if instrument.available_lots is None and (instrument.impact_linear_bps or instrument.impact_sqrt_bps):
        raise wrong(f"{key}.available_lots", "> 0 where there is an impact", None)


def _check_legs(key: str, instrument: InstrumentConfig, universe: UniverseConfig) -> None:
    if not instrument.legs:
        raise wrong(f"{key}.legs", "at least one leg", instrument.legs)
    for asset, quantity in instrument.legs.items():
        if asset not in (*universe.assets, universe.numeraire):
            raise wrong(f"{key}.legs", f"assets of the universe or {universe.numeraire}", asset)
        if not math.isfinite(quantity) or quantity == 0:
            raise wrong(f"{key}.legs.{asset}", "a finite number other than 0", quantity)


def _check_quote(key: str, instrument: InstrumentConfig, universe: UniverseConfig) -> None:
    if instrument.quote not in (*universe.assets, universe.numeraire):
        raise wrong(f"{key}.quote", f"an asset of the universe or {universe.numeraire}", instrument.quote)
    if set(instrument.legs) == {instrument.quote}:
        raise wrong(f"{key}.quote", "another asset than the only leg", instrument.quote)
    if len(instrument.legs) == 1 and min(instrument.legs.values()) < 0:
        # Its price would be negative, and a negative price has no logarithm.
        raise wrong(f"{key}.legs", f"a long leg, since it prices {next(iter(instrument.legs))}", instrument.legs)


def _check_every_asset_is_priced(instruments: tuple[InstrumentConfig, ...], universe: UniverseConfig) -> None:
    singles = [instrument for instrument in instruments if len(instrument.legs) == 1]
    priced = connected(singles, universe.numeraire)
    for asset in universe.assets:
        if asset not in priced:
            raise wrong(
                "instruments",
                f"one of a single leg that prices {asset} against {universe.numeraire}, or a chain of such ones",
                "none among them",
            )
