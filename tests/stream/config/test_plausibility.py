"""Plausibility: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("confirm_s = -1.0", "plausibility.confirm_s must be >= 0, got -1.0"),
        (
            "confirm_factor_s = 4.0",
            "plausibility.confirm_factor_s must be at least plausibility.confirm_s 5, got 4.0",
        ),
        ("jump_scales = 3.0", "plausibility.jump_scales must be >= 20, got 3.0"),
        ("jump_factor = 1.0", "plausibility.jump_factor must be from 1.1 to 5, got 1.0"),
        ("unchanged_gaps = 2.0", "plausibility.unchanged_gaps must be >= 8, got 2.0"),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], keys: str, message: str) -> None:
    """Each range and the rule between keys is checked at start, and the message says what to write instead."""
    assert refusal("[solver]", f"[plausibility]\n{keys}\n[solver]") == message
