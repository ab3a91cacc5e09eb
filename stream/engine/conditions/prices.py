"""Conditions on prices: missing, stale, doubted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from schemas.outbound import AlertKind
from stream.engine.alerts import Condition, alert_key
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
        message += f"; until it has one, these books are not solved: {', '.join(holders)}"
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
            message = "; ".join(doubt.message for doubt in decisive) or "no price of it is doubted any more"
            suspect = bool(market.suspect[index])
            if True in holds and suspect:
                message += f"; nothing is suggested in {asset}"
                if holders[index]:
                    message += f", and its last believed price is used for these books: {', '.join(holders[index])}"
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
