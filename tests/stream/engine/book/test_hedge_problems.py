"""Which instruments a book's hedge problem holds, and what it says of lots that are given to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from stream.config import Config
from stream.engine.book.hedge_problems import BookProblem, HedgeProblems
from stream.engine.book.solve import BookSolver
from stream.engine.book.solved import SolvedBook, Trigger
from stream.engine.book.state import BookState
from stream.engine.market.model import Market, MarketModel
from stream.events.types import QuoteDepth, Timestep

SPOT, OPTIONS = 0, 1
EURUSD, USDCHF, USDJPY, EURCHF = range(4)


@pytest.fixture
def market(desk: Config, mid_prices: Callable[[int, int], np.ndarray], timestep_of: Callable[..., Timestep]) -> Market:
    """The last timestep of a warmed-up market."""
    model = MarketModel(desk)
    state = model.new_state()
    return [model.advance(state, timestep_of(step, mids)) for step, mids in enumerate(mid_prices(70, 5), start=1)][-1]


def solved_at(desk: Config, market: Market) -> list[SolvedBook]:
    """The books "spot" and "options", long EUR and short JPY."""
    states = [(book, BookState(quantities=np.array([9e6, -7e6, -2e8]))) for book in desk.books]
    trigger = Trigger("timestep", market.end_ns, "70")
    found = [result.found for result in BookSolver(desk).solve(states, market, trigger)]
    return [book for book in found if isinstance(book, SolvedBook)]


def problem_of(desk: Config, market: Market, book: int, pausing: tuple[int, ...] = ()) -> BookProblem:
    return HedgeProblems(desk).of(solved_at(desk, market)[book], market.valuation, 1.0, pausing)


def columns(desk: Config, market: Market, book: int, pausing: tuple[int, ...] = ()) -> list[int]:
    return problem_of(desk, market, book, pausing).columns.tolist()


def test_columns_are_what_the_book_may_trade(desk: Config, market: Market) -> None:
    """All instruments, those that the book lists, and less those that pause."""
    assert columns(desk, market, SPOT) == [EURUSD, USDCHF, USDJPY, EURCHF]
    assert columns(desk, market, OPTIONS) == [EURUSD, USDJPY]
    assert columns(desk, market, SPOT, (USDCHF, EURCHF)) == [EURUSD, USDJPY]
    assert columns(desk, market, OPTIONS, (EURUSD, USDJPY)) == []


def test_what_cannot_be_traded_or_has_no_risk_yet_is_left_out(desk: Config, market: Market) -> None:
    """An instrument without a fresh quote, and each one with a leg in an asset without a covariance."""
    (spot, _), valuation = solved_at(desk, market), market.valuation
    tradeable = np.array([True, True, False, True])
    stale = HedgeProblems(desk).of(spot, replace(valuation, tradeable=tradeable), 1.0)
    assert stale.columns.tolist() == [EURUSD, USDCHF, EURCHF]
    chf = np.array([asset != "CHF" for asset in desk.universe.assets])
    unknown = replace(spot, model=replace(spot.model, known=chf))
    assert HedgeProblems(desk).of(unknown, valuation, 1.0).columns.tolist() == [EURUSD, USDJPY]


def test_lots_go_there_and_back(desk: Config, market: Market) -> None:
    """Lots of the columns come back from the array of all instruments; lots in another one are not the book's."""
    problem = problem_of(desk, market, OPTIONS)
    everywhere = problem.everywhere(np.array([2, -1]))
    assert everywhere.tolist() == [2, 0, -1, 0]
    assert everywhere.dtype == np.int64
    own = problem.own(everywhere)
    assert own is not None
    assert own.tolist() == [2, -1]
    assert problem.own(np.array([2, 1, -1, 0])) is None
    assert problem.everywhere(np.array([0.5, 0.25])).tolist() == [0.5, 0.0, 0.25, 0.0]


def test_outcome_is_risk_and_cost_of_the_definition(desk: Config, market: Market) -> None:
    """Risk from the exposures of the whole valuation, and half the bid-ask spread and the fee of each lot."""
    spot, _ = solved_at(desk, market)
    problem = problem_of(desk, market, SPOT)
    lots = np.array([-3, 1, 0, 2])
    outcome = problem.outcome(lots)
    assert outcome is not None
    q = spot.Q + market.valuation.exposures @ lots
    assert outcome.risk_after == pytest.approx(math.sqrt(q @ spot.model.Sigma @ q + spot.basis_variance), rel=1e-12)
    assert outcome.cost == pytest.approx(np.abs(lots) @ market.valuation.cost_per_lot, rel=1e-12)


def test_no_outcome_where_a_constraint_forbids_the_lots(desk: Config, market: Market) -> None:
    """More lots than the book may trade, than the quotes show, or more trades than it may make."""
    assert problem_of(desk, market, SPOT).outcome(np.array([4, 0, 0, -4])) is not None
    assert problem_of(desk, market, SPOT).outcome(np.array([5, 0, 0, 0])) is None
    shown = replace(market.valuation, depths={EURUSD: QuoteDepth(bid_size_lots=1.0, ask_size_lots=2.0)})
    thin = HedgeProblems(desk).of(solved_at(desk, market)[SPOT], shown, 1.0)
    assert [thin.outcome(np.array([lots, 0, 0, 0])) is None for lots in (-2, -1, 2, 3)] == [True, False, False, True]
    books = (msgspec.structs.replace(desk.books[SPOT], max_trades=1), desk.books[OPTIONS])
    few = msgspec.structs.replace(desk, books=books)
    assert problem_of(few, market, SPOT).outcome(np.array([0, 2, 0, 0])) is not None
    assert problem_of(few, market, SPOT).outcome(np.array([1, 2, 0, 0])) is None


def test_the_target_does_not_forbid_lots(desk: Config, market: Market) -> None:
    """Lots that leave more risk than the target have an outcome: the target is what they are compared with."""
    outcome = problem_of(desk, market, SPOT).outcome(np.zeros(4, dtype=np.int64))
    assert outcome is not None
    assert outcome.risk_after > 1.0
