"""The message that keeps a record which could not be used."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from schemas.outbound import DeadLetter
from schemas.wire import JSON, MESSAGE_PACK, encode
from stream.config.kafka import MAX_RECORD_BYTES
from stream.events.outside_text import CHARACTERS_MAX, bounded
from stream.events.types import LATEST_NS, Refused

VALUE_BYTES_MAX = MAX_RECORD_BYTES * 5 // 8
"""The longest value that is kept whole. Base64 turns three bytes into four, and the rest of the letter needs room."""

KEY_BYTES_MAX = MAX_RECORD_BYTES // 16
DETAIL_CHARACTERS_MAX = 20_000
"""JSON makes six bytes of a control character."""

LETTER_BYTES_MAX = MAX_RECORD_BYTES - 64 * 1024
"""The record of the letter has headers and a key of its own, made of the topic's name and the universe's."""


def dead_letter(refused: Refused) -> DeadLetter:
    """The record of `refused` and the reason. What is too long for a record of its own is cut, and `detail` says so.

    Nothing that a record holds makes a letter that cannot be sent: the service would end at it, at every start.
    """
    record = refused.record
    key, key_cut = _first(record.key, KEY_BYTES_MAX, "key")
    value, value_cut = _first(record.value, VALUE_BYTES_MAX, "value")
    timestamp_ns = record.timestamp_ms * 1_000_000
    letter = DeadLetter(
        id=f"dead-letter/{record.topic}/{record.partition}/{record.offset}/{refused.reason}",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=refused.reason,
        detail=bounded(refused.detail, DETAIL_CHARACTERS_MAX) + key_cut + value_cut,
        event_time_ns=timestamp_ns if 0 <= timestamp_ns <= LATEST_NS else 0,
        key=key,
        value=value,
        content_type=refused.content_type,
    )
    if len(refused.content_type) > CHARACTERS_MAX:
        letter = replace(
            letter,
            content_type=refused.content_type[:CHARACTERS_MAX],
            detail=f"{letter.detail}; content_type: {bounded(refused.content_type, CHARACTERS_MAX)}",
        )
    if max(len(encode(letter, JSON)), len(encode(letter, MESSAGE_PACK))) <= LETTER_BYTES_MAX:
        return letter
    # The limits above leave room enough. Should they ever not, a letter without its record is better than no service.
    left_out = _first(record.key, 0, "key")[1] + _first(record.value, 0, "value")[1]
    detail = f"{bounded(refused.detail)}; the record is left out{left_out}"
    return replace(letter, key=None, value=None, content_type="", detail=detail)


def _first(part: bytes | None, bytes_max: int, name: str) -> tuple[bytes | None, str]:
    """As much of a part of the record as is kept, and what `detail` says of the rest."""
    if part is None or len(part) <= bytes_max:
        return part, ""
    digest = hashlib.sha256(part).hexdigest()
    return part[:bytes_max], f"; of the {name} of {len(part)} bytes with sha256 {digest} the first {bytes_max} are kept"
