"""Writing to Kafka: `stream.kafka.log.Writer` over kafka-python."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka import errors as kafka_errors
from kafka.partitioner import DefaultPartitioner

from stream.config.kafka import MAX_RECORD_BYTES, KafkaSettings
from stream.errors import BetapackError, PublishFailed
from stream.kafka.connection import open_client
from stream.kafka.log import Headers
from stream.kafka.topics import partition_counts

# A broker that restarts is back within seconds. After this time it is better to restart the worker.
DELIVERY_TIMEOUT_MS = 30_000
# How long the first record of a topic may wait for its partitions. A missing topic costs this time once per flush.
MAX_BLOCK_MS = 5_000
# kafka-python bounds neither the number nor the bytes of what waits to be sent.
MAX_WAITING_RECORDS = 20_000
MAX_WAITING_BYTES = 64 * 1024 * 1024


class KafkaWriter:
    """Writes with acknowledgement by all replicas in sync, in order and without duplicates (an idempotent producer).

    The queue of records without acknowledgement is bounded: `send` waits when it holds `MAX_WAITING_RECORDS` records or
    `MAX_WAITING_BYTES` bytes. After a failure nothing more is sent until `flush` has reported it.

    Raises
    ------
    ConfigError, BrokerUnavailable : as they say.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: Any = self._open()
        self._waiting: list[tuple[str, Any]] = []
        self._waiting_bytes = 0
        self._failures: list[tuple[str, BaseException]] = []
        self._not_sent = 0
        self._closed = False

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int) -> None:
        if self._closed:
            raise PublishFailed(f"nothing can be sent to {topic}: the writer is closed; open another one")
        if key is None and value is None:
            raise ValueError(f"a record for {topic} needs a key or a value, got neither")
        if len(self._waiting) >= MAX_WAITING_RECORDS or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._settle()
        if self._failures:
            self._not_sent += 1
            return
        try:
            if self._producer is None:
                self._producer = self._open()
            sent = self._producer.send(topic, value, key, list(headers), timestamp_ms=timestamp_ms)
        except (kafka_errors.KafkaError, BetapackError) as exc:
            self._failures.append((topic, exc))
            return
        self._waiting.append((topic, sent))
        self._waiting_bytes += len(key or b"") + len(value or b"")

    def flush(self) -> None:
        self._settle()
        if not self._failures:
            return
        failures, self._failures = self._failures, []
        not_sent, self._not_sent = self._not_sent, 0
        topic, cause = failures[0]
        raise PublishFailed(
            f"{len(failures)} records were not acknowledged and {not_sent} more not sent; the first one, for {topic}: "
            f"{self._explain(topic, cause)}"
        ) from cause

    def close(self) -> None:
        self._closed = True
        self._waiting.clear()
        self._discard_producer()

    def _open(self) -> Any:
        return open_client(
            KafkaProducer,
            self._settings,
            enable_idempotence=True,
            acks="all",
            compression_type="lz4",
            linger_ms=0,
            batch_size=256 * 1024,
            max_request_size=MAX_RECORD_BYTES,
            delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
            max_block_ms=MAX_BLOCK_MS,
            allow_auto_create_topics=False,
            partitioner=DefaultPartitioner(),
        )

    def _settle(self) -> None:
        """Wait for every record that was sent, and note those that failed."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        # The producer gives up on a record after the delivery time-out; its threads need some more time to report it.
        with suppress(kafka_errors.KafkaTimeoutError):
            self._producer.flush(timeout=DELIVERY_TIMEOUT_MS / 1000 + 5)
        for topic, sent in waiting:
            if not sent.is_done:
                self._failures.append((topic, kafka_errors.KafkaTimeoutError("no answer")))
            elif sent.exception is not None:
                self._failures.append((topic, sent.exception))
        if self._failures:
            # After a lost batch the producer's sequence numbers are in doubt, so the next send opens another producer.
            self._discard_producer()

    def _discard_producer(self) -> None:
        if self._producer is not None:
            with suppress(kafka_errors.KafkaError):
                self._producer.close(timeout=1)
            self._producer = None

    def _explain(self, topic: str, cause: BaseException) -> str:
        if isinstance(cause, kafka_errors.MessageSizeTooLargeError | kafka_errors.RecordListTooLargeError):
            return f"the record is larger than {MAX_RECORD_BYTES} bytes or the topic's max.message.bytes ({cause})"
        if isinstance(cause, kafka_errors.TopicAuthorizationFailedError):
            return f"Kafka refused the user ({cause}); grant WRITE on the topic"
        if isinstance(cause, kafka_errors.RetriableError):
            # A missing topic and a broker that is down both end in a time-out of the client.
            try:
                partition_counts(self._settings, [topic])
            except BetapackError as found:
                return str(found)
            return f"no acknowledgement in time, it may be in the log all the same ({cause})"
        return str(cause)
