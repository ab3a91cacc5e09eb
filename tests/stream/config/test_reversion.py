"""The β vectors: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import msgspec
import pytest

from schemas.outbound import ReversionMethod
from solver.reversion.vector import METHODS
from stream.config import Config, ReversionConfig, check_config
from stream.engine.step import Engine


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "max_legs = 2",
            "max_legs = 2\nmethods = []",
            "reversion.methods must be at least one of sparse, pca, ica, johansen, ou, box_tiao, baskets, got []",
        ),
        (
            "max_legs = 2",
            'max_legs = 2\nmethods = ["pca", "pca"]',
            "reversion.methods must be distinct names, got 'pca'",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_horizon_steps = 0",
            "reversion.basis_horizon_steps must be >= 1, got 0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_horizon_steps = 6",
            "reversion.holdout_steps must be >= 24, got 20",
        ),
        ("max_legs = 2", "max_legs = 2\nlags = 0", "reversion.lags must be >= 1, got 0"),
        ("window_steps = 60", "window_steps = 38", "reversion.window_steps must be >= 39, got 38"),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_ratio_max = 0.0",
            "reversion.basis_ratio_max must be a number between 0 and 1, got 0.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_ratio_max = 1.0",
            "reversion.basis_ratio_max must be a number between 0 and 1, got 1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nhalf_life_max_steps = 1.0",
            "reversion.half_life_max_steps must be above reversion.half_life_min_steps 1.0, got 1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nhalf_life_min_steps = -1.0",
            "reversion.half_life_min_steps must be >= 0, got -1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_confidence = 0.0",
            "reversion.basis_confidence must be a number between 0 and 1, got 0.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nswitching_penalty = 1.0",
            "reversion.switching_penalty must be at least 0 and below 1, got 1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nfalse_alarm_steps = 1.0",
            "reversion.false_alarm_steps must be a number above 1, got 1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nfalse_discovery_rate = 1.0",
            "reversion.false_discovery_rate must be a number between 0 and 1, got 1.0",
        ),
        ("max_legs = 2", "max_legs = 4", "reversion.max_legs must be 2 or 3, got 4"),
        ("max_legs = 2", "max_legs = 2\nmax_vectors = 0", "reversion.max_vectors must be >= 1, got 0"),
        (
            "max_legs = 2",
            "max_legs = 2\nrefit_every_steps = 0",
            "reversion.refit_every_steps must be >= 1, got 0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nrefit_every_steps = 5\nrefit_lag_steps = 6",
            "reversion.refit_lag_steps must be from 0 to reversion.refit_every_steps 5, got 6",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nrefit_lag_steps = -1",
            "reversion.refit_lag_steps must be from 0 to reversion.refit_every_steps 1, got -1",
        ),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message


def test_every_method_of_the_solver_can_be_configured() -> None:
    """The configuration and the messages name the solver's methods, no more and no fewer."""
    assert set(get_args(ReversionMethod)) == set(METHODS)


def test_what_is_accepted_can_be_run(desk: Config) -> None:
    """The least windows that the configuration accepts are enough for every estimator that it names."""
    reversion = ReversionConfig(
        methods=METHODS, window_steps=23, holdout_steps=4, max_legs=3, false_discovery_rate=0.01
    )
    config = msgspec.structs.replace(desk, reversion=reversion)
    check_config(config)
    Engine(config).new_state()
