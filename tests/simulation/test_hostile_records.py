"""Thousands of hostile records among a good feed: the worker lives, accounts for each, and computes what it would."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from random import Random
from typing import Any

import pytest

from hostile_records import KINDS, hostile
from schemas.inbound import Tick
from schemas.outbound import DeadLetter, RefusedSummary
from schemas.wire import JSON, decode
from stream.clock import ManualClock
from stream.config import Config
from stream.kafka.log import TopicPartition

START_S = 1_748_851_200
MEGABYTE = 1 << 20
RECORDS = 3000


def account(simulation: Any) -> tuple[Counter[tuple[str, int, int]], int]:
    """How many letters each record has, and how many records are summed up."""
    letters: Counter[tuple[str, int, int]] = Counter()
    summed = 0
    for record in simulation.outputs()["dead-letters"]:
        if dict(record.headers)["ce_type"] == b"betapack.refused-summary":
            summed += decode(RefusedSummary, record.value, JSON).records
        else:
            letter = decode(DeadLetter, record.value, JSON)
            letters[letter.topic, letter.partition, letter.offset] += 1
    return letters, summed


def later(seconds: int) -> list[Tick]:
    """Quotes after which the sums of the minutes before are closed."""
    at_ns = (START_S + seconds) * 10**9
    return [Tick(instrument="EURUSD", event_time_ns=at_ns + step * 10**9, bid=1.08, ask=1.09) for step in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_records_change_nothing_and_are_all_accounted_for(
    desk: Config, simulate: Any, trading_day: Any, seed: int
) -> None:
    """As large as our topics take them: each has one letter or is summed up, and the models keep their bytes."""
    day = trading_day(120, seed)
    quiet = simulate(desk)
    quiet.feed(day)
    expected = quiet.worker()
    quiet.drain(expected)
    quiet.feed(later(600))
    quiet.drain(expected)
    expected.finish()

    simulation, chance = simulate(desk), Random(seed)
    records = list(hostile(seed, RECORDS, (START_S + 60) * 10**9, 4 * MEGABYTE))
    assert {record.kind for record in records} == set(KINDS)
    worker = simulation.worker(clock=ManualClock(), max_poll_records=50)
    written: set[tuple[str, int, int]] = set()
    at = 0
    for part in range(0, len(day), 50):
        simulation.feed(day[part : part + 50])
        share = records[at : at + RECORDS * 50 // len(day) + 1]
        at += len(share)
        for record in share:
            topic = chance.choice(("ticks", "positions", "hedge-status"))
            partition = TopicPartition(topic, chance.randrange(4))
            offset = simulation.log.append(partition, record.key, record.value, record.headers, record.timestamp_ms)
            written.add((*partition, offset))
        simulation.drain(worker)
    assert at >= RECORDS
    simulation.feed(later(600))
    simulation.drain(worker)
    worker.finish()

    assert simulation.outputs()["models"] == quiet.outputs()["models"]
    letters, summed = account(simulation)
    letters_of_the_day, summed_of_the_day = account(quiet)
    assert letters.total() + summed == len(written) + letters_of_the_day.total() + summed_of_the_day
    assert {record for record in written if letters[record] > 1} == set()
    assert {record for record in written if record[0] != "ticks" and letters[record] != 1} == set()


@pytest.mark.slow
def test_memory_is_bounded_by_one_poll(desk: Config, simulate: Any) -> None:
    """Of what was processed nothing stays: the worker holds as much after the last record as after the first."""
    simulation = simulate(desk)
    worker = simulation.worker(max_poll_records=1)
    tracemalloc.start()
    held: list[int] = []
    for turn, record in enumerate(hostile(3, 1500, (START_S + 60) * 10**9, 64 * 1024)):
        partition = TopicPartition("ticks", turn % 4)
        simulation.log.append(partition, record.key, record.value, record.headers, record.timestamp_ms)
        simulation.drain(worker)
        # What the log holds is not the worker's.
        for topic in ("ticks", "dead-letters"):
            for each in simulation.log.partitions(topic):
                simulation.log.delete_before(each, simulation.log.end(each))
        if turn % 100 == 0:
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(held[2:]) - held[1] < 4 * MEGABYTE
