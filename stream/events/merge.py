"""All input partitions as one sequence, in the order (event time, topic, partition, offset).

The smallest head goes first, as soon as no partition can still bring a smaller one. A partition holds the others back
only while the log is known to hold records of it that have not been read. So a complete log has one order, however it
is cut into polls, and a live record waits for nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from stream.events.types import Decoded, Quotes, Refused, TradeReport
from stream.kafka.log import TopicPartition

BYTES_PER_QUOTE = 100
"""A decoded quote is two floats, an index and their share of the record; a level of a ladder is as large."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The events of one record, where it stood, and how many quotes they weigh."""

    partition: TopicPartition
    offset: int
    event_time_ns: int
    events: list[Decoded]
    weight: int


class Merge:
    """A bounded k-way merge over the partitions of the inputs.

    `full` names the partitions that hold `capacity` quotes or more. The reader must pause them until `drained` names
    them. Other events count by their size, in quotes.
    """

    def __init__(self, partitions: Iterable[TopicPartition], capacity: int) -> None:
        self._waiting: dict[TopicPartition, deque[Merged]] = {partition: deque() for partition in partitions}
        self._heads: list[tuple[int, TopicPartition, int]] = []
        self._empty = set(self._waiting)
        self._capacity = capacity
        self._held = dict.fromkeys(self._waiting, 0)
        self.depth = 0

    def push(self, partition: TopicPartition, offset: int, events: list[Decoded]) -> None:
        """Take the events of the next record of `partition`."""
        waiting = self._waiting[partition]
        weight = sum(map(_weight, events))
        waiting.append(Merged(partition, offset, _order_time_ns(events), events, weight))
        self._held[partition] += weight
        self.depth += 1
        if len(waiting) == 1:
            self._empty.discard(partition)
            self._offer(partition)

    def ready(self, exhausted: Callable[[TopicPartition], bool]) -> Iterator[Merged]:
        """Records in order, until a partition that is not `exhausted` has no record to compare."""
        if not all(exhausted(partition) for partition in self._empty):
            return
        while self._heads:
            _, partition, _ = heappop(self._heads)
            waiting = self._waiting[partition]
            merged = waiting.popleft()
            self._held[partition] -= merged.weight
            self.depth -= 1
            if waiting:
                self._offer(partition)
            else:
                self._empty.add(partition)
            yield merged
            if not waiting and not exhausted(partition):
                return

    def full(self) -> list[TopicPartition]:
        """Partitions to pause: they hold `capacity` or more."""
        return [partition for partition, held in self._held.items() if held >= self._capacity]

    def drained(self) -> list[TopicPartition]:
        """Partitions to resume: they hold less than half of `capacity`."""
        return [partition for partition, held in self._held.items() if 2 * held < self._capacity]

    def _offer(self, partition: TopicPartition) -> None:
        head = self._waiting[partition][0]
        heappush(self._heads, (head.event_time_ns, partition, head.offset))


def _order_time_ns(events: list[Decoded]) -> int:
    """The time that orders a record. A refused record has none to be trusted: it goes at once and delays nothing.

    A refused position takes its turn: what it does to its book must come at the same point in every replay.
    """
    for event in events:
        if not isinstance(event, Refused):
            return event.event_time_ns
        if event.position is not None:
            return event.position.order_ns
    return 0


def _weight(event: Decoded) -> int:
    """The size of an event in quotes. It is never zero, for a thousand empty records are a thousand records."""
    if isinstance(event, Quotes):
        levels = sum(len(depth.bid_levels) + len(depth.ask_levels) for depth in event.depths if depth is not None)
        return (len(event.instruments) or 1) + levels
    if isinstance(event, Refused | TradeReport):
        record = event.record
        headers = sum(len(name) + len(value) for name, value in record.headers)
        return 1 + (len(record.key or b"") + len(record.value or b"") + headers) // BYTES_PER_QUOTE
    return 1
