"""The residuals that a step publishes: what is packed, what is left, and the risk of both."""

from __future__ import annotations

import math
from dataclasses import replace as with_changes

import msgspec
import numpy as np
import pytest

from engine_play import CHF, EUR, FIGURES, JPY, LOT, USDJPY, Ready, TimestepOf, only, play, position
from made_market import change_over, made_market, solve
from schemas.outbound import Alert, HedgeSuggestion, Model, ResidualExposure
from stream.config import Config, RiskConfig
from stream.engine.book.solve import BookSolver
from stream.engine.book.solved import Trigger
from stream.engine.book.state import BookState
from stream.engine.market.valuation import Valuer
from stream.engine.step import Engine


def test_the_articles_example(desk: Config) -> None:
    """β = (1, 0, -1) in a book of +10, -7 and +2 lots: seven lots are packed, +3, 0 and +2 stay.

    The article's assets in the desk's order: EUR, JPY, CHF there; here CHF comes second.
    """
    engine = Engine(desk)
    state = engine.new_state()
    state.latest = made_market(desk, {"sparse:EUR/CHF": (1.0, -1.0, 0.0)})
    outputs = play(
        engine,
        state,
        [
            position("spot", EUR, 10 * LOT, 5.1, 0),
            position("spot", CHF, -7 * LOT, 5.2, 1),
            position("spot", JPY, 2 * LOT, 5.3, 2),
        ],
    )
    residual = only(outputs, ResidualExposure)[-1]
    assert residual.status == "ok"
    assert [(each.asset, each.exposure, each.residual) for each in residual.positions] == [
        ("EUR", 10 * LOT, 3 * LOT),
        ("CHF", -7 * LOT, 0.0),
        ("JPY", 2 * LOT, 2 * LOT),
    ]
    (packed,) = residual.packed
    assert (packed.beta_id, packed.multiples, packed.weights) == ("sparse:EUR/CHF", 7, {"EUR": 1.0, "CHF": -1.0})
    # 1 bp a step on a million is 100; 7 lots of EUR against CHF keep sqrt(2 - 1.8) of it each.
    assert packed.basis_risk == pytest.approx(700 * math.sqrt(0.2))
    # Residual and basis apart come to sqrt(300² + 200² + 700² · 0.2) = 477; the whole position is riskier, for what
    # stays leans the way in which the packed EUR and CHF lean.
    assert residual.unhedged_risk == residual.netted_risk
    assert residual.netted_risk == pytest.approx(100 * math.sqrt(10**2 + 7**2 + 2**2 - 2 * 0.9 * 10 * 7))
    assert residual.standalone_risk == pytest.approx(1900.0)
    assert residual.proven
    assert residual.objective < residual.objective_before


@pytest.mark.parametrize("steps", [1, 10, 200])
def test_risk_over_the_horizon_is_that_of_the_change(desk: Config, steps: int) -> None:
    """Netted, packed and unhedged, of every β and of the book, against a sum over shocks.

    The reverting EUR/CHF comes back, EUR/JPY by `basis` alone is a walk but for what the pull on EUR does to it, and
    both keep risk over any horizon. Over one step everything is risk now.
    """
    config = msgspec.structs.replace(desk, risk=RiskConfig(horizon_steps=steps))
    betas = {"sparse:EUR/CHF": (1.0, -1.0, 0.0), "sparse:EUR/JPY": (1.0, 0.0, -1.0)}
    speeds = (-0.02, 0.03, 0.01)
    market = made_market(config, betas, adjustments={"sparse:EUR/CHF": speeds})
    assert market.Sigma is not None
    state = BookState(quantities=np.array([10.0, -7.0, -2.0]) * LOT)
    residual = solve(BookSolver(config), config.books[0], state, market).residual
    assert state.multiples == {"sparse:EUR/CHF": 7, "sparse:EUR/JPY": 2}
    Sigma_H = change_over(market.Sigma, np.array(speeds), np.array([1.0, -1.0, 0.0]), steps)
    Q, q = np.array([10.0, -7.0, -2.0]) * LOT, np.array([1.0, 0.0, 0.0]) * LOT
    netted, basis, left = Q @ Sigma_H @ Q, (Q - q) @ Sigma_H @ (Q - q), q @ Sigma_H @ q
    assert residual.horizon_steps == steps
    assert residual.horizon_netted_risk == pytest.approx(math.sqrt(netted), rel=1e-8)
    assert residual.horizon_basis_risk == pytest.approx(math.sqrt(basis), rel=1e-8)
    assert residual.horizon_unhedged_risk == pytest.approx(math.sqrt(max(netted, basis + left)), rel=1e-8)
    for packed, weights in zip(residual.packed, np.array(list(betas.values())), strict=True):
        own = abs(packed.multiples) * LOT * math.sqrt(weights @ Sigma_H @ weights)
        assert packed.horizon_basis_risk == pytest.approx(own, rel=1e-8)
        assert packed.horizon_basis_risk >= packed.basis_risk * (1 - 1e-12) > 0.0
    if steps == 1:
        assert residual.horizon_unhedged_risk == pytest.approx(residual.unhedged_risk, rel=1e-12)
    assert residual.limit_share == pytest.approx(residual.unhedged_risk / 900.0)


