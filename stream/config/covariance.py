"""The covariance, and the risk that is taken from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from stream.config.checks import wrong

if TYPE_CHECKING:
    from stream.config.load import Config

HORIZON_STEPS_MAX = 1_000_000
"""Over more, the rounding of the pull's powers shows."""


class RiskConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over how many timesteps the risk at the horizon is taken, beside that over one."""

    horizon_steps: int = 10


class CovarianceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the covariance of log returns over one timestep is estimated.

    `window` weighs the last `window_steps` returns equally, `exponential` halves a return's weight every
    `half_life_steps`. `hayashi-yoshida` takes every tick instead of the last one of a timestep, weighted as by
    `exponential`; its variances set returns over `slow_ticks` ticks against those over one to keep out noise. Shrinkage
    towards uncorrelated assets is for many assets and few returns: it hides how well two of them hedge each other.

    An asset that has no price, or not `min_observations` returns of its own yet, is left out of the covariance, and
    with it the books that hold it; all others go on.

    `sampling_steps` are the lengths of returns, in timesteps, over which covariances are published. Risk is always
    over one; of the others each is what a timestep so many times as long would have, half-life, window and
    `min_observations` included.
    """

    kind: Literal["window", "exponential", "hayashi-yoshida"] = "exponential"
    window_steps: int = 500
    half_life_steps: float = 60.0
    slow_ticks: int = 10
    shrinkage: Literal["none", "ledoit-wolf", "oas", "nonlinear"] = "none"
    min_observations: int = 60
    sampling_steps: tuple[int, ...] = (1,)

    @property
    def takes_ticks(self) -> bool:
        return self.kind == "hayashi-yoshida"


def check_ticks(config: Config) -> None:
    """A path of crosses prices an asset too, but has no ticks: its covariance would never come."""
    numeraire = config.universe.numeraire
    direct = [{*instrument.legs, instrument.quote} for instrument in config.instruments if len(instrument.legs) == 1]
    for asset in config.universe.assets:
        if {asset, numeraire} not in direct:
            raise wrong(
                "instruments",
                f"one of a single leg that prices {asset} against {numeraire} directly, with covariance.kind "
                "hayashi-yoshida",
                "none among them",
            )
