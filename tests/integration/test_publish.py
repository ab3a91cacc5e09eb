"""What `KafkaWriter` promises beyond the contract of `test_log_contract.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

import pytest

from stream.config.kafka import KafkaSettings
from stream.errors import BrokerUnavailable, PublishFailed
from stream.kafka import publish
from stream.kafka.consume import KafkaReader
from stream.kafka.publish import KafkaWriter

pytestmark = pytest.mark.kafka


@pytest.fixture
def topic(create_topics: Callable[[Mapping[str, int]], str]) -> str:
    return create_topics({"topic": 1}) + "topic"


@pytest.fixture
def writer(settings: KafkaSettings) -> Iterator[KafkaWriter]:
    writer = KafkaWriter(settings)
    yield writer
    writer.close()


def values(settings: KafkaSettings, topic: str) -> list[bytes | None]:
    reader = KafkaReader(settings, [topic])
    reader.seek(reader.low_watermarks())
    (partition,) = reader.partitions()
    found = [record.value for record in reader.poll(100)]
    while not reader.exhausted(partition):
        found += [record.value for record in reader.poll(100)]
    reader.close()
    return found


def test_what_waits_is_bounded(
    settings: KafkaSettings, topic: str, writer: KafkaWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A send beyond the bound waits for those before it, and order and completeness hold."""
    monkeypatch.setattr(publish, "MAX_WAITING_RECORDS", 10)
    monkeypatch.setattr(publish, "MAX_WAITING_BYTES", 100)
    sent = [b"%020d" % number for number in range(95)]
    for value in sent:
        writer.send(topic, b"key", value, (), 0)
    writer.flush()
    assert values(settings, topic) == sent


def test_a_failure_behind_the_bound_is_still_reported(
    settings: KafkaSettings, topic: str, writer: KafkaWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that failed long before the flush fails the flush, and nothing after it was sent."""
    monkeypatch.setattr(publish, "MAX_WAITING_RECORDS", 2)
    writer.send(topic, b"key", b"first", (), 0)
    # Larger than this topic allows (and not to be compressed), so it is the broker that refuses it.
    writer.send(topic, b"key", Random(0).randbytes(2_000_000), (), 0)
    for _ in range(5):
        writer.send(topic, b"key", b"behind", (), 0)
    with pytest.raises(
        PublishFailed, match=r"1 records were not acknowledged and 5 more not sent; the first one, for .*"
    ):
        writer.flush()
    writer.send(topic, b"key", b"again", (), 0)
    writer.flush()
    assert values(settings, topic) == [b"first", b"again"]


def test_an_empty_flush_returns(writer: KafkaWriter) -> None:
    """Nothing sent, nothing to wait for."""
    writer.flush()
    writer.flush()


def test_a_wrong_port_is_named() -> None:
    """At the start, not at the first record."""
    with pytest.raises(BrokerUnavailable, match="nothing listens"):
        KafkaWriter(KafkaSettings(bootstrap="127.0.0.1:1"))