def test_a_hedge_that_reverts_is_worth_more_over_the_horizon(desk: Config) -> None:
    """The same book and covariance, with the one packed β reverting or not: risk now is the same, risk later is not."""
    config = msgspec.structs.replace(desk, risk=RiskConfig(horizon_steps=200))
    betas, held = {"sparse:EUR/CHF": (1.0, -1.0, 0.0)}, np.array([7.0, -7.0, 0.0]) * LOT
    risks = []
    for adjustments in ({}, {"sparse:EUR/CHF": (-0.05, 0.05, 0.0)}):
        market = made_market(config, betas, adjustments=adjustments)
        residual = solve(BookSolver(config), config.books[0], BookState(quantities=held), market).residual
        assert residual.unhedged_risk == residual.basis_risk == pytest.approx(700 * math.sqrt(0.2))
        risks.append(residual.horizon_unhedged_risk)
    assert risks[0] == pytest.approx(700 * math.sqrt(0.2 * 200))
    assert risks[1] == pytest.approx(700 * math.sqrt(0.2 / 0.1), rel=1e-6)  # twice the variance of the level


def test_packing_by_the_risk_over_the_horizon(desk: Config) -> None:
    """The objective `horizon` is q'Σ_H q: of two β that leave the same risk now it packs the one that comes back."""
    solver = msgspec.structs.replace(desk.solver, objective="horizon")
    config = msgspec.structs.replace(desk, solver=solver, risk=RiskConfig(horizon_steps=100))
    betas = {"sparse:EUR/CHF": (1.0, -1.0, 0.0), "sparse:EUR/JPY": (1.0, 0.0, -1.0)}
    speeds = (-0.05, 0.05, 0.0)
    market = made_market(config, betas, adjustments={"sparse:EUR/CHF": speeds})
    assert market.Sigma is not None
    residual = solve(
        BookSolver(config), config.books[0], BookState(quantities=np.array([3.0, -3.0, -3.0]) * LOT), market
    ).residual
    Sigma_H = change_over(market.Sigma, np.array(speeds), np.array([1.0, -1.0, 0.0]), 100)
    held = np.array([3.0, -3.0, -3.0]) * LOT
    values = {
        (a, b): (left := held - a * LOT * np.array([1, -1, 0]) - b * LOT * np.array([1, 0, -1])) @ Sigma_H @ left
        for a in range(4)
        for b in range(4 - a)
    }
    best = min(values, key=lambda lots: values[lots])
    packed = {each.beta_id: each.multiples for each in residual.packed}
    assert packed == {name: lots for name, lots in zip(betas, best, strict=True) if lots}
    assert residual.objective_name == "horizon"
    assert residual.objective == pytest.approx(values[best], rel=1e-8)
    assert residual.objective_before == pytest.approx(values[0, 0], rel=1e-8)


