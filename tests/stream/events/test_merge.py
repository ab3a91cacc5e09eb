"""The merge: one order for one log, no waiting where nothing can come, and a bound on what waits."""

from __future__ import annotations

from random import Random

import pytest

from stream.events.merge import Merge, Merged
from stream.events.types import (
    Decoded,
    PositionLevel,
    QuoteDepth,
    Quotes,
    Refused,
    RefusedPosition,
    TradeReport,
)
from stream.kafka.log import Record, TopicPartition

TICKS = [TopicPartition("ticks", 0), TopicPartition("ticks", 1)]
POSITIONS = TopicPartition("positions", 0)
PARTITIONS = [*TICKS, POSITIONS]

Log = dict[TopicPartition, list[list[Decoded]]]


def quotes(time_ns: int) -> list[Decoded]:
    return [Quotes(time_ns, (), (), ())]


def refused(partition: TopicPartition, offset: int) -> Refused:
    return Refused(Record(*partition, offset, 0, None, b"?"), "undecodable", "broken", "")


def places(merged: list[Merged]) -> list[tuple[TopicPartition, int]]:
    return [(each.partition, each.offset) for each in merged]


def everything(partition: TopicPartition) -> bool:
    return True


def random_log(chance: Random) -> Log:
    """Partitions whose times go up with some disorder and ties, with refused records and partly refused batches."""
    log: Log = {}
    for partition in PARTITIONS:
        log[partition] = []
        for offset in range(chance.randint(0, 40)):
            time_ns = max(1, offset // 2 + chance.randint(-3, 3))
            kind = chance.random()
            if kind < 0.15:
                events: list[Decoded] = [refused(partition, offset)]
            elif partition == POSITIONS:
                events = [PositionLevel(time_ns, "spot", 0, 1.0, f"{partition}@{offset}")]
            elif kind < 0.3:
                events = [*quotes(time_ns), refused(partition, offset)]
            else:
                events = quotes(time_ns)
            log[partition].append(events)
    return log


def order_of(log: Log) -> list[tuple[TopicPartition, int]]:
    """The definition, in quadratic time: again and again the partition whose next record has the least time."""

    def time_ns(events: list[Decoded]) -> int:
        return min((event.event_time_ns for event in events if not isinstance(event, Refused)), default=0)

    position = dict.fromkeys(log, 0)
    order = []
    while any(position[partition] < len(log[partition]) for partition in log):
        heads = [
            (time_ns(log[partition][offset]), partition, offset)
            for partition, offset in position.items()
            if offset < len(log[partition])
        ]
        _, partition, offset = min(heads)
        order.append((partition, offset))
        position[partition] += 1
    return order


@pytest.mark.parametrize("seed", range(60))
def test_a_complete_log_gives_one_order_however_it_is_cut_into_polls(seed: int) -> None:
    """Random polls, each of some records of some partitions, give the order of the definition."""
    chance = Random(seed)
    log = random_log(chance)
    merge = Merge(PARTITIONS, capacity=1000)
    position = dict.fromkeys(PARTITIONS, 0)
    merged: list[Merged] = []
    while len(merged) < sum(len(records) for records in log.values()):
        for partition in chance.sample(PARTITIONS, len(PARTITIONS)):
            for _ in range(chance.randint(0, 5)):
                offset = position[partition]
                if offset < len(log[partition]):
                    merge.push(partition, offset, log[partition][offset])
                    position[partition] += 1
        merged += merge.ready(lambda partition: position[partition] == len(log[partition]))
    assert places(merged) == order_of(log), f"seed {seed}"
    assert [each.events for each in merged] == [log[each.partition][each.offset] for each in merged]
    assert merge.depth == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_sorted_by_time_where_each_partition_is(seed: int) -> None:
    """With times that go up within a partition it is a sort by (event time, topic, partition, offset)."""
    chance = Random(seed)
    times = {partition: sorted(chance.randint(1, 30) for _ in range(20)) for partition in PARTITIONS}
    merge = Merge(PARTITIONS, capacity=1000)
    for partition, partition_times in times.items():
        for offset, time_ns in enumerate(partition_times):
            merge.push(partition, offset, quotes(time_ns))
    merged = list(merge.ready(everything))
    by_time = sorted((times[partition][offset], partition, offset) for partition in PARTITIONS for offset in range(20))
    assert [(each.event_time_ns, each.partition, each.offset) for each in merged] == by_time, f"seed {seed}"


def test_records_of_a_partition_keep_their_order_whatever_their_times() -> None:
    """A record that is out of order in its partition is not moved: it was written after the one before it."""
    merge = Merge(TICKS, capacity=10)
    for offset, time_ns in enumerate((5, 3, 4)):
        merge.push(TICKS[0], offset, quotes(time_ns))
    merge.push(TICKS[1], 0, quotes(4))
    assert places(list(merge.ready(everything))) == [(TICKS[1], 0), (TICKS[0], 0), (TICKS[0], 1), (TICKS[0], 2)]


def test_a_refused_record_holds_nothing_up_and_goes_at_once() -> None:
    """It has no time to be trusted; the records behind it take their own places."""
    merge = Merge(TICKS, capacity=10)
    merge.push(TICKS[0], 0, quotes(7))
    merge.push(TICKS[1], 0, [refused(TICKS[1], 0)])
    merge.push(TICKS[1], 1, quotes(9))
    assert places(list(merge.ready(everything))) == [(TICKS[1], 0), (TICKS[0], 0), (TICKS[1], 1)]


def test_a_live_position_goes_at_once_when_the_ticks_are_read_to_their_end() -> None:
    """Whatever its time: no record is known that could come before it."""
    merge = Merge(PARTITIONS, capacity=10)
    merge.push(POSITIONS, 0, [PositionLevel(10**18, "spot", 0, 1.0, "positions[0]@0")])
    assert places(list(merge.ready(everything))) == [(POSITIONS, 0)]


def test_a_position_waits_for_ticks_that_are_in_the_log_and_not_read() -> None:
    """They may be older; once they are read, the older ones go first and the position before the newer ones."""
    merge = Merge(PARTITIONS, capacity=10)
    unread = {TICKS[1]}
    merge.push(POSITIONS, 0, [PositionLevel(5, "spot", 0, 1.0, "positions[0]@0")])
    merge.push(TICKS[0], 0, quotes(3))
    assert list(merge.ready(lambda partition: partition not in unread)) == []
    assert merge.depth == 2
    merge.push(TICKS[1], 0, quotes(4))
    merge.push(TICKS[1], 1, quotes(6))
    unread.clear()
    ready = places(list(merge.ready(lambda partition: partition not in unread)))
    assert ready == [(TICKS[0], 0), (TICKS[1], 0), (POSITIONS, 0), (TICKS[1], 1)]


def test_what_is_ready_ends_where_a_partition_runs_out_before_its_end() -> None:
    """The last record read of a partition goes; what would come after it waits for the next poll."""
    merge = Merge(TICKS, capacity=10)
    for offset, time_ns in enumerate((1, 2)):
        merge.push(TICKS[0], offset, quotes(time_ns))
    for offset, time_ns in enumerate((3, 4)):
        merge.push(TICKS[1], offset, quotes(time_ns))
    assert places(list(merge.ready(lambda partition: partition != TICKS[0]))) == [(TICKS[0], 0), (TICKS[0], 1)]
    assert list(merge.ready(lambda partition: partition != TICKS[0])) == []
    assert places(list(merge.ready(everything))) == [(TICKS[1], 0), (TICKS[1], 1)]


def test_a_partition_is_full_at_its_capacity_and_drained_below_half_of_it() -> None:
    """Between the two nothing changes, so that reading is not paused and resumed with every record."""
    merge = Merge(TICKS, capacity=4)
    assert merge.full() == []
    assert merge.drained() == TICKS
    depth_full_drained = []
    for offset in range(5):
        merge.push(TICKS[0], offset, quotes(offset + 1))
        depth_full_drained.append((merge.depth, TICKS[0] in merge.full(), TICKS[0] in merge.drained()))
    assert depth_full_drained == [
        (1, False, True),
        (2, False, False),
        (3, False, False),
        (4, True, False),
        (5, True, False),
    ]
    assert TICKS[1] not in merge.full()
    for depth, _ in zip((4, 3, 2, 1, 0), merge.ready(everything), strict=True):
        assert merge.depth == depth
        assert (TICKS[0] in merge.full()) == (depth >= 4)
        assert (TICKS[0] in merge.drained()) == (depth < 2)


def test_a_quote_weighs_its_levels_and_whatever_keeps_its_record_weighs_the_record() -> None:
    """Some dozens of ladders of a thousand levels, or of reports and refusals of megabytes, pause their partition."""
    depth = QuoteDepth(1.0, 1.0, ((0.9, 1.0),) * 600, ((1.1, 1.0),) * 400)
    ladder: list[Decoded] = [Quotes(1, (0,), (1.0,), (1.0,), (depth,))]
    large = Record("hedge-status", 0, 1, 0, b"k" * 40_000, b"v" * 40_000, (("header", b"h" * 40_000),))
    report = TradeReport(1, "spot", "id", 0, "filled", None, large, "")
    for events in (ladder, [report], [Refused(large, "undecodable", "broken", "")]):
        merge = Merge(PARTITIONS, 1000)
        merge.push(TICKS[0], 1, events)
        assert merge.full() == [TICKS[0]]


def test_a_refused_position_takes_its_turn() -> None:
    """It marks its book, and must do so at the same point in every replay; another refused record goes at once."""
    merge = Merge(PARTITIONS, 100)
    about = RefusedPosition("spot", None, False, False, None, order_ns=15)
    record = Record(*POSITIONS, 0, 0, None, b"?")
    merge.push(POSITIONS, 0, [Refused(record, "undecodable", "broken", "", position=about)])
    for offset, time_ns in enumerate((10, 20)):
        merge.push(TICKS[0], offset, quotes(time_ns))
    merge.push(TICKS[1], 0, [refused(TICKS[1], 0)])
    assert places(list(merge.ready(everything))) == [(TICKS[1], 0), (TICKS[0], 0), (POSITIONS, 0), (TICKS[0], 1)]
