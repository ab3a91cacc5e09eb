"""Decode: what cannot be used is refused with its reason, the rest goes on, and nothing raises."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from schemas.inbound import HedgeStatus, Position, Tick, TickBatch
from schemas.wire import JSON, MESSAGE_PACK, encode
from stream.config import Config
from stream.events.decode import LEVELS_MAX, Decoder
from stream.events.types import PositionLevel, QuoteDepth, Quotes, Refused, TradeReport
from stream.kafka.log import Headers, Record

NOW_MS = 1_700_000_000_000
NOW_NS = NOW_MS * 1_000_000
AHEAD_NS = 5 * 1_000_000_000

each_encoding = pytest.mark.parametrize("content_type", [JSON, MESSAGE_PACK])


def record_of(message: Struct | bytes | None, topic: str = "ticks", content_type: str = JSON) -> Record:
    """`message` as record 17 of partition 2, with the headers that its producer gives it."""
    headers: Headers = (("content-type", content_type.encode()),)
    if isinstance(message, TickBatch):
        headers += (("ce_type", b"betapack.tick-batch"),)
    value = encode(message, content_type) if isinstance(message, Struct) else message
    return Record(topic, 2, 17, NOW_MS, b"key", value, headers)


def tick(**changes: object) -> Tick:
    good = {"instrument": "EURUSD", "event_time_ns": NOW_NS, "bid": 1.08, "ask": 1.0801}
    return msgspec.convert(good | changes, Tick)


def position(**changes: object) -> Position:
    good = {"book": "spot", "asset": "CHF", "quantity": -7e6, "event_time_ns": NOW_NS}
    return msgspec.convert(good | changes, Position)


def batch(quotes: dict[str, tuple[float, float]], **changes: object) -> TickBatch:
    bids, asks = (np.array(side, dtype="<f8").tobytes() for side in zip(*quotes.values(), strict=True))
    good = TickBatch(universe="fx", event_time_ns=NOW_NS, instruments=tuple(quotes), bids=bids, asks=asks)
    return msgspec.structs.replace(good, **changes)


@pytest.fixture
def decoder(desk: Config) -> Decoder:
    return Decoder(desk)


@pytest.fixture
def refusal_of(decoder: Decoder) -> Callable[[Record], Refused]:
    """Decodes a record that must be refused as a whole."""

    def only(record: Record) -> Refused:
        (event,) = decoder(record)
        assert isinstance(event, Refused)
        assert event.record is record
        return event

    return only


@each_encoding
def test_a_tick_becomes_a_quote_at_its_place_in_the_configuration(decoder: Decoder, content_type: str) -> None:
    """Either encoding gives the same quote, by the instrument's index."""
    record = record_of(tick(instrument="USDJPY", bid=150.0, ask=150.02), content_type=content_type)
    assert decoder(record) == [Quotes(NOW_NS, (2,), (150.0,), (150.02,))]


def test_without_a_content_type_a_record_is_json(decoder: Decoder) -> None:
    """A producer that sets no headers is understood."""
    record = record_of(tick())._replace(headers=())
    assert decoder(record) == [Quotes(NOW_NS, (0,), (1.08,), (1.0801,))]


def test_unknown_fields_are_skipped(decoder: Decoder) -> None:
    """A producer of a newer version is understood."""
    value = b'{"venue":"x",' + encode(tick(), JSON)[1:]
    assert decoder(record_of(value)) == [Quotes(NOW_NS, (0,), (1.08,), (1.0801,))]


def test_locked_quotes_are_used(decoder: Decoder) -> None:
    """A bid that equals the ask is a price, not an error."""
    assert decoder(record_of(tick(bid=1.08, ask=1.08))) == [Quotes(NOW_NS, (0,), (1.08,), (1.08,))]


@each_encoding
def test_a_tick_brings_its_sizes_and_ladder(decoder: Decoder, content_type: str) -> None:
    """Sizes and levels stay with the quote as they came; a side without a size has none."""
    ladder = tick(ask_size_lots=2.5, ask_levels=[[1.0802, 1.0], [1.0805, 0.0]])
    depth = QuoteDepth(None, 2.5, (), ((1.0802, 1.0), (1.0805, 0.0)))
    assert decoder(record_of(ladder, content_type=content_type)) == [Quotes(NOW_NS, (0,), (1.08,), (1.0801,), (depth,))]


