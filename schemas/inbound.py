"""Messages that the service reads.

Attributes
----------
event_time_ns : When it happened, since the Unix epoch, UTC. [ns]
universe : Name of the universe in the service's configuration.
instrument : Name of the instrument in the service's configuration.
book : Name of the book in the service's configuration.
asset : Name of the asset in the service's configuration.
source : The feed that wrote the message.
seq : Number of the message in its feed. It counts up from one; 0 means that the feed does not count.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Tick(Struct, frozen=True, kw_only=True):
    """A quote of one instrument.

    Of each side the levels are used that the largest `books[].max_lots` can reach, and at most 1000 of them.

    Attributes
    ----------
    bid : Best price at which the market buys. [quote asset per unit]
    ask : Best price at which the market sells. [quote asset per unit]
    bid_size_lots : What can be sold at `bid`. null: unknown. [lots]
    ask_size_lots : What can be bought at `ask`. null: unknown. [lots]
    bid_levels : The ladder behind `bid`, as (price, lots) from the better to the worse price. It needs `bid_size_lots`.
        [quote asset per unit, lots]
    ask_levels : The ladder behind `ask`, as (price, lots) from the better to the worse price. It needs `ask_size_lots`.
        [quote asset per unit, lots]
    """

    instrument: str
    event_time_ns: int
    bid: float
    ask: float
    bid_size_lots: float | None = None
    ask_size_lots: float | None = None
    source: str = ""
    seq: int = 0
    bid_levels: tuple[tuple[float, float], ...] = ()
    ask_levels: tuple[tuple[float, float], ...] = ()


class TickBatch(Struct, frozen=True, kw_only=True):
    """Quotes of many instruments taken at one instant, in one record.

    Attributes
    ----------
    instruments : Names of the instruments, in the order of `bids` and `asks`.
    bids : Best bids as little-endian float64, one for each instrument, packed without gaps. [quote asset per unit]
    asks : Best asks as little-endian float64, one for each instrument, packed without gaps. [quote asset per unit]
    """

    universe: str
    event_time_ns: int
    instruments: tuple[str, ...]
    bids: bytes
    asks: bytes
    source: str = ""
    seq: int = 0


class Position(Struct, frozen=True, kw_only=True):
    """The position of a book in one asset.

    It is a level and not a change, so reading it twice does no harm. A level with an earlier `event_time_ns` than the
    one that the book holds is ignored.

    Attributes
    ----------
    quantity : Signed position, long positive: 10_000_000 for ten million EUR, 500 for 500 shares. [units of the asset]
    event_time_ns : When the position was taken, since the Unix epoch, UTC. Without it the position takes effect when it
        is read, on the prices of the latest timestep; in a replay of the log the timestamp of its record puts it in
        order. [ns]
    """

    book: str
    asset: str
    quantity: float
    event_time_ns: int | None = None
    source: str = ""
    seq: int = 0


class PositionsComplete(Struct, frozen=True, kw_only=True):
    """States that all positions of a book are known, from whoever knows it: a position system, or an operator.

    It settles why a book is `incomplete`. With `positions` it says what the book holds. Without them it says that the
    levels are right which the service holds when it reads this. In a replay of a log that has lost its first records
    it counts only with `positions`.

    Attributes
    ----------
    positions : All that the book holds: signed quantity by asset, long positive. An asset that is not named is flat.
        null: what the service holds. [units of the asset]
    reason : Why somebody is sure of it, for whoever reads the log.
    event_time_ns : As of which time, since the Unix epoch, UTC. Without it the timestamp of the record is taken, and
        the statement takes effect when it is read. [ns]
    """

    book: str
    positions: dict[str, float] | None = None
    reason: str = ""
    event_time_ns: int | None = None
    source: str = ""
    seq: int = 0


class HedgeStatus(Struct, frozen=True, kw_only=True):
    """What became of one trade of a hedge suggestion, from the system that executes it.

    The same report again changes nothing.

    Attributes
    ----------
    suggestion_id : The `suggestion_id` of the `HedgeSuggestion`.
    instrument : Instrument of the trade in that suggestion.
    status : From `acknowledged` on the trade counts as done and is not suggested again. `rejected` brings back what was
        not filled, and leaves the instrument out of the book's suggestions for a while.
    filled_lots : All lots filled so far, whatever the side. Required for `part-filled`; without it `filled` means all
        of them. Fewer than all with `filled` end the trade, and the rest counts as rejected. [lots]
    event_time_ns : When it happened, since the Unix epoch, UTC. A position dated at or after it is taken to show the
        fill. Without it the timestamp of the record is taken, and the report takes effect when it is read. [ns]
    """

    book: str
    suggestion_id: str
    instrument: str
    status: Literal["acknowledged", "part-filled", "filled", "rejected"]
    filled_lots: int | None = None
    event_time_ns: int | None = None
    source: str = ""
    seq: int = 0


class Correction(Struct, frozen=True, kw_only=True):
    """Quotes that shall count as never sent: one record of `ticks`, or an instrument over a range of event time.

    The record stays in the log. Quotes that the service has not read are left out at once. Those that it has read are
    left out when it computes its state again from the beginning of the log.

    Attributes
    ----------
    record : The record as topic[partition]@offset. Empty where an instrument is named.
    value_sha256 : sha256 of the record's value. Another record at that place, as after the topic was made anew, stays.
    instrument : Name of the instrument in the service's configuration. Empty where a record is named.
    from_time_ns : The first event time of the range, since the Unix epoch, UTC. [ns]
    to_time_ns : The last event time of the range, since the Unix epoch, UTC. [ns]
    reason : Why, in words.
    who : Who made the correction.
    event_time_ns : When it was made, since the Unix epoch, UTC. [ns]
    """

    reason: str
    who: str
    event_time_ns: int
    record: str = ""
    value_sha256: str = ""
    instrument: str = ""
    from_time_ns: int = 0
    to_time_ns: int = 0
