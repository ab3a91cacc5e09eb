"""Conditions on feeds: silent, late, and with clocks that are ahead."""

from __future__ import annotations

from collections.abc import Collection

from schemas.outbound import AlertKind
from stream.config import UniverseConfig
from stream.engine.alerts import Condition
from stream.events.types import LateQuotes, SourceAhead

LATE_MIN = 5
LATE_SHARE_RAISED, LATE_SHARE_CLEARED = 0.05, 0.01
"""A few late quotes are no reason to wake anybody. In between, the alert stays as it is."""


def feed_condition(universe: UniverseConfig, silent: bool, refused: str = "") -> Condition:
    """Whether the feed is silent. `refused` says what came instead of quotes that can be used; empty where nothing did.

    The message holds nothing that a clock measured, because the same bytes must be published again after a crash.
    """
    limit_s = universe.feed_silent_after_s
    missing = f"no usable quote for {limit_s:g} s: {refused}" if refused else f"no quote for {limit_s:g} s"
    return Condition(
        kind="feed-silent",
        subject=universe.name,
        severity="critical",
        holds=silent,
        message=missing if silent else "quotes arrive again",
        limit=limit_s,
    )


def late_conditions(late: Collection[LateQuotes], standing: Collection[str]) -> list[Condition]:
    """For each source whether its quotes come too late; `standing` names the sources of which the alert stands."""
    conditions = []
    for each in late:
        share = each.late / each.quotes
        raised = share >= LATE_SHARE_RAISED and each.late >= LATE_MIN
        quotes = f"{each.late} of {each.quotes} quotes"
        instruments = ", ".join(each.instruments)
        # A source without a name of its own is called by its instrument.
        named = f" of {instruments} from" if not each.source.startswith(f"{instruments} in ") else " of"
        behind = f"; its quotes are {each.behind_ns / 1e9:.1f} s behind those of the others" if each.behind_ns else ""
        conditions.append(
            Condition(
                kind="quotes-late",
                subject=each.source,
                severity="warning",
                holds=True if raised else False if share < LATE_SHARE_CLEARED else None,
                message=f"{quotes}{named} {each.source} in the last {each.steps} timesteps came after their "
                f"timestep had closed; they are left out{behind}"
                if raised
                else f"{quotes} of {each.source} were late in the last {each.steps} timesteps",
                value=share,
                limit=LATE_SHARE_RAISED,
            )
        )
    named_now = {each.source for each in late}
    return conditions + [
        _ended("quotes-late", source, f"quotes of {source} arrive in time again")
        for source in standing
        if source not in named_now
    ]


def ahead_conditions(ahead: Collection[SourceAhead], standing: Collection[str]) -> list[Condition]:
    """For each source whether its clock is ahead; `standing` names the sources of which the alert stands."""
    conditions = [
        Condition(
            kind="clock-ahead",
            subject=each.source,
            severity="warning",
            holds=True,
            message=_ahead_message(each),
            value=each.lead_ns / 1e9,
        )
        for each in ahead
    ]
    named_now = {each.source for each in ahead}
    return conditions + [
        _ended("clock-ahead", source, f"{source} is no longer ahead of the others")
        for source in standing
        if source not in named_now
    ]


def _ahead_message(ahead: SourceAhead) -> str:
    more = ahead.others_count - len(ahead.others)
    others = ", ".join(ahead.others) + (f" and {more} more" if more else "") or "its own other quotes"
    lead = f"{ahead.lead_ns / 1e9:.1f} s ahead of {others}"
    waits = "its quotes wait for their time and close no timestep"
    match ahead.witness:
        case "one-quote":
            return f"a quote of {ahead.source} is dated {lead}; it waits for its time and closes no timestep"
        case "majority":
            return f"the clock of {ahead.source} is {lead}, while most sources agree with each other; {waits}"
        case "records":
            return f"the clock of {ahead.source} is {lead}, and its quotes are dated after their records; {waits}"
        case "undecided":
            return f"{ahead.source} is {lead}: nobody can tell which of the clocks is wrong; {waits}"


def _ended(kind: AlertKind, subject: str, message: str) -> Condition:
    return Condition(kind=kind, subject=subject, severity="warning", holds=False, message=message)
