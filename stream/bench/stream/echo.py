"""The least that a Kafka worker can do: read a record, write a record. Runs as a process, like the service."""

from __future__ import annotations

import sys

from stream.config.kafka import KafkaSettings
from stream.kafka.consume import KafkaReader
from stream.kafka.publish import KafkaWriter

POLL_TIMEOUT_MS = 100


def echo(bootstrap: str, source: str, target: str) -> None:
    """Copy every new record of `source` to `target`, without end."""
    settings = KafkaSettings(bootstrap=bootstrap, group="bench-echo")
    reader, writer = KafkaReader(settings, [source]), KafkaWriter(settings)
    reader.seek(reader.end_offsets())
    while True:
        for record in reader.poll(POLL_TIMEOUT_MS):
            writer.send(target, record.key, record.value, record.headers, record.timestamp_ms)
        writer.flush()


if __name__ == "__main__":
    echo(*sys.argv[1:])
