"""A covariance of every tenth timestep is that of timesteps ten times as long."""

from __future__ import annotations

import numpy as np

from solver.covariance import ExponentialCovariance, SampledCovariance, Shrinkage, WindowCovariance

HALF_LIFE, WINDOW = 12.0, 40


def sampled(kind: str, n: int, shrinkage: Shrinkage = "none", every_steps: int = 1) -> SampledCovariance:
    estimator = (
        ExponentialCovariance(n, HALF_LIFE, shrinkage)
        if kind == "exponential"
        else WindowCovariance(n, WINDOW, shrinkage)
    )
    return SampledCovariance(n, every_steps, estimator)


def test_every_tenth_timestep_is_a_timestep_ten_times_as_long() -> None:
    """Whatever timesteps are skipped, it is the estimator on the first prices of each block, and costs nothing else."""
    rng = np.random.default_rng(9)
    log_prices = np.cumsum(rng.normal(size=(600, 3)), axis=0) * 1e-3
    timesteps = np.flatnonzero(rng.random(1200) < 0.5)[: len(log_prices)] + 7_000_000_003
    ten, plain = sampled("exponential", 3, every_steps=10), ExponentialCovariance(3, HALF_LIFE, "none")
    for row, timestep in zip(log_prices, timesteps, strict=False):
        ten.take(row, int(timestep))
    _, first = np.unique(timesteps // 10, return_index=True)
    for change in np.diff(log_prices[first], axis=0):
        plain.update(change)
    assert ten.observations == len(first) - 1 > 50
    np.testing.assert_allclose(ten.estimate(), plain.estimate(), rtol=1e-12)
