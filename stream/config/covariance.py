"""[covariance] and [risk]: how the covariance is estimated, and over which horizons risk is taken."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import Meta, Struct

from stream.config.checks import ABOVE_ZERO, at_least, at_most, check, wrong
from stream.config.instruments import InstrumentConfig
from stream.config.kafka import MAX_RECORD_BYTES
from stream.config.universe import UniverseConfig

HORIZON_STEPS_MAX = 1_000_000
"""Beyond it, rounding errors in the powers of the adjustment matrix become visible."""

NUMBER_BYTES = 24
"""The most bytes that a float takes in JSON, with its comma."""


class RiskConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The horizon over which risk is taken, beside that over one timestep."""

    horizon_steps: Annotated[
        int,
        Meta(description="Timesteps over which the risk at the horizon is taken."),
        at_least(1),
        at_most(HORIZON_STEPS_MAX),
    ] = 10


class CovarianceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the covariance of log returns over one timestep is estimated.

    `window` weighs the last `window_steps` returns equally. `exponential` halves a return's weight every
    `half_life_steps`. `hayashi-yoshida` takes every tick instead of the last one of a timestep, with the weights of
    `exponential`. Its variances compare returns over `slow_ticks` ticks with returns over one tick, to keep out noise.

    An asset is left out of the covariance as long as it has no price, or fewer than `min_observations` returns of its
    own. The books that hold it wait with it. The others do not.

    All risks are computed from the covariance over one timestep. `sampling_steps` names further return lengths over
    which covariances are published. The half-life, the window and `min_observations` then count returns of that length.
    """

    kind: Annotated[
        Literal["window", "exponential", "hayashi-yoshida"],
        Meta(description="The estimator, see above."),
    ] = "exponential"
    window_steps: Annotated[int, Meta(description="`window`: number of returns, all weighed equally."), at_least(2)] = (
        500
    )
    half_life_steps: Annotated[
        float,
        Meta(
            description="`exponential` and `hayashi-yoshida`: timesteps after which a return has half its weight. At "
            'least 12 with `shrinkage = "nonlinear"`.'
        ),
        ABOVE_ZERO,
    ] = 60.0
    slow_ticks: Annotated[
        int,
        Meta(
            description="`hayashi-yoshida`: variances compare returns over this many ticks with returns over one "
            "tick, to keep out noise."
        ),
        at_least(2),
    ] = 10
    shrinkage: Annotated[
        Literal["none", "ledoit-wolf", "oas", "nonlinear"],
        Meta(
            description="Shrinkage towards uncorrelated assets. It is for many assets and few returns: it hides how "
            "well two assets hedge each other. `ledoit-wolf` does not go with `hayashi-yoshida`."
        ),
    ] = "none"
    min_observations: Annotated[
        int,
        Meta(
            description="Returns that an asset needs before it is in the covariance. At most `window_steps` with "
            '`window`, at least 24 with `shrinkage = "nonlinear"`.'
        ),
        at_least(2),
    ] = 60
    sampling_steps: Annotated[
        tuple[int, ...],
        Meta(
            description="Lengths of returns, in timesteps, over which covariances are published. 1 must be among "
            "them: all risks are computed from it."
        ),
    ] = (1,)

    @property
    def takes_ticks(self) -> bool:
        return self.kind == "hayashi-yoshida"


def check_covariance_section(
    covariance: CovarianceConfig, instruments: tuple[InstrumentConfig, ...], universe: UniverseConfig
) -> None:
    _check_shrinkage(covariance)
    if covariance.takes_ticks:
        _check_every_asset_has_ticks(instruments, universe)
    _check_sampling_steps(covariance.sampling_steps)
    if covariance.kind == "window" and covariance.min_observations > covariance.window_steps:
        raise wrong(
            "covariance.min_observations",
            f"at most covariance.window_steps {covariance.window_steps}",
            covariance.min_observations,
        )
    _check_record_size(len(universe.assets), len(covariance.sampling_steps))


def _check_shrinkage(covariance: CovarianceConfig) -> None:
    if covariance.takes_ticks and covariance.shrinkage == "ledoit-wolf":
        raise wrong(
            "covariance.shrinkage", "none, oas or nonlinear with covariance.kind hayashi-yoshida", "ledoit-wolf"
        )
    if covariance.shrinkage == "nonlinear":
        # The method needs 12 returns. Where returns are weighted, their effective number counts.
        with_nonlinear = "(with shrinkage nonlinear)"
        check(f"covariance.min_observations {with_nonlinear}", covariance.min_observations, at_least(24))
        if covariance.kind != "window":
            check(f"covariance.half_life_steps {with_nonlinear}", covariance.half_life_steps, at_least(12))


def _check_every_asset_has_ticks(instruments: tuple[InstrumentConfig, ...], universe: UniverseConfig) -> None:
    """An asset that is priced over a path of crosses has no ticks of its own, so it would never have a covariance."""
    direct = [{*instrument.legs, instrument.quote} for instrument in instruments if len(instrument.legs) == 1]
    for asset in universe.assets:
        if {asset, universe.numeraire} not in direct:
            raise wrong(
                "instruments",
                f"one of a single leg that prices {asset} against {universe.numeraire} directly, with covariance.kind "
                "hayashi-yoshida",
                "none among them",
            )


def _check_sampling_steps(lengths: tuple[int, ...]) -> None:
    if 1 not in lengths or min(lengths) < 1:
        raise wrong("covariance.sampling_steps", "whole numbers from 1 on, 1 among them", list(lengths))
    for index, length in enumerate(lengths):
        if length in lengths[:index]:
            raise wrong("covariance.sampling_steps", "distinct numbers", length)


def _check_record_size(assets: int, lengths: int) -> None:
    most = math.isqrt(MAX_RECORD_BYTES // (NUMBER_BYTES * lengths))
    if assets > most:
        expected = f"at most {most} with {lengths} covariance.sampling_steps, for a model to fit a record of Kafka's"
        raise wrong("universe.assets", expected, assets)
