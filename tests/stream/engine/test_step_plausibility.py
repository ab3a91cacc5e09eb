"""Quotes that are not plausible, and prices that stand still: what the engine publishes of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from engine_play import CHF, EUR, EURCHF, JPY, SECOND, USDCHF, MidPrices, TimestepOf, only, play, position
from gate_play import GatePlay, universe, walk
from schemas.outbound import Alert, HedgeSuggestion, Model, ResidualExposure
from stream.config import BookConfig, Config, CovarianceConfig, ReversionConfig
from stream.engine.market.model import MarketModel
from stream.engine.step import Engine, Output
from stream.events.timesteps import new_timesteps_state
from stream.events.types import EngineEvent, Ticks, Timestep
from stream.worker.snapshot import WorkerState, restore_snapshot, take_snapshot

PAIRS = (("EUR", "USD"), ("GBP", "USD"), ("USD", "CHF"))
WARM_UP = 100
USDCHF_ALONE = 2


@pytest.fixture
def alone() -> Config:
    """EUR, GBP and CHF in USD, each with one instrument; timesteps of 1 s and a half-life of 20 of them."""
    return msgspec.structs.replace(
        universe(*PAIRS),
        books=(BookConfig(name="franc", limit=400.0, max_lots=20),),
        covariance=CovarianceConfig(half_life_steps=20.0, min_observations=20),
        # Nothing is refitted: β are not the subject.
        reversion=ReversionConfig(window_steps=5_000),
    )


def timesteps(config: Config, rows: np.ndarray) -> Iterator[Timestep]:
    for step, mids in enumerate(rows, start=1):
        at_ns = np.full(len(mids), step * SECOND)
        yield Timestep(step, step * SECOND, mids * (1 - 2e-5), mids * (1 + 2e-5), at_ns)


def published(config: Config, rows: np.ndarray) -> list[list[Output]]:
    """By timestep, what is published of a book that holds 5 million CHF."""
    engine = Engine(config)
    state = engine.new_state()
    play(engine, state, [position("franc", config.universe.assets.index("CHF"), 5e6, 0.5)])
    return [play(engine, state, [timestep]) for timestep in timesteps(config, rows)]


def risks(outputs: list[list[Output]]) -> list[float | None]:
    return [only(each, ResidualExposure)[0].unhedged_risk for each in outputs]


def test_a_stuck_feed_keeps_its_risk_and_clears_no_limit(alone: Config) -> None:
    """CHF re-sends its last quote with fresh times for 300 s. An alert says so within 20 s, and the book is marked."""
    rows = walk(alone, WARM_UP + 300)
    rows[WARM_UP:, USDCHF_ALONE] = rows[WARM_UP - 1, USDCHF_ALONE]
    outputs = published(alone, rows)
    alerts = [alert for each in outputs for alert in only(each, Alert)]
    assert [(each.kind, each.state) for each in alerts] == [("limit-breach", "raised"), ("price-unchanged", "raised")]
    (alert,) = only(alerts, Alert, kind="price-unchanged")
    assert (alert.subject, alert.severity, alert.timestep) == ("CHF", "critical", WARM_UP + 15)
    assert alert.message == (
        "CHF: USDCHF has not changed for 15 s while quotes keep coming; it usually changes every 1 s; nothing is "
        "suggested in CHF, and its last believed price is used for these books: franc"
    )
    risk = risks(outputs)
    before = risk[WARM_UP - 1]
    assert before is not None
    # Three returns of zero after 99, at a half-life of 20.
    kept = 0.5 ** (3 / 20) * (1 - 0.5 ** (99 / 20)) / (1 - 0.5 ** (102 / 20))
    assert risk[WARM_UP + 2 :] == pytest.approx([before * math.sqrt(kept)] * 298, rel=1e-9)
    statuses = [only(each, ResidualExposure)[0].status for each in outputs[WARM_UP:]]
    assert statuses == ["ok"] * 14 + ["suspect"] * 286
    suggestions = [found for each in outputs[WARM_UP + 14 :] for found in only(each, HedgeSuggestion)]
    assert "USDCHF" not in {trade.instrument for found in suggestions for trade in found.trades}


def test_a_price_that_moves_again_enters_whole_and_clears_the_alert(alone: Config) -> None:
    """Its first return spans the silence, as after any gap."""
    rows = walk(alone, WARM_UP + 60)
    rows[WARM_UP : WARM_UP + 40, USDCHF_ALONE] = rows[WARM_UP - 1, USDCHF_ALONE]
    outputs = published(alone, rows)
    alerts = [alert for each in outputs for alert in only(each, Alert, kind="price-unchanged")]
    assert [(each.state, each.timestep) for each in alerts] == [("raised", WARM_UP + 15), ("cleared", WARM_UP + 41)]
    assert alerts[1].message == "CHF: USDCHF changes again"
    assert {only(each, ResidualExposure)[0].status for each in outputs[WARM_UP + 40 :]} == {"ok"}
    model = only(outputs[-1], Model)[0]
    # 37 of the returns are missing: those from the fourth repeated quote on.
    assert model.asset_observations == (WARM_UP + 59, WARM_UP + 59, WARM_UP + 59 - 37)


def test_a_unit_jump_is_held_and_nothing_is_suggested_on_it(alone: Config) -> None:
    """One CHF quote × 100: an alert, a marked book, and every later figure as if the quote had not been."""
    rows = walk(alone, WARM_UP + 30)
    wrong = rows.copy()
    wrong[WARM_UP, USDCHF_ALONE] *= 100.0
    engine, other = Engine(alone), Engine(alone)
    state, without = engine.new_state(), other.new_state()
    start = position("franc", alone.universe.assets.index("CHF"), 5e6, 0.5)
    play(engine, state, [start])
    play(other, without, [start])
    alerts: list[Alert] = []
    for bad, good in zip(timesteps(alone, wrong), timesteps(alone, rows), strict=True):
        if good.index == WARM_UP + 1:  # the wrong quote never came
            at_ns = np.where(np.arange(3) == USDCHF_ALONE, good.end_ns - SECOND, good.quoted_at_ns)
            mids = np.where(np.arange(3) == USDCHF_ALONE, rows[WARM_UP - 1], rows[WARM_UP])
            good = Timestep(good.index, good.end_ns, mids * (1 - 2e-5), mids * (1 + 2e-5), at_ns)
        outputs, expected = play(engine, state, [bad]), play(other, without, [good])
        found = only(outputs, Alert)
        alerts += [alert for alert in found if alert.kind == "price-suspect"]
        (residual,) = only(outputs, ResidualExposure)
        if bad.index == WARM_UP + 1:
            assert (residual.status, residual.suspect_assets) == ("suspect", ("CHF",))
            (clean,) = only(expected, ResidualExposure)
            assert residual.unhedged_risk == clean.unhedged_risk
            for suggestion in only(outputs, HedgeSuggestion):
                assert "USDCHF" not in {trade.instrument for trade in suggestion.trades}
        else:
            assert only(outputs, Model) == only(expected, Model)
            assert only(outputs, ResidualExposure) == only(expected, ResidualExposure)
    assert [(each.state, each.timestep) for each in alerts] == [("raised", WARM_UP + 1), ("cleared", WARM_UP + 7)]
    assert alerts[0].message.startswith("CHF: USDCHF went from ")
    assert "(× 100, like a change of unit, as from pounds to pence)" in alerts[0].message


def test_another_instrument_prices_an_asset_whose_own_is_held(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """CHF is priced over EURCHF meanwhile, so no book is marked, and EURCHF may be traded. The alert is a warning."""
    engine = Engine(desk)
    state = engine.new_state()
    play(engine, state, [position("spot", CHF, -7e6, 0.5)])
    rows = mid_prices(72, 5)
    play(engine, state, [timestep_of(step, mids) for step, mids in enumerate(rows[:71], start=1)])
    close = timestep_of(72, rows[71])
    bids, asks = close.bids.copy(), close.asks.copy()
    bids[USDCHF] *= 10.0
    asks[USDCHF] *= 10.0
    outputs = play(engine, state, [Timestep(72, close.end_ns, bids, asks, close.quoted_at_ns)])
    (model,) = only(outputs, Model)
    assert model.priced_by[CHF] == ("EURCHF", "EURUSD")
    assert model.prices[CHF] == pytest.approx(1 / rows[71][1], rel=1e-12)
    (residual,) = only(outputs, ResidualExposure)
    assert (residual.status, residual.suspect_assets) == ("ok", ())
    (alert,) = only(outputs, Alert, kind="price-suspect")
    assert (alert.subject, alert.severity) == ("CHF", "warning")
    assert state.latest is not None
    assert state.latest.valuation.tradeable[EURCHF]
    assert not state.latest.valuation.tradeable[USDCHF]


def test_what_the_gate_knows_survives_a_restart_at_any_step(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """Faults, a jump that lasts, and a frozen price: a worker restored at any step publishes the same bytes."""
    engine = Engine(desk)
    state, restored = engine.new_state(), engine.new_state()
    events: list[EngineEvent] = [position("spot", CHF, -7e6, 0.5), position("options", JPY, 300e6, 0.6)]
    rows = mid_prices(150, 5)
    rows[80:110, 2] = rows[79, 2]
    rows[120:, 2] *= 1.2
    kinds: set[tuple[str, str]] = set()
    for step, mids in enumerate(rows, start=1):
        close = timestep_of(step, mids)
        if step in (72, 73, 95):
            bids, asks = close.bids.copy(), close.asks.copy()
            bids[[EUR, EURCHF]] *= 100.0
            asks[[EUR, EURCHF]] *= 100.0
            close = Timestep(step, close.end_ns, bids, asks, close.quoted_at_ns)
        events.append(close)
        outputs = play(engine, state, events)
        if step > 1:
            assert play(engine, restored, events) == outputs
        worker = WorkerState(new_timesteps_state(len(desk.instruments)), state, {})
        restored = restore_snapshot(take_snapshot(worker, desk), desk, engine).engine
        events.clear()
        kinds |= {(alert.kind, alert.state) for alert in only(outputs, Alert)}
    both = {"raised", "cleared"}
    assert {(kind, each) for kind in ("price-suspect", "price-unchanged") for each in both} <= kinds


def test_bad_ticks_within_a_timestep_enter_no_covariance(alone: Config) -> None:
    """With every tick taken: one × 10 between good ones is left out, and so are all of an instrument that is held."""
    config = msgspec.structs.replace(
        alone, covariance=CovarianceConfig(kind="hayashi-yoshida", half_life_steps=20.0, slow_ticks=2)
    )
    model = MarketModel(config)
    spoilt, clean = model.new_state(), model.new_state()
    rows = walk(config, 3 * 60)
    for step in range(1, 61):
        mids = rows[3 * step - 3 : 3 * step]
        end_ns = step * SECOND
        times_ns = np.repeat(end_ns - np.array([700, 400, 100]) * 1_000_000, 3)
        ticks = Ticks(times_ns, np.tile(np.arange(3), 3), mids.ravel())
        bad = ticks.mids.copy()
        last = mids[-1].copy()
        if step == 50:
            bad[4] *= 10.0  # the second GBPUSD of three
        if step == 55:
            bad[8] *= 10.0  # the last USDCHF
            last[2] *= 10.0
        good = np.ones(9, dtype=np.bool_)
        good[4] = step != 50
        good[[2, 5, 8]] = step != 55
        quotes = last * (1 - 2e-5), last * (1 + 2e-5), np.full(3, end_ns - 100_000_000)
        model.advance(spoilt, Timestep(step, end_ns, *quotes, Ticks(times_ns, ticks.instruments, bad)))
        kept = Ticks(times_ns[good], ticks.instruments[good], ticks.mids[good])
        model.advance(clean, Timestep(step, end_ns, *quotes, kept))
    for name, array in spoilt.covariance.arrays().items():
        np.testing.assert_array_equal(array, clean.covariance.arrays()[name])


def test_the_gate_alone_and_in_the_model_see_the_same(alone: Config) -> None:
    """A model restored into another process goes on from the gate's own state: equal to one that saw all quotes."""
    model, gate = MarketModel(alone), GatePlay(alone)
    state = model.new_state()
    for timestep, mids in zip(timesteps(alone, walk(alone, 120)), walk(alone, 120), strict=True):
        market = model.advance(state, timestep)
        gate.quote(mids.tolist())
    assert not market.suspect.any()
    np.testing.assert_array_equal(state.gate.usual.means, gate.state.usual.means)
    np.testing.assert_array_equal(state.gate.bids, gate.state.bids)
