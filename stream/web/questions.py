"""What would be published for a book with one more trade, and what less risk would cost it.

Both are the service's own solve, on copies of its state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from schemas.answers import Frontier, WhatIf
from solver.arrays import FloatArray
from solver.errors import SolverError
from stream.clock import Clock
from stream.config import Config
from stream.engine.book.solve import BookResult, BookSolver
from stream.engine.book.solved import SolvedBook, Trigger, UnsolvedBook
from stream.engine.book.state import BookState
from stream.engine.market.model import Market
from stream.engine.runtime import Runtime
from stream.errors import NoAnswer
from stream.web.views import View


@dataclass(frozen=True)
class HypotheticalTrade:
    """A trade that did not happen: `units` of assets by name, and signed `lots` of instruments by name."""

    units: Mapping[str, float] = field(default_factory=dict)
    lots: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """The trade as text, the same whatever the order of its parts."""
        parts = [f"{name}={quantity!r}" for name, quantity in sorted(self.units.items())]
        parts += [f"{lots:+d} lots {name}" for name, lots in sorted(self.lots.items())]
        return ", ".join(parts)


class Questions:
    """Answers questions about the books of one configuration, as `view` shows them.

    `clock` stops a solve at `solver.deadline_ms`, as in the service. Not for two threads at once.
    """

    def __init__(self, config: Config, view: View, clock: Clock | None = None) -> None:
        self._view = view
        self._solver = BookSolver(config, Runtime(clock))
        self._books = {book.name: book for book in config.books}
        self._assets = {asset: index for index, asset in enumerate(config.universe.assets)}
        self._instruments = {instrument.name: index for index, instrument in enumerate(config.instruments)}

    def what_if(self, book: str, trade: HypotheticalTrade) -> WhatIf:
        """The messages for `book` with `trade` on top of what it holds. Trades in flight count as done.

        Raises
        ------
        NoAnswer : no figures can be had now; the message says why.
        """
        market, state = self._now(book)
        units = self._units(trade, market)
        state.quantities += units
        result = self._solve(book, state, market, f"what-if({trade})")
        return WhatIf(
            id=f"what-if/{result.residual.id.removeprefix('residual/')}",
            book=book,
            trade={asset: float(units[index]) for asset, index in self._assets.items() if units[index]},
            residual=result.residual,
            suggestion=result.suggestion,
            quote=result.quote,
        )

    def frontier(self, book: str, points: int) -> Frontier:
        """What each level of risk costs `book` as it stands, in `points` (>= 2) steps from nothing to flat.

        Raises
        ------
        NoAnswer : no figures can be had now; the message says why.
        """
        market, state = self._now(book)
        result = self._solve(book, state, market, "what-if()")
        assert isinstance(result.found, SolvedBook)
        try:
            found = self._solver.frontier(result.found, market, points)
        except SolverError as exc:
            raise NoAnswer(f"{book} has no frontier: the solver refused it: {exc}") from exc
        return msgspec.structs.replace(found, suggestion=result.suggestion)

    def _solve(self, book: str, state: BookState, market: Market, source: str) -> BookResult:
        trigger = Trigger("what-if", market.end_ns, source)
        (result,) = self._solver.solve([(self._books[book], state)], market, trigger)
        if isinstance(result.found, UnsolvedBook):
            raise NoAnswer(f"{book} has no figures: {result.found.detail}")
        return result

    def _now(self, book: str) -> tuple[Market, BookState]:
        """The market, and a copy of the state of `book` in which no suggestion stands and no skew was published."""
        market, state = self._view.of(book)
        if market is None or state is None:
            raise NoAnswer(f"{book} has no figures: no timestep has closed since the service was started")
        state.standing = state.quoted = None
        return market, state

    def _units(self, trade: HypotheticalTrade, market: Market) -> FloatArray:
        """(n,) units of each asset. Trades in the numeraire are left out, for it carries no risk."""
        units = np.zeros(len(self._assets))
        for asset, quantity in trade.units.items():
            if asset in self._assets:
                units[self._assets[asset]] += quantity
        valuation = market.valuation
        for instrument, lots in trade.lots.items():
            index = self._instruments[instrument]
            if not valuation.tradeable[index]:
                raise NoAnswer(f"{instrument} has no fresh quote, or a leg of it no price: what a lot adds is unknown")
            exposure = lots * valuation.exposures[:, index]
            legs = exposure != 0
            units[legs] += exposure[legs] / valuation.prices[legs]
        return units