def test_a_packing_stays_inside_the_position(desk: Config) -> None:
    """A book that is long both legs of a β packs nothing, although the covariance would offset one by the other."""
    solver = BookSolver(desk)
    state = BookState(quantities=np.array([10.0, 7.0, 0.0]) * LOT)
    market = made_market(desk, {"sparse:EUR/CHF": (1.0, -1.0, 0.0)})
    residual = solve(solver, desk.books[0], state, market).residual
    assert residual.packed == ()
    assert residual.unhedged_risk == pytest.approx(residual.netted_risk)
    assert state.multiples == {}


def test_what_was_packed_is_where_the_next_solve_starts(desk: Config) -> None:
    """Multiples are kept by β id, so that another order of the β vectors after a refit finds them again."""
    solver = BookSolver(desk)
    state = BookState(quantities=np.array([10.0, -7.0, -2.0]) * LOT)
    vectors = {"sparse:EUR/JPY": (1.0, 0.0, -1.0), "sparse:EUR/CHF": (1.0, -1.0, 0.0)}
    first = solve(solver, desk.books[0], state, made_market(desk, vectors))
    packed = {"sparse:EUR/CHF": 7, "sparse:EUR/JPY": 2}
    assert state.multiples == packed
    reordered = made_market(desk, dict(reversed(vectors.items())))
    second = solve(solver, desk.books[0], state, reordered)
    assert state.multiples == packed
    assert second.residual.positions == first.residual.positions
    assert {each.beta_id: each.multiples for each in second.residual.packed} == packed


def test_nothing_is_published_for_a_book_without_positions(ready: Ready, timestep_of: TimestepOf) -> None:
    """A book for which no position was ever read is not known to be empty."""
    engine, state, mids = ready
    assert [type(output) for output in play(engine, state, [timestep_of(71, mids)])] == [Model]


def test_an_empty_book_has_no_risk(ready: Ready, timestep_of: TimestepOf) -> None:
    """A book that was told to be flat is solved: every figure is zero, proven, and nothing is suggested."""
    engine, state, mids = ready
    outputs = play(engine, state, [position("spot", EUR, 0.0, 70.5), timestep_of(71, mids)])
    residuals = only(outputs, ResidualExposure)
    assert [residual.trigger for residual in residuals] == ["position", "timestep"]
    for residual in residuals:
        assert residual.status == "ok"
        assert residual.positions == residual.packed == ()
        assert {getattr(residual, name) for name in FIGURES} == {0.0}
        assert residual.proven
    assert not only(outputs, HedgeSuggestion)
    assert not only(outputs, Alert)


def test_a_position_before_the_first_price_waits_for_the_first_timestep(desk: Config, timestep_of: TimestepOf) -> None:
    """The position is stored, and its book is solved at the first timestep."""
    engine = Engine(desk)
    state = engine.new_state()
    assert play(engine, state, [position("spot", EUR, 1e6, 0.5)]) == []
    (residual,) = only(play(engine, state, [timestep_of(1, (1.08, 0.9, 150.0))]), ResidualExposure)
    assert residual.status == "no-model"


def test_a_vector_with_a_silent_leg_is_not_packed(desk: Config, timestep_of: TimestepOf) -> None:
    """Not even in `free` mode, where a book need not hold the leg. A book that holds the leg waits."""
    free = msgspec.structs.replace(desk, solver=msgspec.structs.replace(desk.solver, mode="free"))
    market = made_market(desk, {"sparse:EUR/JPY": (1.0, 0.0, -1.0), "sparse:EUR/CHF": (1.0, -1.0, 0.0)})
    stale = with_changes(
        market,
        valuation=Valuer(desk).value(timestep_of(5, (1.0, 1.0, 1.0), {USDJPY: 0})),
        Sigma=np.where(np.eye(3)[JPY] + np.eye(3)[:, [JPY]], np.nan, market.Sigma),
    )
    solver = BookSolver(free)
    without, holder = (BookState(quantities=np.array(held) * LOT) for held in ([5.0, -5.0, 0.0], [5.0, 0.0, -5.0]))
    residual = solve(solver, desk.books[1], without, stale).residual
    assert residual.status == "ok"
    assert {packed.beta_id for packed in residual.packed} == {"sparse:EUR/CHF"}
    assert solve(solver, desk.books[0], holder, market).residual.packed
    waiting = dict(holder.multiples)
    assert waiting["sparse:EUR/JPY"]
    assert solve(solver, desk.books[0], holder, stale).residual.status == "unpriced"
    assert holder.multiples == waiting


