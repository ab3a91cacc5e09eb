"""Refits beside the stream: requested at the close of one timestep, in effect at the close of a later one.

A refit reads a copy of the window at the close that requested it. It takes effect `refit_lag_steps` timesteps later. If
its result is ready by then, the β in use follow from the log alone, however long the refit runs. In a replay or a
recovery the close waits for the result. A live close never waits: a late result takes effect at the first close at
which it is ready, and every model until then says so (`refit_late`).

One refit is under way at a time. After a restart, the refit that was under way in the snapshot is requested again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeAlias

from solver.arrays import FloatArray
from solver.reversion.live.betas import LiveBetas, Meanwhile, barred, renewed
from solver.reversion.refits.refit import Refit, Refitter
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.refits.stretches import Stretches
from solver.reversion.vector import BetaVector
from stream.config import Config
from stream.errors import RefitFailed


@dataclass(frozen=True, eq=False)
class RefitRequest:
    """All that a refit depends on; see `Refitter.refit`."""

    stretches: Stretches
    incumbents: tuple[BetaVector, ...]
    barred: tuple[FloatArray, ...]


Submit: TypeAlias = Callable[[RefitRequest], Future[Refit]]
"""Starts a refit somewhere and returns at once: `run_here`, or `stream.worker.refit_process.RefitProcess.submit`."""


def run_here(refitter: Refitter) -> Submit:
    """Runs each refit at once in the calling thread, so that it has ended when it is due: for replays and tests."""

    def submit(request: RefitRequest) -> Future[Refit]:
        future: Future[Refit] = Future()
        try:
            future.set_result(attempt(refitter, request))
        except RefitFailed as exc:
            future.set_exception(exc)
        return future

    return submit


def attempt(refitter: Refitter, request: RefitRequest) -> Refit:
    """Run a refit. Raises RefitFailed for every failure, with the words that the model publishes."""
    try:
        return refitter.refit(request.stretches, request.incumbents, request.barred)
    except Exception as exc:
        raise RefitFailed(f"{type(exc).__name__}: {exc}") from exc


@dataclass(frozen=True, eq=False)
class PendingRefit:
    """A refit that was requested and is not in effect yet.

    It holds what a second request needs, and what brings the result up to date when it takes effect.

    Attributes
    ----------
    request : what the refit depends on.
    timestep : at whose close it was requested.
    beta_ids : of the β in use at that close.
    log_prices : (n,) at that close.
    leg_variances : (n,) the last known at that close.
    steps, rows : the counts of `LiveBetas` at that close.
    late : whether it was due at a close and not ready.
    """

    request: RefitRequest
    timestep: int
    beta_ids: tuple[str, ...]
    log_prices: FloatArray
    leg_variances: FloatArray
    steps: int
    rows: int
    late: bool = False


@dataclass
class RefitState:
    """The pending refit of one market, and the last one in effect.

    Attributes
    ----------
    pushed : timesteps that entered the window since a refit was last requested.
    pending : the refit that was requested and is not in effect yet.
    running : the result of `pending`, once it was started. A restart has to start it again.
    fitted_at : the timestep at which the last refit in effect was requested; 0 before the first.
    late : whether the refit that was due at the last close was not ready, or took effect there later than it was due.
    failure : why the last refit ended without a result; empty if it had one.
    candidates_tried, refusals : of the last refit in effect.
    """

    pushed: int = 0
    pending: PendingRefit | None = None
    running: Future[Refit] | None = None
    fitted_at: int = 0
    late: bool = False
    failure: str = ""
    candidates_tried: int = 0
    refusals: tuple[str, ...] = ()


class Refits:
    """When refits are requested and take effect. Holds nothing that changes.

    Parameters
    ----------
    config : `reversion` says how often. With `refit_lag_steps` 0 each refit runs in the timestep that requests it.
    settings : of the refits.
    submit : starts a refit. None runs each at once in the calling thread.
    patient : whether a close waits for a refit that is due at it. A live close does not.
    """

    def __init__(
        self, config: Config, settings: ReversionSettings, submit: Submit | None, patient: Callable[[], bool]
    ) -> None:
        self._names = config.universe.assets
        self._settings = settings
        self._every, self._lag = config.reversion.refit_every_steps, config.reversion.refit_lag_steps
        self._patient = patient
        if submit is None or self._lag == 0:
            submit = run_here(Refitter(len(self._names), settings, self._names))
        self._submit = submit

    def due(self, state: RefitState) -> bool:
        """Whether a refit has to be requested at this close, if the window is full."""
        return state.pending is None and state.pushed >= self._every

    def ask(
        self,
        state: RefitState,
        live: LiveBetas,
        stretches: Stretches,
        log_prices: FloatArray,
        leg_variances: FloatArray,
        timestep: int,
    ) -> None:
        """Request a refit at the close of `timestep`.

        Parameters
        ----------
        state : changed.
        live : the β in use and those that the watch retired.
        stretches : the window of log prices.
        log_prices : (n,) at the close.
        leg_variances : (n,) the last known, per timestep.
        timestep : the one that closes.
        """
        state.pending = PendingRefit(
            request=RefitRequest(
                stretches,
                tuple(beta.vector for beta in live.betas),
                barred(live),
            ),
            timestep=timestep,
            beta_ids=tuple(beta.beta_id for beta in live.betas),
            log_prices=log_prices,
            leg_variances=leg_variances,
            steps=live.steps,
            rows=live.rows,
        )
        state.pushed = 0
        self.resume(state)

    def resume(self, state: RefitState) -> None:
        """Start the pending refit if it is not running: a new one, or the one of a snapshot."""
        if state.pending is not None and state.running is None:
            state.running = self._submit(state.pending.request)

    def take(self, state: RefitState, live: LiveBetas, log_prices: FloatArray, timestep: int) -> LiveBetas:
        """The β in use after the close of `timestep`. A refit that is due and ready takes effect.

        `log_prices` (n,) are those of that close, NaN where an asset has no price.
        """
        state.late = False
        pending = state.pending
        if pending is None or timestep < pending.timestep + self._lag:
            return live
        self.resume(state)
        assert state.running is not None
        if not state.running.done() and not self._patient():
            state.pending = replace(pending, late=True)
            state.late = True
            return live
        state.late = pending.late
        running, state.pending, state.running = state.running, None, None
        try:
            refit = running.result()
        except Exception as exc:  # whatever went wrong, the β in use stay and are watched
            state.failure = str(exc) if isinstance(exc, RefitFailed) else f"{type(exc).__name__}: {exc}"
            state.refusals = (f"refit: {state.failure}",)
            return live
        state.failure, state.fitted_at = "", pending.timestep
        state.candidates_tried, state.refusals = refit.candidates_tried, refit.refusals
        meanwhile = Meanwhile(
            incumbents=pending.beta_ids,
            log_prices=pending.log_prices,
            log_returns=log_prices - pending.log_prices,
            leg_variances=pending.leg_variances,
            steps=live.steps - pending.steps,
            rows=live.rows - pending.rows,
        )
        return renewed(live, refit, self._names, self._settings, meanwhile)
