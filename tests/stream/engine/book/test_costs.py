"""Cost ladders against numbers worked out by hand, and the suggestion that follows from them."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from stream.config import Config, check_config
from stream.engine.book.costs import CostBook, Costs
from stream.engine.market.valuation import Valuer
from stream.events.types import QuoteDepth, Timestep

SECOND = 1_000_000_000
EURUSD = {"name": "EURUSD", "legs": {"EUR": 1.0}, "quote": "USD", "lot": 1e6}


def config_of(**changes: object) -> Config:
    config = msgspec.convert(
        {
            "universe": {
                "name": "fx",
                "numeraire": "USD",
                "assets": ["EUR", "CHF"],
                "timestep_s": 1.0,
                "max_price_age_s": 5.0,
            },
            "instruments": [EURUSD | changes, {"name": "USDCHF", "legs": {"USD": 1.0}, "quote": "CHF", "lot": 1e6}],
            "books": [{"name": "spot", "limit": 1.0, "max_lots": 50}],
            "solver": {"lot_notional": 1e6},
        },
        Config,
    )
    check_config(config)
    return config


def costs_of(depth: QuoteDepth | None, **changes: object) -> Costs:
    """EURUSD at 1.0999 - 1.1001, USDCHF at 0.7998 - 0.8002."""
    config = config_of(**changes)
    quotes = Timestep(
        9,
        9 * SECOND,
        np.array([1.0999, 0.7998]),
        np.array([1.1001, 0.8002]),
        np.full(2, 9 * SECOND),
        depths={} if depth is None else {0: depth},
    )
    return CostBook(config).of(Valuer(config).value(quotes))


def bought(costs: Costs, lots: int) -> float:
    return float(costs.each(np.array([lots, 0]))[0])


def test_without_a_size_the_best_price_holds() -> None:
    """Any number of lots, up to what a book may trade, costs half the bid-ask spread and the fee."""
    costs = costs_of(None, fee_bps=0.1)
    assert bought(costs, 7) == pytest.approx(7 * (100.0 + 11.0))
    assert bought(costs, -7) == pytest.approx(7 * (100.0 + 11.0))
    assert costs.buy.ladders.reach.tolist() == [50, 50]
    assert costs.buy.limit_price(0, 50) == 1.1001
    assert costs.sell.limit_price(0, 50) == 1.0999
    assert float(costs.each(np.array([0, 1]))[1]) == pytest.approx(250.0)  # 200 CHF at 0.80


def test_a_ladder_is_taken_level_by_level() -> None:
    """Each lot costs the distance of its level from mid. The limit price is the last level's; no lots are beyond."""
    depth = QuoteDepth(4.0, 2.0, (), ((1.1003, 3.0), (1.1006, 1.0)))
    costs = costs_of(depth, fee_bps=0.1)
    levels = [100.0, 100.0, 300.0, 300.0, 300.0, 600.0]
    for lots in range(7):
        assert bought(costs, lots) == pytest.approx(sum(levels[:lots]) + 11.0 * lots)
    assert [costs.buy.limit_price(0, lots) for lots in (1, 2, 3, 5, 6)] == [1.1001, 1.1001, 1.1003, 1.1003, 1.1006]
    assert costs.buy.ladders.reach[0] == 6
    assert costs.sell.ladders.reach[0] == 4


def test_parts_of_lots_make_whole_ones_at_the_worse_price() -> None:
    """Half a lot at one price and three quarters at the next make a lot at the second price. The rest is not traded."""
    costs = costs_of(QuoteDepth(None, 0.5, (), ((1.1003, 0.75), (1.1006, 1.0))))
    assert costs.buy.ladders.reach[0] == 2
    assert bought(costs, 1) == pytest.approx(300.0)
    assert bought(costs, 2) == pytest.approx(900.0)
    assert costs_of(QuoteDepth(0.0, 0.0)).buy.ladders.reach[0] == 0


def test_impact_beyond_what_is_shown() -> None:
    """Four lots are shown at the best price. Trading four more moves their price by the impact coefficients."""
    shown = costs_of(QuoteDepth(4.0, 4.0), impact_sqrt_bps=2.0, impact_linear_bps=1.0, available_lots=9.0)
    assert bought(shown, 4) == pytest.approx(400.0)
    assert bought(shown, 8) == pytest.approx(800.0 + 4 * 1.1e6 * 3e-4)
    assert bought(shown, -8) == pytest.approx(bought(shown, 8))
    assert shown.buy.ladders.reach[0] == 50
    # The fifth lot: a quarter of what is shown.
    move = (1e-4 * 0.25 + 2e-4 * math.sqrt(0.25)) * 1.1
    assert shown.buy.limit_price(0, 5) == pytest.approx(1.1001 + move)
    assert shown.sell.limit_price(0, 5) == pytest.approx(1.0999 - move)
    unknown = costs_of(None, impact_sqrt_bps=2.0, available_lots=9.0)
    assert bought(unknown, 9) == pytest.approx(900.0 + 9 * 1.1e6 * 2e-4)


def test_stale_is_not_for_sale() -> None:
    """An instrument without a fresh quote has no lots on either side. Another valuation is priced again."""
    config = config_of()
    book, valuer = CostBook(config), Valuer(config)
    bids, asks = np.array([1.0999, 0.7998]), np.array([1.1001, 0.8002])
    stale = valuer.value(Timestep(9, 9 * SECOND, bids, asks, np.array([1, 9 * SECOND])))
    assert book.of(stale).buy.ladders.reach.tolist() == [0, 50]
    assert book.of(stale).sell.ladders.reach.tolist() == [0, 50]
    fresh = valuer.value(Timestep(9, 9 * SECOND, bids, asks, np.full(2, 9 * SECOND)))
    assert book.of(fresh).buy.ladders.reach.tolist() == [50, 50]


def test_no_lot_is_sold_below_nothing() -> None:
    """Lots beyond the one shown move the price by .2, .6 and 1 of itself: the third would have a price below zero."""
    costs = costs_of(QuoteDepth(1.0, 1.0), impact_linear_bps=2000.0, available_lots=1.0)
    assert costs.sell.ladders.reach[0] == 3
    assert costs.sell.limit_price(0, 3) == pytest.approx(1.0999 - 0.6 * 1.1)
    assert costs.buy.ladders.reach[0] == 50
