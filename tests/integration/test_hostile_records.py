"""Hostile records through Apache Kafka: the service lives, its memory stays bounded, and each record is accounted for.

`make chaos` runs this with a hundred thousand records and prints the account; BETAPACK_CHAOS_RECORDS says how many.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer, codec
from kafka import errors as kafka_errors

from hostile_records import LARGE, Hostile, hostile
from schemas.inbound import Tick
from schemas.topics import TOPICS
from stream.config.kafka import KafkaSettings
from stream.events.encode import Encoder
from stream.kafka.batches import BATCH_BYTES_MAX
from stream.kafka.connection import open_client
from stream.kafka.consume import KafkaReader
from stream.kafka.local.child_process import ChildProcess, output_tail
from stream.kafka.publish import KafkaWriter
from stream.kafka.topics import create_topics, delete_topics

RECORDS = int(os.environ.get("BETAPACK_CHAOS_RECORDS", "300"))
SEED = int(os.environ.get("BETAPACK_CHAOS_SEED", "1"))
SECONDS = 240 + RECORDS // 20
MEGABYTE = 1 << 20
START_NS = 1_748_851_200 * 1_000_000_000
INPUTS = ("ticks", "positions", "hedge-status")
FOREIGN = "hedge-status"
"""This topic was made by somebody else: it takes records of 16 MB, where our own settings allow 4."""

GROWTH_MAX = 600 * MEGABYTE
"""A poll of 16 MB and a record of up to 32, the letters of both, each of them several times: as bytes, in base64, in
the producer's buffers. The records of a run have gigabytes."""

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(SECONDS + 120)]


class Letter(msgspec.Struct):
    """What a dead letter and a sum have that the account needs. A sum has no offset of its own."""

    topic: str
    partition: int
    reason: str
    detail: str
    offset: int | None = None
    records: int = 1


class RunSnappy:
    """Snappy that shortens runs of one byte and nothing else, for a producer where the package is not installed."""

    @staticmethod
    def compress(block: bytes) -> bytes:
        size, compressed = len(block), bytearray()
        while size >= 0x80:
            compressed.append(0x80 | size & 0x7F)
            size >>= 7
        compressed.append(size)
        for value, run in groupby(block):
            left = sum(1 for _ in run) - 1
            compressed += bytes([0, value])  # a literal of one byte
            while left:
                length = min(left, 64)
                compressed += bytes([(length - 1) << 2 | 2, 1, 0])  # a copy of what stands one byte before
                left -= length
        return bytes(compressed)


