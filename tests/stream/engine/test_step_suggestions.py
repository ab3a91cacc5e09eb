"""The suggestions that a step publishes, and when they stand, change and are withdrawn."""

from __future__ import annotations

import math
from dataclasses import replace as with_changes

import msgspec
import numpy as np
import pytest

from engine_play import CHF, EUR, EURCHF, JPY, LOT, USDJPY, Ready, TimestepOf, only, play, position
from made_market import change_over, made_market, solve
from schemas.outbound import Alert, HedgeSuggestion, ResidualExposure
from stream.config import Config, HedgingConfig
from stream.engine.book.solve import BookSolver
from stream.engine.book.state import BookState
from stream.engine.step import Engine
from stream.events.types import QuoteDepth


def test_a_suggestion_from_ladders_at_two_venues(desk: Config) -> None:
    """Lots go where the next one costs least; each trade has its venue, the last price it needs, its cost and share.

    The runner-up is EURCHF with USDCHF, the trades of another instrument, not EURUSD at one venue alone.
    """
    here = msgspec.structs.replace(desk.instruments[0], venue="A")
    there = msgspec.structs.replace(here, name="EURUSD.B", venue="B")
    book = msgspec.structs.replace(desk.books[0], max_lots=9)
    config = msgspec.structs.replace(desk, instruments=(here, *desk.instruments[1:], there), books=(book,))
    market = made_market(config, {})
    valuation = market.valuation
    tick = 2.0**-16
    depths = {0: QuoteDepth(2.0, 2.0, ((1 - 3 * tick, 9.0),)), 4: QuoteDepth(3.0, 3.0)}
    market = with_changes(market, valuation=with_changes(valuation, depths=depths))
    held = BookState(quantities=np.array([12.0, 0.0, 0.0]) * LOT)
    suggestion = solve(BookSolver(config), book, held, market).suggestion
    assert suggestion is not None
    assert suggestion.status == "trade"
    assert [(each.venue, each.side, each.lots, each.limit_price) for each in suggestion.trades if each.venue] == [
        ("A", "sell", 2, 1 - tick / 2),
        ("B", "sell", 3, 1 - tick / 2),
    ]
    assert sum(each.share_removed for each in suggestion.trades) == pytest.approx(1.0)
    assert sum(each.expected_cost for each in suggestion.trades) == pytest.approx(suggestion.expected_cost)
    assert suggestion.expected_cost == pytest.approx(
        suggestion.expected_spread + suggestion.expected_fee + suggestion.expected_depth
    )
    assert suggestion.runner_up_proven
    assert suggestion.runner_up_cost is not None
    assert suggestion.runner_up_cost >= suggestion.expected_cost - config.solver.hedge_cost_resolution
    saved = suggestion.runner_up_cost - suggestion.expected_cost
    names = " + ".join(trade.instrument for trade in suggestion.runner_up)
    assert suggestion.reason.endswith(f"cheaper than {names} by {saved:,.0f} USD")
    one_trade = msgspec.structs.replace(book, max_trades=1)
    fresh = BookState(quantities=held.quantities.copy())
    limited = solve(BookSolver(config), one_trade, fresh, market).suggestion
    assert limited is not None
    assert len(limited.trades) <= 1


def test_a_limit_on_the_horizon(desk: Config) -> None:
    """Limit, alert, suggestion and what comes of its trades are all over the horizon; the trades bring it there."""
    book = msgspec.structs.replace(desk.books[0], limit=2000.0, limit_on="horizon")
    # Every solve suggests the best trades, whatever stood.
    hedging = HedgingConfig(min_life_s=0.0, material_share=0.0)
    config = msgspec.structs.replace(desk, books=(book, desk.books[1]), hedging=hedging)
    engine = Engine(config)
    state = engine.new_state()
    speeds = (-0.05, 0.05, 0.0)
    market = made_market(config, {"sparse:EUR/CHF": (1.0, -1.0, 0.0)}, adjustments={"sparse:EUR/CHF": speeds})
    state.latest = market
    assert market.Sigma is not None
    outputs = play(engine, state, [position("spot", EUR, 10 * LOT, 5.1, 0), position("spot", CHF, -4 * LOT, 5.2, 1)])
    residual, suggestion = only(outputs, ResidualExposure)[-1], only(outputs, HedgeSuggestion)[-1]
    assert (residual.limit_on, suggestion.limit_on) == ("horizon", "horizon")
    assert residual.unhedged_risk < book.limit < residual.horizon_unhedged_risk
    assert residual.limit_share == residual.horizon_unhedged_risk / book.limit
    assert suggestion.risk_before == residual.horizon_unhedged_risk
    assert suggestion.status == "trade"
    assert suggestion.risk_after <= suggestion.target == 0.8 * book.limit
    (alert,) = only(outputs, Alert, state="raised")
    assert alert.value == only(outputs, ResidualExposure)[0].horizon_unhedged_risk
    assert "unhedged risk over 10 steps" in alert.message
    assert "unhedged risk over 10 steps" in suggestion.reason

    columns = {each.name: market.valuation.exposures[:, index] for index, each in enumerate(config.instruments)}
    after = np.array([10.0, -4.0, 0.0]) * LOT + sum(
        trade.lots * (1 if trade.side == "buy" else -1) * columns[trade.instrument] for trade in suggestion.trades
    )
    Sigma_H = change_over(market.Sigma, np.array(speeds), np.array([1.0, -1.0, 0.0]), 10)
    kept = residual.horizon_unhedged_risk**2 - residual.horizon_netted_risk**2
    assert suggestion.risk_after == pytest.approx(math.sqrt(after @ Sigma_H @ after + kept), rel=1e-8)


