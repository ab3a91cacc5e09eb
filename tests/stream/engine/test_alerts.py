"""Alerts are raised once and cleared once."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from schemas.outbound import Alert
from stream.engine.alerts import Condition, Moment, update_alert


def condition(holds: bool | None, kind: str = "limit-breach", subject: str = "spot") -> Condition:
    return Condition(kind, subject, "critical", holds, f"{subject}: {holds}", 5.0, 4.0)


def test_an_alert_is_raised_once_and_cleared_once() -> None:
    """While the condition holds nothing is repeated. After it only the clearing is published."""
    active: set[str] = set()
    changes = []
    for step, holds in enumerate((False, True, True, None, True, False, None, False, True)):
        alert = update_alert(active, condition(holds), Moment(step * 10, step, str(step)))
        if alert:
            changes.append((step, alert.state))
    assert changes == [(1, "raised"), (5, "cleared"), (8, "raised")]
    assert active == {"limit-breach:spot"}


def test_the_message_names_the_condition_the_moment_and_the_figures() -> None:
    """Everything a reader needs stands in the alert; the key is the same when raised and when cleared."""
    active: set[str] = set()
    raised = update_alert(active, condition(True), Moment(10, 1, "positions[0]@7"))
    cleared = update_alert(active, condition(False), Moment(20, 2, "2"))
    assert raised == Alert(
        id="alert/limit-breach:spot/raised/positions[0]@7",
        alert_key="limit-breach:spot",
        kind="limit-breach",
        state="raised",
        severity="critical",
        subject="spot",
        event_time_ns=10,
        timestep=1,
        message="spot: True",
        value=5.0,
        limit=4.0,
    )
    assert cleared is not None
    assert cleared.alert_key == raised.alert_key
    assert cleared.id == "alert/limit-breach:spot/cleared/2"
    assert (cleared.state, cleared.event_time_ns, cleared.timestep) == ("cleared", 20, 2)


def test_conditions_of_another_kind_or_subject_do_not_meet() -> None:
    """The breach of one book affects neither another book's alert nor an alert of prices."""
    active: set[str] = set()
    others = [("limit-breach", "options"), ("price-stale", "spot"), ("relationship-broken", "spot")]
    assert update_alert(active, condition(True), Moment(1, 1, "1"))
    for kind, subject in others:
        assert update_alert(active, condition(False, kind, subject), Moment(1, 1, "1")) is None
        assert update_alert(active, condition(True, kind, subject), Moment(1, 1, "1"))
    assert len(active) == 4


@pytest.mark.parametrize("seed", range(20))
def test_raised_and_cleared_take_turns(seed: int) -> None:
    """Over any course of conditions each key's alerts alternate, beginning with raised, under ids that never repeat."""
    chance = Random(seed)
    active: set[str] = set()
    alerts: list[Alert] = []
    for step in range(300):
        holds = chance.choice((True, False, None))
        alert = update_alert(active, condition(holds, subject=chance.choice("abc")), Moment(step, step, str(step)))
        if alert:
            alerts.append(alert)
    for key in {alert.alert_key for alert in alerts}:
        states = [alert.state for alert in alerts if alert.alert_key == key]
        assert states[::2] == ["raised"] * len(states[::2]), f"seed {seed}"
        assert states[1::2] == ["cleared"] * len(states[1::2]), f"seed {seed}"
        assert (key in active) == (states[-1] == "raised"), f"seed {seed}"
    assert len({alert.id for alert in alerts}) == len(alerts)
    assert all(msgspec.json.decode(msgspec.json.encode(alert), type=Alert) == alert for alert in alerts)
