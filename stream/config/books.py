"""The books and their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from schemas.outbound import LimitOn
from stream.config.checks import at_least, at_most, no_twins, positive, wrong
from stream.config.flows import FlowsConfig

if TYPE_CHECKING:
    from stream.config.load import Config

LOTS_MAX = 1_000_000_000
"""The solver's own bound, far below where whole numbers stop being exact as floating-point ones."""


class BookConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One set of positions with its limit on unhedged risk, one standard deviation, in the numeraire.

    `limit_on` says whether that is the risk over one timestep or over `risk.horizon_steps` of them. Above `limit`,
    at most `max_trades` trades in `instruments` (all when empty), each of at most `max_lots`, are suggested that bring
    the risk to `target_share` of it. The breach alert is raised at the limit and cleared below `clear_share` of it.

    `flows` names the client flow from which its quote skew is published. With `band` "internalise" trades are suggested
    as soon as the position leaves the zone in which waiting for these clients is cheaper, and above the limit anyway.
    """

    name: str
    limit: float
    limit_on: LimitOn = "timestep"
    target_share: float = 0.8
    clear_share: float = 0.95
    instruments: tuple[str, ...] = ()
    max_lots: int = 1000
    max_trades: int | None = None
    flows: str | None = None
    band: Literal["limit", "internalise"] = "limit"


def check_books(config: Config) -> None:
    if not config.books:
        raise wrong("books", "at least one book", [])
    no_twins("books.name", [book.name for book in config.books])
    names = {instrument.name for instrument in config.instruments}
    for place, book in enumerate(config.books):
        key = f"books[{place}]"
        if not book.name:
            raise wrong(f"{key}.name", "a name", book.name)
        positive(f"{key}.limit", book.limit)
        if not 0 < book.target_share <= 1:
            raise wrong(f"{key}.target_share", "a number above 0 and at most 1", book.target_share)
        if not book.target_share <= book.clear_share <= 1:
            raise wrong(f"{key}.clear_share", f"a number from target_share {book.target_share} to 1", book.clear_share)
        at_least(f"{key}.limit", book.limit, 1e-6)
        at_least(f"{key}.max_lots", book.max_lots, 1)
        at_most(f"{key}.max_lots", book.max_lots, LOTS_MAX)
        if book.max_trades is not None:
            at_least(f"{key}.max_trades", book.max_trades, 1)
        no_twins(f"{key}.instruments", book.instruments)
        for name in book.instruments:
            if name not in names:
                raise wrong(f"{key}.instruments", "names of instruments", name)


def check_band(key: str, book: BookConfig, known: dict[str, FlowsConfig]) -> None:
    """What a book takes from the flow that it names."""
    if book.flows is None:
        if book.band == "internalise":
            raise wrong(f"{key}.flows", "the name of a flow where band is internalise", None)
        return
    if book.flows not in known:
        raise wrong(f"{key}.flows", "the name of a flow", book.flows)
    flows = known[book.flows]
    # The zone is about the risk of the next moment, whatever comes back later.
    if book.limit_on == "horizon" and book.band == "internalise":
        raise wrong(f"{key}.limit_on", "timestep where band is internalise", book.limit_on)
    if book.limit_on == "horizon" and flows.risk_aversion is None:
        raise wrong(f"{key}.limit_on", f"timestep where the limit is the risk aversion of {flows.name}", book.limit_on)
    for market in flows.markets:
        if book.instruments and market.instrument not in book.instruments:
            raise wrong(f"{key}.instruments", f"among them every market of {flows.name}", list(book.instruments))
