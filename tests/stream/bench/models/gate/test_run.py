"""The figures of the gate on few made prices, and what a figure means where it can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gate_play import SECOND, universe, walk
from stream.bench.models.gate import run as gate_run
from stream.bench.models.gate.alarms import walked
from stream.bench.models.gate.courses import Course, resent, venue_ticks
from stream.bench.models.gate.faults import KINDS, places, usual_quotes
from stream.bench.models.gate.run import GateEffort, gate_figures
from stream.errors import ConfigError
from stream.events.types import Timestep

TINY = GateEffort(faults=20, freezes=5, cost_ticks=400, cost_rounds=1)


def course(rows: np.ndarray, every: int = 1) -> Course:
    """EURUSD on two venues and USDCHF, a quote each in every `every`-th second."""
    config = universe(("EUR", "USD", "one"), ("EUR", "USD", "two"), ("USD", "CHF"))
    timesteps = [
        Timestep(
            step * every, step * every * SECOND, mids * (1 - 2e-5), mids * (1 + 2e-5), np.full(3, step * every * SECOND)
        )
        for step, mids in enumerate(rows, start=1)
    ]
    return Course("made prices", config, timesteps, {"EUR": 1.0, "CHF": 1.0})


def made(every: int = 1, steps: int = 500) -> Course:
    return course(walk(universe(("EUR", "USD", "one"), ("EUR", "USD", "two"), ("USD", "CHF")), steps), every)


def test_walks_raise_nothing_and_every_fault_is_held() -> None:
    """Each kind was put in at every place but where it changes little; a frozen price takes 15 gaps of one quote."""
    prices = made()
    chance = np.random.default_rng(1)
    seen = walked(prices, places(prices, 40, chance), places(prices, 10, chance))
    assert not seen.raised
    for kind in KINDS:
        assert seen.put_in[kind] + seen.small[kind] == 40, kind
        assert seen.caught[kind] == seen.put_in[kind], kind
    assert seen.small["bid and ask of two instruments swapped"] > 0  # of the twins
    delays = seen.delays["one"]
    assert len(delays) == 10
    assert all(np.isnan(delay) or delay == 15.0 for delay in delays)


def test_an_alarm_is_counted_once_with_its_time() -> None:
    rows = walk(universe(("EUR", "USD", "one"), ("EUR", "USD", "two"), ("USD", "CHF")), 400)
    rows[350:352, 2] *= 100.0
    seen = walked(course(rows), [], [])
    assert dict(seen.raised) == {"CHF": 1}
    (said,) = seen.said
    assert said.startswith("1970-01-01 00:05:51 USDCHF went from ")


def test_what_is_usual_is_counted_in_quotes() -> None:
    """A price that changes with every fourth of its quotes takes four quotes a change, however far apart they come."""
    rows = walk(universe(("EUR", "USD", "one"), ("EUR", "USD", "two"), ("USD", "CHF")), 900)
    rows[:, 2] = rows[np.arange(900) // 4 * 4, 2]
    prices = course(rows, every=7)
    (place,) = places(prices, 1, np.random.default_rng(2))
    assert usual_quotes(prices, replace(place, at=890, instrument=2)) == pytest.approx(4.0, abs=0.05)


def test_every_figure_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row a figure, each with a finite value, what is good, and a note."""
    for name in ("daily_rates", "hourly_bars", "venue_ticks"):
        given: Callable[..., Course] = lambda *_, name=name, **__: replace(made(), name=name)  # noqa: E731
        monkeypatch.setattr(gate_run, name, given)
    monkeypatch.setattr(gate_run, "COST_TICKS_A_STEP", (200,))
    figures = gate_figures(TINY, Path("anywhere"), lambda text: None)
    names = [figure.what for figure in figures]
    assert sum(name.startswith("alarms of the gate") for name in names) == 6
    assert sum("held in its own timestep" in name for name in names) == 3 * len(KINDS)
    assert sum("frozen" in name for name in names) == 6
    assert sum("ticks a second" in name for name in names) == 1
    for figure in figures:
        assert np.isfinite(figure.ours), figure.what
        assert figure.better
        assert figure.note


def test_a_feed_that_repeats_its_quotes_does_so_until_the_market_closes() -> None:
    """Between quotes four seconds apart there are three more; not in a gap of more than an hour."""
    prices = course(walk(universe(("EUR", "USD", "one"), ("EUR", "USD", "two"), ("USD", "CHF")), 3), every=4)
    last = prices.timesteps[-1]
    late = replace(last, index=last.index + 4_000, end_ns=last.end_ns + 4_000 * SECOND)
    again = resent(replace(prices, timesteps=[*prices.timesteps, late]))
    assert [each.index for each in again.timesteps] == [*range(4, 13), 4_012]
    assert again.timesteps[1].bids.tolist() == prices.timesteps[0].bids.tolist()
    assert again.timesteps[1].quoted_at_ns.tolist() == [5 * SECOND] * 3


def test_ticks_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fx_ticks/oanda_eurusd\.csv\.gz"):
        venue_ticks(tmp_path)