def test_levels_beyond_what_any_book_can_trade_are_cut(desk: Config) -> None:
    """The largest `max_lots` of all books is reached in the level that is kept last; the cut levels are counted."""
    small, large = (msgspec.structs.replace(desk.books[0], name=str(lots), max_lots=lots) for lots in (3, 10))
    decoder = Decoder(msgspec.structs.replace(desk, books=(large, small)))
    bids = [[1.08 - 0.01 * level, 2.5] for level in range(1, 6)]
    asks = [[1.09, 7.0], [1.1, 1.0]]
    (quotes,) = decoder(record_of(tick(bid_size_lots=2.5, bid_levels=bids, ask_size_lots=1.5, ask_levels=asks)))
    assert isinstance(quotes, Quotes)
    (depth,) = quotes.depths
    assert depth is not None
    assert [lots for _, lots in depth.bid_levels] == [2.5, 2.5, 2.5]
    assert [lots for _, lots in depth.ask_levels] == [7.0, 1.0]
    assert quotes.levels_cut == 2


def test_more_levels_than_any_book_needs_are_cut_whatever_their_size(decoder: Decoder) -> None:
    """100,000 levels of a thousandth of a lot reach no book's `max_lots`, and would fill the memory all the same."""
    levels = [[1.0801 + 1e-4 * level, 1e-3] for level in range(1, 100_001)]
    (quotes,) = decoder(record_of(tick(ask_size_lots=1e-3, ask_levels=levels)))
    assert isinstance(quotes, Quotes)
    (depth,) = quotes.depths
    assert depth is not None
    assert depth.ask_levels == tuple((price, lots) for price, lots in levels[:LEVELS_MAX])
    assert quotes.levels_cut == 100_000 - LEVELS_MAX


def test_a_level_that_is_cut_is_checked_all_the_same(refusal_of: Callable[[Record], Refused]) -> None:
    """A ladder with one absurd level is not to be trusted in its others."""
    levels = [[1.09, 1e6], [1.1, -1.0]]
    assert refusal_of(record_of(tick(ask_size_lots=1.0, ask_levels=levels))).reason == "size"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"bid_size_lots": -1.0}, "bid_size_lots has -1.0 lots, expected from 0 to 1e+12"),
        ({"ask_size_lots": 1e13}, "ask_size_lots has 10000000000000.0 lots, expected from 0 to 1e+12"),
        (
            {"ask_size_lots": 1.0, "ask_levels": [[1.0802, 1.0], [1.0803, -2.0]]},
            "ask_levels[1] has -2.0 lots, expected from 0 to 1e+12",
        ),
        (
            {"ask_size_lots": 1.0, "ask_levels": [[1.0803, 1.0], [1.0802, 1.0]]},
            "ask_levels[1] has the price 1.0802, expected one above 1.0803",
        ),
        (
            {"bid_size_lots": 1.0, "bid_levels": [[1.0800, 1.0]]},
            "bid_levels[0] has the price 1.08, expected one below 1.08",
        ),
        (
            {"bid_size_lots": 1.0, "bid_levels": [[-1.0, 1.0]]},
            "bid_levels[0] has the price -1.0, expected from 1e-12 to 1e+12",
        ),
        ({"bid_levels": [[1.07, 1.0]]}, "bid_levels without bid_size_lots, expected the size of the best price"),
    ],
)
def test_a_ladder_that_is_none_is_refused(
    refusal_of: Callable[[Record], Refused], changes: dict[str, object], detail: str
) -> None:
    """Negative or absurd sizes, prices out of order, and levels behind an unknown best size name their level."""
    refused = refusal_of(record_of(tick(**changes)))
    assert (refused.reason, refused.detail) == ("size", detail)


def test_a_size_that_is_no_number_is_refused(refusal_of: Callable[[Record], Refused]) -> None:
    """MessagePack can carry NaN and infinity where JSON cannot."""
    for size in (math.nan, math.inf):
        record = record_of(tick(bid_size_lots=size), content_type=MESSAGE_PACK)
        assert refusal_of(record).reason == "size"


