"""Corrections: which quotes they leave out, which corrections a state honours, and what a rebuild publishes then."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from schemas.inbound import Correction, Tick, TickBatch
from schemas.wire import JSON, encode
from stream.clock import ManualClock
from stream.config import Config
from stream.events.decode import Decoder
from stream.events.types import Quotes
from stream.kafka.log import Record, TopicPartition
from stream.telemetry.metrics import Metrics
from stream.testing.memory_log import MemoryLog
from stream.worker.corrections import Corrections, record_place
from stream.worker.forget import write_correction

Simulate = Callable[[Config], Any]
Day = Callable[[int, int], list[Any]]
SECOND = 1_000_000_000
TIME_NS = 1_748_851_200 * SECOND
STEPS = 60


def correction(**of: Any) -> Correction:
    return Correction(reason="a hundred times the market", who="mia", event_time_ns=TIME_NS, **of)


def corrections(config: Config, *made: Correction) -> tuple[Corrections, MemoryLog, Metrics]:
    log, metrics = MemoryLog({"corrections": 1}), Metrics()
    for each in made:
        write_correction(config, log.writer(), each)
    return Corrections(config, log.reader(["corrections"], "test"), metrics), log, metrics


def tick_record(offset: int, value: bytes) -> Record:
    return Record("ticks", 2, offset, TIME_NS // 1_000_000, b"EURUSD", value)


TICK = Tick(instrument="EURUSD", event_time_ns=TIME_NS, bid=108.0, ask=109.0)
VALUE = encode(TICK, JSON)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("ticks[2]@417", (TopicPartition("ticks", 2), 417)),
        ("dev.fx-1.ticks[0]@0", (TopicPartition("dev.fx-1.ticks", 0), 0)),
        ("ticks[2]", None),
        ("ticks[-2]@417", None),
        ("ticks[2]@" + 30 * "9", None),
        ("", None),
    ],
)
def test_a_record_is_named_as_topic_partition_and_offset(name: str, place: tuple[TopicPartition, int] | None) -> None:
    """As in every message that names one; anything else is no name."""
    assert record_place(name) == place


def test_one_record_is_left_out_and_its_neighbours_stay(desk: Config) -> None:
    """By partition, offset and content: after the topic was made anew, another record may stand there."""
    sha256 = hashlib.sha256(VALUE).hexdigest()
    found, _, metrics = corrections(desk, correction(record="ticks[2]@417", value_sha256=sha256))
    decoder = Decoder(desk)

    def left(record: Record) -> int:
        return len(found.left(record, decoder(record)))

    assert left(tick_record(417, VALUE)) == 0
    assert left(tick_record(416, VALUE)) == left(tick_record(418, VALUE)) == 1
    assert left(tick_record(417, VALUE.replace(b"108", b"107"))) == 1
    assert metrics.registry.get_sample_value("betapack_quotes_forgotten_total") == 1


@pytest.mark.parametrize(("at_ns", "kept"), [(-1, 1), (0, 0), (5, 0), (10, 0), (11, 1)])
def test_a_range_of_one_instrument_is_left_out_with_both_its_ends(desk: Config, at_ns: int, kept: int) -> None:
    """Another instrument at the same time stays; of a batch the other quotes stay."""
    found, _, _ = corrections(desk, correction(instrument="EURUSD", from_time_ns=TIME_NS, to_time_ns=TIME_NS + 10))
    record = tick_record(7, b"")
    eur, chf = (Quotes(TIME_NS + at_ns, (index,), (1.0,), (1.1,)) for index in (0, 1))
    both = Quotes(TIME_NS + at_ns, (0, 1), (1.0, 2.0), (1.1, 2.2), feed="lp")
    assert len(found.left(record, [eur])) == kept
    assert found.left(record, [chf]) == [chf]
    expected = both if kept else Quotes(TIME_NS + at_ns, (1,), (2.0,), (2.2,), feed="lp")
    assert found.left(record, [both]) == [expected]


def test_a_correction_can_be_taken_back(desk: Config) -> None:
    """A record without a value under the same key, as compaction knows it."""
    found, log, _ = corrections(desk, correction(record="ticks[2]@417"))
    assert found.names() == ["ticks[2]@417"]
    log.append(TopicPartition("corrections", 0), b"ticks[2]@417", None, (), 0)
    assert found.read()
    assert found.names() == []
    record = tick_record(417, VALUE)
    assert len(found.left(record, Decoder(desk)(record))) == 1


def test_what_is_no_correction_is_named_and_ignored(desk: Config, caplog: pytest.LogCaptureFixture) -> None:
    """Bytes that are none, an instrument that is not configured: a notice, and the service goes on."""
    found, log, _ = corrections(desk)
    partition = TopicPartition("corrections", 0)
    log.append(partition, b"x", b"{", (), 0)
    log.append(partition, None, b"\xff", (("content-type", b"text/html"),), 0)
    log.append(partition, b"y", encode(correction(instrument="NOKUSD"), JSON), (), 0)
    with caplog.at_level(logging.WARNING, "betapack"):
        found.read()
    assert found.names() == []
    assert [line.split()[0] for line in caplog.messages] == ["correction-refused"] * 3


def bad_tick_in(day: list[Any], at: int) -> tuple[list[Any], Tick]:
    """`day` with a tick a hundred times the market's, at the time of the message before it and a millisecond more."""
    ticks = [number for number, message in enumerate(day) if isinstance(message, Tick) and message.bid > 100]
    number = ticks[at]
    good = day[number]
    bad = msgspec.structs.replace(
        good, bid=good.bid * 100, ask=good.ask * 100, event_time_ns=good.event_time_ns + 1_000, source="bad"
    )
    return [*day[: number + 1], bad, *day[number + 1 :]], bad


