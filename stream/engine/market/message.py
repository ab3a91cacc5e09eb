"""The message about the market: prices, covariances, and β vectors with their evidence."""

from __future__ import annotations

import numpy as np

from schemas.outbound import LongerCovariance, Model, ModelBeta
from schemas.wire import finite_or_none
from solver.arrays import FloatArray
from solver.reversion.live.betas import LiveBeta
from stream.config import Config
from stream.engine.market.model import Market


def model_message(config: Config, market: Market) -> Model:
    """The message about `market`."""
    universe = config.universe
    prices = market.valuation.prices
    return Model(
        id=f"model/{universe.name}/{market.timestep}/{market.version}",
        universe=universe.name,
        numeraire=universe.numeraire,
        event_time_ns=market.end_ns,
        timestep=market.timestep,
        model_version=market.version,
        assets=universe.assets,
        prices=tuple(None if np.isnan(price) else float(price) for price in prices),
        priced_by=tuple(tuple(config.instruments[index].name for index in path) for path in market.valuation.priced_by),
        covariance=_rows(market.Sigma),
        covariance_assets=_assets(market.Sigma, universe.assets),
        observations=market.observations,
        asset_observations=tuple(market.asset_observations.tolist()),
        longer_covariances=tuple(
            LongerCovariance(
                every_steps=longer.every_steps,
                timestep_ns=longer.every_steps * universe.timestep_ns,
                assets=_assets(longer.Sigma, universe.assets),
                covariance=_rows(longer.Sigma),
                observations=longer.observations,
            )
            for longer in market.longer
        ),
        candidates_tried=market.candidates_tried,
        refusals=market.refusals,
        refitted_at_timestep=market.refitted_at_timestep,
        refit_late=market.refit_late,
        betas=tuple(_model_beta(config, market, beta) for beta in market.betas),
    )


def _model_beta(config: Config, market: Market, beta: LiveBeta) -> ModelBeta:
    vector, assets = beta.vector, config.universe.assets
    return ModelBeta(
        beta_id=beta.beta_id,
        method=vector.method,
        evidence=vector.evidence,
        weights={asset: float(weight) for asset, weight in zip(assets, vector.weights, strict=True) if weight},
        basis_ratio=vector.basis_ratio,
        basis_horizon_steps=config.reversion.basis_horizon_steps,
        half_life_steps=vector.half_life_steps,
        spread_volatility=vector.spread_volatility,
        deviation=vector.deviation,
        statistic=vector.statistic,
        version=beta.version,
        age_steps=market.steps - beta.since_step,
        basis_ratio_upper=finite_or_none(vector.basis_ratio_upper),
        p_value=vector.p_value,
        adjustment={
            asset: float(speed)
            for asset, speed in zip(assets, vector.adjustment, strict=True)
            if speed and "reverting" in vector.evidence
        },
    )


def _rows(Sigma: FloatArray | None) -> tuple[tuple[float, ...], ...]:
    """The covariance of the assets that have one."""
    if Sigma is None:
        return ()
    known = ~np.isnan(np.diag(Sigma))
    return tuple(tuple(row) for row in Sigma[np.ix_(known, known)].tolist())


def _assets(Sigma: FloatArray | None, assets: tuple[str, ...]) -> tuple[str, ...]:
    if Sigma is None:
        return ()
    return tuple(asset for asset, variance in zip(assets, np.diag(Sigma), strict=True) if not np.isnan(variance))
