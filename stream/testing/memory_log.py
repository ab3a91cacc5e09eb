"""An in-memory log with the semantics of Kafka, for simulations.

`tests/integration/test_log_contract.py` runs one contract over this log and over Apache Kafka. Everything is
deterministic. With a seeded `Random`, readers and writers vary what Kafka leaves open: how many records a poll returns,
which partition comes first, and which records reach the log before a flush. The same seed gives the same run.

>>> log = MemoryLog({"ticks": 2})
>>> writer = log.writer()
>>> writer.send("ticks", b"EURUSD", b"1.1", (), 1_700_000_000_000)
>>> writer.flush()
>>> reader = log.reader(["ticks"], group="market")
>>> reader.seek(reader.low_watermarks())
>>> [record.value for record in reader.poll(timeout_ms=0)]
[b'1.1']
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from random import Random

from kafka.partitioner.default import murmur2

from stream.config.kafka import MAX_RECORD_BYTES
from stream.errors import PublishFailed, ReadFailed, TopicMissing
from stream.kafka.log import Headers, Record, TopicPartition, check_offset
from stream.kafka.topic_facts import LogFacts, TopicFacts


class MemoryLog:
    """Topics, their records and the groups' offsets. Like a broker, it stays while readers and writers come and go.

    Parameters
    ----------
    topics : number of partitions of each topic.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._partition_counts = dict(topics)
        self._records: dict[TopicPartition, list[Record]] = {
            TopicPartition(topic, partition): [] for topic, count in topics.items() for partition in range(count)
        }
        self._low: dict[TopicPartition, int] = dict.fromkeys(self._records, 0)
        self._end: dict[TopicPartition, int] = dict.fromkeys(self._records, 0)
        self._keyless_sent = 0
        self._committed: dict[str, dict[TopicPartition, int]] = {}
        self._made = dict.fromkeys(topics, 1)
        self._settings: dict[str, dict[str, str]] = {topic: {"cleanup.policy": "delete"} for topic in topics}
        self._facts: LogFacts | None = None

    def reader(
        self, topics: Sequence[str], group: str, chance: Random | None = None, max_poll_records: int = 5000
    ) -> MemoryReader:
        """A reader of all partitions of `topics`. Without `chance`, every poll returns all there is up to the maximum.

        Raises
        ------
        TopicMissing : the log was made without one of the topics.
        """
        for topic in topics:
            if topic not in self._partition_counts:
                raise TopicMissing(f"topic {topic} is not in this log, which has {', '.join(self._partition_counts)}")
        return MemoryReader(self, topics, group, chance, max_poll_records)

    def writer(self, chance: Random | None = None) -> MemoryWriter:
        """A writer. Without `chance`, what it sends reaches the log at the flush and not before."""
        return MemoryWriter(self, chance)

    def records(self, topic: str) -> list[Record]:
        """Everything `topic` holds, by partition and offset."""
        return [
            record
            for partition in range(self._partition_counts[topic])
            for record in self.since(TopicPartition(topic, partition), 0)
        ]

    def partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of `topic`, in order; none when there is no such topic."""
        return [TopicPartition(topic, partition) for partition in range(self._partition_counts.get(topic, 0))]

    def partition_for(self, topic: str, key: bytes | None) -> TopicPartition:
        """Kafka's default: murmur2 of the key. Records without a key take turns (in Kafka: any partition)."""
        count = self._partition_counts[topic]
        if key is not None:
            return TopicPartition(topic, (murmur2(key) & 0x7FFFFFFF) % count)
        self._keyless_sent += 1
        return TopicPartition(topic, self._keyless_sent % count)

    def append(
        self, partition: TopicPartition, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int
    ) -> int:
        """Put one record at the end of `partition`; returns its offset.

        Parameters
        ----------
        partition : of a topic that the log was made with.
        key, value : at most one of them None, as for `stream.kafka.log.Writer.send`.
        headers : name and value of each.
        timestamp_ms : event time, ms since 1970.
        """
        offset = self._end[partition]
        self._records[partition].append(Record(*partition, offset, timestamp_ms, key, value, headers))
        self._end[partition] += 1
        return offset

    def since(self, partition: TopicPartition, offset: int, end: int | None = None) -> list[Record]:
        """The records of `partition` from `offset` on (from the low watermark, when that is higher), before `end`."""
        records = self._records[partition]
        first = bisect_left(records, offset, key=attrgetter("offset"))
        last = len(records) if end is None else bisect_left(records, end, lo=first, key=attrgetter("offset"))
        return records[first:last]

    def low(self, partition: TopicPartition) -> int:
        """The first offset `partition` still holds."""
        return self._low[partition]

    def end(self, partition: TopicPartition) -> int:
        """The offset the next record of `partition` will get."""
        return self._end[partition]

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Raise the low watermark to `offset`, as retention does."""
        check_offset(partition, offset, self._low[partition], self.end(partition))
        self._records[partition] = self.since(partition, offset)
        self._low[partition] = offset

    def add_partitions(self, topic: str, count: int) -> None:
        """Give `topic` `count` partitions, as an operator does. Keys go to other partitions from then on."""
        for partition in range(self._partition_counts[topic], count):
            self._records[TopicPartition(topic, partition)] = []
            self._low[TopicPartition(topic, partition)] = self._end[TopicPartition(topic, partition)] = 0
        self._partition_counts[topic] = count
        self._facts = None

    def make_anew(self, topic: str) -> None:
        """Delete `topic` and create it again: the same name and partitions, another topic."""
        for partition in self.partitions(topic):
            self._records[partition] = []
            self._low[partition] = self._end[partition] = 0
        self._made[topic] += 1
        self._facts = None

    def set_up(self, topic: str, **settings: str) -> None:
        """Change settings of `topic`, in which Kafka's dots are written as underscores."""
        self._settings[topic] |= {name.replace("_", "."): value for name, value in settings.items()}
        self._facts = None

    def compact(self, partition: TopicPartition) -> None:
        """Keep the last record of each key, as a compacted topic does in time. Offsets stay, so gaps appear."""
        last = {record.key: record.offset for record in self._records[partition]}
        self._records[partition] = [each for each in self._records[partition] if each.offset == last[each.key]]

    def facts(self) -> LogFacts:
        """What a broker would say of the topics; the same object until something changes."""
        if self._facts is None:
            self._facts = LogFacts(
                "memory",
                {
                    topic: TopicFacts(f"{topic}-{self._made[topic]}", count, 1, self._settings[topic])
                    for topic, count in self._partition_counts.items()
                },
            )
        return self._facts

    def group_offsets(self, group: str) -> dict[TopicPartition, int]:
        """The offsets committed for `group`; the dict is live."""
        return self._committed.setdefault(group, {})


