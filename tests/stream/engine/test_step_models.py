"""The models that a step publishes: covariances, what they count, and assets without a price or without a past."""

from __future__ import annotations

from dataclasses import replace as with_changes

import msgspec
import numpy as np

from engine_play import (
    ASSETS,
    CHF,
    EUR,
    EURCHF,
    EURUSD,
    FIGURES,
    JPY,
    LOT,
    SECOND,
    USDCHF,
    USDJPY,
    WARM_UP,
    MidPrices,
    Ready,
    TimestepOf,
    only,
    play,
    position,
    still,
    warmed_up,
)
from made_market import made_market
from schemas.outbound import HedgeSuggestion, Model, ResidualExposure
from solver.covariance import HayashiYoshidaCovariance
from stream.config import Config
from stream.engine.book.solve import BookSolver
from stream.engine.book.solved import Trigger
from stream.engine.book.state import BookState
from stream.engine.market.message import model_message
from stream.engine.step import Engine
from stream.events.timesteps import new_timesteps_state
from stream.events.types import EngineEvent, Ticks
from stream.worker.snapshot import WorkerState, restore_snapshot, take_snapshot


def test_covariances_over_several_lengths_of_returns(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """Published beside that over one timestep: exponential weights of the returns at every fifth and tenth timestep."""
    config = msgspec.structs.replace(
        desk, covariance=msgspec.structs.replace(desk.covariance, shrinkage="none", sampling_steps=(5, 1, 10))
    )
    engine = Engine(config)
    state = engine.new_state()
    mids = mid_prices(230, 5)
    models = only(play(engine, state, [timestep_of(step, row) for step, row in enumerate(mids, start=1)]), Model)
    for model in (models[0], models[90], models[-1]):
        assert [longer.every_steps for longer in model.longer_covariances] == [5, 10]
        for longer in model.longer_covariances:
            assert longer.timestep_ns == longer.every_steps * SECOND
            # The first timestep there is, and then each multiple.
            at = [step for step in range(1, model.timestep + 1) if step == 1 or step % longer.every_steps == 0]
            prices = np.column_stack([mids[:, 0], 1 / mids[:, 1], 1 / mids[:, 2]])[np.array(at) - 1]
            returns = np.diff(np.log(prices), axis=0)
            assert longer.observations == len(returns)
            if len(returns) < config.covariance.min_observations:
                assert longer.covariance == longer.assets == ()
                continue
            weights = 0.5 ** (np.arange(len(returns))[::-1] / config.covariance.half_life_steps)
            expected = (returns * weights[:, None]).T @ returns / weights.sum()
            np.testing.assert_allclose(longer.covariance, expected, rtol=1e-9)
            assert longer.assets == ASSETS
    assert models[-1].longer_covariances[1].covariance


def test_a_covariance_from_ticks(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """With `hayashi-yoshida` every tick counts: the published matrix is the solver's on the ticks of direct quotes.

    Log prices of USDCHF and USDJPY are turned round; crosses have no part in it. JPY ticks in every third timestep.
    """
    settings = msgspec.structs.replace(desk.covariance, kind="hayashi-yoshida", shrinkage="none", slow_ticks=3)
    engine = Engine(msgspec.structs.replace(desk, covariance=settings))
    state = engine.new_state()
    plain = HayashiYoshidaCovariance(3, settings.half_life_steps, 3, "none")
    rng = np.random.default_rng(1)
    for step, mids in enumerate(mid_prices(120, 5), start=1):
        indices = rng.integers(0, 4, 12)
        indices = indices[(indices != USDJPY) | (step % 3 == 0)]
        moments = np.sort(rng.integers(1, 1001, len(indices)))
        quoted = np.append(mids, mids[0] * mids[1])[indices] * np.exp(rng.normal(0.0, 2e-5, len(indices)))
        closing = timestep_of(step, mids)
        ticks = Ticks((step - 1) * SECOND + moments * 1_000_000, indices, quoted)
        (model,) = only(play(engine, state, [with_changes(closing, ticks=ticks)]), Model)
        own = indices != EURCHF
        log_prices = np.where(indices == EURUSD, np.log(quoted), -np.log(quoted))
        plain.update(indices[own], moments[own] / 1000, log_prices[own])
        assert model.asset_observations == tuple(plain.asset_observations.tolist())
        if len(model.covariance_assets) == 3:
            np.testing.assert_allclose(model.covariance, plain.estimate(20), rtol=1e-6, atol=1e-14)
    assert len(model.covariance_assets) == 3


def test_a_model_says_how_its_spreads_come_back(desk: Config) -> None:
    """Reverting β have adjustment speeds by asset, the others have none."""
    market = made_market(
        desk,
        {"sparse:EUR/CHF": (1.0, -1.0, 0.0), "sparse:EUR/JPY": (1.0, 0.0, -1.0)},
        adjustments={"sparse:EUR/CHF": (-0.05, 0.05, 0.0)},
    )
    message = model_message(desk, market)
    assert [beta.adjustment for beta in message.betas] == [{"EUR": -0.05, "CHF": 0.05}, {}]


def test_without_a_covariance_figures_are_unknown(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """`no-model` with None figures up to the configured number of returns, and then numbers."""
    engine = Engine(desk)
    state = engine.new_state()
    play(engine, state, [position("spot", EUR, 1e6, 0.5)])
    statuses = []
    for step, mids in enumerate(mid_prices(22, 5), start=1):
        outputs = play(engine, state, [timestep_of(step, mids)])
        (residual,), (model,) = only(outputs, ResidualExposure), only(outputs, Model)
        statuses.append(residual.status)
        assert (residual.status == "ok") == bool(model.covariance) == (model.observations >= 20)
        if residual.status == "no-model":
            assert {getattr(residual, name) for name in FIGURES} == {None}
    assert statuses == ["no-model"] * 20 + ["ok"] * 2


def test_one_silent_asset_takes_only_itself_out(ready: Ready, timestep_of: TimestepOf) -> None:
    """Its price goes stale: its book is unpriced, all others are solved on a covariance that goes on without it.

    What the others do meanwhile is in their risk, and when it is back, its own return over the silence is in its own.
    """
    engine, state, mids = ready
    held = [position("options", EUR, 1e6, 70.1), position("spot", JPY, 3e6, 70.2, 1)]
    (before,) = only(play(engine, state, [*held, timestep_of(71, mids)]), Model)
    statuses: dict[str, list[str]] = {"spot": [], "options": []}
    for step in range(72, 90):
        moved = still(mids, step) * np.array([1.0, 1.0 + 0.002 * (step - 71), 1.0])
        outputs = play(engine, state, [timestep_of(step, moved, {USDJPY: 71.0})])
        (model,) = only(outputs, Model)
        for residual in only(outputs, ResidualExposure):
            statuses[residual.book].append(residual.status)
        silent = step > 76
        assert model.covariance_assets == (("EUR", "CHF") if silent else ASSETS)
        assert len(model.covariance) == len(model.covariance_assets)
        assert model.asset_observations == (step - 1, step - 1, min(step, 76) - 1)
    assert statuses == {"spot": ["ok"] * 5 + ["unpriced"] * 13, "options": ["ok"] * 18}
    assert model.covariance[CHF][CHF] > 50 * before.covariance[CHF][CHF]
    back = play(engine, state, [timestep_of(90, moved * np.array([1.0, 1.0, 1.01]))])
    (model,) = only(back, Model)
    assert model.covariance_assets == ASSETS
    assert model.asset_observations == (89, 89, 76)
    # Ledoit and Wolf's target is common, and CHF moved; 1 % over 14 steps at 1.2e-4 a step.
    assert model.covariance[JPY][JPY] > 10 * before.covariance[JPY][JPY]
    assert {residual.status for residual in only(back, ResidualExposure)} == {"ok"}


def test_an_asset_listed_in_midstream_joins_after_returns_of_its_own(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """JPY has its first price at step 41: books with it are unpriced, then `no-model` for 20 returns; others go on.

    The β wait for 62 rows with all prices, and no trade is suggested in what has no covariance. A worker that is
    restored from a snapshot at any step on the way says the same.
    """
    engine = Engine(desk)
    state, restored = engine.new_state(), engine.new_state()
    events: list[EngineEvent] = [
        position("spot", JPY, 300e6, 0.5),
        position("spot", EUR, 1e6, 0.6, 1),
        position("options", EUR, 9e6, 0.7, 2),
    ]
    statuses: dict[str, list[str]] = {"spot": [], "options": []}
    betas = []
    for step, mids in enumerate(mid_prices(110, 5), start=1):
        events.append(timestep_of(step, mids, {USDJPY: 0} if step <= 40 else None))
        worker = WorkerState(new_timesteps_state(len(desk.instruments)), state, {})
        if step % 9 == 0:
            restored = restore_snapshot(take_snapshot(worker, desk), desk, engine).engine
        outputs = play(engine, state, events)
        if step >= 9:
            assert play(engine, restored, events) == outputs
        events.clear()
        (model,) = only(outputs, Model)
        betas.append(len(model.betas))
        assert ("JPY" in model.covariance_assets) == (model.asset_observations[JPY] >= 20)
        for residual in only(outputs, ResidualExposure):
            statuses[residual.book].append(residual.status)
            if residual.status == "no-model" and step > 41:
                assert "JPY" in residual.detail
        if step > 21:
            (suggestion,) = only(outputs, HedgeSuggestion, book="options")
            if "JPY" not in model.covariance_assets:
                assert "USDJPY" not in {trade.instrument for trade in suggestion.trades}
    assert statuses["options"] == ["no-model"] * 20 + ["ok"] * 90
    assert statuses["spot"] == ["unpriced"] * 40 + ["no-model"] * 20 + ["ok"] * 50
    assert betas[100] == 0
    assert betas[-1] > 0


def test_a_model_that_the_solver_refuses_leaves_every_book_unsolved(desk: Config) -> None:
    """A covariance that is none: no book may look solved, and each says why."""
    market = with_changes(made_market(desk, {}), Sigma=np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    held = [(book, BookState(quantities=np.full(3, LOT))) for book in desk.books]
    results = BookSolver(desk).solve(held, market, Trigger("timestep", 1, "1"))
    assert {result.residual.status for result in results} == {"unsolved"}
    assert all("Sigma must be positive semi-definite" in result.residual.detail for result in results)


def test_a_return_over_a_gap_counts(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """A market that reopens elsewhere has moved: the first return after missing prices spans them."""
    engine = Engine(desk)
    state = warmed_up(engine, mid_prices, timestep_of)
    mids = mid_prices(WARM_UP, 5)[-1]
    (before,) = only(play(engine, state, [timestep_of(71, mids)]), Model)
    silence = dict.fromkeys((EURUSD, USDCHF, USDJPY, EURCHF), 71.9)
    (gap,) = only(play(engine, state, [timestep_of(77, mids * 1.01, silence)]), Model)
    assert (gap.asset_observations, gap.covariance, gap.covariance_assets) == (before.asset_observations, (), ())
    (after,) = only(play(engine, state, [timestep_of(78, mids * 1.01)]), Model)
    assert after.observations == before.observations + 1
    assert after.covariance[EUR][EUR] > 10 * before.covariance[EUR][EUR]


def test_a_market_that_does_not_move_has_no_model(desk: Config, timestep_of: TimestepOf) -> None:
    """A feed that repeats one price gives a covariance of zeros: no risk is known, and nothing stops."""
    engine = Engine(desk)
    state = engine.new_state()
    events: list[EngineEvent] = [position("spot", EUR, 1e6, 0.5)]
    events += [timestep_of(step, (1.08, 0.9, 150.0)) for step in range(1, 71)]
    residuals = only(play(engine, state, events), ResidualExposure)
    assert len(residuals) == 70
    assert {residual.status for residual in residuals} == {"no-model"}
