"""How Kafka is reached."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# A universe of 1000 assets has a covariance of 8 MB as float64, and a snapshot or model carries it in one record.
MAX_RECORD_BYTES = 16 * 1024 * 1024


class KafkaSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Kafka is reached. The password is no field: it comes from the environment variable BETAPACK_SASL_PASSWORD.

    `bootstrap` is ``host:port``, several separated by commas. `ssl_cafile` is the PEM file of the authority that signed
    the brokers' certificates; empty means those the operating system trusts. `group` is where offsets are committed.
    """

    bootstrap: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    ssl_cafile: str = ""
    client_id: str = "betapack"
    group: str = "betapack"

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether the client logs in with a user name and a password."""
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")


class TopicsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How topics are named and created."""

    prefix: str = ""
    replication: int = 1
