"""Kafka's client library alone: what it costs to read a topic without this project's code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from kafka import KafkaConsumer, TopicPartition

from stream.config.kafka import KafkaSettings

POLL_TIMEOUT_MS = 500


@contextmanager
def bare_consumer(kafka: KafkaSettings, topic: str) -> Iterator[Callable[[], int]]:
    """Reads `topic` from its beginning: each call polls once and returns how many records came."""
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=5000,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    with closing(consumer):
        consumer.assign([TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)])
        yield lambda: sum(len(batch) for batch in consumer.poll(timeout_ms=POLL_TIMEOUT_MS).values())
