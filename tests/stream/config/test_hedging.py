"""Suggestions: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[solver]", "[hedging]\nmin_life_s = -1.0\n[solver]", "hedging.min_life_s must be >= 0, got -1.0"),
        (
            "[solver]",
            "[hedging]\nexpiry_s = 2.0\n[solver]",
            "hedging.expiry_s must be above hedging.min_life_s 2, got 2.0",
        ),
        ("[solver]", "[hedging]\nin_flight_max_s = 0.0\n[solver]", "hedging.in_flight_max_s must be > 0, got 0.0"),
        (
            "[solver]",
            "[hedging]\nrejection_pause_s = -1.0\n[solver]",
            "hedging.rejection_pause_s must be >= 0, got -1.0",
        ),
        (
            "[solver]",
            "[hedging]\nrejection_pause_s = 1e10\n[solver]",
            "hedging.rejection_pause_s must be at most 1e+09, got 10000000000.0",
        ),
        ("[solver]", "[hedging]\nmaterial_share = -0.1\n[solver]", "hedging.material_share must be >= 0, got -0.1"),
        (
            "[solver]",
            "[hedging]\nramp_share = 0.0\n[solver]",
            "hedging.ramp_share must be a number above 0 and at most 1, got 0.0",
        ),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message
