"""Messages that the service reads.

`event_time_ns` is nanoseconds since the Unix epoch, UTC. `source` and `seq` identify the feed and the message's place
in it; `seq` counts up from one for each source, zero means that the source does not count. `universe`, `instrument`,
`book` and `asset` are names from the service's configuration.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Tick(Struct, frozen=True, kw_only=True):
    """A quote of one instrument.

    `bid` and `ask` are in units of the instrument's quote asset per unit of the instrument. `bid_size_lots` and
    `ask_size_lots` are what can be dealt at these prices; None means unknown. `bid_levels` and `ask_levels` are the
    ladder behind them, as (price, lots) from the better to the worse price; they need the size of the best price.
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

    `bids` and `asks` are little-endian float64, one per entry of `instruments`, packed without gaps (base64 in JSON).
    """

    universe: str
    event_time_ns: int
    instruments: tuple[str, ...]
    bids: bytes
    asks: bytes
    source: str = ""
    seq: int = 0


class Position(Struct, frozen=True, kw_only=True):
    """The position of a book in one asset: a level, not a change, so reading it twice does no harm.

    `quantity` is in units of the asset (10_000_000 for ten million EUR, 500 for 500 shares), signed, long positive.
    A level with an earlier `event_time_ns` than the one that the book holds is ignored. Without `event_time_ns` the
    position takes effect when it is read, on the prices of the latest timestep; in a replay of the log its record's
    timestamp puts it in order.
    """

    book: str
    asset: str
    quantity: float
    event_time_ns: int | None = None
    source: str = ""
    seq: int = 0


class HedgeStatus(Struct, frozen=True, kw_only=True):
    """What became of one trade of a hedge suggestion, from the system that executes it.

    `suggestion_id` is that of the `HedgeSuggestion`, `instrument` names the trade in it. From `acknowledged` on the
    trade counts as done and is not suggested again; `rejected` brings back what was not filled, and leaves the
    instrument out of the book's suggestions for a while. `filled_lots` counts all lots filled so far, whatever the
    side: required for `part-filled`, all of them for `filled` unless said; fewer than all end the trade, the rest being
    rejected. The same report again changes nothing. `event_time_ns` is when it happened: a position dated at or after
    it is taken to show the fill. When it is left out that is the record's timestamp, and the report takes effect when
    it is read.
    """

    book: str
    suggestion_id: str
    instrument: str
    status: Literal["acknowledged", "part-filled", "filled", "rejected"]
    filled_lots: int | None = None
    event_time_ns: int | None = None
    source: str = ""
    seq: int = 0
