"""The prepared model is shared while the model is the same, and never used for another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from solver.errors import IllPosed
from stream.config import Config
from stream.engine.book.prepared import LatestModel
from stream.engine.book.solve import BookResult, BookSolver
from stream.engine.book.solved import Trigger
from stream.engine.book.state import BookState
from stream.engine.market.model import Market, MarketModel
from stream.events.types import Timestep

WARM_UP = 70


@pytest.fixture
def markets(
    desk: Config, mid_prices: Callable[[int, int], np.ndarray], timestep_of: Callable[..., Timestep]
) -> list[Market]:
    """The last five timesteps of a warmed-up market."""
    model = MarketModel(desk)
    state = model.new_state()
    steps = enumerate(mid_prices(WARM_UP, 5), start=1)
    return [model.advance(state, timestep_of(step, mids)) for step, mids in steps][-5:]


def test_a_model_is_prepared_once(desk: Config, markets: list[Market]) -> None:
    """The same market, and the same with prices gone stale, share it; the next timestep has its own."""
    latest = LatestModel(desk)
    first = latest.of(markets[0])
    assert latest.of(markets[0]) is first
    assert latest.of(replace(markets[0], valuation=markets[1].valuation)) is first
    assert latest.of(markets[1]) is not first


def test_a_covariance_that_is_none_is_refused_each_time(desk: Config, markets: list[Market]) -> None:
    """A matrix that is not a covariance is refused, and no earlier model is used instead of it."""
    latest = LatestModel(desk)
    latest.of(markets[0])
    broken = replace(markets[0], Sigma=np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    for _ in range(2):
        with pytest.raises(IllPosed, match="positive semi-definite"):
            latest.of(broken)


def test_a_solver_that_lived_and_a_fresh_one_say_the_same(desk: Config, markets: list[Market]) -> None:
    """What was solved before, earlier or later in time, does not change a result."""
    lived = BookSolver(desk)
    for market in (*markets, *reversed(markets)):
        trigger = Trigger("timestep", market.end_ns, str(market.timestep))

        def solved(solver: BookSolver, market: Market = market, trigger: Trigger = trigger) -> list[BookResult]:
            books = [(book, BookState(quantities=np.array([9e6, -7e6, -2e8]))) for book in desk.books]
            return solver.solve(books, market, trigger)

        assert solved(lived) == solved(BookSolver(desk))
