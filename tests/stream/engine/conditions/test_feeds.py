"""Conditions on feeds: silent, late, and with clocks that are ahead; on plain values."""

from __future__ import annotations

import pytest

from stream.config import UniverseConfig
from stream.engine.conditions.feeds import ahead_conditions, feed_condition, late_conditions
from stream.events.types import ClockWitness, LateQuotes, SourceAhead


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
    assert feed_condition(universe, False, "12 records of ticks were refused").message == "quotes arrive again"


@pytest.mark.parametrize(
    ("late", "quotes", "holds"),
    [(115, 118, True), (5, 100, True), (4, 4, None), (4, 100, None), (1, 99, None), (1, 101, False)],
)
def test_late_quotes_raise_by_their_share_and_clear_below_a_lower_one(late: int, quotes: int, holds: bool) -> None:
    """From 5 % and five quotes on it is an alert, below 1 % it is over, in between it stays as it is."""
    (condition,) = late_conditions([LateQuotes("feed A", late, quotes, 20, ("EURUSD",))], [])
    assert condition.holds is holds
    assert (condition.kind, condition.subject) == ("quotes-late", "feed A")


def test_late_quotes_are_told_with_who_and_how_far() -> None:
    """The words that an operator reads, with the feed's name and without one."""
    named, unnamed = late_conditions(
        [
            LateQuotes("feed A", 115, 118, 20, ("EURUSD", "GBPUSD"), 3_000_000_000),
            LateQuotes("EURUSD in ticks[1]", 9, 10, 20, ("EURUSD",)),
        ],
        [],
    )
    assert named.message == (
        "115 of 118 quotes of EURUSD, GBPUSD from feed A in the last 20 timesteps came after their timestep "
        "had closed; they are left out; its quotes are 3.0 s behind those of the others"
    )
    assert unnamed.message.startswith("9 of 10 quotes of EURUSD in ticks[1] in the last ")


@pytest.mark.parametrize(
    ("witness", "words"),
    [
        ("majority", "most sources agree with each other"),
        ("records", "dated after their records"),
        ("undecided", "nobody can tell which of the clocks is wrong"),
        ("one-quote", "a quote of C is dated 4.0 s ahead of A, B and 3 more"),
    ],
)
def test_a_clock_that_is_ahead_is_told_with_who_says_so(witness: ClockWitness, words: str) -> None:
    """By how much, of whom, on which evidence, and what is done about it."""
    (condition,) = ahead_conditions([SourceAhead("C", 4_000_000_000, ("A", "B"), 5, witness)], ["C"])
    assert (condition.kind, condition.subject, condition.holds, condition.value) == ("clock-ahead", "C", True, 4.0)
    assert "4.0 s ahead of A, B and 3 more" in condition.message
    assert words in condition.message
    assert "no timestep" in condition.message


def test_what_is_not_named_any_more_is_cleared() -> None:
    """An alert that stands for a source of which nothing is said ends."""
    (late,) = late_conditions([], ["feed A"])
    (ahead,) = ahead_conditions([], ["C"])
    assert (late.subject, late.holds) == ("feed A", False)
    assert (ahead.subject, ahead.holds) == ("C", False)
