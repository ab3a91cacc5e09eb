"""Compiles every live kernel, or loads it from the cache on disk, so that none is compiled while messages wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from solver.covariance import ExponentialCovariance, HayashiYoshidaCovariance, WindowCovariance
from solver.hedging.cost import flat_ladders
from solver.hedging.problem import HedgeProblem
from solver.hedging.runner_up import runner_up
from solver.hedging.solve import hedge
from solver.objective import Objective, materiality_floor
from solver.packing.bounds import Mode
from solver.packing.methods.many_books import BookPacker
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.vector import Method

SEED = 1
LOT = 1e6
Q = np.array([10e6, -7e6, 2e6])
SIGMA = 1e-6 * (np.eye(3) + 0.1)


def warm_kernels(
    objective: Objective = "volume",
    methods: tuple[Method, ...] = ("sparse",),
    covariance: Literal["exponential", "window", "hayashi-yoshida"] = "exponential",
) -> None:
    """Run every kernel that a service packing by `objective` needs, through the functions that it calls.

    What no service calls (`greedy`, `anneal`, `exact`) is compiled at its first use.

    Parameters
    ----------
    objective : of the packing.
    methods : by which the service finds β. All of them share the kernels of the sliding sums, but the first "ica" loads
        its library, which takes a second.
    covariance : the kind that the service keeps. The one from ticks keeps longer returns by exponential weights.
    """
    warm_models(methods, covariance)
    warm_packing(objective)
    warm_hedging()


def warm_models(
    methods: tuple[Method, ...] = ("sparse",),
    covariance: Literal["exponential", "window", "hayashi-yoshida"] = "exponential",
) -> None:
    """The part of `warm_kernels` that estimates covariances and refits β."""
    n = 3
    exponential = ExponentialCovariance(n, 20.0, "none")
    exponential.update(np.zeros(n))
    exponential.estimate()
    warm_refits(methods)
    if covariance == "window":
        WindowCovariance(n, 40, "none").update(np.zeros(n))
    elif covariance == "hayashi-yoshida":
        no_ticks = np.zeros(0)
        HayashiYoshidaCovariance(n, 20.0, 2, "none").update(no_ticks.astype(np.int64), no_ticks, no_ticks)


def warm_packing(objective: Objective = "volume") -> None:
    """The part of `warm_kernels` that packs."""
    # More items than assets: not proven at once, so that every stage is reached.
    B = LOT * np.random.default_rng(SEED).normal(size=(len(Q), 8))
    start = np.ones((1, 8), dtype=np.int64)
    for mode in get_args(Mode):
        packer = BookPacker(B, SIGMA, objective, mode, materiality_floor(LOT, SIGMA))
        packer.pack(Q[None, :], start, 2_000)


def warm_hedging() -> None:
    """The part of `warm_kernels` that hedges."""
    ladders = flat_ladders(np.array([10.0, 20.0, 30.0]))
    problem = HedgeProblem(
        q=Q,
        A=LOT * np.eye(len(Q)),
        buy=ladders,
        sell=ladders,
        lower=np.full(len(Q), -20),
        upper=np.full(len(Q), 20),
        Sigma=SIGMA,
        basis_variance=0.0,
        target=0.5 * float(np.sqrt(Q @ SIGMA @ Q)),
    )
    # A limit on trades that binds: its kernels are called by nothing else.
    for limited in (problem, replace(problem, max_trades=1)):
        runner_up(limited, hedge(limited))


def warm_refits(methods: tuple[Method, ...]) -> None:
    """Refit once by `methods`: all share the kernels of the sliding sums, and "ica" loads its library."""
    settings = ReversionSettings(
        methods=methods,
        window_steps=60,
        holdout_steps=20,
        basis_horizon_steps=1,
        basis_ratio_max=0.3,
        basis_confidence=0.95,
        false_discovery_rate=0.05,
        half_life_min_steps=1.0,
        half_life_max_steps=60.0,
        switching_penalty=0.1,
        false_alarm_steps=1e6,
        max_legs=3,
        max_vectors=10,
        lags=1,
    )
    reversion = RollingReversion(3, settings)
    for log_prices in np.cumsum(np.random.default_rng(SEED).normal(0.0, 1e-3, (80, 3)), axis=0):
        reversion.push(log_prices)
    reversion.refit()
