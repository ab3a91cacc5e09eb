"""`betapack forget` on Apache Kafka: the command finds the tick, and a worker that starts anew leaves it out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.inbound import Tick
from schemas.topics import TOPICS
from stream.clock import ManualClock
from stream.config import Config, load_config
from stream.config.kafka import KafkaSettings
from stream.events.encode import Encoder
from stream.kafka.consume import KafkaReader
from stream.kafka.publish import KafkaWriter
from stream.kafka.topics import create_topics, delete_topics
from stream.telemetry.metrics import Metrics
from stream.worker.loop import Connections, Surroundings, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

START_NS = 1_748_851_200 * 1_000_000_000
SECOND_NS = 1_000_000_000


@pytest.fixture
def desk_file(desk_toml: str, settings: KafkaSettings, prefix: str, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "desk.toml"
    path.write_text(
        f'{desk_toml}\n[topics]\nprefix = "{prefix}"\n'
        f'[kafka]\nbootstrap = "{settings.bootstrap}"\ngroup = "{settings.group}"\n'
    )
    created = create_topics(settings, TOPICS, prefix)
    yield path
    delete_topics(settings, created)


def forget(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream.cli", "forget", "--config", str(path), "--reason", "unit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def started(config: Config) -> tuple[Worker, Metrics]:
    """What a worker without a snapshot makes of the log."""
    names, metrics = config.topics.names(), Metrics()
    with (
        closing(KafkaReader(config.kafka, config.topics.inputs())) as inputs,
        closing(KafkaReader(config.kafka, [names["corrections"]])) as corrections,
        closing(KafkaWriter(config.kafka)) as writer,
    ):
        worker = Worker(config, Connections(inputs, writer, None, corrections), Surroundings(ManualClock(), metrics))
        ends = inputs.end_offsets()
        for _ in range(1000):
            worker.turn(50)
            if all(worker.state.offsets[partition] >= end for partition, end in ends.items()):
                break
        worker.commit(final=True)
    return worker, metrics


def test_a_tick_is_forgotten_by_record_and_by_range(desk_file: Path, prefix: str, settings: KafkaSettings) -> None:
    """Looked up, shown, corrected, and left out by whoever reads the log from its beginning; the log keeps it."""
    config = load_config(desk_file)
    encoder = Encoder(prefix, "/test")
    with closing(KafkaWriter(settings)) as writer:
        for second in range(6):
            bid = 108.0 if second == 2 else 1.08
            encoder.send(
                writer, Tick(instrument="EURUSD", event_time_ns=START_NS + second * SECOND_NS, bid=bid, ask=bid * 1.01)
            )
        writer.flush()
    with closing(KafkaReader(settings, [f"{prefix}ticks"])) as reader:
        (partition,) = [each for each, end in reader.end_offsets().items() if end]

    missing = forget(desk_file, "--record", f"{partition}@6")
    assert missing.returncode == 2
    assert "has the offsets 0 to 5" in missing.stderr
    assert "Traceback" not in missing.stderr

    done = forget(desk_file, "--record", f"{partition}@2")
    assert done.returncode == 0, done.stderr
    assert f"{partition}@2  EURUSD" in done.stdout
    assert "bid 108.0" in done.stdout
    assert "--rebuild" in done.stderr
    worker, metrics = started(config)
    assert metrics.registry.get_sample_value("betapack_quotes_forgotten_total") == 1
    assert worker.state.timesteps.bids[0] == 1.08
    assert worker.state.corrections == (f"{partition}@2",)

    done = forget(
        desk_file, "--instrument", "EURUSD", "--from", "2025-06-02T08:00:03Z", "--to", str(START_NS + 4 * SECOND_NS)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("EURUSD") == 2
    _, metrics = started(config)
    assert metrics.registry.get_sample_value("betapack_quotes_forgotten_total") == 3
