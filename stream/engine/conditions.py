"""The conditions that alerts are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, get_args

from schemas.outbound import AlertKind
from solver.reversion.live.betas import Retirement
from stream.config import BookConfig, UniverseConfig
from stream.engine.alerts import Condition, alert_key
from stream.engine.book.solved import SolvedBook, UnsolvedBook, risk_name
from stream.engine.book.state import BookState
from stream.engine.market.model import Market
from stream.events.types import LateQuotes, SourceAhead

LATE_MIN = 5
LATE_SHARE_RAISED, LATE_SHARE_CLEARED = 0.05, 0.01
"""A few late quotes are no reason to wake anybody. In between, the alert stays as it is."""

_DOUBTS: tuple[AlertKind, ...] = ("price-suspect", "price-unchanged")
_DOUBT_KEYS = tuple(alert_key(kind, "") for kind in _DOUBTS)

SEVERITIES: dict[AlertKind, Literal["warning", "critical"]] = {
    "relationship-broken": "critical",
    "relationship-unproven": "warning",
    "relationship-outranked": "warning",
}
"""Of the alerts on a β that books have packed."""


def utc_text(time_ns: int) -> str:
    """An event time, ns since 1970, as people read it: to the second, UTC."""
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def price_condition(
    asset: str, holders: Collection[str], *, missing: bool, went_stale: bool, max_price_age_s: float
) -> Condition:
    """Whether an asset has no fresh price. One that never had a price counts only if a book holds it.

    Parameters
    ----------
    asset : by name.
    holders : names of the books that hold it.
    missing : whether it has no fresh price.
    went_stale : whether it lost its price at this timestep. An asset that never had one raises nothing as long as no
        book holds it.
    max_price_age_s : the age in seconds beyond which a price is stale.
    """
    message = f"no price of {asset} within {max_price_age_s:g} s"
    if holders:
        message += f": not solved while it lasts: {', '.join(holders)}"
    return Condition(
        kind="price-stale",
        subject=asset,
        severity="critical" if holders else "warning",
        holds=None if missing and not holders and not went_stale else missing,
        message=message if missing else f"{asset} has a price again",
    )


def doubt_conditions(
    market: Market, assets: Sequence[str], standing: Collection[str], holders: Sequence[Collection[str]]
) -> list[Condition]:
    """One condition for each asset of which a price is doubted, or was: by kind, then in the order of `assets`.

    An asset can have several instruments that are doubted. Its alert is cleared when the doubts of all have ended.

    Parameters
    ----------
    assets : (n,) their names.
    standing : the keys of the alerts that stand.
    holders : (n,) names of the books that hold each asset.
    """
    if not market.doubts and not any(key.startswith(_DOUBT_KEYS) for key in standing):
        return []
    conditions = []
    for kind in _DOUBTS:
        for index, asset in enumerate(assets):
            doubts = [doubt for doubt in market.doubts if doubt.kind == kind and index in doubt.assets]
            if not doubts and alert_key(kind, asset) not in standing:
                continue
            holds = {doubt.holds for doubt in doubts}
            decisive = [doubt for doubt in doubts if doubt.holds] or doubts
            message = "; ".join(doubt.message for doubt in decisive) or "nothing is doubted any more"
            suspect = bool(market.suspect[index])
            if True in holds and suspect:
                message += f"; nothing is suggested in {asset}"
                if holders[index]:
                    message += f", and its last believed price is used for {', '.join(holders[index])}"
            conditions.append(
                Condition(
                    kind=kind,
                    subject=asset,
                    severity="critical" if suspect and holders[index] else "warning",
                    holds=True if True in holds else None if None in holds else False,
                    message=f"{asset}: {message}",
                )
            )
    return conditions


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
        return "relationship-outranked", "was replaced by vectors that say the same with less left over"
    return "relationship-unproven", "is no longer accepted: the last refit finds its evidence gone"


def refit_condition(market: Market, universe: str) -> Condition:
    """Whether the last refit ended without a result."""
    failure = market.refit_failure
    return Condition(
        kind="refit-failed",
        subject=universe,
        severity="warning",
        holds=bool(failure),
        message=f"refit failed, the β in use stay and are watched: {failure}" if failure else "refits succeed again",
    )


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
        message=missing if silent else "quotes are back",
        limit=limit_s,
    )


def limit_condition(found: SolvedBook | UnsolvedBook, numeraire: str, horizon_steps: int) -> Condition:
    """Whether the risk of a book has reached its limit.

    The alert clears below `clear_share` of the limit. In between, and while the risk or a part of the positions is
    unknown, it stays as it is. A price that is not believed does not clear it.
    """
    book = found.occasion.book
    risk, holds, message = None, None, ""
    share = found.limit_share if isinstance(found, SolvedBook) else None
    if isinstance(found, SolvedBook) and share is not None:
        risk = found.limit_risk
        holds = True if share >= 1 else False if share < book.clear_share and not found.suspect_assets else None
        name = risk_name(book.limit_on, horizon_steps)
        message = f"{book.name}: {name} {risk:,.0f} {numeraire}, {share:.0%} of the limit {book.limit:,.0f}"
    return Condition(
        kind="limit-breach",
        subject=book.name,
        severity="critical",
        holds=holds,
        message=message,
        value=risk,
        limit=book.limit,
    )


def unsolved_condition(found: SolvedBook | UnsolvedBook, warming_up: bool) -> Condition:
    """Whether a book has no figures, so that its risk is unknown, although the models have enough data."""
    name = found.occasion.book.name
    unsolved = isinstance(found, UnsolvedBook)
    return Condition(
        kind="book-unsolved",
        subject=name,
        severity="critical",
        holds=None if warming_up else unsolved,
        message=f"{name}: {found.detail}" if isinstance(found, UnsolvedBook) else f"{name} has figures again",
    )


def overdue_condition(book: BookConfig, state: BookState) -> Condition:
    """Whether nothing was heard for too long of a trade that was being worked, so that it no longer counts as done."""
    overdue = [trade for trade in state.trades if trade.overdue]
    return Condition(
        kind="hedge-overdue",
        subject=book.name,
        severity="critical",
        holds=bool(overdue),
        message=f"{book.name}: nothing was heard of {len(overdue)} acknowledged trades of "
        f"{', '.join(sorted({trade.suggestion_id for trade in overdue}))} for too long; they count as not done"
        if overdue
        else f"{book.name}: no acknowledged trade is overdue any more",
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
                message=f"{quotes}{named} {each.source} came after their timestep had closed, in the last "
                f"{each.steps} timesteps; they are left out{behind}"
                if raised
                else f"{quotes} of {each.source} were late in the last {each.steps} timesteps",
                value=share,
                limit=LATE_SHARE_RAISED,
            )
        )
    named_now = {each.source for each in late}
    return conditions + [
        _ended("quotes-late", source, f"quotes of {source} come in time again")
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
        _ended("clock-ahead", source, f"{source} is not ahead of the others any more")
        for source in standing
        if source not in named_now
    ]


def _ahead_message(ahead: SourceAhead) -> str:
    more = ahead.others_count - len(ahead.others)
    others = ", ".join(ahead.others) + (f" and {more} more" if more else "") or "its own other quotes"
    lead = f"{ahead.lead_ns / 1e9:.1f} s ahead of {others}"
    waits = "its quotes wait for their time, and no timestep closes because of them"
    match ahead.witness:
        case "one-quote":
            return f"a quote of {ahead.source} is dated {lead}; it waits for its time, and no timestep closes by it"
        case "majority":
            return f"the clock of {ahead.source} is {lead}, and most sources agree with each other; {waits}"
        case "records":
            return f"the clock of {ahead.source} is {lead}, and its quotes are dated after their records; {waits}"
        case "undecided":
            return f"{ahead.source} is {lead}: its clock is ahead or theirs are behind, nobody can tell which; {waits}"


def _ended(kind: AlertKind, subject: str, message: str) -> Condition:
    return Condition(kind=kind, subject=subject, severity="warning", holds=False, message=message)


def incomplete_condition(name: str, state: BookState) -> Condition:
    """Whether positions of a book may be missing."""
    return Condition(
        kind="book-incomplete",
        subject=name,
        severity="critical",
        holds=bool(state.doubts),
        message=f"{name}: positions may be missing, its risk is unknown: {'; '.join(state.incomplete)}; "
        "send the levels again, or state with `betapack confirm` that it is complete"
        if state.doubts
        else f"{name} is complete again",
    )


def waiting_condition(name: str, holds: bool | None, timesteps: int, returns_needed: int) -> Condition:
    """Whether a book has positions and had no figures yet, for longer than it should take."""
    why = "no timestep has closed" if not timesteps else f"the models need {returns_needed} returns that move"
    return Condition(
        kind="book-waiting",
        subject=name,
        severity="critical",
        holds=holds,
        message=f"{name} has figures" if holds is False else f"{name} has positions and no figures yet: {why}",
    )


def left_condition(key: str) -> Condition:
    """The alert `key` of a book that left the configuration: nothing can hold of it any more."""
    return _no_longer(key, "{} left the configuration")


def rebuilt_condition(key: str) -> Condition:
    """The alert `key` that stood before a rebuild, which did not find it again."""
    return _no_longer(key, "{}: not so by what the rebuild read")


def _no_longer(key: str, message: str) -> Condition:
    """The end of the alert `key`, whatever it was about. `message` has a place for its subject."""
    kind, _, subject = key.partition(":")
    (known,) = [each for each in get_args(AlertKind) if each == kind]
    return Condition(kind=known, subject=subject, severity="critical", holds=False, message=message.format(subject))