class Service:
    """`betapack serve` with topics of its own."""

    def __init__(self, toml: str, settings: KafkaSettings, prefix: str, folder: Path) -> None:
        path = folder / "desk.toml"
        path.write_text(
            f'{toml}\n[topics]\nprefix = "{prefix}"\n[metrics]\nport = 0\n'
            f'[kafka]\nbootstrap = "{settings.bootstrap}"\ngroup = "{settings.group}"\n'
        )
        command = [sys.executable, "-m", "stream.cli", "serve", "--config", str(path)]
        self.child = ChildProcess(command, folder / "service.log")
        self._until(lambda: " running" in output_tail(self.child.output_file))
        words = output_tail(self.child.output_file, 100).split()
        (port,) = (word.partition("=")[2] for word in words if word.startswith("metrics_port="))
        self._url = f"http://127.0.0.1:{port}/metrics"

    def _until(self, true: Any) -> None:
        deadline = time.monotonic() + 90
        while not true():
            assert self.child.exit_code is None, output_tail(self.child.output_file)
            assert time.monotonic() < deadline, output_tail(self.child.output_file)
            time.sleep(0.05)

    def total(self, metric: str) -> int:
        """A counter over all its labels."""
        assert self.child.exit_code is None, output_tail(self.child.output_file)
        with urllib.request.urlopen(self._url, timeout=60) as page:
            lines = page.read().decode().splitlines()
        return round(sum(float(line.split()[-1]) for line in lines if line.startswith(metric)))

    def memory(self, name: str) -> int:
        lines = Path(f"/proc/{self.child.process.pid}/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith(name))
        return int(line.split()[1]) * 1024


@pytest.fixture
def service(kafka: str, settings: KafkaSettings, prefix: str, desk_toml: str, tmp_path: Path) -> Iterator[Service]:
    admin: Any = open_client(KafkaAdminClient, settings)
    configs = {"max.message.bytes": str(17 * MEGABYTE), "retention.ms": "-1"}
    admin.create_topics({prefix + FOREIGN: {"num_partitions": 4, "replication_factor": 1, "configs": configs}})
    admin.wait_for_topics([prefix + FOREIGN])
    admin.close()
    created = create_topics(settings, TOPICS, prefix)
    running = Service(desk_toml, settings, prefix, tmp_path)
    yield running
    if running.child.exit_code is None:
        running.child.stop(timeout_s=30)
    delete_topics(settings, [*created, prefix + FOREIGN])


class Producers:
    """Producers of all codecs, and what became of what they sent."""

    def __init__(self, kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(codec, "snappy", RunSnappy)
        options = {"bootstrap_servers": kafka, "max_request_size": 64 * MEGABYTE, "acks": "all", "linger_ms": 20}
        # Large records are those that the broker may refuse. The client then splits the batch, and reports records as
        # refused that it sends after all; so each of them is a batch of its own, which is sent once.
        alone = {"batch_size": 0, "enable_idempotence": False, "retries": 0, "request_timeout_ms": 60_000}
        self._producers = {
            (name, large): KafkaProducer(compression_type=name, **options, **(alone if large else {}))
            for name in (None, "gzip", "lz4", "zstd", "snappy")
            for large in (False, True)
        }
        self._waiting: list[Any] = []
        self._waiting_bytes = 0
        self.sent = 0
        self.bytes = 0
        self.refused: Counter[str] = Counter()
        self.places: set[tuple[str, int, int]] = set()

    def send(self, compression: str | None, topic: str, record: Hostile) -> None:
        self.sent += 1
        size = sum(len(part or b"") for part in (record.key, record.value))
        size += sum(len(name) + len(value) for name, value in record.headers)
        self.bytes += size
        try:
            future = self._producers[compression, size > LARGE].send(
                topic, record.value, record.key, list(record.headers), timestamp_ms=record.timestamp_ms
            )
        except kafka_errors.KafkaError as exc:
            self.refused[type(exc).__name__] += 1
            return
        self._waiting.append(future)
        self._waiting_bytes += size
        if self._waiting_bytes > 16 * MEGABYTE or len(self._waiting) >= 1000:
            self.settle()

    def settle(self) -> None:
        for producer in self._producers.values():
            producer.flush(timeout=120)
        for future in self._waiting:
            try:
                accepted = future.get(60)
            except kafka_errors.KafkaError as exc:
                self.refused[type(exc).__name__] += 1
            else:
                self.places.add((accepted.topic, accepted.partition, accepted.offset))
        self._waiting.clear()
        self._waiting_bytes = 0

    def close(self) -> None:
        for producer in self._producers.values():
            producer.close(timeout=30)


def zeros(size: int) -> Hostile:
    return Hostile("zeros", None, bytes(size), (), START_NS // 1_000_000)


def test_each_hostile_record_is_accounted_for(
    service: Service,
    settings: KafkaSettings,
    prefix: str,
    kafka: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The broker refuses it, it has one dead letter, or in `ticks` a sum counts it. Quotes among them are used."""
    chance, encoder = Random(SEED), Encoder(prefix, "/test")
    before, began_s = service.memory("VmRSS"), time.monotonic()
    steps, quotes = 60, 0
    with closing(Producers(kafka, monkeypatch)) as producers, closing(KafkaWriter(settings)) as writer:
        records = hostile(SEED, RECORDS, START_NS + steps * 10**9, 16 * MEGABYTE)
        for number, record in enumerate(records):
            # Snappy is not installed where the service runs; its batches are sent below, one record each.
            compression = chance.choice((None, "gzip", "lz4", "zstd"))
            producers.send(compression, prefix + chance.choice(INPUTS), record)
            step = number * steps // RECORDS
            if step >= quotes:
                quotes = step + 1
                bid = 1.08 + 1e-5 * step
                at_ns = START_NS + step * 10**9
                tick = Tick(instrument="EURUSD", event_time_ns=at_ns, bid=bid, ask=bid + 1e-4)
                encoder.send(writer, tick)
                writer.flush()
        for topic in INPUTS:
            for compression in ("gzip", "lz4", "zstd"):
                producers.send(compression, prefix + topic, zeros(BATCH_BYTES_MAX + MEGABYTE))
                producers.settle()
            producers.send("snappy", prefix + topic, zeros(10_000))
            producers.settle()
        # With a timestep minutes later the sums are closed.
        for second in range(600, 604):
            quotes += 1
            encoder.send(
                writer, Tick(instrument="EURUSD", event_time_ns=START_NS + second * 10**9, bid=1.08, ask=1.0801)
            )
        writer.flush()
    expected = len(producers.places) + quotes
    deadline_s = time.monotonic() + SECONDS
    while service.total("betapack_messages_in_total") < expected:
        assert time.monotonic() < deadline_s, service.total("betapack_messages_in_total")
        time.sleep(0.5)
    took_s = time.monotonic() - began_s
    refused = service.total("betapack_messages_bad_total")
    after, peak = service.memory("VmRSS"), service.memory("VmHWM")
    service.child.stop(timeout_s=30)

    letters: Counter[tuple[str, int, int]] = Counter()
    reasons: Counter[str] = Counter()
    summed = 0
    details: list[str] = []
    with closing(KafkaReader(settings, [f"{prefix}dead-letters"])) as reader:
        reader.seek(reader.low_watermarks())
        while not all(reader.exhausted(partition) for partition in reader.partitions()):
            for each in reader.poll(200):
                assert each.value is not None
                letter = msgspec.json.decode(each.value, type=Letter)
                reasons[letter.reason] += letter.records
                if letter.offset is None:
                    summed += letter.records
                else:
                    letters[letter.topic, letter.partition, letter.offset] += 1
                    details.append(letter.detail[:200])
    with capsys.disabled():
        sys.stdout.write(
            f"\nsent {producers.sent} hostile records of {producers.bytes / MEGABYTE:.0f} MB and {quotes} quotes, seed "
            f"{SEED}, in {took_s:.0f} s\n"
            f"refused by the broker or its client {sum(producers.refused.values())}: {dict(producers.refused)}\n"
            f"used {quotes}, refused by the service {refused}: {letters.total()} dead letters and {summed} summed up\n"
            f"{dict(reasons)}\n"
            f"memory of the service: {before / MEGABYTE:.0f} MB before, {peak / MEGABYTE:.0f} at most, "
            f"{after / MEGABYTE:.0f} after\n"
        )
    assert service.child.exit_code == 0
    assert len(producers.places) + sum(producers.refused.values()) == producers.sent
    assert set(letters) <= producers.places
    assert refused == len(producers.places) == letters.total() + summed
    assert max(letters.values()) == 1
    assert {place for place in producers.places - set(letters) if not place[0].endswith("ticks")} == set()
    # Those in `ticks` may be summed up. Of the others a few are as large once their control characters are escaped.
    assert sum("inflates to more than" in detail for detail in details) >= 3 * (len(INPUTS) - 1)
    assert sum("snappy" in detail for detail in details) >= len(INPUTS) - 1
    assert peak - before < GROWTH_MAX
