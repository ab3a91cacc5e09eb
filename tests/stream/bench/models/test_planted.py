"""The baskets that must be found."""

from __future__ import annotations

import numpy as np
import pytest

from stream.bench.models.planted import ASSETS, HALF_LIVES, WINDOW_STEPS, planted_basket


@pytest.mark.parametrize("legs", [2, 3, 4])
def test_a_planted_basket_is_what_it_says(legs: int) -> None:
    """Its legs, an innovation of the size asked for, a half-life in the range; all other assets are walks of step 1."""
    innovations, kept = [], []
    for seed in range(60):
        log_prices, weights = planted_basket(np.random.default_rng(seed), legs, 0.5)
        assert log_prices.shape == (WINDOW_STEPS, ASSETS)
        assert np.count_nonzero(weights) == legs
        basket_spread = log_prices @ weights
        slope, _ = np.polyfit(basket_spread[:-1], basket_spread[1:], 1)
        kept.append(slope)
        innovations.append(np.std(basket_spread[1:] - slope * basket_spread[:-1]))
        assert np.diff(log_prices[:, weights == 0.0], axis=0).std() == pytest.approx(1.0, rel=0.1)
    assert np.mean(innovations) == pytest.approx(0.5, rel=0.02)
    # Least squares underrates persistence by some (1 + 3 φ) / T; drawn uniformly in the half-life.
    expected = np.mean(0.5 ** (1.0 / np.linspace(*HALF_LIVES, 100)))
    assert np.mean(kept) == pytest.approx(expected, abs=0.015)
