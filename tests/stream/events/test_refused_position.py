"""Which book lacks a level when a record of `positions` is refused."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from schemas.inbound import Position, PositionsComplete
from schemas.wire import encode
from stream.config import Config
from stream.events.decode import Decoder
from stream.events.types import PositionsConfirmed, Refused, RefusedPosition
from stream.kafka.log import Headers, Record

NOW_NS = 1_748_851_200_000_000_000
NOW_MS = NOW_NS // 1_000_000
COMPLETE = (("ce_type", b"betapack.positions-complete"),)
About = Callable[..., RefusedPosition | None]


@pytest.fixture
def about(desk: Config) -> About:
    decoder = Decoder(desk)

    def refused(value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> RefusedPosition | None:
        (event,) = decoder(Record("positions", 2, 17, NOW_MS, key, value, headers))
        assert isinstance(event, Refused)
        return event.position

    return refused


AVRO = (("content-type", b"application/avro"),)


@pytest.mark.parametrize(
    ("value", "key", "headers", "book", "asset"),
    [
        (b'{"book": "spot", "asset": "EUR", "quantity": "1"}', None, (), "spot", "EUR"),
        (b'{"book": "spot", "asset": "EUR", "quantity": NaN}', b"options", (), "spot", "EUR"),
        (b'\xef\xbb\xbf{"book": "spot", "asset": "EUR", "quantity": 1}', None, (), "spot", "EUR"),
        (b'{"book": "spot", "asset": "EUR", "quantity": 1}', None, AVRO, "spot", "EUR"),
        (msgspec.msgpack.encode({"book": "spot", "asset": "EUR", "quantity": 1}), None, (), "spot", "EUR"),
        (b'{"book": "spot", "quantity": 1}', b'["spot","CHF"]', (), "spot", "CHF"),
        (b'{"book": "spot", "quantity": 1}', b'["options","CHF"]', (), "spot", None),
        (b'{"book": 7, "asset": "EUR"}', b"spot", (), "spot", "EUR"),
        (b'{"book": "spot", "asset": "\\ud800"}', None, (), "spot", "?"),
        (b"?", b'["spot","CHF"]', (), "spot", "CHF"),
        (None, b'["spot","CHF"]', (), "spot", "CHF"),
        (b"?", b"spot", AVRO, "spot", None),
        (b"?", None, (), None, None),
        (b'["spot", "EUR", 1]', None, (), None, None),
        (b"[" * 100_000, b"spot", (), "spot", None),
        (b"9" * 10_000, b"spot", (), "spot", None),
    ],
)
def test_the_message_tells_and_where_nobody_can_read_it_the_key(
    about: About, value: bytes | None, key: bytes | None, headers: Headers, book: str | None, asset: str | None
) -> None:
    """Read as leniently as can be: the content type may be wrong, and a field of the wrong type hides no other."""
    found = about(value, key, headers)
    assert found is not None
    assert (found.book, found.asset) == (book, asset)


def test_a_key_that_names_no_book_of_ours_is_told_apart(about: About) -> None:
    """It is a book that may be configured later, or no book at all."""
    for value, key, by_key in ((b"?", b"x", True), (b'{"book": "x"}', b"y", False), (b"?", b"spot", False)):
        found = about(value, key)
        assert found is not None
        assert found.by_key is by_key


def test_a_level_of_the_numeraire_leaves_nothing_out(about: About) -> None:
    """It carries no risk."""
    assert about(b'{"book": "spot", "asset": "USD", "quantity": NaN}') is None


def test_its_time_is_the_message_s_where_that_can_be_right(about: About) -> None:
    """Else that of its record, which puts it in order with other positions."""
    in_time = about(b'{"book": "spot", "asset": "EUR", "quantity": NaN, "event_time_ns": %d}' % (NOW_NS - 5))
    assert in_time is not None
    assert (in_time.event_time_ns, in_time.order_ns) == (NOW_NS - 5, NOW_NS - 5)
    for wrong in (b"1748851200000", b"true", b'"x"', b"9e30"):
        found = about(b'{"book": "spot", "asset": "EUR", "quantity": NaN, "event_time_ns": %s}' % wrong)
        assert found is not None
        assert (found.event_time_ns, found.order_ns) == (None, NOW_NS)


def test_a_name_without_end_is_cut(about: About) -> None:
    """Names of books that nobody knows are kept in the state."""
    found = about(encode(Position(book="b" * 3_000_000, asset="EUR", quantity=1.0), "application/json"))
    assert found is not None
    assert found.book is not None
    assert len(found.book) < 400
    assert not found.by_key


def test_a_refused_statement_leaves_out_what_it_held(about: About, desk: Config) -> None:
    """Without positions it holds nothing; one that nobody can read may hold any."""
    whole = encode(PositionsComplete(book="spot", positions={"EUR": 1e99}), "application/json")
    for value, marks in ((whole, True), (b'{"book": "spot", "event_time_ns": 1748851200000}', False), (b"?", True)):
        found = about(value, b'["spot"]', COMPLETE)
        assert (found is not None) is marks, value
        assert found is None or (found.book, found.asset) == ("spot", None)


def test_a_statement_is_told_by_its_type(desk: Config) -> None:
    """With positions every asset has a quantity, in the order of the universe."""
    decoder = Decoder(desk)
    statement = PositionsComplete(book="spot", positions={"JPY": 3.0, "USD": 9.0}, event_time_ns=NOW_NS)
    record = Record("positions", 2, 17, NOW_MS, None, encode(statement, "application/json"), COMPLETE)
    assert decoder(record) == [PositionsConfirmed(NOW_NS, "spot", (0.0, 0.0, 3.0), "positions[2]@17")]
    bare = encode(PositionsComplete(book="spot"), "application/json")
    assert decoder(record._replace(value=bare)) == [PositionsConfirmed(NOW_NS, "spot", None, "positions[2]@17", False)]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (PositionsComplete(book="x"), "unknown-book"),
        (PositionsComplete(book="spot", positions={"XAU": 1.0}), "unknown-asset"),
        (PositionsComplete(book="spot", positions={"EUR": 1e99}), "out-of-range"),
        (PositionsComplete(book="spot", event_time_ns=NOW_MS), "event-time"),
    ],
)
def test_a_statement_is_checked_as_positions_are(desk: Config, statement: PositionsComplete, reason: str) -> None:
    record = Record("positions", 2, 17, NOW_MS, None, encode(statement, "application/json"), COMPLETE)
    (event,) = Decoder(desk)(record)
    assert isinstance(event, Refused)
    assert event.reason == reason