@pytest.mark.parametrize("value", [None, b"", b"{", b"null", b"[]", b'{"instrument":"EURUSD"}', b"\xff\xfe", b"1"])
@pytest.mark.parametrize("topic", ["ticks", "positions"])
def test_what_is_no_message_is_undecodable(
    refusal_of: Callable[[Record], Refused], topic: str, value: bytes | None
) -> None:
    """Broken JSON, another message, a missing field, and a record without a value are refused with the cause."""
    refused = refusal_of(record_of(value, topic))
    assert refused.reason == "undecodable"
    assert refused.detail


@each_encoding
def test_a_wrong_type_is_undecodable_and_the_field_is_named(
    refusal_of: Callable[[Record], Refused], content_type: str
) -> None:
    """A number written as text is not guessed at."""
    raw = {"instrument": "EURUSD", "event_time_ns": NOW_NS, "bid": "1.08", "ask": 1.09}
    value = (msgspec.json if content_type == JSON else msgspec.msgpack).encode(raw)
    refused = refusal_of(record_of(value, content_type=content_type))
    assert (refused.reason, refused.content_type) == ("undecodable", content_type)
    assert "$.bid" in refused.detail


def test_a_record_that_stands_for_damage_is_refused_with_its_reason(refusal_of: Callable[[Record], Refused]) -> None:
    """Also where its bytes would be a message: it is not known what else the log held there."""
    record = record_of(tick())._replace(damage="its checksum is wrong")
    refused = refusal_of(record)
    assert (refused.reason, refused.detail, refused.record) == ("undecodable", "its checksum is wrong", record)


def test_the_name_of_a_feed_is_bounded(decoder: Decoder) -> None:
    """Twenty thousand quotes may wait in the merge, each with the name of its feed."""
    for message in (tick(source="x" * 4_000_000), batch({"EURUSD": (1.08, 1.09)}, source="x" * 4_000_000)):
        (quotes,) = decoder(record_of(message))
        assert isinstance(quotes, Quotes)
        assert len(quotes.feed) < 1000
        assert "4000000" in quotes.feed
    (quotes,) = decoder(record_of(tick(source="lp")))
    assert isinstance(quotes, Quotes)
    assert quotes.feed == "lp"


def test_bytes_of_the_other_encoding_are_undecodable(refusal_of: Callable[[Record], Refused]) -> None:
    """The header decides; what the bytes look like does not."""
    assert refusal_of(record_of(encode(tick(), MESSAGE_PACK))).reason == "undecodable"


@pytest.mark.parametrize("value", [b'{"x":' + b"[" * 100_000, b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"])
def test_nesting_without_end_is_undecodable(refusal_of: Callable[[Record], Refused], value: bytes) -> None:
    """A field that is skipped can still be nested deeper than the stack; it must not take the worker down."""
    assert refusal_of(record_of(value)).reason == "undecodable"


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json; charset=utf-8", JSON),
        ('Application/JSON;charset="UTF-8"', JSON),
        ("application/x-msgpack", MESSAGE_PACK),
        ("application/vnd.msgpack; version=5", MESSAGE_PACK),
    ],
)
@pytest.mark.parametrize("header", ["content-type", "Content-Type"])
def test_case_and_parameters_of_a_content_type_are_ignored(
    decoder: Decoder, header: str, content_type: str, encoding: str
) -> None:
    """A position is not lost because its producer's library writes the same media type in another way."""
    record = record_of(encode(position(), encoding), "positions")
    record = record._replace(headers=((header, content_type.encode()),))
    assert decoder(record) == [PositionLevel(NOW_NS, "spot", 1, -7e6, "positions[2]@17", True, NOW_MS, "other")]


def test_another_charset_is_refused_by_name(refusal_of: Callable[[Record], Refused]) -> None:
    """Bytes of another charset would be read as other names, or not at all."""
    refused = refusal_of(record_of(encode(tick(), JSON), content_type="application/json; charset=latin-1"))
    assert refused.reason == "content-type"
    assert "charset" in refused.detail
    assert "'latin-1'" in refused.detail


LONG = "x" * 3_000_000


