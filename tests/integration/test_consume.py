"""What `KafkaReader` owes to transactions, and how it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.partitioner.default import murmur2

from stream.config.kafka import KafkaSettings
from stream.errors import BrokerUnavailable, ConfigError
from stream.kafka.connection import open_client
from stream.kafka.consume import KafkaReader
from stream.kafka.log import TopicPartition
from stream.kafka.publish import KafkaWriter

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(create_topics: Callable[[Mapping[str, int]], str]) -> str:
    return create_topics({"topic": 1, "busy": 1}) + "topic"


@pytest.fixture
def reader(settings: KafkaSettings, topic: str) -> Iterator[KafkaReader]:
    reader = KafkaReader(settings, [topic])
    reader.seek(reader.low_watermarks())
    yield reader
    reader.close()


@pytest.fixture
def producer(settings: KafkaSettings, prefix: str) -> Iterator[Any]:
    """A transactional producer, as another system may use one."""
    producer: Any = open_client(KafkaProducer, settings, transactional_id=f"{prefix}id", retry_backoff_ms=5)
    producer.init_transactions()
    yield producer
    producer.close(timeout=5)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def test_an_open_transaction_is_neither_read_nor_waited_for(reader: KafkaReader, topic: str, producer: Any) -> None:
    """Its records are not returned, and what lies before it counts as exhausted; after the commit they come."""
    (partition,) = reader.partitions()
    producer.begin_transaction()
    producer.send(topic, b"open")
    producer.flush()
    assert reader.poll(500) == []
    assert reader.exhausted(partition)
    assert reader.end_offsets() == {partition: 0}
    producer.commit_transaction()
    records = []

    def came() -> bool:
        records.extend(reader.poll(100))
        return bool(records)

    until(came)
    assert [record.value for record in records] == [b"open"]
    # Behind the record lies the mark of the commit, which takes an offset and is never returned.
    until(lambda: reader.poll(50) == [] and reader.exhausted(partition))
    assert reader.end_offsets() == {partition: 2}
    assert reader.lag() == {partition: 0}


def test_an_open_transaction_is_not_waited_for_beside_a_busy_partition(
    settings: KafkaSettings, topic: str, prefix: str, producer: Any
) -> None:
    """The partition with the open transaction counts as exhausted also in polls that bring records of another."""
    reader, writer = KafkaReader(settings, [topic, f"{prefix}busy"]), KafkaWriter(settings)
    reader.seek(reader.low_watermarks())
    partition = TopicPartition(topic, 0)
    producer.begin_transaction()
    producer.send(topic, b"open")
    producer.flush()
    assert reader.poll(500) == []
    for number in range(20):
        writer.send(f"{prefix}busy", b"key", b"%d" % number, (), number)
        writer.flush()
        assert len(reader.poll(2000)) == 1
        assert reader.exhausted(partition)
    producer.abort_transaction()
    reader.close()
    writer.close()


def test_an_aborted_transaction_leaves_nothing_but_offsets(reader: KafkaReader, topic: str, producer: Any) -> None:
    """Its records are never returned, and the partition becomes exhausted behind them."""
    (partition,) = reader.partitions()
    producer.begin_transaction()
    producer.send(topic, b"aborted")
    producer.flush()
    producer.abort_transaction()
    producer.begin_transaction()
    producer.send(topic, b"committed")
    producer.commit_transaction()
    records = []

    def came() -> bool:
        records.extend(reader.poll(100))
        return bool(records) and reader.exhausted(partition)

    until(came)
    assert [record.value for record in records] == [b"committed"]


def test_offsets_are_not_asked_behind_a_waiting_fetch(reader: KafkaReader) -> None:
    """A fetch of an idle topic waits 500 ms at the broker; on the same connection a question for offsets would, too."""
    took = []
    for _ in range(5):
        assert reader.poll(50) == []
        started = time.monotonic()
        reader.end_offsets()
        took.append(time.monotonic() - started)
    assert sorted(took)[2] < 0.2


def test_a_wrong_port_is_named_at_once() -> None:
    """Nothing listens there: said within a second instead of after kafka-python's time-out."""
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=r"nothing listens on 127\.0\.0\.1:1; start Kafka") as refused:
        KafkaReader(KafkaSettings(bootstrap="127.0.0.1:1"), ["ticks"])
    assert refused.value.reason == "refused"
    assert refused.value.exit_code == 3
    assert time.monotonic() - started < 1


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("failed_connections")
def test_one_reachable_address_is_enough(kafka: str, settings: KafkaSettings, topic: str) -> None:
    """A dead broker in the list does not keep the others from being used."""
    reader = KafkaReader(KafkaSettings(bootstrap=f"127.0.0.1:1,{kafka}", group=settings.group), [topic])
    assert len(reader.partitions()) == 1
    reader.close()


def test_tls_to_a_plaintext_listener_is_named(kafka: str) -> None:
    """The message names the setting and its right value."""
    settings = KafkaSettings(bootstrap=kafka, security_protocol="SSL")
    with pytest.raises(
        BrokerUnavailable, match=r"expects plaintext.*set kafka.security_protocol to PLAINTEXT"
    ) as refused:
        KafkaReader(settings, ["ticks"])
    assert refused.value.reason == "plaintext expected"


def test_a_login_where_none_is_taken_is_named(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener says so when asked, before any password is sent."""
    monkeypatch.setenv("BETAPACK_SASL_PASSWORD", "secret")
    settings = KafkaSettings(bootstrap=kafka, security_protocol="SASL_PLAINTEXT", sasl_username="me")
    with pytest.raises(BrokerUnavailable, match=r"takes no login.*set kafka.security_protocol to PLAINTEXT") as refused:
        KafkaReader(settings, ["ticks"])
    assert refused.value.reason == "authentication"


def test_crc32c_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it reading is four times slower, so its absence is an error and not a surprise."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="crc32c must be installed"):
        KafkaReader(KafkaSettings(), ["ticks"])


def test_a_resumed_partition_goes_on_after_another_was_drained(
    settings: KafkaSettings, create_topics: Callable[[Mapping[str, int]], str]
) -> None:
    """Paused with records already fetched, resumed while nothing else is left to read: its records come.

    kafka-python's own pause parks such records, and never takes them up again once another partition has been read to
    its end since (`_next_partition_records` is then empty, but not None): the partition is silent for ever.
    """
    topic = create_topics({"skewed": 2}) + "skewed"
    count = 12_000
    with closing(KafkaWriter(settings)) as writer, closing(KafkaReader(settings, [topic])) as reader:
        keys = {}
        for number in range(100):
            key = b"%d" % number
            keys.setdefault(murmur2(key) % 2, key)
        for number in range(count):
            for key in keys.values():
                writer.send(topic, key, b"%d" % number, (), 1)
        writer.flush()
        reader.seek(reader.low_watermarks())
        read: dict[int, int] = {0: 0, 1: 0}

        def poll() -> set[int]:
            records = reader.poll(200)
            for record in records:
                assert record.offset == read[record.partition]
                read[record.partition] += 1
            return {record.partition for record in records}

        first: set[int] = set()
        while not first:
            first = poll()
        (busy,) = first
        other = 1 - busy
        reader.pause([TopicPartition(topic, busy)])
        until(lambda: bool(poll()) and read[other] == count)
        assert 0 < read[busy] < count
        reader.resume([TopicPartition(topic, busy)])
        until(lambda: bool(poll()) and read[busy] == count)
        assert reader.exhausted(TopicPartition(topic, busy))
