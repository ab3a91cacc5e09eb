"""What is remembered of one book between two solves."""

from __future__ import annotations

from dataclasses import dataclass, field

from solver.arrays import FloatArray
from stream.engine.book.doubts import Doubts, reasons
from stream.engine.book.in_flight import SuggestedTrade, units_in_flight
from stream.engine.book.quote_skew import Quoted
from stream.engine.book.standing import Standing


@dataclass
class BookState:
    """What is remembered of one book.

    Attributes
    ----------
    quantities : (n,) units of each asset.
    as_of_ns : by asset, the time of the latest dated position.
    has_positions : whether a position was ever read; an empty book can have read one.
    multiples : packed lots by β, of the last packing.
    position_ns : by asset, the time of the latest position, or that of its record if it was not dated.
    trades : suggested trades that still matter.
    standing : the suggestion that waits to be taken up.
    quoted : the quote skew last published.
    doubts : why positions may be missing.
    answered : whether it ever had figures.
    """

    quantities: FloatArray
    as_of_ns: dict[int, int] = field(default_factory=dict)
    has_positions: bool = False
    multiples: dict[str, int] = field(default_factory=dict)
    position_ns: dict[int, int] = field(default_factory=dict)
    trades: list[SuggestedTrade] = field(default_factory=list)
    standing: Standing | None = None
    quoted: Quoted | None = None
    doubts: Doubts = field(default_factory=dict)
    answered: bool = False

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why positions may be missing, each reason once; empty for a book that is complete."""
        return reasons(self.doubts.values())

    @property
    def is_shown(self) -> bool:
        """Whether there is anything to say of it: it has a position, or may have one."""
        return self.has_positions or bool(self.doubts)

    @property
    def in_flight(self) -> FloatArray:
        """(n,) units of each asset that count as held although no position shows them yet."""
        return units_in_flight(self.trades, self.position_ns, len(self.quantities))

    def forget_finished_suggestion(self) -> None:
        """Drop the suggestion that stands once all its trades were taken up or refused: the rest is a new decision."""
        if self.standing is not None and self.standing.had_trades and not self.waiting_trades():
            self.standing = None

    def waiting_trades(self) -> list[SuggestedTrade]:
        """Trades of the standing suggestion that nobody has taken up."""
        if self.standing is None:
            return []
        own = self.standing.suggestion_id
        return [trade for trade in self.trades if trade.suggestion_id == own and trade.status == "suggested"]