class MemoryReader:
    """A `stream.kafka.log.Reader` of a `MemoryLog`. It never waits: only the test lets time pass.

    With `chance`, a poll may see only a part of a partition (a fetch is still under way), takes a random number of the
    records it sees, and goes through the partitions in random order. To crash a reader, drop it: what it committed
    stays in the log.
    """

    def __init__(
        self, log: MemoryLog, topics: Sequence[str], group: str, chance: Random | None, max_poll_records: int
    ) -> None:
        self._log = log
        self._partitions = sorted(partition for topic in topics for partition in log.partitions(topic))
        self._group = group
        self._chance = chance
        self._max_poll_records = max_poll_records
        self._position: dict[TopicPartition, int] = {}
        self._known_end: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._failure = ""
        self._closed = False

    def partitions(self) -> list[TopicPartition]:
        return list(self._partitions)

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._check_open()
        for partition, offset in offsets.items():
            self._check_own(partition)
            check_offset(partition, offset, self._log.low(partition), self._log.end(partition))
        self._position.update(offsets)
        self._known_end.update({partition: self._log.end(partition) for partition in offsets})

    def poll(self, timeout_ms: int) -> list[Record]:
        self._check_open()
        unsought = [partition for partition in self._partitions if partition not in self._position]
        if unsought:
            raise ReadFailed(f"{unsought[0]} has no position to read from; seek every partition before the first poll")
        readable = [partition for partition in self._partitions if partition not in self._paused]
        if self._chance is not None:
            self._chance.shuffle(readable)
        polled: list[Record] = []
        for partition in readable:
            position, end = self._position[partition], self._visible_end(partition)
            check_offset(partition, position, self._log.low(partition), self._log.end(partition))
            self._known_end[partition] = end
            limit = min(end - position, self._max_poll_records - len(polled))
            if self._chance is not None:
                limit = self._chance.randint(0, limit)
            polled += self._log.since(partition, position, position + limit)
            self._position[partition] = position + limit
        return polled

    def exhausted(self, partition: TopicPartition) -> bool:
        self._check_own(partition)
        end = self._known_end.get(partition)
        return end is not None and self._position[partition] >= end

    def lag(self) -> dict[TopicPartition, int]:
        return {partition: end - self._position[partition] for partition, end in self._known_end.items()}

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def low_watermarks(self) -> dict[TopicPartition, int]:
        return {partition: self._log.low(partition) for partition in self._partitions}

    def end_offsets(self) -> dict[TopicPartition, int]:
        return {partition: self._log.end(partition) for partition in self._partitions}

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._check_open()
        for partition in offsets:
            self._check_own(partition)
        if not self._failure:
            self._log.group_offsets(self._group).update(offsets)

    def commit_failure(self) -> str:
        return self._failure

    def fail_commits(self, failure: str) -> None:
        """Store no offsets from now on, and give `failure` as the reason; with an empty one store them again."""
        self._failure = failure

    def committed(self) -> dict[TopicPartition, int]:
        offsets = self._log.group_offsets(self._group)
        return {partition: offsets[partition] for partition in self._partitions if partition in offsets}

    def close(self) -> None:
        self._closed = True

    def _visible_end(self, partition: TopicPartition) -> int:
        """The end as this poll sees it: never before an end that was seen already."""
        end, seen = self._log.end(partition), self._known_end[partition]
        if self._chance is None or self._chance.random() < 0.5:
            return end
        return self._chance.randint(seen, end)

    def _check_open(self) -> None:
        if self._closed:
            raise ReadFailed("the reader is closed; open another one")

    def _check_own(self, partition: TopicPartition) -> None:
        if partition not in self._partitions:
            raise ReadFailed(f"{partition} is not among the partitions of this reader; it reads {self._partitions}")


