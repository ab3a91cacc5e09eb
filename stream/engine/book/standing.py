"""When a suggestion stays as it is, is made anew, or is withdrawn.

Inside the band nothing is suggested; what was suggested stands until the risk is below its edge by a margin. Between
these, trades are not exchanged for slightly better ones: every new suggestion makes somebody look again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stream.config import NANOSECONDS, BookConfig, HedgingConfig

RISK_RESOLUTION = 0.01
"""Out of reach of the target, the last hundredth of the risk is not chased: it can double what the trades cost."""


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
    """What trades would do at the quotes of now: the risk that they leave, and what they cost; numeraire."""

    risk_after: float
    cost: float


def band_edge(book: BookConfig, risk: float, scale_to_edge: float) -> float:
    """The risk above which trades are suggested: the limit, or what the position has left where its zone ends.

    Risk grows in proportion to a position: that of the same position, shrunk or grown by `scale_to_edge` until it is on
    the edge of the zone in which to wait: 0 where none of it may. Infinite for a book that hedges by its limit alone.
    """
    return min(book.limit, risk * scale_to_edge) if risk > 0 else book.limit


def aim(target: float, hedging: HedgingConfig, risk: float) -> float:
    """The risk that one suggestion is to reach: `target`, or less than the whole way there (`ramp_share`).

    A `target` of 0, where no such position may wait, stands for what is left when the rest is not worth chasing.
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
    """What is known without looking for better trades.

    Parameters
    ----------
    standing : the suggestion whose trades wait to be taken up, None without one.
    outcome : of its trades at the quotes of now, None when they cannot all be dealt.
    risk : the book's unhedged risk with what is in flight.
    edge : of the band, `band_edge`.
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
    """Whether it is too old to be taken up as it was made: it is renewed, made anew or withdrawn."""
    return now_ns - standing.since_ns >= hedging.expiry_s * NANOSECONDS


def still_stands(outcome: Outcome | None, best: Outcome, target: float, hedging: HedgingConfig) -> bool:
    """Whether trades with this `outcome` are as good as the `best` ones, but for what is not material."""
    if outcome is None:
        return False
    slack = 1.0 + hedging.material_share
    # Where the target is out of reach, what the best trades reach stands in for it.
    return outcome.risk_after <= slack * max(target, best.risk_after) and outcome.cost <= slack * best.cost
