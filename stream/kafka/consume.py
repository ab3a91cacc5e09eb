"""Reading from Kafka: `stream.kafka.log.Reader` over kafka-python."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka import errors as kafka_errors

from stream.config.kafka import KafkaSettings
from stream.errors import BetapackError, ConfigError, OffsetOutOfRange, ReadFailed
from stream.kafka.batches import DAMAGE, PollFull, poll_budget, read_any_batch
from stream.kafka.connection import REQUEST_TIMEOUT_MS, open_client, translate
from stream.kafka.group_offsets import GroupOffsets
from stream.kafka.header_names import read_any_header_name
from stream.kafka.log import Headers, Record, TopicPartition, check_offset
from stream.kafka.topics import partition_counts

# Measured with 72-byte records on two cores: together a third more than the defaults of 500 and 1 MB.
MAX_POLL_RECORDS = 5000
# More records than a live feed brings between two polls. A look-up of the ends costs a millisecond or two.
BEHIND_RECORDS = 50
MAX_PARTITION_FETCH_BYTES = 4 * 1024 * 1024
# Kafka answers a waiting fetch as soon as a record comes, so this adds no latency. An idle reader asks twice a second.
FETCH_MAX_WAIT_MS = 500


class KafkaReader:
    """Reads all partitions of `topics`, records of committed transactions only.

    Partitions are assigned here, not by Kafka's group protocol, so there is no rebalance. The group only keeps
    committed offsets, where operators look for lag (`GroupOffsets`). Offsets are never reset silently.

    Raises
    ------
    ConfigError : a setting is wrong, or the package crc32c is missing.
    TopicMissing, BrokerUnavailable, AccessDenied : as they say.
    """

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        if importlib.util.find_spec("crc32c") is None:
            raise ConfigError(
                "the package crc32c must be installed, got none; run `pip install crc32c` "
                "(without it every record's checksum is computed in Python, four times slower)"
            )
        read_any_header_name()
        read_any_batch()
        self._settings = settings
        self._topics = ", ".join(topics)
        counts = partition_counts(settings, topics)
        self._partitions = sorted(TopicPartition(topic, p) for topic in topics for p in range(counts[topic]))
        self._kafka = {partition: KafkaPartition(*partition) for partition in self._partitions}
        self._consumer = self._open()
        # A broker answers the requests of one connection in order. A look-up of offsets would wait behind a fetch that
        # waits for records, so it has a connection of its own.
        try:
            self._offsets = self._open()
        except BetapackError:
            self._consumer.close()
            raise
        self._group = GroupOffsets(settings, lambda: self._open(settings.group))
        # The offset after the last readable record, as last seen; a partition without an entry has an unknown end.
        self._known_end: dict[TopicPartition, int] = {}
        self._position: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def _open(self, group_id: str | None = None) -> Any:
        consumer: Any = open_client(
            KafkaConsumer,
            self._settings,
            group_id=group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            max_poll_records=MAX_POLL_RECORDS,
            max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        )
        consumer.assign(list(self._kafka.values()))
        return consumer

    def partitions(self) -> list[TopicPartition]:
        return list(self._partitions)

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        low, end = self._look_up(self._offsets.beginning_offsets), self._look_up(self._offsets.end_offsets)
        for partition, offset in offsets.items():
            self._check_own(partition)
            check_offset(partition, offset, low[partition], end[partition])
        for partition, offset in offsets.items():
            if partition not in self._paused:
                self._consumer.seek(self._kafka[partition], offset)
        self._position.update(offsets)
        self._known_end.update(end)

    def poll(self, timeout_ms: int) -> list[Record]:
        if len(self._position) < len(self._partitions):
            unsought = next(partition for partition in self._partitions if partition not in self._position)
            raise ReadFailed(f"{unsought} has no position to read from; seek every partition before the first poll")
        try:
            with poll_budget():
                batches = self._poll(timeout_ms)
            records = self._take(batches)
            self._update_known_ends(batches.keys(), behind=len(records) >= BEHIND_RECORDS)
        except kafka_errors.KafkaError as exc:
            self._raise_translated(exc, f"reading {self._topics}")
        return records

    def _poll(self, timeout_ms: int) -> Mapping[tuple[str, int], Sequence[Any]]:
        try:
            found: Mapping[tuple[str, int], Sequence[Any]] = self._consumer.poll(timeout_ms=timeout_ms)
        except PollFull:
            # Of the last poll, which returned records. The client raises late what it met behind them.
            found = self._consumer.poll(timeout_ms=timeout_ms)
        except kafka_errors.CorruptRecordError:
            # A wrong checksum, perhaps only in what came over the network. `batches` counts how often.
            self._fetch_again()
            found = {}
        return found

    def _fetch_again(self) -> None:
        for partition, kafka in self._kafka.items():
            if partition not in self._paused:
                self._consumer.seek(kafka, self._position[partition])

    def _take(self, batches: Mapping[tuple[str, int], Sequence[Any]]) -> list[Record]:
        """Turn kafka-python's records into ours, and move the positions behind them."""
        records: list[Record] = []
        for (topic, partition), batch in batches.items():
            records += [
                Record(
                    topic,
                    partition,
                    record.offset,
                    record.timestamp,
                    record.key,
                    record.value,
                    # Records of other programs mostly have no headers.
                    *(_headers(record.headers) if record.headers else ()),
                )
                for record in batch
            ]
            self._position[TopicPartition(topic, partition)] = batch[-1].offset + 1
        return records

    def exhausted(self, partition: TopicPartition) -> bool:
        self._check_own(partition)
        end = self._known_end.get(partition)
        return end is not None and self._position[partition] >= end

    def lag(self) -> dict[TopicPartition, int]:
        return {partition: max(0, end - self._position[partition]) for partition, end in self._known_end.items()}

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(partitions)
        self._assign_unpaused()

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        resumed = self._paused.intersection(partitions)
        self._paused -= resumed
        self._assign_unpaused()
        for partition in resumed:
            self._consumer.seek(self._kafka[partition], self._position[partition])

    def _assign_unpaused(self) -> None:
        """Read all but the paused partitions.

        kafka-python's own pause is not used (3.0.12). It sets fetched records aside, and forgets them if another
        partition is read to its end before the resume: then the partition stays silent for ever. Here at most one
        fetch is repeated.
        """
        self._consumer.assign([kafka for partition, kafka in self._kafka.items() if partition not in self._paused])

    def low_watermarks(self) -> dict[TopicPartition, int]:
        return self._look_up(self._offsets.beginning_offsets)

    def end_offsets(self) -> dict[TopicPartition, int]:
        return self._look_up(self._offsets.end_offsets)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        for partition in offsets:
            self._check_own(partition)
        self._group.store(offsets)

    def commit_failure(self) -> str:
        return self._group.failure

    def committed(self) -> dict[TopicPartition, int]:
        consumer = self._open(self._settings.group)
        try:
            stored = {
                partition: consumer.committed(kafka, timeout_ms=REQUEST_TIMEOUT_MS)
                for partition, kafka in self._kafka.items()
            }
        except kafka_errors.KafkaError as exc:
            self._raise_translated(exc, f"looking up the offsets of group {self._settings.group}")
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)
        return {partition: offset for partition, offset in stored.items() if offset is not None}

    def close(self) -> None:
        self._group.close()
        self._consumer.close(autocommit=False, timeout_ms=1000)
        self._offsets.close(autocommit=False, timeout_ms=1000)

    def _update_known_ends(self, polled: Collection[tuple[str, int]], behind: bool) -> None:
        """Move the known ends to where the fetches of the last poll say.

        A fetch tells the end of the log including transactions that are still open. So where it says there is more and
        the poll brought nothing, the broker is asked for the end of what is readable. It is also asked when
        the reader is behind: fetches of other partitions may still be under way or wait in the client, and a partition
        that looks exhausted by old knowledge would let the others run ahead of it.
        """
        stuck = False
        for partition, kafka in self._kafka.items():
            if partition in self._paused:
                continue
            end = self._consumer.highwater(kafka)
            if end is None:
                continue
            if end > self._position[partition]:
                # Behind the last record there may be the marks of transactions, or offsets emptied by compaction.
                self._position[partition] = self._consumer.position(kafka, timeout_ms=0)
            self._known_end[partition] = max(end, self._known_end.get(partition, 0))
            if end > self._position[partition] and partition not in polled:
                stuck = True
        if behind or stuck:
            self._refresh_known_ends()

    def _refresh_known_ends(self) -> None:
        try:
            self._known_end.update(self._look_up(self._offsets.end_offsets))
        except BetapackError:
            # Polling goes on through an outage of the broker; until it is over, nobody knows where the log ends.
            self._known_end.clear()

    def _look_up(self, offsets_of: Any) -> dict[TopicPartition, int]:
        try:
            found = offsets_of(list(self._kafka.values()), timeout_ms=REQUEST_TIMEOUT_MS)
        except kafka_errors.KafkaError as exc:
            self._raise_translated(exc, f"looking up offsets of {self._topics}")
        return {partition: found[kafka] for partition, kafka in self._kafka.items()}

    def _check_own(self, partition: TopicPartition) -> None:
        if partition not in self._kafka:
            raise ReadFailed(f"{partition} is not among the partitions of this reader; it reads {self._topics}")

    def _raise_translated(self, exc: kafka_errors.KafkaError, doing: str) -> NoReturn:
        if isinstance(exc, kafka_errors.OffsetOutOfRangeError):
            low, end = self.low_watermarks(), self.end_offsets()
            for partition, position in self._position.items():
                check_offset(partition, position, low[partition], end[partition])
        if isinstance(exc, kafka_errors.OffsetOutOfRangeError | kafka_errors.LogTruncationError):
            raise OffsetOutOfRange(
                f"records that were read are not in the log any more ({exc}): a topic was deleted and created again, "
                "or a leader out of sync took over; start again: a topic that is another one is then named, and else "
                f"what was computed from {self._topics} since the last snapshot is computed again"
            ) from exc
        raise translate(exc, doing, self._settings) from exc


def _headers(headers: Sequence[tuple[str, bytes | None]]) -> tuple[Headers, str]:
    """Our headers, and the damage of the record. Kafka allows a header without a value."""
    if headers[0][0] is DAMAGE:
        return (), (headers[0][1] or b"").decode()
    return tuple((name, value or b"") for name, value in headers), ""
