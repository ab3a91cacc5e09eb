"""What a refused record of `positions` was about, as far as anybody can tell: the book that now lacks a level.

The strict decoder refused it. Here the same bytes are read leniently, because only names are taken from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from stream.events.outside_text import CHARACTERS_MAX, bounded
from stream.events.position_key import keyed_by
from stream.events.types import LATEST_NS, RefusedPosition
from stream.kafka.log import Record

Believed = Callable[[int, Record], bool]


def refused_position(
    record: Record, *, riskless: str, books: Collection[str], complete: bool, believed: Believed
) -> RefusedPosition | None:
    """What `record` was about; None where nothing of a book can be missing.

    Parameters
    ----------
    record : of the topic `positions`, and refused.
    riskless : the numeraire. A level of it changes no risk.
    books : of the configuration.
    complete : whether the record states that a book is complete. Without levels of its own nothing is lost with it.
    believed : whether an event time can be right for a record.
    """
    fields = _fields(record.value)
    if complete and fields is not None and fields.get("positions") is None:
        return None
    key = keyed_by(record.key)
    said = fields or {}
    book, asset = _name(said, "book"), None if complete else _name(said, "asset")
    if book is None:
        # Either the message names no book, or nobody can read it: then the key is all there is.
        book, asset = key.book, asset or key.asset
    elif book == key.book and asset is None and not complete:
        asset = key.asset
    if asset == riskless:
        return None
    event_time_ns = said.get("event_time_ns")
    if type(event_time_ns) is not int or not believed(event_time_ns, record):
        event_time_ns = None
    quantity = said.get("quantity")
    return RefusedPosition(
        book=book,
        asset=asset,
        by_key=book is not None and book not in books and _name(said, "book") is None,
        flat=type(quantity) in (int, float) and quantity == 0,
        event_time_ns=event_time_ns,
        order_ns=event_time_ns or min(max(record.timestamp_ms * 1_000_000, 0), LATEST_NS),
    )


def _fields(value: bytes | None) -> dict[str, Any] | None:
    """The fields of a message, whatever its content type claims; None where it has none."""
    if not value:
        return None
    # Python's reader also takes what is no JSON but what some producers write: NaN, Infinity, a byte-order mark.
    for read in (json.loads, msgspec.msgpack.decode):
        try:
            fields = read(value)
        except (ValueError, RecursionError):  # of which both readers' own errors are
            continue
        if isinstance(fields, dict):
            return fields
    return None


def _name(fields: dict[str, Any], field: str) -> str | None:
    """What a field names. A long name is cut and hashed, for names of books that nobody knows are kept."""
    name = fields.get(field)
    return bounded(name, CHARACTERS_MAX) if isinstance(name, str) and name else None
