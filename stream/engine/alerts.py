"""Alerts: each is raised once when its condition becomes true, and cleared once when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.outbound import Alert, AlertKind

BOOK_ALERTS: tuple[AlertKind, ...] = (
    "limit-breach",
    "book-incomplete",
    "book-waiting",
    "book-unsolved",
    "hedge-overdue",
)
"""The alerts whose subject is a book."""


@dataclass(frozen=True)
class Condition:
    """What an alert is about.

    `holds` says whether the condition is true. With None the alert stays as it is: the value lies between the level at
    which the alert is raised and the one at which it is cleared, or it is unknown.
    """

    kind: AlertKind
    subject: str
    severity: Literal["warning", "critical"]
    holds: bool | None
    message: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Moment:
    """When an alert changed. `source` distinguishes two changes within one timestep."""

    event_time_ns: int
    timestep: int
    source: str


def alert_key(kind: AlertKind, subject: str) -> str:
    """The key of an alert: for each key at most one alert stands."""
    return f"{kind}:{subject}"


def standing_subjects(active: set[str], kind: AlertKind) -> list[str]:
    """The subjects of which an alert of `kind` stands, sorted."""
    prefix = alert_key(kind, "")
    return sorted(key.removeprefix(prefix) for key in active if key.startswith(prefix))


def update_alert(active: set[str], condition: Condition, moment: Moment) -> Alert | None:
    """Raise or clear the alert of `condition` if that changes `active`, the keys of the alerts that stand."""
    key = alert_key(condition.kind, condition.subject)
    if condition.holds is None or condition.holds == (key in active):
        return None
    if condition.holds:
        active.add(key)
    else:
        active.discard(key)
    state: Literal["raised", "cleared"] = "raised" if condition.holds else "cleared"
    return Alert(
        id=f"alert/{key}/{state}/{moment.source}",
        alert_key=key,
        kind=condition.kind,
        state=state,
        severity=condition.severity,
        subject=condition.subject,
        event_time_ns=moment.event_time_ns,
        timestep=moment.timestep,
        message=condition.message,
        value=condition.value,
        limit=condition.limit,
    )
