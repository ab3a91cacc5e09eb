"""Encode: each message on its topic, under its key, as a CloudEvent, and readable by decode."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest
from msgspec import Struct

from message_samples import SAMPLES
from schemas.inbound import Correction, HedgeStatus, Position, PositionsComplete, Tick, TickBatch
from schemas.internal import Snapshot
from schemas.outbound import Alert, DeadLetter, HedgeSuggestion, Model, QuoteSkew, RefusedSummary, ResidualExposure
from schemas.topics import TOPIC_OF, TOPICS
from schemas.wire import JSON, MESSAGE_PACK, decode, event_type
from stream.config import Config, TopicsConfig
from stream.events.decode import Decoder
from stream.events.encode import Encoder, Message, event_time_ns, id_of, key_of
from stream.events.types import PositionLevel, Quotes
from stream.kafka.log import Record
from stream.testing.memory_log import MemoryLog

# 2023-11-14 22:13:20.123456789 UTC
TIME_NS = 1_700_000_000_123_456_789

MESSAGES = {type(sample): msgspec.structs.replace(sample, event_time_ns=TIME_NS) for sample in SAMPLES}

# Of each of them the key and the CloudEvents id.
KEY_AND_ID: dict[type[Struct], tuple[str, str]] = {
    Tick: ("EURUSD", "ecn-1/184467"),
    TickBatch: ("majors", "ecn-1/184468"),
    Position: ('["desk-zürich","CHF"]', "ledger/5120"),
    PositionsComplete: ('["desk-zürich"]', "betapack confirm/3"),
    HedgeStatus: ("desk-zürich", "ems-1/77"),
    Correction: ("ticks[2]@417", f"correction/ticks[2]@417/{TIME_NS}"),
    Model: ("majors", "majors/28407421/412"),
    ResidualExposure: ("desk-zürich", "desk-zürich/28407421/412/28407421"),
    HedgeSuggestion: ("desk-zürich", "desk-zürich/28407421/412/28407421"),
    QuoteSkew: ("desk-zürich", "quote/desk-zürich/28407421/412/28407421"),
    Alert: ("desk-zürich", "limit-breach:desk-zürich/raised/28407421"),
    DeadLetter: ("ticks", "ticks/2/918273/not-finite"),
    RefusedSummary: ("ticks", "refused-summary/ticks/2/918283-919472/unknown-instrument"),
    Snapshot: ("majors", "majors/28407421/923395"),
}

each_message = pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)


def sent(message: Message, content_type: str | None = None) -> Record:
    """The one record that `message` becomes."""
    log = MemoryLog({"dev." + topic.name: topic.partitions for topic in TOPICS})
    writer = log.writer()
    Encoder("dev.", "/betapack/fx").send(writer, message, content_type)
    writer.flush()
    (record,) = [record for topic in TOPICS for record in log.records("dev." + topic.name)]
    return record


def test_every_message_has_an_example_here() -> None:
    """A message that is added gets a test."""
    assert set(MESSAGES) == set(KEY_AND_ID) == set(TOPIC_OF)


@each_message
def test_a_message_goes_to_its_topic_under_its_key_at_its_time(kind: type[Struct]) -> None:
    """Topic with the prefix, key, and the event's time in whole milliseconds."""
    message, (key, _) = MESSAGES[kind], KEY_AND_ID[kind]
    record = sent(message)
    assert record.topic == "dev." + TOPIC_OF[kind].name
    assert record.key == key.encode() == key_of(message).encode()
    assert record.timestamp_ms == 1_700_000_000_123


@each_message
def test_a_message_is_a_cloud_event(kind: type[Struct]) -> None:
    """The six headers of every record: the id is the message's own, the time keeps its nanoseconds."""
    message, (_, message_id) = MESSAGES[kind], KEY_AND_ID[kind]
    headers = dict(sent(message).headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == message_id.encode() == id_of(message).encode()
    assert headers["ce_source"] == b"/betapack/fx"
    assert headers["ce_type"] == event_type(kind).encode()
    assert headers["ce_time"] == b"2023-11-14T22:13:20.123456789Z"
    assert headers["content-type"] == TOPIC_OF[kind].content_type.encode()
    assert len(headers) == 6
    assert datetime.fromisoformat(headers["ce_time"].decode()).timestamp() == pytest.approx(TIME_NS / 1e9)


@each_message
@pytest.mark.parametrize("content_type", [None, JSON, MESSAGE_PACK])
def test_the_header_says_how_the_bytes_are_to_be_read(kind: type[Struct], content_type: str | None) -> None:
    """In the topic's own encoding or another: reading by the header gives the message."""
    message = MESSAGES[kind]
    record = sent(message, content_type)
    said = dict(record.headers)["content-type"].decode()
    assert said == content_type or TOPIC_OF[kind].content_type
    assert record.value is not None
    assert decode(kind, record.value, said) == message


def test_types_are_the_names_in_words() -> None:
    """What consumers filter by."""
    assert event_type(ResidualExposure) == "betapack.residual-exposure"
    assert event_type(Tick) == "betapack.tick"
    assert event_type(TickBatch) == "betapack.tick-batch"
    assert len({event_type(kind) for kind in MESSAGES}) == len(MESSAGES)


def test_the_same_message_gives_the_same_record() -> None:
    """Bytes and headers depend on the message alone."""
    for message in MESSAGES.values():
        assert sent(message) == sent(message)


@pytest.mark.parametrize("content_type", [JSON, MESSAGE_PACK])
def test_what_a_feed_encodes_decode_reads(desk: Config, content_type: str) -> None:
    """Encode and decode are each other's counterpart, a batch's header included."""
    decoder = Decoder(msgspec.structs.replace(desk, topics=TopicsConfig(prefix="dev.")))
    tick = Tick(instrument="EURUSD", event_time_ns=TIME_NS, bid=1.08, ask=1.09, source="lp", seq=7)
    batch = TickBatch(
        universe="fx",
        event_time_ns=TIME_NS,
        instruments=("EURUSD",),
        bids=bytes.fromhex("000000000000f03f"),
        asks=bytes.fromhex("0000000000000040"),
        source="lp",
        seq=8,
    )
    position = Position(book="spot", asset="EUR", quantity=-3.0, event_time_ns=TIME_NS, source="oms", seq=9)
    assert decoder(sent(tick, content_type)) == [Quotes(TIME_NS, (0,), (1.08,), (1.09,), feed="lp")]
    assert decoder(sent(batch, content_type)) == [Quotes(TIME_NS, (0,), (1.0,), (2.0,), feed="lp")]
    (level,) = decoder(sent(position, content_type))
    assert isinstance(level, PositionLevel)
    assert (level.book, level.asset, level.quantity, level.event_time_ns) == ("spot", 0, -3.0, TIME_NS)


def test_a_position_without_a_time_is_sent_at_none() -> None:
    """It leaves its time to the record; 0 here, since only the producer knows."""
    assert event_time_ns(Position(book="spot", asset="EUR", quantity=1.0)) == 0
