"""[reversion]: how β vectors are found, and what they must show to be used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from schemas.outbound import ReversionMethod
from stream.config.checks import at_least, wrong

if TYPE_CHECKING:
    from solver.reversion.refits.settings import ReversionSettings


class ReversionConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How β vectors are found, and what they must show to be used.

    β vectors are fitted on the last `window_steps` timesteps without the latest `holdout_steps`. On the latest
    `holdout_steps`, the basis ratio over `basis_horizon_steps` is measured. A vector is accepted on one of two kinds of
    evidence:

    - `basis`: its basis ratio is at most `basis_ratio_max`, with the confidence `basis_confidence`.
    - `reverting`: it is among the discoveries at `false_discovery_rate`, and its half-life lies between
      `half_life_min_steps` and `half_life_max_steps`.

    Another vector replaces a vector in use only when it is better by `switching_penalty`. Between refits a vector is
    watched, and retired when it breaks.

    A refit takes effect `refit_lag_steps` after it was due, and runs meanwhile in a process of its own. With
    `refit_lag_steps = 0` it runs in the timestep itself, which waits for it.
    """

    methods: Annotated[
        tuple[ReversionMethod, ...], Meta(description="The methods that propose β vectors. At least one.")
    ] = ("sparse",)
    window_steps: Annotated[
        int,
        Meta(
            description="Timesteps of the whole history. At least `holdout_steps` + (`lags` + 2) × the number of "
            "assets + 10."
        ),
    ] = 500
    holdout_steps: Annotated[
        int,
        Meta(
            description="The latest part of the history. It is kept from the fit, and vectors are measured on it. At "
            "least 4 × `basis_horizon_steps`."
        ),
    ] = 125
    basis_horizon_steps: Annotated[
        int, Meta(description="Timesteps over which the basis ratio is measured. At least 1.")
    ] = 1
    basis_ratio_max: Annotated[
        float, Meta(description="Evidence `basis`: the largest basis ratio. Between 0 and 1.")
    ] = 0.3
    basis_confidence: Annotated[
        float,
        Meta(
            description="Evidence `basis`: the confidence with which it is at most `basis_ratio_max`. Between 0 and 1."
        ),
    ] = 0.95
    false_discovery_rate: Annotated[
        float,
        Meta(
            description="Evidence `reverting`: the share of false discoveries, over every candidate tried in a "
            "refit. Between 0 and 1."
        ),
    ] = 0.05
    half_life_min_steps: Annotated[
        float, Meta(description="Evidence `reverting`: the shortest half-life that is accepted. At least 0.")
    ] = 1.0
    half_life_max_steps: Annotated[
        float,
        Meta(
            description="Evidence `reverting`: the longest half-life that is worth waiting for. More than "
            "`half_life_min_steps`."
        ),
    ] = 60.0
    switching_penalty: Annotated[
        float,
        Meta(
            description="Share by which another β vector must be better to take the place of one in use. At least 0, "
            "below 1."
        ),
    ] = 0.1
    false_alarm_steps: Annotated[
        float,
        Meta(
            description="How long the watch takes on average, at least, until it retires a vector that still holds. "
            "For half-lives above ten timesteps it takes longer in proportion. Above 1."
        ),
    ] = 1e6
    max_legs: Annotated[
        int, Meta(description="Largest number of legs of a vector of `sparse` or `baskets`. 2 or 3.")
    ] = 2
    max_vectors: Annotated[int, Meta(description="Largest number of β vectors in use. At least 1.")] = 12
    lags: Annotated[
        int, Meta(description="Largest number of lagged differences that tests of reversion allow for. At least 1.")
    ] = 1
    lags_criterion: Annotated[
        Literal["none", "aic", "hqic", "bic"],
        Meta(
            description="Criterion (of Akaike, of Hannan and Quinn, of Schwarz) that chooses the number of lagged "
            "differences at each refit, at most `lags`. With `none` they are always `lags`."
        ),
    ] = "none"
    refit_every_steps: Annotated[int, Meta(description="Timesteps between refits."), at_least(1)] = 1
    refit_lag_steps: Annotated[
        int,
        Meta(
            description="Timesteps after which a refit takes effect. Until then it runs in a process of its own. "
            "With 0 it runs in the timestep itself, which waits for it. At most `refit_every_steps`."
        ),
    ] = 1


def check_reversion_section(reversion: ReversionConfig, assets: int) -> None:
    _check_settings(reversion, assets)
    if not 0 <= reversion.refit_lag_steps <= reversion.refit_every_steps:
        # One refit is under way at a time: with a longer lag there would be fewer than was asked for.
        raise wrong(
            "reversion.refit_lag_steps",
            f"from 0 to reversion.refit_every_steps {reversion.refit_every_steps}",
            reversion.refit_lag_steps,
        )


def _check_settings(reversion: ReversionConfig, assets: int) -> None:
    """Apply the solver's own rules. Its errors name a setting, which has the name of the key."""
    # Here, so that importing a configuration does not load numpy and scipy.
    from solver.errors import RefusedSetting
    from solver.reversion.refits.settings import check_settings

    try:
        check_settings(assets, reversion_settings(reversion))
    except RefusedSetting as exc:
        keys = "|".join(reversion.__struct_fields__)
        expected = re.sub(rf"\b({keys})\b", r"reversion.\1", exc.expected)
        raise wrong(f"reversion.{exc.setting}", expected, exc.got) from exc


def reversion_settings(config: ReversionConfig) -> ReversionSettings:
    """The solver's settings, from the configuration."""
    # Here, so that importing a configuration does not load numpy and scipy.
    from solver.reversion.refits.settings import ReversionSettings

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
        lags_criterion=None if config.lags_criterion == "none" else config.lags_criterion,
    )
