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
    feed_condition,
    limit_condition,
    price_condition,
    relationship_conditions,
    unsolved_condition,
)

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
