"""Conditions on relationships: β vectors that left use, and refits that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Literal

from schemas.outbound import AlertKind
from solver.reversion.live.betas import Retirement
from stream.engine.alerts import Condition
from stream.engine.market.model import Market

SEVERITIES: dict[AlertKind, Literal["warning", "critical"]] = {
    "relationship-broken": "critical",
    "relationship-unproven": "warning",
    "relationship-outranked": "warning",
}
"""Of the alerts on a β that books have packed."""


def utc_text(time_ns: int) -> str:
    """An event time, ns since 1970, as people read it: to the second, UTC."""
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def relationship_conditions(
    market: Market, packed_in: Mapping[str, Collection[str]], timestep_ns: int, settled_steps: int
) -> list[Condition]:
    """What became of each β that books have packed and that is not in use any more, and of each β in use.

    Those of the first kind raise an alert that says why the β left use: the lots of that β are back in the residual.
    Those of the second kind clear it. A β that left use several times keeps its alert until it has been in use for a
    while. So a relationship that comes and goes has one alert, which counts.

    Parameters
    ----------
    market : at this close.
    packed_in : names of the books for each β that `market` does not have in use any more.
    timestep_ns : length of a timestep.
    settled_steps : timesteps in use after which the alert of a β that came and went is cleared.
    """
    reasons = {old.beta_id: old for old in market.retirements}
    left = Counter(old.beta_id for old in market.retired)
    lost = []
    for beta_id, books in packed_in.items():
        if not books:
            continue
        old = reasons.get(beta_id)
        kind, words = _departure(old)
        message = f"{beta_id} {words}; its lots are back in the residual of {', '.join(books)}"
        message += _times_left(market, beta_id, timestep_ns)
        lost.append(Condition(kind=kind, subject=beta_id, severity=SEVERITIES[kind], holds=True, message=message))
    in_use = [
        Condition(
            kind=kind,
            subject=beta.beta_id,
            severity=severity,
            holds=False if left[beta.beta_id] < 2 or market.steps - beta.since_step >= settled_steps else None,
            message=f"{beta.beta_id} is accepted again{_times_left(market, beta.beta_id, timestep_ns)}",
        )
        for beta in market.betas
        for kind, severity in SEVERITIES.items()
    ]
    return lost + in_use


def _times_left(market: Market, beta_id: str, timestep_ns: int) -> str:
    """How often a β left use and since when, in words; empty where that was once at most."""
    steps = [old.step for old in market.retired if old.beta_id == beta_id]
    if len(steps) < 2:
        return ""
    return (
        f"; it left use {len(steps)} times since {utc_text(market.end_ns - (market.steps - min(steps)) * timestep_ns)}"
    )


def _departure(old: Retirement | None) -> tuple[AlertKind, str]:
    """The kind of alert for a β that left use as `old` says, and the reason in words."""
    if old is not None and old.reason == "broke":
        words = f"broke, with a step of {old.deviations:+.1f} deviations of what its evidence allows"
        return "relationship-broken", words
    if old is not None and old.reason == "outranked":
        return "relationship-outranked", "still holds, but better vectors took its room"
    return "relationship-unproven", "is no longer accepted: the last refit found that its evidence is gone"


def refit_condition(market: Market, universe: str) -> Condition:
    """Whether the last refit ended without a result."""
    failure = market.refit_failure
    return Condition(
        kind="refit-failed",
        subject=universe,
        severity="warning",
        holds=bool(failure),
        message=f"the last refit failed: {failure}. The β in use stay and are watched"
        if failure
        else "refits have results again",
    )
