"""The message that keeps a record which could not be used."""

from __future__ import annotations

import hashlib

from schemas.outbound import DeadLetter
from stream.config.kafka import MAX_RECORD_BYTES
from stream.events.types import LATEST_NS, Refused

VALUE_BYTES_MAX = MAX_RECORD_BYTES * 5 // 8
"""The longest value that is kept whole. Base64 turns three bytes into four, and the rest of the letter needs room."""


def dead_letter(refused: Refused) -> DeadLetter:
    """The message with the record of `refused` and the reason. A value that is too long is cut."""
    record = refused.record
    value, detail = record.value, refused.detail
    if value is not None and len(value) > VALUE_BYTES_MAX:
        # Happens only on topics that allow longer records than ours. The letter must itself fit into a record of ours.
        digest = hashlib.sha256(value).hexdigest()
        detail = f"{detail}; of {len(value)} bytes with sha256 {digest} the first {VALUE_BYTES_MAX} are kept"
        value = value[:VALUE_BYTES_MAX]
    timestamp_ns = record.timestamp_ms * 1_000_000
    return DeadLetter(
        id=f"dead-letter/{record.topic}/{record.partition}/{record.offset}/{refused.reason}",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=refused.reason,
        detail=detail,
        event_time_ns=timestamp_ns if 0 <= timestamp_ns <= LATEST_NS else 0,
        key=record.key,
        value=value,
        content_type=refused.content_type,
    )