class MemoryWriter:
    """A `stream.kafka.log.Writer` of a `MemoryLog`. To crash a writer, drop it: what it did not flush is lost.

    With `chance`, some of what was sent reaches the log before the flush, in order within a partition, as in Kafka.
    """

    def __init__(self, log: MemoryLog, chance: Random | None) -> None:
        self._log = log
        self._chance = chance
        self._pending: list[tuple[TopicPartition, bytes | None, bytes | None, Headers, int]] = []
        self._refused: list[str] = []
        self._delivered_by_failing_flush: int | None = None
        self._closed = False

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int) -> None:
        if self._closed:
            raise PublishFailed(f"nothing can be sent to {topic}: the writer is closed; open another one")
        if key is None and value is None:
            raise ValueError(f"a record for {topic} needs a key or a value, got neither")
        size = len(key or b"") + len(value or b"")
        if not self._log.partitions(topic):
            self._refused.append(f"{topic}: the topic does not exist")
        elif size > MAX_RECORD_BYTES:
            self._refused.append(f"{topic}: a record of {size} bytes is larger than {MAX_RECORD_BYTES}")
        else:
            self._pending.append((self._log.partition_for(topic, key), key, value, headers, timestamp_ms))
            if self._chance is not None and self._chance.random() < 0.5:
                arriving = self._chance.choice(self._pending)[0]
                self._deliver([record for record in self._pending if record[0] == arriving])
                self._pending = [record for record in self._pending if record[0] != arriving]

    def fail_next_flush(self, delivered: int = 0) -> None:
        """Make the next flush fail once. The first `delivered` waiting records reach the log, the others are lost.

        Kafka does the same: a send that timed out may be in the log, or not.
        """
        self._delivered_by_failing_flush = delivered

    def flush(self) -> None:
        pending, self._pending = self._pending, []
        refused, self._refused = self._refused, []
        delivered, self._delivered_by_failing_flush = self._delivered_by_failing_flush, None
        self._deliver(pending[:delivered])
        if delivered is not None:
            refused.append("the flush was made to fail")
        if refused:
            raise PublishFailed(f"{len(refused)} failed, the first one on {refused[0]}")

    def close(self) -> None:
        self._closed = True
        self._pending.clear()

    def _deliver(self, records: Iterable[tuple[TopicPartition, bytes | None, bytes | None, Headers, int]]) -> None:
        for record in records:
            self._log.append(*record)
