"""The service inside the simulation's process: quotes and positions go in, models and suggestions come out."""

from __future__ import annotations

import numpy as np

from schemas.outbound import HedgeSuggestion
from solver.arrays import FloatArray, IntArray
from stream.config import Config
from stream.engine.market.model import Market
from stream.engine.step import Engine
from stream.events.types import PositionLevel, Timestep, TradeReport
from stream.kafka.log import Record

_NO_RECORD = Record("hedge-status", 0, 0, 0, None, None, ())


class DeskService:
    """One engine with its state. It has no clock, so every solve runs to the end of its effort, and runs repeat."""

    def __init__(self, config: Config) -> None:
        self._engine = Engine(config)
        self._state = self._engine.new_state()
        self._index_of = {instrument.name: index for index, instrument in enumerate(config.instruments)}
        self._sent = 0

    def hold(self, event_time_ns: int, book: str, quantities: FloatArray) -> None:
        """Send the positions of `book`, (n,) units of each asset, where they changed."""
        known = self._state.books[book].quantities
        for asset in np.flatnonzero(quantities != known).tolist():
            self._sent += 1
            source = f"positions[0]@{self._sent}"
            level = PositionLevel(event_time_ns, book, asset, float(quantities[asset]), source)
            self._state, _ = self._engine.step(self._state, level)

    def close(self, timestep: Timestep) -> tuple[Market, dict[str, IntArray]]:
        """Close `timestep`. Returns the market at its close, and the lots (m,) of each book that should trade."""
        self._state, outputs = self._engine.step(self._state, timestep)
        assert self._state.latest is not None
        suggestions = [output for output in outputs if isinstance(output, HedgeSuggestion) and output.trades]
        for suggestion in suggestions:
            self._report_filled(suggestion)
        return self._state.latest, {each.book: self._lots(each) for each in suggestions}

    def _report_filled(self, suggestion: HedgeSuggestion) -> None:
        """The desk deals what is suggested at once and in full."""
        for trade in suggestion.trades:
            report = TradeReport(
                event_time_ns=suggestion.event_time_ns + 1,  # after the positions of the same moment
                book=suggestion.book,
                suggestion_id=suggestion.suggestion_id,
                instrument=self._index_of[trade.instrument],
                status="filled",
                filled_lots=None,
                record=_NO_RECORD,
                content_type="",
            )
            self._state, _ = self._engine.step(self._state, report)

    def _lots(self, suggestion: HedgeSuggestion) -> IntArray:
        lots = np.zeros(len(self._index_of), dtype=np.int64)
        for trade in suggestion.trades:
            lots[self._index_of[trade.instrument]] = trade.lots if trade.side == "buy" else -trade.lots
        return lots
