"""The figures of the packing: correctness, speed against references, and growth with the problem's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from solver.arrays import FloatArray
from solver.packing.bounds import Mode
from stream.bench.figures import Comparison
from stream.bench.packing.anneal import anneal_against_exact
from stream.bench.packing.exact import boxed_variance, exact_against_enumeration
from stream.bench.packing.growth import growth_with_assets, growth_with_items
from stream.bench.packing.live import books_at_once, live_within_deadline
from stream.bench.packing.warm_start import warm_against_cold
from stream.bench.real_prices import ecb_prices, etf_prices

# β lots of the live sequences: positions of some two and a half million are about three, ten and thirty of them.
LIVE_LOTS = (1_000_000.0, 300_000.0, 100_000.0)
LIVE_ASSETS, LIVE_ITEMS = 12, 20


@dataclass(frozen=True, kw_only=True)
class PackingEffort:
    """How many cases each figure is measured on, and at which sizes."""

    small_cases: int = 2_000
    free_cases: int = 500
    free_scip_cases: int = 60
    inside_cases: int = 30
    inside_scip_cases: int = 6
    scip_limit_s: float = 60.0
    large_cases: int = 500
    anneal_cases: int = 60
    live_steps: int = 10_000
    warm_desks: int = 10
    warm_steps: int = 30
    books: int = 1_000
    book_rounds: int = 9
    growth_assets: tuple[int, ...] = (10, 30, 100, 300)
    growth_items: tuple[int, ...] = (15, 30, 60, 120, 240)
    growth_repeats: int = 5


QUICK = PackingEffort(
    small_cases=100,
    free_cases=20,
    free_scip_cases=2,
    inside_cases=4,
    inside_scip_cases=1,
    large_cases=20,
    anneal_cases=3,
    live_steps=500,
    warm_desks=2,
    warm_steps=10,
    books=100,
    book_rounds=3,
    growth_assets=(10, 20, 40),
    growth_items=(15, 30, 60),
    growth_repeats=3,
)
"""Every figure on few cases: some seconds instead of minutes, and nothing to quote."""


def packing_figures(effort: PackingEffort, data: Path | None, say: Callable[[str], None]) -> list[Comparison]:
    """All figures of the packing, in the order of the table. Without a folder `data` of ETF prices those rows are left
    out.

    Raises
    ------
    ConfigError : the rates of the European Central Bank are not installed, or `data` is not such a folder.
    """
    say("compiling what no service calls")
    exact_against_enumeration(QUICK.small_cases)
    for mode in get_args(Mode):
        boxed_variance("", None, 20, mode, QUICK.inside_cases, 0, effort.scip_limit_s)
    anneal_against_exact(1)
    say(f"{effort.small_cases:,} small packings, exact and by enumeration")
    figures = exact_against_enumeration(effort.small_cases)

    sources: dict[str, FloatArray | None] = {"random desks": None, "ECB rates": ecb_prices(20)}
    if data is not None:
        sources["ETFs"] = etf_prices(data, 20)
    counts: dict[Mode, tuple[int, int]] = {
        "free": (effort.free_cases, effort.free_scip_cases),
        "inside": (effort.inside_cases, effort.inside_scip_cases),
    }
    for mode, (cases, scip_cases) in counts.items():
        for source, prices in sources.items():
            say(f"variance with box and costs, {mode}, 20/20, {source}")
            figures += boxed_variance(source, prices, 20, mode, cases, scip_cases, effort.scip_limit_s)
    say("variance with box and costs, free, 30/30")
    figures += boxed_variance("random desks", None, 30, "free", effort.large_cases, 0, effort.scip_limit_s)

    say("anneal against exact")
    figures += anneal_against_exact(effort.anneal_cases)

    histories = {"ECB rates": ecb_prices(LIVE_ASSETS)}
    if data is not None:
        histories["ETFs"] = etf_prices(data, LIVE_ASSETS)
    for source, prices in histories.items():
        for lot in LIVE_LOTS:
            say(f"{effort.live_steps:,} live steps, {source}, lots of {lot:,.0f}")
            figures += live_within_deadline(source, prices, LIVE_ITEMS, lot, effort.live_steps)
    say("warm against cold, 30/60")
    figures += warm_against_cold(effort.warm_desks, effort.warm_steps)
    say(f"{effort.books:,} books at once")
    figures += books_at_once(effort.books, effort.book_rounds)
    say("growth with the number of assets")
    figures += growth_with_assets(effort.growth_assets, effort.growth_repeats)
    say("growth with the number of items")
    figures += growth_with_items(effort.growth_items, effort.growth_repeats)
    return figures
