"""What-ifs beside the live stream: what a thousand a second add to its latency, and how many are answered."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import product
from pathlib import Path

import msgspec
import numpy as np

from stream.bench.figures import Comparison, compare
from stream.bench.stream.asker import Asked
from stream.bench.stream.run import bench_config, own_topics, round_trips, running, warm_service
from stream.config.kafka import KafkaSettings
from stream.errors import ReadFailed
from stream.events.encode import Encoder
from stream.kafka.local.child_process import output_tail
from stream.kafka.publish import KafkaWriter

RATE = 1000
ROUNDS = 4
TRIPS_A_ROUND = 100
BOOKS = {"wide": "a book inside its limit", "bench": "a book over it"}
"""Every answer about the second book includes a hedge and its runner-up."""

GAPS_S = {0.02: "50 positions a second", 0.0: "positions as fast as they are answered"}
"""In the second case Kafka, service and client take nearly two cores; a fifth of a core is left for the answers."""


def what_ifs_beside_the_stream(kafka: KafkaSettings, folder: Path, positions: int) -> list[Comparison]:
    """Time from position to suggestion with and without what-ifs, in turns, and the share of what-ifs answered."""
    config = bench_config(folder, kafka)
    names = config.topics.names()
    rounds = min(ROUNDS, max(positions // TRIPS_A_ROUND, 1))
    quiet_ms: dict[float, list[float]] = {gap_s: [] for gap_s in GAPS_S}
    asked_ms: dict[tuple[float, str], list[float]] = {(gap_s, book): [] for gap_s in GAPS_S for book in BOOKS}
    asked: dict[tuple[float, str], list[Asked]] = {each: [] for each in asked_ms}
    with own_topics(kafka, config), closing(KafkaWriter(kafka)) as writer:
        encoder = Encoder(config.topics.prefix, "/betapack/bench")
        with warm_service(kafka, folder, config, writer, encoder) as (service, last_tick_ns):
            port = re.findall(r"metrics_port=(\d+)", output_tail(service.output_file, 100))[-1]
            after_ns = last_tick_ns

            def trips(gap_s: float, begin: Callable[[], None] = lambda: None) -> list[float]:
                nonlocal after_ns
                after_ns += 1_000_000  # later than the positions before, which would be the newer ones
                answers, count = names["hedge-suggestions"], max(positions // rounds, 1)
                return round_trips(kafka, writer, encoder, answers, count, after_ns, gap_s, begin)

            trips(0.0)  # a broker that has just started compiles itself meanwhile
            for turn, gap_s in product(range(rounds), GAPS_S):  # in turns, so that a slower machine slows all
                quiet_ms[gap_s] += trips(gap_s)
                for book in BOOKS:
                    output_file = folder / f"asker-{book}-{turn}-{gap_s}.log"
                    command = [sys.executable, "-m", "stream.bench.stream.asker", port, book, str(RATE)]
                    with running(command, output_file) as asker:
                        time.sleep(1.0)  # it connects
                        # Counted while positions are sent, and not while nothing else wants the machine.
                        asked_ms[gap_s, book] += trips(gap_s, partial(asker.process.send_signal, signal.SIGUSR1))
                    asked[gap_s, book].append(_asked(output_file))
    return [
        row
        for (gap_s, book), answers in asked.items()
        for row in (
            *_latency(f"{BOOKS[book]}, {GAPS_S[gap_s]}", asked_ms[gap_s, book], quiet_ms[gap_s]),
            _answered(f"{BOOKS[book]}, {GAPS_S[gap_s]}", answers),
        )
    ]


def _latency(label: str, asked_ms: list[float], quiet_ms: list[float]) -> list[Comparison]:
    return [
        compare(
            f"position change to hedge suggestion beside what-ifs of {label}, p{percentile}",
            f"asked {RATE:,} times a second",
            float(np.percentile(asked_ms, percentile)),
            "not asked",
            float(np.percentile(quiet_ms, percentile)),
            "ms",
            "near 1",
            f"{len(asked_ms)} round trips each, in turns; the client runs on the same machine"
            if percentile == 50
            else "",
        )
        for percentile in (50, 99)
    ]


def _answered(label: str, asked: list[Asked]) -> Comparison:
    p50_ms, p99_ms = (float(np.median([getattr(each, name) for each in asked])) for name in ("p50_ms", "p99_ms"))
    return compare(
        f"what-ifs of {label}",
        "answered",
        sum(each.answered for each in asked) / sum(each.seconds for each in asked),
        "asked",
        RATE,
        "a second",
        "near 1",
        f"each another trade in three assets; p50 {p50_ms:.3g} ms, p99 {p99_ms:.3g} ms, "
        f"{sum(each.turned_away for each in asked)} turned away",
    )


def _asked(output_file: Path) -> Asked:
    try:
        return msgspec.json.decode(output_file.read_bytes().splitlines()[-1], type=Asked)
    except (msgspec.DecodeError, IndexError) as exc:
        raise ReadFailed(f"what-ifs could not be asked:\n{output_tail(output_file)}") from exc
