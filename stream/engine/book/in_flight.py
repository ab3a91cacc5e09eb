"""What became of suggested trades: which are being worked, what was filled, and what the positions do not show yet.

A trade counts as done from its acknowledgement on, so that it is not suggested again while it is being worked: its lots
stand in for the positions that will follow. Asset by asset they give way to what a position shows: the fills that
happened until the time for which it is dated. What is rejected comes back at once, and its instrument pauses: whoever
refused it is not asked again at the rate of the refusals. A trade that is being worked and of which nothing is heard
for too long counts no more (`overdue`), and an alert says so.

Reports may come twice, late or in any order: each says how many lots were filled by a time, which stays true.
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
"""Of one book. Beyond it the oldest that nobody took up, or that ended and are shown, are forgotten first; of these
last those of which lots were refused, since their instruments pause."""


@dataclass
class SuggestedTrade:
    """One trade of a suggestion and what is known of it.

    `lots` signed, bought positive; `units_per_lot` (n,) what one bought lot adds to each asset, at the price of when it
    was suggested, or last renewed. `filled_by` the lots (>= 0) that were filled by a time, for each time that was told.
    `heard_ns` is when it was last renewed or heard of, `refused_ns` when it was heard that the rest is not filled; 0
    where that never was, or turned out to be wrong.
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
        """So far, >= 0."""
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
    """Apply `report`, heard at `heard_ns`, to the trade that it is about; why it cannot be, or None.

    A report again changes nothing. A trade that nobody took up of another suggestion than `standing_id` was replaced:
    who rejects it clears away, and refuses nothing.
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
    # Nothing is filled before it is suggested, whatever a clock says: a level of before would seem to show it.
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
            # No sooner than it was last suggested, for a pause by a slow clock would be over before it began.
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
    """The trades that still matter at `now_ns`; those that became overdue are marked.

    Parameters
    ----------
    position_ns : by asset, the time for which the latest position is dated.
    max_age_ns : without a report for longer, a trade that is being worked counts no more.
    forget_after_ns : without a report for longer, one is forgotten that has no fills which positions do not show: only
        they settle a fill. Until then it is kept, whatever became of it, for reports that come twice or late.
    standing_id : the suggestion that stands. Its trades are kept until it is renewed, replaced or withdrawn, which may
        be long after its expiry: a book without prices is not solved.
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
