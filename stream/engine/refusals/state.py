"""What is remembered of refused records. It is bounded, whatever they hold, and a snapshot keeps it.

Times are milliseconds since 1970: those of records, which may be any number, or those of the market.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

NAMES_MAX = 20
"""Names come from outside: of a hundred thousand different ones, these many are counted one by one."""


@dataclass
class NameCounts:
    """How often each name occurred. The first `NAMES_MAX` names have a count of their own, all others one together."""

    counts: dict[str, int] = field(default_factory=dict)
    others: int = 0

    def add(self, names: Iterable[str], times: int = 1) -> None:
        for name in names:
            if name in self.counts or len(self.counts) < NAMES_MAX:
                self.counts[name] = self.counts.get(name, 0) + times
            else:
                self.others += times

    def merged(self, other: NameCounts) -> NameCounts:
        """Both counts together."""
        both = NameCounts(dict(self.counts), self.others + other.others)
        for name, times in other.counts.items():
            both.add((name,), times)
        return both


@dataclass
class SummedUp:
    """Refused records of one partition that are counted instead of kept. `detail` is that of the first."""

    first_offset: int
    last_offset: int
    earliest_ms: int
    latest_ms: int
    detail: str
    records: int = 0
    names: NameCounts = field(default_factory=NameCounts)


@dataclass
class PartitionMinute:
    """The records of one partition that were refused for one reason since the minute began.

    Attributes
    ----------
    began_ms, began_offset : time and offset of the record with which the minute began.
    clock_ms : the latest time of them.
    market_ms : end of the timestep that was the latest when the last of them came; 0 before the first timestep.
    refused, in_part : how many they are, and of how many of them a part was used.
    kept : how many were kept whole.
    summed : the others, as far as they are not published yet.
    """

    began_ms: int
    began_offset: int
    last_offset: int
    clock_ms: int
    market_ms: int
    refused: int = 0
    in_part: int = 0
    kept: int = 0
    names: NameCounts = field(default_factory=NameCounts)
    summed: SummedUp | None = None


@dataclass
class KindOfRefusal:
    """The refused records of one topic and one reason.

    Attributes
    ----------
    partitions : the latest minute of each partition.
    detail, unit : of the latest record.
    many_ms, many_market_ms : when there were last so many that the alert goes on: time of the record, and `market_ms`.
    since_timestep : how many there were since the latest timestep.
    """

    topic: str
    reason: str
    partitions: dict[int, PartitionMinute] = field(default_factory=dict)
    detail: str = ""
    unit: str = ""
    many_ms: int = 0
    many_market_ms: int = 0
    since_timestep: int = 0


RefusalsState = dict[str, KindOfRefusal]
"""By topic and reason, as ``ticks/unknown-instrument``."""
