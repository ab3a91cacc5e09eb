"""What became of suggested trades: which are being worked, what was filled, and what the positions do not show yet.

A trade counts as done from its acknowledgement on, so that it is not suggested again while it is being worked. Its lots
stand in for positions that will follow. A position of an asset shows the fills up to the time for which it is dated;
for that asset these fills no longer count as in flight.

The lots of a rejected trade stop counting at once. Its instrument pauses, so that a venue that refuses is not asked
again at once. A trade that is being worked no longer counts (`overdue`) when nothing was heard of it for too long. An
alert then names it.

Reports may come twice, late or in any order. Each says how many lots were filled by a time, and that stays true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from solver.arrays import FloatArray
from stream.events.outside_text import quoted
from stream.events.types import TradeReport

TradeStatus = Literal["suggested", "working", "done", "rejected"]

TRADES_KEPT = 256
"""How many trades of one book are kept. Beyond it, trades that nobody took up, or that ended and that positions show,
are forgotten: the oldest first, and those with refused lots last, since their instruments pause."""


@dataclass
class SuggestedTrade:
    """One trade of a suggestion and what is known of it.

    Attributes
    ----------
    suggestion_id, instrument : the suggestion, and the index of the instrument.
    lots : bought is positive, sold negative.
    units_per_lot : (n,) what one bought lot adds to each asset, at the price when it was suggested or last renewed.
    suggested_ns : when it was suggested.
    status : `suggested` until somebody acknowledges or rejects it.
    filled_by : for each reported time, the lots (>= 0) that were filled by then.
    heard_ns : when it was last renewed or reported on; 0 if never.
    refused_ns : when a report said that the rest will not be filled; 0 if none did, or if it turned out to be wrong.
    overdue : whether it was being worked and nothing was heard of it for too long.
    """

    suggestion_id: str
    instrument: int
    lots: int
    units_per_lot: FloatArray
    suggested_ns: int
    status: TradeStatus = "suggested"
    filled_by: dict[int, int] = field(default_factory=dict)
    heard_ns: int = 0
    refused_ns: int = 0
    overdue: bool = False

    @property
    def filled_lots(self) -> int:
        """The lots filled so far, >= 0."""
        return max(self.filled_by.values(), default=0)

    @property
    def done_lots(self) -> int:
        """Lots (>= 0) that count as done: all while the trade is being worked, else what was filled."""
        return abs(self.lots) if self.status == "working" and not self.overdue else self.filled_lots

    def unshown_lots(self, asset: int, position_ns: Mapping[int, int]) -> int:
        """Signed lots that count as done and that the latest position of `asset` does not show."""
        dated_ns = position_ns.get(asset, 0)
        shown = max((filled for time_ns, filled in self.filled_by.items() if time_ns <= dated_ns), default=0)
        return (self.done_lots - shown) * (1 if self.lots > 0 else -1)

    def is_shown(self, position_ns: Mapping[int, int]) -> bool:
        """Whether the positions of all its assets show what counts as done."""
        legs: list[int] = np.flatnonzero(self.units_per_lot).tolist()
        return all(self.unshown_lots(asset, position_ns) == 0 for asset in legs)


def take_report(
    trades: Sequence[SuggestedTrade], report: TradeReport, heard_ns: int, standing_id: str | None
) -> str | None:
    """Apply `report`, heard at `heard_ns`, to its trade. Returns why that is impossible, or None.

    A repeated report changes nothing. A trade that nobody took up, of another suggestion than `standing_id`, has been
    replaced: to reject it only tidies up, so its instrument does not pause.
    """
    about = (report.suggestion_id, report.instrument)
    trade = next((each for each in trades if (each.suggestion_id, each.instrument) == about), None)
    if trade is None:
        return (
            f"suggestion_id must be that of a suggestion to book {report.book!r} with a trade in this instrument, "
            f"got {quoted(report.suggestion_id)}, which has no such trade or was forgotten"
        )
    size = abs(trade.lots)
    filled = size if report.status == "filled" and report.filled_lots is None else report.filled_lots or 0
    if filled > size:
        return f"filled_lots must be at most the {size} lots of the trade, got {filled}"
    # No fill is older than its suggestion, whatever a clock says: an older position would seem to show it.
    filled_ns = max(report.event_time_ns, trade.suggested_ns)
    if filled > trade.filled_by.get(filled_ns, 0):
        trade.filled_by[filled_ns] = filled
    if heard_ns > trade.heard_ns:
        trade.heard_ns = heard_ns
        trade.overdue = False
    if trade.status in ("suggested", "working"):
        replaced = trade.status == "suggested" and trade.suggestion_id != standing_id
        if report.status == "rejected":
            trade.status = "rejected"
        elif trade.filled_lots == size or report.status == "filled":
            trade.status = "done"
        else:
            trade.status = "working"
        if trade.status != "working" and not replaced:
            # Not before it was suggested: with a slow clock the pause would end before it began.
            trade.refused_ns = max(trade.heard_ns, trade.suggested_ns)
    if trade.filled_lots == size:
        trade.refused_ns = 0
    return None


def settle(
    trades: Iterable[SuggestedTrade],
    position_ns: Mapping[int, int],
    now_ns: int,
    max_age_ns: int,
    forget_after_ns: int,
    standing_id: str | None = None,
) -> list[SuggestedTrade]:
    """The trades that still matter at `now_ns`. Marks those that became overdue.

    Parameters
    ----------
    trades : of one book; changed.
    position_ns : by asset, the time for which the latest position is dated.
    now_ns : event time.
    max_age_ns : a trade that is being worked is overdue when no report came for longer than this.
    forget_after_ns : a trade is forgotten when no report came for longer than this, unless some of its lots count as
        done and no position shows them yet. Until then it is kept for reports that are repeated or late.
    standing_id : the suggestion that stands. Its trades are kept until it is renewed, replaced or withdrawn. That may
        be long after its expiry, because a book without prices is not solved.
    """
    kept = []
    for trade in trades:
        silent_ns = now_ns - max(trade.heard_ns, trade.suggested_ns)
        if trade.status == "working" and silent_ns > max_age_ns:
            trade.overdue = True
        stands = trade.status == "suggested" and trade.suggestion_id == standing_id
        if stands or silent_ns <= forget_after_ns or not trade.is_shown(position_ns):
            kept.append(trade)
    idle = [
        trade
        for trade in kept
        if trade.status == "suggested" or (trade.status != "working" and trade.is_shown(position_ns))
    ]
    idle.sort(key=lambda trade: trade.refused_ns)
    surplus = {id(trade) for trade in idle[: max(0, len(kept) - TRADES_KEPT)]}
    return [trade for trade in kept if id(trade) not in surplus]


def pausing(trades: Iterable[SuggestedTrade], now_ns: int, pause_ns: int) -> set[int]:
    """The indices of the instruments in which lots were refused less than `pause_ns` ago."""
    return {trade.instrument for trade in trades if trade.refused_ns and now_ns - trade.refused_ns < pause_ns}


def units_in_flight(trades: Iterable[SuggestedTrade], position_ns: Mapping[int, int], n: int) -> FloatArray:
    """(n,) units of each asset that count as done and that no position shows yet."""
    units = np.zeros(n)
    for trade in trades:
        if not trade.done_lots:
            continue
        for asset in np.flatnonzero(trade.units_per_lot).tolist():
            units[asset] += trade.unshown_lots(asset, position_ns) * trade.units_per_lot[asset]
    return units
