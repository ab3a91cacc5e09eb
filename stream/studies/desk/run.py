"""Runs the policies over many seeds, on simulated prices or on windows of real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from stream.errors import ConfigError
from stream.studies.desk.comparison import Study, compare_at_equal_risk
from stream.studies.desk.policies import POLICIES, Policy
from stream.studies.desk.price_paths import PriceRows, diffusions, hourly_prices
from stream.studies.desk.simulate import Outcome, Plan, simulate
from stream.studies.desk.universe import HOURLY, SIMULATED, DeskUniverse
from stream.studies.read.options import NOTHING_SAID, ReadOptions

WARM_UP_STEPS = 500
"""The window that β are fitted on, and a hundred timesteps more."""

REFIT_EVERY_STEPS = 48

# USD over one timestep. The outermost limits are such that the curve of every policy reaches the RISKS. `flatten` is at
# half its limit on average, and the trades of one timestep set a floor to every policy's risk.
LIMITS = tuple(1e3 * limit for limit in (5.0, 8.5, 14.5, 25.0, 42.0))
RISKS = (8e3, 12e3, 18e3)
"""A position of 12, 18 and 27 million EUR, over ten minutes."""

HOURLY_LIMITS = tuple(1e3 * limit for limit in (14.0, 25.0, 45.0, 80.0, 145.0))
HOURLY_RISKS = (30e3, 45e3, 68e3)

HOURLY_FOLDER = "fx_h1"
FIRST_HOUR, LAST_HOUR = date(2012, 11, 16), date(2018, 12, 31)


@dataclass(frozen=True)
class DeskSettings:
    """How much to simulate; `data` names a folder with hourly prices to replay in place of simulated ones.

    `options` say what its files leave open.
    """

    seeds: int
    days: float
    data: Path | None = None
    options: ReadOptions = NOTHING_SAID


def run_desk(settings: DeskSettings, say: Callable[[str], None]) -> Study:
    """All policies along their limits, on every seed.

    With `data`, each seed takes a stretch of the hourly prices, evenly spaced over the years. Each stretch has its own
    warm-up before it, so nothing is fitted on what comes after.

    Raises
    ------
    ConfigError : no seeds, less than a day, options of files without files, no folder of hourly prices, or more
        days than the prices have.
    DataUnavailable : a file of hourly prices is missing or cannot be read.
    """
    if settings.seeds < 1 or settings.days < 1:
        raise ConfigError(f"a desk needs at least one seed and one day, got {settings.seeds} and {settings.days:g}")
    universe, limits, risks = (
        (SIMULATED, LIMITS, RISKS) if settings.data is None else (HOURLY, HOURLY_LIMITS, HOURLY_RISKS)
    )
    if settings.data is None and settings.options != NOTHING_SAID:
        raise ConfigError("options of price files are for --data FOLDER; without it prices are simulated")
    plans = (Plan("no hedge", 1e12), *(Plan(policy, limit) for policy in _LIMITED for limit in limits))
    steps = round(settings.days * universe.steps_a_day)
    runs: list[tuple[Outcome, ...]] = []
    for seed, prices in enumerate(_paths(settings, universe, steps, say)):
        say(f"desk: seed {seed + 1} of {settings.seeds}, {settings.days:g} days, {len(plans)} books")
        chance = np.random.default_rng([seed, 1])
        runs.append(tuple(simulate(universe, prices, plans, WARM_UP_STEPS, chance, REFIT_EVERY_STEPS)))
    unhedged = [each for run in runs for each in run if each.policy == "no hedge"]
    return Study(
        universe=universe.name,
        seeds=settings.seeds,
        days=settings.days,
        timestep_s=universe.timestep_s,
        unhedged_risk=float(np.mean([each.risk for each in unhedged])),
        income=float(np.mean([each.income for each in unhedged])),
        at_risk=compare_at_equal_risk(runs, risks, np.random.default_rng(0)),
        outcomes=tuple(runs),
    )


_LIMITED: tuple[Policy, ...] = tuple(policy for policy in POLICIES if policy != "no hedge")


def _paths(
    settings: DeskSettings, universe: DeskUniverse, steps: int, say: Callable[[str], None]
) -> Iterator[PriceRows]:
    """For each seed the prices of the warm-up and of `steps` timesteps after it; `say` takes what was read."""
    rows = WARM_UP_STEPS + steps + 1
    if settings.data is None:
        for seed in range(settings.seeds):
            yield diffusions(np.random.default_rng([seed, 0]), rows - 1, universe.timestep_s)
        return
    folder = settings.data / HOURLY_FOLDER
    if not folder.is_dir():
        raise ConfigError(f"--data must be a folder with {HOURLY_FOLDER}, got {settings.data}")
    whole = hourly_prices(folder, FIRST_HOUR, LAST_HOUR, settings.options, say)
    if len(whole.mids) < rows:
        raise ConfigError(
            f"{settings.days:g} days and their warm-up take {rows} hours, the prices have {len(whole.mids)}"
        )
    for begin in np.linspace(0, len(whole.mids) - rows, settings.seeds).astype(int).tolist():
        yield PriceRows(whole.end_ns[begin : begin + rows], whole.mids[begin : begin + rows], None)
