"""The checks that several sections share. Each error names the key, what was expected and what was found."""

from __future__ import annotations

import math

from stream.errors import ConfigError


def wrong(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"{key} must be {expected}, got {got!r}")


def positive(key: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise wrong(key, "> 0", value)


def within(key: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise wrong(key, f"from {least:g} to {most:g}", value)


def at_most(key: str, value: float, most: float) -> None:
    if value > most:
        raise wrong(key, f"at most {most:g}", value)


def at_least(key: str, value: float, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise wrong(key, f">= {least}", value)


def no_twins(key: str, names: tuple[str, ...] | list[str]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise wrong(key, "distinct names", name)
