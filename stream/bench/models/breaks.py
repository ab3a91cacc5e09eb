"""Relationships that break: how soon they are retired, and how often one that holds is retired."""

from __future__ import annotations

import numpy as np

from solver.arrays import BoolArray, FloatArray
from solver.reversion.live.betas import LiveBetas, Move, barred, renewed, row_taken, watched
from solver.reversion.live.watch import Alternatives, log_evidence, reverting_alarm, reverting_alternatives
from solver.reversion.refits.rolling import RollingReversion
from stream.bench.figures import Comparison, measure
from stream.bench.proportion import proportion
from stream.config import ReversionConfig
from stream.config.reversion import reversion_settings

SEED = 20_141_012
HALF_LIVES = (5.0, 10.0, 20.0, 60.0)
DRIFTS = (1.0, 2.0, 4.0)
FALSE_ALARM_STEPS = ReversionConfig().false_alarm_steps
# A path that raises no alarm by then counts as retired at its end.
FOLLOWED_HALF_LIVES = 12
# How long the watch has followed the relationship when the break comes.
HELD_HALF_LIVES = 20

FITTED_ASSETS, FITTED_WINDOW_STEPS, FITTED_HALF_LIFE, FITTED_DRIFT = 4, 2_000, 10.0, 2.0
FITTED_REFIT_STEPS = 20
STEP = 0.006


def breaks_found(paths: int) -> list[Comparison]:
    """Half-lives from the break to the retirement, where the basket spread's model is known; a row for each drift."""
    rows = []
    for number, drift in enumerate(DRIFTS):
        delays = {
            half_life: _delays(np.random.default_rng([SEED, number, at]), half_life, drift, paths)
            for at, half_life in enumerate(HALF_LIVES)
        }
        quartiles = "; ".join(
            f"half-life {half_life:g} steps {median:.1f} ({early:.1f} to {late:.1f})"
            for half_life, (early, median, late) in (
                (half_life, np.quantile(of_paths, [0.25, 0.5, 0.75])) for half_life, of_paths in delays.items()
            )
        )
        rows.append(
            measure(
                f"a basket spread begins to drift by {drift:g} of its deviations a half-life: retired after",
                "slowest median",
                max(float(np.median(of_paths)) for of_paths in delays.values()),
                "half-lives",
                "at most 3" if drift >= 2.0 else "low",
                f"medians and quartiles of {paths} paths: {quartiles}. From the break on it is a walk with that drift; "
                "steps of t with 6 degrees of freedom. The fitted model is taken to be the true one",
            )
        )
    return rows


def breaks_found_as_fitted(paths: int) -> Comparison:
    """The same with refits and watch, where `johansen` fits the model to the window."""
    delays, by_watch, in_use = [], 0, 0
    for path in range(paths):
        outcome = _fitted_delay(np.random.default_rng([SEED, len(DRIFTS), path]))
        if outcome is not None:
            in_use += 1
            delays.append(outcome[0] / FITTED_HALF_LIFE)
            by_watch += outcome[1]
    early, median, late = np.quantile(delays, [0.25, 0.5, 0.75]) if delays else (np.nan, np.nan, np.nan)
    return measure(
        f"the same, drift of {FITTED_DRIFT:g}, through fit, refits and watch: retired after",
        "median",
        float(median),
        "half-lives",
        "at most 3",
        f"quartiles {early:.1f} to {late:.1f}; in use at the break in {in_use} of {paths}, the watch retired "
        f"{by_watch} of them, refits the others. A pair among {FITTED_ASSETS} walks, its basket spread as noisy as a "
        f"leg, half-life {FITTED_HALF_LIFE:g} steps, `johansen`, window {FITTED_WINDOW_STEPS:,}, a refit every "
        f"{FITTED_REFIT_STEPS} steps",
    )


def false_retirements(paths: int, half_lives: tuple[float, ...] = (5.0, 20.0, 60.0)) -> list[Comparison]:
    """Share of basket spreads that hold for 1,000 half-lives and are retired nevertheless."""
    rows = []
    for number, half_life in enumerate(half_lives):
        chance = np.random.default_rng([SEED, 100 + number])
        watch = _Watch(half_life, paths)
        for _ in range(round(1000 * half_life)):
            watch.step(chance.normal(size=paths))
        rows.append(
            proportion(
                f"basket spreads that hold, half-life {half_life:g} steps: retired within 1,000 half-lives",
                "paths",
                int(np.count_nonzero(watch.alarmed)),
                paths,
                "at most 1",
                "normal steps, the model known: it does not show noise that swells, or tails heavier than of t with 6 "
                "degrees of freedom, or errors of the fit",
            )
        )
    return rows


