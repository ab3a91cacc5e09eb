"""The settings of refits, and the one check of their ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from solver.errors import IllPosed, RefusedSetting
from solver.reversion.methods.johansen import Criterion
from solver.reversion.vector import CHANGE_METHODS, LEVEL_METHODS, Method


@dataclass(frozen=True, kw_only=True)
class ReversionSettings:
    """What a `Refitter` fits and what it accepts. `check_settings` holds the ranges.

    Attributes
    ----------
    methods : which propose candidates: at least one of `METHODS`, none twice.
    window_steps : timesteps of the whole window; at least `holdout_steps` + (lags + 2) n + 10 for n assets.
    holdout_steps : the latest of these timesteps, held back from the fit; at least 4 `basis_horizon_steps`.
    basis_horizon_steps : H of the basis ratio, timesteps, >= 1.
    basis_ratio_max : in (0, 1). A vector passes as `basis` when neither its ratio on the fit stretch nor the upper
        confidence bound of its ratio on the held-back stretch is above this.
    basis_confidence : of that bound, in (0, 1).
    false_discovery_rate : of `reverting`, over every candidate tried in a refit, in (0, 1).
    half_life_min_steps, half_life_max_steps : a vector with a half-life outside these does not pass as `reverting`;
        0 <= min < max < infinity.
    switching_penalty : share by which the basis ratio of another vector must be lower for it to take the place of one
        in use, in [0, 1).
    false_alarm_steps : timesteps that pass on average, at least, until the watch refutes one kind of evidence of one
        vector by mistake; > 1. For half-lives above ten timesteps it grows in proportion to half-life / 10.
    max_legs : legs of a vector of "sparse" or "baskets" at most, 2 or 3.
    max_vectors : vectors that are handed on at most, >= 1.
    lags : lagged differences in the error-correction model and in the test of a basket spread, >= 1.
    lags_criterion : by which `johansen.choose_lags` may take fewer than `lags`; None takes all of them.
    """

    methods: tuple[Method, ...]
    window_steps: int
    holdout_steps: int
    basis_horizon_steps: int
    basis_ratio_max: float
    basis_confidence: float
    false_discovery_rate: float
    half_life_min_steps: float
    half_life_max_steps: float
    switching_penalty: float
    false_alarm_steps: float
    max_legs: int
    max_vectors: int
    lags: int
    lags_criterion: Criterion | None = None


def check_settings(n: int, settings: ReversionSettings) -> None:
    """Check `settings` for `n` assets. This is the one place that holds their ranges.

    Parameters
    ----------
    n : assets.
    settings : to check.

    Raises
    ------
    IllPosed : fewer than two assets.
    RefusedSetting : a setting out of range: its field `setting` names it, `expected` says what it must be and `got` is
        what came. An `IllPosed` too.
    """
    if n < 2:
        raise IllPosed(f"a β vector needs at least 2 assets, got {n}")
    _check_methods(settings.methods)
    for setting, expected, holds in _ranges(n, settings):
        if not holds:
            raise RefusedSetting(setting, expected, getattr(settings, setting))


def _check_methods(methods: tuple[Method, ...]) -> None:
    known = (*CHANGE_METHODS, *LEVEL_METHODS)
    if not methods:
        raise RefusedSetting("methods", f"at least one of {', '.join(known)}", [])
    for k, method in enumerate(methods):
        if method not in known:
            raise RefusedSetting("methods", f"of {', '.join(known)}", method)
        if method in methods[:k]:
            raise RefusedSetting("methods", "distinct names", method)


def _ranges(n: int, settings: ReversionSettings) -> list[tuple[str, str, bool]]:
    """Of each setting: its name, what it must be, and whether it is."""
    # The bound of the basis ratio resamples blocks of at least H timesteps; fewer than four would tell nothing.
    holdout = 4 * settings.basis_horizon_steps
    # A regression of n series on (lags + 1) n + 1 others needs some observations to spare.
    window = settings.holdout_steps + (settings.lags + 2) * n + 10
    criteria = get_args(Criterion)
    share = "a number between 0 and 1"
    return [
        ("basis_horizon_steps", ">= 1", settings.basis_horizon_steps >= 1),
        ("holdout_steps", f">= {holdout}", settings.holdout_steps >= holdout),
        ("lags", ">= 1", settings.lags >= 1),
        ("window_steps", f">= {window}", settings.window_steps >= window),
        ("basis_ratio_max", share, 0.0 < settings.basis_ratio_max < 1.0),
        ("basis_confidence", share, 0.0 < settings.basis_confidence < 1.0),
        ("false_discovery_rate", share, 0.0 < settings.false_discovery_rate < 1.0),
        ("half_life_min_steps", ">= 0", 0.0 <= settings.half_life_min_steps < math.inf),
        (
            "half_life_max_steps",
            f"above half_life_min_steps {settings.half_life_min_steps}",
            settings.half_life_min_steps < settings.half_life_max_steps < math.inf,
        ),
        ("switching_penalty", "at least 0 and below 1", 0.0 <= settings.switching_penalty < 1.0),
        ("false_alarm_steps", "a number above 1", 1.0 < settings.false_alarm_steps < math.inf),
        ("max_legs", "2 or 3", settings.max_legs in (2, 3)),
        ("max_vectors", ">= 1", settings.max_vectors >= 1),
        (
            "lags_criterion",
            f"None or one of {', '.join(criteria)}",
            settings.lags_criterion is None or settings.lags_criterion in criteria,
        ),
    ]
