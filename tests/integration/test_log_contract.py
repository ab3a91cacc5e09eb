"""One contract for both logs: what holds on Apache Kafka holds on the in-memory log of the simulations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from stream.config.kafka import MAX_RECORD_BYTES, KafkaSettings
from stream.errors import OffsetOutOfRange, PublishFailed, ReadFailed, TopicMissing
from stream.kafka.consume import KafkaReader
from stream.kafka.log import Reader, Record, TopicPartition, Writer
from stream.kafka.publish import KafkaWriter
from stream.testing.memory_log import MemoryLog

# 2001-09-09: a timestamp that is far older than any default retention.
OLD_MS = 1_000_000_000_000

# On Kafka a record can be read some milliseconds after it was acknowledged; this is for a machine under load.
DEADLINE_S = 20.0


class Log(Protocol):
    """What the tests need of either log."""

    def topic(self, name: str) -> str: ...
    def reader(self, *names: str) -> Reader: ...
    def writer(self) -> Writer: ...
    def delete_before(self, partition: TopicPartition, offset: int) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.log = MemoryLog({"one": 1, "four": 4, "other": 2})

    def topic(self, name: str) -> str:
        return name

    def reader(self, *names: str) -> Reader:
        return self.log.reader(names, group="group")

    def writer(self) -> Writer:
        return self.log.writer()

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        self.log.delete_before(partition, offset)


class OnKafka:
    def __init__(self, settings: KafkaSettings, prefix: str) -> None:
        self.settings = settings
        self.prefix = prefix
        self.opened: list[Reader | Writer] = []

    def topic(self, name: str) -> str:
        return self.prefix + name

    def reader(self, *names: str) -> Reader:
        reader = KafkaReader(self.settings, [self.topic(name) for name in names])
        self.opened.append(reader)
        return reader

    def writer(self) -> Writer:
        writer = KafkaWriter(self.settings)
        self.opened.append(writer)
        return writer

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        from kafka import KafkaAdminClient
        from kafka import TopicPartition as KafkaPartition

        from stream.kafka.connection import open_client

        admin = open_client(KafkaAdminClient, self.settings)
        admin.delete_records({KafkaPartition(*partition): offset})
        admin.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    if request.param == "memory":
        yield InMemory()
        return
    create: Callable[[dict[str, int]], str] = request.getfixturevalue("create_topics")
    prefix = create({"one": 1, "four": 4, "other": 2})
    on_kafka = OnKafka(request.getfixturevalue("settings"), prefix)
    yield on_kafka
    for opened in on_kafka.opened:
        opened.close()


def write(writer: Writer, topic: str, *values: bytes, key: bytes = b"EURUSD") -> None:
    for value in values:
        writer.send(topic, key, value, (), OLD_MS)
    writer.flush()


def from_the_start(log: Log, *names: str) -> Reader:
    reader = log.reader(*names)
    reader.seek(reader.low_watermarks())
    return reader


def read_until_exhausted(reader: Reader) -> list[Record]:
    records = reader.poll(100)
    deadline = time.monotonic() + DEADLINE_S
    while not all(reader.exhausted(partition) for partition in reader.partitions()):
        assert time.monotonic() < deadline, f"not exhausted: lag {reader.lag()}"
        records += reader.poll(100)
    return records


def poll_until(reader: Reader, count: int) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records"
        records += reader.poll(100)
    return records


def test_a_record_comes_back_as_it_was_written(log: Log) -> None:
    """Key, value, headers with repeated names, an old timestamp, and the offset survive the round trip."""
    topic = log.topic("one")
    writer = log.writer()
    headers = (("content-type", b"application/json"), ("ce_id", b"a"), ("ce_id", b""), ("bytes", bytes(range(256))))
    writer.send(topic, b"EURUSD", b'{"bid": 1.1}', headers, OLD_MS)
    writer.send(topic, b"EURUSD", None, (), OLD_MS + 1)
    writer.send(topic, None, b"", (), 0)
    writer.flush()
    assert read_until_exhausted(from_the_start(log, "one")) == [
        Record(topic, 0, 0, OLD_MS, b"EURUSD", b'{"bid": 1.1}', headers),
        Record(topic, 0, 1, OLD_MS + 1, b"EURUSD", None, ()),
        Record(topic, 0, 2, 0, None, b"", ()),
    ]


def test_keys_choose_the_partition_and_order_holds_within_it(log: Log) -> None:
    """The partition of a key is Kafka's (murmur2, as computed by its Java client), and its records keep their order."""
    writer = log.writer()
    keys = [b"EURUSD", b"USDJPY", b"GBPUSD", b"a", b"ab", b"abc", b"abcd", "Zürich".encode(), b""]
    for number in range(200):
        writer.send(log.topic("four"), keys[number % len(keys)], b"%d" % number, (), OLD_MS + number)
    writer.flush()
    by_key: dict[bytes | None, list[Record]] = {}
    for record in read_until_exhausted(from_the_start(log, "four")):
        by_key.setdefault(record.key, []).append(record)
    for key, records in by_key.items():
        numbers = [int(record.value or b"") for record in records]
        assert numbers == list(range(keys.index(key or b""), 200, len(keys)))
        assert len({record.partition for record in records}) == 1
    partitions = {key: records[0].partition for key, records in by_key.items()}
    expected = MemoryLog({"four": 4})
    assert partitions == {key: expected.partition_for("four", key).partition for key in keys}


