"""A feed that is alive and refused: whoever watches is told once what is wrong with it, and each record is counted.

Each case goes from the records of the feed to the alerts, through the whole worker.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from schemas.inbound import Tick, TickBatch
from schemas.outbound import Alert, DeadLetter, RefusedSummary
from schemas.wire import JSON, decode, encode, event_type
from stream.clock import ManualClock
from stream.config import Config
from stream.kafka.log import Headers, Record
from stream.telemetry.metrics import Metrics

START_S = 1_748_851_200
SECOND = 1_000_000_000
MIDS = {"EURUSD": 1.08, "USDCHF": 0.9, "USDJPY": 150.0, "EURCHF": 0.972}
TICKS = 1200
EVERY_MS = 50
Simulate = Callable[[Config], Any]


def tick(number: int, instrument: str) -> Tick:
    """The `number`th tick of a feed that sends one every 50 ms."""
    at_ns = START_S * SECOND + number * EVERY_MS * 1_000_000
    mid = MIDS.get(instrument, 1.08)
    return Tick(instrument=instrument, event_time_ns=at_ns, bid=mid * 0.9999, ask=mid * 1.0001)


def sent(
    simulation: Any, messages: Iterable[Tick], headers: Headers = (), change: Callable[[bytes], bytes] = bytes
) -> None:
    """Write `messages` as a feed that dates its records well: keyed by the instrument, with `headers`."""
    for message in messages:
        key = message.instrument.encode()
        partition = simulation.log.partition_for("ticks", key)
        timestamp_ms = message.event_time_ns // 1_000_000
        simulation.log.append(partition, key, change(encode(message, JSON)), headers, timestamp_ms)


def in_milliseconds(value: bytes) -> bytes:
    fields = msgspec.json.decode(value)
    return msgspec.json.encode(fields | {"event_time_ns": fields["event_time_ns"] // 1_000_000})


def with_text_for_a_price(value: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(value) | {"bid": "1.08"})


def run(simulation: Any, clock: ManualClock, metrics: Metrics | None = None) -> Any:
    """A worker that has read everything, and 11 s in which no more comes."""
    worker = simulation.worker(clock=clock, metrics=metrics)
    simulation.drain(worker)
    clock.sleep(11)
    worker.turn(0)
    return worker


def dead_letters(simulation: Any) -> tuple[list[DeadLetter], list[RefusedSummary]]:
    letters, sums = [], []
    for record in simulation.outputs()["dead-letters"]:
        kind = dict(record.headers)["ce_type"].decode()
        if kind == event_type(RefusedSummary):
            sums.append(decode(RefusedSummary, record.value, JSON))
        else:
            letters.append(decode(DeadLetter, record.value, JSON))
    return letters, sums


def alerts(records: list[Record]) -> list[Alert]:
    return [decode(Alert, record.value or b"", JSON) for record in records]


def names(simulation: Any) -> None:
    sent(simulation, (tick(number, "EUR/USD") for number in range(TICKS)))


def milliseconds(simulation: Any) -> None:
    quoted = (tick(number, list(MIDS)[number % 4]) for number in range(TICKS))
    sent(simulation, quoted, change=in_milliseconds)


def plain_text(simulation: Any) -> None:
    quoted = (tick(number, "EURUSD") for number in range(TICKS))
    sent(simulation, quoted, headers=(("content-type", b"text/plain"),))


def texts_for_prices(simulation: Any) -> None:
    sent(simulation, (tick(number, "EURUSD") for number in range(TICKS)), change=with_text_for_a_price)


@pytest.mark.parametrize(
    ("feed", "reason", "said"),
    [
        (names, "unknown-instrument", "'EUR/USD' (20); did you mean EURUSD"),
        (milliseconds, "event-time", "event times look like milliseconds since 1970, expected nanoseconds"),
        (
            plain_text,
            "content-type",
            "content type 'text/plain' (20) is not read: expected application/json or application/msgpack",
        ),
        (texts_for_prices, "undecodable", "Expected `float`, got `str` - at `$.bid`"),
    ],
)
def test_a_feed_that_is_refused_is_named_with_its_likely_cause(
    desk: Config, simulate: Simulate, feed: Callable[[Any], None], reason: str, said: str
) -> None:
    """Not one timestep closes. There is one alert on the refusals, and the silence says what came instead of quotes."""
    simulation, clock, metrics = simulate(desk), ManualClock(), Metrics()
    feed(simulation)
    worker = run(simulation, clock, metrics)
    assert worker.state.engine.latest is None
    refusal, silence = alerts(simulation.outputs()["alerts"])
    assert (refusal.kind, refusal.subject) == ("records-refused", f"ticks/{reason}")
    assert said in refusal.message
    assert (silence.kind, silence.state) == ("feed-silent", "raised")
    assert silence.message.startswith(f"no usable quote for 10 s: 1,200 records of ticks were refused as {reason}: ")

    worker.finish()
    letters, sums = dead_letters(simulation)
    partitions = len({letter.partition for letter in letters})
    assert 0 < len(letters) <= partitions * desk.dead_letters.per_minute
    assert len(letters) + sum(each.records for each in sums) == TICKS
    assert {each.reason for each in (*letters, *sums)} == {reason}
    labels = {"topic": "ticks", "reason": reason}
    assert metrics.registry.get_sample_value("betapack_messages_bad_total", labels) == TICKS
    summed_up = metrics.registry.get_sample_value("betapack_dead_letters_summed_up_total", labels)
    assert summed_up == TICKS - len(letters)


def test_a_feed_that_is_mended_clears_its_alerts(desk: Config, simulate: Simulate) -> None:
    """The silence ends with the first quote, the refusals two minutes after the last of them. Nothing flaps."""
    simulation, clock = simulate(desk), ManualClock()
    names(simulation)
    worker = run(simulation, clock)
    sent(simulation, (tick(TICKS + number, name) for number in range(3000) for name in MIDS))
    simulation.drain(worker)
    found = [(alert.kind, alert.state) for alert in alerts(simulation.outputs()["alerts"])]
    assert [state for kind, state in found if kind == "records-refused"] == ["raised", "cleared"]
    assert [state for kind, state in found if kind == "feed-silent"] == ["raised", "cleared"]
    letters, sums = dead_letters(simulation)
    assert len(letters) + sum(each.records for each in sums) == TICKS, (
        "the sums are published without an end of the log"
    )


def test_batches_of_which_a_part_is_unknown_are_used_and_named(desk: Config, simulate: Simulate) -> None:
    """Each record is refused in part: the desk has its prices and a warning with the names."""
    simulation = simulate(desk)
    instruments = (*MIDS, "AUD/USD", "GBP_USD")
    mids = [*MIDS.values(), 0.66, 1.27]
    bids, asks = (struct.pack(f"<{len(mids)}d", *(mid * factor for mid in mids)) for factor in (0.9999, 1.0001))
    simulation.feed(
        TickBatch(
            universe="fx",
            event_time_ns=(START_S + number) * SECOND,
            instruments=instruments,
            bids=bids,
            asks=asks,
        )
        for number in range(100)
    )
    worker = simulation.worker()
    simulation.drain(worker)
    assert worker.state.engine.latest is not None
    (alert,) = [each for each in alerts(simulation.outputs()["alerts"]) if each.kind == "records-refused"]
    assert alert.severity == "warning"
    assert alert.message == (
        "20 of 20 records of ticks were refused in part as unknown-instrument within a minute: "
        "'AUD/USD' (20), 'GBP_USD' (20)"
    )
    worker.finish()
    letters, sums = dead_letters(simulation)
    assert len(letters) + sum(each.records for each in sums) == 100
    assert {name for each in sums for name in each.names} == {"'AUD/USD'", "'GBP_USD'"}


def test_a_replay_of_the_refused_feed_has_the_same_bytes(desk: Config, simulate: Simulate) -> None:
    """However the log is cut into polls, and through a stop with sums that are open."""
    runs = []
    for size in (7, 5000):
        simulation = simulate(
            msgspec.structs.replace(desk, snapshot=msgspec.structs.replace(desk.snapshot, every_s=1e6))
        )
        names(simulation)
        milliseconds(simulation)
        worker = simulation.worker(max_poll_records=size)
        if size == 7:
            for _ in range(100):
                worker.turn(0)
            worker.commit(final=True)
            worker = simulation.worker(max_poll_records=size)
        simulation.drain(worker)
        worker.finish()
        outputs = simulation.outputs()
        runs.append({topic: outputs[topic] for topic in ("dead-letters", "alerts")})
    assert runs[0] == runs[1]
    assert runs[0]["alerts"]
