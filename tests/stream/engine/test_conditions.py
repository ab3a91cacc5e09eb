"""Conditions of alerts, on plain values: when each holds, when it does not, and when nothing is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine_play import SECOND
from made_market import made_market
from solver.reversion.live.betas import Reason, Retirement
from stream.config import BookConfig, Config, UniverseConfig
from stream.engine.book.solved import Occasion, Trigger, UnsolvedBook
from stream.engine.conditions import (
    ahead_conditions,
    doubt_conditions,
    feed_condition,
    late_conditions,
    left_condition,
    limit_condition,
    price_condition,
    relationship_conditions,
    unsolved_condition,
    waiting_condition,
)
from stream.engine.market.model import Market
from stream.engine.market.plausibility.gate import Doubt
from stream.events.types import ClockWitness, LateQuotes, SourceAhead

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


def departed(beta_id: str, step: int, reason: Reason, deviations: float = 0.0) -> Retirement:
    return Retirement(beta_id, 1, np.array([1.0, -1.0, 0.0]), step, step, reason, 125, deviations)


@pytest.mark.parametrize(
    ("reason", "kind", "severity", "words"),
    [
        ("broke", "relationship-broken", "critical", "broke, with a step of -7.0 deviations"),
        ("unproven", "relationship-unproven", "warning", "no longer accepted"),
        ("outranked", "relationship-outranked", "warning", "replaced by vectors"),
    ],
)
def test_a_relationship_that_left_use_says_why(
    desk: Config, reason: Reason, kind: str, severity: str, words: str
) -> None:
    """What broke, what is no longer accepted and what was outranked are alerts of their own."""
    market = replace(made_market(desk, {}), retired=(departed("sparse:EUR/CHF", 5, reason, -7.0),))
    (condition,) = relationship_conditions(market, {"sparse:EUR/CHF": ["spot"], "unpacked": []}, SECOND, 125)
    assert (condition.kind, condition.severity, condition.holds) == (kind, severity, True)
    assert words in condition.message
    assert "residual of spot" in condition.message
    assert "times since" not in condition.message


def test_a_relationship_that_comes_and_goes_has_one_alert_that_counts(desk: Config) -> None:
    """The second time out says how often and since when; the alert stays until the β was in use for a while."""
    beta_id = "sparse:EUR/CHF"
    retired = (departed(beta_id, 2, "broke"), departed(beta_id, 5, "broke"))
    out = replace(made_market(desk, {}), retired=retired)
    (condition,) = relationship_conditions(out, {beta_id: ["spot"]}, SECOND, 125)
    assert condition.message.endswith("it left use 2 times since 1970-01-01 00:00:02")
    back = made_market(desk, {beta_id: (1.0, -1.0, 0.0)}, timestep=5)
    (beta,) = back.betas
    for steps, times, cleared in ((5, 1, False), (5, 2, None), (129, 2, None), (130, 2, False)):
        now = replace(back, steps=steps, retired=retired[:times], betas=(replace(beta, since_step=5),))
        holds = {each.kind: each.holds for each in relationship_conditions(now, {}, SECOND, 125)}
        assert set(holds.values()) == {cleared}
        assert len(holds) == 3


def test_a_book_that_waits_says_why() -> None:
    """Before the first timestep there is no model to wait for."""
    assert waiting_condition("spot", True, 0, 20).message.endswith("no timestep has closed")
    assert waiting_condition("spot", True, 7, 20).message.endswith("the models need 20 returns that move")
    assert waiting_condition("spot", None, 7, 20).holds is None


def test_the_alert_of_a_book_that_left_is_cleared_under_its_own_kind() -> None:
    """Its name may hold the character that separates it from the kind."""
    condition = left_condition("limit-breach:a:b")
    assert (condition.kind, condition.subject, condition.holds) == ("limit-breach", "a:b", False)
    assert condition.message == "a:b left the configuration"


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
        "115 of 118 quotes of EURUSD, GBPUSD from feed A came after their timestep had closed, in the last 20 "
        "timesteps; they are left out; its quotes are 3.0 s behind those of the others"
    )
    assert unnamed.message.startswith("9 of 10 quotes of EURUSD in ticks[1] came after")


@pytest.mark.parametrize(
    ("witness", "words"),
    [
        ("majority", "most sources agree with each other"),
        ("records", "dated after their records"),
        ("undecided", "nobody can tell which"),
        ("one-quote", "a quote of C is dated 4.0 s ahead of A, B and 3 more"),
    ],
)
def test_a_clock_that_is_ahead_is_told_with_who_says_so(witness: ClockWitness, words: str) -> None:
    """By how much, of whom, on which evidence, and what is done about it."""
    (condition,) = ahead_conditions([SourceAhead("C", 4_000_000_000, ("A", "B"), 5, witness)], ["C"])
    assert (condition.kind, condition.subject, condition.holds, condition.value) == ("clock-ahead", "C", True, 4.0)
    assert "4.0 s ahead of A, B and 3 more" in condition.message
    assert words in condition.message
    assert "no timestep closes" in condition.message


def test_what_is_not_named_any_more_is_cleared() -> None:
    """An alert that stands for a source of which nothing is said ends."""
    (late,) = late_conditions([], ["feed A"])
    (ahead,) = ahead_conditions([], ["C"])
    assert (late.subject, late.holds) == ("feed A", False)
    assert (ahead.subject, ahead.holds) == ("C", False)


def doubted(desk: Config, suspect: tuple[bool, ...], *doubts: Doubt) -> Market:
    return replace(made_market(desk, {}), suspect=np.array(suspect), doubts=doubts)


def test_an_asset_is_suspect_until_all_doubts_of_it_have_ended(desk: Config) -> None:
    """Two instruments of EUR are held; the alert is cleared with the last, and its message is of those that stand."""
    one, two = (Doubt("price-suspect", index, True, f"instrument {index}", (0,)) for index in (0, 3))
    over, soon = replace(one, holds=False, message="back"), replace(two, holds=None)
    names = desk.universe.assets
    for doubts, holds, message in (
        ((one, two), True, "EUR: instrument 0; instrument 3"),
        ((over, two), True, "EUR: instrument 3"),
        ((over, soon), None, "EUR: back; instrument 3"),
        ((over,), False, "EUR: back"),
    ):
        market = doubted(desk, (False, False, False), *doubts)
        (condition,) = doubt_conditions(market, names, set(), [[], [], []])
        assert (condition.subject, condition.holds, condition.message) == ("EUR", holds, message)
        assert condition.severity == "warning"


def test_a_held_asset_without_another_price_is_critical(desk: Config) -> None:
    """The message says what follows for the books."""
    doubt = Doubt("price-unchanged", 1, True, "USDCHF unchanged for 15 s", (1,))
    market = doubted(desk, (False, True, False), doubt)
    (condition,) = doubt_conditions(market, desk.universe.assets, set(), [[], ["spot", "options"], []])
    assert condition.severity == "critical"
    assert condition.message == (
        "CHF: USDCHF unchanged for 15 s; nothing is suggested in CHF, and its last believed price is used for "
        "spot, options"
    )


def test_an_alert_that_nothing_speaks_of_any_more_is_cleared(desk: Config) -> None:
    """As when the gate was switched off over a restart."""
    market = doubted(desk, (False, False, False))
    assert doubt_conditions(market, desk.universe.assets, {"price-stale:EUR"}, [[], [], []]) == []
    (condition,) = doubt_conditions(market, desk.universe.assets, {"price-suspect:EUR"}, [[], [], []])
    assert (condition.kind, condition.subject, condition.holds) == ("price-suspect", "EUR", False)
