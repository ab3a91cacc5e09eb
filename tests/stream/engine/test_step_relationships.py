"""Relationships that break or fall silent between refits."""

from __future__ import annotations

import math
from dataclasses import replace as with_changes

import msgspec
import numpy as np
import pytest

from engine_play import (
    CHF,
    EUR,
    EURCHF,
    SECOND,
    USDCHF,
    USDJPY,
    WARM_UP,
    MidPrices,
    TimestepOf,
    only,
    play,
    position,
    still,
    warmed_up,
)
from schemas.outbound import Alert, Model, ResidualExposure
from stream.config import Config
from stream.engine.step import Engine, Output
from stream.events.timesteps import new_timesteps_state
from stream.events.types import Ticks
from stream.worker.snapshot import WorkerState, restore_snapshot, take_snapshot


def test_a_break_behind_a_silence_is_seen_when_it_ends(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """CHF moves by 1 % while it is silent: its β stays until its price is back, and is retired in that timestep.

    Where JPY is silent instead, the β is watched all the while, and goes in the timestep of the move.
    """
    rare = msgspec.structs.replace(desk.reversion, refit_every_steps=1000, refit_lag_steps=0)
    config = msgspec.structs.replace(desk, reversion=rare)
    engine = Engine(config)
    state = warmed_up(engine, mid_prices, timestep_of)
    state.market.refits.pushed = 1000
    mids = mid_prices(WARM_UP + 1, 5)[-1]
    play(engine, state, [timestep_of(71, mids)])
    assert "sparse:EUR/CHF" in {beta.beta_id for beta in state.market.live.betas}
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    watched = restore_snapshot(take_snapshot(worker, config), config, engine).engine
    for step in range(72, 81):
        moved = still(mids, step) * np.array([1.0, 1.01 if step == 80 else 1.0, 1.0])
        (model,) = only(play(engine, watched, [timestep_of(step, moved, {USDJPY: 71.0})]), Model)
        assert [beta.beta_id for beta in model.betas] == (["sparse:EUR/CHF"] if step < 80 else [])

    silence = {USDCHF: 71.0, EURCHF: 71.0}
    for step in range(72, 80):
        (model,) = only(play(engine, state, [timestep_of(step, still(mids, step), silence)]), Model)
        assert "sparse:EUR/CHF" in {beta.beta_id for beta in model.betas}
    assert list(state.market.interrupted) == ["sparse:EUR/CHF"]
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    restored = restore_snapshot(take_snapshot(worker, config), config, engine).engine
    jumped = timestep_of(80, mids * np.array([1.0, 1.01, 1.0]))
    outputs = play(engine, state, [jumped])
    assert only(outputs, Model)[0].betas == ()
    assert play(engine, restored, [jumped]) == outputs
    assert state.market.interrupted == {}


@pytest.mark.parametrize("jump", [1.0, 1.05])
def test_a_silence_that_outlasts_the_covariance_is_judged_by_what_was_known_before_it(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf, jump: float
) -> None:
    """No return of CHF is left in the window when its price is back: its β is watched by its last known variance."""
    covariance = msgspec.structs.replace(desk.covariance, kind="window", window_steps=20)
    rare = msgspec.structs.replace(desk.reversion, refit_every_steps=62, refit_lag_steps=0)
    config = msgspec.structs.replace(desk, covariance=covariance, reversion=rare)
    engine = Engine(config)
    state = warmed_up(engine, mid_prices, timestep_of)
    mids = mid_prices(WARM_UP, 5)[-1]
    assert "sparse:EUR/CHF" in {beta.beta_id for beta in state.market.live.betas}
    for step in range(71, 100):
        drifted = mids * math.exp(1e-4 * (step % 2))
        play(engine, state, [timestep_of(step, drifted, {USDCHF: 70.0, EURCHF: 70.0})])
    assert np.isnan(state.market.covariance.variances()[CHF])
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    restored = restore_snapshot(take_snapshot(worker, config), config, engine).engine
    back = timestep_of(100, mids * np.array([1.0, jump, 1.0]))
    outputs = play(engine, state, [back])
    assert [beta.beta_id for beta in only(outputs, Model)[0].betas] == (["sparse:EUR/CHF"] if jump == 1.0 else [])
    assert play(engine, restored, [back]) == outputs


@pytest.mark.parametrize("lag", [0, 1])
def test_a_vector_of_an_asset_whose_variance_nobody_knows_waits_for_it(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf, lag: int
) -> None:
    """From ticks there is no variance of CHF while EURCHF alone prices it: its β is neither watched nor packed.

    Once USDCHF shows it, the first step that is judged goes back to where the watch had to begin.
    """
    covariance = msgspec.structs.replace(desk.covariance, kind="hayashi-yoshida", shrinkage="none", slow_ticks=2)
    rhythm = msgspec.structs.replace(desk.reversion, refit_every_steps=62, refit_lag_steps=lag)
    free = msgspec.structs.replace(desk.solver, mode="free")
    config = msgspec.structs.replace(desk, covariance=covariance, reversion=rhythm, solver=free)
    engine = Engine(config)
    state = engine.new_state()
    play(engine, state, [position("spot", EUR, 5e6, 0.5)])
    outputs: list[Output] = []
    for step, mids in enumerate(mid_prices(80, 5), start=1):
        close = timestep_of(step, mids, {USDCHF: 0} if step <= 70 else None)
        indices = np.flatnonzero(close.quoted_at_ns > 0)
        ticks = Ticks(close.quoted_at_ns[indices], indices, (0.5 * (close.bids + close.asks))[indices])
        outputs += play(engine, state, [with_changes(close, ticks=ticks)])
        (beta,) = state.market.live.betas or (None,)
        assert (beta is not None) == (step >= 62 + lag)
        if beta is not None and step <= 70:
            assert beta.basis.log_evidence == -math.inf
            assert state.market.interrupted["sparse:EUR/CHF"].at_ns == 62 * SECOND
    assert beta is not None
    assert beta.basis.log_evidence > -math.inf
    assert state.market.interrupted == {}
    assert {residual.status for residual in only(outputs, ResidualExposure) if residual.timestep > 20} == {"ok"}
    assert not any(residual.packed for residual in only(outputs, ResidualExposure))


def test_a_relationship_that_breaks_is_said_once_and_its_lots_are_back_at_once(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """In the timestep in which a refit accepts a packed β no more its lots are in the residual and the alert is out.

    It is cleared once when the β is accepted again.
    """
    engine = Engine(desk)
    state = warmed_up(engine, mid_prices, timestep_of)
    play(engine, state, [position("spot", EUR, 5e6, 70.5), position("spot", CHF, -5e6, 70.6, 1)])
    assert state.books["spot"].multiples
    rng = np.random.default_rng(11)
    follows = mid_prices(200, 12)
    mids = mid_prices(WARM_UP, 5)[-1]
    broken = cleared = 0
    for step in range(71, 271):
        if step < 101:  # CHF goes its own way
            mids = mids * np.exp(rng.normal(0.0, (1e-4, 3e-4, 1e-4)))
        else:
            mids = mids * follows[step - 100] / follows[step - 101]
        held = dict(state.books["spot"].multiples)
        outputs = play(engine, state, [timestep_of(step, mids)])
        (model,), (residual,) = only(outputs, Model), only(outputs, ResidualExposure)
        accepted = {beta.beta_id for beta in model.betas}
        assert {packed.beta_id for packed in residual.packed} <= accepted
        alerts = [alert for alert in only(outputs, Alert) if alert.kind.startswith("relationship-")]
        if set(held) - accepted:
            (alert,) = alerts
            assert (alert.kind, alert.state) == ("relationship-unproven", "raised")
            assert (alert.subject, alert.severity) == ("sparse:EUR/CHF", "warning")
            assert "spot" in alert.message
            assert residual.packed == ()
            assert all(each.residual == each.exposure for each in residual.positions)
            assert residual.basis_risk == 0.0
            assert outputs.index(alert) < outputs.index(residual)
            broken += 1
        elif alerts:
            (alert,) = alerts
            assert (alert.state, alert.subject) == ("cleared", "sparse:EUR/CHF")
            assert "sparse:EUR/CHF" in accepted
            cleared += 1
    assert (broken, cleared) == (1, 1)


def test_a_jump_retires_a_relationship_between_refits(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """CHF moves by 1 % in one step, with no refit due: the β is gone from that step's model, and the alert says why.

    A worker that is restored from a snapshot just before says the same.
    """
    rare = msgspec.structs.replace(desk.reversion, refit_every_steps=1000)
    config = msgspec.structs.replace(desk, reversion=rare)
    engine = Engine(config)
    # The refit that comes when the window is full falls to step 71 here, and is in effect from step 72 on.
    state = warmed_up(engine, mid_prices, timestep_of)
    state.market.refits.pushed = 1000
    mids = mid_prices(WARM_UP + 1, 5)
    play(engine, state, [timestep_of(71, mids[-1]), timestep_of(72, mids[-1])])
    play(engine, state, [position("spot", EUR, 5e6, 72.5), position("spot", CHF, -5e6, 72.6, 1)])
    assert state.books["spot"].multiples
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    restored = restore_snapshot(take_snapshot(worker, config), config, engine).engine
    jumped = timestep_of(73, mids[-1] * np.array([1.0, 1.01, 1.0]))
    outputs = play(engine, state, [jumped])
    (model,), (residual,) = only(outputs, Model), only(outputs, ResidualExposure)
    assert "sparse:EUR/CHF" not in {beta.beta_id for beta in model.betas}
    assert residual.packed == ()
    (alert,) = only(outputs, Alert, kind="relationship-broken")
    assert alert.message.startswith("sparse:EUR/CHF broke, with a step of ")
    assert "residual of spot" in alert.message
    assert play(engine, restored, [jumped]) == outputs


def test_a_relationship_that_nobody_packed_breaks_without_an_alert(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """It is normal that a β is found and lost. Somebody has to look only where a book relied on it."""
    engine = Engine(desk)
    state = warmed_up(engine, mid_prices, timestep_of)
    rng = np.random.default_rng(11)
    mids = mid_prices(WARM_UP, 5)[-1]
    for step in range(71, 101):
        mids = mids * np.exp(rng.normal(0.0, (1e-4, 3e-4, 1e-4)))
        outputs = play(engine, state, [timestep_of(step, mids)])
        assert not only(outputs, Alert)
    assert only(outputs, Model)[0].betas == ()
