"""What to trade: a book over its limit gets a suggestion, which stands until something material changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np

from schemas.answers import Frontier
from schemas.outbound import HedgeSuggestion
from solver.arrays import FloatArray, IntArray
from solver.hedging.frontier import cost_risk_frontier
from solver.kernels.interrupt import Deadline
from stream.config import NANOSECONDS, Config
from stream.engine.book.client_flow import Waiting
from stream.engine.book.decide import Decision, Proposal, Question, Search, decide
from stream.engine.book.hedge_problems import BookProblem, HedgeProblems
from stream.engine.book.in_flight import SuggestedTrade, pausing, settle
from stream.engine.book.messages.efficient_hedges import efficient_hedges
from stream.engine.book.messages.suggestion import SuggestionFacts, suggestion
from stream.engine.book.solved import SolvedBook
from stream.engine.book.standing import Standing, aim, band_edge
from stream.engine.book.state import BookState
from stream.engine.market.valuation import Valuation


class Suggester:
    """Suggests trades for the books of one configuration. Holds nothing that changes a result.

    `deadline` stops a solve, and `timed` brackets it, for metrics.
    """

    def __init__(
        self, config: Config, deadline: Deadline | None, timed: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self._config = config
        self._deadline = deadline
        self._timed = timed
        self._problems = HedgeProblems(config)
        self._units = LotUnits(config)

    def settle(self, state: BookState, now_ns: int) -> None:
        """Drop trades that no longer matter, and mark those that are overdue."""
        hedging = self._config.hedging
        if state.trades:
            state.trades = settle(
                state.trades,
                state.position_ns,
                now_ns,
                round(hedging.in_flight_max_s * NANOSECONDS),
                # Somebody may take up a suggestion just before it expires, and then not report for `in_flight_max_s`.
                round(max(hedging.expiry_s + hedging.in_flight_max_s, hedging.rejection_pause_s) * NANOSECONDS),
                state.standing.suggestion_id if state.standing else None,
            )

    def suggest(
        self, solved: SolvedBook, state: BookState, valuation: Valuation, zone: Waiting | None = None
    ) -> HedgeSuggestion | None:
        """The message on what to trade; None if there is nothing to say.

        Parameters
        ----------
        solved : the book, trades in flight included.
        state : of the book; it remembers the suggestion that stands afterwards.
        valuation : current prices and quotes.
        zone : in which the book waits for clients; None for a book that waits up to its limit.

        Raises
        ------
        SolverError : the solver refuses the problem. `state` then has no decision of this call.
        """
        book, hedging, now_ns = solved.occasion.book, self._config.hedging, solved.occasion.trigger.event_time_ns
        state.forget_finished_suggestion()
        standing = state.standing
        edge = band_edge(book, solved.limit_risk, zone.scale_to_edge(solved.Q) if zone else math.inf)
        if standing is None and solved.limit_risk <= edge:
            return None
        paused = pausing(state.trades, now_ns, round(hedging.rejection_pause_s * NANOSECONDS))
        target = aim(book.target_share * edge, hedging, solved.limit_risk)
        asked = self._problems.of(solved, valuation, target, paused)
        question = Question(
            book=book,
            hedging=hedging,
            now_ns=now_ns,
            risk=solved.limit_risk,
            edge=edge,
            problem=asked.problem,
            zone=zone,
            proposal=None if standing is None else _proposal(standing, state.waiting_trades(), asked),
        )
        decision = decide(question, self._search())
        about = self._apply(decision, state, solved, valuation, asked)
        if about is None:
            return None
        names = tuple(self._config.instruments[index].name for index in sorted(paused))
        # A withdrawal has no trades, so no instrument was left out.
        facts = SuggestionFacts(solved, asked, decision, about, edge, () if decision.action == "withdraw" else names)
        return suggestion(self._config, facts)

    def frontier(self, solved: SolvedBook, valuation: Valuation, points: int) -> Frontier:
        """The cost of each level of risk for the book, hedged as in `suggest` if no lots had been refused.

        All points share one deadline and each has `solver.max_hedge_nodes`. `points` >= 2.
        """
        book = solved.occasion.book
        # This target is not used: each point has its own.
        asked = self._problems.of(solved, valuation, book.target_share * book.limit)
        search = self._search()
        found = cost_risk_frontier(asked.problem, points, search.max_nodes, search.should_stop)
        return efficient_hedges(self._config, solved, asked, found)

    def _search(self) -> Search:
        """The effort of one decision. Its deadline begins with this call."""
        should_stop = self._deadline() if self._deadline else None
        return Search(self._config.solver.max_hedge_nodes, should_stop, self._timed)

    def _apply(
        self,
        decision: Decision,
        state: BookState,
        solved: SolvedBook,
        valuation: Valuation,
        asked: BookProblem,
    ) -> Standing | None:
        """Let `state` remember `decision`. Returns the suggestion that the message is about, None without one.

        Parameters
        ----------
        decision : what becomes of the suggestion that stands in `state`.
        state : of the book; changed.
        solved : the book.
        valuation : current prices and quotes.
        asked : the problem; the lots of `decision` are over its instruments.
        """
        now_ns, standing = solved.occasion.trigger.event_time_ns, state.standing
        match decision.action:
            case "keep":
                return standing
            case "withdraw":
                state.standing = None
                return standing
            case "renew":
                assert standing is not None
                # It can be taken up for as long as a new one, at the current prices.
                for trade in state.waiting_trades():
                    trade.units_per_lot = self._units.of(trade.instrument, valuation)
                    trade.heard_ns = now_ns
                state.standing = replace(standing, since_ns=now_ns)
            case "replace":
                suggestion_id = solved.occasion.id_of("hedge")
                lots = asked.everywhere(decision.lots)
                for index in np.flatnonzero(lots).tolist():
                    units = self._units.of(index, valuation)
                    state.trades.append(SuggestedTrade(suggestion_id, index, int(lots[index]), units, now_ns))
                state.standing = Standing(suggestion_id, now_ns, bool(lots.any()))
        return state.standing


class LotUnits:
    """What a bought lot of each instrument of one configuration adds to each asset."""

    def __init__(self, config: Config) -> None:
        self._instruments = config.instruments
        indices = {asset: index for index, asset in enumerate(config.universe.assets)}
        self._legs = np.zeros((len(indices), len(config.instruments)))
        for column, instrument in enumerate(config.instruments):
            for asset, quantity in instrument.legs.items():
                if asset in indices:
                    self._legs[indices[asset], column] = quantity * instrument.lot
        self._quote = [indices.get(instrument.quote) for instrument in config.instruments]

    def of(self, instrument: int, valuation: Valuation) -> FloatArray:
        """(n,) units of each asset that one lot adds, of the instrument at this index and bought at its mid."""
        units: FloatArray = self._legs[:, instrument].copy()
        quote = self._quote[instrument]
        if quote is not None:
            mid = 0.5 * float(valuation.bids[instrument] + valuation.asks[instrument])
            units[quote] -= mid * self._instruments[instrument].lot
        return units


def _proposal(standing: Standing, waiting: list[SuggestedTrade], asked: BookProblem) -> Proposal:
    """`standing` with its trades that wait to be taken up."""
    lots: IntArray = asked.everywhere(np.zeros(len(asked.columns), dtype=np.int64))
    for trade in waiting:
        lots[trade.instrument] = trade.lots
    own = asked.own(lots)
    return Proposal(standing, lots[asked.columns], None if own is None else asked.outcome(own))
