"""Risk over many timesteps: the forecast for the β that a refit accepts, what follows, and the cost of computing it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solver.arrays import FloatArray
from solver.covariance import ExponentialCovariance, WindowCovariance
from solver.reversion.horizon import stationary_horizon_covariance
from solver.reversion.refits.adjustment import adjustment_speeds, horizon_covariance_under
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.vector import BetaVector
from stream.bench.figures import Comparison, compare, measure
from stream.bench.real_prices import ecb_prices
from stream.bench.timing import timed_alone
from stream.config import ReversionConfig
from stream.config.reversion import reversion_settings

SEED = 20_141_005
ASSETS, BASKETS = 6, 2
HORIZONS = (10, 50)
# Futures of one window. With many, the error of the estimate shows beside the chance of the next steps.
FUTURES = 40
CURRENCIES = 11
SETTINGS = reversion_settings(ReversionConfig(methods=("johansen", "baskets")))


def horizon_figures(windows: int = 300, walks: int = 1500) -> list[Comparison]:
    """Planted basket spreads by half-life and window, walks mistaken for them, currencies, and the time of one model.

    `windows` of 500 steps, and a quarter as many of 2,000, for each half-life.
    """
    planted = [
        _planted(half_life, window, windows * 500 // window)
        for window in (500, 2000)
        for half_life in (5.0, 10.0, 20.0)
    ]
    return [*(figure for figures in planted for figure in figures), *_mistaken(walks), *_currencies(), _time()]


def _planted(half_life: float, window: int, windows: int) -> list[Comparison]:
    """Two basket spreads of two legs each among six correlated assets; the legs share the reversion at random."""
    chance = np.random.default_rng([SEED, round(half_life), window])
    settings = replace(SETTINGS, window_steps=window, holdout_steps=window // 4)
    forecast: dict[int, list[float]] = {steps: [] for steps in HORIZONS}
    walk: dict[int, list[float]] = {steps: [] for steps in HORIZONS}
    found = 0
    for _ in range(windows):
        shocks, alpha, B = _model(chance, half_life)
        x = _paths(chance, shocks, alpha, B, np.zeros((1, ASSETS)), window + 210)[200:, 0]
        betas, Sigma = _refit(x, settings)
        found += bool(betas)
        if not betas:
            continue
        weights = np.array([beta.weights for beta in betas]).T
        future = _paths(chance, shocks, alpha, B, np.repeat(x[-1:], FUTURES, axis=0), max(HORIZONS))
        for steps in HORIZONS:
            squares = np.mean(((future[steps - 1] - x[-1]) @ weights) ** 2, axis=0)
            forecast[steps] += (squares / _variances(weights, horizon_covariance_under(betas, Sigma, steps))).tolist()
            walk[steps] += (squares / _variances(weights, steps * Sigma)).tolist()
    return [
        compare(
            f"risk over {steps} steps of reverting β: half-life {half_life:g}, window {window}",
            "what follows, of the forecast",
            float(np.sqrt(np.mean(forecast[steps]))),
            "of that of a walk",
            float(np.sqrt(np.mean(walk[steps]))),
            "times",
            "1 on the left; below it the forecast errs to more",
            f"root mean square over {len(forecast[steps])} β by `johansen` and `baskets` in {found} of {windows} "
            f"windows, {FUTURES} futures each; with the covariance of the window's returns",
        )
        for steps in HORIZONS
    ]


def _mistaken(windows: int) -> list[Comparison]:
    """The β that are accepted as reverting among random walks: how much too low their risk is."""
    chance = np.random.default_rng([SEED, 0])
    settings = replace(SETTINGS, methods=("sparse", "baskets"))
    ratios: list[float] = []
    found = 0
    for _ in range(windows):
        x = np.cumsum(chance.normal(0.0, 0.01, (settings.window_steps + 10, 3)), axis=0)
        betas, Sigma = _refit(x, settings)
        if betas:
            found += 1
            weights = np.array([beta.weights for beta in betas]).T
            true = 50 * np.sum(weights**2, axis=0) * 1e-4
            ratios += (true / _variances(weights, horizon_covariance_under(betas, Sigma, 50))).tolist()
    if not ratios:
        return []
    return [
        measure(
            "risk over 50 steps of walks mistaken for reverting β",
            "what follows, of the forecast",
            float(np.sqrt(np.mean(ratios))),
            "times",
            "near 1, and rare",
            f"{found} of {windows} windows of {settings.window_steps} steps of three independent walks have any",
        )
    ]


def _currencies() -> list[Comparison]:
    """Every β in use on the European Central Bank's rates, and its basket spread over the next ten days."""
    steps = 10
    log_prices = np.log(ecb_prices(CURRENCIES))
    settings = replace(SETTINGS, methods=("sparse", "johansen", "baskets"))
    rolling = RollingReversion(CURRENCIES, settings)
    covariance = ExponentialCovariance(CURRENCIES, 60.0, "none")
    betas: tuple[BetaVector, ...] = ()
    scores: dict[str, list[float]] = {"by `basis` alone": [], "with `reverting`": []}
    for day in range(len(log_prices) - steps):
        rolling.push(log_prices[day])
        if day:
            covariance.update(log_prices[day] - log_prices[day - 1])
        if not rolling.ready or day % steps:
            continue
        betas = rolling.refit(betas).betas
        if not betas:
            continue
        weights = np.array([beta.weights for beta in betas]).T
        variances = _variances(weights, horizon_covariance_under(betas, covariance.estimate(), steps))
        change = (log_prices[day + steps] - log_prices[day]) @ weights
        for beta, z in zip(betas, change / np.sqrt(variances), strict=True):
            scores["with `reverting`" if beta.adjustment.any() else "by `basis` alone"].append(float(z))
    return [
        measure(
            f"risk over {steps} days of β in use on ECB rates, {kind}",
            "what follows, of the forecast",
            float(np.sqrt(np.mean(np.minimum(np.abs(values), 5.0) ** 2))),
            "times",
            "near 1",
            f"{CURRENCIES} currencies, one refit in ten days, {len(values)} changes, each counted at five forecasts at "
            f"most; {np.mean(np.abs(values) < 1.0):.0%} are within one (68 % of a normal), "
            f"{np.mean(np.abs(values) > 3.0):.1%} beyond three",
        )
        for kind, values in scores.items()
        if values
    ]