@pytest.mark.parametrize(
    "record",
    [
        record_of(encode(tick(), JSON), content_type=LONG),
        record_of(encode(tick(), JSON), content_type="application/json; charset=" + LONG),
        record_of(tick(instrument=LONG)),
        record_of(position(book=LONG), "positions"),
        record_of(position(book="\x01" * 3_000_000), "positions"),
        record_of(position(asset=LONG), "positions"),
        record_of(encode(tick(), JSON).replace(b"EURUSD", b"\xff" * 3_000_000)),
    ],
    ids=range(7),
)
def test_what_a_refusal_says_stays_short(refusal_of: Callable[[Record], Refused], record: Record) -> None:
    """However long the name or header is that it is about."""
    refused = refusal_of(record)
    assert len(refused.detail) < 3000
    assert len(refused.content_type) < 3000
    assert sum(map(len, refused.names)) < 3000


def test_a_refused_batch_or_report_stays_short(decoder: Decoder) -> None:
    """A batch of unknown names, another universe, and values that are not in a list of choices."""
    names = [chr(65 + index) * 100_000 for index in range(25)]
    value = encode(report(), JSON)
    records = [
        record_of(batch(dict.fromkeys(names, (1.0, 1.1)))),
        record_of(batch({"EURUSD": (1.0, 1.1)}, universe=LONG)),
        record_of(report(book=LONG), "hedge-status"),
        record_of(report(instrument=LONG), "hedge-status"),
        record_of(value.replace(b"part-filled", LONG.encode()), "hedge-status"),
        record_of(value.replace(b'"filled_lots":4', b'"filled_lots":-' + b"9" * 4000), "hedge-status"),
        record_of(value.replace(str(NOW_NS).encode(), b"9" * 4000), "hedge-status"),
    ]
    for record in records:
        (refused,) = decoder(record)
        assert isinstance(refused, Refused)
        assert len(refused.detail) < 20_000


@pytest.mark.parametrize("content_type", ["application/avro", "", "application/jsonl; charset=utf-8", "\xe9"])
def test_another_content_type_is_refused_by_name(refusal_of: Callable[[Record], Refused], content_type: str) -> None:
    """The refusal names the accepted types and the one that came."""
    refused = refusal_of(record_of(encode(tick(), JSON), content_type=content_type))
    assert refused.reason == "content-type"
    assert "application/json, application/msgpack" in refused.detail


def test_an_unknown_instrument_is_refused_by_name(refusal_of: Callable[[Record], Refused]) -> None:
    """What the configuration does not name is not traded here."""
    refused = refusal_of(record_of(tick(instrument="GBPUSD")))
    assert refused.reason == "unknown-instrument"
    assert refused.names == ("'GBPUSD'",)
    assert "'GBPUSD'" in refused.detail


@pytest.mark.parametrize(
    ("field", "name", "reason"), [("book", "rates", "unknown-book"), ("asset", "GBP", "unknown-asset")]
)
def test_an_unknown_book_or_asset_is_refused_by_name(
    refusal_of: Callable[[Record], Refused], field: str, name: str, reason: str
) -> None:
    """A position that belongs to nobody here is refused."""
    refused = refusal_of(record_of(position(**{field: name}), "positions"))
    assert refused.reason == reason
    assert refused.names == (f"'{name}'",)
    assert f"'{name}'" in refused.detail


@pytest.mark.parametrize("event_time_ns", [0, -1, -(2**62), NOW_NS + AHEAD_NS + 1_000_001, 2**63 - 1, 2**70])
@pytest.mark.parametrize("kind", ["tick", "batch", "position"])
def test_an_event_time_that_cannot_be_is_refused(
    refusal_of: Callable[[Record], Refused], event_time_ns: int, kind: str
) -> None:
    """Zero, negative, and further ahead of the record's own timestamp than the configuration allows."""
    if kind == "batch" and event_time_ns == 2**70:
        record = record_of(batch({"EURUSD": (1.0, 1.1)}))
        value = record.value.replace(str(NOW_NS).encode(), str(2**70).encode())
        record = record._replace(value=value)
    elif kind == "batch":
        record = record_of(batch({"EURUSD": (1.0, 1.1)}, event_time_ns=event_time_ns))
    else:
        message, topic = (tick(), "ticks") if kind == "tick" else (position(), "positions")
        value = encode(message, JSON).replace(str(NOW_NS).encode(), str(event_time_ns).encode())
        record = record_of(value, topic)
    refused = refusal_of(record)
    assert refused.reason == "event-time"
    assert refused.unit == ""
    assert str(event_time_ns) in refused.detail


