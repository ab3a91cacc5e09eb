"""Messages to records: topic, key, bytes, headers. The counterpart of `stream.events.decode`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.inbound import Correction, HedgeStatus, Position, PositionsComplete, Tick, TickBatch
from schemas.internal import Snapshot
from schemas.outbound import Alert, DeadLetter, HedgeSuggestion, Model, QuoteSkew, RefusedSummary, ResidualExposure
from schemas.topics import TOPIC_OF
from schemas.wire import encode, event_type
from stream.events.position_key import complete_key, level_key
from stream.kafka.log import Headers, Writer

Inbound = Tick | TickBatch | Position | PositionsComplete | HedgeStatus
Outbound = ResidualExposure | HedgeSuggestion | QuoteSkew | Alert | Model | DeadLetter | RefusedSummary
Message = Inbound | Correction | Outbound | Snapshot


@dataclass(frozen=True, slots=True)
class Encoder:
    """Writes messages as records of the topics with this prefix, as CloudEvents from this source."""

    topic_prefix: str
    source: str

    def send(
        self, writer: Writer, message: Message, content_type: str | None = None, timestamp_ms: int | None = None
    ) -> None:
        """Queue `message` on its topic, in the topic's own content type unless another is given.

        `timestamp_ms` is the record's where the message has no time of its own.
        """
        topic = TOPIC_OF[type(message)]
        content_type = content_type or topic.content_type
        time_ns = event_time_ns(message) if timestamp_ms is None else timestamp_ms * 1_000_000
        writer.send(
            self.topic_prefix + topic.name,
            key_of(message).encode(),
            encode(message, content_type),
            self._headers(message, content_type, time_ns),
            time_ns // 1_000_000,
        )

    def _headers(self, message: Message, content_type: str, time_ns: int) -> Headers:
        return (
            ("content-type", content_type.encode()),
            ("ce_specversion", b"1.0"),
            ("ce_id", id_of(message).encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", event_type(type(message)).encode()),
            ("ce_time", _rfc3339(time_ns).encode()),
        )


def key_of(message: Message) -> str:
    """What the record is partitioned (and, where the topic is compacted, replaced) by."""
    match message:
        case Tick():
            return message.instrument
        case TickBatch() | Model():
            return message.universe
        case Snapshot():
            return snapshot_key(message.universe, message.slot, message.part)
        case Position():
            return level_key(message.book, message.asset)
        case PositionsComplete():
            return complete_key(message.book)
        case HedgeStatus() | ResidualExposure() | HedgeSuggestion() | QuoteSkew():
            return message.book
        case Alert():
            return message.subject
        case DeadLetter() | RefusedSummary():
            return message.topic
        case Correction():
            return correction_key(message)


def correction_key(correction: Correction) -> str:
    """What the correction is of: a later one of the same quotes replaces it."""
    if correction.record:
        return correction.record
    return f"{correction.instrument}/{correction.from_time_ns}/{correction.to_time_ns}"


def snapshot_key(universe: str, slot: int, part: int) -> str:
    """The key under which a compacted topic keeps the latest record: one for each part in each slot."""
    return universe if slot == part == 0 else f"{universe}#{slot}.{part}"


def id_of(message: Message) -> str:
    """The CloudEvents id: the message's own; for inputs the source and its count; for parts of a snapshot one each."""
    if isinstance(message, Inbound):
        return f"{message.source}/{message.seq}"
    if isinstance(message, Correction):
        return f"correction/{correction_key(message)}/{message.event_time_ns}"
    if isinstance(message, Snapshot) and message.part:
        return f"{message.id}#{message.part}"
    return message.id


def event_time_ns(message: Message) -> int:
    """The time of the event; 0 for a message that leaves it to its record."""
    return message.event_time_ns or 0


def _rfc3339(time_ns: int) -> str:
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
