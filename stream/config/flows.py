"""[[flows]]: client flow, and where it can be hedged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream.config.checks import ABOVE_ZERO, check_distinct, within, wrong
from stream.config.instruments import InstrumentConfig, connected
from stream.config.universe import UniverseConfig

# The bounds on the numbers of a flow lie beyond every market. Within them squares and exponentials stay finite.


class ClientsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of clients: how often they ask for a quote in an instrument, and how they answer it.

    They ask `requests_per_day` times a day for each of `sizes`, on each side or on one side alone. At a markup of delta
    basis points the share 1 / (1 + exp(alpha + beta_per_bp delta)) of them deals.
    """

    instrument: Annotated[str, Meta(description="The instrument in which they ask for quotes. It has a single leg.")]
    sizes: Annotated[
        tuple[float, ...],
        Meta(description="Sizes that they ask for, in the numeraire. At least one."),
        within(1e-6, 1e15),
    ]
    requests_per_day: Annotated[
        tuple[float, ...],
        Meta(description="Requests a day on each side, one number for each of `sizes`."),
        within(0, 1e9),
    ]
    alpha: Annotated[
        float,
        Meta(description="How they answer a quote without a markup: 1 / (1 + exp(`alpha`)) deal."),
        within(-100, 100),
    ]
    beta_per_bp: Annotated[
        float,
        Meta(
            description="How sensitive they are to the markup: at delta basis points 1 / (1 + exp(`alpha` + "
            "`beta_per_bp` delta)) deal."
        ),
        within(1e-6, 1e6),
    ]
    side: Annotated[
        Literal["both", "buy", "sell"],
        Meta(
            description="Whether they buy and sell, or only `buy` or only `sell`. Where one kind of clients deals on "
            "one side alone, the flow needs a `risk_aversion`."
        ),
    ] = "both"


class HedgeMarketConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instrument in which the flow can be hedged, and what crossing its bid-ask spread costs."""

    instrument: Annotated[str, Meta(description="The instrument to hedge in. It has a single leg.")]
    eta_bps_per_million_a_day: Annotated[
        float,
        Meta(description="What trading faster by a million numeraire a day costs more, in basis points."),
        within(1e-12, 1e6),
    ]
    half_spread_bps: Annotated[
        float | None,
        Meta(
            description="Half the bid-ask spread in basis points, fees included. Left out: half that of the live "
            "quote, plus the instrument's `fee_bps`."
        ),
        within(1e-6, 1e4),
    ] = None


class FlowsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Client flow that skews the quotes of the books that name it, and where it can be hedged.

    Every asset of the universe needs clients who deal in it: an inventory that no client ever takes has no value.
    A quote skew is published again when the skew of an instrument has moved enough, or when the least risk that is
    worth a hedge has. `material_share` says how much is enough.
    """

    name: Annotated[str, Meta(description="Name by which `books[].flows` refers to this flow.")]
    clients: Annotated[
        tuple[ClientsConfig, ...], Meta(description="The kinds of clients, see `flows[].clients[]` below.")
    ]
    markets: Annotated[
        tuple[HedgeMarketConfig, ...],
        Meta(description="Where the flow can be hedged, see `flows[].markets[]` below. At least one."),
    ]
    risk_aversion: Annotated[
        float | None,
        Meta(
            description="Risk aversion per unit of the numeraire. Left out: the one at which a book's limit is the "
            "least risk worth a hedge. It is required where clients deal on one side alone."
        ),
        within(1e-30, 1e6),
    ] = None
    impact_bps_per_million: Annotated[
        dict[str, float],
        Meta(
            description="By asset: how many basis points hedging a million numeraire moves its price for good. An "
            "asset that is not named has none."
        ),
        within(0, 1e4),
    ] = {}
    material_share: Annotated[
        float,
        Meta(
            description="A quote skew is published again when it has moved by this share of itself and of half the "
            "bid-ask spread, or when the least risk worth a hedge has moved by this share."
        ),
        ABOVE_ZERO,
    ] = 0.1


def check_flows_section(
    all_flows: tuple[FlowsConfig, ...], instruments: tuple[InstrumentConfig, ...], universe: UniverseConfig
) -> None:
    check_distinct("flows.name", [flows.name for flows in all_flows])
    named = {instrument.name: instrument for instrument in instruments}
    for index, flows in enumerate(all_flows):
        key = f"flows[{index}]"
        if not flows.name:
            raise wrong(f"{key}.name", "a name", flows.name)
        if not flows.markets:
            raise wrong(f"{key}.markets", "at least one instrument to hedge in", [])
        check_distinct(f"{key}.markets.instrument", [market.instrument for market in flows.markets])
        for each_key, name in _instruments(key, flows):
            _check_instrument(each_key, name, named)
        for clients_index, clients in enumerate(flows.clients):
            _check_sizes(f"{key}.clients[{clients_index}]", clients)
        _check_risk_aversion(key, flows)
        for asset in flows.impact_bps_per_million:
            if asset not in universe.assets:
                raise wrong(f"{key}.impact_bps_per_million", "assets of the universe", asset)
        _check_every_asset_is_dealt(key, flows, named, universe)


def _instruments(key: str, flows: FlowsConfig) -> Iterator[tuple[str, str]]:
    """The key and the name of every instrument that `flows` refers to."""
    for index, clients in enumerate(flows.clients):
        yield f"{key}.clients[{index}].instrument", clients.instrument
    for index, market in enumerate(flows.markets):
        yield f"{key}.markets[{index}].instrument", market.instrument


def _check_instrument(key: str, name: str, named: Mapping[str, InstrumentConfig]) -> None:
    if name not in named:
        raise wrong(key, "the name of an instrument", name)
    if len(named[name].legs) != 1:
        # How much of each asset a basket adds changes with prices, but a flow is set up only once.
        raise wrong(key, "one of a single leg", name)


def _check_sizes(key: str, clients: ClientsConfig) -> None:
    if not clients.sizes:
        raise wrong(f"{key}.sizes", "at least one size", [])
    if len(clients.requests_per_day) != len(clients.sizes):
        raise wrong(f"{key}.requests_per_day", f"{len(clients.sizes)} numbers, as sizes", clients.requests_per_day)


def _check_risk_aversion(key: str, flows: FlowsConfig) -> None:
    one_sided = [index for index, clients in enumerate(flows.clients) if clients.side != "both"]
    if flows.risk_aversion is None and one_sided:
        raise wrong(f"{key}.risk_aversion", f"given where clients[{one_sided[0]}] deal on one side alone", None)


def _check_every_asset_is_dealt(
    key: str, flows: FlowsConfig, named: Mapping[str, InstrumentConfig], universe: UniverseConfig
) -> None:
    asked = [named[clients.instrument] for clients in flows.clients if any(clients.requests_per_day)]
    idle = set(universe.assets) - connected(asked, universe.numeraire)
    if idle:
        # An inventory that no client ever takes would be worth minus infinity.
        raise wrong(f"{key}.clients", "such that someone deals in every asset", f"nobody in {sorted(idle)}")
