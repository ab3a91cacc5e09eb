"""The figures of the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from stream.bench.figures import Comparison, measure
from stream.bench.models.gate.alarms import Seen, found_within, walked
from stream.bench.models.gate.cost import cost
from stream.bench.models.gate.courses import RATES_FIRST, VENUES, Course, daily_rates, hourly_bars, resent, venue_ticks
from stream.bench.models.gate.faults import FROZEN_GAPS, KINDS, USUAL_CHANGES, places
from stream.bench.proportion import proportion

SEED = 20_150_115

COST_TICKS_A_STEP = (1_000, 50)

LARGE = ("× 100", "÷ 100", "× 10", "÷ 10")


@dataclass(frozen=True, kw_only=True)
class GateEffort:
    """How many cases each figure is measured on."""

    faults: int = 1_000
    freezes: int = 1_000
    rates_first: date = RATES_FIRST
    share_of_ticks: float = 1.0
    cost_ticks: int = 40_000
    cost_rounds: int = 5


QUICK_GATE = GateEffort(
    faults=30, freezes=10, rates_first=date(2013, 1, 1), share_of_ticks=0.05, cost_ticks=4_000, cost_rounds=2
)
"""Every figure on few cases: nothing to quote."""


def gate_figures(effort: GateEffort, data: Path | None, say: Callable[[str], None]) -> list[Comparison]:
    """All figures of the gate. Without a folder `data` those of hourly bars and of ticks are left out.

    Raises
    ------
    ConfigError : the rates of the European Central Bank are not installed, or `data` is not such a folder.
    DataUnavailable : a file of `data` cannot be read.
    """
    rows: list[Comparison] = []
    say("daily rates through the gate")
    rows += _course_figures(daily_rates(effort.rates_first), effort, 0)
    if data is not None:
        say("hourly bars through the gate")
        rows += _course_figures(hourly_bars(data), effort, 1)
        say("ticks of two venues through the gate")
        ticks = venue_ticks(data, share=effort.share_of_ticks)
        rows += _course_figures(ticks, effort, 2)
        say("the same, each quote sent again every second")
        again = resent(ticks)
        rows.append(_alarms(again, walked(again, [], [])))
        for venue in VENUES:
            say(f"ticks of {venue} alone through the gate")
            course = venue_ticks(data, (venue,), effort.share_of_ticks)
            rows.append(_alarms(course, walked(course, [], [])))
    say("the cost of the gate")
    rows += [cost(each, effort.cost_ticks, effort.cost_rounds) for each in COST_TICKS_A_STEP]
    return rows


def _course_figures(course: Course, effort: GateEffort, number: int) -> list[Comparison]:
    chance = np.random.default_rng([SEED, number])
    seen = walked(course, places(course, effort.faults, chance), places(course, effort.freezes, chance))
    return [_alarms(course, seen), *_faults(course, seen), *_freezes(course, seen)]


def _alarms(course: Course, seen: Seen) -> Comparison:
    total, years = sum(seen.raised.values()), sum(course.years.values())
    most = max(
        ((asset, count / max(course.years[asset], 1.0)) for asset, count in seen.raised.items()),
        key=lambda each: each[1],
        default=("none", 0.0),
    )
    return measure(
        f"alarms of the gate: {course.name}",
        "all assets",
        total / years,
        "a year and asset",
        "at most 1, real breaks apart",
        f"{total} in {years:.2f} asset-years of {len(course.years)} assets and {len(course.timesteps):,} timesteps, "
        f"real breaks counted; most often {most[0]}, {most[1]:.2g} a year. {_listed(seen.said)}",
    )


def _listed(said: Sequence[str]) -> str:
    if not said:
        return "None was raised"
    return "; ".join(said[:10]) + (f"; and {len(said) - 10} more" if len(said) > 10 else "")


def _faults(course: Course, seen: Seen) -> list[Comparison]:
    return [
        proportion(
            f"{kind}, {course.name}: held in its own timestep",
            "places",
            seen.caught[kind],
            seen.put_in[kind],
            "at least 99" if kind in LARGE else "high",
            "so that it enters no price, covariance or suggestion; one quote at a random place"
            + (f"; {seen.small[kind]} that leave the price within 1 % are not counted" if seen.small[kind] else ""),
        )
        for kind in KINDS
        if seen.put_in[kind]
    ]


def _freezes(course: Course, seen: Seen) -> list[Comparison]:
    rows = []
    for kind, delays in seen.delays.items():
        hits, cases, median, late = found_within(delays, FROZEN_GAPS)
        rows.append(
            proportion(
                f"{'one instrument' if kind == 'one' else kind} frozen, {course.name}: found within "
                f"{FROZEN_GAPS:g} usual gaps",
                "places",
                hits,
                cases,
                "near 100",
                f"after {median:.1f} in the median, {late:.1f} at the 99th percentile. A usual gap is counted in "
                f"the instrument's own quotes, as the last {USUAL_CHANGES} changes before took them; quotes come when "
                "they came, and repeat the last one",
            )
        )
    return rows
