"""Assets that fall silent or are listed later: they take themselves out, and nothing is filled."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from statsmodels.stats.correlation_tools import cov_nearest

from solver.covariance import ExponentialCovariance, LogReturns, SampledCovariance, Shrinkage, WindowCovariance
from solver.errors import IllPosed, NotEnoughData

HALF_LIFE, WINDOW = 12.0, 40

KINDS = ("exponential", "window")


def sampled(kind: str, n: int, shrinkage: Shrinkage = "none", every_steps: int = 1) -> SampledCovariance:
    estimator = (
        ExponentialCovariance(n, HALF_LIFE, shrinkage)
        if kind == "exponential"
        else WindowCovariance(n, WINDOW, shrinkage)
    )
    return SampledCovariance(n, every_steps, estimator)


def prices_with_gaps(seed: int, steps: int = 160, n: int = 5) -> np.ndarray:
    """(steps, n) log prices: the first asset is always there, the others have gaps, the last two are listed late."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=(steps, n)) @ rng.normal(size=(n, n)) * 1e-3, axis=0)
    for asset in range(1, n):
        for begin in np.flatnonzero(rng.random(steps) < 0.06):
            walk[begin : begin + rng.integers(1, 9), asset] = np.nan
    walk[:50, n - 2], walk[: 50 + seed, n - 1] = np.nan, np.nan
    return walk


