"""Stream speed: the full path against a bare consumer, position to suggestion against a bare echo."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np

from schemas.inbound import Position, Tick
from schemas.topics import TOPICS
from stream.bench.figures import Comparison, compare
from stream.clock import SystemClock
from stream.config import Config, load_config
from stream.config.kafka import KafkaSettings
from stream.errors import ReadFailed
from stream.events.encode import Encoder
from stream.kafka.consume import KafkaReader
from stream.kafka.local.child_process import ChildProcess, output_tail
from stream.kafka.log import Writer
from stream.kafka.publish import KafkaWriter
from stream.kafka.topics import create_topics, delete_topics
from stream.telemetry.metrics import Metrics
from stream.testing.bare_consumer import bare_consumer
from stream.worker.loop import Connections, Surroundings, Worker

SEED = 20_141_001
EPOCH_NS = 1_400_000_000 * 1_000_000_000
TICKS_PER_TIMESTEP = 1000
ANSWER_TIMEOUT_S = 20.0
WARM_UP_TRIPS = 20

START_PRICES = {"EURUSD": 1.25, "GBPUSD": 1.6, "USDCHF": 0.96, "USDJPY": 110.0}


def full_path_against_bare_consumer(kafka: KafkaSettings, folder: Path, ticks: int, rounds: int = 3) -> Comparison:
    """Ticks a second from Kafka to committed outputs, against a consumer that does nothing with them."""
    config = bench_config(folder, kafka)
    ours, bare = [], []
    with own_topics(kafka, config):
        with closing(KafkaWriter(kafka)) as writer:
            encoder = Encoder(config.topics.prefix, "/betapack/bench")
            for tick in walk_ticks(config, ticks):
                encoder.send(writer, tick)
            writer.flush()
        for _ in range(rounds):  # in turns, so that a machine that slows down slows both
            bare.append(_bare_rate(kafka, config.topics.names()["ticks"], ticks))
            ours.append(_worker_rate(config, ticks))
    return compare(
        "ticks through the whole service on one core",
        "full path",
        float(np.median(ours)),
        "bare kafka-python consumer",
        float(np.median(bare)),
        "ticks/s",
        "near 1",
        f"{ticks:,} single JSON ticks, {TICKS_PER_TIMESTEP:,} a timestep; medians of {rounds} turns",
    )


def position_to_suggestion_against_echo(kafka: KafkaSettings, folder: Path, positions: int) -> list[Comparison]:
    """Time from sending a position to reading its hedge suggestion, and from a record to its echo, p50 and p99."""
    config = bench_config(folder, kafka)
    names = config.topics.names()
    with own_topics(kafka, config), closing(KafkaWriter(kafka)) as writer:
        encoder = Encoder(config.topics.prefix, "/betapack/bench")
        with warm_service(kafka, folder, config, writer, encoder) as (_, last_tick_ns):
            ours_ms = round_trips(kafka, writer, encoder, names["hedge-suggestions"], positions, last_tick_ns)
        command = [
            sys.executable,
            "-m",
            "stream.bench.stream.echo",
            kafka.bootstrap,
            names["positions"],
            names["alerts"],
        ]
        with running(command, folder / "echo.log"):
            echo_ms = round_trips(kafka, writer, encoder, names["alerts"], positions, last_tick_ns)
    return [
        compare(
            f"position change to hedge suggestion, p{percentile}",
            "service",
            float(np.percentile(ours_ms, percentile)),
            "bare echo",
            float(np.percentile(echo_ms, percentile)),
            "ms",
            "near 1",
            f"{positions} round trips one after the other, at-least-once" if percentile == 50 else "",
        )
        for percentile in (50, 99)
    ]


@contextmanager
def warm_service(
    kafka: KafkaSettings, folder: Path, config: Config, writer: Writer, encoder: Encoder
) -> Iterator[tuple[ChildProcess, int]]:
    """A running service that has models, so that every solve is a full one, and the time of its last tick.

    Parameters
    ----------
    kafka : where the service runs.
    folder : holds bench.toml, and takes the service's output.
    config : of bench.toml.
    writer, encoder : send the ticks that the models need.
    """
    last_tick_ns = EPOCH_NS
    for tick in walk_ticks(config, 4 * (config.reversion.window_steps + 10), per_timestep=4):
        encoder.send(writer, tick)
        last_tick_ns = tick.event_time_ns
    writer.flush()
    serve = [sys.executable, "-m", "stream.cli", "serve", "--config", str(folder / "bench.toml")]
    with running([*serve, "--bootstrap", kafka.bootstrap], folder / "service.log") as service:
        with closing(KafkaReader(kafka, [config.topics.names()["models"]])) as models:
            wait_for_models(models, config.reversion.window_steps)
        yield service, last_tick_ns


@contextmanager
def own_topics(kafka: KafkaSettings, config: Config) -> Iterator[None]:
    """Create the topics of `config`, and delete them at the end."""
    created = create_topics(kafka, TOPICS, config.topics.prefix)
    try:
        yield
    finally:
        delete_topics(kafka, created)


def bench_config(folder: Path, kafka: KafkaSettings) -> Config:
    """Write a configuration with topics and a group of its own to `folder`/bench.toml, and return it."""
    path = folder / "bench.toml"
    prefix = f"betapack-bench-{secrets.token_hex(4)}."
    desk = (files("stream.bench.stream") / "desk.toml").read_text(encoding="utf-8")
    path.write_text(f'{desk}\n[topics]\nprefix = "{prefix}"\n', encoding="utf-8")
    config = load_config(path)
    return msgspec.structs.replace(config, kafka=msgspec.structs.replace(kafka, group=f"{prefix}group"))


def walk_ticks(config: Config, count: int, per_timestep: int = TICKS_PER_TIMESTEP) -> Iterator[Tick]:
    """`count` seeded ticks of random walks, each instrument in turn."""
    chance = np.random.default_rng(SEED)
    names = [instrument.name for instrument in config.instruments]
    gap_ns = config.universe.timestep_ns // per_timestep
    log_moves = np.cumsum(chance.normal(0.0, 1e-4, (count // len(names) + 1, len(names))), axis=0)
    for number in range(count):
        name = names[number % len(names)]
        mid = START_PRICES[name] * float(np.exp(log_moves[number // len(names), number % len(names)]))
        yield Tick(instrument=name, event_time_ns=EPOCH_NS + number * gap_ns + 1, bid=mid * 0.99999, ask=mid * 1.00001)


def _bare_rate(kafka: KafkaSettings, topic: str, records: int) -> float:
    with bare_consumer(kafka, topic) as poll:
        begun = time.perf_counter()
        _until(poll, records, "records")
        return records / (time.perf_counter() - begun)


def _worker_rate(config: Config, records: int) -> float:
    with (
        closing(KafkaReader(config.kafka, config.topics.inputs())) as inputs,
        closing(KafkaWriter(config.kafka)) as writer,
    ):
        worker = Worker(config, Connections(inputs, writer, None), Surroundings(SystemClock(), Metrics()))
        begun = time.perf_counter()
        _until(worker.turn, records, "records")
        return records / (time.perf_counter() - begun)


@contextmanager
def running(command: list[str], output_file: Path) -> Iterator[ChildProcess]:
    """`command` in a process, which must not end by itself."""
    child = ChildProcess(command, output_file)
    try:
        yield child
        if child.exit_code is not None:
            raise ReadFailed(f"{command[2]} ended with exit code {child.exit_code}:\n{output_tail(child.output_file)}")
    finally:
        child.stop(timeout_s=10.0)


def wait_for_models(models: KafkaReader, timesteps: int) -> None:
    """Read until `timesteps` models were published."""
    models.seek(models.low_watermarks())
    _until(lambda: len(models.poll(200)), timesteps, "models")


def _until(count: Callable[[], int], wanted: int, what: str) -> None:
    seen, give_up_s = 0, time.monotonic() + ANSWER_TIMEOUT_S * 3
    while seen < wanted:
        seen += count()
        if time.monotonic() > give_up_s:
            raise ReadFailed(f"expected {wanted} {what}, got {seen} within {ANSWER_TIMEOUT_S * 3:.0f} s")


def round_trips(
    kafka: KafkaSettings,
    writer: KafkaWriter,
    encoder: Encoder,
    answers: str,
    count: int,
    last_tick_ns: int,
    gap_s: float = 0.0,
    begin: Callable[[], None] = lambda: None,
) -> list[float]:
    """Milliseconds from each position to the first record that answers it.

    A position is sent when the one before is answered.

    Parameters
    ----------
    kafka : for the reader of answers.
    writer, encoder : send the positions.
    answers : topic on which the answers come.
    count : round trips that are timed.
    last_tick_ns : event time of the first position.
    gap_s : least time between two positions.
    begin : called once both sides are warm, before the first timed trip.
    """
    trips_ms = []
    with closing(KafkaReader(kafka, [answers])) as reader:
        reader.seek(reader.end_offsets())

        def send(turn: int) -> None:
            position = Position(
                book="bench",
                asset="EUR",
                quantity=1e7 + 1e5 * (turn % 7),
                event_time_ns=last_tick_ns + turn,
                source="bench",
                seq=turn + 1,
            )
            encoder.send(writer, position)

        # Wait until the other side is up, and then some more: the first trips pay for connections.
        turn, answered, give_up_s = 0, 0, time.monotonic() + ANSWER_TIMEOUT_S
        while answered < WARM_UP_TRIPS:
            send(turn)
            turn += 1
            answered += bool(reader.poll(500))
            writer.flush()
            if time.monotonic() > give_up_s:
                raise ReadFailed(f"no answer on {answers} within {ANSWER_TIMEOUT_S:.0f} s")
        while reader.poll(500):
            pass
        begin()
        due_s = time.perf_counter()
        for trip in range(turn, turn + count):
            due_s = max(due_s + gap_s, time.perf_counter())
            time.sleep(max(due_s - time.perf_counter(), 0.0))
            begun = time.perf_counter()
            send(trip)
            while not reader.poll(500):
                if time.perf_counter() - begun > ANSWER_TIMEOUT_S:
                    raise ReadFailed(f"no answer on {answers} within {ANSWER_TIMEOUT_S:.0f} s")
            trips_ms.append((time.perf_counter() - begun) * 1e3)
            writer.flush()
    return trips_ms
