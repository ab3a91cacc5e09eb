"""The figures of the models: how their claims hold on unseen data, and how fast a refit is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from stream.bench.figures import Comparison
from stream.bench.models.breaks import breaks_found, breaks_found_as_fitted, false_retirements
from stream.bench.models.covariance import covariance_figures
from stream.bench.models.forecast import basis_forecast
from stream.bench.models.horizon import horizon_figures
from stream.bench.models.pegs import FIRST_DAY, hedges_in_daily_rates
from stream.bench.models.planted import baskets_found
from stream.bench.models.speed import refit_by_every_method, refits_against_statsmodels
from stream.bench.models.venues import PAIRS, pair_on_two_venues
from stream.bench.models.walks import in_use_over_refits, selected_among_walks


@dataclass(frozen=True, kw_only=True)
class ModelsEffort:
    """How many cases each figure is measured on."""

    walk_windows: int = 500
    walk_lengths: tuple[int, ...] = (250, 500, 1_000)
    followed_walks: int = 40
    followed_steps: int = 2_500
    baskets: int = 300
    rates_first: date = FIRST_DAY
    share_of_ticks: float = 1.0
    breaking_paths: int = 600
    fitted_paths: int = 60
    holding_paths: int = 600
    holding_half_lives: tuple[float, ...] = (5.0, 20.0, 60.0)
    horizon_windows: int = 300
    horizon_walks: int = 1_500
    refits: int = 50


QUICK_MODELS = ModelsEffort(
    walk_windows=20,
    walk_lengths=(250,),
    followed_walks=2,
    followed_steps=700,
    baskets=30,
    # The day the franc got its floor, so the first full window lies under the floor.
    rates_first=date(2011, 9, 6),
    share_of_ticks=0.3,
    breaking_paths=100,
    fitted_paths=5,
    holding_paths=100,
    holding_half_lives=(5.0,),
    horizon_windows=12,
    horizon_walks=40,
    refits=10,
)
"""Every figure on few cases: a minute, and nothing to quote."""


def models_figures(effort: ModelsEffort, data: Path | None, say: Callable[[str], None]) -> list[Comparison]:
    """All figures of the models, in the order of the table. Without a folder `data` of ticks from two venues those are
    left out.

    Raises
    ------
    ConfigError : the rates of the European Central Bank are not installed, or `data` is not such a folder.
    """
    say(f"{effort.walk_windows:,} windows of independent walks")
    figures = selected_among_walks(effort.walk_windows, effort.walk_lengths)
    say(f"{effort.followed_walks} sets of walks followed over their refits")
    figures.append(in_use_over_refits(effort.followed_walks, effort.followed_steps))
    say(f"{effort.baskets:,} planted baskets of each size of noise")
    figures += baskets_found(effort.baskets)
    say(f"daily rates since {effort.rates_first} through the engine")
    figures += hedges_in_daily_rates(effort.rates_first)
    say("basis ratios and what followed")
    figures += basis_forecast(effort.rates_first)
    if data is not None:
        for pair in PAIRS:
            say(f"{pair} on two venues, every tick through the engine")
            figures += pair_on_two_venues(data, pair, effort.share_of_ticks)
    say("relationships that break, and that hold")
    figures += breaks_found(effort.breaking_paths)
    figures.append(breaks_found_as_fitted(effort.fitted_paths))
    figures += false_retirements(effort.holding_paths, effort.holding_half_lives)
    say("risk over the horizon")
    figures += horizon_figures(effort.horizon_windows, effort.horizon_walks)
    figures += covariance_figures(data, say)
    say("refits, against statsmodels")
    figures += refits_against_statsmodels(effort.refits)
    figures.append(refit_by_every_method(effort.refits))
    return figures
