"""Risk and covariance: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from stream.config import Config, check_config, load_config
from stream.errors import ConfigError


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("half_life_steps = 20.0", "half_life_steps = 0.0", "covariance.half_life_steps must be > 0, got 0.0"),
        ("half_life_steps = 20.0", "window_steps = 1", "covariance.window_steps must be >= 2, got 1"),
        ("min_observations = 20", "min_observations = 1", "covariance.min_observations must be >= 2, got 1"),
        (
            "half_life_steps = 20.0",
            'kind = "window"\nwindow_steps = 10',
            "covariance.min_observations must be at most covariance.window_steps 10, got 20",
        ),
        ("half_life_steps = 20.0", "slow_ticks = 1", "covariance.slow_ticks must be >= 2, got 1"),
        (
            "half_life_steps = 20.0",
            'kind = "hayashi-yoshida"',
            "covariance.shrinkage must be none, oas or nonlinear with covariance.kind hayashi-yoshida, "
            "got 'ledoit-wolf'",
        ),
        (
            'shrinkage = "ledoit-wolf"',
            'shrinkage = "nonlinear"',
            "covariance.min_observations (with shrinkage nonlinear) must be >= 24, got 20",
        ),
        (
            'half_life_steps = 20.0\nshrinkage = "ledoit-wolf"\nmin_observations = 20',
            'half_life_steps = 11.0\nshrinkage = "nonlinear"\nmin_observations = 24',
            "covariance.half_life_steps (with shrinkage nonlinear) must be >= 12, got 11.0",
        ),
        (
            "half_life_steps = 20.0",
            "sampling_steps = [10, 60]",
            "covariance.sampling_steps must be whole numbers from 1 on, 1 among them, got [10, 60]",
        ),
        (
            "half_life_steps = 20.0",
            "sampling_steps = [1, 0]",
            "covariance.sampling_steps must be whole numbers from 1 on, 1 among them, got [1, 0]",
        ),
        (
            "half_life_steps = 20.0",
            "sampling_steps = [1, 60, 60]",
            "covariance.sampling_steps must be distinct numbers, got 60",
        ),
        ("[solver]", "[risk]\nhorizon_steps = 0\n[solver]", "risk.horizon_steps must be >= 1, got 0"),
        (
            "[solver]",
            "[risk]\nhorizon_steps = 1_000_001\n[solver]",
            "risk.horizon_steps must be at most 1e+06, got 1000001",
        ),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message


def test_a_covariance_from_ticks_needs_ticks_of_every_asset(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """An asset that only a chain of crosses prices has a covariance from timesteps, and none from ticks."""
    toml = desk_toml.replace('legs = { USD = 1.0 }\nquote = "JPY"', 'legs = { EUR = 1.0 }\nquote = "JPY"')
    load_config(config_path(toml))
    with pytest.raises(ConfigError, match=r"prices JPY against USD directly, with covariance\.kind hayashi-yoshida"):
        load_config(
            config_path(toml.replace('shrinkage = "ledoit-wolf"', 'kind = "hayashi-yoshida"\nshrinkage = "oas"'))
        )


@pytest.mark.parametrize(("lengths", "most"), [((1,), 836), ((1, 5, 60), 482)])
def test_more_assets_than_a_model_can_say_in_one_record_are_refused(
    desk: Config, lengths: tuple[int, ...], most: int
) -> None:
    """At start, with the keys that decide it, and not by a publish that fails once the covariance is known."""
    names = tuple(f"A{index}" for index in range(most + 1))
    quoted = tuple(
        msgspec.structs.replace(desk.instruments[0], name=f"{name}USD", legs={name: 1.0}, quote="USD") for name in names
    )
    for count in (most, most + 1):
        config = msgspec.structs.replace(
            desk,
            universe=msgspec.structs.replace(desk.universe, assets=names[:count]),
            instruments=quoted[:count],
            books=(msgspec.structs.replace(desk.books[0], instruments=()),),
            covariance=msgspec.structs.replace(desk.covariance, sampling_steps=lengths),
            reversion=msgspec.structs.replace(desk.reversion, window_steps=10_000),
        )
        if count == most:
            check_config(config)
            continue
        with pytest.raises(ConfigError, match=rf"universe.assets must be at most {most} with {len(lengths)} cov"):
            check_config(config)
