"""Independent random walks, which have no β: how often one is selected nevertheless."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solver.arrays import FloatArray
from solver.reversion.live.betas import LiveBetas, Move, barred, renewed, row_taken, watched
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.vector import METHODS, Method
from stream.bench.figures import Comparison, measure
from stream.bench.proportion import proportion
from stream.config import ReversionConfig
from stream.config.reversion import reversion_settings

SEED = 20_141_010
ASSETS = 8
STEP = 0.006
FOLLOWED_REFIT_STEPS = 10

Steps = Callable[[np.random.Generator, int], FloatArray]


def normal_steps(chance: np.random.Generator, count: int) -> FloatArray:
    """(count, ASSETS) of variance 1."""
    return chance.normal(size=(count, ASSETS))


def heavy_steps(chance: np.random.Generator, count: int) -> FloatArray:
    """(count, ASSETS) from Student's t with three degrees of freedom, whose variance is finite and kurtosis is not."""
    steps: FloatArray = chance.standard_t(3.0, size=(count, ASSETS)) / np.sqrt(3.0)
    return steps


def garch_steps(chance: np.random.Generator, count: int) -> FloatArray:
    """(count, ASSETS) of variance 1, each asset with its own GARCH(1, 1) of persistence .98.

    References
    ----------
    Bollerslev (1986), Generalized autoregressive conditional heteroskedasticity, Journal of Econometrics 31(3).
    """
    steps = chance.normal(size=(count, ASSETS))
    variance = np.ones(ASSETS)
    for row in steps:
        row *= np.sqrt(variance)
        variance = 0.02 + 0.1 * row**2 + 0.88 * variance
    return steps


def selected_among_walks(windows: int, lengths: tuple[int, ...]) -> list[Comparison]:
    """Share of windows with any β selected: normal steps at every length, other steps at the middle length."""
    middle = lengths[len(lengths) // 2]
    cases: list[tuple[str, Steps, int]] = [
        *(("normal steps", normal_steps, length) for length in lengths),
        ("steps of t with 3 degrees of freedom", heavy_steps, middle),
        ("GARCH steps", garch_steps, middle),
    ]
    return [
        figure
        for number, (name, steps, length) in enumerate(cases)
        for figure in _selected(name, steps, length, windows, number)
    ]


def in_use_over_refits(sets: int, steps: int) -> Comparison:
    """Walks followed over refits and watch: the share of refits with any β in use."""
    settings = reversion_settings(ReversionConfig())
    names = tuple(str(asset) for asset in range(ASSETS))
    shares, fresh = [], []
    for number in range(sets):
        walks = STEP * np.cumsum(normal_steps(np.random.default_rng([SEED + 1, number]), steps), axis=0)
        rolling, live = RollingReversion(ASSETS, settings), LiveBetas()
        in_use, anew = [], []
        for t, log_prices in enumerate(walks):
            if t:
                move = Move(walks[t - 1], log_prices - walks[t - 1], 1)
                live, _ = watched(live, [move] * len(live.betas), np.full(ASSETS, STEP**2), 1, settings)
            rolling.push(log_prices)
            live = row_taken(live, settings)
            if rolling.ready and t % FOLLOWED_REFIT_STEPS == 0:
                anew.append(bool(rolling.refit().betas))
                refit = rolling.refit([beta.vector for beta in live.betas], barred(live))
                live = renewed(live, refit, names, settings)
                in_use.append(bool(live.betas))
        shares.append(np.mean(in_use))
        fresh.append(np.mean(anew))
    error = 100.0 * float(np.std(shares, ddof=1)) / np.sqrt(sets) if sets > 1 else np.nan
    return measure(
        f"{ASSETS} independent walks followed over {steps:,} steps, normal steps, sparse: refits with any β in use",
        "share",
        100.0 * float(np.mean(shares)),
        "%",
        "at most 5",
        f"{sets} sets of walks, standard error {error:.1f}, a refit every {FOLLOWED_REFIT_STEPS} steps; "
        f"{100.0 * np.mean(fresh):.1f} % where each refit judges anew: what is in use has to fail to be dropped",
    )


def _selected(name: str, steps: Steps, length: int, windows: int, number: int) -> list[Comparison]:
    defaults = ReversionConfig().methods
    choices: dict[str, tuple[Method, ...]] = {"sparse": defaults, "all seven methods": METHODS}
    selected = dict.fromkeys(choices, 0)
    for window in range(windows):
        walks = STEP * np.cumsum(steps(np.random.default_rng([SEED, number, window]), length + 2), axis=0)
        for choice, methods in choices.items():
            selected[choice] += _any_selected(walks, methods, length)
    return [
        proportion(
            f"{ASSETS} independent walks, {name}, window {length:,}, {choice}: any β selected",
            "windows",
            count,
            windows,
            "at most 5",
            "each window of its own walks, a first refit. It does not show walks that move together",
        )
        for choice, count in selected.items()
    ]


def _any_selected(log_prices: FloatArray, methods: tuple[Method, ...], length: int) -> bool:
    config = ReversionConfig(methods=methods, window_steps=length, holdout_steps=length // 4)
    rolling = RollingReversion(log_prices.shape[1], reversion_settings(config))
    for row in log_prices:
        rolling.push(row)
    return bool(rolling.refit().betas)