class _Watch:
    """The watch on many basket spreads at once; `alarmed` (paths,) says which ones it has retired."""

    def __init__(self, half_life: float, paths: int) -> None:
        self._alternatives: Alternatives = reverting_alternatives(half_life)
        self._log_statistics: FloatArray = np.full((paths, len(self._alternatives.scale)), -np.inf)
        self._alarm = reverting_alarm(FALSE_ALARM_STEPS, half_life)
        self.alarmed: BoolArray = np.zeros(paths, dtype=np.bool_)

    def step(self, z: FloatArray) -> None:
        """Take the standardised innovations `z` (paths,)."""
        self._log_statistics = self._alternatives.log_statistics(self._log_statistics, z)
        self.alarmed = self.alarmed | (log_evidence(self._log_statistics) >= self._alarm)


def _delays(chance: np.random.Generator, half_life: float, drift: float, paths: int) -> FloatArray:
    """Half-lives (paths,) from the break to the alarm; paths with an alarm before the break are left out."""
    kept = 0.5 ** (1.0 / half_life)
    deviation = 1.0 / np.sqrt(1.0 - kept**2)
    basket_spread = deviation * chance.normal(size=paths)
    watch = _Watch(half_life, paths)
    for _ in range(round(HELD_HALF_LIVES * half_life)):
        noise = _noise(chance, paths)
        basket_spread = kept * basket_spread + noise
        watch.step(noise)
    before = watch.alarmed
    steps = round(FOLLOWED_HALF_LIVES * half_life)
    delays = np.full(paths, steps)
    for step in range(steps):
        after = basket_spread + drift * deviation / half_life + _noise(chance, paths)
        known = watch.alarmed
        watch.step(after - kept * basket_spread)
        delays[watch.alarmed & ~known] = step + 1
        basket_spread = after
    of_paths: FloatArray = delays[~before] / half_life
    return of_paths


def _noise(chance: np.random.Generator, paths: int) -> FloatArray:
    noise: FloatArray = chance.standard_t(6.0, size=paths) * np.sqrt(4.0 / 6.0)
    return noise


def _fitted_delay(chance: np.random.Generator) -> tuple[int, bool] | None:
    """Timesteps from the break until nothing is in use, and whether the watch did it; None without a β at the break."""
    n, half_life = FITTED_ASSETS, FITTED_HALF_LIFE
    settings = reversion_settings(
        ReversionConfig(methods=("johansen",), window_steps=FITTED_WINDOW_STEPS, holdout_steps=FITTED_WINDOW_STEPS // 4)
    )
    kept = 0.5 ** (1.0 / half_life)
    deviation = STEP / np.sqrt(1.0 - kept**2)
    break_at = FITTED_WINDOW_STEPS + settings.lags + 1 + round(HELD_HALF_LIVES * half_life)
    end = break_at + round(FOLLOWED_HALF_LIVES * half_life)
    log_prices = np.cumsum(STEP * chance.normal(size=(end, n)), axis=0)
    basket_spread = deviation * chance.normal()
    for t in range(end):
        pulled = kept * basket_spread if t < break_at else basket_spread + FITTED_DRIFT * deviation / half_life
        basket_spread = pulled + STEP * chance.normal()
        log_prices[t, 0] = log_prices[t, 1] + basket_spread

    names = tuple(str(asset) for asset in range(n))
    rolling, live = RollingReversion(n, settings, names), LiveBetas()
    variances = STEP**2 * np.ones(n)
    variances[0] += deviation**2 * 2.0 * (1.0 - kept)
    for t in range(end):
        if t:
            move = Move(log_prices[t - 1], log_prices[t] - log_prices[t - 1], 1)
            live, broken = watched(live, [move] * len(live.betas), variances, 1, settings)
            if broken and not live.betas and t >= break_at:
                return t - break_at + 1, True
        rolling.push(log_prices[t])
        live = row_taken(live, settings)
        if rolling.ready and t % FITTED_REFIT_STEPS == 0:
            refit = rolling.refit([beta.vector for beta in live.betas], barred(live))
            live = renewed(live, refit, names, settings)
        if t == break_at - 1 and not live.betas:
            return None
        if t >= break_at and not live.betas:
            return t - break_at + 1, False
    return end - break_at, False
