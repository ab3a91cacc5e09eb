"""The market side of the engine: a timestep's quotes to prices, covariance and β vectors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from solver.arrays import FloatArray
from solver.covariance import ExponentialCovariance, WindowCovariance
from solver.reversion.live import LiveBeta, LiveBetas, Retirement, renewed, watched
from solver.reversion.rolling import ReversionSettings, RollingReversion
from stream.config import NANOSECONDS, Config, CovarianceConfig, ReversionConfig
from stream.events import Timestep
from stream.valuation import Valuation, Valuer


@dataclass(frozen=True)
class Market:
    """All that a book needs to know of the market at the close of one timestep.

    `Sigma` (n, n) covariance of log returns over one timestep, None while too few were seen. `version` counts the
    models of this universe. `betas` may be empty: no reliable vector; their ages are counted to `steps`. `retirements`
    are those that the watch took out of use at this close. `refusals` names methods that could not be fitted, and why.
    """

    timestep: int
    end_ns: int
    version: int
    valuation: Valuation
    Sigma: FloatArray | None
    observations: int
    betas: tuple[LiveBeta, ...]
    steps: int
    retirements: tuple[Retirement, ...]
    candidates_tried: int
    refusals: tuple[str, ...]


@dataclass
class MarketState:
    """The rolling estimators and what was last fitted with them."""

    covariance: ExponentialCovariance | WindowCovariance
    reversion: RollingReversion
    version: int = 0
    log_prices: FloatArray | None = None
    log_prices_at_ns: int = 0
    pushed_since_refit: int = 0
    live: LiveBetas = field(default_factory=LiveBetas)
    candidates_tried: int = 0
    refusals: tuple[str, ...] = ()


@dataclass
class MarketModel:
    """Advances a `MarketState` by one timestep. Holds nothing that changes."""

    config: Config
    valuer: Valuer = field(init=False)
    settings: ReversionSettings = field(init=False)

    def __post_init__(self) -> None:
        self.valuer = Valuer(self.config)
        self.settings = reversion_settings(self.config.reversion)

    def new_state(self) -> MarketState:
        """Nothing seen yet."""
        n = len(self.config.universe.assets)
        return MarketState(
            covariance=_covariance(n, self.config.covariance),
            reversion=RollingReversion(n, self.settings, self.config.universe.assets),
        )

    def advance(self, state: MarketState, timestep: Timestep) -> Market:
        """Take the close of `timestep` into `state`.

        Returns are taken between timesteps at which every asset has a price. After a gap the first return spans the
        gap: a market that reopens somewhere else has moved, and leaving that out would be a zero by another name.
        """
        config = self.config
        valuation = self.valuer.value(timestep)
        retirements: tuple[Retirement, ...] = ()
        if not valuation.unpriced.any():
            log_prices = np.log(valuation.prices)
            if state.log_prices is not None:
                retirements = self._watch(state, log_prices, timestep.end_ns)
                state.covariance.update(log_prices - state.log_prices)
            state.log_prices = log_prices
            state.log_prices_at_ns = timestep.end_ns
            state.reversion.push(log_prices)
            state.pushed_since_refit += 1
            if state.reversion.ready and state.pushed_since_refit >= config.reversion.refit_every_steps:
                live = state.live
                refit = state.reversion.refit(
                    [beta.vector for beta in live.betas], [broken.weights for broken in live.retired]
                )
                state.live = renewed(live, refit, config.universe.assets, self.settings)
                state.candidates_tried = refit.candidates_tried
                state.refusals = refit.refusals
                state.pushed_since_refit = 0
        state.version += 1
        observations = state.covariance.observations
        Sigma = state.covariance.estimate() if observations >= config.covariance.min_observations else None
        if Sigma is not None and not np.diag(Sigma).any():
            Sigma = None  # a feed that repeats its prices: how risky they are was not seen yet
        if timestep.end_ns - state.log_prices_at_ns > round(2 * config.universe.max_price_age_s * NANOSECONDS):
            # One silent asset stops the returns of all, from when its price is stale. Once that lasted as long again, a
            # hedge may have broken unseen: no answer is better than an old one that looks new.
            Sigma = None
        return Market(
            timestep=timestep.index,
            end_ns=timestep.end_ns,
            version=state.version,
            valuation=valuation,
            Sigma=Sigma,
            observations=observations,
            betas=state.live.betas,
            steps=state.live.steps,
            retirements=retirements,
            candidates_tried=state.candidates_tried,
            refusals=state.refusals,
        )

    def at(self, market: Market, time_ns: int) -> Market:
        """`market` as it is known at `time_ns` after its close: quotes that have become stale since price nothing.

        Newer quotes may wait in a step that is still open, so one timestep is granted.
        """
        seen_until_ns = time_ns - self.config.universe.timestep_ns
        if seen_until_ns <= market.end_ns:
            return market
        valuation = market.valuation
        quotes = Timestep(market.timestep, seen_until_ns, valuation.bids, valuation.asks, valuation.quoted_at_ns)
        return replace(market, valuation=self.valuer.value(quotes))

    def _watch(self, state: MarketState, log_prices: FloatArray, end_ns: int) -> tuple[Retirement, ...]:
        """Test the β in use on the step to `log_prices`, before anything has learnt from it."""
        assert state.log_prices is not None
        steps = (end_ns - state.log_prices_at_ns) // self.config.universe.timestep_ns
        n = len(log_prices)
        leg_variances = np.diag(state.covariance.estimate()) if state.live.betas else np.zeros(n)
        state.live, retirements = watched(
            state.live, state.log_prices, log_prices - state.log_prices, leg_variances, steps, self.settings
        )
        return retirements


def _covariance(n: int, config: CovarianceConfig) -> ExponentialCovariance | WindowCovariance:
    if config.kind == "window":
        return WindowCovariance(n, config.window_steps, config.shrinkage)
    return ExponentialCovariance(n, config.half_life_steps, config.shrinkage)


def reversion_settings(config: ReversionConfig) -> ReversionSettings:
    """What the solver is told of the configuration."""
    return ReversionSettings(
        methods=config.methods,
        window_steps=config.window_steps,
        holdout_steps=config.holdout_steps,
        basis_horizon_steps=config.basis_horizon_steps,
        basis_ratio_max=config.basis_ratio_max,
        basis_confidence=config.basis_confidence,
        false_discovery_rate=config.false_discovery_rate,
        half_life_min_steps=config.half_life_min_steps,
        half_life_max_steps=config.half_life_max_steps,
        switching_penalty=config.switching_penalty,
        false_alarm_steps=config.false_alarm_steps,
        max_legs=config.max_legs,
        max_vectors=config.max_vectors,
        lags=config.lags,
    )
