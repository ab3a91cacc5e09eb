"""Prices with one planted pair, and models small enough to walk in a second."""

from __future__ import annotations

import numpy as np
import pytest

from stream.config import CovarianceConfig, ReversionConfig
from stream.studies.read.prices import Prices
from stream.studies.validate.walk import Models

DAY_NS = 86_400_000_000_000


def priced(log_prices: np.ndarray) -> Prices:
    """Daily prices of assets A, B, ..., with a gap of three days after every fifth row."""
    T, n = log_prices.shape
    days = np.arange(T) + 2 * (np.arange(T) // 5)
    return Prices(
        names=tuple("ABCDEFGH"[:n]),
        times_ns=days * DAY_NS + 16_436 * DAY_NS,
        timesteps=days,
        prices=np.exp(log_prices),
        timestep_ns=DAY_NS,
        gaps=int((np.diff(days) > 1).sum()),
        left_out=(),
        sha256="0" * 64,
    )


def walks(T: int, n: int, seed: int) -> np.ndarray:
    """(T, n) independent log walks of 1 % a day."""
    return np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, (T, n)), axis=0)


@pytest.fixture(scope="session")
def independent() -> Prices:
    """Four walks that have nothing to do with each other."""
    return priced(walks(700, 4, 1))


@pytest.fixture(scope="session")
def related() -> Prices:
    """The same, but B follows A up to a hundredth of its variance."""
    log_prices = walks(700, 4, 1)
    log_prices[:, 1] = log_prices[:, 0] + np.cumsum(np.random.default_rng(2).normal(0.0, 0.001, 700))
    return priced(log_prices)


@pytest.fixture(scope="session")
def models() -> Models:
    """Windows short enough for 700 rows, and refits every tenth."""
    return Models(
        CovarianceConfig(half_life_steps=60.0, min_observations=60),
        ReversionConfig(window_steps=160, holdout_steps=50, refit_every_steps=10),
    )
