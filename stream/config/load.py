"""The whole configuration, and how the file is read.

Unknown keys are refused, so a typo fails at start. Every error names the key, what was expected and what was found.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from stream.config.books import BookConfig, check_books_section
from stream.config.checks import check_allowed
from stream.config.covariance import CovarianceConfig, RiskConfig, check_covariance_section
from stream.config.dead_letters import DeadLettersConfig
from stream.config.flows import FlowsConfig, check_flows_section
from stream.config.hedging import HedgingConfig, check_hedging_section
from stream.config.instruments import InstrumentConfig, check_instruments_section
from stream.config.kafka import KafkaSettings, TopicsConfig, check_kafka_section, check_topics_section
from stream.config.metrics import MetricsConfig, SnapshotConfig, check_metrics_section
from stream.config.plausibility import PlausibilityConfig, check_plausibility_section
from stream.config.reversion import ReversionConfig, check_reversion_section
from stream.config.solver import SolverConfig
from stream.config.universe import UniverseConfig, check_universe_section
from stream.errors import ConfigError


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of the service."""

    universe: UniverseConfig
    instruments: tuple[InstrumentConfig, ...]
    books: tuple[BookConfig, ...]
    risk: RiskConfig = RiskConfig()
    plausibility: PlausibilityConfig = PlausibilityConfig()
    covariance: CovarianceConfig = CovarianceConfig()
    reversion: ReversionConfig = ReversionConfig()
    solver: SolverConfig
    hedging: HedgingConfig = HedgingConfig()
    flows: tuple[FlowsConfig, ...] = ()
    kafka: KafkaSettings = KafkaSettings()
    topics: TopicsConfig = TopicsConfig()
    dead_letters: DeadLettersConfig = DeadLettersConfig()
    snapshot: SnapshotConfig = SnapshotConfig()
    metrics: MetricsConfig = MetricsConfig()

    @property
    def most_lots(self) -> int:
        """The largest trade in one instrument that any book may make, in lots."""
        return max(book.max_lots for book in self.books)

    def state_hash(self) -> str:
        """Hash of the settings on which the meaning of the numbers in a snapshot depends.

        Books, limits and the solver's effort may change over a restart; assets, instruments and estimators may not.
        """
        parts = (self.universe, self.instruments, self.plausibility, self.covariance, self.reversion)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def load_config(path: Path) -> Config:
    """Read and check the file at `path`. Raises ConfigError naming the key, what was expected and what was found."""
    try:
        # Editors on Windows put a byte-order mark in front of UTF-8, which is no part of TOML.
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as exc:
        raise ConfigError(f"cannot read the configuration {path}: {exc.strerror}; name it with --config") from exc
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError(f"{path} is UTF-16, expected UTF-8; save it again as UTF-8")
    try:
        config = msgspec.toml.decode(text, type=Config)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{path}: {_with_key(str(exc))}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not TOML: {exc}") from exc
    check_config(config)
    return config


def check_config(config: Config) -> None:
    """Check what types alone cannot express. Raises ConfigError at the first key that is wrong."""
    check_allowed(config)
    check_universe_section(config.universe)
    check_instruments_section(config.instruments, config.universe)
    check_flows_section(config.flows, config.instruments, config.universe)
    check_books_section(config.books, config.instruments, config.flows)
    check_plausibility_section(config.plausibility)
    check_covariance_section(config.covariance, config.instruments, config.universe)
    check_reversion_section(config.reversion, len(config.universe.assets))
    check_hedging_section(config.hedging)
    check_metrics_section(config.metrics)
    check_topics_section(config.topics)
    check_kafka_section(config.kafka)


def _with_key(message: str) -> str:
    """An error of msgspec with the key in front, as in every other error of the configuration.

    msgspec says ``Expected `float`, got `str` - at `$.books[0].limit` ``.
    """
    match = re.fullmatch(r"(?P<what>.*) - at `\$\.?(?P<key>[^`]*)`", message)
    if not match:
        return message
    choices = _choices(match["key"]) if match["what"].startswith("Invalid enum value") else ()
    expected = f", expected one of {', '.join(choices)}" if choices else ""
    return f"{match['key']}: {match['what']}{expected}"


def _choices(key: str) -> tuple[str, ...]:
    """The values that the annotation of a key such as ``books[0].band`` lists; empty where it lists none."""
    kind: Any = Config
    for name in re.sub(r"\[[^]]*\]", "", key).split("."):
        if not (isinstance(kind, type) and issubclass(kind, Struct)):
            return ()
        kind = get_type_hints(kind).get(name)
        if get_origin(kind) is tuple:
            kind = get_args(kind)[0]
    return tuple(str(value) for value in get_args(kind)) if get_origin(kind) is Literal else ()