def name_of(simulation: Any, tick: Tick) -> str:
    (found,) = [each for each in simulation.log.records("ticks") if each.value == encode(tick, JSON)]
    return f"{found.topic}[{found.partition}]@{found.offset}"


def values(simulation: Any, published: Mapping[tuple[str, int], int] | None = None) -> dict[str, list[bytes | None]]:
    """All published messages by topic, or those after as many as `published` says of each partition."""
    published = published or {}
    return {
        topic: [each.value for each in records if each.offset >= published.get((topic, each.partition), 0)]
        for topic, records in simulation.outputs().items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("by", ["record", "range"])
def test_a_rebuild_publishes_what_it_would_have_without_the_tick(
    desk: Config, simulate: Simulate, trading_day: Day, by: str
) -> None:
    """Every message of every topic, byte for byte; without the correction they differ."""
    # Dead letters and reports name offsets, which lie one further behind the bad tick in its partition.
    day = [message for message in trading_day(STEPS, 8) if not isinstance(message, tuple)]
    with_bad, bad = bad_tick_in(day, 30)
    clean = simulate(desk)
    clean.feed(day)
    worker = clean.worker()
    clean.drain(worker)
    worker.finish()

    simulation = simulate(desk)
    simulation.feed(with_bad)
    worker = simulation.worker()
    simulation.drain(worker)
    worker.finish()
    assert values(simulation) != values(clean)
    published = Counter((each.topic, each.partition) for records in simulation.outputs().values() for each in records)
    made = correction(record=name_of(simulation, bad))
    if by == "range":
        at_ns = bad.event_time_ns
        made = correction(instrument=bad.instrument, from_time_ns=at_ns, to_time_ns=at_ns)
    write_correction(desk, simulation.log.writer(), made)
    worker = simulation.worker(rebuild=True)
    simulation.drain(worker)
    worker.finish()
    assert values(simulation, published) == values(clean)
    # A later start from the rebuilt state has nothing to wait for.
    metrics = Metrics()
    simulation.worker(metrics=metrics)
    assert metrics.registry.get_sample_value("betapack_corrections_waiting_count") == 0


@pytest.mark.slow
def test_a_correction_of_a_tick_that_was_read_waits_for_a_rebuild_and_says_so(
    desk: Config, simulate: Simulate, trading_day: Day, caplog: pytest.LogCaptureFixture
) -> None:
    """While it runs and after a restart from its snapshot the service names it; its figures do not change."""
    day, bad = bad_tick_in(trading_day(20, 8), 5)
    simulation = simulate(desk)
    simulation.feed(day)
    clock, metrics = ManualClock(), Metrics()
    worker = simulation.worker(clock=clock, metrics=metrics)
    simulation.drain(worker)
    write_correction(desk, simulation.log.writer(), correction(record=name_of(simulation, bad)))

    def waiting() -> float | None:
        return metrics.registry.get_sample_value("betapack_corrections_waiting_count")

    with caplog.at_level(logging.INFO, "betapack"):
        worker.turn(0)
        assert waiting() == 0
        clock.sleep(1.5)
        worker.turn(0)
        assert waiting() == 1
        (named,) = [line for line in caplog.messages if line.startswith("corrections-wait")]
        assert name_of(simulation, bad) in named
        assert "--rebuild" in named
        worker.commit(final=True)
        metrics = Metrics()
        worker = simulation.worker(metrics=metrics)
        assert waiting() == 1
    assert worker.state.corrections == ()


@pytest.mark.slow
def test_a_correction_of_a_tick_that_was_not_read_holds_at_once(
    desk: Config, simulate: Simulate, trading_day: Day
) -> None:
    """The service was behind: it never takes the tick, and its state says that it honours the correction."""
    day, bad = bad_tick_in([each for each in trading_day(STEPS, 8) if not isinstance(each, tuple)], 30)
    before = day.index(bad)
    simulation = simulate(desk)
    simulation.feed(day[:before])
    worker = simulation.worker()
    simulation.drain(worker)
    worker.commit(final=True)
    simulation.feed(day[before:])
    write_correction(desk, simulation.log.writer(), correction(record=name_of(simulation, bad)))
    metrics = Metrics()
    worker = simulation.worker(metrics=metrics)
    simulation.drain(worker)
    worker.finish()
    assert worker.state.corrections == (name_of(simulation, bad),)
    assert metrics.registry.get_sample_value("betapack_corrections_waiting_count") == 0

    clean = simulate(desk)
    clean.feed([each for each in day if each is not bad])
    worker = clean.worker()
    clean.drain(worker)
    worker.finish()
    assert values(simulation) == values(clean)


def test_a_batch_can_be_forgotten_whole(desk: Config) -> None:
    """A record with many quotes is one record."""
    batch = TickBatch(
        universe="fx",
        event_time_ns=TIME_NS,
        instruments=("EURUSD", "USDCHF"),
        bids=bytes.fromhex("000000000000f03f") * 2,
        asks=bytes.fromhex("0000000000000040") * 2,
    )
    found, _, metrics = corrections(desk, correction(record="ticks[2]@417"))
    record = tick_record(417, encode(batch, JSON))._replace(headers=(("ce_type", b"betapack.tick-batch"),))
    assert len(Decoder(desk)(record)) == 1
    assert found.left(record, Decoder(desk)(record)) == []
    assert metrics.registry.get_sample_value("betapack_quotes_forgotten_total") == 2