@pytest.mark.parametrize("event_time_ns", [1, NOW_NS - 10**15, NOW_NS + 999_999, NOW_NS + AHEAD_NS + 1_000_000])
def test_an_event_time_of_the_past_or_a_little_ahead_is_believed(decoder: Decoder, event_time_ns: int) -> None:
    """Old quotes are for the timesteps to judge; a record's clock counts whole milliseconds, so one more is allowed."""
    (event,) = decoder(record_of(tick(event_time_ns=event_time_ns)))
    assert isinstance(event, Quotes)
    assert event.event_time_ns == event_time_ns


@pytest.mark.parametrize(("divisor", "unit"), [(10**9, "seconds"), (10**6, "milliseconds"), (10**3, "microseconds")])
@pytest.mark.parametrize("age_s", [-100 * 86_400, 0, 30 * 365 * 86_400])
@pytest.mark.parametrize("kind", ["tick", "batch", "position", "report"])
def test_a_time_in_another_unit_is_refused_with_the_unit_it_looks_like(
    refusal_of: Callable[[Record], Refused], kind: str, divisor: int, unit: str, age_s: int
) -> None:
    """Live, replayed from decades ago, or by a clock that is ahead: read as nanoseconds it would lie in January 1970,
    and the feed would be late for ever."""
    event_time_ns = (NOW_NS - age_s * 1_000_000_000) // divisor
    message, topic = {
        "tick": (tick(event_time_ns=event_time_ns), "ticks"),
        "batch": (batch({"EURUSD": (1.0, 1.1)}, event_time_ns=event_time_ns), "ticks"),
        "position": (position(event_time_ns=event_time_ns), "positions"),
        "report": (report(event_time_ns=event_time_ns), "hedge-status"),
    }[kind]
    refused = refusal_of(record_of(message, topic))
    assert refused.reason == "event-time"
    assert f"looks like {unit}" in refused.detail
    assert refused.unit == unit
    assert str(event_time_ns) in refused.detail


