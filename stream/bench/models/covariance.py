"""Covariances: the cost of an update against code that users would write, and correlations of asynchronous ticks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from solver.arrays import FloatArray, IntArray
from solver.covariance import ExponentialCovariance, HayashiYoshidaCovariance, WindowCovariance
from stream.bench.figures import Comparison, compare, measure

SEED = 20_141_001
HALF_LIFE_STEPS = 60.0
WINDOW_STEPS = 500
ASKED_US = {15: 2.0, 100: 15.0}

INSTALL_RIVER = "river not installed: pip install 'betapack[bench]'"

CORRELATION = 0.7
MEAN_GAPS_S = (1.0, 3.0)
# Some four days. The sampling error of the correlation is then .004, well below what is asked.
TICKED_S = 400_000
STEP_S = 60
LIVE_HALF_LIFE_S = 3600
SEEDS = 4
SLOW_TICKS = 10

Ticks: TypeAlias = tuple[IntArray, FloatArray, FloatArray]


def covariance_figures(data: Path | None, say: Callable[[str], None]) -> list[Comparison]:
    """All figures of the covariances. All are taken on simulated returns: `data` changes nothing."""
    figures = []
    for n, asked_us in ASKED_US.items():
        say(f"covariance updates of {n} assets")
        figures += _update_figures(n, asked_us)
    say("correlation of asynchronous ticks")
    return [*figures, *_tick_figures()]


def _update_figures(n: int, asked_us: float) -> list[Comparison]:
    returns = np.random.default_rng(SEED).normal(0.0, 1e-4, (2 * WINDOW_STEPS, n))
    decay = 0.5 ** (1.0 / HALF_LIFE_STEPS)
    exponential = ExponentialCovariance(n, HALF_LIFE_STEPS, "none")
    window = WindowCovariance(n, WINDOW_STEPS, "none")

    def updated_and_estimated(row: FloatArray) -> FloatArray:
        exponential.update(row)
        return exponential.estimate()

    interrupted, silent = ExponentialCovariance(n, HALF_LIFE_STEPS, "none"), returns.copy()
    silent[:, 0] = np.nan
    numpy_sums = _NumpySums(n, decay)
    exponential_us, window_us, numpy_us = (
        _update_us(update, returns) for update in (exponential.update, window.update, numpy_sums.update)
    )
    what, asked = f"covariance update, {n} assets", f"at most {asked_us:g} µs"
    note = f"half-life {HALF_LIFE_STEPS:g}, window {WINDOW_STEPS}; medians, Python's call included"

    def beside(reference: str, reference_us: float, remark: str) -> Comparison:
        named = f"{what}, beside {reference.partition(',')[0]}"
        return compare(named, "exponential", exponential_us, reference, reference_us, "µs", "below 1", remark)

    figures = [
        measure(f"{what}, exponential", "compiled", exponential_us, "µs", asked, note),
        measure(f"{what}, window", "compiled", window_us, "µs", asked, note),
        measure(
            f"{what}, exponential, one of them silent",
            "compiled",
            _update_us(interrupted.update, silent),
            "µs",
            asked,
            note,
        ),
        beside("numpy, λM + rr'", numpy_us, "two lines that users would write; no gaps, no warm-up, no shrinkage"),
        compare(
            f"{what} and estimate, beside pandas",
            "exponential",
            _update_us(updated_and_estimated, returns),
            "pandas, ewm of the window",
            _pandas_us(returns),
            "µs",
            "below 1",
            "pandas has no incremental form: its covariance of the latest row takes the window anew",
        ),
    ]
    if find_spec("river") is not None:
        figures.append(beside("river, EmpiricalCovariance", _river_us(returns), "river forgets nothing"))
    else:
        figures.append(
            measure(
                f"{what}, beside river",
                "exponential",
                exponential_us,
                "µs",
                asked,
                note,
                reference_label=INSTALL_RIVER,
            )
        )
    return figures


class _NumpySums:
    """The recursion in two lines of numpy, as a user would write it."""

    def __init__(self, n: int, decay: float) -> None:
        self._sums = np.zeros((n, n))
        self._decay = decay

    def update(self, row: FloatArray) -> None:
        self._sums *= self._decay
        self._sums += np.outer(row, row)


def _update_us(update: Callable[[FloatArray], object], returns: FloatArray, rounds: int = 5) -> float:
    """Microseconds of processor that one update takes, the median of `rounds` over all of `returns`."""
    seconds = []
    for _ in range(rounds + 1):
        begun = time.thread_time()
        for row in returns:
            update(row)
        seconds.append(time.thread_time() - begun)
    # The first round compiles, and fills the window.
    return float(np.median(seconds[1:])) / len(returns) * 1e6


def _pandas_us(returns: FloatArray, updates: int = 3) -> float:
    rows = returns[:WINDOW_STEPS]
    n = rows.shape[1]

    def latest(row: FloatArray) -> object:
        frame = pd.DataFrame(np.vstack([rows[1:], row]))
        return frame.ewm(halflife=HALF_LIFE_STEPS).cov(bias=True).iloc[-n:]

    return _update_us(latest, returns[:updates], rounds=1)


def _river_us(returns: FloatArray, updates: int = 20) -> float:
    from river.covariance import EmpiricalCovariance

    estimator: Any = EmpiricalCovariance(ddof=0)  # type: ignore[no-untyped-call]
    names = [f"asset{asset}" for asset in range(returns.shape[1])]
    rows = [dict(zip(names, row.tolist(), strict=True)) for row in returns[:updates]]
    for row in rows:
        estimator.update(row)
    begun = time.thread_time()
    for row in rows:
        estimator.update(row)
    return (time.thread_time() - begun) / len(rows) * 1e6


def _tick_figures() -> list[Comparison]:
    found, previous_tick, remembered = [], [], []
    for seed in range(SEEDS):
        ticks = _poisson_ticks(np.random.default_rng(SEED + seed))
        estimator = HayashiYoshidaCovariance(2, TICKED_S / STEP_S, SLOW_TICKS, "none")
        live = HayashiYoshidaCovariance(2, LIVE_HALF_LIFE_S / STEP_S, SLOW_TICKS, "none")
        remembered += [
            _correlation(live.estimate())
            for step in _fed((estimator, live), ticks)
            if step * STEP_S % LIVE_HALF_LIFE_S == 0
        ]
        found.append(_correlation(estimator.estimate()))
        previous_tick.append(_previous_tick_correlation(*ticks))
    furthest = max(abs(each - CORRELATION) for each in found)
    return [
        compare(
            f"correlation {CORRELATION:g} of Poisson ticks, mean gaps of {MEAN_GAPS_S[0]:g} and {MEAN_GAPS_S[1]:g} s",
            "Hayashi-Yoshida, furthest off",
            furthest,
            "previous tick, grid of 1 s",
            min(abs(each - CORRELATION) for each in previous_tick),
            "",
            "below 1",
            f"asked: within .02; {TICKED_S:,} s each: {_listed(found)} against {_listed(previous_tick)}",
        ),
        measure(
            "the same with the memory of a service",
            "Hayashi-Yoshida, standard deviation",
            float(np.std(remembered)),
            "",
            "small",
            f"half-life {LIVE_HALF_LIFE_S} s, mean {np.mean(remembered):.3f} in {len(remembered)} looks",
        ),
        *_cost_figures(),
    ]


def _cost_figures() -> list[Comparison]:
    """The cost of a tick by the number of assets, where all ticks come in one call."""
    chance, cost_ns = np.random.default_rng(SEED), {}
    for n in (2, *ASKED_US):
        ticks = 100_000
        assets, moments = chance.integers(0, n, ticks), np.sort(chance.uniform(0.0, 1.0, ticks))
        log_prices = np.cumsum(chance.normal(0.0, 1e-5, ticks))
        estimator, seconds = HayashiYoshidaCovariance(n, HALF_LIFE_STEPS, SLOW_TICKS, "none"), []
        for _ in range(6):
            begun = time.thread_time()
            estimator.update(assets, moments, log_prices)
            seconds.append(time.thread_time() - begun)
        cost_ns[n] = float(np.median(seconds[1:])) / ticks * 1e9
    return [
        measure(
            f"a tick for Hayashi-Yoshida, {n} assets",
            "compiled",
            ns,
            "ns",
            "in proportion to the assets",
            "100,000 ticks handed over at once, in random order; medians of five",
        )
        for n, ns in cost_ns.items()
    ]


def _fed(estimators: Sequence[HayashiYoshidaCovariance], ticks: Ticks) -> Iterator[int]:
    """Feed `ticks` to the estimators timestep by timestep; yields how many timesteps have closed."""
    assets, times, log_prices = ticks
    steps = TICKED_S // STEP_S
    edges = np.searchsorted(times, np.arange(steps + 1) * STEP_S, side="right")
    for step in range(steps):
        part = slice(edges[step], edges[step + 1])
        for estimator in estimators:
            estimator.update(assets[part], times[part] / STEP_S - step, log_prices[part])
        yield step + 1


def _poisson_ticks(chance: np.random.Generator) -> Ticks:
    """Assets, times in seconds and log prices of the ticks of two assets of 1 bp a second."""
    counts = [chance.poisson(TICKED_S / gap) for gap in MEAN_GAPS_S]
    assets = np.repeat(np.arange(2), counts)
    times = chance.uniform(0.0, TICKED_S, len(assets))
    order = np.argsort(times)
    assets, times = assets[order], times[order]
    shocks = chance.normal(size=(len(times), 2))
    shocks[:, 1] = CORRELATION * shocks[:, 0] + np.sqrt(1.0 - CORRELATION**2) * shocks[:, 1]
    paths = np.cumsum(shocks * np.sqrt(np.diff(times, prepend=0.0))[:, None] * 1e-4, axis=0)
    return assets, times, paths[np.arange(len(times)), assets]


def _previous_tick_correlation(assets: IntArray, times: FloatArray, log_prices: FloatArray) -> float:
    grid = np.arange(100, TICKED_S + 1)
    columns = []
    for asset in range(2):
        own = assets == asset
        latest = np.searchsorted(times[own], grid, side="right") - 1
        columns.append(np.diff(log_prices[own][latest]))
    returns = np.column_stack(columns)
    return _correlation(returns.T @ returns)


def _correlation(Sigma: FloatArray) -> float:
    return float(Sigma[0, 1] / np.sqrt(Sigma[0, 0] * Sigma[1, 1]))


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
