"""Metrics and snapshots: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[solver]", "[snapshot]\nevery_s = 0.0\n[solver]", "snapshot.every_s must be > 0, got 0.0"),
        (
            "[solver]",
            "[metrics]\nport = 65536\n[solver]",
            "metrics.port must be a port from 0 to 65535, got 65536",
        ),
        ("[solver]", "[metrics]\nport = -1\n[solver]", "metrics.port must be a port from 0 to 65535, got -1"),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message
