"""Stores offsets with a consumer group, where operators look for lag. Nobody waits for it, and it ends nothing.

A thread does it with a client of its own. A commit takes some 4 ms of a local broker and may wait for seconds where the
group's coordinator is away. kafka-python also looks for the coordinator in every poll of a client with a group, and
returns no records, or raises, until it has found it. So the client that reads has no group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from kafka import TopicPartition as KafkaPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from stream.config.kafka import KafkaSettings
from stream.errors import BetapackError
from stream.kafka.log import TopicPartition

RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
STORE_TIMEOUT_MS = 5000
CLOSE_TIMEOUT_MS = 1000

_OTHER_MEMBERS = (
    kafka_errors.CommitFailedError,
    kafka_errors.UnknownMemberIdError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.FencedInstanceIdError,
    kafka_errors.GroupIdNotFoundError,
)


class GroupOffsets:
    """Stores the latest offsets it was given with the group of `settings`. `open_consumer` opens its client."""

    def __init__(self, settings: KafkaSettings, open_consumer: Callable[[], Any]) -> None:
        self._settings = settings
        self._open_consumer = open_consumer
        self._consumer: Any = None
        self._wanted: dict[TopicPartition, int] | None = None
        self._failure = ""
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def failure(self) -> str:
        """Why the last attempt failed, in an operator's words. Empty after one that did not, and before the first."""
        return self._failure

    def store(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store `offsets` soon, in place of earlier ones that are not stored yet. Returns at once, raises nothing."""
        with self._changed:
            self._wanted = {**(self._wanted or {}), **offsets}
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="group-offsets", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Store what waits, within a second or two, and close the connection."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(2 * CLOSE_TIMEOUT_MS / 1000)
            self._thread = None

    def _run(self) -> None:
        retry_s = RETRY_FIRST_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None or self._closing.is_set())
                wanted, self._wanted = self._wanted, None
            if wanted is not None:
                self._failure = self._attempt(wanted)
            if self._closing.is_set():
                break
            if not self._failure:
                retry_s = RETRY_FIRST_S
                continue
            with self._changed:
                self._wanted = {**(wanted or {}), **(self._wanted or {})}
            self._closing.wait(retry_s)
            retry_s = min(2 * retry_s, RETRY_MOST_S)
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)

    def _attempt(self, offsets: Mapping[TopicPartition, int]) -> str:
        """Store `offsets`; returns why that failed, or an empty text."""
        stored = {
            KafkaPartition(*partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()
        }
        timeout_ms = CLOSE_TIMEOUT_MS if self._closing.is_set() else STORE_TIMEOUT_MS
        try:
            if self._consumer is None:
                self._consumer = self._open_consumer()
            self._consumer.commit(stored, timeout_ms=timeout_ms)
        except (kafka_errors.KafkaError, BetapackError) as exc:
            return self._cause(exc)
        except Exception as exc:  # a bug of the client's must not end this for ever, and nothing waits for it
            return f"{type(exc).__name__}: {exc}"
        return ""

    def _cause(self, exc: Exception) -> str:
        group = self._settings.group
        if isinstance(exc, _OTHER_MEMBERS):
            return f"group {group} has members of another consumer; use another kafka.group"
        if isinstance(exc, kafka_errors.GroupAuthorizationFailedError):
            return f"Kafka refused the user group {group}; grant READ on it"
        if isinstance(exc, kafka_errors.TopicAuthorizationFailedError):
            return f"Kafka refused the user to store offsets of the topics for group {group}; grant READ on them"
        if isinstance(exc, kafka_errors.RetriableError | kafka_errors.KafkaTimeoutError):
            return f"the coordinator of group {group} does not answer"
        return f"{type(exc).__name__}: {exc}"
