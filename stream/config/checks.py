"""What the values of keys may be, and the errors that say so: each names the key, what was expected and what was found.

A range of one key stands in the annotation of its field, beside its meaning:

    half_life_steps: Annotated[float, Meta(description="..."), ABOVE_ZERO] = 60.0

`check_allowed` holds every such range, and docs/configuration.md prints it. Rules between keys are functions in the
module of their section.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_origin, get_type_hints

from msgspec import Struct

from stream.errors import ConfigError


@dataclass(frozen=True)
class Allowed:
    """Which numbers a key may hold, alone or in a list. `words` completes "must be"; `holds` checks a number."""

    words: str
    holds: Callable[[float], bool]


ABOVE_ZERO = Allowed("> 0", lambda value: math.isfinite(value) and value > 0)
SHARE_ABOVE_ZERO = Allowed("a number above 0 and at most 1", lambda value: 0 < value <= 1)


def at_least(least: float) -> Allowed:
    return Allowed(f">= {least}", lambda value: math.isfinite(value) and value >= least)


def at_most(most: float) -> Allowed:
    """NaN passes, so a key that has this bound needs a lower bound too, which refuses NaN."""
    return Allowed(f"at most {most:g}", lambda value: not value > most)


def within(least: float, most: float) -> Allowed:
    return Allowed(f"from {least:g} to {most:g}", lambda value: least <= value <= most)


def check_allowed(section: Struct, key: str = "") -> None:
    """Check `section`, which stands at `key`, and the sections in it against the `Allowed` of their annotations."""
    annotations = annotated(type(section))
    for path, name, value in _values(section, key):
        if isinstance(value, Struct):
            check_allowed(value, path)
        else:
            for allowed in allowed_of(annotations[name]):
                check(path, value, allowed)


def check(key: str, value: float, allowed: Allowed) -> None:
    if not allowed.holds(value):
        raise wrong(key, allowed.words, value)


def check_distinct(key: str, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise wrong(key, "distinct names", name)


def wrong(key: str, expected: str, got: object) -> ConfigError:
    return ConfigError(f"{key} must be {expected}, got {got!r}")


@cache
def annotated(section: type[Struct]) -> dict[str, Any]:
    """The annotation of every key of `section`, with what `Annotated` adds to its type."""
    return get_type_hints(section, include_extras=True)


def allowed_of(annotation: Any) -> tuple[Allowed, ...]:
    """The ranges in an annotation; none for most keys."""
    if get_origin(annotation) is not Annotated:
        return ()
    return tuple(each for each in annotation.__metadata__ if isinstance(each, Allowed))


def _values(section: Struct, key: str) -> Iterator[tuple[str, str, Any]]:
    """Path, field and value of every key in `section`. Items of a list or table come one by one; None is left out."""
    for name in section.__struct_fields__:
        path, value = f"{key}.{name}" if key else name, getattr(section, name)
        if isinstance(value, dict):
            yield from ((f"{path}.{item}", name, each) for item, each in value.items())
        elif isinstance(value, tuple):
            # A message about a number in a list shows the number itself, one about a section in a list needs the index.
            yield from (
                (f"{path}[{index}]" if isinstance(each, Struct) else path, name, each)
                for index, each in enumerate(value)
            )
        elif value is not None:
            yield path, name, value
