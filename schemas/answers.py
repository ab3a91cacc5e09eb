"""What the service answers to requests over HTTP. Nothing of it stands on a topic, and nothing of it has happened."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from schemas.outbound import HedgeSuggestion, HedgeTrade, LimitOn, QuoteSkew, ResidualExposure

TOKEN_VARIABLE = "BETAPACK_METRICS_TOKEN"
"""Environment variable with the token that requests must bring: service and commands name it alike."""


class WhatIf(Struct, frozen=True, kw_only=True):
    """What would be published for `book` if it held `trade` (units of each asset) on top of what it holds.

    `residual` is as the message on the topic, with the trigger `what-if`, and an id that names the trade. What is in
    flight counts. `suggestion` is made afresh, as if none stood; None inside the limit. Its ids are those of no real
    suggestion: a `HedgeStatus` that names one is refused. `quote` is the skew with the trade in the book, whether or
    not it differs materially from the one that holds; None for a book without client flow.
    """

    id: str
    book: str
    trade: dict[str, float]
    residual: ResidualExposure
    suggestion: HedgeSuggestion | None = None
    quote: QuoteSkew | None = None


class FrontierPoint(Struct, frozen=True, kw_only=True):
    """The cheapest hedge found that brings the risk down to `target`.

    It leaves `risk` and costs `cost`, numeraire; none costs less than `cost_lower_bound`, and `proven` says that it is
    within the configured resolution. `stopped_by_clock`: the deadline cut the search short. No `trades`: nothing to do.
    """

    target: float
    risk: float
    cost: float
    cost_lower_bound: float
    proven: bool
    trades: tuple[HedgeTrade, ...] = ()
    stopped_by_clock: bool = False


class Frontier(Struct, frozen=True, kw_only=True):
    """What each level of risk costs a book: the efficient hedges from nothing (the first point) to flat (the last).

    Risks are those that the `limit` is on (`limit_on`), one standard deviation in the numeraire, and `risk_now` the one
    without a trade. `suggestion` is what would be suggested now if nothing stood, None inside the limit: it lies on the
    frontier where both searches end with a proof.
    """

    id: str
    book: str
    event_time_ns: int
    timestep: int
    model_version: int
    numeraire: str
    limit: float
    limit_on: LimitOn
    horizon_steps: int
    risk_now: float
    points: tuple[FrontierPoint, ...] = ()
    suggestion: HedgeSuggestion | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """Why there is no answer.

    `error`: `wrong-request` names the `key`, what was `expected` of it and what it `got`; `unknown-book` likewise;
    `no-answer` while there is no model, no fresh price, or nothing to solve with; `busy` when too many requests wait.
    """

    error: Literal["wrong-request", "unknown-book", "no-answer", "busy", "unauthorized", "not-found", "failed"]
    message: str
    key: str = ""
    expected: str = ""
    got: str = ""
