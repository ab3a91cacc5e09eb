"""Refits beside the stream: when they take effect, how late ones are reported, and how they fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.internal import Snapshot
from schemas.outbound import Alert, Model
from schemas.wire import MESSAGE_PACK, decode, encode
from solver.errors import IllPosed
from solver.reversion.refits.refit import Refit, Refitter
from stream.config import Config, ReversionConfig
from stream.config.reversion import reversion_settings
from stream.engine.market.refits import RefitRequest, attempt, run_here
from stream.engine.runtime import Runtime
from stream.engine.step import Engine, EngineState, Output
from stream.events.timesteps import new_timesteps_state
from stream.events.types import EngineEvent, PositionLevel, Timestep
from stream.worker.snapshot import WorkerState, restore_snapshot, take_snapshot

SECOND = 1_000_000_000
# The window of the desk is full for the first time at this timestep.
FULL = 62
EURCHF = "sparse:EUR/CHF"

MidPrices = Callable[[int, int], np.ndarray]
TimestepOf = Callable[..., Timestep]


class ByHand:
    """Refits that end when the test says so."""

    def __init__(self, config: Config) -> None:
        self._refitter = refitter_of(config)
        self.asked: list[tuple[RefitRequest, Future[Refit]]] = []

    def submit(self, request: RefitRequest) -> Future[Refit]:
        future: Future[Refit] = Future()
        self.asked.append((request, future))
        return future

    def finish(self) -> None:
        """Let the refit that was requested last end."""
        request, future = self.asked[-1]
        future.set_result(attempt(self._refitter, request))


class WhenWaitedFor(Future[Refit]):
    """A refit that is never ready by itself."""

    def __init__(self, refitter: Refitter, request: RefitRequest) -> None:
        super().__init__()
        self._work = (refitter, request)

    def result(self, timeout: float | None = None) -> Refit:
        if not self.done():
            self.set_result(attempt(*self._work))
        return super().result(timeout)


def refitter_of(config: Config) -> Refitter:
    assets = config.universe.assets
    return Refitter(len(assets), reversion_settings(config.reversion), assets)


def with_rhythm(config: Config, every: int, lag: int) -> Config:
    reversion = msgspec.structs.replace(config.reversion, refit_every_steps=every, refit_lag_steps=lag)
    return msgspec.structs.replace(config, reversion=reversion)


def play(engine: Engine, state: EngineState, events: Iterable[EngineEvent]) -> list[Output]:
    return [output for event in events for output in engine.step(state, event)[1]]


def models(outputs: Iterable[Output]) -> list[Model]:
    return [output for output in outputs if isinstance(output, Model)]


def alerts(outputs: Iterable[Output], kind: str) -> list[Alert]:
    return [output for output in outputs if isinstance(output, Alert) and output.kind == kind]


def ids(model: Model) -> set[str]:
    return {beta.beta_id for beta in model.betas}


def without_refits(model: Model) -> Model:
    """The part of a model that no refit changes."""
    return msgspec.structs.replace(
        model, betas=(), candidates_tried=0, refusals=(), refitted_at_timestep=0, refit_late=False
    )


@pytest.mark.parametrize(("key", "told"), [("none", None), ("aic", "aic"), ("bic", "bic")])
def test_the_criterion_for_lags_reaches_the_refits(key: str, told: str | None) -> None:
    """The solver gets `reversion.lags_criterion`; with "none" it chooses nothing."""
    config = msgspec.convert({"lags": 3, "lags_criterion": key}, ReversionConfig)
    assert reversion_settings(config).lags_criterion == told


@pytest.fixture
def closes(mid_prices: MidPrices, timestep_of: TimestepOf) -> list[Timestep]:
    """Closes 1 to 90 of a market in which CHF follows EUR."""
    return [timestep_of(step, mids) for step, mids in enumerate(mid_prices(90, 5), start=1)]


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_a_refit_counts_after_its_lag_and_not_before(desk: Config, closes: list[Timestep], lag: int) -> None:
    """A refit that is ready at once changes nothing until the close at which it is due."""
    config = with_rhythm(desk, 5, lag)
    at_once = with_rhythm(desk, 5, 0)
    refits = ByHand(config)
    engine = Engine(config, Runtime(submit=refits.submit, patient=lambda: False))
    state = engine.new_state()
    published: dict[int, Model] = {}
    for close in closes:
        asked = len(refits.asked)
        (published[close.index],) = models(play(engine, state, [close]))
        if len(refits.asked) > asked:
            refits.finish()
    expected = {model.timestep: model for model in models(play(Engine(at_once), Engine(at_once).new_state(), closes))}
    assert [len(published[step].betas) for step in (FULL, FULL + lag - 1)] == [0, 0]
    for asked_at in range(FULL, 80, 5):
        for step in range(asked_at + lag, asked_at + 5 + lag):
            model = published[step]
            assert model.refitted_at_timestep == asked_at
            assert not model.refit_late
            found = [msgspec.structs.replace(beta, age_steps=0) for beta in model.betas]
            assert found == [msgspec.structs.replace(beta, age_steps=0) for beta in expected[asked_at].betas]
    assert ids(published[90])


def test_a_live_close_goes_on_without_a_refit_that_is_not_ready(desk: Config, closes: list[Timestep]) -> None:
    """Until it is ready every model says so. Only the β and their fields differ from a run without a delay."""
    refits = ByHand(desk)
    engine = Engine(desk, Runtime(submit=refits.submit, patient=lambda: False))
    state = engine.new_state()
    published: list[Model] = []
    for close in closes[:70]:
        if close.index in (FULL + 4, FULL + 5):
            refits.finish()
        published += models(play(engine, state, [close]))
    punctual = models(play(Engine(desk), Engine(desk).new_state(), closes[:70]))
    assert [without_refits(model) for model in published] == [without_refits(model) for model in punctual]
    assert published[:FULL] == punctual[:FULL]
    late = {model.timestep: model.refit_late for model in published[FULL - 1 :]}
    # Asked at 62, due at 63, there at 66; the next is asked for then, and in time; the one after that is not.
    assert late == {62: False, 63: True, 64: True, 65: True, 66: True, 67: False, 68: True, 69: True, 70: True}
    fitted = {model.timestep: model.refitted_at_timestep for model in published[FULL - 1 :]}
    assert fitted == {62: 0, 63: 0, 64: 0, 65: 0, 66: 62, 67: 66, 68: 66, 69: 66, 70: 66}
    assert not any(model.refit_late for model in punctual)
    # One at a time: nobody asks again while one is under way.
    assert len(refits.asked) == 3

    def found(model: Model) -> list[Any]:
        return [msgspec.structs.replace(beta, age_steps=0) for beta in model.betas]

    assert found(published[66 - 1]) == found(punctual[63 - 1]) != []


def test_a_close_of_the_past_waits(desk: Config, closes: list[Timestep]) -> None:
    """Refits that are never ready by themselves give the bytes of those that always are."""
    refitter = refitter_of(desk)
    waits = Engine(desk, Runtime(submit=lambda request: WhenWaitedFor(refitter, request)))
    never_waits = Engine(desk, Runtime(submit=lambda request: WhenWaitedFor(refitter, request), patient=lambda: False))
    expected = play(Engine(desk), Engine(desk).new_state(), closes)
    assert play(waits, waits.new_state(), closes) == expected
    assert not any(model.betas for model in models(play(never_waits, never_waits.new_state(), closes)))


def test_a_thread_gives_the_same_bytes(desk: Config, closes: list[Timestep]) -> None:
    """No message depends on where a refit runs."""
    refitter = refitter_of(desk)
    with ThreadPoolExecutor(1) as pool:
        engine = Engine(desk, Runtime(submit=lambda request: pool.submit(attempt, refitter, request)))
        assert play(engine, engine.new_state(), closes) == play(Engine(desk), Engine(desk).new_state(), closes)


def jumped(close: Timestep, chf: float) -> Timestep:
    """The same close with USDCHF at another price."""
    factor = np.array([1.0, chf, 1.0, chf])
    return Timestep(close.index, close.end_ns, close.bids * factor, close.asks * factor, close.quoted_at_ns)


def test_what_breaks_while_a_refit_runs_does_not_come_back_with_it(desk: Config, closes: list[Timestep]) -> None:
    """CHF jumps between the close that asked for a refit and the one at which it counts, and the refit has EUR/CHF.

    The watch retires it in the timestep of the jump; and in a market in which it was not in use yet, it never is.
    """
    config = with_rhythm(desk, 4, 3)
    refits = ByHand(config)
    engine = Engine(config, Runtime(submit=refits.submit, patient=lambda: False))
    state = engine.new_state()
    # Asked at 62, in use from 65; asked again at 66, which would count from 69.
    for close in closes[:66]:
        play(engine, state, [close])
        if close.index in (FULL, FULL + 4):
            refits.finish()
    positions = [PositionLevel(66 * SECOND, "spot", asset, size, f"p@{asset}") for asset, size in ((0, 5e6), (1, -5e6))]
    play(engine, state, positions)
    assert EURCHF in state.books["spot"].multiples
    assert any(np.flatnonzero(beta.weights).tolist() == [0, 1] for beta in refits.asked[1][1].result().betas)
    published = [play(engine, state, [jumped(close, 1.01)]) for close in closes[66:69]]
    assert [EURCHF in ids(models(outputs)[0]) for outputs in published] == [False, False, False]
    assert [len(alerts(outputs, "relationship-broken")) for outputs in published] == [1, 0, 0]
    assert models(published[-1])[0].refitted_at_timestep == FULL + 4

    newly = Engine(config)
    state = newly.new_state()
    play(newly, state, closes[:FULL])
    (calm,) = models(play(Engine(config), state_of(config, state), [closes[FULL + 2]]))
    assert EURCHF in ids(calm)
    after = models(play(newly, state, [jumped(close, 1.01) for close in closes[FULL : FULL + 3]]))
    assert after[-1].refitted_at_timestep == FULL
    assert not any(EURCHF in ids(model) for model in after)


def test_what_broke_is_barred_for_as_many_rows_as_the_stretch_held_back_has(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """CHF jumps at 70, and from then on JPY has a price in every other timestep only: the window takes no other.

    The jump is in the held-back stretch of 20 rows until 109, 40 timesteps later, and no refit is free to take EUR/CHF
    before that.
    """
    refits = ByHand(desk)
    engine = Engine(desk, Runtime(submit=refits.submit))
    state = engine.new_state()
    barred_at: list[int] = []
    for step, mids in enumerate(mid_prices(120, 5), start=1):
        close = timestep_of(step, mids, {2: 0.0} if step > 70 and step % 2 else {})
        asked = len(refits.asked)
        play(engine, state, [jumped(close, 1.01) if step >= 70 else close])
        if len(refits.asked) > asked:
            refits.finish()
            barred_at += [step] if refits.asked[-1][0].barred else []
    assert barred_at == [70, *range(72, 109, 2)]


def state_of(config: Config, state: EngineState) -> EngineState:
    """A copy made through the bytes of a snapshot."""
    worker = WorkerState(new_timesteps_state(len(config.instruments)), state, {})
    wire = encode(take_snapshot(worker, config), MESSAGE_PACK)
    return restore_snapshot(decode(Snapshot, wire, MESSAGE_PACK), config, Engine(config)).engine


@pytest.mark.parametrize(("every", "lag"), [(1, 1), (4, 3), (5, 5)])
def test_a_restart_at_any_close_gives_the_same_bytes(
    desk: Config, closes: list[Timestep], every: int, lag: int
) -> None:
    """The refit that was under way is requested again with the same inputs."""
    config = with_rhythm(desk, every, lag)
    engine, state = Engine(config), Engine(config).new_state()
    unbroken = [play(engine, state, [close]) for close in closes]
    state = engine.new_state()
    for close, expected in zip(closes, unbroken, strict=True):
        refits = ByHand(config)
        engine = Engine(config, Runtime(submit=refits.submit))
        state = state_of(config, state)
        assert state.market.refits.running is None
        engine.resume(state)
        assert len(refits.asked) == (state.market.refits.pending is not None)
        if refits.asked:
            refits.finish()
        assert play(engine, state, [close]) == expected


def test_a_restart_forgets_no_delay(desk: Config, closes: list[Timestep]) -> None:
    """A refit that was late before the restart is late after it, even if it then ends at once."""
    engine = Engine(desk, Runtime(submit=ByHand(desk).submit, patient=lambda: False))
    state = engine.new_state()
    play(engine, state, closes[: FULL + 3])
    (model,) = models(play(Engine(desk), state_of(desk, state), closes[FULL + 3 : FULL + 4]))
    assert (model.refitted_at_timestep, model.refit_late) == (FULL, True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (IllPosed("log prices are odd"), "IllPosed: log prices are odd"),
        (ZeroDivisionError("nobody foresaw it"), "ZeroDivisionError: nobody foresaw it"),
    ],
)
def test_a_refit_that_raises_leaves_the_betas_in_use(
    desk: Config, closes: list[Timestep], monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    """It is refused by name and an alert says so, once; the next that succeeds clears it. The stream goes on."""
    fails: list[bool] = []
    refitter, whole = refitter_of(desk), Refitter.refit

    def refit(self: Refitter, *arguments: Any) -> Refit:
        if fails:
            raise error
        return whole(self, *arguments)

    monkeypatch.setattr(Refitter, "refit", refit)
    engine = Engine(desk, Runtime(submit=run_here(refitter)))
    state = engine.new_state()
    (before,) = models(play(engine, state, closes[:70]))[-1:]
    fails.append(True)
    play(engine, state, closes[70:71])  # takes what was asked for before, and asks for one that fails
    failed = [play(engine, state, [close]) for close in closes[71:74]]
    fails.clear()
    back = [play(engine, state, [close]) for close in closes[74:76]]
    for outputs in (*failed, back[0]):
        (model,) = models(outputs)
        assert model.refusals == (f"refit: {said}",)
        assert (model.refitted_at_timestep, model.refit_late) == (70, False)
        assert ids(model) == ids(before) != set()
    (raised,) = alerts(failed[0], "refit-failed")
    assert (raised.state, raised.subject, raised.severity) == ("raised", "fx", "warning")
    assert said in raised.message
    assert not any(alerts(outputs, "refit-failed") for outputs in failed[1:])
    (cleared,) = alerts(back[1], "refit-failed")
    assert cleared.state == "cleared"
    assert models(back[1])[0].refusals == ()
    assert models(back[1])[0].refitted_at_timestep == 75


def test_a_failed_refit_is_failed_after_a_restart(desk: Config, closes: list[Timestep]) -> None:
    """The alert that stands is cleared by the worker that comes after, not by the restart."""
    refits = ByHand(desk)
    engine = Engine(desk, Runtime(submit=refits.submit, patient=lambda: False))
    state = engine.new_state()
    play(engine, state, closes[:FULL])
    refits.asked[-1][1].cancel()  # as of an executor that was shut down
    outputs = play(engine, state, closes[FULL : FULL + 1])
    assert [alert.state for alert in alerts(outputs, "refit-failed")] == ["raised"]
    (model,) = models(outputs)
    assert model.refusals == ("refit: CancelledError: ",)
    again = Engine(desk)
    state = state_of(desk, state)
    cleared = alerts(play(again, state, closes[FULL + 1 : FULL + 2]), "refit-failed")
    assert [alert.state for alert in cleared] == ["cleared"]
