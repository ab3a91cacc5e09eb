"""[dead_letters]: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("per_minute", "0", ">= 1, got 0"),
        ("alert_records", "0", ">= 1, got 0"),
        ("alert_share", "0.0", "a number above 0 and at most 1, got 0.0"),
        ("alert_share", "nan", "a number above 0 and at most 1, got nan"),
        ("keep_days", "0", "> 0, got 0.0"),
        ("keep_days", "nan", "> 0, got nan"),
        ("keep_days", "36501", "at most 36500, got 36501.0"),
        ("keep_mb", "99", "from 100 to 1e+06, got 99"),
    ],
)
def test_what_types_cannot_say_is_refused(
    refusal: Callable[[str, str], str], key: str, value: str, expected: str
) -> None:
    """Each range is checked at start, and the message says what to write instead."""
    assert refusal("[solver]", f"[dead_letters]\n{key} = {value}\n[solver]") == f"dead_letters.{key} must be {expected}"
