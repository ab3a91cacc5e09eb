"""Records to checked events. What cannot be used becomes `Refused` with its reason, never an exception.

Here, and nowhere else, it is decided what a price or a position must satisfy. The engine trusts what it gets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np

from schemas.inbound import HedgeStatus, Position, PositionsComplete, Tick, TickBatch
from schemas.wire import decode, media_type
from stream.config import NANOSECONDS, Config
from stream.events.outside_text import CHARACTERS_MAX, bounded, quoted
from stream.events.position_key import keyed_as
from stream.events.refused_position import refused_position
from stream.events.types import (
    LATEST_NS,
    Decoded,
    PositionLevel,
    PositionsConfirmed,
    QuoteDepth,
    Quotes,
    RefusalReason,
    Refused,
    TradeReport,
)
from stream.kafka.log import Record

DETAILS_SHOWN = 20
CONTENT_TYPE = "content-type"
TICK_BATCH_TYPE = b"betapack.tick-batch"
POSITIONS_COMPLETE_TYPE = b"betapack.positions-complete"

PRICE_RANGE = (1e-12, 1e12)
QUANTITY_MAX = 1e15
SIZE_MAX = 1e12
"""These bounds lie beyond every market, and far inside what squares and reciprocals can hold. So a mistyped number
cannot stop all books."""


LEVELS_MAX = 1000
"""Of one side of a ladder, whatever their size. A ladder as deep as this is kept for each open timestep and each quote
that waits in the merge: 0.1 MB a side."""

DAY_NS = 86_400 * NANOSECONDS
YEAR_NS = 365 * DAY_NS
OTHER_UNITS = (("seconds", 10**9), ("milliseconds", 10**6), ("microseconds", 10**3))


class Decoder:
    """Decodes the records of the `ticks`, `positions` and `hedge-status` topics of one configuration."""

    def __init__(self, config: Config) -> None:
        universe = config.universe
        self._universe = universe.name
        self._instruments = {instrument.name: index for index, instrument in enumerate(config.instruments)}
        self._books = {book.name for book in config.books}
        self._assets: dict[str, int | None] = {asset: index for index, asset in enumerate(universe.assets)}
        self._assets[universe.numeraire] = None
        self._most_lots = config.most_lots
        self._max_ahead_ns = universe.max_event_time_ahead_ns
        self._numeraire = universe.numeraire
        self._positions = f"{config.topics.prefix}positions"
        self._decode: dict[str, Callable[[Record, str, bool], list[Decoded]]] = {
            f"{config.topics.prefix}ticks": self._ticks,
            self._positions: self._position,
            f"{config.topics.prefix}hedge-status": self._hedge_status,
        }

    def __call__(self, record: Record) -> list[Decoded]:
        """The events of one record, at least one. Several where only a part of a batch can be used."""
        events = self._events(record)
        return self._with_book(record, events) if record.topic == self._positions else events

    def _events(self, record: Record) -> list[Decoded]:
        if record.damage:
            return [Refused(record, "undecodable", record.damage, "")]
        header, batch = None, False
        for name, value in record.headers:
            if name == "ce_type":
                batch = value == TICK_BATCH_TYPE
            elif name == CONTENT_TYPE:
                header = value
        if header is None:
            # Kafka tells names of different case apart; producers that write `Content-Type` mean the same.
            header = next((value for name, value in record.headers if name.lower() == CONTENT_TYPE), None)
        try:
            content_type = media_type(header)
        except ValueError as exc:
            shown = (header or b"")[:CHARACTERS_MAX].decode("ascii", "replace")
            return [Refused(record, "content-type", bounded(str(exc)), shown, (quoted(shown),))]
        if record.value is None:
            return [Refused(record, "undecodable", "expected a message, got a record without a value", content_type)]
        try:
            return self._decode[record.topic](record, content_type, batch)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:  # the last from nesting without end
            return [Refused(record, "undecodable", bounded(str(exc)), content_type)]

    def _ticks(self, record: Record, content_type: str, batch: bool) -> list[Decoded]:
        assert record.value is not None  # __call__ refused it
        if batch:
            return self._batch(record, decode(TickBatch, record.value, content_type), content_type)
        tick = decode(Tick, record.value, content_type)
        index = self._instruments.get(tick.instrument)
        if index is None:
            return [_unknown(record, "unknown-instrument", tick.instrument, content_type)]
        wrong_time = self._wrong_time(tick.event_time_ns, record)
        if wrong_time:
            unit = _other_unit(tick.event_time_ns, record)
            return [Refused(record, "event-time", wrong_time, content_type, (quoted(tick.instrument),), unit)]
        wrong_quote = _wrong_quote(tick.bid, tick.ask)
        if wrong_quote:
            reason, detail = wrong_quote
            return [Refused(record, reason, detail, content_type, (quoted(tick.instrument),))]
        wrong_depth = _wrong_side("bid", tick.bid, tick.bid_size_lots, tick.bid_levels, -1) or _wrong_side(
            "ask", tick.ask, tick.ask_size_lots, tick.ask_levels, 1
        )
        if wrong_depth:
            return [Refused(record, "size", wrong_depth, content_type, (quoted(tick.instrument),))]
        bid_levels = _usable(tick.bid_size_lots, tick.bid_levels, self._most_lots)
        ask_levels = _usable(tick.ask_size_lots, tick.ask_levels, self._most_lots)
        cut = len(tick.bid_levels) - len(bid_levels) + len(tick.ask_levels) - len(ask_levels)
        depth = QuoteDepth(tick.bid_size_lots, tick.ask_size_lots, bid_levels, ask_levels)
        depths = () if depth == QuoteDepth() else (depth,)
        recorded_ns, feed = record.timestamp_ms * 1_000_000, _feed(tick.source)
        return [Quotes(tick.event_time_ns, (index,), (tick.bid,), (tick.ask,), depths, cut, feed, recorded_ns)]

    def _batch(self, record: Record, batch: TickBatch, content_type: str) -> list[Decoded]:
        size = len(batch.instruments)
        if len(batch.bids) != 8 * size or len(batch.asks) != 8 * size:
            detail = f"expected {8 * size} bytes of bids and asks, got {len(batch.bids)} and {len(batch.asks)}"
            return [Refused(record, "undecodable", detail, content_type)]
        if batch.universe != self._universe:
            return [_unknown(record, "unknown-universe", batch.universe, content_type)]
        wrong_time = self._wrong_time(batch.event_time_ns, record)
        if wrong_time:
            unit = _other_unit(batch.event_time_ns, record)
            return [Refused(record, "event-time", wrong_time, content_type, unit=unit)]
        bids: list[float] = np.frombuffer(batch.bids, dtype="<f8").tolist()
        asks: list[float] = np.frombuffer(batch.asks, dtype="<f8").tolist()
        used: list[tuple[int, float, float]] = []
        refused: dict[RefusalReason, list[tuple[str, str]]] = {}
        for name, bid, ask in zip(batch.instruments, bids, asks, strict=True):
            index = self._instruments.get(name)
            if index is None:
                refused.setdefault("unknown-instrument", []).append((name, _not_configured("instrument", name)))
                continue
            wrong_quote = _wrong_quote(bid, ask)
            if wrong_quote:
                reason, detail = wrong_quote
                refused.setdefault(reason, []).append((name, f"{name}: {detail}"))
            else:
                used.append((index, bid, ask))
        events: list[Decoded] = []
        recorded_ns, feed = record.timestamp_ms * 1_000_000, _feed(batch.source)
        if used:
            indices, good_bids, good_asks = zip(*used, strict=True)
            events.append(
                Quotes(batch.event_time_ns, indices, good_bids, good_asks, feed=feed, recorded_ns=recorded_ns)
            )
        for reason, quotes in refused.items():
            names = tuple(quoted(name) for name, _ in quotes[:DETAILS_SHOWN])
            detail = _list([text for _, text in quotes])
            events.append(Refused(record, reason, detail, content_type, names, in_part=bool(used)))
        # A batch of nothing is a heartbeat of the feed: it moves the watermark.
        return events or [Quotes(batch.event_time_ns, (), (), (), feed=feed, recorded_ns=recorded_ns)]

    def _position(self, record: Record, content_type: str, batch: bool) -> list[Decoded]:
        assert record.value is not None  # __call__ refused it
        if _states_complete(record):
            return self._complete(record, decode(PositionsComplete, record.value, content_type), content_type)
        position = decode(Position, record.value, content_type)
        if position.book not in self._books:
            return [_unknown(record, "unknown-book", position.book, content_type)]
        if position.asset not in self._assets:
            return [_unknown(record, "unknown-asset", position.asset, content_type)]
        wrong_quantity = _wrong_quantity(position.quantity)
        if wrong_quantity:
            reason, detail = wrong_quantity
            return [Refused(record, reason, detail, content_type)]
        dated = position.event_time_ns is not None
        event_time_ns = _time_of(position, record)
        wrong_time = self._wrong_time(event_time_ns, record)
        if wrong_time:
            unit = _other_unit(event_time_ns, record)
            return [Refused(record, "event-time", wrong_time, content_type, unit=unit)]
        source = record.source
        asset = self._assets[position.asset]
        keyed = keyed_as(record.key, position.book, position.asset)
        return [
            PositionLevel(
                event_time_ns, position.book, asset, position.quantity, source, dated, record.timestamp_ms, keyed
            )
        ]

    def _complete(self, record: Record, statement: PositionsComplete, content_type: str) -> list[Decoded]:
        if statement.book not in self._books:
            return [_unknown(record, "unknown-book", statement.book, content_type)]
        quantities = statement.positions
        for asset, quantity in (quantities or {}).items():
            if asset not in self._assets:
                return [_unknown(record, "unknown-asset", asset, content_type)]
            wrong_quantity = _wrong_quantity(quantity)
            if wrong_quantity:
                reason, detail = wrong_quantity
                return [Refused(record, reason, f"{asset}: {detail}", content_type)]
        event_time_ns = _time_of(statement, record)
        wrong_time = self._wrong_time(event_time_ns, record)
        if wrong_time:
            unit = _other_unit(event_time_ns, record)
            return [Refused(record, "event-time", wrong_time, content_type, unit=unit)]
        held = None
        if quantities is not None:
            held = tuple(quantities.get(asset, 0.0) for asset, index in self._assets.items() if index is not None)
        source = record.source
        dated = statement.event_time_ns is not None
        return [PositionsConfirmed(event_time_ns, statement.book, held, source, dated)]

    def _with_book(self, record: Record, events: list[Decoded]) -> list[Decoded]:
        """`events` of a record of `positions`; a refused one with the book that now lacks a level."""
        if not isinstance(events[0], Refused):
            return events
        about = refused_position(
            record,
            riskless=self._numeraire,
            books=self._books,
            complete=_states_complete(record),
            believed=lambda event_time_ns, of: self._wrong_time(event_time_ns, of) is None,
        )
        return [replace(events[0], position=about)]

    def _hedge_status(self, record: Record, content_type: str, batch: bool) -> list[Decoded]:
        assert record.value is not None  # __call__ refused it
        report = decode(HedgeStatus, record.value, content_type)
        if report.book not in self._books:
            return [_unknown(record, "unknown-book", report.book, content_type)]
        index = self._instruments.get(report.instrument)
        if index is None:
            return [_unknown(record, "unknown-instrument", report.instrument, content_type)]
        if report.filled_lots is None and report.status == "part-filled":
            return [Refused(record, "out-of-range", "part-filled: expected filled_lots, got none", content_type)]
        if report.filled_lots is not None and report.filled_lots < 0:
            detail = f"filled_lots {report.filled_lots}, expected 0 or more, whatever the side"
            return [Refused(record, "out-of-range", detail, content_type)]
        event_time_ns = _time_of(report, record)
        wrong_time = self._wrong_time(event_time_ns, record)
        if wrong_time:
            unit = _other_unit(event_time_ns, record)
            return [Refused(record, "event-time", wrong_time, content_type, unit=unit)]
        return [
            TradeReport(
                event_time_ns=event_time_ns,
                book=report.book,
                suggestion_id=report.suggestion_id,
                instrument=index,
                status=report.status,
                filled_lots=report.filled_lots,
                record=record,
                content_type=content_type,
                dated=report.event_time_ns is not None,
            )
        ]

    def _wrong_time(self, event_time_ns: int, record: Record) -> str | None:
        """Why the event time cannot be believed; None where it can.

        A quote from the far future would stay the latest of its instrument until time comes there, and a position from
        there would ignore all levels before it.
        The record's timestamp is at or after the event whether the producer stamps the event's time or its own.
        """
        if not 0 < event_time_ns <= LATEST_NS:
            return bounded(f"expected nanoseconds since 1970, from 1 to {LATEST_NS}, got {event_time_ns}")
        record_ns = record.timestamp_ms * 1_000_000
        unit = _other_unit(event_time_ns, record)
        if unit:
            return f"{event_time_ns} looks like {unit} since 1970, expected nanoseconds"
        # The record's clock counts whole milliseconds: the event may lie up to one after it.
        latest_ns = (record.timestamp_ms + 1) * 1_000_000 + self._max_ahead_ns
        if event_time_ns > latest_ns:
            ahead_s = (event_time_ns - record_ns) / NANOSECONDS
            in_seconds = abs(event_time_ns - record.timestamp_ms * NANOSECONDS) < DAY_NS
            hint = "; the record's timestamp looks like seconds, expected milliseconds" if in_seconds else ""
            return (
                f"{event_time_ns} ns is {ahead_s:.3f} s after the record's timestamp {record.timestamp_ms} ms; "
                f"universe.max_event_time_ahead_s allows {self._max_ahead_ns / NANOSECONDS:g}{hint}"
            )
        return None


def _states_complete(record: Record) -> bool:
    """Whether a record of `positions` states that a book is complete, and is no level."""
    return ("ce_type", POSITIONS_COMPLETE_TYPE) in record.headers


def _wrong_quantity(quantity: float) -> tuple[RefusalReason, str] | None:
    """Why a position cannot be used; None where it can."""
    if not math.isfinite(quantity):
        return "not-finite", f"quantity {quantity}"
    if abs(quantity) > QUANTITY_MAX:
        return "out-of-range", f"quantity {quantity}, expected at most {QUANTITY_MAX:g} either way"
    return None


def _wrong_quote(bid: float, ask: float) -> tuple[RefusalReason, str] | None:
    """Why a quote cannot be used; None where it can. Locked ones (bid = ask) can: on some venues a tenth are locked."""
    if not (math.isfinite(bid) and math.isfinite(ask)):
        return "not-finite", f"bid {bid}, ask {ask}"
    if bid <= 0 or ask <= 0:
        return "not-positive", f"bid {bid}, ask {ask}"
    least, most = PRICE_RANGE
    if not (least <= bid <= most and least <= ask <= most):
        return "out-of-range", f"bid {bid}, ask {ask}, expected from {least:g} to {most:g}"
    if bid > ask:
        return "crossed", f"bid {bid} above ask {ask}"
    return None


def _other_unit(event_time_ns: int, record: Record) -> str:
    """The unit in which `event_time_ns` is a time that its record may have, where as nanoseconds it is none. Or "".

    In seconds, milliseconds or microseconds every time since 1971 is a number that as nanoseconds lies in January 1970.
    Nobody could tell from a record that is dated 1970 itself, as in a replay of that year.
    """
    record_ns = record.timestamp_ms * 1_000_000
    # As microseconds, the finest other unit, a time of nanoseconds since May 1970 lies beyond the year 2262.
    if event_time_ns * 1000 > LATEST_NS or record_ns < YEAR_NS:
        return ""
    # A year more than the record's date: a clock that is ahead is no reason to take another unit for nanoseconds.
    latest_ns = min(record_ns + YEAR_NS, LATEST_NS)
    return next((name for name, ns in OTHER_UNITS if YEAR_NS <= event_time_ns * ns <= latest_ns), "")


def _feed(source: str) -> str:
    """The name of a feed. Quotes keep it while they wait in the merge, where a name of megabytes has no room."""
    return bounded(source, CHARACTERS_MAX)


def _time_of(message: Position | PositionsComplete | HedgeStatus, record: Record) -> int:
    """The event time of the message, or of its record where it has none."""
    return record.timestamp_ms * 1_000_000 if message.event_time_ns is None else message.event_time_ns


def _wrong_side(
    name: str, best: float, size: float | None, levels: tuple[tuple[float, float], ...], sign: int
) -> str | None:
    """Why one side of a ladder cannot be used; None where it can. `sign` is 1 for asks, whose prices rise, else -1."""
    if size is None:
        return f"{name}_levels without {name}_size_lots, expected the size of the best price" if levels else None
    least, most = PRICE_RANGE
    last = best
    for index, (price, lots) in enumerate(((best, size), *levels)):
        what = f"{name}_size_lots" if index == 0 else f"{name}_levels[{index - 1}]"
        if not 0 <= lots <= SIZE_MAX:
            return f"{what} has {lots} lots, expected from 0 to {SIZE_MAX:g}"
        if not least <= price <= most:
            return f"{what} has the price {price}, expected from {least:g} to {most:g}"
        if index and sign * (price - last) <= 0:
            return f"{what} has the price {price}, expected one {'above' if sign > 0 else 'below'} {last}"
        last = price
    return None


def _usable(
    size: float | None, levels: tuple[tuple[float, float], ...], most_lots: int
) -> tuple[tuple[float, float], ...]:
    """The levels of a checked side that a trade of up to `most_lots` lots can reach, at most `LEVELS_MAX`.

    Beyond the levels that are kept an instrument with an impact goes on by its impact; another is traded no further.
    """
    if not levels:
        return levels
    total = size or 0.0
    for index, (_, lots) in enumerate(levels[:LEVELS_MAX]):
        if total >= most_lots:
            return levels[:index]
        total += lots
    return levels[:LEVELS_MAX]


def _unknown(record: Record, reason: RefusalReason, name: str, content_type: str) -> Refused:
    """A record whose `name` the configuration lacks; `reason` is one of ``unknown-…``."""
    return Refused(
        record, reason, _not_configured(reason.removeprefix("unknown-"), name), content_type, (quoted(name),)
    )


def _not_configured(what: str, name: str) -> str:
    return f"{what} {quoted(name)} is not in the configuration"


def _list(texts: list[str]) -> str:
    """The first few of many; the record itself is kept whole."""
    shown = "; ".join(texts[:DETAILS_SHOWN])
    return shown if len(texts) <= DETAILS_SHOWN else f"{shown}; and {len(texts) - DETAILS_SHOWN} more"
