"""The conditions that alerts are about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Literal

from schemas.outbound import AlertKind
from solver.reversion.live.betas import Retirement
from stream.config import BookConfig, UniverseConfig
from stream.engine.alerts import Condition
from stream.engine.book.solved import SolvedBook, UnsolvedBook, risk_name
from stream.engine.book.state import BookState
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


def feed_condition(universe: UniverseConfig, silent: bool) -> Condition:
    """Whether the feed is silent.

    The message holds nothing that a clock measured, because the same bytes must be published again after a crash.
    """
    limit_s = universe.feed_silent_after_s
    return Condition(
        kind="feed-silent",
        subject=universe.name,
        severity="critical",
        holds=silent,
        message=f"no quote for {limit_s:g} s" if silent else "quotes are back",
        limit=limit_s,
    )


def limit_condition(found: SolvedBook | UnsolvedBook, numeraire: str, horizon_steps: int) -> Condition:
    """Whether the risk of a book has reached its limit.

    The alert clears below `clear_share` of the limit. In between, and while the risk or a part of the positions is
    unknown, it stays as it is.
    """
    book = found.occasion.book
    risk, holds, message = None, None, ""
    share = found.limit_share if isinstance(found, SolvedBook) else None
    if isinstance(found, SolvedBook) and share is not None:
        risk = found.limit_risk
        holds = True if share >= 1 else False if share < book.clear_share else None
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
