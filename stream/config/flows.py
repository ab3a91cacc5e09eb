"""Client flow, and where it can be hedged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from stream.config.checks import no_twins, positive, within, wrong
from stream.config.instruments import connected

if TYPE_CHECKING:
    from stream.config.load import Config


class ClientsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of clients: how often they ask for a quote in `instrument`, and how they answer it.

    On each side there are `requests_per_day` for each of `sizes` (numeraire), or on one alone where `side` says that
    these clients only buy or only sell. At a markup of delta basis points the share
    1 / (1 + exp(alpha + beta_per_bp delta)) of them deals.
    """

    instrument: str
    sizes: tuple[float, ...]
    requests_per_day: tuple[float, ...]
    alpha: float
    beta_per_bp: float
    side: Literal["both", "buy", "sell"] = "both"


class HedgeMarketConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What crossing the spread costs in `instrument`.

    `half_spread_bps` includes fees; left out, it is that of the live quote with the instrument's fee. Trading faster by
    a million numeraire a day costs `eta_bps_per_million_a_day` more.
    """

    instrument: str
    eta_bps_per_million_a_day: float
    half_spread_bps: float | None = None


class FlowsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Client flow that skews the quotes of the books that name it, and where it can be hedged.

    `risk_aversion` is per numeraire; left out, it is the one at which a book's limit is the least risk worth a hedge,
    which only flow that is the same on both sides can say.
    Hedging a million numeraire of an asset moves its price for good by `impact_bps_per_million`. A quote skew is
    published anew when that of an instrument has moved by `material_share` of itself and of what crossing costs, or
    when the least risk that is worth a hedge has.
    """

    name: str
    clients: tuple[ClientsConfig, ...]
    markets: tuple[HedgeMarketConfig, ...]
    risk_aversion: float | None = None
    impact_bps_per_million: dict[str, float] = {}
    material_share: float = 0.1


def check_flows(config: Config) -> None:
    instruments = {instrument.name: instrument for instrument in config.instruments}
    no_twins("flows.name", [flows.name for flows in config.flows])
    for place, flows in enumerate(config.flows):
        key = f"flows[{place}]"
        if not flows.name:
            raise wrong(f"{key}.name", "a name", flows.name)
        if not flows.markets:
            raise wrong(f"{key}.markets", "at least one instrument to hedge in", [])
        no_twins(f"{key}.markets.instrument", [market.instrument for market in flows.markets])
        for kind, names in (
            ("clients", [clients.instrument for clients in flows.clients]),
            ("markets", [market.instrument for market in flows.markets]),
        ):
            for name_place, name in enumerate(names):
                if name not in instruments:
                    raise wrong(f"{key}.{kind}[{name_place}].instrument", "the name of an instrument", name)
                if len(instruments[name].legs) != 1:
                    # What a basket brings of each asset changes with prices, and the flow is laid out once.
                    raise wrong(f"{key}.{kind}[{name_place}].instrument", "one of a single leg", name)
        for client_place, clients in enumerate(flows.clients):
            _check_clients(f"{key}.clients[{client_place}]", clients)
        for market_place, market in enumerate(flows.markets):
            market_key = f"{key}.markets[{market_place}]"
            within(f"{market_key}.eta_bps_per_million_a_day", market.eta_bps_per_million_a_day, 1e-12, 1e6)
            if market.half_spread_bps is not None:
                within(f"{market_key}.half_spread_bps", market.half_spread_bps, 1e-6, 1e4)
        one_sided = [place for place, clients in enumerate(flows.clients) if clients.side != "both"]
        if flows.risk_aversion is not None:
            within(f"{key}.risk_aversion", flows.risk_aversion, 1e-30, 1e6)
        elif one_sided:
            raise wrong(f"{key}.risk_aversion", f"given where clients[{one_sided[0]}] deal on one side alone", None)
        for asset, impact in flows.impact_bps_per_million.items():
            if asset not in config.universe.assets:
                raise wrong(f"{key}.impact_bps_per_million", "assets of the universe", asset)
            within(f"{key}.impact_bps_per_million.{asset}", impact, 0, 1e4)
        positive(f"{key}.material_share", flows.material_share)
        asked = [instruments[each.instrument] for each in flows.clients if any(each.requests_per_day)]
        idle = set(config.universe.assets) - connected(asked, config.universe.numeraire)
        if idle:
            # An inventory that no client ever takes would be worth minus infinity.
            raise wrong(f"{key}.clients", "such that someone deals in every asset", f"nobody in {sorted(idle)}")


def _check_clients(key: str, clients: ClientsConfig) -> None:
    """Bounds beyond every market, within which squares and exponentials of these numbers are numbers too."""
    if not clients.sizes:
        raise wrong(f"{key}.sizes", "at least one size", [])
    for size in clients.sizes:
        within(f"{key}.sizes", size, 1e-6, 1e15)
    if len(clients.requests_per_day) != len(clients.sizes):
        raise wrong(f"{key}.requests_per_day", f"{len(clients.sizes)} numbers, as sizes", clients.requests_per_day)
    for requests in clients.requests_per_day:
        within(f"{key}.requests_per_day", requests, 0, 1e9)
    within(f"{key}.alpha", clients.alpha, -100, 100)
    within(f"{key}.beta_per_bp", clients.beta_per_bp, 1e-6, 1e6)
