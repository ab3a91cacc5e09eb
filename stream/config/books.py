"""[[books]]: sets of positions, each with its limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.outbound import LimitOn
from stream.config.checks import ABOVE_ZERO, SHARE_ABOVE_ZERO, at_least, at_most, check_distinct, wrong
from stream.config.flows import FlowsConfig
from stream.config.instruments import InstrumentConfig

LOTS_MAX = 1_000_000_000
"""The solver's own bound. Floating-point numbers represent all whole numbers up to it exactly."""


class BookConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One set of positions with its limit on unhedged risk.

    Risk is one standard deviation, in the numeraire. Above `limit`, trades are suggested that bring the risk down to
    `target_share` of it. The alert `limit-breach` is raised at the limit. It is cleared below `clear_share` of it.

    A book can name a client flow. Its quote skew is then published. With `band = "internalise"`, trades are suggested
    as soon as the position leaves the zone in which waiting for these clients is cheaper than hedging. Above the limit
    they are suggested anyway.
    """

    name: Annotated[str, Meta(description="Name of the book, as `positions` have it.")]
    limit: Annotated[
        float,
        Meta(
            description="Unhedged risk, one standard deviation in the numeraire, at which the alert is raised and "
            "above which trades are suggested."
        ),
        ABOVE_ZERO,
        at_least(1e-6),
    ]
    limit_on: Annotated[
        LimitOn,
        Meta(
            description="The risk that is compared with the limit: over one `timestep`, or over the `horizon` of "
            "`risk.horizon_steps` timesteps."
        ),
    ] = "timestep"
    target_share: Annotated[
        float, Meta(description="Suggested trades bring the risk to this share of the limit."), SHARE_ABOVE_ZERO
    ] = 0.8
    clear_share: Annotated[
        float,
        Meta(
            description="The alert is cleared, and a suggestion withdrawn, below this share of the limit. From "
            "`target_share` to 1."
        ),
    ] = 0.95
    instruments: Annotated[
        tuple[str, ...], Meta(description="Instruments that the book may trade. An empty list allows all.")
    ] = ()
    max_lots: Annotated[
        int, Meta(description="Largest trade in one instrument, in lots."), at_least(1), at_most(LOTS_MAX)
    ] = 1000
    max_trades: Annotated[
        int | None,
        Meta(description="Largest number of trades that are suggested at once. Left out: any number."),
        at_least(1),
    ] = None
    flows: Annotated[
        str | None,
        Meta(description="The client flow from which the book's `quote-skew` is published. Left out: none is."),
    ] = None
    band: Annotated[
        Literal["limit", "internalise"],
        Meta(
            description="When trades are suggested: above the `limit`, or already where waiting for clients costs "
            "more than a hedge (`internalise`)."
        ),
    ] = "limit"


def check_books_section(
    books: tuple[BookConfig, ...], instruments: tuple[InstrumentConfig, ...], flows: tuple[FlowsConfig, ...]
) -> None:
    if not books:
        raise wrong("books", "at least one book", [])
    check_distinct("books.name", [book.name for book in books])
    names = {instrument.name for instrument in instruments}
    flow_of = {flow.name: flow for flow in flows}
    for index, book in enumerate(books):
        key = f"books[{index}]"
        if not book.name:
            raise wrong(f"{key}.name", "a name", book.name)
        if not book.target_share <= book.clear_share <= 1:
            raise wrong(f"{key}.clear_share", f"a number from target_share {book.target_share} to 1", book.clear_share)
        check_distinct(f"{key}.instruments", book.instruments)
        for name in book.instruments:
            if name not in names:
                raise wrong(f"{key}.instruments", "names of instruments", name)
        _check_flow(key, book, flow_of)


def _check_flow(key: str, book: BookConfig, flow_of: Mapping[str, FlowsConfig]) -> None:
    """Check the keys of a book that depend on the flow that it names."""
    if book.flows is None:
        if book.band == "internalise":
            raise wrong(f"{key}.flows", "the name of a flow where band is internalise", None)
        return
    if book.flows not in flow_of:
        raise wrong(f"{key}.flows", "the name of a flow", book.flows)
    flows = flow_of[book.flows]
    # The zone is derived from the covariance over one timestep; reversion does not enter it.
    if book.limit_on == "horizon" and book.band == "internalise":
        raise wrong(f"{key}.limit_on", "timestep where band is internalise", book.limit_on)
    if book.limit_on == "horizon" and flows.risk_aversion is None:
        raise wrong(f"{key}.limit_on", f"timestep where the limit is the risk aversion of {flows.name}", book.limit_on)
    for market in flows.markets:
        if book.instruments and market.instrument not in book.instruments:
            raise wrong(f"{key}.instruments", f"among them every market of {flows.name}", list(book.instruments))
