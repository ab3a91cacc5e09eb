"""Conditions on books: over their limit, without figures, incomplete, waiting, with overdue trades, gone."""

from __future__ import annotations

from typing import get_args

from schemas.outbound import AlertKind
from stream.config import BookConfig
from stream.engine.alerts import Condition
from stream.engine.book.solved import SolvedBook, UnsolvedBook, risk_name
from stream.engine.book.state import BookState


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
        f"{', '.join(sorted({trade.suggestion_id for trade in overdue}))} for too long. They count as not done"
        if overdue
        else f"{book.name}: no acknowledged trade is overdue any more",
    )


def incomplete_condition(name: str, state: BookState) -> Condition:
    """Whether positions of a book may be missing."""
    return Condition(
        kind="book-incomplete",
        subject=name,
        severity="critical",
        holds=bool(state.doubts),
        message=f"{name}: positions may be missing, so its risk is unknown: {'; '.join(state.incomplete)}. "
        "Send the levels again, or state with `betapack confirm` that the book is complete"
        if state.doubts
        else f"{name} is complete again",
    )


def waiting_condition(name: str, holds: bool | None, timesteps: int, returns_needed: int) -> Condition:
    """Whether a book has positions and had no figures yet, for longer than it should take."""
    why = "no timestep has closed" if not timesteps else f"the models need {returns_needed} returns of prices that move"
    return Condition(
        kind="book-waiting",
        subject=name,
        severity="critical",
        holds=holds,
        message=f"{name} has figures" if holds is False else f"{name} has positions but no figures yet: {why}",
    )


def left_condition(key: str) -> Condition:
    """The alert `key` of a book that left the configuration: nothing can hold of it any more."""
    return _no_longer(key, "{} left the configuration")


def rebuilt_condition(key: str) -> Condition:
    """The alert `key` that stood before a rebuild, which did not find it again."""
    return _no_longer(key, "{}: the rebuild did not find this again")


def _no_longer(key: str, message: str) -> Condition:
    """The end of the alert `key`, whatever it was about. `message` has a place for its subject."""
    kind, _, subject = key.partition(":")
    (known,) = [each for each in get_args(AlertKind) if each == kind]
    return Condition(kind=known, subject=subject, severity="critical", holds=False, message=message.format(subject))
