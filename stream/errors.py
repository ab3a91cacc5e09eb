"""What the service raises on purpose.

BetapackError                  4  a bug of ours, or something nobody foresaw
├── ConfigError                2  a setting, an argument or an environment variable is wrong or missing
├── DataUnavailable            3  a file of prices is missing, or holds something that is no price
├── BrokerUnavailable          3  no usable connection to Kafka; `reason` says why
├── AccessDenied               3  Kafka answers, and refuses this user a topic, a group or an operation
├── TopicMissing               3  a topic that is read or written does not exist
├── TopicMismatch              3  a topic exists with another number of partitions than was agreed
├── ReadFailed                 3  fetching, looking up or committing offsets failed
│   └── OffsetOutOfRange       3  the records to go on from are not in the log (any more)
├── PublishFailed              3  at least one record that was sent is not known to be in the log
├── StateMismatch              3  a snapshot that this configuration or version cannot go on from
├── NoAnswer                   3  no figures can be had now: no model yet, or no fresh price
├── ServiceUnavailable         3  no service answers at the address, or it refuses
├── LocalBrokerFailed          3  the local Apache Kafka could not be fetched, started or stopped
├── RefitFailed                4  a refit ended without a result; the service goes on with the β in use
└── DemoFailed                 4  a part of the demo ended by itself

The number is the exit code of the command line: 2 for usage and configuration, 3 for data that cannot be had, 4 for the
rest. Every message says what was expected, what came, where, and what to do next.
"""

from __future__ import annotations

from typing import ClassVar, Literal

UnavailableReason = Literal[
    "unknown host",
    "refused",
    "unreachable",
    "not kafka",
    "tls expected",
    "plaintext expected",
    "certificate",
    "authentication",
    "timeout",
]


class BetapackError(Exception):
    """Root of every error the service raises on purpose."""

    exit_code: ClassVar[int] = 4


class ConfigError(BetapackError):
    """A setting that cannot be used; the message names its key, what is allowed and what came."""

    exit_code = 2


class DataUnavailable(BetapackError):
    """Prices that cannot be had; the message names file, line and column, what was expected and what came."""

    exit_code = 3


class BrokerUnavailable(BetapackError):
    """No usable connection to Kafka.

    Kafka's client reports a dead port, a TLS port, an unknown authority and a wrong password alike, as a time-out, so
    `reason` comes from our own look at the socket (`stream.kafka.connection`).
    """

    exit_code = 3

    def __init__(self, message: str, reason: UnavailableReason) -> None:
        super().__init__(message)
        self.reason: UnavailableReason = reason


class AccessDenied(BetapackError):
    """Kafka's authorizer refused the user; the message names the user and what was refused."""

    exit_code = 3


class TopicMissing(BetapackError):
    """A topic that does not exist on the broker; the message names it and the command that creates it."""

    exit_code = 3


class TopicMismatch(BetapackError):
    """A topic with another number of partitions than expected, so keys would land elsewhere than agreed."""

    exit_code = 3


class ReadFailed(BetapackError):
    """Kafka refused a fetch, an offset lookup or an offset commit for a reason that retrying does not cure."""

    exit_code = 3


class OffsetOutOfRange(ReadFailed):
    """The offset to go on from was deleted (below the low watermark) or never written (beyond the end)."""


class PublishFailed(BetapackError):
    """Not every record sent since the last flush is known to be in the log; it may be, when the cause is a time-out."""

    exit_code = 3


class StateMismatch(BetapackError):
    """A snapshot that this version or configuration cannot continue; the message names both sides."""

    exit_code = 3


class NoAnswer(BetapackError):
    """A question about a book to which there is no answer now; the message says what is missing."""

    exit_code = 3


class ServiceUnavailable(BetapackError):
    """No running service answers at the address that was asked, or it cannot answer now."""

    exit_code = 3


class LocalBrokerFailed(BetapackError):
    """The local Apache Kafka is missing a package, could not be fetched, did not come up, or died."""

    exit_code = 3


class RefitFailed(BetapackError):
    """A refit that found nothing; the message is the one that the model publishes."""


class DemoFailed(BetapackError):
    """A part of the demo ended by itself; the message holds the last lines of its output."""
