"""The configuration: one TOML file into one frozen Struct. The service's defaults stand here and nowhere else.

Unknown keys are refused, so a typo fails at start, and every error names the key, what was expected and what was
found. Secrets are not in the file: `stream.config.kafka.KafkaSettings` says which environment variables hold them.
"""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from schemas.outbound import LimitOn, ReversionMethod
from stream.config.kafka import MAX_RECORD_BYTES, KafkaSettings
from stream.errors import ConfigError

#: What a packing makes least.
PackingObjective: TypeAlias = Literal["volume", "variance", "horizon", "determinant"]

NANOSECONDS = 1_000_000_000
SECONDS_MAX = 1e9
"""Thirty years, and still a number of nanoseconds that fits 64 bits."""

HORIZON_STEPS_MAX = 1_000_000
"""Over more, the rounding of the pull's powers shows."""

NUMBER_BYTES = 24
"""Of a float in JSON at most, with its comma."""

LOTS_MAX = 1_000_000_000
"""The solver's own bound, far below where whole numbers stop being exact as floating-point ones."""


class UniverseConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The assets that share one covariance, and the event-time grid on which their returns are taken.

    A timestep closes when every active ticks partition has passed its end by `allowed_lateness_s`; a partition that
    lags the others by more than `idle_after_s` of event time counts as idle and is not waited for. A quote older than
    `max_price_age_s` of event time is stale. When the feed says nothing for `feed_silent_after_s` of wall-clock time,
    an alert is raised.
    """

    name: str
    numeraire: str
    assets: tuple[str, ...]
    timestep_s: float
    max_price_age_s: float
    allowed_lateness_s: float = 0.0
    idle_after_s: float | None = None
    feed_silent_after_s: float = 10.0
    max_event_time_ahead_s: float = 5.0

    @property
    def timestep_ns(self) -> int:
        return round(self.timestep_s * NANOSECONDS)

    @property
    def idle_after_ns(self) -> int:
        # Two steps: a partition whose instruments merely trade less often is waited for, a dead one is not for long.
        return 2 * self.timestep_ns if self.idle_after_s is None else round(self.idle_after_s * NANOSECONDS)


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


class BookConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One set of positions with its limit on unhedged risk, one standard deviation, in the numeraire.

    `limit_on` says whether that is the risk over one timestep or over `risk.horizon_steps` of them. Above `limit`,
    at most `max_trades` trades in `instruments` (all when empty), each of at most `max_lots`, are suggested that bring
    the risk to `target_share` of it. The breach alert is raised at the limit and cleared below `clear_share` of it.

    `flows` names the client flow from which its quote skew is published. With `band` "internalise" trades are suggested
    as soon as the position leaves the zone in which waiting for these clients is cheaper, and above the limit anyway.
    """

    name: str
    limit: float
    limit_on: LimitOn = "timestep"
    target_share: float = 0.8
    clear_share: float = 0.95
    instruments: tuple[str, ...] = ()
    max_lots: int = 1000
    max_trades: int | None = None
    flows: str | None = None
    band: Literal["limit", "internalise"] = "limit"


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


class RiskConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over how many timesteps the risk at the horizon is taken, beside that over one."""

    horizon_steps: int = 10


class CovarianceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the covariance of log returns over one timestep is estimated.

    `window` weighs the last `window_steps` returns equally, `exponential` halves a return's weight every
    `half_life_steps`. `hayashi-yoshida` takes every tick instead of the last one of a timestep, weighted as by
    `exponential`; its variances set returns over `slow_ticks` ticks against those over one to keep out noise. Shrinkage
    towards uncorrelated assets is for many assets and few returns: it hides how well two of them hedge each other.

    An asset that has no price, or not `min_observations` returns of its own yet, is left out of the covariance, and
    with it the books that hold it; all others go on.

    `sampling_steps` are the lengths of returns, in timesteps, over which covariances are published. Risk is always
    over one; of the others each is what a timestep so many times as long would have, half-life, window and
    `min_observations` included.
    """

    kind: Literal["window", "exponential", "hayashi-yoshida"] = "exponential"
    window_steps: int = 500
    half_life_steps: float = 60.0
    slow_ticks: int = 10
    shrinkage: Literal["none", "ledoit-wolf", "oas", "nonlinear"] = "none"
    min_observations: int = 60
    sampling_steps: tuple[int, ...] = (1,)

    @property
    def takes_ticks(self) -> bool:
        return self.kind == "hayashi-yoshida"


class ReversionConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How β vectors are found, and what they must show to be used (docs/design.md).

    They are fitted on the last `window_steps` timesteps without the latest `holdout_steps`, on which the basis ratio
    over `basis_horizon_steps` is then measured. Accepted is a vector whose basis ratio is at most `basis_ratio_max`
    with `basis_confidence`, or which is among the discoveries at `false_discovery_rate` and reverts with a half-life
    between the two bounds. Tests of reversion allow for `lags` lagged differences, or for as many up to that as
    `lags_criterion` finds (of Akaike, of Hannan and Quinn, of Schwarz). Another vector takes its place only when it is
    better by `switching_penalty`. Between refits it is watched: one that still holds is retired at most once in
    `false_alarm_steps` timesteps on average.

    A refit every `refit_every_steps` timesteps takes effect `refit_lag_steps` later and runs meanwhile in a process of
    its own. With 0 it runs in the timestep itself, which waits for it.
    """

    methods: tuple[ReversionMethod, ...] = ("sparse",)
    window_steps: int = 500
    holdout_steps: int = 125
    basis_horizon_steps: int = 1
    basis_ratio_max: float = 0.3
    basis_confidence: float = 0.95
    false_discovery_rate: float = 0.05
    half_life_min_steps: float = 1.0
    half_life_max_steps: float = 60.0
    switching_penalty: float = 0.1
    false_alarm_steps: float = 1e6
    max_legs: int = 2
    max_vectors: int = 12
    lags: int = 1
    lags_criterion: Literal["none", "aic", "hqic", "bic"] = "none"
    refit_every_steps: int = 1
    refit_lag_steps: int = 1


class SolverConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How books are packed and hedged.

    `objective` "horizon" is "variance" under the covariance over `risk.horizon_steps`. β vectors are packed in lots of
    `lot_notional` on their leading leg. Effort is counted in nodes, so that the result does not depend on the
    machine's speed; `deadline_ms` only stops a solve that takes too long, and its result says so. The books of one
    timestep share `max_timestep_nodes` in equal parts, each at most `max_packing_nodes`. `threads` pack them; no
    result depends on it. Hedges whose expected costs differ by no more than `hedge_cost_resolution`, in the numeraire,
    count as equally cheap: no quote is known any better, and telling them apart takes most of a search.
    """

    lot_notional: float
    objective: PackingObjective = "volume"
    mode: Literal["inside", "free"] = "inside"
    max_packing_nodes: int = 20_000
    max_timestep_nodes: int = 250_000
    max_hedge_nodes: int = 2_000
    hedge_cost_resolution: float = 0.01
    deadline_ms: float = 50.0
    threads: int = 2

    @property
    def minimised(self) -> Literal["volume", "variance", "determinant"]:
        """The solver's objective, whichever covariance it is taken under."""
        return "variance" if self.objective == "horizon" else self.objective


class HedgingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a suggestion is made, kept, changed and withdrawn; all times are event time.

    Nothing new is suggested inside a book's limit. A suggestion stands, with one id, until its trades are taken up, the
    risk falls below the book's `clear_share` of the limit, or something material changes: its trades cost more than the
    best ones, or leave more risk than the target, by more than `material_share`. It is looked at anew not before
    `min_life_s` unless its trades no longer bring the risk inside the limit. After `expiry_s` it is renewed where it
    would be made again, above the limit, and else withdrawn. One suggestion takes away at most `ramp_share` of the risk
    above the target. Trades that are being worked count as done until nothing was heard of them for `in_flight_max_s`.
    An instrument of which lots were refused is left out of the book's suggestions for `rejection_pause_s`.
    """

    min_life_s: float = 2.0
    expiry_s: float = 60.0
    material_share: float = 0.1
    ramp_share: float = 1.0
    in_flight_max_s: float = 30.0
    rejection_pause_s: float = 10.0


class SnapshotConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the state is kept: at the first commit after `every_s` of wall-clock time."""

    every_s: float = 5.0


class MetricsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the metrics and the answers to requests are. Port 0 takes a free one and logs it.

    A host beyond this machine needs a token, which every request then has to bring: it is not in the file but in the
    environment variable BETAPACK_METRICS_TOKEN. Requests are answered only for the names of this machine, `host` and
    `allowed_hosts`: a page of somebody else's, whose name was made to point here, gets nothing.
    """

    host: str = "127.0.0.1"
    port: int = 9464
    allowed_hosts: tuple[str, ...] = ()


class TopicsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How topics are named and created."""

    prefix: str = ""
    replication: int = 1


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything the service is told at start."""

    universe: UniverseConfig
    instruments: tuple[InstrumentConfig, ...]
    books: tuple[BookConfig, ...]
    solver: SolverConfig
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicsConfig = TopicsConfig()
    risk: RiskConfig = RiskConfig()
    covariance: CovarianceConfig = CovarianceConfig()
    reversion: ReversionConfig = ReversionConfig()
    hedging: HedgingConfig = HedgingConfig()
    flows: tuple[FlowsConfig, ...] = ()
    snapshot: SnapshotConfig = SnapshotConfig()
    metrics: MetricsConfig = MetricsConfig()

    def state_hash(self) -> str:
        """Hash of what gives the numbers in a snapshot their meaning.

        Books, limits and the solver's effort may change over a restart; assets, instruments and estimators may not.
        """
        parts = (self.universe, self.instruments, self.covariance, self.reversion)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def load_config(path: Path) -> Config:
    """Read and check the file at `path`. Raises ConfigError naming the key, what was expected and what was found."""
    try:
        text = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"cannot read the configuration {path}: {exc.strerror}; name it with --config") from exc
    try:
        config = msgspec.toml.decode(text, type=Config)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{path}: {_with_key(str(exc))}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not TOML: {exc}") from exc
    check_config(config)
    return config


def check_config(config: Config) -> None:
    """What types alone cannot say. Raises ConfigError at the first key that does not hold."""
    _check_universe(config.universe)
    _check_instruments(config)
    _check_books(config)
    _check_flows(config)
    _check_models(config)
    _at_least("risk.horizon_steps", config.risk.horizon_steps, 1)
    _at_most("risk.horizon_steps", config.risk.horizon_steps, HORIZON_STEPS_MAX)
    solver = config.solver
    _positive("solver.lot_notional", solver.lot_notional)
    _positive("solver.max_packing_nodes", solver.max_packing_nodes)
    _positive("solver.max_timestep_nodes", solver.max_timestep_nodes)
    _positive("solver.max_hedge_nodes", solver.max_hedge_nodes)
    _at_least("solver.hedge_cost_resolution", solver.hedge_cost_resolution, 0)
    _positive("solver.deadline_ms", solver.deadline_ms)
    _positive("solver.threads", solver.threads)
    _check_hedging(config.hedging)
    _positive("snapshot.every_s", config.snapshot.every_s)
    _at_least("topics.replication", config.topics.replication, 1)
    if not 0 <= config.metrics.port <= 65535:
        raise _wrong("metrics.port", "a port from 0 to 65535", config.metrics.port)
    for name in config.metrics.allowed_hosts:
        if not re.fullmatch(r"[A-Za-z0-9.:-]+", name) or re.search(r":\d+$", name):
            raise _wrong("metrics.allowed_hosts", "names or addresses without a port", name)
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,200}", config.topics.prefix):
        raise _wrong("topics.prefix", "at most 200 letters, digits, '.', '_' and '-'", config.topics.prefix)
    if not config.kafka.group:
        raise _wrong("kafka.group", "a name", config.kafka.group)
    for address in config.kafka.bootstrap.split(","):
        if not re.fullmatch(r".+:\d+", address.strip()):
            raise _wrong("kafka.bootstrap", "host:port, several separated by commas", config.kafka.bootstrap)


def _check_universe(universe: UniverseConfig) -> None:
    if not universe.name or "#" in universe.name:
        # The keys of one universe's snapshots must not be those of another one's: see `encode.snapshot_key`.
        raise _wrong("universe.name", "a name without '#'", universe.name)
    if len(universe.assets) < 2:
        raise _wrong("universe.assets", "at least two assets, for a β to combine", list(universe.assets))
    _no_twins("universe.assets", universe.assets)
    if universe.numeraire in universe.assets:
        raise _wrong("universe.assets", f"assets other than the numeraire {universe.numeraire}", universe.numeraire)
    if not universe.numeraire:
        raise _wrong("universe.numeraire", "a name", universe.numeraire)
    for name in (
        "timestep_s",
        "max_price_age_s",
        "allowed_lateness_s",
        "feed_silent_after_s",
        "max_event_time_ahead_s",
    ):
        _at_most(f"universe.{name}", getattr(universe, name), SECONDS_MAX)
    _at_most("universe.idle_after_s", universe.idle_after_s or 0.0, SECONDS_MAX)
    _positive("universe.timestep_s", universe.timestep_s)
    _positive("universe.max_price_age_s", universe.max_price_age_s)
    _at_least("universe.allowed_lateness_s", universe.allowed_lateness_s, 0)
    _positive("universe.feed_silent_after_s", universe.feed_silent_after_s)
    _at_least("universe.max_event_time_ahead_s", universe.max_event_time_ahead_s, 0)
    if universe.idle_after_s is not None:
        _positive("universe.idle_after_s", universe.idle_after_s)
    if universe.timestep_ns < 1:
        raise _wrong("universe.timestep_s", "at least one nanosecond", universe.timestep_s)


def _check_instruments(config: Config) -> None:
    universe = config.universe
    known = {*universe.assets, universe.numeraire}
    _no_twins("instruments.name", [instrument.name for instrument in config.instruments])
    for place, instrument in enumerate(config.instruments):
        key = f"instruments[{place}]"
        _positive(f"{key}.lot", instrument.lot)
        for name in ("fee_bps", "impact_linear_bps", "impact_sqrt_bps"):
            _at_least(f"{key}.{name}", getattr(instrument, name), 0)
        if instrument.available_lots is not None:
            _positive(f"{key}.available_lots", instrument.available_lots)
        elif instrument.impact_linear_bps or instrument.impact_sqrt_bps:
            raise _wrong(f"{key}.available_lots", "> 0 where there is an impact", None)
        if not instrument.legs:
            raise _wrong(f"{key}.legs", "at least one leg", instrument.legs)
        for asset, quantity in instrument.legs.items():
            if asset not in known:
                raise _wrong(f"{key}.legs", f"assets of the universe or {universe.numeraire}", asset)
            if not math.isfinite(quantity) or quantity == 0:
                raise _wrong(f"{key}.legs.{asset}", "a finite number other than 0", quantity)
        if instrument.quote not in known:
            raise _wrong(f"{key}.quote", f"an asset of the universe or {universe.numeraire}", instrument.quote)
        if set(instrument.legs) == {instrument.quote}:
            raise _wrong(f"{key}.quote", "another asset than the only leg", instrument.quote)
        if len(instrument.legs) == 1 and min(instrument.legs.values()) < 0:
            # Its price would be negative, and a negative price has no logarithm.
            raise _wrong(f"{key}.legs", f"a long leg, since it prices {next(iter(instrument.legs))}", instrument.legs)
    singles = [instrument for instrument in config.instruments if len(instrument.legs) == 1]
    priced = _connected(singles, universe.numeraire)
    for asset in universe.assets:
        if asset not in priced:
            raise _wrong(
                "instruments",
                f"one of a single leg that prices {asset} against {universe.numeraire}, or a chain of such ones",
                "none among them",
            )


def _check_books(config: Config) -> None:
    if not config.books:
        raise _wrong("books", "at least one book", [])
    _no_twins("books.name", [book.name for book in config.books])
    names = {instrument.name for instrument in config.instruments}
    for place, book in enumerate(config.books):
        key = f"books[{place}]"
        if not book.name:
            raise _wrong(f"{key}.name", "a name", book.name)
        _positive(f"{key}.limit", book.limit)
        if not 0 < book.target_share <= 1:
            raise _wrong(f"{key}.target_share", "a number above 0 and at most 1", book.target_share)
        if not book.target_share <= book.clear_share <= 1:
            raise _wrong(f"{key}.clear_share", f"a number from target_share {book.target_share} to 1", book.clear_share)
        _at_least(f"{key}.limit", book.limit, 1e-6)
        _at_least(f"{key}.max_lots", book.max_lots, 1)
        _at_most(f"{key}.max_lots", book.max_lots, LOTS_MAX)
        if book.max_trades is not None:
            _at_least(f"{key}.max_trades", book.max_trades, 1)
        _no_twins(f"{key}.instruments", book.instruments)
        for name in book.instruments:
            if name not in names:
                raise _wrong(f"{key}.instruments", "names of instruments", name)


def _check_flows(config: Config) -> None:
    instruments = {instrument.name: instrument for instrument in config.instruments}
    _no_twins("flows.name", [flows.name for flows in config.flows])
    for place, flows in enumerate(config.flows):
        key = f"flows[{place}]"
        if not flows.name:
            raise _wrong(f"{key}.name", "a name", flows.name)
        if not flows.markets:
            raise _wrong(f"{key}.markets", "at least one instrument to hedge in", [])
        _no_twins(f"{key}.markets.instrument", [market.instrument for market in flows.markets])
        for kind, names in (
            ("clients", [clients.instrument for clients in flows.clients]),
            ("markets", [market.instrument for market in flows.markets]),
        ):
            for name_place, name in enumerate(names):
                if name not in instruments:
                    raise _wrong(f"{key}.{kind}[{name_place}].instrument", "the name of an instrument", name)
                if len(instruments[name].legs) != 1:
                    # What a basket brings of each asset changes with prices, and the flow is laid out once.
                    raise _wrong(f"{key}.{kind}[{name_place}].instrument", "one of a single leg", name)
        for client_place, clients in enumerate(flows.clients):
            _check_clients(f"{key}.clients[{client_place}]", clients)
        for market_place, market in enumerate(flows.markets):
            market_key = f"{key}.markets[{market_place}]"
            _within(f"{market_key}.eta_bps_per_million_a_day", market.eta_bps_per_million_a_day, 1e-12, 1e6)
            if market.half_spread_bps is not None:
                _within(f"{market_key}.half_spread_bps", market.half_spread_bps, 1e-6, 1e4)
        one_sided = [place for place, clients in enumerate(flows.clients) if clients.side != "both"]
        if flows.risk_aversion is not None:
            _within(f"{key}.risk_aversion", flows.risk_aversion, 1e-30, 1e6)
        elif one_sided:
            raise _wrong(f"{key}.risk_aversion", f"given where clients[{one_sided[0]}] deal on one side alone", None)
        for asset, impact in flows.impact_bps_per_million.items():
            if asset not in config.universe.assets:
                raise _wrong(f"{key}.impact_bps_per_million", "assets of the universe", asset)
            _within(f"{key}.impact_bps_per_million.{asset}", impact, 0, 1e4)
        _positive(f"{key}.material_share", flows.material_share)
        asked = [instruments[each.instrument] for each in flows.clients if any(each.requests_per_day)]
        idle = set(config.universe.assets) - _connected(asked, config.universe.numeraire)
        if idle:
            # An inventory that no client ever takes would be worth minus infinity.
            raise _wrong(f"{key}.clients", "such that someone deals in every asset", f"nobody in {sorted(idle)}")
    known = {flows.name: flows for flows in config.flows}
    for place, book in enumerate(config.books):
        _check_band(f"books[{place}]", book, known)


def _check_clients(key: str, clients: ClientsConfig) -> None:
    """Bounds beyond every market, within which squares and exponentials of these numbers are numbers too."""
    if not clients.sizes:
        raise _wrong(f"{key}.sizes", "at least one size", [])
    for size in clients.sizes:
        _within(f"{key}.sizes", size, 1e-6, 1e15)
    if len(clients.requests_per_day) != len(clients.sizes):
        raise _wrong(f"{key}.requests_per_day", f"{len(clients.sizes)} numbers, as sizes", clients.requests_per_day)
    for requests in clients.requests_per_day:
        _within(f"{key}.requests_per_day", requests, 0, 1e9)
    _within(f"{key}.alpha", clients.alpha, -100, 100)
    _within(f"{key}.beta_per_bp", clients.beta_per_bp, 1e-6, 1e6)


def _check_band(key: str, book: BookConfig, known: dict[str, FlowsConfig]) -> None:
    """What a book takes from the flow that it names."""
    if book.flows is None:
        if book.band == "internalise":
            raise _wrong(f"{key}.flows", "the name of a flow where band is internalise", None)
        return
    if book.flows not in known:
        raise _wrong(f"{key}.flows", "the name of a flow", book.flows)
    flows = known[book.flows]
    # The zone is about the risk of the next moment, whatever comes back later.
    if book.limit_on == "horizon" and book.band == "internalise":
        raise _wrong(f"{key}.limit_on", "timestep where band is internalise", book.limit_on)
    if book.limit_on == "horizon" and flows.risk_aversion is None:
        raise _wrong(f"{key}.limit_on", f"timestep where the limit is the risk aversion of {flows.name}", book.limit_on)
    for market in flows.markets:
        if book.instruments and market.instrument not in book.instruments:
            raise _wrong(f"{key}.instruments", f"among them every market of {flows.name}", list(book.instruments))


def _connected(instruments: list[InstrumentConfig], numeraire: str) -> set[str]:
    """The numeraire, and what instruments of a single leg join to it."""
    joined = {numeraire}
    pairs = [{*instrument.legs, instrument.quote} for instrument in instruments]
    while reached := [pair for pair in pairs if len(pair & joined) == 1]:
        joined.update(*reached)
    return joined


def _check_hedging(hedging: HedgingConfig) -> None:
    _at_least("hedging.min_life_s", hedging.min_life_s, 0)
    _positive("hedging.in_flight_max_s", hedging.in_flight_max_s)
    if not hedging.min_life_s < hedging.expiry_s <= SECONDS_MAX:
        raise _wrong("hedging.expiry_s", f"above hedging.min_life_s {hedging.min_life_s:g}", hedging.expiry_s)
    _at_most("hedging.in_flight_max_s", hedging.in_flight_max_s, SECONDS_MAX)
    _at_least("hedging.material_share", hedging.material_share, 0)
    _at_least("hedging.rejection_pause_s", hedging.rejection_pause_s, 0)
    _at_most("hedging.rejection_pause_s", hedging.rejection_pause_s, SECONDS_MAX)
    if not 0 < hedging.ramp_share <= 1:
        raise _wrong("hedging.ramp_share", "a number above 0 and at most 1", hedging.ramp_share)


def _check_models(config: Config) -> None:
    covariance, reversion = config.covariance, config.reversion
    _at_least("covariance.window_steps", covariance.window_steps, 2)
    _positive("covariance.half_life_steps", covariance.half_life_steps)
    _at_least("covariance.min_observations", covariance.min_observations, 2)
    _at_least("covariance.slow_ticks", covariance.slow_ticks, 2)
    if covariance.takes_ticks and covariance.shrinkage == "ledoit-wolf":
        raise _wrong(
            "covariance.shrinkage", "none, oas or nonlinear with covariance.kind hayashi-yoshida", "ledoit-wolf"
        )
    if covariance.takes_ticks:
        _check_ticks(config)
    if covariance.shrinkage == "nonlinear":
        # The method needs 12 returns, of weighted ones as many by weight.
        _at_least("covariance.min_observations (with shrinkage nonlinear)", covariance.min_observations, 24)
        if covariance.kind != "window":
            _at_least("covariance.half_life_steps (with shrinkage nonlinear)", covariance.half_life_steps, 12)
    lengths = covariance.sampling_steps
    if 1 not in lengths or min(lengths) < 1:
        raise _wrong("covariance.sampling_steps", "whole numbers from 1 on, 1 among them", list(lengths))
    for place, length in enumerate(lengths):
        if length in lengths[:place]:
            raise _wrong("covariance.sampling_steps", "distinct numbers", length)
    if covariance.kind == "window" and covariance.min_observations > covariance.window_steps:
        raise _wrong(
            "covariance.min_observations",
            f"at most covariance.window_steps {covariance.window_steps}",
            covariance.min_observations,
        )
    if not reversion.methods:
        raise _wrong("reversion.methods", f"at least one of {', '.join(get_args(ReversionMethod))}", [])
    _no_twins("reversion.methods", reversion.methods)
    n = len(config.universe.assets)
    most = math.isqrt(MAX_RECORD_BYTES // (NUMBER_BYTES * len(lengths)))
    if n > most:
        expected = (
            f"at most {most} with {len(lengths)} covariance.sampling_steps, for a model to fit a record of Kafka's"
        )
        raise _wrong("universe.assets", expected, n)
    _at_least("reversion.basis_horizon_steps", reversion.basis_horizon_steps, 1)
    _at_least("reversion.holdout_steps", reversion.holdout_steps, 4 * reversion.basis_horizon_steps)
    _at_least("reversion.lags", reversion.lags, 1)
    # A regression of n series on (lags + 1) n + 1 others needs some observations to spare.
    least = reversion.holdout_steps + (reversion.lags + 2) * n + 10
    _at_least("reversion.window_steps", reversion.window_steps, least)
    if not 0 < reversion.basis_ratio_max < 1:
        raise _wrong("reversion.basis_ratio_max", "a number between 0 and 1", reversion.basis_ratio_max)
    for name in ("basis_confidence", "false_discovery_rate"):
        if not 0 < getattr(reversion, name) < 1:
            raise _wrong(f"reversion.{name}", "a number between 0 and 1", getattr(reversion, name))
    _at_least("reversion.half_life_min_steps", reversion.half_life_min_steps, 0)
    if not reversion.half_life_min_steps < reversion.half_life_max_steps < math.inf:
        raise _wrong(
            "reversion.half_life_max_steps",
            f"above reversion.half_life_min_steps {reversion.half_life_min_steps}",
            reversion.half_life_max_steps,
        )
    if not 0 <= reversion.switching_penalty < 1:
        raise _wrong("reversion.switching_penalty", "at least 0 and below 1", reversion.switching_penalty)
    if not 1 < reversion.false_alarm_steps < math.inf:
        raise _wrong("reversion.false_alarm_steps", "a number above 1", reversion.false_alarm_steps)
    if reversion.max_legs not in (2, 3):
        raise _wrong("reversion.max_legs", "2 or 3", reversion.max_legs)
    _at_least("reversion.max_vectors", reversion.max_vectors, 1)
    _at_least("reversion.refit_every_steps", reversion.refit_every_steps, 1)
    if not 0 <= reversion.refit_lag_steps <= reversion.refit_every_steps:
        # One refit is under way at a time: with a longer lag there would be fewer than was asked for.
        raise _wrong(
            "reversion.refit_lag_steps",
            f"from 0 to reversion.refit_every_steps {reversion.refit_every_steps}",
            reversion.refit_lag_steps,
        )


def _check_ticks(config: Config) -> None:
    """A path of crosses prices an asset too, but has no ticks: its covariance would never come."""
    numeraire = config.universe.numeraire
    direct = [{*instrument.legs, instrument.quote} for instrument in config.instruments if len(instrument.legs) == 1]
    for asset in config.universe.assets:
        if {asset, numeraire} not in direct:
            raise _wrong(
                "instruments",
                f"one of a single leg that prices {asset} against {numeraire} directly, with covariance.kind "
                "hayashi-yoshida",
                "none among them",
            )


def _wrong(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"{key} must be {expected}, got {got!r}")


def _positive(key: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise _wrong(key, "> 0", value)


def _within(key: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise _wrong(key, f"from {least:g} to {most:g}", value)


def _at_most(key: str, value: float, most: float) -> None:
    if value > most:
        raise _wrong(key, f"at most {most:g}", value)


def _at_least(key: str, value: float, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise _wrong(key, f">= {least}", value)


def _no_twins(key: str, names: tuple[str, ...] | list[str]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise _wrong(key, "distinct names", name)


def _with_key(message: str) -> str:
    """msgspec says ``Expected `float`, got `str` - at `$.books[0].limit` ``; people look for the key first."""
    match = re.fullmatch(r"(?P<what>.*) - at `\$\.?(?P<key>[^`]*)`", message)
    if not match:
        return message
    choices = _choices(match["key"]) if match["what"].startswith("Invalid enum value") else ()
    expected = f", expected one of {', '.join(choices)}" if choices else ""
    return f"{match['key']}: {match['what']}{expected}"


def _choices(key: str) -> tuple[str, ...]:
    """What the annotation of a key such as ``books[0].kind`` allows, where it lists its values."""
    kind: Any = Config
    for name in re.sub(r"\[[^]]*\]", "", key).split("."):
        if not (isinstance(kind, type) and issubclass(kind, Struct)):
            return ()
        kind = get_type_hints(kind).get(name)
        if get_origin(kind) is tuple:
            kind = get_args(kind)[0]
    return tuple(str(value) for value in get_args(kind)) if get_origin(kind) is Literal else ()
