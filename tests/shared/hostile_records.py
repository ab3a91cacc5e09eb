"""Records that somebody could write to hurt the service, made from a seed. None of them can be used.

Each kind is a function of a source of chance, a size in bytes that it should have about, and the event time of now.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import msgspec

from schemas.inbound import HedgeStatus, Position, Tick, TickBatch

JSON_HEADER = ("content-type", b"application/json")
PACK_HEADER = ("content-type", b"application/msgpack")
BATCH_HEADER = ("ce_type", b"betapack.tick-batch")
LARGE = 64 * 1024
"""One record in two hundred is larger; all together they are half of all bytes."""


class Hostile(NamedTuple):
    """One record without its topic. `kind` is the function that made it."""

    kind: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


Part = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
Kind = Callable[[Random, int, int], Part]


def hostile(seed: int, count: int, now_ns: int, size_max: int) -> Iterator[Hostile]:
    """`count` records of up to about `size_max` bytes, the same for the same seed."""
    chance = Random(seed)
    kinds = list(KINDS.items())
    for _ in range(count):
        name, make = chance.choice(kinds)
        least, most = (LARGE, size_max) if size_max > LARGE and chance.random() < 0.005 else (1, min(LARGE, size_max))
        size = round(least * (most / least) ** chance.random())
        key, value, headers = make(chance, size, now_ns)
        # Kafka takes no negative time but -1, and our inputs none far ahead.
        timestamp_ms = chance.choice(
            (0, 1, 1000, now_ns // 1_000_000, now_ns // 1_000_000, now_ns // 1_000_000 - 10**9)
        )
        yield Hostile(name, key, value, headers, timestamp_ms)


def random_bytes(chance: Random, size: int, now_ns: int) -> Part:
    return b"EURUSD", b"\xff" + chance.randbytes(size), ()


def zeros(chance: Random, size: int, now_ns: int) -> Part:
    """They compress a thousandfold."""
    return None, bytes(size), chance.choice(((), (PACK_HEADER,)))


def empty(chance: Random, size: int, now_ns: int) -> Part:
    return b"spot", chance.choice((b"", b" ", b"\n" * size)), ()


def deleted(chance: Random, size: int, now_ns: int) -> Part:
    """A key without a value, as a compacted topic has them."""
    return chance.choice((b"spot", b"EURUSD", b"k" * min(size, 100_000))), None, ()


def wrong_shape(chance: Random, size: int, now_ns: int) -> Part:
    field = chance.choice(("book", "bid", "instrument", "event_time_ns", ""))
    value = chance.choice(("text", 1, -1.5, None, True, [], {}, [1] * (size // 3), {"a": {"b": 1}}))
    return None, json.dumps({field: value, "asset": value}).encode(), (JSON_HEADER,)


def not_an_object(chance: Random, size: int, now_ns: int) -> Part:
    return None, json.dumps(chance.choice(("x" * size, 12, None, [None] * (size // 6), True))).encode(), ()


def deep(chance: Random, size: int, now_ns: int) -> Part:
    opening = chance.choice((b"[", b'{"a":', b'[{"book":', b'{"bid_levels":[['))
    return None, opening * (size // len(opening) + 1), ()


def deep_pack(chance: Random, size: int, now_ns: int) -> Part:
    """Arrays of one array, and maps of one map, without an end."""
    return None, chance.choice((b"\x91", b"\x81\xa1a")) * size, (PACK_HEADER,)


def long_text(chance: Random, size: int, now_ns: int) -> Part:
    letter = chance.choice(("x", "\x01", "é", "\U0001f600", "\\"))
    name = letter * (size // len(letter.encode()) + 1)
    message = chance.choice(
        (
            Position(book=name, asset="EUR", quantity=1.0, event_time_ns=now_ns),
            Tick(instrument=name, event_time_ns=now_ns, bid=1.0, ask=1.1),
            HedgeStatus(book=name, suggestion_id=name, instrument="EURUSD", status="filled"),
        )
    )
    return name.encode()[:1000], msgspec.json.encode(message), (JSON_HEADER,)


def long_number(chance: Random, size: int, now_ns: int) -> Part:
    number = chance.choice(("1" * size, "-" + "9" * size, "0." + "3" * size, "1e" + "9" * min(size, 5000), "1e400"))
    body = '{"instrument":"nothing","book":"nobody","asset":"EUR","quantity":%s,"event_time_ns":%s,"bid":%s,"ask":%s}'
    return None, (body % (number, number, number, number)).encode(), ()


def not_a_number(chance: Random, size: int, now_ns: int) -> Part:
    """NaN and the infinities are floats in MessagePack, and no JSON."""
    value = chance.choice((float("nan"), float("inf"), float("-inf")))
    tick = {"instrument": "EURUSD", "event_time_ns": now_ns, "bid": value, "ask": value, "book": "spot", "asset": "EUR"}
    if chance.random() < 0.5:
        return None, msgspec.msgpack.encode({**tick, "quantity": value}), (PACK_HEADER,)
    return None, json.dumps({**tick, "quantity": value}).encode(), (JSON_HEADER,)


def no_text(chance: Random, size: int, now_ns: int) -> Part:
    body = b'{"instrument": "\xff\xfe%s", "book": "\xed\xa0\x80", "asset": "\xc0\x80"}' % (b"\x80" * size)
    return b"\xff\xfe", body, ()


def half_characters(chance: Random, size: int, now_ns: int) -> Part:
    return (
        None,
        b'{"instrument":"%s","book":"\\ud800","bid":1,"ask":1,"event_time_ns":1}' % (b"\\udfff" * (size // 6)),
        (),
    )


def wrong_type(chance: Random, size: int, now_ns: int) -> Part:
    header = chance.choice(
        (b"", b"text/plain", b"\xff" * size, b"application/json; charset=utf-16", b"\x00", b"a" * size)
    )
    return None, b"{}", (("content-type", header),)


def many_headers(chance: Random, size: int, now_ns: int) -> Part:
    count = min(size // 4 + 1, 20_000)
    return None, b"{", tuple((chance.choice(("", "content-type", "ce_type")), b"") for _ in range(count))


def long_header(chance: Random, size: int, now_ns: int) -> Part:
    return None, b"{", (("x" * min(size, 1_000_000), chance.randbytes(100)), ("ce_type", b"\xff" * size))


def long_key(chance: Random, size: int, now_ns: int) -> Part:
    return chance.choice((b"\x00", b"\xff", b"k")) * size, b"{", ()


def declared(chance: Random, size: int, now_ns: int) -> Part:
    """MessagePack that declares gigabytes and holds a few bytes."""
    prefix = chance.choice((b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9"))
    length = chance.choice((2**32 - 1, 2**31, 10**8))
    in_field = b"\x81\xaainstrument" if chance.random() < 0.5 else b""
    return None, in_field + prefix + struct.pack(">I", length) + bytes(min(size, 100)), (PACK_HEADER,)


def declared_batch(chance: Random, size: int, now_ns: int) -> Part:
    """A batch whose instruments are declared in billions."""
    body = b"\x83\xa8universe\xa2fx\xabinstruments\xdd\xff\xff\xff\xff" + b"\xa6EURUSD" * (size // 7)
    return None, body, (PACK_HEADER, BATCH_HEADER)


def uneven_batch(chance: Random, size: int, now_ns: int) -> Part:
    """Names, bids and asks of different numbers."""
    names = ("EURUSD",) * chance.choice((0, 1, 3, size // 8))
    batch = TickBatch(
        universe="fx",
        event_time_ns=now_ns,
        instruments=names,
        bids=bytes(8 * len(names) + chance.choice((1, 7, 8, 800))),
        asks=chance.randbytes(8 * len(names)),
    )
    return b"fx", msgspec.msgpack.encode(batch), (PACK_HEADER, BATCH_HEADER)


def absurd(chance: Random, size: int, now_ns: int) -> Part:
    """Whole messages about what there is, with values that nothing has."""
    tick: dict[str, Any] = {"instrument": "EURUSD", "event_time_ns": now_ns, "bid": 1.08, "ask": 1.09}
    position: dict[str, Any] = {"book": "spot", "asset": "EUR", "quantity": 1e6, "event_time_ns": now_ns}
    report: dict[str, Any] = {"suggestion_id": "s", "status": "part-filled"}
    tick |= chance.choice(
        (
            {"bid": -1.0},
            {"bid": 0.0, "ask": 0.0},
            {"bid": 1e300, "ask": 1e301},
            {"bid": 5e-324},
            {"bid": 2.0},
            {"event_time_ns": -(2**63)},
            {"event_time_ns": 2**63 - 1},
            {"event_time_ns": 0},
            {"bid_size_lots": -5.0},
            {"bid_levels": [[1.0, 1.0]]},
            {"ask_size_lots": 1.0, "ask_levels": [[1.0, 1.0]] * (size // 9 + 1)},
        )
    )
    position |= chance.choice(({"quantity": 1e16}, {"quantity": -1e300}, {"asset": "EURO"}, {"book": ""}))
    # The topic decides which of them it is, and each of the three is refused.
    message = {**report, **position, **tick, "filled_lots": -1}
    return b"EURUSD", msgspec.json.encode(message), (JSON_HEADER,)


def cut_short(chance: Random, size: int, now_ns: int) -> Part:
    whole = msgspec.json.encode(Tick(instrument="EURUSD", event_time_ns=now_ns, bid=1.08, ask=1.09, source="x" * size))
    return b"EURUSD", whole[: chance.randrange(1, len(whole))], ()


def wrong_encoding(chance: Random, size: int, now_ns: int) -> Part:
    """JSON that calls itself MessagePack, and the other way round."""
    tick = Tick(instrument="EURUSD", event_time_ns=now_ns, bid=1.08, ask=1.09, source="x" * size)
    if chance.random() < 0.5:
        return None, msgspec.json.encode(tick), (PACK_HEADER,)
    return None, msgspec.msgpack.encode(tick), (JSON_HEADER,)


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        random_bytes,
        zeros,
        empty,
        deleted,
        wrong_shape,
        not_an_object,
        deep,
        deep_pack,
        long_text,
        long_number,
        not_a_number,
        no_text,
        half_characters,
        wrong_type,
        many_headers,
        long_header,
        long_key,
        declared,
        declared_batch,
        uneven_batch,
        absurd,
        cut_short,
        wrong_encoding,
    )
}
