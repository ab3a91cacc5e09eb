"""Inputs that are late, refused or absurd."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from engine_play import CHF, EUR, JPY, SECOND, Ready, TimestepOf, only, play, position
from schemas.inbound import HedgeStatus, Position, Tick
from schemas.outbound import DeadLetter, ResidualExposure
from schemas.wire import JSON, MESSAGE_PACK, encode
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


KIBI = 1024
PARTS = {
    "the value": {"value": b"x" * (MAX_RECORD_BYTES - 1000)},
    "the key": {"key": b"\xff" * (MAX_RECORD_BYTES - 1000)},
    "the detail": {"detail": "\x01" * 3_000_000},
    "the content type": {"content_type": "\x01" * 3_000_000},
}


@pytest.mark.parametrize("parts", [[part] for part in PARTS] + [list(PARTS)], ids=[*PARTS, "all of them"])
def test_a_dead_letter_fits_whatever_its_record_holds(desk: Config, parts: list[str]) -> None:
    """Each part is cut by itself, and the detail has its length and hash. So no record stops every start."""
    held = {"key": b"k", "value": b"v", "detail": "no message", "content_type": "application/json"}
    for part in parts:
        held |= PARTS[part]
    record = Record("ticks", 0, 1, 1000, held["key"], held["value"])
    engine = Engine(desk)
    refused = Refused(record, "undecodable", held["detail"], held["content_type"])
    (letter,) = play(engine, engine.new_state(), [refused])
    assert isinstance(letter, DeadLetter)
    for content_type in (JSON, MESSAGE_PACK):
        assert len(encode(letter, content_type)) < MAX_RECORD_BYTES - 32 * KIBI
    for part in parts:
        (whole,) = PARTS[part].values()
        digest = hashlib.sha256(whole if isinstance(whole, bytes) else whole.encode()).hexdigest()
        assert digest in letter.detail
        assert str(len(whole)) in letter.detail
    assert held["value"].startswith(letter.value)
    assert held["key"].startswith(letter.key)


def test_a_record_that_a_dead_letter_can_hold_is_kept_whole(desk: Config) -> None:
    """As large as the input topics take records, split between key and value in any way up to a megabyte of key."""
    engine = Engine(desk)
    for key_bytes in (0, KIBI, KIBI * KIBI):
        record = Record("ticks", 0, 1, 1000, b"\x01" * key_bytes, b"\x01" * (MAX_RECORD_BYTES // 4 - key_bytes))
        (letter,) = play(engine, engine.new_state(), [Refused(record, "undecodable", "no message", JSON)])
        assert (letter.key, letter.value, letter.detail) == (record.key, record.value, "no message")


def test_the_last_resort_leaves_the_record_out_and_says_so(desk: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter that is too large when it is encoded, whatever the parts are cut to, is sent without its record."""
    monkeypatch.setattr("stream.engine.dead_letter.VALUE_BYTES_MAX", 2 * MAX_RECORD_BYTES)
    value = b"x" * MAX_RECORD_BYTES
    record = Record("ticks", 0, 1, 1000, b"key", value)
    engine = Engine(desk)
    (letter,) = play(engine, engine.new_state(), [Refused(record, "undecodable", "\x01" * 9000, "application/json")])
    assert len(encode(letter, JSON)) < 10 * KIBI
    assert (letter.key, letter.value, letter.reason) == (None, None, "undecodable")
    assert "the record is left out" in letter.detail
    assert hashlib.sha256(value).hexdigest() in letter.detail


def test_a_report_of_an_endless_suggestion_is_refused_in_few_words(desk: Config) -> None:
    """The id is the reporter's; the letter shows its beginning."""
    report = HedgeStatus(book="spot", suggestion_id="\x01" * 3_000_000, instrument="EURUSD", status="filled")
    record = Record("hedge-status", 0, 1, 1_700_000_000_000, None, msgspec.json.encode(report))
    engine = Engine(desk)
    (letter,) = play(engine, engine.new_state(), list(Decoder(desk)(record)))
    assert letter.reason == "unknown-trade"
    assert len(letter.detail) < 3000
    assert "3000000 characters" in letter.detail


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
