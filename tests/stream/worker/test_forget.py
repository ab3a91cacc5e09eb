"""What `betapack forget` looks up in the log before it writes a correction, and what it refuses."""

from __future__ import annotations

import hashlib

import pytest

from schemas.inbound import Position, Tick
from schemas.wire import JSON, encode
from stream.config import Config
from stream.errors import CorrectionRefused
from stream.kafka.log import TopicPartition
from stream.testing.memory_log import MemoryLog
from stream.worker.forget import find_range, find_record

SECOND = 1_000_000_000
TIME_NS = 1_748_851_200 * SECOND


@pytest.fixture
def log() -> MemoryLog:
    """Ten ticks of EURUSD a second apart in ticks[1], from offset 3 on; one record there that is none; a position."""
    log = MemoryLog({"ticks": 2, "positions": 1})
    partition = TopicPartition("ticks", 1)
    for number in range(10):
        tick = Tick(instrument="EURUSD", event_time_ns=TIME_NS + number * SECOND, bid=1.0 + number, ask=1.5 + number)
        log.append(partition, b"EURUSD", encode(tick, JSON), (), TIME_NS // 1_000_000 + number * 1000)
    log.append(partition, b"EURUSD", b"{", (), TIME_NS // 1_000_000)
    log.delete_before(partition, 3)
    position = Position(book="spot", asset="EUR", quantity=1.0)
    log.append(TopicPartition("positions", 0), b"spot", encode(position, JSON), (), TIME_NS // 1_000_000)
    return log


def test_a_record_is_found_with_what_it_says(desk: Config, log: MemoryLog) -> None:
    """Instrument, time, prices, and the hash by which a rebuild knows it again."""
    (quote,), sha256 = find_record(desk, log.reader(["ticks"], "test"), "ticks[1]@7")
    assert (quote.record, quote.instrument, quote.bid, quote.ask) == ("ticks[1]@7", "EURUSD", 8.0, 8.5)
    assert quote.event_time_ns == TIME_NS + 7 * SECOND
    (value,) = [record.value for record in log.records("ticks") if record.offset == 7]
    assert sha256 == hashlib.sha256(value or b"").hexdigest()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ticks", "must be topic[partition]@offset"),
        ("positions[0]@0", "is no tick: expected a record of ticks"),
        ("ticks[7]@0", "ticks has the partitions 0 to 1"),
        ("ticks[1]@2", "has the offsets 3 to 10"),
        ("ticks[1]@11", "has the offsets 3 to 10"),
        ("ticks[0]@0", "is not in the log"),
        ("ticks[1]@10", "is no tick that was used (undecodable)"),
    ],
)
def test_what_is_no_tick_in_the_log_is_refused(desk: Config, log: MemoryLog, name: str, words: str) -> None:
    """With what was expected and what is there."""
    with pytest.raises(CorrectionRefused) as refused:
        find_record(desk, log.reader(["ticks"], "test"), name)
    assert words in str(refused.value)


def test_a_range_is_found_with_both_its_ends(desk: Config, log: MemoryLog) -> None:
    """The quotes of the instrument in order of time."""
    found = find_range(desk, log.reader(["ticks"], "test"), "EURUSD", TIME_NS + 4 * SECOND, TIME_NS + 6 * SECOND)
    assert [quote.record for quote in found] == ["ticks[1]@4", "ticks[1]@5", "ticks[1]@6"]


@pytest.mark.parametrize(
    ("instrument", "first", "last", "words"),
    [
        ("NOKUSD", 0, 9, "must be one of EURUSD, USDCHF"),
        ("EURUSD", 5, 4, "--from must not be after --to"),
        ("USDCHF", 0, 9, "no quote of USDCHF is dated"),
        ("EURUSD", 0, 2, "no quote of EURUSD is dated"),
    ],
)
def test_a_range_that_holds_nothing_is_refused(
    desk: Config, log: MemoryLog, instrument: str, first: int, last: int, words: str
) -> None:
    """So a typing error in a time is no silent success."""
    with pytest.raises(CorrectionRefused) as refused:
        find_range(desk, log.reader(["ticks"], "test"), instrument, TIME_NS + first * SECOND, TIME_NS + last * SECOND)
    assert words in str(refused.value)