def test_nothing_is_exhausted_before_its_end_is_known(log: Log) -> None:
    """A reader without a position claims nothing and reads nothing."""
    reader = log.reader("one", "four")
    assert not any(reader.exhausted(partition) for partition in reader.partitions())
    assert reader.lag() == {}
    with pytest.raises(ReadFailed, match="seek every partition before the first poll"):
        reader.poll(0)


def test_partitions_are_all_of_the_topics_sorted(log: Log) -> None:
    """Every partition of every topic, in an order that does not depend on the order of the topics."""
    four, one = log.topic("four"), log.topic("one")
    expected = [*(TopicPartition(four, partition) for partition in range(4)), TopicPartition(one, 0)]
    assert log.reader("one", "four").partitions() == expected
    assert log.reader("four", "one").partitions() == expected


def test_an_empty_partition_is_exhausted_at_once(log: Log) -> None:
    """After the seek and without a record ever, a partition with nothing in it counts as exhausted."""
    reader = from_the_start(log, "four")
    assert all(reader.exhausted(partition) for partition in reader.partitions())
    assert reader.poll(100) == []
    assert all(reader.exhausted(partition) for partition in reader.partitions())
    assert reader.lag() == dict.fromkeys(reader.partitions(), 0)


def test_exhausted_turns_false_with_records_and_true_again_behind_them(log: Log) -> None:
    """What was there at the seek must be read first; what comes later makes it false until it was read."""
    writer, topic = log.writer(), log.topic("one")
    write(writer, topic, b"0", b"1", b"2")
    reader = from_the_start(log, "one")
    (partition,) = reader.partitions()
    assert not reader.exhausted(partition)
    assert reader.lag() == {partition: 3}
    assert len(read_until_exhausted(reader)) == 3
    assert reader.lag() == {partition: 0}
    write(writer, topic, b"3", b"4")
    assert [record.value for record in poll_until(reader, 2)] == [b"3", b"4"]
    assert reader.exhausted(partition)


def test_exhausted_is_never_true_with_records_outstanding(log: Log) -> None:
    """However polls cut a backlog over several partitions, exhausted means that all of its records were returned."""
    writer = log.writer()
    for number in range(12_000):
        writer.send(log.topic("four"), b"key-%d" % (number % 13), b"%d" % number, (), OLD_MS)
    writer.flush()
    reader = from_the_start(log, "four")
    ends = reader.end_offsets()
    assert sum(ends.values()) == 12_000
    seen = dict.fromkeys(reader.partitions(), 0)
    deadline = time.monotonic() + DEADLINE_S
    while sum(seen.values()) < 12_000:
        assert time.monotonic() < deadline
        polled = reader.poll(100)
        assert len(polled) <= 5000
        for record in polled:
            partition = TopicPartition(record.topic, record.partition)
            assert record.offset == seen[partition]
            seen[partition] += 1
        for partition in reader.partitions():
            assert reader.exhausted(partition) == (seen[partition] == ends[partition])
            assert reader.lag()[partition] == ends[partition] - seen[partition]


def test_seek_moves_the_named_partitions_only(log: Log) -> None:
    """Reading goes on at the sought offset, also after records beyond it were fetched."""
    writer = log.writer()
    write(writer, log.topic("one"), *(b"%d" % number for number in range(10)))
    reader = from_the_start(log, "one", "other")
    assert len(read_until_exhausted(reader)) == 10
    partition = TopicPartition(log.topic("one"), 0)
    reader.seek({partition: 7})
    assert not reader.exhausted(partition)
    assert [record.offset for record in read_until_exhausted(reader)] == [7, 8, 9]
    reader.seek({partition: 10})
    assert reader.exhausted(partition)
    assert reader.poll(50) == []


def test_committed_offsets_are_found_by_the_next_reader_of_the_group(log: Log) -> None:
    """A reader that dies leaves its committed offsets, and only those, to its successor."""
    writer = log.writer()
    write(writer, log.topic("one"), *(b"%d" % number for number in range(10)))
    first = from_the_start(log, "one", "other")
    assert first.committed() == {}
    assert len(read_until_exhausted(first)) == 10
    partition = TopicPartition(log.topic("one"), 0)
    first.commit({partition: 4})
    first.commit({})
    first.close()
    second = log.reader("one", "other")
    assert second.committed() == {partition: 4}
    second.seek({**second.low_watermarks(), **second.committed()})
    assert [record.offset for record in read_until_exhausted(second)] == [4, 5, 6, 7, 8, 9]