def test_a_suggestion_stands_while_its_book_is_unpriced(ready: Ready, timestep_of: TimestepOf) -> None:
    """While the risk is unknown it is neither repeated nor withdrawn, and the breach is not cleared."""
    engine, state, mids = ready
    over = play(engine, state, [position("spot", JPY, 3000e6, 70.1), timestep_of(71, mids)])
    assert only(over, HedgeSuggestion)
    assert only(over, Alert, kind="limit-breach", state="raised")
    unknown = play(engine, state, [timestep_of(77, mids, {USDJPY: 71.9}), position("spot", EUR, 1e6, 77.5, 1)])
    assert not only(unknown, HedgeSuggestion)
    assert not only(unknown, Alert, kind="limit-breach")
    back = play(engine, state, [position("spot", JPY, 0.0, 77.6, 2)])
    assert [suggestion.status for suggestion in only(back, HedgeSuggestion)] == ["none"]
    assert only(back, Alert, kind="limit-breach", state="cleared")


def test_a_suggestion_is_withdrawn_when_the_risk_is_inside_again(ready: Ready, timestep_of: TimestepOf) -> None:
    """It is withdrawn once, with status `none`, no trades and no cost. Nothing else is suggested inside the limit."""
    engine, state, mids = ready
    statuses = []
    for step, quantity in enumerate((1e6, 9e6, 9e6, 1e6, 1e6), start=71):
        outputs = play(engine, state, [position("spot", EUR, quantity, step - 0.5, step), timestep_of(step, mids)])
        statuses.append([suggestion.status for suggestion in only(outputs, HedgeSuggestion)])
        for suggestion in only(outputs, HedgeSuggestion, status="none"):
            assert suggestion.trades == ()
            assert suggestion.expected_cost == 0.0
            assert suggestion.risk_before == suggestion.risk_after <= suggestion.limit
    assert statuses == [[], ["trade", "unchanged"], ["unchanged", "unchanged"], ["none"], []]


def test_every_suggestion_answers_a_residual_and_keeps_what_it_says(ready: Ready) -> None:
    """The suggested trades, done, bring the published risk: valued as the next position update would value them."""
    engine, state, _ = ready
    outputs = play(engine, state, [position("spot", JPY, 200e6, 70.1), position("spot", EUR, 9e6, 70.2, 1)])
    (residual, (suggestion,)) = only(outputs, ResidualExposure)[-1], only(outputs, HedgeSuggestion)[-1:]
    assert suggestion.residual_exposure_id == residual.id
    assert suggestion.risk_before == residual.unhedged_risk
    assert suggestion.risk_after <= suggestion.target
    assert suggestion.expected_cost == pytest.approx(sum(trade.expected_cost for trade in suggestion.trades))
    lots = {trade.instrument: trade.lots * (1 if trade.side == "buy" else -1) for trade in suggestion.trades}
    assert all(abs(count) <= 4 for count in lots.values())


def test_a_book_trades_only_what_it_may(ready: Ready) -> None:
    """The options desk has EURUSD and USDJPY, two lots each."""
    engine, state, _ = ready
    outputs = play(engine, state, [position("options", CHF, 8e6, 70.1), position("options", EUR, 4e6, 70.2, 1)])
    suggestions = only(outputs, HedgeSuggestion)
    assert suggestions
    for suggestion in suggestions:
        assert {trade.instrument for trade in suggestion.trades} <= {"EURUSD", "USDJPY"}
        assert all(trade.lots <= 2 for trade in suggestion.trades)


def test_a_book_that_may_trade_nothing_is_told_so(desk: Config, ready: Ready, timestep_of: TimestepOf) -> None:
    """Over its limit while its only instruments are stale: unreachable, without trades or cost, and said in words."""
    _, state, mids = ready
    book = msgspec.structs.replace(desk.books[0], instruments=("EURCHF",))
    engine = Engine(msgspec.structs.replace(desk, books=(book, desk.books[1])))
    outputs = play(engine, state, [timestep_of(71, mids, {EURCHF: 60.0}), position("spot", EUR, 20e6, 71.5)])
    (suggestion,) = only(outputs, HedgeSuggestion)
    assert (suggestion.status, suggestion.trades, suggestion.expected_cost) == ("unreachable", (), 0.0)
    assert suggestion.risk_after == pytest.approx(suggestion.risk_before)
    assert "no permitted trade was found" in suggestion.reason


def test_a_target_equal_to_the_limit_has_no_gap(desk: Config, ready: Ready) -> None:
    """With target_share 1, a risk just above the limit is not unreachable if one lot is enough."""
    _, state, _ = ready
    assert state.latest is not None
    book = msgspec.structs.replace(desk.books[0], target_share=1.0, clear_share=1.0)
    solver = BookSolver(msgspec.structs.replace(desk, books=(book,)))
    held = BookState(quantities=np.array([3e6, 0.0, 0.0]))
    risk = solve(solver, book, held, state.latest).residual.unhedged_risk
    assert risk is not None
    close = msgspec.structs.replace(book, limit=risk * (1 - 1e-12))
    suggestion = solve(BookSolver(msgspec.structs.replace(desk, books=(close,))), close, held, state.latest)
    assert suggestion.suggestion is None or suggestion.suggestion.status != "unreachable"
