"""Creating and checking the service's topics."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.outbound import DeadLetter, ResidualExposure
from schemas.topics import TOPIC_OF, TOPICS
from stream.config import DeadLettersConfig
from stream.config.kafka import MAX_RECORD_BYTES, KafkaSettings
from stream.errors import TopicMismatch, TopicMissing
from stream.kafka.connection import open_client
from stream.kafka.consume import KafkaReader
from stream.kafka.log import Record
from stream.kafka.publish import KafkaWriter
from stream.kafka.topic_settings import check_settings, findings
from stream.kafka.topics import check_topics, create_topics, topic_settings
from stream.kafka.watch import look_at_topics

pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def delete_created(settings: KafkaSettings, prefix: str) -> Iterator[None]:
    yield
    admin = open_client(KafkaAdminClient, settings)
    created = [name for name in admin.list_topics() if name.startswith(prefix)]
    if created:
        admin.delete_topics(created)
    admin.close()


def all_records(settings: KafkaSettings, name: str) -> list[Record]:
    reader = KafkaReader(settings, [name])
    reader.seek(reader.low_watermarks())
    records = reader.poll(5000)
    while not all(reader.exhausted(partition) for partition in reader.partitions()):
        records += reader.poll(100)
    reader.close()
    return records


def test_creating_is_repeatable_and_complete(settings: KafkaSettings, prefix: str) -> None:
    """All topics, then none; the check reports their partitions."""
    assert create_topics(settings, TOPICS, prefix) == sorted(prefix + topic.name for topic in TOPICS)
    assert create_topics(settings, TOPICS, prefix) == []
    assert check_topics(settings, TOPICS, prefix, exact=True) == {prefix + t.name: t.partitions for t in TOPICS}


def test_the_broker_keeps_topics_as_asked(settings: KafkaSettings, prefix: str) -> None:
    """Retention, compaction, timestamps and sizes are what `topic_settings` says."""
    create_topics(settings, TOPICS, prefix)
    admin = open_client(KafkaAdminClient, settings)
    for topic in TOPICS:
        resource = ConfigResource(ConfigResourceType.TOPIC, prefix + topic.name)
        described = admin.describe_configs([resource], config_filter="all")
        found = next(iter(described["topic"].values())) if "topic" in described else described
        for name, value in topic_settings(topic, replication=1).items():
            assert str(found[name]["value"]) == value, f"{topic.name} {name}"
    admin.close()


def test_dead_letters_are_kept_for_a_while_whatever_their_dates(settings: KafkaSettings, prefix: str) -> None:
    """The broker dates them itself, so retention works on letters of 1999 and of 2100 as on those of today."""
    kept = DeadLettersConfig(keep_days=2.0, keep_mb=400)
    topic = TOPIC_OF[DeadLetter]
    create_topics(settings, [topic], prefix, dead_letters=kept)
    admin = open_client(KafkaAdminClient, settings)
    resource = ConfigResource(ConfigResourceType.TOPIC, prefix + topic.name)
    described = admin.describe_configs([resource], config_filter="all")
    found = next(iter(described["topic"].values())) if "topic" in described else described
    admin.close()
    assert str(found["message.timestamp.type"]["value"]) == "LogAppendTime"
    assert int(found["retention.ms"]["value"]) == 2 * 86_400_000
    assert int(found["retention.bytes"]["value"]) == 400_000_000
    assert int(found["segment.ms"]["value"]) <= 86_400_000
    assert int(found["segment.bytes"]["value"]) <= 100_000_000
    writer = KafkaWriter(settings)
    before_ms = time.time_ns() // 1_000_000
    for timestamp_ms in (915_148_800_000, 4_102_444_800_000):
        writer.send(prefix + topic.name, b"key", b"letter", (), timestamp_ms)
    writer.flush()
    writer.close()
    records = all_records(settings, prefix + topic.name)
    assert len(records) == 2
    # The two clocks are of one machine or well kept: a minute tells today from 1999 and 2100.
    assert all(abs(record.timestamp_ms - before_ms) < 60_000 for record in records)


def test_nothing_is_wrong_with_the_topics_that_we_create(settings: KafkaSettings, prefix: str) -> None:
    """As the broker describes them. What an operator changes is found, and refused where it loses records."""
    create_topics(settings, TOPICS, prefix)
    names = [prefix + topic.name for topic in TOPICS]
    assert findings(look_at_topics(settings, names), TOPICS, prefix) == []
    admin = open_client(KafkaAdminClient, settings)
    reports = f"{prefix}hedge-status"
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, reports, {"cleanup.policy": "compact"})])
    admin.close()
    with pytest.raises(TopicMismatch, match=f"{reports}: cleanup.policy: compact, expected delete"):
        check_settings(findings(look_at_topics(settings, names), TOPICS, prefix))


def test_missing_topics_are_all_named(settings: KafkaSettings, prefix: str) -> None:
    """With the command that creates them."""
    create_topics(settings, TOPICS[:1], prefix)
    with pytest.raises(
        TopicMissing, match=f"no topic {prefix}{TOPICS[1].name}, .*{TOPICS[-1].name} at.*topics --create"
    ):
        check_topics(settings, TOPICS, prefix)


def test_another_number_of_partitions_is_named(settings: KafkaSettings, prefix: str) -> None:
    """Allowed, since operators scale topics, unless the check is exact."""
    wider = msgspec.structs.replace(TOPICS[0], partitions=7)
    create_topics(settings, [wider], prefix)
    assert check_topics(settings, TOPICS[:1], prefix) == {prefix + wider.name: 7}
    with pytest.raises(
        TopicMismatch, match=f"topic {prefix}{wider.name} must have {TOPICS[0].partitions} partitions, got 7"
    ):
        check_topics(settings, TOPICS[:1], prefix, exact=True)


def test_more_replicas_than_brokers_is_named(settings: KafkaSettings, prefix: str) -> None:
    """The message names the setting."""
    with pytest.raises(TopicMismatch, match=r"set topics\.replication to at most the number of brokers"):
        create_topics(settings, TOPICS[:1], prefix, replication=99)


def test_old_far_and_large_records_are_kept(settings: KafkaSettings, prefix: str) -> None:
    """On an output topic: what a replay of 1999 says, what a tick dated 2100 causes, and a covariance of 8 MB."""
    topic = TOPIC_OF[ResidualExposure]
    create_topics(settings, [topic], prefix)
    name = prefix + topic.name
    writer = KafkaWriter(settings)
    large = bytes(range(256)) * (MAX_RECORD_BYTES // 512)
    writer.send(name, b"key", large, (), 915_148_800_000)
    writer.send(name, b"key", b"", (), 4_102_444_800_000)
    writer.flush()
    writer.close()
    records = all_records(settings, name)
    assert [(record.timestamp_ms, record.value) for record in records] == [
        (915_148_800_000, large),
        (4_102_444_800_000, b""),
    ]
