"""The β vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

from schemas.outbound import ReversionMethod
from stream.config.checks import at_least, no_twins, positive, wrong
from stream.config.covariance import check_ticks
from stream.config.kafka import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from stream.config.load import Config

NUMBER_BYTES = 24
"""Of a float in JSON at most, with its comma."""


class ReversionConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How β vectors are found, and what they must show to be used (docs/design.md).

    They are fitted on the last `window_steps` timesteps without the latest `holdout_steps`, on which the basis ratio
    over `basis_horizon_steps` is then measured. Accepted is a vector whose basis ratio is at most `basis_ratio_max`
    with `basis_confidence`, or which is among the discoveries at `false_discovery_rate` and reverts with a half-life
    between the two bounds. Tests of reversion allow for `lags` lagged differences, or for as many up to that as
    `lags_criterion` finds (of Akaike, of Hannan and Quinn, of Schwarz). Another vector takes its place only when it is
    better by `switching_penalty`. Between refits it is watched: one that still holds is retired at most once in
    `false_alarm_steps` timesteps on average.

    A refit every `refit_every_steps` timesteps takes effect `refit_lag_steps` later and runs meanwhile in a process of
    its own. With 0 it runs in the timestep itself, which waits for it.
    """

    methods: tuple[ReversionMethod, ...] = ("sparse",)
    window_steps: int = 500
    holdout_steps: int = 125
    basis_horizon_steps: int = 1
    basis_ratio_max: float = 0.3
    basis_confidence: float = 0.95
    false_discovery_rate: float = 0.05
    half_life_min_steps: float = 1.0
    half_life_max_steps: float = 60.0
    switching_penalty: float = 0.1
    false_alarm_steps: float = 1e6
    max_legs: int = 2
    max_vectors: int = 12
    lags: int = 1
    lags_criterion: Literal["none", "aic", "hqic", "bic"] = "none"
    refit_every_steps: int = 1
    refit_lag_steps: int = 1


def check_models(config: Config) -> None:
    covariance, reversion = config.covariance, config.reversion
    at_least("covariance.window_steps", covariance.window_steps, 2)
    positive("covariance.half_life_steps", covariance.half_life_steps)
    at_least("covariance.min_observations", covariance.min_observations, 2)
    at_least("covariance.slow_ticks", covariance.slow_ticks, 2)
    if covariance.takes_ticks and covariance.shrinkage == "ledoit-wolf":
        raise wrong(
            "covariance.shrinkage", "none, oas or nonlinear with covariance.kind hayashi-yoshida", "ledoit-wolf"
        )
    if covariance.takes_ticks:
        check_ticks(config)
    if covariance.shrinkage == "nonlinear":
        # The method needs 12 returns, of weighted ones as many by weight.
        at_least("covariance.min_observations (with shrinkage nonlinear)", covariance.min_observations, 24)
        if covariance.kind != "window":
            at_least("covariance.half_life_steps (with shrinkage nonlinear)", covariance.half_life_steps, 12)
    lengths = covariance.sampling_steps
    if 1 not in lengths or min(lengths) < 1:
        raise wrong("covariance.sampling_steps", "whole numbers from 1 on, 1 among them", list(lengths))
    for place, length in enumerate(lengths):
        if length in lengths[:place]:
            raise wrong("covariance.sampling_steps", "distinct numbers", length)
    if covariance.kind == "window" and covariance.min_observations > covariance.window_steps:
        raise wrong(
            "covariance.min_observations",
            f"at most covariance.window_steps {covariance.window_steps}",
            covariance.min_observations,
        )
    if not reversion.methods:
        raise wrong("reversion.methods", f"at least one of {', '.join(get_args(ReversionMethod))}", [])
    no_twins("reversion.methods", reversion.methods)
    n = len(config.universe.assets)
    most = math.isqrt(MAX_RECORD_BYTES // (NUMBER_BYTES * len(lengths)))
    if n > most:
        expected = (
            f"at most {most} with {len(lengths)} covariance.sampling_steps, for a model to fit a record of Kafka's"
        )
        raise wrong("universe.assets", expected, n)
    at_least("reversion.basis_horizon_steps", reversion.basis_horizon_steps, 1)
    at_least("reversion.holdout_steps", reversion.holdout_steps, 4 * reversion.basis_horizon_steps)
    at_least("reversion.lags", reversion.lags, 1)
    # A regression of n series on (lags + 1) n + 1 others needs some observations to spare.
    least = reversion.holdout_steps + (reversion.lags + 2) * n + 10
    at_least("reversion.window_steps", reversion.window_steps, least)
    if not 0 < reversion.basis_ratio_max < 1:
        raise wrong("reversion.basis_ratio_max", "a number between 0 and 1", reversion.basis_ratio_max)
    for name in ("basis_confidence", "false_discovery_rate"):
        if not 0 < getattr(reversion, name) < 1:
            raise wrong(f"reversion.{name}", "a number between 0 and 1", getattr(reversion, name))
    at_least("reversion.half_life_min_steps", reversion.half_life_min_steps, 0)
    if not reversion.half_life_min_steps < reversion.half_life_max_steps < math.inf:
        raise wrong(
            "reversion.half_life_max_steps",
            f"above reversion.half_life_min_steps {reversion.half_life_min_steps}",
            reversion.half_life_max_steps,
        )
    if not 0 <= reversion.switching_penalty < 1:
        raise wrong("reversion.switching_penalty", "at least 0 and below 1", reversion.switching_penalty)
    if not 1 < reversion.false_alarm_steps < math.inf:
        raise wrong("reversion.false_alarm_steps", "a number above 1", reversion.false_alarm_steps)
    if reversion.max_legs not in (2, 3):
        raise wrong("reversion.max_legs", "2 or 3", reversion.max_legs)
    at_least("reversion.max_vectors", reversion.max_vectors, 1)
    at_least("reversion.refit_every_steps", reversion.refit_every_steps, 1)
    if not 0 <= reversion.refit_lag_steps <= reversion.refit_every_steps:
        # One refit is under way at a time: with a longer lag there would be fewer than was asked for.
        raise wrong(
            "reversion.refit_lag_steps",
            f"from 0 to reversion.refit_every_steps {reversion.refit_every_steps}",
            reversion.refit_lag_steps,
        )
