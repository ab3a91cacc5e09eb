"""Quotes that shall count as never sent: read before all other input, and left out of it.

The log is never edited. A correction takes effect on every record that was not read when it came, and on all of them
when the state is computed again from the beginning of the log.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping

import msgspec

from schemas.inbound import Correction
from schemas.wire import decode, media_type
from stream.config import Config
from stream.events.types import Decoded, Quotes
from stream.kafka.log import Reader, Record, TopicPartition
from stream.telemetry.metrics import Metrics
from stream.telemetry.notices import notice

POLL_TIMEOUT_MS = 200

RECORD_NAME = re.compile(r"([A-Za-z0-9._-]+)\[(\d{1,9})\]@(\d{1,18})")


def record_place(name: str) -> tuple[TopicPartition, int] | None:
    """Partition and offset of a record as ``ticks[2]@417``; None where `name` is no such name."""
    match = RECORD_NAME.fullmatch(name)
    return (TopicPartition(match[1], int(match[2])), int(match[3])) if match else None


class Corrections:
    """The corrections in force. `reader` reads their topic; without one there are none."""

    def __init__(self, config: Config, reader: Reader | None, metrics: Metrics) -> None:
        self._reader = reader
        self._metrics = metrics
        self._instruments = {instrument.name: index for index, instrument in enumerate(config.instruments)}
        self._in_force: dict[str, Correction] = {}
        self._records: dict[tuple[TopicPartition, int], Correction] = {}
        self._ranges: dict[int, list[tuple[int, int]]] = {}
        if reader is not None:
            reader.seek(reader.low_watermarks())
            while True:
                self.read(POLL_TIMEOUT_MS)
                if all(reader.exhausted(partition) for partition in reader.partitions()):
                    break

    def names(self) -> list[str]:
        """The keys of all corrections in force, sorted."""
        return sorted(self._in_force)

    def read(self, timeout_ms: int = 0) -> bool:
        """Read what came since. Returns whether anything did."""
        records = self._reader.poll(timeout_ms) if self._reader is not None else []
        for record in records:
            self._take(record)
        if records:
            self._arrange()
        return bool(records)

    def untouched(self, name: str, read: Mapping[TopicPartition, int]) -> bool:
        """Whether the quotes of correction `name` have not been read yet: `read` has the next offsets to read.

        Of a range nobody can tell: its quotes may stand anywhere in the log.
        """
        place = record_place(self._in_force[name].record)
        return place is not None and place[1] >= read.get(place[0], 0)

    def left(self, record: Record, events: list[Decoded]) -> list[Decoded]:
        """What of the events of `record` is left. Without any, the record is processed as if it were empty."""
        if not self._in_force:
            return events
        partition = TopicPartition(record.topic, record.partition)
        correction = self._records.get((partition, record.offset))
        if correction is not None and any(isinstance(event, Quotes) for event in events):
            found = hashlib.sha256(record.value or b"").hexdigest()
            if correction.value_sha256 in ("", found):
                self._metrics.observe_forgotten(
                    sum(len(event.instruments) for event in events if isinstance(event, Quotes))
                )
                return []
            notice("correction-of-another-record", logging.WARNING, record=correction.record, sha256=found)
        if not self._ranges:
            return events
        kept = (self._outside_ranges(event) if isinstance(event, Quotes) else event for event in events)
        return [event for event in kept if event is not None]

    def _outside_ranges(self, quotes: Quotes) -> Quotes | None:
        forgotten = {
            index
            for index in quotes.instruments
            if any(first <= quotes.event_time_ns <= last for first, last in self._ranges.get(index, ()))
        }
        if not forgotten:
            return quotes
        self._metrics.observe_forgotten(len(forgotten))
        kept = [position for position, index in enumerate(quotes.instruments) if index not in forgotten]
        if not kept:
            return None
        # A batch has no depths.
        return Quotes(
            quotes.event_time_ns,
            tuple(quotes.instruments[position] for position in kept),
            tuple(quotes.bids[position] for position in kept),
            tuple(quotes.asks[position] for position in kept),
            feed=quotes.feed,
            recorded_ns=quotes.recorded_ns,
        )

    def _take(self, record: Record) -> None:
        name = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self._in_force.pop(name, None)
            return
        try:
            correction = decode(Correction, record.value, media_type(dict(record.headers).get("content-type")))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as exc:
            notice("correction-refused", logging.WARNING, offset=record.offset, detail=str(exc)[:200])
            return
        if record_place(correction.record) is None and correction.instrument not in self._instruments:
            detail = "expected a record as ticks[2]@417, or an instrument of the configuration"
            notice("correction-refused", logging.WARNING, offset=record.offset, detail=detail)
            return
        self._in_force[name] = correction

    def _arrange(self) -> None:
        """Sort the corrections in force by what has to be looked up for each record."""
        self._records.clear()
        self._ranges.clear()
        for correction in self._in_force.values():
            place = record_place(correction.record)
            if place is not None:
                self._records[place] = correction
            else:
                index = self._instruments[correction.instrument]
                self._ranges.setdefault(index, []).append((correction.from_time_ns, correction.to_time_ns))
