"""Inputs that are late, refused or absurd."""

from __future__ import annotations

import msgspec
import pytest

from engine_play import CHF, EUR, JPY, SECOND, Ready, TimestepOf, only, play, position
from schemas.inbound import Position, Tick
from schemas.outbound import DeadLetter, ResidualExposure
from schemas.wire import JSON, encode
from stream.config import Config
from stream.config.kafka import MAX_RECORD_BYTES
from stream.engine.step import Engine
from stream.events.decode import Decoder
from stream.events.encode import Encoder
from stream.events.types import PositionLevel, Quotes, Refused
from stream.kafka.log import Record
from stream.testing.memory_log import MemoryLog


def test_an_older_level_does_not_overwrite_a_newer_one(ready: Ready) -> None:
    """A position that is sent again or comes late changes nothing; one without a time is what a person says now."""
    engine, state, _ = ready
    play(engine, state, [position("spot", EUR, 9e6, 70.3)])
    assert play(engine, state, [position("spot", EUR, 1e6, 70.2, 1)]) == []
    assert state.books["spot"].quantities[EUR] == 9e6
    assert play(engine, state, [position("spot", CHF, 1e6, 70.2, 2)])
    assert play(engine, state, [PositionLevel(71 * SECOND, "spot", EUR, 2e6, "positions[0]@3", dated=False)])
    assert state.books["spot"].quantities[EUR] == 2e6


def test_a_value_too_large_for_a_dead_letter_is_cut_and_says_so(ready: Ready) -> None:
    """The letter stays below what Kafka takes, so one absurd record cannot stop the service at every start."""
    engine, state, _ = ready
    record = Record("ticks", 0, 1, 1000, None, b"x" * (MAX_RECORD_BYTES - 1000))
    (letter,) = play(engine, state, [Refused(record, "undecodable", "no message", "application/json")])
    assert len(encode(letter, JSON)) < MAX_RECORD_BYTES
    assert "sha256" in letter.detail
    assert record.value is not None
    assert record.value.startswith(letter.value)


@pytest.mark.parametrize("timestamp_ms", [1_700_000_000_000, 0, -1, 2**62])
def test_a_refused_record_becomes_a_dead_letter_that_can_be_sent(desk: Config, timestamp_ms: int) -> None:
    """It has the record's offset, the reason and every byte. An impossible timestamp does not stop it."""
    engine = Engine(desk)
    record = Record("ticks", 2, 17, timestamp_ms, b"\x00key", b"\xff\x00", (("content-type", b"?"),))
    (letter,) = play(engine, engine.new_state(), [Refused(record, "content-type", "expected JSON", "?")])
    assert isinstance(letter, DeadLetter)
    assert (letter.topic, letter.partition, letter.offset) == ("ticks", 2, 17)
    assert (letter.reason, letter.detail, letter.content_type) == ("content-type", "expected JSON", "?")
    assert (letter.key, letter.value) == (b"\x00key", b"\xff\x00")
    log = MemoryLog({"dead-letters": 1})
    writer = log.writer()
    Encoder("", "/test").send(writer, letter)
    writer.flush()
    assert len(log.records("dead-letters")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [1e308, 1e200, 1e25, 1e-300, 5e-324])
@pytest.mark.parametrize("kind", ["EURUSD", "USDCHF", "EURCHF", "position", "short position"])
def test_no_number_that_decode_lets_through_stops_the_stream(
    desk: Config, ready: Ready, timestep_of: TimestepOf, kind: str, number: float
) -> None:
    """A price or position of absurd size is finite all the same; other books must not pay for one fat finger.

    Whether decode refuses it or the engine copes, the next position of another book is answered.
    """
    engine, state, mids = ready
    step = timestep_of(71, mids)
    if "position" in kind:
        quantity = -number if kind == "short position" else number
        message: msgspec.Struct = Position(book="spot", asset="EUR", quantity=quantity, event_time_ns=70 * SECOND)
        topic = "positions"
    else:
        message = Tick(instrument=kind, event_time_ns=70 * SECOND, bid=number, ask=number)
        topic = "ticks"
    record = Record(topic, 0, 1, 70_000, None, msgspec.json.encode(message))
    for event in Decoder(desk)(record):
        if isinstance(event, Quotes):
            step.bids[event.instruments[0]] = step.asks[event.instruments[0]] = number
        else:
            play(engine, state, [event])
    play(engine, state, [step])
    (residual,) = only(play(engine, state, [position("options", JPY, 1e6, 71.2, 1)]), ResidualExposure)
    assert residual.status == "ok"
