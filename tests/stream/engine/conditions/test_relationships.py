"""Conditions on relationships: β vectors that left use, and refits that failed; on plain values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine_play import SECOND
from made_market import made_market
from solver.reversion.live.betas import Reason, Retirement
from stream.config import Config
from stream.engine.conditions.relationships import relationship_conditions


def departed(beta_id: str, step: int, reason: Reason, deviations: float = 0.0) -> Retirement:
    return Retirement(beta_id, 1, np.array([1.0, -1.0, 0.0]), step, step, reason, 125, deviations)


@pytest.mark.parametrize(
    ("reason", "kind", "severity", "words"),
    [
        ("broke", "relationship-broken", "critical", "broke, with a step of -7.0 deviations"),
        ("unproven", "relationship-unproven", "warning", "no longer accepted"),
        ("outranked", "relationship-outranked", "warning", "still holds, but better vectors took its room"),
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