def test_a_book_that_the_solver_refuses_does_not_stop_the_others(ready: Ready, timestep_of: TimestepOf) -> None:
    """It is published as unsolved with the reason and no figure, an alert names it, and the other book is solved."""
    engine, state, mids = ready
    play(engine, state, [position("spot", EUR, 1e6, 70.1), position("options", EUR, 1e6, 70.2, 1)])
    # No ledger says this; its square is no number any more.
    state.books["spot"].quantities[EUR] = 1e200
    outputs = play(engine, state, [timestep_of(71, mids)])
    spot, options = only(outputs, ResidualExposure)
    assert (spot.status, options.status) == ("unsolved", "ok")
    assert "must be finite" in spot.detail
    assert {getattr(spot, name) for name in FIGURES} == {None}
    assert [alert.subject for alert in only(outputs, Alert, kind="book-unsolved")] == ["spot"]


def test_books_of_a_timestep_share_its_nodes(desk: Config) -> None:
    """Two books get half of the timestep's nodes each, a book alone all of them, and none more than a packing may."""
    vectors = {
        "sparse:EUR/CHF": (1.0, -1.0, 0.0),
        "sparse:EUR/JPY": (1.0, 0.0, -0.9),
        "sparse:CHF/JPY": (0.0, 1.0, -0.7),
    }
    market = made_market(desk, vectors)
    spent = {}
    for max_timestep_nodes in (2, 40, 10**6):
        few = msgspec.structs.replace(
            desk,
            solver=msgspec.structs.replace(
                desk.solver, mode="free", max_packing_nodes=10_000, max_timestep_nodes=max_timestep_nodes
            ),
        )
        for books in (desk.books[:1], desk.books):
            held = [(book, BookState(quantities=np.array([33.3, -27.7, -41.1]) * LOT)) for book in books]
            results = BookSolver(few).solve(held, market, Trigger("timestep", 1, "1"))
            efforts = {result.residual.effort_nodes for result in results}
            assert len(efforts) == 1, "equal books, equal parts"
            spent[max_timestep_nodes, len(books)] = efforts.pop()
    assert spent[2, 2] <= spent[2, 1] < spent[40, 2] < spent[40, 1] < spent[10**6, 2] == spent[10**6, 1] <= 10_100


def test_another_numeraire_packs_the_same_lots(desk: Config) -> None:
    """Residual shares and multiples do not depend on the currency that the book is counted in.

    The same market in a currency worth two dollars: prices, exposures, lot and limit halve; Σ of the assets stays,
    since this other currency does not move against the dollar.
    """
    halved = msgspec.structs.replace(
        desk,
        solver=msgspec.structs.replace(desk.solver, lot_notional=LOT / 2),
        books=tuple(msgspec.structs.replace(book, limit=book.limit / 2) for book in desk.books),
    )
    market = made_market(desk, {"sparse:EUR/CHF": (1.0, -1.0, 0.0)})
    valuation = market.valuation
    in_half = with_changes(
        market,
        valuation=with_changes(
            valuation,
            prices=valuation.prices / 2,
            exposures=valuation.exposures / 2,
            cost_per_lot=valuation.cost_per_lot / 2,
            point_value=valuation.point_value / 2,
        ),
    )
    quantities = np.array([10.0, -4.0, 9.0]) * LOT
    one = solve(BookSolver(desk), desk.books[0], BookState(quantities=quantities.copy()), market)
    other = solve(BookSolver(halved), halved.books[0], BookState(quantities=quantities.copy()), in_half)
    assert [packed.multiples for packed in one.residual.packed] == [each.multiples for each in other.residual.packed]
    assert other.residual.limit_share == pytest.approx(one.residual.limit_share)
    assert other.residual.objective == pytest.approx(one.residual.objective)
    assert one.suggestion is not None
    assert other.suggestion is not None
    assert [(trade.instrument, trade.side, trade.lots) for trade in one.suggestion.trades] == [
        (trade.instrument, trade.side, trade.lots) for trade in other.suggestion.trades
    ]
