"""Finding the quotes that shall be forgotten, and writing the correction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from schemas.inbound import Correction
from stream.config import Config
from stream.errors import CorrectionRefused
from stream.events.decode import Decoder
from stream.events.encode import Encoder
from stream.events.types import Quotes, Refused
from stream.kafka.log import Reader, Record, Writer
from stream.worker.corrections import record_place

POLL_TIMEOUT_MS = 200


@dataclass(frozen=True)
class FoundQuote:
    """One quote in the log: the name of its record, and what it says."""

    record: str
    instrument: str
    event_time_ns: int
    bid: float
    ask: float
    feed: str


def find_record(config: Config, ticks: Reader, name: str) -> tuple[list[FoundQuote], str]:
    """The quotes of the record `name`, as ``ticks[2]@417``, and the sha256 of its value.

    Raises
    ------
    CorrectionRefused : it is no name of a record, no tick, or not in the log.
    """
    place = record_place(name)
    if place is None:
        raise CorrectionRefused(f"--record must be topic[partition]@offset, as ticks[2]@417, got {name!r}")
    partition, offset = place
    topic = config.topics.names()["ticks"]
    if partition.topic != topic:
        raise CorrectionRefused(
            f"{name} is no tick: expected a record of {topic}; a wrong position is set right by sending the right one"
        )
    low, end = ticks.low_watermarks(), ticks.end_offsets()
    if partition not in end:
        raise CorrectionRefused(f"{name} does not exist: {topic} has the partitions 0 to {len(end) - 1}")
    if not low[partition] <= offset < end[partition]:
        raise CorrectionRefused(
            f"{name} is not in the log: {partition} has the offsets {low[partition]} to {end[partition] - 1}"
        )
    ticks.seek(end | {partition: offset})
    while True:
        records = [each for each in ticks.poll(POLL_TIMEOUT_MS) if (each.topic, each.partition) == partition]
        if records or ticks.exhausted(partition):
            break
    if not records or records[0].offset != offset:
        raise CorrectionRefused(f"{name} holds no record: the offset is that of a transaction's end, or was compacted")
    events = Decoder(config)(records[0])
    found = [quote for event in events if isinstance(event, Quotes) for quote in _quotes_of(config, records[0], event)]
    if not found:
        reasons = ", ".join(event.reason for event in events if isinstance(event, Refused)) or "a batch of nothing"
        raise CorrectionRefused(f"{name} is no tick that was used ({reasons}), so there is nothing to forget")
    return found, hashlib.sha256(records[0].value or b"").hexdigest()


def find_range(config: Config, ticks: Reader, instrument: str, first_ns: int, last_ns: int) -> list[FoundQuote]:
    """The quotes of `instrument` dated from `first_ns` to `last_ns`. Reads all of the log.

    Raises
    ------
    CorrectionRefused : the instrument is unknown, the range is empty, or no quote lies in it.
    """
    names = [each.name for each in config.instruments]
    if instrument not in names:
        raise CorrectionRefused(f"--instrument must be one of {', '.join(names)}, got {instrument!r}")
    if first_ns > last_ns:
        raise CorrectionRefused(f"--from must not be after --to, got {first_ns} and {last_ns} ns")
    decoder = Decoder(config)
    ticks.seek(ticks.low_watermarks())
    found: list[FoundQuote] = []
    while True:
        for record in ticks.poll(POLL_TIMEOUT_MS):
            for event in decoder(record):
                if isinstance(event, Quotes) and first_ns <= event.event_time_ns <= last_ns:
                    found += [each for each in _quotes_of(config, record, event) if each.instrument == instrument]
        if all(ticks.exhausted(partition) for partition in ticks.partitions()):
            break
    if not found:
        raise CorrectionRefused(f"no quote of {instrument} is dated from {first_ns} to {last_ns} ns in the log")
    return sorted(found, key=lambda quote: quote.event_time_ns)


def write_correction(config: Config, writer: Writer, correction: Correction) -> None:
    """Append `correction` to its topic; it is in the log when this returns."""
    Encoder(config.topics.prefix, "/betapack/forget").send(writer, correction)
    writer.flush()


def _quotes_of(config: Config, record: Record, quotes: Quotes) -> list[FoundQuote]:
    name = record.source
    return [
        FoundQuote(name, config.instruments[index].name, quotes.event_time_ns, bid, ask, quotes.feed)
        for index, bid, ask in zip(quotes.instruments, quotes.bids, quotes.asks, strict=True)
    ]
