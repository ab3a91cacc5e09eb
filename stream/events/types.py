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

ClockWitness = Literal["majority", "records", "undecided", "one-quote"]
Keyed = Literal["level", "book", "other"]
"""What the key of a position names: book and asset, the book alone, or something else."""


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
    recorded_ns: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PositionLevel:
    """The position of `book` in the asset at index `asset` (None: the numeraire, which carries no risk).

    `source` is the record it came from, as ``positions[2]@17``. `dated` is False where the message had no event time.
    Then the record's timestamp orders it but says nothing about the market's time, as in a replay of old prices.
    `record_ms` is that timestamp, and `keyed` what the record's key names.
    """

    event_time_ns: int
    book: str
    asset: int | None
    quantity: float
    source: str
    dated: bool = True
    record_ms: int = 0
    keyed: Keyed = "book"


@dataclass(frozen=True, slots=True)
class PositionsConfirmed:
    """Somebody who knows says that `book` has no positions but those known, or but `quantities` where they are given.

    `quantities` are (n,) units of each asset. `source` and `dated` are as for a `PositionLevel`.
    """

    event_time_ns: int
    book: str
    quantities: tuple[float, ...] | None
    source: str
    dated: bool = True


@dataclass(frozen=True, slots=True)
class RefusedPosition:
    """What a refused record of `positions` was about.

    Attributes
    ----------
    book : by name, known or not; None where nothing tells.
    asset : by name, known or not; None where nothing tells, so that each asset may be meant.
    by_key : whether only the record's key names `book`, and no such book is configured.
    flat : whether the record says that the book holds nothing of the asset.
    event_time_ns : of the message; None where it has none that can be believed.
    order_ns : where the record stands in the merge. What it does to its book must come at one point in every replay.
    """

    book: str | None
    asset: str | None
    by_key: bool
    flat: bool
    event_time_ns: int | None
    order_ns: int


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
    """A record, or a part of one, that cannot be used.

    Attributes
    ----------
    names : what it is about, each name as `outside_text.quoted` shows it: for the reasons `unknown-…` the names that
        the configuration lacks, for `content-type` the header, and else the instruments. Empty where none could be
        read.
    unit : the unit that a wrong event time looks like; empty where it looks like none.
    in_part : whether other quotes of the record are used.
    position : what a record of `positions` was about; None where no book lacks a level.
    """

    record: Record
    reason: RefusalReason
    detail: str
    content_type: str
    names: tuple[str, ...] = ()
    unit: str = ""
    in_part: bool = False
    position: RefusedPosition | None = None


@dataclass(frozen=True, slots=True)
class Ticks:
    """Quotes in the order of their times: (k,) event time, index of the instrument in the configuration, and mid."""

    times_ns: IntArray
    instruments: IntArray
    mids: FloatArray


@dataclass(frozen=True, slots=True)
class LateQuotes:
    """Of the `quotes` of one source in the last `steps` timesteps, how many were late.

    `instruments` names the first few whose quotes were late. `behind_ns` is by how much the source's quotes are behind
    those of the others as a rule, 0 or more.
    """

    source: str
    late: int
    quotes: int
    steps: int
    instruments: tuple[str, ...] = ()
    behind_ns: int = 0


@dataclass(frozen=True, slots=True)
class SourceAhead:
    """A source whose clock is ahead, by `lead_ns` of the `others_count` others, of which `others` names the first few.

    `witness` is who says so: more than half of the sources agree with each other, the records' timestamps say it too,
    or nobody can tell whether this one is ahead or the others are behind. With `one-quote` the clock is not judged:
    one or a few quotes are ahead, and wait for their time.
    """

    source: str
    lead_ns: int
    others: tuple[str, ...]
    others_count: int
    witness: ClockWitness


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
    late : of every source with late quotes in the last timesteps.
    ahead : the sources whose clocks are ahead.
    feeds : by the index of the instrument, the feed that quoted it last, where it has a name.
    """

    index: int
    end_ns: int
    bids: FloatArray
    asks: FloatArray
    quoted_at_ns: IntArray
    ticks: Ticks | None = None
    depths: dict[int, QuoteDepth] = field(default_factory=dict)
    late: tuple[LateQuotes, ...] = ()
    ahead: tuple[SourceAhead, ...] = ()
    feeds: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedSilence:
    """Quotes have stopped arriving by the wall clock, or arrive again."""

    silent: bool


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Nothing will be added to the log: the end of a replay."""


@dataclass(frozen=True, slots=True)
class LevelsMissing:
    """Levels of any book may be missing from what can be read. Found when the service looks at its topics.

    Attributes
    ----------
    key : what is missing, the same each time that it is found.
    reason : in words.
    partition : from which levels are gone, as ``positions[1]``; empty where it is not one.
    ends : by partition, the offset after the last record that was in the log. What was confirmed before that was not
        about what is left.
    """

    key: str
    reason: str
    partition: str
    ends: dict[str, int]


@dataclass(frozen=True, slots=True)
class PositionsCompacted:
    """`positions` is a compacted topic: below `ends`, by partition, a key that names no asset may have lost levels."""

    ends: dict[str, int]


@dataclass(frozen=True, slots=True)
class BooksChanged:
    """The configuration has other books than the snapshot.

    `left_alerts` are the alerts that stand of books that left it, by key. `joined` are the books that came.
    """

    left_alerts: tuple[str, ...]
    joined: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A rebuild has processed what was in the log at its start."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`books` have positions, and by the wall clock should have had an answer."""

    books: tuple[str, ...]


Decoded: TypeAlias = Quotes | PositionLevel | PositionsConfirmed | TradeReport | Refused
EngineEvent: TypeAlias = (
    Timestep
    | PositionLevel
    | PositionsConfirmed
    | TradeReport
    | Refused
    | FeedSilence
    | LogEnd
    | LevelsMissing
    | PositionsCompacted
    | BooksChanged
    | Rebuilt
    | Waiting
)
