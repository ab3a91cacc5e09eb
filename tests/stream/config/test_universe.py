"""The universe: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from stream.config import Config, check_config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "fx"', 'name = ""', "universe.name must be a name without '#', got ''"),
        ('name = "fx"', 'name = "fx#1.0"', "universe.name must be a name without '#', got 'fx#1.0'"),
        (
            'assets = ["EUR", "CHF", "JPY"]',
            'assets = ["EUR"]',
            "universe.assets must be at least two assets, for a β to combine, got ['EUR']",
        ),
        (
            'assets = ["EUR", "CHF", "JPY"]',
            'assets = ["EUR", "CHF", "EUR"]',
            "universe.assets must be distinct names, got 'EUR'",
        ),
        (
            'assets = ["EUR", "CHF", "JPY"]',
            'assets = ["EUR", "USD"]',
            "universe.assets must be assets other than the numeraire USD, got 'USD'",
        ),
        ("timestep_s = 1.0", "timestep_s = 0.0", "universe.timestep_s must be > 0, got 0.0"),
        ("timestep_s = 1.0", "timestep_s = nan", "universe.timestep_s must be > 0, got nan"),
        ("timestep_s = 1.0", "timestep_s = inf", "universe.timestep_s must be at most 1e+09, got inf"),
        ("timestep_s = 1.0", "timestep_s = 1e-10", "universe.timestep_s must be at least one nanosecond, got 1e-10"),
        ("max_price_age_s = 5.0", "max_price_age_s = -5.0", "universe.max_price_age_s must be > 0, got -5.0"),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nallowed_lateness_s = -1.0",
            "universe.allowed_lateness_s must be >= 0, got -1.0",
        ),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nfeed_silent_after_s = 0.0",
            "universe.feed_silent_after_s must be > 0, got 0.0",
        ),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nmax_event_time_ahead_s = -0.5",
            "universe.max_event_time_ahead_s must be >= 0, got -0.5",
        ),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nidle_after_s = 0.0",
            "universe.idle_after_s must be > 0, got 0.0",
        ),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nmax_event_time_ahead_s = 6.0",
            "universe.max_event_time_ahead_s must be at most universe.max_price_age_s, 5: a price that is dated "
            "further ahead would be stale when the others reach its time, got 6.0",
        ),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nallowed_lateness_s = 5.5",
            "universe.allowed_lateness_s must be at most universe.max_price_age_s, 5: every price would be stale when "
            "its timestep closes, got 5.5",
        ),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message


@pytest.mark.parametrize(
    ("max_price_age_s", "ahead_s", "expected_s"), [(60.0, None, 5.0), (2.0, None, 2.0), (60.0, 0.5, 0.5)]
)
def test_how_far_ahead_is_allowed_agrees_with_how_old_a_price_may_be(
    desk: Config, max_price_age_s: float, ahead_s: float | None, expected_s: float
) -> None:
    """Left out it is 5 s, or the age of a price where that is less; so every configuration without it can work."""
    universe = msgspec.structs.replace(desk.universe, max_price_age_s=max_price_age_s, max_event_time_ahead_s=ahead_s)
    assert universe.max_event_time_ahead_ns == expected_s * 1e9
    check_config(msgspec.structs.replace(desk, universe=universe))
