"""Kafka and its topics: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[solver]", "[topics]\nreplication = 0\n[solver]", "topics.replication must be >= 1, got 0"),
        (
            "[solver]",
            '[topics]\nprefix = "a b"\n[solver]',
            "topics.prefix must be at most 200 letters, digits, '.', '_' and '-', got 'a b'",
        ),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message