def test_a_replay_of_1970_is_believed_where_its_records_are_dated_so(decoder: Decoder) -> None:
    """A time near that of its record needs no other unit to explain it."""
    for event_time_ns in (70 * 10**9, 5 * 86_400 * 10**9, 19 * 86_400 * 10**9):
        record = record_of(tick(event_time_ns=event_time_ns))._replace(timestamp_ms=event_time_ns // 10**6)
        (event,) = decoder(record)
        assert isinstance(event, Quotes)


def test_a_record_whose_own_timestamp_is_in_seconds_is_refused_with_that_reason(
    refusal_of: Callable[[Record], Refused],
) -> None:
    """Kafka's timestamps count milliseconds; the tick is right and its record is not."""
    refused = refusal_of(record_of(tick())._replace(timestamp_ms=NOW_MS // 1000))
    assert refused.reason == "event-time"
    assert "the record's timestamp looks like seconds" in refused.detail


def test_an_event_time_beyond_64_bits_is_refused_whatever_the_record_says(
    refusal_of: Callable[[Record], Refused],
) -> None:
    """A producer that stamps microseconds where Kafka wants milliseconds must not overflow the engine's int64."""
    record = record_of(position(event_time_ns=None), "positions")._replace(timestamp_ms=NOW_MS * 1_000_000)
    assert refusal_of(record).reason == "event-time"
    late = record_of(encode(tick(), JSON).replace(str(NOW_NS).encode(), str(2**63).encode()))
    assert refusal_of(late._replace(timestamp_ms=2**53)).reason == "event-time"


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (math.nan, "not-finite"),
        (math.inf, "not-finite"),
        (-math.inf, "not-finite"),
        (0.0, "not-positive"),
        (-0.0, "not-positive"),
        (-1.08, "not-positive"),
    ],
)
def test_a_price_that_is_no_number_or_not_positive_is_refused(
    refusal_of: Callable[[Record], Refused], side: str, price: float, reason: str
) -> None:
    """Either side decides. (NaN and infinity can only be said in MessagePack.)"""
    message = msgspec.structs.replace(tick(), **{side: price})
    refused = refusal_of(record_of(message, content_type=MESSAGE_PACK))
    assert refused.reason == reason
    assert str(price) in refused.detail


def test_crossed_quotes_are_refused(refusal_of: Callable[[Record], Refused]) -> None:
    """A bid above the ask is an error of the feed, however small."""
    refused = refusal_of(record_of(tick(bid=math.nextafter(1.08, 2.0), ask=1.08)))
    assert refused.reason == "crossed"


@pytest.mark.parametrize("quantity", [math.nan, math.inf, -math.inf])
def test_a_position_that_is_no_number_is_refused(refusal_of: Callable[[Record], Refused], quantity: float) -> None:
    """No exposure comes of NaN or infinity."""
    message = msgspec.structs.replace(position(), quantity=quantity)
    assert refusal_of(record_of(message, "positions", MESSAGE_PACK)).reason == "not-finite"


@each_encoding
def test_a_position_becomes_a_level_with_its_record_as_source(decoder: Decoder, content_type: str) -> None:
    """The asset by its index, and where it was read."""
    record = record_of(position(), "positions", content_type)
    assert decoder(record) == [PositionLevel(NOW_NS, "spot", 1, -7e6, "positions[2]@17", True, NOW_MS, "other")]


def test_the_numeraire_has_no_index(decoder: Decoder) -> None:
    """A position in the numeraire is accepted, and carries no risk."""
    record = record_of(position(asset="USD"), "positions")
    assert decoder(record) == [PositionLevel(NOW_NS, "spot", None, -7e6, "positions[2]@17", True, NOW_MS, "other")]


def test_a_flat_position_is_a_position(decoder: Decoder) -> None:
    """Zero closes a position; it is not a missing one."""
    (event,) = decoder(record_of(position(quantity=0.0), "positions"))
    assert isinstance(event, PositionLevel)
    assert event.quantity == 0.0


def test_a_position_without_a_time_takes_that_of_its_record(decoder: Decoder) -> None:
    """The record's timestamp is the time of the event unless the message says another."""
    (event,) = decoder(record_of(position(event_time_ns=None), "positions"))
    assert isinstance(event, PositionLevel)
    assert event.event_time_ns == NOW_NS


def test_a_position_without_any_time_is_refused(refusal_of: Callable[[Record], Refused]) -> None:
    """A record without a timestamp (-1 in Kafka) gives a position no time."""
    record = record_of(position(event_time_ns=None), "positions")._replace(timestamp_ms=-1)
    assert refusal_of(record).reason == "event-time"


def report(**changes: object) -> HedgeStatus:
    good = {
        "book": "spot",
        "suggestion_id": "hedge/spot/1",
        "instrument": "EURCHF",
        "status": "part-filled",
        "filled_lots": 4,
        "event_time_ns": NOW_NS,
    }
    return msgspec.convert(good | changes, HedgeStatus)


@each_encoding
def test_a_report_of_a_trade_names_its_instrument_by_index(decoder: Decoder, content_type: str) -> None:
    """What the message says, checked, with the record that it came in."""
    record = record_of(report(), "hedge-status", content_type)
    assert decoder(record) == [
        TradeReport(NOW_NS, "spot", "hedge/spot/1", 3, "part-filled", 4, record, content_type),
    ]


def test_a_report_without_a_time_takes_that_of_its_record(decoder: Decoder) -> None:
    """As a position does."""
    (event,) = decoder(record_of(report(event_time_ns=None), "hedge-status"))
    assert isinstance(event, TradeReport)
    assert event.event_time_ns == NOW_NS


@pytest.mark.parametrize(
    ("changes", "reason", "said"),
    [
        ({"book": "nobody"}, "unknown-book", "'nobody' is not in the configuration"),
        ({"instrument": "GBPUSD"}, "unknown-instrument", "'GBPUSD' is not in the configuration"),
        ({"filled_lots": None}, "out-of-range", "expected filled_lots, got none"),
        ({"filled_lots": -1}, "out-of-range", "filled_lots -1, expected 0 or more"),
        ({"event_time_ns": NOW_NS + AHEAD_NS + 10**6 + 1}, "event-time", "after the record's timestamp"),
    ],
)
def test_a_report_that_cannot_be_used_says_what_was_expected(
    refusal_of: Callable[[Record], Refused], changes: dict[str, object], reason: str, said: str
) -> None:
    """Unknown names, a part-fill of nobody knows how much, a count below zero, a time from the future."""
    refused = refusal_of(record_of(report(**changes), "hedge-status"))
    assert refused.reason == reason
    assert said in refused.detail


def test_a_status_that_does_not_exist_is_refused(refusal_of: Callable[[Record], Refused]) -> None:
    """Only the four that are documented."""
    value = encode(report(), JSON).replace(b"part-filled", b"half-filled")
    assert refusal_of(record_of(value, "hedge-status")).reason == "undecodable"


@each_encoding
def test_a_batch_is_one_set_of_quotes(decoder: Decoder, content_type: str) -> None:
    """In the batch's own order, by indices in the configuration."""
    message = batch({"USDJPY": (150.0, 150.1), "EURUSD": (1.08, 1.09)})
    assert decoder(record_of(message, content_type=content_type)) == [
        Quotes(NOW_NS, (2, 0), (150.0, 1.08), (150.1, 1.09))
    ]


def test_the_good_quotes_of_a_batch_go_on_and_the_bad_ones_are_refused_by_reason(decoder: Decoder) -> None:
    """One refusal for each reason, naming every quote it is about; none of them holds up the good ones."""
    message = batch(
        {
            "EURUSD": (1.08, 1.09),
            "GBPUSD": (1.25, 1.26),
            "USDCHF": (0.9, 0.8),
            "USDJPY": (math.nan, 150.0),
            "EURCHF": (-1.0, 0.95),
            "NOKSEK": (1.0, 1.1),
        }
    )
    record = record_of(message, content_type=MESSAGE_PACK)
    quotes, *refusals = decoder(record)
    assert quotes == Quotes(NOW_NS, (0,), (1.08,), (1.09,))
    assert all(isinstance(refused, Refused) and refused.record is record for refused in refusals)
    by_reason = {refused.reason: refused.detail for refused in refusals if isinstance(refused, Refused)}
    assert len(by_reason) == len(refusals)
    assert set(by_reason) == {"unknown-instrument", "crossed", "not-finite", "not-positive"}
    assert all(refused.in_part for refused in refusals if isinstance(refused, Refused))
    names = {refused.reason: refused.names for refused in refusals if isinstance(refused, Refused)}
    assert names == {
        "unknown-instrument": ("'GBPUSD'", "'NOKSEK'"),
        "crossed": ("'USDCHF'",),
        "not-finite": ("'USDJPY'",),
        "not-positive": ("'EURCHF'",),
    }
    assert "'GBPUSD'" in by_reason["unknown-instrument"]
    assert "'NOKSEK'" in by_reason["unknown-instrument"]
    assert "USDCHF" in by_reason["crossed"]
    assert "USDJPY" in by_reason["not-finite"]
    assert "EURCHF" in by_reason["not-positive"]


def test_a_batch_without_a_good_quote_is_refused_and_gives_no_quotes(
    refusal_of: Callable[[Record], Refused],
) -> None:
    """Its time moves no watermark: nothing of it could be used."""
    refused = refusal_of(record_of(batch({"GBPUSD": (1.25, 1.26)})))
    assert refused.reason == "unknown-instrument"
    assert not refused.in_part


def test_an_empty_batch_is_a_heartbeat(decoder: Decoder) -> None:
    """A feed that has nothing to say can still say that it is there."""
    message = TickBatch(universe="fx", event_time_ns=NOW_NS, instruments=(), bids=b"", asks=b"")
    assert decoder(record_of(message)) == [Quotes(NOW_NS, (), (), ())]


def test_a_batch_of_another_universe_is_refused(refusal_of: Callable[[Record], Refused]) -> None:
    """Its assets have another covariance."""
    refused = refusal_of(record_of(batch({"EURUSD": (1.08, 1.09)}, universe="equities")))
    assert refused.reason == "unknown-universe"
    assert "'equities'" in refused.detail


@pytest.mark.parametrize("side", ["bids", "asks"])
@pytest.mark.parametrize("size", [0, 7, 16])
def test_a_batch_of_another_length_than_its_names_is_undecodable(
    refusal_of: Callable[[Record], Refused], side: str, size: int
) -> None:
    """Prices are not matched to instruments by guessing."""
    refused = refusal_of(record_of(batch({"EURUSD": (1.08, 1.09)}, **{side: b"\0" * size})))
    assert refused.reason == "undecodable"
    assert "expected 8 bytes" in refused.detail


raw_records = st.builds(
    Record,
    topic=st.sampled_from(["ticks", "positions", "hedge-status"]),
    partition=st.integers(0, 3),
    offset=st.integers(0, 2**62),
    timestamp_ms=st.integers(-1, 2**62),
    key=st.none() | st.binary(max_size=8),
    value=st.none() | st.binary(max_size=64),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["content-type", "ce_type", "other"]),
            st.sampled_from([b"application/json", b"application/msgpack", b"betapack.tick-batch"])
            | st.sampled_from([b"Application/JSON; charset=utf-8", b"application/x-msgpack;charset=latin-1", b"\xff;"])
            | st.binary(),
        ),
        max_size=3,
    ).map(tuple),
)
numbers = st.floats() | st.integers(-(2**63), 2**64 - 1)
names = st.sampled_from(["EURUSD", "USDJPY", "spot", "EUR", "fx"]) | st.text(max_size=3)
almost_messages = st.dictionaries(
    st.sampled_from(["instrument", "instruments", "event_time_ns", "bid", "ask", "bids", "asks", "universe"])
    | st.sampled_from(["book", "asset", "quantity", "source", "seq", "other"])
    | st.sampled_from(["suggestion_id", "status", "filled_lots", "bid_levels", "ask_levels", "ask_size_lots"]),
    numbers | names | st.binary(max_size=16) | st.none() | st.lists(names, max_size=2),
    max_size=8,
)