def _time() -> Comparison:
    """Σ_H of one model, and α of one refit."""
    chance = np.random.default_rng([SEED, 1])
    n, K = 20, 8
    factor = chance.normal(size=(n, n))
    Sigma = factor @ factor.T + np.eye(n)
    B = chance.normal(size=(n, K))
    speeds = np.diag(chance.uniform(0.03, 0.2, K))
    alpha = -Sigma @ B @ np.linalg.solve(B.T @ Sigma @ B, speeds)
    levels = 50 * np.eye(n) + Sigma
    times = [timed_alone(stationary_horizon_covariance, Sigma, alpha, B, 250)[0] for _ in range(500)]
    fits = [timed_alone(adjustment_speeds, levels, levels @ B @ alpha.T, Sigma, 500, B)[0] for _ in range(200)]
    return measure(
        "covariance over the horizon",
        "median",
        float(np.median(times)) * 1e6,
        "µs",
        "far below a millisecond",
        f"n = {n}, {K} reverting β, 250 steps, once a model; the speeds of a refit take {np.median(fits) * 1e6:.0f} µs",
    )


def _model(chance: np.random.Generator, half_life: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Covariance of the shocks (n, n), speeds and vectors (n, 2)."""
    factor = 0.5 * chance.normal(size=(ASSETS, ASSETS)) + np.eye(ASSETS)
    shocks = factor @ factor.T
    volatility = 0.01 * chance.uniform(0.5, 1.5, ASSETS) / np.sqrt(np.diag(shocks))
    alpha, B = np.zeros((ASSETS, BASKETS)), np.zeros((ASSETS, BASKETS))
    for k in range(BASKETS):
        legs = [2 * k, 2 * k + 1]
        B[legs, k] = 1.0, -chance.uniform(0.5, 1.5)
        alpha[legs, k] = -(1.0 - 0.5 ** (1.0 / half_life)) * chance.dirichlet(np.ones(2)) / B[legs, k]
    return shocks * np.outer(volatility, volatility), alpha, B


def _paths(
    chance: np.random.Generator, shocks: FloatArray, alpha: FloatArray, B: FloatArray, start: FloatArray, steps: int
) -> FloatArray:
    """(steps, paths, n) log prices after each step from `start` (paths, n)."""
    factor = np.linalg.cholesky(shocks)
    x, path = start, np.empty((steps, *start.shape))
    for step in range(steps):
        x = x + x @ B @ alpha.T + chance.normal(size=x.shape) @ factor.T
        path[step] = x
    return path


def _refit(x: FloatArray, settings: ReversionSettings) -> tuple[list[BetaVector], FloatArray]:
    """The reverting β of the window that ends with `x`, and the covariance of its returns."""
    rolling = RollingReversion(x.shape[1], settings)
    covariance = WindowCovariance(x.shape[1], settings.window_steps, "none")
    for log_price, log_return in zip(x, np.diff(x, axis=0, prepend=x[:1]), strict=True):
        rolling.push(log_price)
        covariance.update(log_return)
    return [beta for beta in rolling.refit().betas if "reverting" in beta.evidence], covariance.estimate()


def _variances(B: FloatArray, Sigma: FloatArray) -> FloatArray:
    variances: FloatArray = np.einsum("ik,ij,jk->k", B, Sigma, B)
    return variances
