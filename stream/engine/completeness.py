"""Which books may lack a position, and when they lack none any more. A book is never more complete than its input.

Each method takes in one event and returns the names of the books whose doubts it changed.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream.config import Config
from stream.engine.book.doubts import Doubt, InputGaps, RefusedBook, place, settle_by_level, settle_by_statement
from stream.engine.book.state import BookState
from stream.events.outside_text import bounded
from stream.events.types import LevelsMissing, PositionLevel, PositionsConfirmed, Refused, RefusedPosition

UNKNOWN_BOOKS_MAX = 1000
"""Names of books that are not configured and had positions refused. Some 100 bytes each, in every snapshot."""

DOUBTS_MAX = 50
"""Of one book. A producer may make up names of assets without end."""

DETAIL_CHARACTERS = 200

WHOLE = "all assets"
UNREADABLE = "all books"
COMPACTED = "compacted"
"""What is missing, where it is not the level of one asset."""

Books = Mapping[str, BookState]


class Completeness:
    """The rules for the books of one configuration. Holds nothing that changes between steps."""

    def __init__(self, config: Config) -> None:
        self._assets = config.universe.assets

    def refused(self, books: Books, gaps: InputGaps, refused: Refused) -> list[str]:
        """A record that was refused. Only one of `positions` leaves a book without a level."""
        position = refused.position
        if position is None:
            return []
        if position.book is not None and position.book in books:
            return self._refused_of(position.book, books[position.book], refused, position)
        if position.book is not None and not (position.by_key and gaps.foreign_keys):
            _remember(gaps, position.book, refused)
            return []
        # Nobody can tell whose level it was: it may be that of any book.
        whose = "a position of an unknown book"
        gaps.everyones[UNREADABLE] = _after(gaps.everyones.get(UNREADABLE), self._whole(refused, position, whose))
        return [
            name for name, book in books.items() if self._raise(book, UNREADABLE, self._whole(refused, position, whose))
        ]

    def level(self, book: BookState, gaps: InputGaps, level: PositionLevel) -> bool:
        """A level that `book` has taken. Returns whether its doubts changed."""
        gaps.foreign_keys |= level.keyed == "other"
        if level.asset is None:
            return False
        changed = bool(book.doubts) and settle_by_level(book.doubts, self._assets[level.asset], level)
        partition, offset = place(level.source) if gaps.compacted_ends and level.keyed != "level" else ("", 0)
        if offset < gaps.compacted_ends.get(partition, 0):
            reason = (
                f"the topic is compacted and {level.source} has a key without an asset, so compaction may have removed "
                'levels of other assets: use keys as ["book","asset"]'
            )
            changed |= COMPACTED not in book.doubts
            book.doubts[COMPACTED] = self._of_log(reason, "", gaps.compacted_ends)
        return changed

    def confirmed(self, book: BookState, statement: PositionsConfirmed) -> bool:
        """A statement that `book` is complete. Returns whether its doubts changed."""
        return settle_by_statement(book.doubts, statement)

    def missing(self, books: Books, gaps: InputGaps, missing: LevelsMissing) -> list[str]:
        """Records that are gone from the log, which may have held a level of any book."""
        gaps.everyones[missing.key] = self._of_log(missing.reason, missing.partition, missing.ends)
        for book in books.values():
            book.doubts[missing.key] = self._of_log(missing.reason, missing.partition, missing.ends)
        return list(books)

    def _refused_of(self, name: str, book: BookState, refused: Refused, position: RefusedPosition) -> list[str]:
        if position.asset is None:
            return [name] if self._raise(book, WHOLE, self._whole(refused, position)) else []
        if position.asset not in self._assets:
            # A level of an asset that the universe does not have. Only where it is flat nothing is missing.
            if position.flat:
                return [name] if book.doubts.pop(_of_asset(position.asset), None) else []
            if len(book.doubts) >= DOUBTS_MAX:
                return [name] if self._raise(book, WHOLE, self._whole(refused, position)) else []
        elif position.event_time_ns is not None:
            held_ns = book.as_of_ns.get(self._assets.index(position.asset), 0)
            if position.event_time_ns < held_ns:
                return []  # the book has a newer level than the one that cannot be used
        doubt = self._of_record(f"no level of {position.asset}", [position.asset], refused, position)
        return [name] if self._raise(book, _of_asset(position.asset), doubt) else []

    def _raise(self, book: BookState, key: str, doubt: Doubt) -> bool:
        """Note `doubt`, in place of an older one of the same key. Returns whether the book was complete in this."""
        known = book.doubts.get(key)
        book.doubts[key] = _after(known, doubt)
        return known is None

    def _whole(self, refused: Refused, position: RefusedPosition, whose: str = "a position") -> Doubt:
        return self._of_record(whose, list(self._assets), refused, position)

    def _of_record(self, what: str, assets: list[str], refused: Refused, position: RefusedPosition) -> Doubt:
        record = refused.record
        partition = f"{record.topic}[{record.partition}]"
        reason = f"{what}: {partition}@{record.offset} was refused as {refused.reason}"
        if refused.detail:
            reason += f" ({bounded(refused.detail, DETAIL_CHARACTERS)})"
        return Doubt(reason, assets, len(assets), partition, record.offset, record.timestamp_ms, position.event_time_ns)

    def _of_log(self, reason: str, partition: str, ends: dict[str, int]) -> Doubt:
        return Doubt(reason, list(self._assets), len(self._assets), partition, -1, ends=ends)


def _after(known: Doubt | None, doubt: Doubt) -> Doubt:
    """`doubt` with the latest time of both: its record came last, but may be about an earlier time than `known`.

    A level must be newer than all that are missing.
    """
    if known is not None and known.event_time_ns is not None:
        doubt.event_time_ns = max(known.event_time_ns, doubt.event_time_ns or 0)
    return doubt


def _of_asset(asset: str) -> str:
    """The key of the doubt about one asset. Its name comes from outside, and may be any word."""
    return f"asset {asset}"


def _remember(gaps: InputGaps, name: str, refused: Refused) -> None:
    """Remember that a position of a book was refused which is not configured, should it be one day."""
    record = refused.record
    source = record.source
    known = gaps.unknown.get(name)
    if known is None and len(gaps.unknown) >= UNKNOWN_BOOKS_MAX:
        known = gaps.unknown_more or RefusedBook(0, source, source, 0)
        gaps.unknown_more = known
    elif known is None:
        known = gaps.unknown[name] = RefusedBook(0, source, source, 0)
    known.count += 1
    known.last, known.record_ms = source, record.timestamp_ms
