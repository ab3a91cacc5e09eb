"""Every setting has its range, at its very edges, and a refusal says which, what was expected and what came."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import pytest

from solver.errors import IllPosed, RefusedSetting
from solver.reversion.refits.settings import ReversionSettings, check_settings
from solver.reversion.vector import METHODS

# For three assets: 12 timesteps held back and (1 + 2) 3 + 10 others, not one more than needed.
LEAST = ReversionSettings(
    methods=METHODS,
    window_steps=31,
    holdout_steps=12,
    basis_horizon_steps=3,
    basis_ratio_max=0.35,
    basis_confidence=0.95,
    false_discovery_rate=0.05,
    half_life_min_steps=0.0,
    half_life_max_steps=60.0,
    switching_penalty=0.0,
    false_alarm_steps=1e6,
    max_legs=2,
    max_vectors=1,
    lags=1,
)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"basis_horizon_steps": 1, "holdout_steps": 4, "window_steps": 23},
        {"max_legs": 3},
        {"half_life_max_steps": 1e-9},
        {"switching_penalty": 1.0 - 1e-9},
        {"false_alarm_steps": 1.0 + 1e-9},
        {"lags": 2, "window_steps": 34},
        {"lags_criterion": "bic"},
    ],
)
def test_the_edges_are_in_range(change: dict[str, Any]) -> None:
    """What lies on the accepted side of an edge is accepted."""
    check_settings(3, replace(LEAST, **change))


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("methods", (), "at least one of sparse, pca, ica, johansen, ou, box_tiao, baskets"),
        ("methods", ("baskets", "ols"), "of sparse, pca, ica, johansen, ou, box_tiao, baskets"),
        ("methods", ("pca", "ou", "pca"), "distinct names"),
        ("basis_horizon_steps", 0, ">= 1"),
        ("holdout_steps", 11, ">= 12"),
        ("lags", 0, ">= 1"),
        ("window_steps", 30, ">= 31"),
        ("basis_ratio_max", 0.0, "a number between 0 and 1"),
        ("basis_ratio_max", 1.0, "a number between 0 and 1"),
        ("basis_confidence", 1.0, "a number between 0 and 1"),
        ("false_discovery_rate", 0.0, "a number between 0 and 1"),
        ("false_discovery_rate", math.nan, "a number between 0 and 1"),
        ("half_life_min_steps", -1.0, ">= 0"),
        ("half_life_max_steps", 0.0, "above half_life_min_steps 0.0"),
        ("half_life_max_steps", math.inf, "above half_life_min_steps 0.0"),
        ("switching_penalty", 1.0, "at least 0 and below 1"),
        ("false_alarm_steps", 1.0, "a number above 1"),
        ("false_alarm_steps", math.inf, "a number above 1"),
        ("max_legs", 4, "2 or 3"),
        ("max_vectors", 0, ">= 1"),
        ("lags_criterion", "fpe", "None or one of aic, hqic, bic"),
    ],
)
def test_what_is_out_of_range_is_named(setting: str, value: Any, expected: str) -> None:
    """The refusal carries the setting, the expectation and what came, also from another process."""
    with pytest.raises(RefusedSetting) as caught:
        check_settings(3, replace(LEAST, **{setting: value}))
    for refusal in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (refusal.setting, refusal.expected) == (setting, expected)
        assert str(refusal) == f"{setting} must be {expected}, got {refusal.got!r}"
    assert caught.value.got == value or setting == "methods" or math.isnan(value)


def test_the_window_grows_with_assets_and_lags() -> None:
    """A regression of n series on (lags + 1) n + 1 others has observations to spare; one asset alone has no β."""
    check_settings(11, replace(LEAST, lags=4, window_steps=12 + 66 + 10))
    with pytest.raises(RefusedSetting, match="window_steps must be >= 88, got 87"):
        check_settings(11, replace(LEAST, lags=4, window_steps=87))
    with pytest.raises(IllPosed, match="at least 2 assets, got 1"):
        check_settings(1, LEAST)
