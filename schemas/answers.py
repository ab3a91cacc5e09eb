"""What the service answers to requests over HTTP. Nothing of it stands on a topic, and nothing of it has happened.

Attributes
----------
id : Names the question: the same question to the same state gives the same id.
book : Name of the book.
numeraire : The currency that money is counted in.
event_time_ns : Event time of the market that the answer stands on, since the Unix epoch, UTC. [ns]
timestep : Number of the timestep on the event-time grid, counted from 1970 on.
model_version : Version of the model on which the figures stand.
limit : Limit of the book's risk. [numeraire]
limit_on : What the limit is on: the risk over one timestep, or over `horizon_steps` timesteps.
horizon_steps : Length of the horizon. [timesteps]
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from schemas.outbound import BookStatus, HedgeSuggestion, HedgeTrade, LimitOn, QuoteSkew, ResidualExposure


class WhatIf(Struct, frozen=True, kw_only=True):
    """What would be published for a book if it held one more trade.

    What is in flight counts.

    Attributes
    ----------
    trade : The trade, on top of what the book holds. [units of each asset]
    residual : As the message on the topic, with the trigger `what-if` and an id that names the trade.
    suggestion : What would be suggested if no suggestion stood; null inside the limit. Its ids belong to no real
        suggestion: a `HedgeStatus` that names one is refused.
    quote : The quote skew with the trade in the book, whether or not it differs materially from the one that holds;
        null for a book without client flow.
    """

    id: str
    book: str
    trade: dict[str, float]
    residual: ResidualExposure
    suggestion: HedgeSuggestion | None = None
    quote: QuoteSkew | None = None


class FrontierPoint(Struct, frozen=True, kw_only=True):
    """The cheapest hedge found that brings the risk down to one target.

    Attributes
    ----------
    target : The risk to reach. [numeraire]
    risk : The risk that the trades leave. [numeraire]
    cost : What the trades cost. [numeraire]
    cost_lower_bound : No hedge to this target costs less. [numeraire]
    proven : Whether `cost` is within the configured resolution of the bound.
    trades : The trades; empty when there is nothing to do.
    stopped_by_clock : Whether the deadline cut the search short.
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

    Risks are those that the limit is on.

    Attributes
    ----------
    risk_now : The risk without a trade. [numeraire]
    points : The efficient hedges.
    suggestion : What would be suggested now if nothing stood; null inside the limit. It lies on the frontier where both
        searches end with a proof.
    status : As in the book's `ResidualExposure`. With another one than `ok` the points stand on doubtful input.
    detail : Why they do, in words.
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
    status: BookStatus = "ok"
    detail: str = ""


class Refusal(Struct, frozen=True, kw_only=True):
    """Why there is no answer.

    Attributes
    ----------
    error : `wrong-request` and `unknown-book` name the `key`, what was `expected` of it and what it `got`. `no-answer`:
        there is no model, no fresh price, or nothing to solve with. `busy`: too many requests wait.
    message : What is wrong, in words.
    key : The part of the request that is wrong.
    expected : What was expected of it.
    got : What it was.
    """

    error: Literal["wrong-request", "unknown-book", "no-answer", "busy", "unauthorized", "not-found", "failed"]
    message: str
    key: str = ""
    expected: str = ""
    got: str = ""
