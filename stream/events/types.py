"""What flows between decode and the engine: typed, checked, in the order of the merge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from solver.arrays import FloatArray, IntArray
from stream.kafka.log import Record

LATEST_NS = 2**63 - 1
"""The latest event time, in the year 2262. A later one, as from a producer whose unit is wrong, would overflow our
arrays."""

RefusalReason = Literal[
    "undecodable",
    "content-type",
    "event-time",
    "not-finite",
    "not-positive",
    "out-of-range",
    "crossed",
    "size",
    "unknown-instrument",
    "unknown-universe",
    "unknown-book",
    "unknown-asset",
    "unknown-trade",
]


@dataclass(frozen=True, slots=True)
class QuoteDepth:
    """How much a quote shows, in lots: at the best prices (None: unknown), and behind them as (price, lots)."""

    bid_size_lots: float | None = None
    ask_size_lots: float | None = None
    bid_levels: tuple[tuple[float, float], ...] = ()
    ask_levels: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Quotes:
    """Checked quotes of one or more instruments at one instant; `instruments` are their indices in the configuration.

    `depths` has one entry for each instrument, or is empty where no size is known. `levels_cut` counts the levels of
    their ladders that decode left out, because hedges cannot use them. `feed` is the `source` that the message names,
    or empty.
    """

    event_time_ns: int
    instruments: tuple[int, ...]
    bids: tuple[float, ...]
    asks: tuple[float, ...]
    depths: tuple[QuoteDepth | None, ...] = ()
    levels_cut: int = 0
    feed: str = ""


@dataclass(frozen=True, slots=True)
class PositionLevel:
    """The position of `book` in the asset at index `asset` (None: the numeraire, which carries no risk).

    `source` is the record it came from, as ``positions[2]@17``. `dated` is False where the message had no event time.
    Then the record's timestamp orders it but says nothing about the market's time, as in a replay of old prices.
    """

    event_time_ns: int
    book: str
    asset: int | None
    quantity: float
    source: str
    dated: bool = True


@dataclass(frozen=True, slots=True)
class TradeReport:
    """What the execution system says of one suggested trade, of the instrument at index `instrument`.

    `filled_lots` counts all lots filled so far, >= 0; None where the report does not say. `record` is what it came
    from. `dated` is as for a `PositionLevel`.
    """

    event_time_ns: int
    book: str
    suggestion_id: str
    instrument: int
    status: Literal["acknowledged", "part-filled", "filled", "rejected"]
    filled_lots: int | None
    record: Record
    content_type: str
    dated: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """A record, or a part of one, that cannot be used."""

    record: Record
    reason: RefusalReason
    detail: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Ticks:
    """Quotes in the order of their times: (k,) event time, index of the instrument in the configuration, and mid."""

    times_ns: IntArray
    instruments: IntArray
    mids: FloatArray


@dataclass(frozen=True, slots=True)
class Timestep:
    """The close of one step of the event-time grid.

    Step `index` covers the times in ((index - 1) ΔT, index ΔT], and `end_ns` is index ΔT.

    Attributes
    ----------
    bids, asks : (m,) in quote units; NaN where the instrument was never quoted.
    quoted_at_ns : (m,) event time of the latest quote; 0 where there is none.
    ticks : all quotes of the step, for a covariance that takes each of them; None where none does.
    depths : by the index of the instrument, where its latest quote shows any.
    feeds : by the index of the instrument, the feed that quoted it last, where it has a name.
    """

    index: int
    end_ns: int
    bids: FloatArray
    asks: FloatArray
    quoted_at_ns: IntArray
    ticks: Ticks | None = None
    depths: dict[int, QuoteDepth] = field(default_factory=dict)
    feeds: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedSilence:
    """Quotes have stopped arriving by the wall clock, or arrive again."""

    silent: bool


Decoded: TypeAlias = Quotes | PositionLevel | TradeReport | Refused
EngineEvent: TypeAlias = Timestep | PositionLevel | TradeReport | Refused | FeedSilence
