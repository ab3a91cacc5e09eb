"""The least that a Kafka worker can do: read a record, write a record. Run as a process, as the service is."""

from __future__ import annotations

import sys

from stream.config.kafka import KafkaSettings
from stream.kafka.consume import KafkaReader
from stream.kafka.publish import KafkaWriter

POLL_TIMEOUT_MS = 100


def echo(bootstrap: str, source: str, target: str) -> None:
    """Copy every new record of `source` to `target`, for ever."""
    settings = KafkaSettings(bootstrap=bootstrap, group="bench-echo")
    reader, writer = KafkaReader(settings, [source]), KafkaWriter(settings)
    reader.seek(reader.end_offsets())
    while True:
        for record in reader.poll(POLL_TIMEOUT_MS):
            writer.send(target, record.key, record.value, record.headers, record.timestamp_ms)
        writer.flush()


if __name__ == "__main__":
    echo(*sys.argv[1:])
