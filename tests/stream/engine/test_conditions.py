"""Conditions of alerts, on plain values: when each holds, when it does not, and when nothing is known."""

from __future__ import annotations

import pytest

from stream.config import BookConfig, UniverseConfig
from stream.engine.book.solved import Occasion, Trigger, UnsolvedBook
from stream.engine.conditions import feed_condition, limit_condition, price_condition, unsolved_condition

OCCASION = Occasion(BookConfig(name="spot", limit=900.0), 7, 3, Trigger("timestep", 7_000, "7"))


@pytest.mark.parametrize(
    ("holders", "missing", "went_stale", "holds", "severity"),
    [
        ([], False, True, False, "warning"),
        ([], True, True, True, "warning"),
        ([], True, False, None, "warning"),
        (["spot"], True, False, True, "critical"),
        (["spot"], False, True, False, "critical"),
    ],
)
def test_a_price_is_stale(
    holders: list[str], missing: bool, went_stale: bool, holds: bool | None, severity: str
) -> None:
    """An asset that was never quoted and that nobody holds raises nothing. With a holder it is critical."""
    condition = price_condition("EUR", holders, missing=missing, went_stale=went_stale, max_price_age_s=5.0)
    assert (condition.holds, condition.severity, condition.subject) == (holds, severity, "EUR")
    assert ("spot" in condition.message) == (missing and bool(holders))


def test_an_unknown_risk_neither_raises_nor_clears_a_breach() -> None:
    """A book without figures leaves its breach as it is, and is unsolved unless the models warm up."""
    unsolved = UnsolvedBook(OCCASION, "unpriced", "no fresh price of EUR", ("EUR",))
    breach = limit_condition(unsolved, "USD", 10)
    assert (breach.holds, breach.value, breach.limit) == (None, None, 900.0)
    assert unsolved_condition(unsolved, warming_up=False).holds is True
    assert unsolved_condition(unsolved, warming_up=True).holds is None


def test_a_silent_feed_says_nothing_that_a_clock_measured() -> None:
    """Every silence has the same message, whatever its length, so that a restart gives the same bytes."""
    universe = UniverseConfig(
        name="fx", numeraire="USD", assets=("EUR",), timestep_s=1.0, max_price_age_s=5.0, feed_silent_after_s=4.0
    )
    assert feed_condition(universe, True).message == "no quote for 4 s"
    assert feed_condition(universe, False).holds is False


def test_a_feed_that_is_alive_and_refused_says_so() -> None:
    """Quotes came and none could be used: the message says what came instead."""
    universe = UniverseConfig(
        name="fx", numeraire="USD", assets=("EUR",), timestep_s=1.0, max_price_age_s=5.0, feed_silent_after_s=4.0
    )
    condition = feed_condition(universe, True, "12 records of ticks were refused as crossed: bid 2 above ask 1")
    assert condition.message == (
        "no usable quote for 4 s: 12 records of ticks were refused as crossed: bid 2 above ask 1"
    )
    assert feed_condition(universe, False, "12 records of ticks were refused").message == "quotes are back"
