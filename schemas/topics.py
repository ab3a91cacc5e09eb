"""Which message travels on which topic, in which encoding, and how its topic is kept."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from schemas.inbound import Correction, HedgeStatus, Position, PositionsComplete, Tick, TickBatch
from schemas.internal import Snapshot
from schemas.outbound import Alert, DeadLetter, HedgeSuggestion, Model, QuoteSkew, RefusedSummary, ResidualExposure
from schemas.wire import JSON, MESSAGE_PACK


class Topic(Struct, frozen=True, kw_only=True):
    """One topic: its messages, the field its records are keyed by, the encoding we write, and its Kafka settings."""

    name: str
    direction: Literal["in", "out", "internal"]
    messages: tuple[type[Struct], ...]
    key: str
    content_type: str
    partitions: int
    cleanup_policy: Literal["delete", "compact"]
    summary: str


CORRECTIONS = "corrections"
"""The topic that is read before all others: what it names is left out of them."""

TOPICS = (
    Topic(
        name="ticks",
        direction="in",
        messages=(Tick, TickBatch),
        key="instrument, or universe for a batch",
        content_type=JSON,
        partitions=4,
        cleanup_policy="delete",
        summary="Quotes.",
    ),
    Topic(
        name="positions",
        direction="in",
        messages=(Position, PositionsComplete),
        key='book and asset as ["franc","EUR"]; ["franc"] for a statement; the book alone is read too',
        content_type=JSON,
        partitions=4,
        cleanup_policy="delete",
        summary="Positions of the books, as levels.",
    ),
    Topic(
        name="hedge-status",
        direction="in",
        messages=(HedgeStatus,),
        key="book",
        content_type=JSON,
        partitions=4,
        cleanup_policy="delete",
        summary="What became of suggested trades.",
    ),
    Topic(
        name=CORRECTIONS,
        direction="in",
        messages=(Correction,),
        key="record, or instrument and range",
        content_type=JSON,
        partitions=1,
        cleanup_policy="compact",
        summary="Quotes that shall count as never sent.",
    ),
    Topic(
        name="models",
        direction="out",
        messages=(Model,),
        key="universe",
        content_type=JSON,
        partitions=1,
        cleanup_policy="compact",
        summary="Prices, covariance and β vectors at the close of each timestep.",
    ),
    Topic(
        name="residual-exposure",
        direction="out",
        messages=(ResidualExposure,),
        key="book",
        content_type=JSON,
        partitions=4,
        cleanup_policy="delete",
        summary="What of each book is really unhedged.",
    ),
    Topic(
        name="hedge-suggestions",
        direction="out",
        messages=(HedgeSuggestion,),
        key="book",
        content_type=JSON,
        partitions=4,
        cleanup_policy="delete",
        summary="What to trade.",
    ),
    Topic(
        name="quote-skew",
        direction="out",
        messages=(QuoteSkew,),
        key="book",
        content_type=JSON,
        partitions=4,
        cleanup_policy="compact",
        summary="How to lean the quotes of a book, and when to cross the bid-ask spread instead.",
    ),
    Topic(
        name="alerts",
        direction="out",
        messages=(Alert,),
        key="subject",
        content_type=JSON,
        partitions=1,
        cleanup_policy="delete",
        summary="When a human must look.",
    ),
    Topic(
        name="dead-letters",
        direction="out",
        messages=(DeadLetter, RefusedSummary),
        key="topic of the refused records",
        content_type=JSON,
        partitions=1,
        cleanup_policy="delete",
        summary="Records that could not be used, with the reason.",
    ),
    Topic(
        name="state",
        direction="internal",
        messages=(Snapshot,),
        key="universe, slot and part",
        content_type=MESSAGE_PACK,
        partitions=1,
        cleanup_policy="compact",
        summary="Snapshots that a restarted worker goes on from.",
    ),
)

TOPIC_OF: dict[type[Struct], Topic] = {message: topic for topic in TOPICS for message in topic.messages}
