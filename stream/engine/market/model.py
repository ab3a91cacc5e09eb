"""The market side of the engine: turns a timestep's quotes into prices, covariances and β vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from solver.arrays import BoolArray, FloatArray, IntArray
from solver.covariance import (
    ExponentialCovariance,
    HayashiYoshidaCovariance,
    SampledCovariance,
    WindowCovariance,
)
from solver.errors import NotEnoughData
from solver.reversion.live.betas import LiveBeta, LiveBetas, Move, Retirement, row_taken, watched
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.refits.settings import ReversionSettings
from stream.config import Config, CovarianceConfig
from stream.config.reversion import reversion_settings
from stream.engine.market.plausibility.gate import Doubt, Gate, Screened
from stream.engine.market.plausibility.state import GateState, new_gate_state
from stream.engine.market.refits import Refits, RefitState, Submit
from stream.engine.market.valuation import Valuation, Valuer
from stream.events.types import Timestep


@dataclass(frozen=True)
class LongerCovariance:
    """The covariance (n, n) of log returns over `every_steps` timesteps, with NaN as in `Market.Sigma`.

    `observations` counts the returns of the asset that has the most.
    """

    every_steps: int
    Sigma: FloatArray | None
    observations: int


@dataclass(frozen=True)
class Market:
    """All that a book needs to know of the market at the close of one timestep.

    Attributes
    ----------
    timestep, end_ns : the timestep, and when it ended.
    version : counts the models of this universe.
    valuation : prices and quotes.
    Sigma : (n, n) covariance of log returns over one timestep. NaN in the rows and columns of assets that have no price
        or too few returns; None if that is all assets.
    asset_observations : (n,) the number of returns seen of each asset.
    betas : the β vectors in use; empty if none is reliable.
    steps : the count of timesteps from which the ages of `betas` follow.
    retired : the β that went out of use within the last window, as `LiveBetas.retired`.
    candidates_tried, refusals : of the last refit in effect. `refusals` names the methods that failed, with reasons.
    refitted_at_timestep : the timestep at which the last refit in effect was requested.
    refit_late, refit_failure : as in `RefitState`.
    longer : the covariances over several timesteps.
    suspect : (n,) assets whose latest quotes are not believed, and which nothing else prices; `valuation` has their
        last price that was.
    doubts : what is doubted of the prices of instruments, and what no longer is.
    """

    timestep: int
    end_ns: int
    version: int
    valuation: Valuation
    Sigma: FloatArray | None
    asset_observations: IntArray
    betas: tuple[LiveBeta, ...]
    steps: int
    retired: tuple[Retirement, ...]
    candidates_tried: int
    refusals: tuple[str, ...]
    refitted_at_timestep: int
    refit_late: bool
    refit_failure: str
    suspect: BoolArray
    longer: tuple[LongerCovariance, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def retirements(self) -> tuple[Retirement, ...]:
        """The β that went out of use at this close."""
        return tuple(old for old in self.retired if old.step == self.steps)

    @property
    def observations(self) -> int:
        """The number of returns seen of the asset that has the most."""
        return int(self.asset_observations.max())

    @property
    def known(self) -> BoolArray:
        """(n,) assets that have a covariance."""
        n = len(self.asset_observations)
        return np.zeros(n, dtype=np.bool_) if self.Sigma is None else ~np.isnan(np.diag(self.Sigma))


@dataclass(frozen=True)
class LegPrices:
    """The last log prices (n,) at which every leg of a β had a price, and the time of that close."""

    log_prices: FloatArray
    at_ns: int


@dataclass
class MarketState:
    """The rolling estimators and what was last fitted with them.

    Attributes
    ----------
    covariance, longer : the estimators over one timestep and over several.
    reversion : the window of log prices for refits.
    gate : what the gate remembers.
    log_prices : (n,) the last known that may enter an estimate; NaN for an asset that never had one.
    priced : (n,) whether an asset had such a price at the latest close.
    leg_variances : (n,) of log returns over one timestep, the last known. The β are watched by them, because a silence
        can outlast the window of the covariance.
    version : counts the models.
    closed_at_ns : the latest close.
    interrupted : by β that waits for the price or the variance of a leg: the last prices that all its legs had.
    live : the β in use.
    refits : the pending refit and the last one in effect.
    """

    covariance: SampledCovariance | HayashiYoshidaCovariance
    longer: tuple[SampledCovariance, ...]
    gate: GateState
    reversion: RollingReversion
    log_prices: FloatArray
    priced: BoolArray
    leg_variances: FloatArray
    version: int = 0
    closed_at_ns: int = 0
    interrupted: dict[str, LegPrices] = field(default_factory=dict)
    live: LiveBetas = field(default_factory=LiveBetas)
    refits: RefitState = field(default_factory=RefitState)


@dataclass
class MarketModel:
    """Advances a `MarketState` by one timestep. Holds nothing that changes; `submit` and `patient` are for `Refits`."""

    config: Config
    submit: Submit | None = None
    patient: Callable[[], bool] = lambda: True
    gate: Gate = field(init=False)
    valuer: Valuer = field(init=False)
    settings: ReversionSettings = field(init=False)
    refits: Refits = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Gate(self.config)
        self.valuer = Valuer(self.config)
        assets = self.config.universe.assets
        self._subjects = [
            next(assets.index(each) for each in (*instrument.legs, instrument.quote) if each in assets)
            for instrument in self.config.instruments
        ]
        self.settings = reversion_settings(self.config.reversion)
        self.refits = Refits(self.config, self.settings, self.submit, self.patient)

    def new_state(self) -> MarketState:
        """Nothing seen yet."""
        n, config = len(self.config.universe.assets), self.config.covariance
        return MarketState(
            covariance=_tick_covariance(n, config) if config.takes_ticks else _grid_covariance(n, config, 1),
            longer=tuple(_grid_covariance(n, config, steps) for steps in sorted(config.sampling_steps) if steps > 1),
            gate=new_gate_state(len(self.config.instruments)),
            reversion=RollingReversion(n, self.settings, self.config.universe.assets),
            log_prices=np.full(n, np.nan),
            priced=np.zeros(n, dtype=np.bool_),
            leg_variances=np.full(n, np.nan),
        )

    def advance(self, state: MarketState, timestep: Timestep) -> Market:
        """Take the close of `timestep` into `state`.

        An asset without a price is left out of the covariance, and the β with such a leg are left out too. The others
        continue. After a gap the first return spans the whole gap: a market that reopens at another price has moved,
        and leaving that return out would count it as zero. The window for refits waits until every asset has a price.

        The gate looks at the quotes first. What it doubts prices an asset only if nothing else does. A price that it
        leaves out of the estimates counts there as missing, so that it does not look like one that stands still.
        """
        screened = self.gate.screen(state.gate, timestep)
        timestep = screened.timestep
        valuation = self.valuer.value(timestep, screened.doubtful)
        log_prices = self._estimable(valuation, screened)
        priced = ~np.isnan(log_prices)
        self._watch(state, log_prices, timestep.end_ns)
        self._update_covariances(state, timestep, valuation, log_prices)
        state.log_prices = np.where(priced, log_prices, state.log_prices)
        state.priced, state.closed_at_ns = priced, timestep.end_ns
        if priced.all():
            state.reversion.push(log_prices)
            state.live = row_taken(state.live, self.settings)
            state.refits.pushed += 1
        self._refit(state, log_prices, timestep.index)
        state.version += 1
        return Market(
            timestep=timestep.index,
            end_ns=timestep.end_ns,
            version=state.version,
            valuation=valuation,
            Sigma=self._estimate(state.covariance, ~valuation.unpriced),
            asset_observations=state.covariance.asset_observations,
            longer=tuple(
                LongerCovariance(
                    every_steps=longer.every_steps,
                    Sigma=self._estimate(longer, ~valuation.unpriced),
                    observations=int(longer.asset_observations.max()),
                )
                for longer in state.longer
            ),
            betas=state.live.betas,
            steps=state.live.steps,
            retired=state.live.retired,
            candidates_tried=state.refits.candidates_tried,
            refusals=state.refits.refusals,
            refitted_at_timestep=state.refits.fitted_at,
            refit_late=state.refits.late,
            refit_failure=state.refits.failure,
            suspect=valuation.suspect,
            doubts=tuple(replace(doubt, assets=self._assets(valuation, doubt)) for doubt in screened.doubts),
        )

    def at(self, market: Market, time_ns: int) -> Market:
        """`market` as seen at `time_ns`, after its close: quotes that have become stale since then price nothing.

        Newer quotes may wait in the open timestep. So the age of a quote counts up to one timestep before `time_ns`.
        """
        seen_until_ns = time_ns - self.config.universe.timestep_ns
        if seen_until_ns <= market.end_ns:
            return market
        valuation = market.valuation
        quotes = Timestep(
            market.timestep,
            seen_until_ns,
            valuation.bids,
            valuation.asks,
            valuation.quoted_at_ns,
            depths=valuation.depths,
        )
        valuation = self.valuer.value(quotes, valuation.doubtful)
        return replace(market, valuation=valuation, suspect=valuation.suspect)

    def _estimable(self, valuation: Valuation, screened: Screened) -> FloatArray:
        """(n,) log prices for the estimates: NaN where there is no price, and where it stands on a quote left out."""
        log_prices: FloatArray = np.log(valuation.prices)
        if screened.left_out.any():
            for asset, path in enumerate(valuation.priced_by):
                if screened.left_out[list(path)].any():
                    log_prices[asset] = np.nan
        return log_prices

    def _assets(self, valuation: Valuation, doubt: Doubt) -> tuple[int, ...]:
        """The assets that `doubt` is about: the one that the instrument is named for, and those suspect for it."""
        on_it = (asset for asset, path in enumerate(valuation.priced_by) if doubt.instrument in path)
        suspect = (asset for asset in on_it if valuation.suspect[asset])
        return tuple(dict.fromkeys((self._subjects[doubt.instrument], *suspect)))

    def _refit(self, state: MarketState, log_prices: FloatArray, timestep: int) -> None:
        """Put a refit that is due at the close of `timestep` into effect. Request the next if all assets are priced."""
        self._take_refit(state, log_prices, timestep)
        if not np.isnan(log_prices).any() and state.reversion.ready and self.refits.due(state.refits):
            self.refits.ask(
                state.refits,
                state.live,
                state.reversion.stretches(),
                log_prices,
                state.leg_variances,
                timestep,
            )
            if self.config.reversion.refit_lag_steps == 0:
                self._take_refit(state, log_prices, timestep)

    def _take_refit(self, state: MarketState, log_prices: FloatArray, timestep: int) -> None:
        before, pending = {beta.beta_id for beta in state.live.betas}, state.refits.pending
        state.live = self.refits.take(state.refits, state.live, log_prices, timestep)
        if pending is None:
            return
        asked_at_ns = pending.timestep * self.config.universe.timestep_ns
        unwatched = np.isnan(log_prices) | np.isnan(pending.leg_variances)
        for beta in state.live.betas:
            if beta.beta_id not in before and unwatched[beta.vector.weights != 0].any():
                state.interrupted[beta.beta_id] = LegPrices(pending.log_prices, asked_at_ns)

    def _watch(self, state: MarketState, log_prices: FloatArray, end_ns: int) -> None:
        """Test the β in use on the moves of their legs up to `log_prices`, which no estimator has seen yet."""
        if not state.closed_at_ns:
            return
        timestep_ns = self.config.universe.timestep_ns
        unknown = np.isnan(log_prices) | np.isnan(state.leg_variances)
        moves: list[Move | None] = []
        for beta in state.live.betas:
            legs = beta.vector.weights != 0
            before = state.interrupted.pop(beta.beta_id, None)
            if before is None and state.priced[legs].all():
                before = LegPrices(state.log_prices, state.closed_at_ns)
            if before is None:
                moves.append(None)
            elif unknown[legs].any():
                state.interrupted[beta.beta_id] = before
                moves.append(None)
            else:
                steps = (end_ns - before.at_ns) // timestep_ns
                moves.append(Move(before.log_prices, log_prices - before.log_prices, steps))
        elapsed = (end_ns - state.closed_at_ns) // timestep_ns
        state.live, _ = watched(state.live, moves, state.leg_variances, elapsed, self.settings)
        in_use = {beta.beta_id for beta in state.live.betas}
        state.interrupted = {name: before for name, before in state.interrupted.items() if name in in_use}

    def _update_covariances(
        self, state: MarketState, timestep: Timestep, valuation: Valuation, log_prices: FloatArray
    ) -> None:
        if isinstance(state.covariance, HayashiYoshidaCovariance):
            state.covariance.update(*self.valuer.log_price_ticks(timestep, valuation))
        else:
            state.covariance.take(log_prices, timestep.index)
        variances = state.covariance.variances()
        state.leg_variances = np.where(np.isnan(variances), state.leg_variances, variances)
        for longer in state.longer:
            longer.take(log_prices, timestep.index)

    def _estimate(
        self, covariance: SampledCovariance | HayashiYoshidaCovariance, priced: BoolArray
    ) -> FloatArray | None:
        """The covariance of the assets that have a price. None if none has enough returns, or if none of them moved.

        A feed that only repeats its prices does not show how risky the assets are.
        """
        try:
            Sigma = covariance.estimate(self.config.covariance.min_observations, priced)
        except NotEnoughData:
            return None
        return Sigma if np.nansum(np.diag(Sigma)) > 0.0 else None


def _grid_covariance(n: int, config: CovarianceConfig, every_steps: int) -> SampledCovariance:
    estimator = (
        WindowCovariance(n, config.window_steps, config.shrinkage)
        if config.kind == "window"
        else ExponentialCovariance(n, config.half_life_steps, config.shrinkage)
    )
    return SampledCovariance(n, every_steps, estimator)


def _tick_covariance(n: int, config: CovarianceConfig) -> HayashiYoshidaCovariance:
    return HayashiYoshidaCovariance(n, config.half_life_steps, config.slow_ticks, config.shrinkage)
