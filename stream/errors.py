"""What the service raises on purpose.

BetapackError                  4  a bug of ours, or something nobody foresaw
├── ConfigError                2  a setting, an argument or an environment variable is wrong or missing
├── CorrectionRefused          2  what shall be forgotten is no tick, or is not in the log
├── DataUnavailable            3  a file of prices is missing, or holds something that is not a price
├── BrokerUnavailable          3  no usable connection to Kafka; `reason` says why
├── AccessDenied               3  Kafka answers, and refuses this user a topic, a group or an operation
├── TopicMissing               3  a topic that is read or written does not exist
├── TopicMismatch              3  a topic exists with another number of partitions than was agreed
├── ReadFailed                 3  fetching, looking up or committing offsets failed
│   └── OffsetOutOfRange       3  the records to continue from are not in the log, or no longer
├── PublishFailed              3  a record that was sent may not be in the log
├── StateMismatch              3  a snapshot that this configuration or version cannot continue from
├── NoAnswer                   3  no figures are available: no model yet, or no fresh price
├── ServiceUnavailable         3  no service answers at the address, or it refuses
├── LocalBrokerFailed          3  the local Apache Kafka could not be fetched, started or stopped
├── RefitFailed                4  a refit ended without a result; the service continues with the β in use
└── DemoFailed                 4  a part of the demo ended by itself

The number is the exit code of the command line: 2 for usage and configuration, 3 for data that is not
available, 4 for the rest. Every message says what was expected, what was found, where, and what to do next.
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
    """A setting that cannot be used; the message names its key, what is allowed and what was found."""

    exit_code = 2


class CorrectionRefused(BetapackError):
    """A correction that names no tick in the log; the message says what was found instead."""

    exit_code = 2


class DataUnavailable(BetapackError):
    """Prices that are not available; the message names file, line and column, what was expected and what was found."""

    exit_code = 3


class BrokerUnavailable(BetapackError):
    """No usable connection to Kafka.

    Kafka's client reports a dead port, a TLS port, an unknown authority and a wrong password all as a time-out.
    `stream.kafka.connection` therefore looks at the socket itself, and `reason` is what it found.
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
    """A topic with another number of partitions than expected, so records of a key would be in an unexpected one."""

    exit_code = 3


class ReadFailed(BetapackError):
    """Kafka refused a fetch, an offset lookup or an offset commit for a reason that retrying does not cure."""

    exit_code = 3


class OffsetOutOfRange(ReadFailed):
    """The offset to continue from was deleted (below the low watermark) or never written (beyond the end)."""


class PublishFailed(BetapackError):
    """A record sent since the last flush may not be in the log. After a time-out it may be there all the same."""

    exit_code = 3


class StateMismatch(BetapackError):
    """A snapshot that this version or configuration cannot continue; the message names both sides."""

    exit_code = 3


class NoAnswer(BetapackError):
    """A question about a book that cannot be answered now; the message says what is missing."""

    exit_code = 3


class ServiceUnavailable(BetapackError):
    """No running service answers at the address that was asked, or it cannot answer now."""

    exit_code = 3


class LocalBrokerFailed(BetapackError):
    """The local Apache Kafka is missing a package, could not be fetched, did not come up, or died."""

    exit_code = 3


class RefitFailed(BetapackError):
    """A refit that ended without a result; the model publishes the message."""


class DemoFailed(BetapackError):
    """A part of the demo ended by itself; the message holds the last lines of its output."""
