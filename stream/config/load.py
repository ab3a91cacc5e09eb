"""The configuration: one TOML file into one frozen Struct. The service's defaults stand here and nowhere else.

Unknown keys are refused, so a typo fails at start, and every error names the key, what was expected and what was
found. Secrets are not in the file: `stream.config.kafka.KafkaSettings` says which environment variables hold them.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from stream.config.books import BookConfig, check_band, check_books
from stream.config.checks import at_least, at_most, positive, wrong
from stream.config.covariance import HORIZON_STEPS_MAX, CovarianceConfig, RiskConfig
from stream.config.flows import FlowsConfig, check_flows
from stream.config.hedging import HedgingConfig, check_hedging
from stream.config.instruments import InstrumentConfig, check_instruments
from stream.config.kafka import KafkaSettings, TopicsConfig
from stream.config.metrics import MetricsConfig, SnapshotConfig
from stream.config.reversion import ReversionConfig, check_models
from stream.config.solver import SolverConfig
from stream.config.universe import UniverseConfig, check_universe
from stream.errors import ConfigError


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
    check_universe(config.universe)
    check_instruments(config)
    check_books(config)
    check_flows(config)
    known = {flows.name: flows for flows in config.flows}
    for place, book in enumerate(config.books):
        check_band(f"books[{place}]", book, known)
    check_models(config)
    at_least("risk.horizon_steps", config.risk.horizon_steps, 1)
    at_most("risk.horizon_steps", config.risk.horizon_steps, HORIZON_STEPS_MAX)
    solver = config.solver
    positive("solver.lot_notional", solver.lot_notional)
    positive("solver.max_packing_nodes", solver.max_packing_nodes)
    positive("solver.max_timestep_nodes", solver.max_timestep_nodes)
    positive("solver.max_hedge_nodes", solver.max_hedge_nodes)
    at_least("solver.hedge_cost_resolution", solver.hedge_cost_resolution, 0)
    positive("solver.deadline_ms", solver.deadline_ms)
    positive("solver.threads", solver.threads)
    check_hedging(config.hedging)
    positive("snapshot.every_s", config.snapshot.every_s)
    at_least("topics.replication", config.topics.replication, 1)
    if not 0 <= config.metrics.port <= 65535:
        raise wrong("metrics.port", "a port from 0 to 65535", config.metrics.port)
    for name in config.metrics.allowed_hosts:
        if not re.fullmatch(r"[A-Za-z0-9.:-]+", name) or re.search(r":\d+$", name):
            raise wrong("metrics.allowed_hosts", "names or addresses without a port", name)
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,200}", config.topics.prefix):
        raise wrong("topics.prefix", "at most 200 letters, digits, '.', '_' and '-'", config.topics.prefix)
    if not config.kafka.group:
        raise wrong("kafka.group", "a name", config.kafka.group)
    for address in config.kafka.bootstrap.split(","):
        if not re.fullmatch(r".+:\d+", address.strip()):
            raise wrong("kafka.bootstrap", "host:port, several separated by commas", config.kafka.bootstrap)


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
