"""What β do on later prices, and shuffled prices on which they can do nothing."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.stattools import adfuller

from solver.errors import IllPosed, NotEnoughData
from solver.scoring.relationships import block_shuffled, followed

PAIR = np.array([[1.0], [-1.0]])


def reverting_pair(chance: np.random.Generator, T: int, half_life: float) -> np.ndarray:
    """(T, 2) log prices whose difference is an AR(1) of that half-life."""
    common, persistence = np.cumsum(chance.normal(size=T)), 0.5 ** (1.0 / half_life)
    noise, basket_spread = chance.normal(size=T), np.zeros(T)
    for t in range(1, T):
        basket_spread[t] = persistence * basket_spread[t - 1] + noise[t]
    return np.column_stack([common + basket_spread, common])


@pytest.mark.filterwarnings("ignore:adfuller currently returns:FutureWarning")
def test_the_test_is_statsmodels() -> None:
    """The p-value is that of statsmodels' augmented Dickey-Fuller test of the basket spread, with one lag and a
    constant."""
    prices = reverting_pair(np.random.default_rng(1), 200, 15.0)
    expected = adfuller(prices[:, 0] - prices[:, 1], maxlag=1, regression="c", autolag=None)
    assert followed(prices, PAIR, 1, 1).p_values[0] == pytest.approx(float(expected[1]), rel=1e-6)


def test_walks_are_rejected_as_often_as_the_level_says() -> None:
    """Of 600 pairs of walks, 125 rows each, between 3 and 8 % pass for reverting at 5 %."""
    chance = np.random.default_rng(2)
    walks = np.cumsum(chance.normal(size=(600, 125, 2)), axis=1)
    rejected = [followed(walk, PAIR, 1, 1).p_values[0] <= 0.05 for walk in walks]
    assert 0.03 < np.mean(rejected) < 0.08


def test_half_life_and_ratio_of_a_known_process() -> None:
    """On 20,000 rows the half-life is within a tenth, and the ratio that of a basket spread step to both legs'
    steps."""
    found = followed(reverting_pair(np.random.default_rng(3), 20_000, 10.0), PAIR, 1, 1)
    assert found.half_lives[0] == pytest.approx(10.0, rel=0.1)
    # Var Δs = 2 / (1 + φ), and the legs' are 1 + Var Δs and 1.
    step = 2.0 / (1.0 + 0.5**0.1)
    assert found.basis_ratios[0] == pytest.approx(step / (2.0 + step), rel=0.05)


def test_legs_that_stand_still() -> None:
    """Neither reversion nor a hedge is shown by prices that do not move."""
    found = followed(np.zeros((50, 2)), PAIR, 1, 1)
    assert np.isinf(found.basis_ratios[0])
    assert np.isinf(found.half_lives[0])
    assert found.p_values[0] > 0.5


def test_a_shuffle_keeps_returns_and_loses_relations() -> None:
    """Each asset has its own returns in another order, its first and last price, and no correlation with the other."""
    prices = reverting_pair(np.random.default_rng(4), 4_001, 10.0)
    shuffled = block_shuffled(prices, 20, np.random.default_rng(5))
    before, after = np.diff(prices, axis=0), np.diff(shuffled, axis=0)
    np.testing.assert_allclose(np.sort(after, axis=0), np.sort(before, axis=0), atol=1e-9)
    np.testing.assert_allclose(shuffled[[0, -1]], prices[[0, -1]], atol=1e-9)
    assert np.corrcoef(before.T)[0, 1] > 0.6
    assert abs(np.corrcoef(after.T)[0, 1]) < 4 / np.sqrt(4_000)


def test_blocks_stay_together() -> None:
    """Within a block each return is followed by the one that followed it, in nineteen of twenty places."""
    prices = np.cumsum(np.arange(401.0))[:, None] ** 1.0
    shuffled = np.diff(block_shuffled(np.hstack([prices, prices]), 20, np.random.default_rng(6)), axis=0)[:, 0]
    assert np.mean(np.isclose(np.diff(shuffled), 1.0)) == pytest.approx(0.95, abs=0.01)


def test_bad_input() -> None:
    """Shapes that do not fit, NaN and stretches too short are refused."""
    prices = np.random.default_rng(7).normal(size=(50, 2))
    for log_prices, B in ((prices[0], PAIR), (prices, PAIR[:1]), (prices * np.nan, PAIR), (prices, PAIR * np.inf)):
        with pytest.raises(IllPosed):
            followed(log_prices, B, 1, 1)
    with pytest.raises(NotEnoughData):
        followed(prices[:5], PAIR, 1, 1)
    with pytest.raises(IllPosed):
        block_shuffled(prices, 0, np.random.default_rng(1))
    with pytest.raises(NotEnoughData):
        block_shuffled(prices[:2], 1, np.random.default_rng(1))