def test_a_paused_partition_returns_nothing_and_loses_nothing(log: Log) -> None:
    """Pause holds one partition back while others go on, also records already fetched; resume continues in order."""
    writer = log.writer()
    write(writer, log.topic("one"), b"0", b"1")
    write(writer, log.topic("other"), b"x")
    reader = from_the_start(log, "one", "other")
    held = TopicPartition(log.topic("one"), 0)
    reader.pause([held])
    assert [record.value for record in poll_until(reader, 1)] == [b"x"]
    assert reader.poll(200) == []
    assert not reader.exhausted(held)
    write(writer, log.topic("one"), b"2")
    assert reader.poll(200) == []
    reader.resume([held])
    assert [record.value for record in read_until_exhausted(reader)] == [b"0", b"1", b"2"]


def test_an_offset_below_the_low_watermark_is_refused(log: Log) -> None:
    """Deleted records are named with offset, watermark, partition and the way out, and nothing has moved."""
    topic = log.topic("one")
    write(log.writer(), topic, *(b"%d" % number for number in range(10)))
    reader = from_the_start(log, "one")
    partition = TopicPartition(topic, 0)
    log.delete_before(partition, 6)
    assert reader.low_watermarks() == {partition: 6}
    reader.seek({partition: 8})
    with pytest.raises(OffsetOutOfRange) as refused:
        reader.seek({partition: 4})
    assert str(refused.value) == (
        f"offset 4 is below the low watermark 6 on {topic}[0]; start with --rebuild to go on from what is left"
    )
    with pytest.raises(OffsetOutOfRange, match=r"offset 11 is beyond the end 10 of .*one\[0\]"):
        reader.seek({partition: 11})
    assert [record.offset for record in read_until_exhausted(reader)] == [8, 9]


def test_records_deleted_under_the_reader_are_an_error(log: Log) -> None:
    """A position that falls below the low watermark raises instead of jumping forward."""
    topic = log.topic("one")
    partition = TopicPartition(topic, 0)
    write(log.writer(), topic, *(b"%d" % number for number in range(10)))
    reader = from_the_start(log, "one")
    log.delete_before(partition, 6)
    with pytest.raises(OffsetOutOfRange, match=r"offset 0 is below the low watermark 6 on .*one\[0\]"):
        reader.poll(5000)


def test_a_topic_that_does_not_exist_is_named(log: Log) -> None:
    """A reader cannot be opened on it."""
    with pytest.raises(TopicMissing, match="nowhere"):
        log.reader("one", "nowhere")


def test_a_foreign_partition_is_refused(log: Log) -> None:
    """Asking about a partition of another topic is an error, not a made-up answer."""
    reader = from_the_start(log, "one")
    foreign = TopicPartition(log.topic("other"), 0)
    for ask in (
        lambda: reader.exhausted(foreign),
        lambda: reader.seek({foreign: 0}),
        lambda: reader.commit({foreign: 0}),
    ):
        with pytest.raises(ReadFailed, match="not among the partitions of this reader"):
            ask()


def test_a_record_that_is_too_large_fails_the_flush_once(log: Log) -> None:
    """The flush names the topic and the limit; the next flush answers for later records only."""
    writer, topic = log.writer(), log.topic("one")
    writer.send(topic, b"big", bytes(MAX_RECORD_BYTES + 1), (), OLD_MS)
    with pytest.raises(PublishFailed, match=f"{topic}.*larger than"):
        writer.flush()
    writer.flush()
    write(writer, topic, b"small")
    assert [record.value for record in read_until_exhausted(from_the_start(log, "one"))] == [b"small"]


def test_a_missing_topic_fails_the_flush(log: Log) -> None:
    """Sending does not raise and does not hang; the flush names the topic."""
    writer = log.writer()
    started = time.monotonic()
    for _ in range(10):
        writer.send(log.topic("nowhere"), b"key", b"value", (), OLD_MS)
    with pytest.raises(PublishFailed, match="nowhere"):
        writer.flush()
    assert time.monotonic() - started < DEADLINE_S
    write(writer, log.topic("one"), b"0")
    assert len(read_until_exhausted(from_the_start(log, "one"))) == 1


def test_a_record_needs_a_key_or_a_value(log: Log) -> None:
    """Neither is a bug of the caller, told at once."""
    with pytest.raises(ValueError, match="key or a value"):
        log.writer().send(log.topic("one"), None, None, (), OLD_MS)


def test_closed_twice_is_closed(log: Log) -> None:
    """Closing again does nothing; sending after it is refused."""
    reader, writer = from_the_start(log, "one"), log.writer()
    reader.close()
    reader.close()
    writer.close()
    writer.close()
    with pytest.raises(PublishFailed, match="closed"):
        writer.send(log.topic("one"), b"key", b"value", (), OLD_MS)
