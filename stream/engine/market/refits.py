"""Refits beside the stream: asked for at the close of one timestep, in effect at that of a later one.

A refit reads a copy of the window as it was at the close that asked for it, and takes effect `refit_lag_steps` closes
later. So which β are in use follows from the log, however long a refit runs, as long as it is there by then: a close of
the past, in a replay or a recovery, waits for it. A live one never does. What is not ready is taken at the first later
close at which it is, and every model until then says so (`refit_late`).

One refit is under way at a time. A restart asks again for the one that a snapshot finds under way.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeAlias

from solver.arrays import FloatArray
from solver.reversion.live.betas import LiveBetas, Meanwhile, renewed
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
    """Refits on the spot, so that each is there when it is due: for replays and tests."""

    def submit(request: RefitRequest) -> Future[Refit]:
        future: Future[Refit] = Future()
        try:
            future.set_result(attempt(refitter, request))
        except RefitFailed as exc:
            future.set_exception(exc)
        return future

    return submit


def attempt(refitter: Refitter, request: RefitRequest) -> Refit:
    """The refit, with every failure of it as `RefitFailed`, in the words that the model publishes."""
    try:
        return refitter.refit(request.stretches, request.incumbents, request.barred)
    except Exception as exc:
        raise RefitFailed(f"{type(exc).__name__}: {exc}") from exc


@dataclass(frozen=True, eq=False)
class PendingRefit:
    """A refit that was asked for and is not in effect: what is needed to ask again, and to bring its result up to date.

    `timestep` is the one at whose close it was asked for, `log_prices` (n,) its prices, `leg_variances` (n,) those
    known at it, `steps` and `rows` the β's counts, `beta_ids` those of the incumbents. `late`: a close passed at which
    it was due.
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
    """Where the refits of one market are.

    `pushed` counts timesteps in the window since the last was asked for, `running` is the pending one where it runs (a
    restart has to start it again), `fitted_at` the timestep that the last one in effect was asked at, 0 before the
    first. `late`: what was due at the last close was not there, or came after it was due. `failure` says why the last
    one found nothing; `candidates_tried` and `refusals` are those of the last in effect.
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
    """When refits are asked for and take effect. Holds nothing that changes.

    Parameters
    ----------
    config : its section `reversion` has the rhythm. With a lag of 0 each refit runs in the step that asks for it.
    settings : of the refits.
    submit : where they run; on the spot by default.
    patient : whether a close at which a refit is due waits for it. A live one does not.
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
        """Whether a refit is to be asked for at this close, if the window is full."""
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
        """Ask for a refit on `stretches`, as of the close of `timestep`."""
        state.pending = PendingRefit(
            request=RefitRequest(
                stretches,
                tuple(beta.vector for beta in live.betas),
                tuple(broken.weights for broken in live.retired),
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
        """Start what is pending and does not run: a new one, or that of a snapshot."""
        if state.pending is not None and state.running is None:
            state.running = self._submit(state.pending.request)

    def take(self, state: RefitState, live: LiveBetas, log_prices: FloatArray, timestep: int) -> LiveBetas:
        """The β in use after the close of `timestep`, with a refit that is due and there.

        `log_prices` (n,) of that close, NaN where there is none.
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
