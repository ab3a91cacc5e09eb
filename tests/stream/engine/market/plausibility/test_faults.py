"""What a move looks like, in words."""

from __future__ import annotations

import pytest

from stream.engine.market.plausibility.faults import looks_like, price, seconds


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.9, 90.5, "× 100, like a change of unit, as from pounds to pence"),
        (150.0, 1.5, "÷ 100, like a change of unit, as from pounds to pence"),
        (1.085, 10.85, "× 10, like a shifted decimal point"),
        (300.0, 75.0, "÷ 4, like a split"),
        (1.4, 0.715, "its inverse, like a pair quoted the other way round"),
        (1.0, 1.7, "× 1.7"),
        (1.2, 1.04, "-13.33%"),
    ],
)
def test_known_factors_have_a_name(before: float, after: float, words: str) -> None:
    assert looks_like(before, after) == words


def test_numbers_as_people_read_them() -> None:
    assert [price(each) for each in (1.0851234, 150.0, 0.00012345678)] == ["1.08512", "150", "0.000123457"]
    assert [seconds(each * 1e9) for each in (0.25, 40, 600, 10_800, 259_200)] == [
        "0.25 s",
        "40 s",
        "10 minutes",
        "3 hours",
        "3 days",
    ]