@given(record=raw_records)
def test_no_bytes_raise_and_each_record_gives_an_event(record: Record) -> None:
    """Whatever stands in the log, decode answers, with at least one event."""
    assert_answers(record)


@pytest.mark.slow
@given(message=almost_messages, record=raw_records, packed=st.booleans())
def test_no_message_of_almost_the_right_shape_raises(message: dict[str, object], record: Record, packed: bool) -> None:
    """The right fields with the wrong values come closer to the code behind the decoder than random bytes do."""
    if packed:
        value, content_type = msgspec.msgpack.encode(message), MESSAGE_PACK
    else:
        value, content_type = msgspec.json.encode(message), JSON
    assert_answers(record._replace(value=value, headers=(("content-type", content_type.encode()), *record.headers)))


def assert_answers(record: Record) -> None:
    """At least one event; quotes and positions that the engine can compute with; refusals with a reason."""
    events = DECODER(record)
    assert events
    for event in events:
        if isinstance(event, Refused):
            assert event.record is record
            assert event.detail
            assert len(event.detail) < 20_000
            continue
        assert 0 < event.event_time_ns < 2**63
        if isinstance(event, TradeReport):
            assert event.filled_lots is None or event.filled_lots >= 0
            continue
        numbers = (*event.bids, *event.asks) if isinstance(event, Quotes) else (event.quantity,)
        assert all(math.isfinite(number) for number in numbers)
        if isinstance(event, Quotes):
            assert all(0 < bid <= ask for bid, ask in zip(event.bids, event.asks, strict=True))


def minimal_config() -> Config:
    """Hypothesis runs its examples outside of fixtures of a function's scope."""
    return msgspec.convert(
        {
            "universe": {
                "name": "fx",
                "numeraire": "USD",
                "assets": ["EUR", "JPY"],
                "timestep_s": 1.0,
                "max_price_age_s": 5.0,
            },
            "instruments": [
                {"name": "EURUSD", "legs": {"EUR": 1.0}, "quote": "USD", "lot": 1e6},
                {"name": "USDJPY", "legs": {"USD": 1.0}, "quote": "JPY", "lot": 1e6},
            ],
            "books": [{"name": "spot", "limit": 1.0}],
            "solver": {"lot_notional": 1e6},
        },
        Config,
    )


DECODER = Decoder(minimal_config())
