"""When a suggestion stays as it is, is replaced, or is withdrawn.

Inside the band nothing new is suggested. A suggestion that stands is withdrawn when the risk is below the edge of the
band by a margin. Until then its trades are not replaced by slightly better ones, because each new suggestion takes a
trader's attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stream.config import NANOSECONDS, BookConfig, HedgingConfig

RISK_RESOLUTION = 0.01
"""When no trades reach the target, the last hundredth of the risk stays: to hedge it can double the cost."""


@dataclass
class Standing:
    """The suggestion that stands for a book, made or last renewed at `since_ns`.

    `had_trades` is False for one that found none.
    """

    suggestion_id: str
    since_ns: int
    had_trades: bool


@dataclass(frozen=True)
class Outcome:
    """What trades would do at the current quotes: the risk that they leave, and their cost; numeraire."""

    risk_after: float
    cost: float


def band_edge(book: BookConfig, risk: float, scale_to_edge: float) -> float:
    """The risk above which trades are suggested: the limit, or the risk at the edge of the zone if that is lower.

    Risk grows in proportion to a position. `scale_to_edge` is the factor by which the position would be on the edge of
    the zone in which the book waits for clients: 0 if no part of it may wait, infinite for a book without a zone.
    """
    return min(book.limit, risk * scale_to_edge) if risk > 0 else book.limit


def aim(target: float, hedging: HedgingConfig, risk: float) -> float:
    """The risk that one suggestion aims at: `target`, or a part of the way there (`ramp_share`).

    A `target` of 0, when no part of the position may wait, counts as the share of the risk that is not worth hedging.
    """
    return max(target, RISK_RESOLUTION * risk if target == 0 else 0.0, risk - hedging.ramp_share * (risk - target))


def before_solving(
    standing: Standing | None,
    outcome: Outcome | None,
    risk: float,
    edge: float,
    book: BookConfig,
    hedging: HedgingConfig,
    now_ns: int,
) -> Literal["withdraw", "keep", "solve"]:
    """What can be decided without a search for better trades.

    Parameters
    ----------
    standing : the suggestion whose trades wait to be taken up; None without one.
    outcome : of its trades at the current quotes; None if they cannot all be dealt.
    risk : the book's unhedged risk, trades in flight included; numeraire.
    edge : the risk at the edge of the band, see `band_edge`; numeraire.
    book, hedging : the configuration.
    now_ns : event time.
    """
    if standing is None:
        return "solve"
    if risk <= book.clear_share * edge:
        return "withdraw"
    if risk <= edge and (outcome is None or is_expired(standing, hedging, now_ns)):
        return "withdraw"  # it cannot stand, and nothing new is suggested inside the band
    young = now_ns - standing.since_ns < hedging.min_life_s * NANOSECONDS
    if young and outcome is not None and outcome.risk_after <= edge:
        return "keep"
    return "solve"


def is_expired(standing: Standing, hedging: HedgingConfig, now_ns: int) -> bool:
    """Whether a suggestion is so old that it has to be renewed, replaced or withdrawn."""
    return now_ns - standing.since_ns >= hedging.expiry_s * NANOSECONDS


def still_stands(outcome: Outcome | None, best: Outcome, target: float, hedging: HedgingConfig) -> bool:
    """Whether trades with this `outcome` are as good as the `best` ones, up to `material_share`."""
    if outcome is None:
        return False
    slack = 1.0 + hedging.material_share
    # If no trades reach the target, the risk that the best trades reach takes its part.
    return outcome.risk_after <= slack * max(target, best.risk_after) and outcome.cost <= slack * best.cost