def pair_of(log_prices: np.ndarray, i: int, j: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns of i and of j between the times at which both had a price, and the rows in which these end.

    A return over k rows is scaled by 1/√k.

    An asset counts from its first two prices in a row.
    """
    priced = np.isfinite(log_prices)
    begun = [int(np.flatnonzero(priced[:-1, k] & priced[1:, k])[0]) for k in (i, j)]
    times = [t for t in range(max(begun), len(log_prices)) if priced[t, i] and priced[t, j]]
    scale = np.sqrt(np.diff(times))
    return np.diff(log_prices[times, i]) / scale, np.diff(log_prices[times, j]) / scale, np.array(times[1:])


def plain_estimate(log_prices: np.ndarray, kind: str) -> np.ndarray:
    """Correlation of each pair on its own returns, times the volatilities of the two, by loops and definitions."""
    n = log_prices.shape[1]
    Sigma = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            means = []
            for one, other in ((i, j), (i, i), (j, j)):
                a, b, ends = pair_of(log_prices, one, other)
                if kind == "window":
                    weights = (ends >= len(log_prices) - WINDOW).astype(float)
                else:
                    weights = 0.5 ** (np.arange(len(a))[::-1] / HALF_LIFE)
                means.append(weights @ (a * b) / weights.sum())
                if (one, other) == (i, j):
                    correlation = weights @ (a * b) / np.sqrt((weights @ a**2) * (weights @ b**2))
            Sigma[i, j] = correlation * np.sqrt(means[1] * means[2])
    return Sigma


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_each_pair_is_estimated_on_what_was_seen_of_both(kind: str, seed: int) -> None:
    """Equal to loops over the definitions, repaired by statsmodels, at many places of a course with gaps and listings.

    Where the pairwise matrix is no covariance the repair clips its eigenvalues; statsmodels clips at another least
    value, which moves entries by less than 1e-9 of the variances.
    """
    log_prices = prices_with_gaps(seed)
    estimator = sampled(kind, 5)
    repaired = 0
    for t, row in enumerate(log_prices):
        estimator.take(row, t)
        if t >= 100 and t % 7 == 0:
            expected = plain_estimate(log_prices[: t + 1], kind)
            if np.linalg.eigvalsh(expected)[0] < 0:
                expected = cov_nearest(expected, method="clipped", threshold=1e-10)
                repaired += 1
            volatility = np.sqrt(np.diag(expected))
            np.testing.assert_allclose(
                estimator.estimate() / np.outer(volatility, volatility),
                expected / np.outer(volatility, volatility),
                rtol=0,
                atol=1e-9,
            )
            returns_held = [len(pair_of(log_prices[: t + 1], k, k)[0]) for k in range(5)]
            if kind == "exponential":
                assert estimator.asset_observations.tolist() == returns_held
    assert repaired < 9, "else the oracle is the repair alone"


@pytest.mark.parametrize("kind", KINDS)
def test_a_gap_of_all_is_a_longer_return_of_all(kind: str) -> None:
    """Rows without any price leave no trace: the estimate is that of the rows that there were, to the last bit."""
    log_prices = np.cumsum(np.random.default_rng(3).normal(size=(90, 3)), axis=0) * 1e-3
    with_gaps, without = sampled(kind, 3), sampled(kind, 3)
    for t, row in enumerate(log_prices):
        with_gaps.take(np.full(3, np.nan) if 30 <= t < 41 else row, t)
        if not 30 <= t < 41:
            without.take(row, t)
    np.testing.assert_array_equal(with_gaps.estimate(), without.estimate())


@pytest.mark.parametrize("kind", KINDS)
def test_a_hedge_that_held_through_a_silence_still_is_one(kind: str) -> None:
    """Two assets that move as one, of which one is silent for a while: its return over the gap meets the other's.

    The two see different returns, so their variances, and their correlations with a third, differ by sampling error.
    What the repair takes from their own correlation for it is the price: a basis ratio of about a hundredth.
    """
    rng = np.random.default_rng(5)
    common = np.cumsum(rng.normal(size=80)) * 1e-3
    log_prices = np.column_stack([common, common + rng.normal(size=80) * 1e-6, np.cumsum(rng.normal(size=80)) * 1e-3])
    log_prices[60:70, 1] = np.nan
    estimator = sampled(kind, 3)
    for t, row in enumerate(log_prices):
        estimator.take(row, t)
    Sigma = estimator.estimate()
    assert Sigma[0, 1] / np.sqrt(Sigma[0, 0] * Sigma[1, 1]) > 0.99
    basket_spread_variance = Sigma[0, 0] + Sigma[1, 1] - 2.0 * Sigma[0, 1]
    assert basket_spread_variance / (Sigma[0, 0] + Sigma[1, 1]) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_asset_changes_nothing_for_the_others(kind: str) -> None:
    """Variances and correlations of the others are those that they have without it, when it is not asked for."""
    log_prices = np.cumsum(np.random.default_rng(6).normal(size=(70, 4)), axis=0) * 1e-3
    three, four = sampled(kind, 3), sampled(kind, 4)
    for t, row in enumerate(log_prices):
        three.take(row[:3], t)
        row[3] = np.nan if t > 30 else row[3]
        four.take(row, t)
    others = np.array([True, True, True, False])
    np.testing.assert_allclose(four.estimate(1, others)[:3, :3], three.estimate(), rtol=1e-12)


@pytest.mark.parametrize("shrinkage", get_args(Shrinkage))
@pytest.mark.parametrize("kind", KINDS)
def test_positive_semi_definite_and_equivariant_with_gaps(kind: str, shrinkage: Shrinkage) -> None:
    """Whatever is missing: symmetric, PSD to rounding, a common scale squares through, an order of assets permutes."""
    log_prices = prices_with_gaps(11)

    def estimate(course: np.ndarray) -> np.ndarray:
        estimator = sampled(kind, 5, shrinkage)
        for t, row in enumerate(course):
            estimator.take(row, t)
        return estimator.estimate(5)

    Sigma = estimate(log_prices)
    np.testing.assert_array_equal(Sigma, Sigma.T)
    assert np.linalg.eigvalsh(Sigma)[0] > -1e-14 * Sigma.max()
    np.testing.assert_allclose(estimate(8.0 * log_prices), 64.0 * Sigma, rtol=1e-9)
    order = np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(estimate(log_prices[:, order]), Sigma[np.ix_(order, order)], rtol=1e-7, atol=1e-16)


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_in(kind: str) -> None:
    """An asset needs returns of its own, and common ones with whoever is in before it; `among` keeps others out."""
    rng = np.random.default_rng(8)
    log_prices = np.cumsum(rng.normal(size=(60, 4)), axis=0) * 1e-3
    log_prices[:45, 1] = np.nan  # listed late: 14 returns
    log_prices[::2, 2] = np.nan  # never two prices in a row: no return
    log_prices[30:, 3] = np.nan  # 29 returns, none of them with the second
    estimator = sampled(kind, 4)
    with pytest.raises(NotEnoughData, match="at least 1 return"):
        estimator.estimate()
    for t, row in enumerate(log_prices):
        estimator.take(row, t)

    def known(min_observations: int, among: np.ndarray | None = None) -> list[int]:
        estimate = estimator.estimate(min_observations, among)
        inside = np.isfinite(np.diag(estimate))
        assert np.isfinite(estimate[np.ix_(inside, inside)]).all()
        assert np.isnan(estimate[~inside]).all()
        assert np.isnan(estimate[:, ~inside]).all()
        return np.flatnonzero(inside).tolist()

    held = 29 if kind == "exponential" else 10
    assert estimator.asset_observations.tolist() == [59 if kind == "exponential" else 40, 14, 0, held]
    assert known(1) == ([0, 3] if kind == "exponential" else [0, 1])
    assert known(12) == ([0, 3] if kind == "exponential" else [0, 1])
    assert known(30) == [0]
    assert known(10, np.array([True, True, True, False])) == [0, 1]
    with pytest.raises(NotEnoughData, match="at least 80"):
        estimator.estimate(80)


@pytest.mark.parametrize("shrinkage", ["none", "ledoit-wolf"])
@pytest.mark.parametrize("kind", KINDS)
def test_restored_state_goes_on_bit_for_bit_in_a_gap(kind: str, shrinkage: Shrinkage) -> None:
    """Export at any step, restore, continue: the same bits, with returns pending and assets not listed yet."""
    log_prices = prices_with_gaps(4)
    for cut in (30, 55, 56, 57, 58, 90, 120):
        unbroken, resumed = sampled(kind, 5, shrinkage, 2), sampled(kind, 5, shrinkage, 2)
        for t, row in enumerate(log_prices):
            unbroken.take(row, t)
            if t == cut:
                resumed.restore(unbroken.arrays())
            elif t > cut:
                resumed.take(row, t)
        for name, array in unbroken.arrays().items():
            np.testing.assert_array_equal(resumed.arrays()[name], array, err_msg=name)


def test_bad_rows_are_refused() -> None:
    """A wrong shape, an infinite price or no asset at all: typed errors, and nothing was changed."""
    estimator = sampled("window", 2)
    for bad in (np.zeros(3), np.array([np.inf, 0.0])):
        with pytest.raises(IllPosed, match="log_prices"):
            estimator.take(bad, 1)
    estimator.take(np.zeros(2), 1)
    estimator.take(np.ones(2), 2)
    assert estimator.observations == 1
    with pytest.raises(IllPosed, match="n must be"):
        LogReturns(0)
    with pytest.raises(IllPosed, match="every_steps"):
        sampled("window", 2, every_steps=0)
    with pytest.raises(IllPosed):
        estimator.restore(sampled("window", 3).arrays())
