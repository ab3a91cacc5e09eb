"""Random messages in every input topic: the service lives, its state is bounded, and each record is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from schemas.inbound import HedgeStatus, Position, Tick, TickBatch
from schemas.outbound import DeadLetter, RefusedSummary
from schemas.wire import CONTENT_TYPES, decode, encode, event_type
from stream.config import Config
from stream.config.kafka import MAX_RECORD_BYTES
from stream.events.decode import Decoder
from stream.events.types import Refused
from stream.kafka.log import Headers, TopicPartition

START_S = 1_748_851_200
SECOND = 1_000_000_000
RECORDS = 100_000
LARGE = 12
"""Records of up to 16 MB; as many more would only fill the memory of the log that the test holds."""

Simulate = Callable[[Config], Any]
TOPICS = ("ticks", "positions", "hedge-status")


def words(chance: Random) -> str:
    known = ("EURUSD", "USDCHF", "EUR", "CHF", "USD", "spot", "options", "fx", "EUR/USD", "", "x" * 300, "\x00", "💱")
    return chance.choice(known) if chance.random() < 0.9 else str(chance.random())


def number(chance: Random) -> float:
    usual = (1.08, 0.9, 150.0, 1e6, -1e6, 0.0, -1.0, 1e300, -1e300, 1e-300, float("nan"), float("inf"))
    return chance.choice(usual) if chance.random() < 0.8 else chance.lognormvariate(0, 20)


def moment(chance: Random, now_ns: int) -> int:
    units = (now_ns, now_ns, now_ns, now_ns - 10**12, now_ns + 10**12, now_ns // 10**6, now_ns // 10**9, 0, -1, 2**63)
    return chance.choice(units)


def message(chance: Random, now_ns: int) -> msgspec.Struct:
    at_ns = moment(chance, now_ns)
    kind = chance.randrange(4)
    if kind == 0:
        levels = tuple((number(chance), number(chance)) for _ in range(chance.choice((0, 0, 0, 1, 30))))
        size = number(chance) if chance.random() < 0.5 else None
        return Tick(
            instrument=words(chance),
            event_time_ns=at_ns,
            bid=number(chance),
            ask=number(chance),
            bid_size_lots=size,
            bid_levels=levels,
        )
    if kind == 1:
        names = tuple(words(chance) for _ in range(chance.randrange(6)))
        prices = chance.randbytes(8 * len(names) + chance.choice((0, 0, 0, 3)))
        return TickBatch(universe=words(chance), event_time_ns=at_ns, instruments=names, bids=prices, asks=prices)
    if kind == 2:
        return Position(book=words(chance), asset=words(chance), quantity=number(chance), event_time_ns=at_ns)
    return HedgeStatus(
        book=words(chance),
        suggestion_id=words(chance),
        instrument=words(chance),
        status=chance.choice(("acknowledged", "part-filled", "filled", "rejected")),
        filled_lots=chance.choice((None, 0, 1, -1, 2**62)),
        event_time_ns=at_ns,
    )


def value_of(chance: Random, now_ns: int) -> bytes | None:
    """A message that may be whole, cut, changed in some bytes, of another kind, or none at all."""
    sort = chance.random()
    if sort < 0.05:
        return None
    if sort < 0.15:
        return chance.randbytes(chance.randrange(200))
    if sort < 0.2:
        return chance.choice((b"[", b"{", b"\x91", b'{"a":')) * chance.randrange(1, 3000)
    value = bytearray(encode(message(chance, now_ns), chance.choice(CONTENT_TYPES)))
    if sort < 0.4 and value:
        for _ in range(chance.randrange(1, 4)):
            value[chance.randrange(len(value))] = chance.randrange(256)
    return bytes(value[: chance.randrange(len(value) + 1)] if sort > 0.9 else value)


def headers_of(chance: Random) -> Headers:
    names = ("content-type", "Content-Type", "ce_type", "x", "content-type")
    texts = (*CONTENT_TYPES, "application/JSON; charset=utf-8", "text/plain", "betapack.tick-batch", "", "\x01" * 50)
    chosen = []
    for _ in range(chance.randrange(4)):
        value = chance.choice(texts).encode() if chance.random() < 0.9 else chance.randbytes(20)
        chosen.append((chance.choice(names), value))
    return tuple(chosen)


def fill(simulation: Any, chance: Random) -> None:
    """Write the records: a second of record time for each hundred of them, with stamps now and then from elsewhere."""
    large = set(chance.sample(range(RECORDS), LARGE))
    for count in range(RECORDS):
        now_ns = START_S * SECOND + count * SECOND // 100
        topic = chance.choice(TOPICS)
        partition = TopicPartition(topic, chance.randrange(len(simulation.log.partitions(topic))))
        value, headers = value_of(chance, now_ns), headers_of(chance)
        if count in large:
            pad = chance.choice((b"\x00", b"x", b"\xff")) * chance.randrange(MAX_RECORD_BYTES // 2, MAX_RECORD_BYTES)
            value, headers = (pad, headers) if chance.random() < 0.5 else (value, (("content-type", pad),))
        key = chance.choice((None, b"key", chance.randbytes(5)))
        stamp_ms = now_ns // 10**6 if chance.random() < 0.99 else chance.choice((-1, 0, 2**62, START_S, 4 * 10**12))
        simulation.log.append(partition, key if value is not None else b"key", value, headers, stamp_ms)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_random_messages_are_each_accounted_for(desk: Config, simulate: Simulate) -> None:
    """What decode refuses has a letter or a share in a sum, by topic, partition and reason; the state stays small."""
    simulation = simulate(desk)
    fill(simulation, Random(1))
    decoder = Decoder(desk)
    expected: Counter[tuple[str, int, str]] = Counter()
    for topic in TOPICS:
        for record in simulation.log.records(topic):
            for event in decoder(record):
                if isinstance(event, Refused):
                    expected[topic, record.partition, event.reason] += 1

    worker = simulation.worker(max_poll_records=2000)
    simulation.drain(worker)
    worker.finish()
    assert simulation.inputs_read(worker)
    found: Counter[tuple[str, int, str]] = Counter()
    for record in simulation.outputs()["dead-letters"]:
        assert record.value is not None
        assert len(record.value) < MAX_RECORD_BYTES
        if dict(record.headers)["ce_type"].decode() == event_type(RefusedSummary):
            summary = decode(RefusedSummary, record.value, "application/json")
            found[summary.topic, summary.partition, summary.reason] += summary.records
        else:
            letter = decode(DeadLetter, record.value, "application/json")
            if letter.reason != "unknown-trade":  # the book's trades decide that, not decode
                found[letter.topic, letter.partition, letter.reason] += 1
    assert found == expected
    assert expected.total() > RECORDS // 2
    states = [len(record.value) for record in simulation.log.records("state") if record.value]
    assert max(states) < 1_000_000
