"""The book side of the engine: from positions and a market to residual exposure, hedge suggestion and quote skew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.answers import Frontier
from schemas.outbound import HedgeSuggestion, QuoteSkew, ResidualExposure
from solver.arrays import BoolArray, FloatArray
from solver.errors import IllPosed, SolverError
from solver.packing.result import Packing
from stream.clock import deadline
from stream.config import BookConfig, Config
from stream.engine.book.client_flow import Waiting
from stream.engine.book.messages.quote_skew import quote_skew
from stream.engine.book.messages.residual_exposure import residual_exposure
from stream.engine.book.prepared import LatestModel
from stream.engine.book.quote_skew import Quoter
from stream.engine.book.solved import Occasion, SolvedBook, Trigger, UnsolvedBook, solved_book
from stream.engine.book.state import BookState
from stream.engine.book.suggest import Suggester
from stream.engine.market.model import Market
from stream.engine.runtime import Runtime


@dataclass(frozen=True)
class BookResult:
    """One solve of a book: what it found, and the messages that say it."""

    found: SolvedBook | UnsolvedBook = field(compare=False)
    residual: ResidualExposure
    suggestion: HedgeSuggestion | None
    quote: QuoteSkew | None


class BookSolver:
    """Packs and hedges the books of one configuration. Holds nothing that changes a result."""

    def __init__(self, config: Config, runtime: Runtime | None = None) -> None:
        runtime = runtime or Runtime()
        self._config = config
        self._runtime = runtime
        self._deadline = deadline(runtime.clock, config.solver.deadline_ms)
        self._latest = LatestModel(config)
        self._quoter = Quoter(config)
        self._suggester = Suggester(config, self._deadline, lambda: runtime.timed("hedge"))

    def solve(
        self, books: Sequence[tuple[BookConfig, BookState]], market: Market, trigger: Trigger
    ) -> list[BookResult]:
        """Pack `books` together and hedge each one at `market`. Their states keep what the next solve starts from."""
        if not books:
            return []
        for _, state in books:
            self._suggester.settle(state, trigger.event_time_ns)
        results = []
        for packed, (_, state) in zip(self._solved(books, market, trigger), books, strict=True):
            found, suggestion = self._suggestion(packed, state, market)
            quote = self._quote(found, state, market)
            results.append(BookResult(found, residual_exposure(self._config, found), suggestion, quote))
        return results

    def frontier(self, solved: SolvedBook, market: Market, points: int) -> Frontier:
        """The cost of each level of risk for the book `solved`, which this solver found at `market`.

        Raises
        ------
        SolverError : the solver refuses it.
        """
        return self._suggester.frontier(solved, market.valuation, points)

    def _solved(
        self, books: Sequence[tuple[BookConfig, BookState]], market: Market, trigger: Trigger
    ) -> list[SolvedBook | UnsolvedBook]:
        """Every book with its packing and risks, or the reason why it has none."""
        prices = market.valuation.prices
        in_flight = np.array([state.in_flight for _, state in books])
        quantities = np.array([state.quantities for _, state in books]) + in_flight
        held = quantities != 0
        unpriced = held & np.isnan(prices)
        Q = np.where(held, quantities * prices, 0.0)
        Q_in_flight = np.where(in_flight != 0, in_flight * prices, 0.0)
        unknown = unpriced | (held & ~market.known)
        solvable: list[int] = [] if market.Sigma is None else np.flatnonzero(~unknown.any(axis=1)).tolist()
        packings: dict[int, Packing | SolverError] = {}
        if solvable:
            states = [books[index][1] for index in solvable]
            packings = dict(zip(solvable, self._pack(states, market, Q[solvable]), strict=True))
        results: list[SolvedBook | UnsolvedBook] = []
        for index, (book, state) in enumerate(books):
            occasion = Occasion(book, market.timestep, market.version, trigger)
            match packings.get(index):
                case None:
                    results.append(self._unknown(occasion, held[index], market))
                case SolverError() as refusal:
                    results.append(_refused(occasion, refusal))
                case packing:
                    model = self._latest.of(market)
                    suspect = self._names(held[index] & market.suspect)
                    results.append(
                        solved_book(occasion, Q[index], Q_in_flight[index], packing, model, state.incomplete, suspect)
                    )
        return results

    def _suggestion(
        self, found: SolvedBook | UnsolvedBook, state: BookState, market: Market
    ) -> tuple[SolvedBook | UnsolvedBook, HedgeSuggestion | None]:
        """The book, unsolved if the solver refuses to hedge it, and the message on what to trade.

        A book that cannot be hedged must not stop the others, and must not look solved. The suggestion of a book
        without figures rests on old numbers, but nothing better is known: it is neither repeated nor withdrawn until
        the book has figures again. The same holds for a book whose positions are not all known: a trade that hedges a
        part of them can add risk to the whole.
        """
        if isinstance(found, UnsolvedBook) or found.incomplete:
            return found, None
        book = found.occasion.book
        try:
            waiting = self._waiting(book, market) if book.band == "internalise" else None
            # Without an answer for the flow the limit applies; the quote skew has the reason.
            zone = waiting if isinstance(waiting, Waiting) else None
            return found, self._suggester.suggest(found, state, market.valuation, zone)
        except SolverError as refusal:
            return _refused(found.occasion, refusal), None

    def _quote(self, found: SolvedBook | UnsolvedBook, state: BookState, market: Market) -> QuoteSkew | None:
        """The quote skew, where it differs materially from the last one; `state` remembers it."""
        waiting = self._waiting(found.occasion.book, market) if isinstance(found, SolvedBook) else None
        new = self._quoter.quote(found, state.quoted, waiting)
        if new is None:
            return None
        state.quoted = new.quoted
        return quote_skew(self._config, found, new)

    def _waiting(self, book: BookConfig, market: Market) -> Waiting | IllPosed | None:
        """How `book` waits for clients, or why there is no answer; None for a book without a flow."""
        try:
            return self._quoter.waiting(book, self._latest.of(market), market.valuation)
        except IllPosed as exc:
            return exc

    def _unknown(self, occasion: Occasion, held: BoolArray, market: Market) -> UnsolvedBook:
        """A book that holds an asset without a price or a covariance. `held` (n,) says which assets it holds."""
        unpriced = self._names(held & market.valuation.unpriced)
        if unpriced:
            return UnsolvedBook(occasion, "unpriced", f"no fresh price of {', '.join(unpriced)}", unpriced)
        unknown = self._names(held & ~market.known) or ("any asset",)
        needed = self._config.covariance.min_observations
        detail = f"no covariance of {', '.join(unknown)} yet: it takes {needed} returns, and prices that move"
        return UnsolvedBook(occasion, "no-model", detail)

    def _names(self, which: BoolArray) -> tuple[str, ...]:
        return tuple(asset for asset, chosen in zip(self._config.universe.assets, which, strict=True) if chosen)

    def _pack(self, states: Sequence[BookState], market: Market, Q: FloatArray) -> list[Packing | SolverError]:
        """The packing of each book with (books, n) exposures `Q`, or why there is none. The next one starts from it."""
        settings = self._config.solver
        # In equal parts, not what other books leave over: so a book's result depends only on how many books there are.
        max_nodes = max(1, min(settings.max_packing_nodes, settings.max_timestep_nodes // len(states)))
        with self._runtime.timed("pack"):
            try:
                model = self._latest.of(market)
                ids = [beta.beta_id for beta in model.betas]
                start = np.array([[state.multiples.get(each, 0) for each in ids] for state in states], dtype=np.int64)
                packings = model.packer.pack(
                    Q, start, max_nodes, self._deadline, settings.threads, self._runtime.map_over
                )
            except SolverError as exc:
                return [exc] * len(states)
        for state, packing in zip(states, packings, strict=True):
            if isinstance(packing, Packing):
                state.multiples = {
                    each: lots for each, lots in zip(ids, packing.multiples.tolist(), strict=True) if lots
                }
        return packings


def _refused(occasion: Occasion, refusal: SolverError) -> UnsolvedBook:
    return UnsolvedBook(occasion, "unsolved", f"the solver refused it: {type(refusal).__name__}: {refusal}")
