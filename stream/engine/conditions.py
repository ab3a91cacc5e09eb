"""The conditions that alerts are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from schemas.outbound import AlertKind
from stream.config import BookConfig, UniverseConfig
from stream.engine.alerts import Condition, alert_key
from stream.engine.book.solved import SolvedBook, UnsolvedBook, risk_name
from stream.engine.book.state import BookState
from stream.engine.market.model import Market

_DOUBTS: tuple[AlertKind, ...] = ("price-suspect", "price-unchanged")
_DOUBT_KEYS = tuple(alert_key(kind, "") for kind in _DOUBTS)


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


def relationship_conditions(market: Market, packed_in: Mapping[str, Collection[str]]) -> list[Condition]:
    """One condition for each β that books have packed and that is no longer in use, and one for each β in use.

    Those of the first kind raise an alert: the lots of that β are back in the residual. Those of the second kind clear
    it. `packed_in` has the names of the books for each β that `market` no longer has in use.
    """
    reasons = {
        broken.beta_id: f"broke, with a step of {broken.deviations:+.1f} deviations of what its evidence allows"
        for broken in market.retirements
    }
    lost = [
        Condition(
            kind="relationship-broken",
            subject=beta_id,
            severity="critical",
            holds=True,
            message=f"{beta_id} {reasons.get(beta_id, 'is no longer accepted')}; "
            f"its lots are back in the residual of {', '.join(books)}",
        )
        for beta_id, books in packed_in.items()
        if books
    ]
    in_use = [
        Condition(
            kind="relationship-broken",
            subject=beta.beta_id,
            severity="critical",
            holds=False,
            message=f"{beta.beta_id} is accepted again",
        )
        for beta in market.betas
    ]
    return lost + in_use


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
