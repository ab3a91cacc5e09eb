"""What refits are told: how they fit, and what they accept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from solver.errors import IllPosed, NotEnoughData
from solver.reversion.methods.johansen import Criterion
from solver.reversion.vector import LEVEL_METHODS, METHODS, Method


@dataclass(frozen=True, kw_only=True)
class ReversionSettings:
    """What a `Refitter` fits and what it accepts.

    Attributes
    ----------
    methods : what proposes candidates, any of `METHODS`.
    window_steps : timesteps in all, the held-back stretch included.
    holdout_steps : the most recent of them, kept from the fit.
    basis_horizon_steps : H of the basis ratio, at most half of `holdout_steps`.
    basis_ratio_max : a vector passes as `basis` when its ratio on the fit stretch and the upper confidence bound of
        that on the held-back stretch are at most this, in (0, 1).
    basis_confidence : of that bound, in (0, 1).
    false_discovery_rate : of `reverting`, over every candidate tried in a refit, in (0, 1).
    half_life_min_steps, half_life_max_steps : reversion faster or slower does not pass as `reverting`; >= 0 and above.
    switching_penalty : share of its basis ratio that another vector must be better by to take the place of one in use,
        in [0, 1).
    false_alarm_steps : timesteps that pass on average, at least, until the watch falsely refutes one kind of evidence
        of one vector, and in proportion more for spreads with a half-life above ten; > 1.
    max_legs : 2 or 3, of a vector of "sparse" or "baskets".
    max_vectors : how many are handed on, >= 1.
    lags : lagged differences in the error-correction model and in the test of a spread, >= 0.
    lags_criterion : takes fewer than `lags` where `johansen.choose_lags` finds them better; None takes all.
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
    """Check `settings` for `n` assets.

    Raises
    ------
    IllPosed : a setting out of range; the message names it.
    NotEnoughData : the fit stretch is too short for the regression that a method needs.
    """
    if n < 2:
        raise IllPosed(f"a β vector needs at least 2 assets, got {n}")
    for method in settings.methods:
        if method not in METHODS:
            raise IllPosed(f"methods must be of {METHODS}, got {method!r}")
    if not 2 <= settings.holdout_steps < settings.window_steps - 1:
        raise IllPosed(
            f"holdout_steps must be >= 2 and leave at least 2 of window_steps = {settings.window_steps} to the fit, "
            f"got {settings.holdout_steps}"
        )
    if not 1 <= settings.basis_horizon_steps <= settings.holdout_steps // 2:
        raise IllPosed(
            f"basis_horizon_steps must be >= 1 and at most half of holdout_steps = {settings.holdout_steps}, "
            f"got {settings.basis_horizon_steps}"
        )
    if not 0.0 < settings.basis_ratio_max < 1.0:
        raise IllPosed(f"basis_ratio_max must lie in (0, 1), got {settings.basis_ratio_max}")
    for name in ("basis_confidence", "false_discovery_rate"):
        if not 0.0 < getattr(settings, name) < 1.0:
            raise IllPosed(f"{name} must lie in (0, 1), got {getattr(settings, name)}")
    if not settings.half_life_min_steps >= 0.0:
        raise IllPosed(f"half_life_min_steps must be >= 0, got {settings.half_life_min_steps}")
    if not settings.half_life_max_steps > settings.half_life_min_steps:
        raise IllPosed(
            f"half_life_max_steps must be above half_life_min_steps = {settings.half_life_min_steps}, "
            f"got {settings.half_life_max_steps}"
        )
    if not 0.0 <= settings.switching_penalty < 1.0:
        raise IllPosed(f"switching_penalty must lie in [0, 1), got {settings.switching_penalty}")
    if not settings.false_alarm_steps > 1.0:
        raise IllPosed(f"false_alarm_steps must be > 1, got {settings.false_alarm_steps}")
    if settings.max_legs not in (2, 3):
        raise IllPosed(f"max_legs must be 2 or 3, got {settings.max_legs}")
    if settings.max_vectors < 1:
        raise IllPosed(f"max_vectors must be >= 1, got {settings.max_vectors}")
    if settings.lags < 0:
        raise IllPosed(f"lags must be >= 0, got {settings.lags}")
    if settings.lags_criterion is not None and settings.lags_criterion not in get_args(Criterion):
        raise IllPosed(f"lags_criterion must be None or of {get_args(Criterion)}, got {settings.lags_criterion!r}")
    fit_steps = settings.window_steps - settings.holdout_steps
    for method in settings.methods:
        needed = n * (settings.lags + 2) + 1 if method in LEVEL_METHODS else n + 1 if method == "ica" else 0
        if fit_steps < needed:
            raise NotEnoughData(
                f"{method} on {n} series with {settings.lags} lags needs a fit stretch of at least {needed} steps, "
                f"got {fit_steps}"
            )
