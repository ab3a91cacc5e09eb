"""Creating and checking the service's topics."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.topics import TOPICS
from stream.config.kafka import MAX_RECORD_BYTES, KafkaSettings
from stream.errors import TopicMismatch, TopicMissing
from stream.kafka.connection import open_client
from stream.kafka.consume import KafkaReader
from stream.kafka.publish import KafkaWriter
from stream.kafka.topics import check_topics, create_topics, topic_settings

pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def delete_created(settings: KafkaSettings, prefix: str) -> Iterator[None]:
    yield
    admin = open_client(KafkaAdminClient, settings)
    created = [name for name in admin.list_topics() if name.startswith(prefix)]
    if created:
        admin.delete_topics(created)
    admin.close()


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
    letters = [topic for topic in TOPICS if topic.name == "dead-letters"]
    create_topics(settings, letters, prefix)
    name = prefix + letters[0].name
    writer = KafkaWriter(settings)
    large = bytes(range(256)) * (MAX_RECORD_BYTES // 512)
    writer.send(name, b"key", large, (), 915_148_800_000)
    writer.send(name, b"key", b"", (), 4_102_444_800_000)
    writer.flush()
    writer.close()
    reader = KafkaReader(settings, [name])
    reader.seek(reader.low_watermarks())
    records = reader.poll(5000)
    while not all(reader.exhausted(partition) for partition in reader.partitions()):
        records += reader.poll(100)
    reader.close()
    assert [(record.timestamp_ms, record.value) for record in records] == [
        (915_148_800_000, large),
        (4_102_444_800_000, b""),
    ]
