"""The configuration: one TOML file into one frozen Struct. The service's defaults stand in this room and nowhere else.

Each section of the file has a module with its Struct and its checks. Secrets are not in the file: `metrics` and `kafka`
name the environment variables that hold them.
"""

from stream.config.books import LOTS_MAX, BookConfig
from stream.config.covariance import HORIZON_STEPS_MAX, CovarianceConfig, RiskConfig
from stream.config.dead_letters import DeadLettersConfig
from stream.config.flows import ClientsConfig, FlowsConfig, HedgeMarketConfig
from stream.config.hedging import HedgingConfig
from stream.config.instruments import InstrumentConfig
from stream.config.kafka import KafkaSettings, TopicsConfig
from stream.config.load import Config, check_config, load_config
from stream.config.metrics import MetricsConfig, SnapshotConfig
from stream.config.plausibility import PlausibilityConfig
from stream.config.reversion import ReversionConfig
from stream.config.solver import PackingObjective, SolverConfig
from stream.config.universe import NANOSECONDS, SECONDS_MAX, UniverseConfig

__all__ = [
    "HORIZON_STEPS_MAX",
    "LOTS_MAX",
    "NANOSECONDS",
    "SECONDS_MAX",
    "BookConfig",
    "ClientsConfig",
    "Config",
    "CovarianceConfig",
    "DeadLettersConfig",
    "FlowsConfig",
    "HedgeMarketConfig",
    "HedgingConfig",
    "InstrumentConfig",
    "KafkaSettings",
    "MetricsConfig",
    "PackingObjective",
    "PlausibilityConfig",
    "ReversionConfig",
    "RiskConfig",
    "SnapshotConfig",
    "SolverConfig",
    "TopicsConfig",
    "UniverseConfig",
    "check_config",
    "load_config",
]
