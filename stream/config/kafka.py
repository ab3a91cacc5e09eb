"""[kafka] and [topics]: how Kafka is reached, and how topics are named and created."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.topics import CORRECTIONS, TOPICS
from stream.config.checks import ABOVE_ZERO, at_least, at_most, wrong

# A universe of 1000 assets has a covariance of 8 MB as float64, and a snapshot or model carries it in one record.
MAX_RECORD_BYTES = 16 * 1024 * 1024

PASSWORD_VARIABLE = "BETAPACK_SASL_PASSWORD"
"""The environment variable with the password of `sasl_username`."""


class KafkaSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Kafka is reached. The password is not a key: it comes from an environment variable, see below."""

    bootstrap: Annotated[str, Meta(description="Addresses of Kafka as `host:port`, several separated by commas.")] = (
        "127.0.0.1:9092"
    )
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Meta(description="Whether connections are encrypted (`SSL`), and whether the client logs in (`SASL`)."),
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Meta(description="How the client logs in.")
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[
        str, Meta(description="User name of the login. Required where `security_protocol` logs in.")
    ] = ""
    ssl_cafile: Annotated[
        str,
        Meta(
            description="PEM file of the authority that signed the brokers' certificates. Empty: those that the "
            "operating system trusts."
        ),
    ] = ""
    client_id: Annotated[str, Meta(description="Name under which the brokers log this client.")] = "betapack"
    group: Annotated[str, Meta(description="Consumer group to which offsets are committed.")] = "betapack"
    metadata_max_age_s: Annotated[
        float,
        Meta(
            description="How often a running service looks whether its topics are still the same ones, with the same "
            "partitions and settings."
        ),
        at_most(86_400.0),
        ABOVE_ZERO,
    ] = 30.0

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

    prefix: Annotated[
        str,
        Meta(description="Put in front of the name of every topic. At most 200 letters, digits, `.`, `_` and `-`."),
    ] = ""
    replication: Annotated[
        int,
        Meta(description="Replication factor of topics that `betapack topics --create` makes."),
        at_least(1),
    ] = 1

    def names(self) -> dict[str, str]:
        """The topics' names with the prefix, by their names without it."""
        return {topic.name: self.prefix + topic.name for topic in TOPICS}

    def inputs(self) -> list[str]:
        """The names, with the prefix, of the topics that the service reads in the order of event time."""
        return [self.prefix + topic.name for topic in TOPICS if topic.direction == "in" and topic.name != CORRECTIONS]


def check_topics_section(topics: TopicsConfig) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,200}", topics.prefix):
        raise wrong("topics.prefix", "at most 200 letters, digits, '.', '_' and '-'", topics.prefix)


def check_kafka_section(kafka: KafkaSettings) -> None:
    if not kafka.group:
        raise wrong("kafka.group", "a name", kafka.group)
    for address in kafka.bootstrap.split(","):
        if not re.fullmatch(r".+:\d+", address.strip()):
            raise wrong("kafka.bootstrap", "host:port, several separated by commas", kafka.bootstrap)
