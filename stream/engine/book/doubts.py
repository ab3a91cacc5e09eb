"""Why positions of a book may be missing, and what settles it: levels of the assets in question, or a confirmation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from stream.events.types import PositionLevel, PositionsConfirmed

ASSETS_SHOWN = 5


@dataclass
class Doubt:
    """One reason why positions of a book may be missing.

    Attributes
    ----------
    reason : in words, with the record where there is one.
    assets : names of the assets whose level is still to come; `asked` counts those at the start.
    partition, offset, record_ms : where the missing level stood, as ``positions[2]``. An empty `partition` is any.
    event_time_ns : of the missing level; None where it is unknown.
    ends : by partition, the end of the log when something was found missing from the log itself. None for a doubt that
        comes from a record.
    """

    reason: str
    assets: list[str]
    asked: int
    partition: str
    offset: int
    record_ms: int = 0
    event_time_ns: int | None = None
    ends: dict[str, int] | None = None

    def __str__(self) -> str:
        """The reason, and the assets that are still open once there are levels of some."""
        if len(self.assets) == self.asked:
            return self.reason
        shown = ", ".join(self.assets[:ASSETS_SHOWN])
        more = len(self.assets) - ASSETS_SHOWN
        return f"{self.reason}; still no level of {shown}{f' and {more} more' if more > 0 else ''}"

    def ends_with(self, level: PositionLevel) -> bool:
        """Whether `level` is newer than what is missing, so that nothing is missing of its asset."""
        partition, offset = place(level.source)
        if self.ends is not None:
            # The key keeps the levels of one asset in one partition, where this one comes after those that are gone.
            return partition == self.partition or level.keyed != "other" or offset >= self.ends.get(partition, 0)
        if level.dated and self.event_time_ns is not None and level.event_time_ns < self.event_time_ns:
            return False
        return offset > self.offset if partition == self.partition else level.record_ms >= self.record_ms

    def ends_with_statement(self, statement: PositionsConfirmed) -> bool:
        """Whether `statement` covers what is missing.

        Where records are gone from the log, one that was written before that and that names no levels was about more
        levels than are left.
        """
        if self.ends is None or statement.quantities is not None:
            return True
        partition, offset = place(statement.source)
        return offset >= self.ends.get(partition, 0)


Doubts = dict[str, Doubt]
"""By what is missing. The doubt of an asset stands for the latest of its refused levels."""


def place(source: str) -> tuple[str, int]:
    """Partition and offset of a record that is written as ``positions[2]@17``."""
    partition, _, offset = source.rpartition("@")
    return partition, int(offset)


def settle_by_level(doubts: Doubts, asset: str, level: PositionLevel) -> bool:
    """Take `level` of `asset` off the doubts that it ends. Returns whether it ended any of them whole."""
    before = len(doubts)
    for key, doubt in list(doubts.items()):
        if asset in doubt.assets and doubt.ends_with(level):
            doubt.assets.remove(asset)
            if not doubt.assets:
                del doubts[key]
    return len(doubts) < before


def settle_by_statement(doubts: Doubts, statement: PositionsConfirmed) -> bool:
    """Drop the doubts that `statement` ends. Returns whether there were any."""
    before = len(doubts)
    for key, doubt in list(doubts.items()):
        if doubt.ends_with_statement(statement):
            del doubts[key]
    return len(doubts) < before


def reasons(doubts: Iterable[Doubt]) -> tuple[str, ...]:
    """The doubts in words, each reason once."""
    return tuple(dict.fromkeys(map(str, doubts)))


@dataclass
class RefusedBook:
    """What was refused for a book that was not configured: how many records, the first and the last of them.

    `left` says that the book was configured before and had positions.
    """

    count: int
    first: str
    last: str
    record_ms: int
    left: bool = False


def left_book() -> RefusedBook:
    """What is remembered of a book with positions that leaves the configuration."""
    return RefusedBook(0, "", "@-1", 0, left=True)


@dataclass
class InputGaps:
    """What is remembered of `positions` for books that are configured later.

    Attributes
    ----------
    unknown : what was refused, by the name of a book that was not configured.
    unknown_more : the same for names beyond the bound, together.
    everyones : doubts of every book, by what is missing.
    compacted_ends : see `PositionsCompacted`; empty where the topic is not compacted.
    foreign_keys : whether the key of a position that was used did not name its book, so that keys tell nothing.
    """

    unknown: dict[str, RefusedBook] = field(default_factory=dict)
    unknown_more: RefusedBook | None = None
    everyones: Doubts = field(default_factory=dict)
    compacted_ends: dict[str, int] = field(default_factory=dict)
    foreign_keys: bool = False

    def of_new_book(self, name: str, assets: tuple[str, ...]) -> Doubts:
        """The doubts with which a book starts that was not configured before."""
        doubts = {key: replace(each, assets=list(assets), asked=len(assets)) for key, each in self.everyones.items()}
        refused = self.unknown.get(name, self.unknown_more)
        if refused is not None:
            doubts["configured later"] = _of_refused_book(refused, assets)
        return doubts


def _of_refused_book(refused: RefusedBook, assets: tuple[str, ...]) -> Doubt:
    partition, offset = place(refused.last)
    if refused.left:
        reason = "its positions were forgotten when it left the configuration: start once with --rebuild"
    else:
        records = "1 position of it was" if refused.count == 1 else f"{refused.count:,} positions of it were"
        reason = (
            f"{records} refused before it was configured, the first at {refused.first}: "
            "start once with --rebuild, which reads them"
        )
    return Doubt(reason, list(assets), len(assets), partition, offset, refused.record_ms)
