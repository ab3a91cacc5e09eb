"""What the in-memory log adds to Kafka's contract: chance that can be repeated, and faults on demand.

The contract itself runs over both logs in `tests/integration/test_log_contract.py`.
"""

from __future__ import annotations

from random import Random

import pytest

from stream.errors import OffsetOutOfRange, PublishFailed
from stream.kafka.log import Reader, Record, TopicPartition, Writer
from stream.testing.memory_log import MemoryLog, MemoryReader

KEYS = [b"EURUSD", b"USDJPY", b"GBPUSD", b"AUDUSD"]


def filled(count: int) -> MemoryLog:
    log = MemoryLog({"ticks": 4, "positions": 2})
    writer = log.writer()
    for number in range(count):
        writer.send(("ticks", "positions")[number % 2], KEYS[number % 4], b"%d" % number, (), number)
    writer.flush()
    return log


def polls(reader: MemoryReader, count: int) -> list[list[Record]]:
    reader.seek(reader.low_watermarks())
    return [reader.poll(0) for _ in range(count)]


def test_both_protocols_are_kept() -> None:
    """mypy holds the assignments, this test only runs them."""
    log = filled(0)
    reader: Reader = log.reader(["ticks"], "group")
    writer: Writer = log.writer()
    reader.close()
    writer.close()


@pytest.mark.parametrize("seed", range(20))
def test_chance_loses_and_doubles_nothing(seed: int) -> None:
    """However the polls are cut, every record comes once and in order, and exhausted ends the reading."""
    log = filled(300)
    reader = log.reader(["ticks", "positions"], "group", Random(seed), max_poll_records=40)
    reader.seek(reader.low_watermarks())
    records: list[Record] = []
    for _ in range(10_000):
        polled = reader.poll(0)
        assert len(polled) <= 40
        records += polled
        if all(reader.exhausted(partition) for partition in reader.partitions()):
            break
    assert sorted(records) == sorted(log.records("ticks") + log.records("positions"))
    for partition in reader.partitions():
        offsets = [record.offset for record in records if (record.topic, record.partition) == partition]
        assert offsets == list(range(log.end(partition)))


def test_the_same_seed_gives_the_same_polls() -> None:
    """And another seed others: interleavings vary and can be repeated."""

    def cut(seed: int) -> list[list[Record]]:
        return polls(filled(100).reader(["ticks", "positions"], "group", Random(seed)), 20)

    assert cut(1) == cut(1)
    assert cut(1) != cut(2)


@pytest.mark.parametrize("seed", range(20))
def test_an_end_that_chance_hides_is_seen_in_the_end(seed: int) -> None:
    """Records that came after the seek may stay unseen for some polls, exhausted saying true, but not for ever."""
    log = filled(0)
    reader = log.reader(["ticks"], "group", Random(seed))
    reader.seek(reader.low_watermarks())
    partition = log.partition_for("ticks", b"EURUSD")
    log.append(partition, b"EURUSD", b"late", (), 0)
    found: list[Record] = []
    for _ in range(100):
        found += reader.poll(0)
    assert [record.value for record in found] == [b"late"]
    assert reader.exhausted(partition)


def test_a_reader_that_is_dropped_goes_on_at_the_committed_offsets() -> None:
    """What was polled and not committed comes again."""
    log = filled(40)
    first = log.reader(["ticks"], "group")
    first.seek(first.low_watermarks())
    records = first.poll(0)
    partition = TopicPartition("ticks", records[0].partition)
    first.commit({partition: 1})
    second = log.reader(["ticks"], "group")
    second.seek({**second.low_watermarks(), **second.committed()})
    assert second.poll(0) == [record for record in records if (record.partition, record.offset) != (partition[1], 0)]
    assert log.reader(["ticks"], "another group").committed() == {}


def test_nothing_reaches_the_log_before_the_flush() -> None:
    """Without chance, a writer that is dropped has written nothing."""
    log = filled(0)
    writer = log.writer()
    writer.send("ticks", b"EURUSD", b"1", (), 0)
    assert log.records("ticks") == []
    writer.flush()
    assert [record.value for record in log.records("ticks")] == [b"1"]
    writer.send("ticks", b"EURUSD", b"2", (), 0)
    writer.close()
    assert len(log.records("ticks")) == 1


@pytest.mark.parametrize("seed", range(20))
def test_with_chance_some_of_an_unflushed_send_is_there_in_order(seed: int) -> None:
    """A crash before the flush leaves a prefix of every partition, and a flush leaves all of it, once."""
    log = filled(0)
    writer = log.writer(Random(seed))
    sent: dict[TopicPartition, list[bytes]] = {}
    for number in range(30):
        key, value = KEYS[number % 4], b"%d" % number
        writer.send("ticks", key, value, (), 0)
        sent.setdefault(log.partition_for("ticks", key), []).append(value)
    for partition, values in sent.items():
        there = [record.value for record in log.since(partition, 0)]
        assert there == values[: len(there)]
    writer.flush()
    for partition, values in sent.items():
        assert [record.value for record in log.since(partition, 0)] == values


@pytest.mark.parametrize("delivered", [0, 1, 3])
def test_a_flush_made_to_fail_fails_once(delivered: int) -> None:
    """Some of the records may be in the log all the same; the next flush works."""
    log = filled(0)
    writer = log.writer()
    for number in range(3):
        writer.send("ticks", b"EURUSD", b"%d" % number, (), 0)
    writer.fail_next_flush(delivered)
    with pytest.raises(PublishFailed, match="made to fail"):
        writer.flush()
    assert len(log.records("ticks")) == delivered
    writer.send("ticks", b"EURUSD", b"after", (), 0)
    writer.flush()
    assert len(log.records("ticks")) == delivered + 1


def test_deleted_records_are_gone_and_offsets_stay() -> None:
    """Retention raises the low watermark; what follows keeps its offsets."""
    log = MemoryLog({"one": 1})
    partition = TopicPartition("one", 0)
    for number in range(5):
        log.append(partition, None, b"%d" % number, (), number)
    log.delete_before(partition, 3)
    assert [record.offset for record in log.records("one")] == [3, 4]
    assert log.append(partition, None, b"5", (), 5) == 5
    with pytest.raises(OffsetOutOfRange, match="offset 9 is beyond the end 6"):
        log.delete_before(partition, 9)
    log.delete_before(partition, 6)
    assert log.records("one") == []
    assert (log.low(partition), log.end(partition)) == (6, 6)


def test_a_topic_is_made_anew_widened_set_up_and_compacted() -> None:
    """As an operator or the broker does it; whoever looks at the topics sees another answer only when one changed."""
    log = filled(40)
    facts = log.facts()
    assert log.facts() is facts
    log.add_partitions("positions", 3)
    log.set_up("positions", cleanup_policy="compact")
    widened = log.facts().topics["positions"]
    assert (widened.partitions, widened.compacted) == (3, True)
    assert widened.topic_id == facts.topics["positions"].topic_id
    (ticks,) = [each for each in log.partitions("ticks") if log.end(each) > 2][:1]
    end, last = log.end(ticks), log.since(ticks, 0)[-1]
    log.compact(ticks)
    kept = log.since(ticks, 0)
    assert last in kept
    assert len({record.key for record in kept}) == len(kept) < end
    assert log.end(ticks) == end
    reader = log.reader(["ticks"], "group")
    assert [record for poll in polls(reader, 3) for record in poll] == log.records("ticks")
    assert reader.exhausted(ticks)
    log.make_anew("ticks")
    assert log.records("ticks") == []
    assert log.facts().topics["ticks"].topic_id != facts.topics["ticks"].topic_id
