"""Conditions on books, on plain values."""

from __future__ import annotations

from stream.config import BookConfig
from stream.engine.book.solved import Occasion, Trigger, UnsolvedBook
from stream.engine.conditions.books import left_condition, limit_condition, unsolved_condition, waiting_condition

OCCASION = Occasion(BookConfig(name="spot", limit=900.0), 7, 3, Trigger("timestep", 7_000, "7"))


def test_an_unknown_risk_neither_raises_nor_clears_a_breach() -> None:
    """A book without figures leaves its breach as it is, and is unsolved unless the models warm up."""
    unsolved = UnsolvedBook(OCCASION, "unpriced", "no fresh price of EUR", ("EUR",))
    breach = limit_condition(unsolved, "USD", 10)
    assert (breach.holds, breach.value, breach.limit) == (None, None, 900.0)
    assert unsolved_condition(unsolved, warming_up=False).holds is True
    assert unsolved_condition(unsolved, warming_up=True).holds is None


def test_a_book_that_waits_says_why() -> None:
    """Before the first timestep there is no model to wait for."""
    assert waiting_condition("spot", True, 0, 20).message.endswith("no timestep has closed")
    assert waiting_condition("spot", True, 7, 20).message.endswith("the models need 20 returns of prices that move")
    assert waiting_condition("spot", None, 7, 20).holds is None


def test_the_alert_of_a_book_that_left_is_cleared_under_its_own_kind() -> None:
    """Its name may hold the character that separates it from the kind."""
    condition = left_condition("limit-breach:a:b")
    assert (condition.kind, condition.subject, condition.holds) == ("limit-breach", "a:b", False)
    assert condition.message == "a:b left the configuration"
