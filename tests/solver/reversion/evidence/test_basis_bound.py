"""The upper bound of a basis ratio covers the true one about as often as it says, and falls with more data."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import IllPosed, NotEnoughData
from solver.reversion.evidence.basis import basis_ratios
from solver.reversion.evidence.basis_bound import RESAMPLES, basis_ratio_bounds, resampling_weights

PAIR = np.array([[1.0], [-1.0]])


def correlated(rng: np.random.Generator, observations: int, ratio: float) -> np.ndarray:
    """Changes of two legs of variance 1 whose difference has this basis ratio."""
    changes = rng.normal(size=(observations, 2))
    changes[:, 1] = (1.0 - ratio) * changes[:, 0] + np.sqrt(1.0 - (1.0 - ratio) ** 2) * changes[:, 1]
    return changes


@pytest.mark.parametrize("ratio", [0.1, 0.3])
def test_coverage(ratio: float) -> None:
    """A 95 % bound from 125 normal changes lies above the true ratio in 91 to 98 % of 500 samples."""
    rng = np.random.default_rng(1)
    weights = resampling_weights(125, 5, rng)
    covered = sum(basis_ratio_bounds(PAIR, correlated(rng, 125, ratio), weights, 0.95)[0] >= ratio for _ in range(500))
    assert 0.91 < covered / 500 < 0.98


def test_equals_resampling_by_hand() -> None:
    """The bound is the quantile of the ratios of samples in which each change is repeated as its weight says."""
    rng = np.random.default_rng(2)
    changes, B = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)) + 0.5, rng.normal(size=(3, 2))
    weights = resampling_weights(40, 3, rng)
    ratios = []
    for row in weights:
        repeated = np.repeat(changes, np.rint(row * 40).astype(int), axis=0)
        ratios.append(basis_ratios(B, np.cov(repeated.T, bias=True)))
    expected = np.quantile(np.array(ratios), 0.9, axis=0, method="higher")
    np.testing.assert_allclose(basis_ratio_bounds(B, changes, weights, 0.9), expected, rtol=1e-9)


def test_weights_are_blocks() -> None:
    """Every resample has as many changes as there are, in blocks: neighbours are drawn together as often as the mean
    length says."""
    weights = resampling_weights(200, 8, np.random.default_rng(3))
    assert weights.shape == (RESAMPLES, 200)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    apart = resampling_weights(200, 1, np.random.default_rng(3))

    def neighbours(drawn: np.ndarray) -> float:
        centred = drawn - drawn.mean()
        return float((centred * np.roll(centred, 1, axis=1)).sum() / (centred**2).sum())

    # The counts of two neighbours share all draws but those at the ends of blocks.
    assert neighbours(weights) == pytest.approx(1.0 - 1.0 / 8.0, abs=0.03)
    assert neighbours(apart) == pytest.approx(0.0, abs=0.03)


def test_bound_is_above_the_ratio_scale_free_and_tightens() -> None:
    """More confidence is a higher bound, four times the data about half the distance, and scale changes nothing."""
    rng = np.random.default_rng(4)
    few, many = correlated(rng, 125, 0.2), correlated(rng, 2000, 0.2)
    weights = resampling_weights(125, 1, rng)
    low, high = (basis_ratio_bounds(PAIR, few, weights, level)[0] for level in (0.5, 0.99))
    ratio = basis_ratios(PAIR, np.cov(few.T, bias=True))[0]
    assert ratio < high
    assert low < high
    np.testing.assert_allclose(basis_ratio_bounds(-3.0 * PAIR, 5.0 * few, weights, 0.99), high)
    tight = basis_ratio_bounds(PAIR, many, resampling_weights(2000, 1, rng), 0.99)[0]
    assert tight - basis_ratios(PAIR, np.cov(many.T, bias=True))[0] < 0.5 * (high - ratio)


def test_still_legs_and_perfect_hedges() -> None:
    """Legs that never moved bound nothing, a perfect hedge is bounded by 0."""
    changes = np.column_stack([np.random.default_rng(5).normal(size=(30, 1))] * 2)
    weights = resampling_weights(30, 2, np.random.default_rng(6))
    assert basis_ratio_bounds(PAIR, changes, weights, 0.95)[0] == 0.0
    assert basis_ratio_bounds(PAIR, np.zeros((30, 2)), weights, 0.95)[0] == np.inf


def test_bad_input() -> None:
    """Shapes that do not fit, a confidence or a block out of range and a single change are typed errors."""
    rng = np.random.default_rng(7)
    weights = resampling_weights(30, 2, rng)
    with pytest.raises(IllPosed, match="changes must be"):
        basis_ratio_bounds(PAIR, np.zeros((29, 2)), weights, 0.95)
    with pytest.raises(IllPosed, match="confidence"):
        basis_ratio_bounds(PAIR, np.zeros((30, 2)), weights, 1.0)
    with pytest.raises(NotEnoughData, match="got 1"):
        basis_ratio_bounds(PAIR, np.zeros((1, 2)), resampling_weights(1, 1, rng), 0.95)
    for observations, mean_block in ((0, 2.0), (30, 0.5), (30, np.nan)):
        with pytest.raises(IllPosed, match="mean_block"):
            resampling_weights(observations, mean_block, rng)
