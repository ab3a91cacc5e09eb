"""Covariance from ticks: the definition over all pairs of intervals, the truth of simulations, and bad input."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from solver.covariance import HayashiYoshidaCovariance, Shrinkage
from solver.errors import IllPosed, NotEnoughData

Ticks = tuple[np.ndarray, np.ndarray, np.ndarray]
ENDLESS = 1e9


def poisson_ticks(seed: int, steps: int, gaps: tuple[float, ...], noise: float = 0.0, rho: float = 0.7) -> Ticks:
    """Indices, times in timesteps and log prices of assets of 1 bp a timestep, each pair correlated by `rho`."""
    rng = np.random.default_rng(seed)
    n = len(gaps)
    indices = np.concatenate([np.full(rng.poisson(steps / gap), i) for i, gap in enumerate(gaps)])
    times = rng.uniform(0.0, steps, len(indices))
    order = np.argsort(times)
    indices, times = indices[order], times[order]
    mixing = np.linalg.cholesky(np.full((n, n), rho) + (1 - rho) * np.eye(n))
    moves = rng.normal(size=(len(times), n)) @ mixing.T * np.sqrt(np.diff(times, prepend=0.0))[:, None] * 1e-4
    prices = np.cumsum(moves, axis=0)[np.arange(len(times)), indices]
    return indices, times, prices + noise * rng.normal(size=len(times))


def fed(estimator: HayashiYoshidaCovariance, ticks: Ticks, steps: int, first: int = 0) -> HayashiYoshidaCovariance:
    """`estimator` after the timesteps from `first` to `steps`; step k covers (k, k + 1]."""
    indices, times, prices = ticks
    edges = np.searchsorted(times, np.arange(first, steps + 1), side="right")
    for step, (begin, end) in enumerate(pairwise(edges), start=first):
        part = slice(begin, end)
        estimator.update(indices[part], times[part] - step, prices[part])
    return estimator


def by_definition(ticks: Ticks, half_life: float, steps: int) -> np.ndarray:
    """Weighted products over all pairs of overlapping intervals, over the weighted time in which both have ticks.

    A product has the weight of the timestep in which the later of its two intervals ends.
    """
    indices, times, prices = ticks
    n = indices.max() + 1
    own = [(times[indices == i], prices[indices == i]) for i in range(n)]
    Sigma = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            total = weighed = 0.0
            (s, x), (u, y) = own[i], own[j]
            for a in range(len(s) - 1):
                for b in range(len(u) - 1):
                    if max(s[a], u[b]) < min(s[a + 1], u[b + 1]):
                        weight = 0.5 ** ((steps - np.ceil(max(s[a + 1], u[b + 1]))) / half_life)
                        total += weight * (x[a + 1] - x[a]) * (y[b + 1] - y[b])
            # The time that both have covered grows with the ticks of the one that lies behind.
            covered = max(s[0], u[0])
            for t in np.sort(np.concatenate([s, u])):
                until = min(s[s <= t][-1] if (s <= t).any() else 0.0, u[u <= t][-1] if (u <= t).any() else 0.0)
                if until > covered:
                    weighed += 0.5 ** ((steps - np.ceil(t)) / half_life) * (until - covered)
                    covered = until
            Sigma[i, j] = total / weighed
    return Sigma


@pytest.mark.parametrize("half_life", [4.0, 25.0, ENDLESS])
def test_products_are_those_of_the_definition(half_life: float) -> None:
    """All pairs of overlapping intervals, by loops; ticks of different assets at one instant included."""
    indices, times, prices = poisson_ticks(1, 40, (0.4, 1.5, 6.0))
    # Grid points shared by all: intervals that touch there do not overlap.
    times = np.where(np.random.default_rng(2).random(len(times)) < 0.4, np.ceil(times * 2) / 2, times)
    order = np.lexsort((indices, times))
    indices, times, prices = indices[order], times[order], prices[order]
    keep = np.ones(len(times), dtype=bool)
    keep[:-1] = (np.diff(times) > 0) | (np.diff(indices) != 0)
    ticks = indices[keep], times[keep], prices[keep]
    estimator = fed(HayashiYoshidaCovariance(3, half_life, 2, "none"), ticks, 40)
    pairs = estimator.arrays()["pairs"]
    off_diagonal = ~np.eye(3, dtype=bool)
    expected = by_definition(ticks, half_life, 40)
    np.testing.assert_allclose((pairs[0] / pairs[1])[off_diagonal], expected[off_diagonal], rtol=1e-9)


def test_variances_are_those_of_two_scales_by_definition() -> None:
    """Mean squares over one tick and over K ticks, by numpy, with ever shorter memory for what came before."""
    K, steps, half_life = 6, 300, 80.0
    indices, times, prices = poisson_ticks(3, steps, (0.5,), noise=5e-5)
    weights = 0.5 ** (-np.ceil(times) / half_life)
    fast = np.average(np.diff(prices) ** 2, weights=weights[1:])
    slow = np.average((prices[K:] - prices[:-K]) ** 2, weights=weights[K:])
    ticks_in_a_timestep = weights[1:].sum() / (weights[1:] @ np.diff(times))
    estimator = fed(HayashiYoshidaCovariance(1, half_life, K, "none"), (indices, times, prices), steps)
    assert estimator.variances()[0] == pytest.approx((slow - fast) / (K - 1) * ticks_in_a_timestep, rel=1e-9)


@pytest.mark.slow
def test_correlation_of_poisson_ticks() -> None:
    """Mean gaps of 1 and 3 timesteps, correlation .7: within .02 of it on average over 100,000, with and without noise.

    On the grid of timesteps, each asset at its latest tick, it comes out below .5.
    """
    found, on_grid = [], []
    for seed, noise in ((1, 0.0), (2, 0.0), (3, 3e-5), (4, 3e-5)):
        indices, times, prices = ticks = poisson_ticks(seed, 100_000, (1.0, 3.0), noise)
        Sigma = fed(HayashiYoshidaCovariance(2, ENDLESS, 10, "none"), ticks, 100_000).estimate()
        np.testing.assert_allclose(np.diag(Sigma), 1e-8, rtol=0.05)
        found.append(Sigma[0, 1] / np.sqrt(Sigma[0, 0] * Sigma[1, 1]))
        latest = [np.searchsorted(times[indices == i], np.arange(100, 100_001), side="right") - 1 for i in range(2)]
        returns = [np.diff(prices[indices == i][at]) for i, at in enumerate(latest)]
        on_grid.append(np.corrcoef(returns)[0, 1])
    assert np.mean(found) == pytest.approx(0.7, abs=0.02)
    assert max(on_grid) < 0.5


def test_symmetric_psd_and_follows_scale_and_order() -> None:
    """Few and noisy ticks, where the parts make no covariance by themselves: it is repaired, and stays equivariant."""
    steps = 90
    indices, times, prices = poisson_ticks(5, steps, (0.3, 1.0, 2.0, 4.0), noise=1e-4, rho=0.95)
    shrinkage: Shrinkage
    for shrinkage in ("none", "oas", "nonlinear"):

        def estimate(
            indices: np.ndarray = indices, prices: np.ndarray = prices, shrinkage: Shrinkage = shrinkage
        ) -> np.ndarray:
            estimator = HayashiYoshidaCovariance(4, 30.0, 4, shrinkage)
            return fed(estimator, (indices, times, prices), steps).estimate(12)

        Sigma = estimate()
        np.testing.assert_array_equal(Sigma, Sigma.T)
        assert np.linalg.eigvalsh(Sigma)[0] > -1e-13 * Sigma.max()
        np.testing.assert_allclose(estimate(prices=4.0 * prices), 16.0 * Sigma, rtol=1e-9)
        order = np.array([2, 0, 3, 1])
        np.testing.assert_allclose(estimate(indices=order[indices])[np.ix_(order, order)], Sigma, rtol=1e-7, atol=1e-15)


def test_an_asset_that_falls_silent_keeps_what_it_has() -> None:
    """Its own figures stay while only others tick, and its next tick spans the gap for its pairs."""
    indices, times, prices = poisson_ticks(6, 4000, (0.5, 0.5, 0.5))
    heard = (indices != 2) | (times < 2000) | (times > 2030)
    ticks = indices[heard], times[heard], prices[heard]
    before = fed(HayashiYoshidaCovariance(3, ENDLESS, 10, "none"), ticks, 2001)
    Sigma = before.estimate()
    during = fed(before, ticks, 2030, first=2001).estimate()
    # What the others did up to now waits for its next tick.
    np.testing.assert_allclose(during[2, 2], Sigma[2, 2], rtol=1e-12)
    assert before.asset_observations[2] < 2001
    after = fed(before, ticks, 4000, first=2030)
    covered = after.arrays()["pairs"][2]
    assert covered[0, 2] > 3990
    Sigma = after.estimate()
    assert Sigma[0, 2] / np.sqrt(Sigma[0, 0] * Sigma[2, 2]) == pytest.approx(0.7, abs=0.1)


def test_noise_beyond_what_two_scales_can_tell_leaves_a_variance() -> None:
    """A price that only bounces has no variance left, or less than none: then the slow scale stands, not zero."""
    prices = np.where(np.arange(400) % 2, 1e-4, -1e-4)
    ticks = np.zeros(400, dtype=np.int64), np.arange(400) + 0.5, prices
    estimator = fed(HayashiYoshidaCovariance(1, ENDLESS, 3, "none"), ticks, 400)
    assert estimator.variances()[0] == pytest.approx(4e-8 / 3)


def test_who_is_in() -> None:
    """An asset needs enough timesteps with a tick, and intervals that cover as many with each other's."""
    rng = np.random.default_rng(7)
    times = np.concatenate([np.arange(100) + 0.2, np.arange(50) + 0.4, np.arange(60, 100) + 0.6])
    indices = np.repeat([0, 1, 2], [100, 50, 40])
    order = np.argsort(times)
    ticks = indices[order], times[order], np.cumsum(rng.normal(size=190)) * 1e-4
    estimator = fed(HayashiYoshidaCovariance(4, ENDLESS, 5, "none"), ticks, 100)
    assert estimator.asset_observations.tolist() == [100, 50, 40, 0]
    # The second and the third never ticked side by side: the one that is known longer is in.
    assert np.flatnonzero(np.isfinite(np.diag(estimator.estimate(20)))).tolist() == [0, 1]
    among = np.array([True, False, True, True])
    assert np.flatnonzero(np.isfinite(np.diag(estimator.estimate(20, among)))).tolist() == [0, 2]
    with pytest.raises(NotEnoughData):
        estimator.estimate(101)


def test_restored_state_goes_on_bit_for_bit() -> None:
    """Export, restore, continue; with weights that are scaled back to one on the way."""
    ticks = poisson_ticks(8, 900, (0.5, 2.0))
    unbroken = fed(HayashiYoshidaCovariance(2, 1.5, 4, "none"), ticks, 900)
    assert unbroken.arrays()["weight"][0] < 2.0**500
    resumed = HayashiYoshidaCovariance(2, 1.5, 4, "none")
    resumed.restore(fed(HayashiYoshidaCovariance(2, 1.5, 4, "none"), ticks, 433).arrays())
    fed(resumed, ticks, 900, first=433)
    for name, array in unbroken.arrays().items():
        np.testing.assert_array_equal(resumed.arrays()[name], array, err_msg=name)
    np.testing.assert_array_equal(resumed.estimate(), unbroken.estimate())


def test_bad_input_is_refused_and_changes_nothing() -> None:
    """Times out of order or range, an unknown asset, a price that is not finite, settings out of range."""
    estimator = HayashiYoshidaCovariance(2, 10.0, 3, "none")
    with pytest.raises(NotEnoughData):
        estimator.estimate()
    estimator.update(np.array([0, 1]), np.array([0.1, 0.2]), np.array([1.0, 2.0]))
    before = estimator.arrays()
    for indices, moments, prices in (
        ([0, 1], [0.5, 0.4], [1.0, 1.0]),
        ([0], [1.1], [1.0]),
        ([0], [-0.1], [1.0]),
        ([2], [0.5], [1.0]),
        ([-1], [0.5], [1.0]),
        ([0], [0.5], [np.nan]),
        ([0], [np.nan], [1.0]),
    ):
        with pytest.raises(IllPosed, match="ticks must"):
            estimator.update(np.array(indices), np.array(moments), np.array(prices))
    with pytest.raises(IllPosed, match="one shape"):
        estimator.update(np.array([0]), np.array([0.5, 0.6]), np.array([1.0]))
    for name, array in estimator.arrays().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(IllPosed):
        estimator.restore(HayashiYoshidaCovariance(3, 10.0, 3, "none").arrays())
    with pytest.raises(IllPosed, match="slow_ticks"):
        HayashiYoshidaCovariance(2, 10.0, 1, "none")
    with pytest.raises(IllPosed, match="ledoit-wolf"):
        HayashiYoshidaCovariance(2, 10.0, 3, "ledoit-wolf")
    with pytest.raises(IllPosed, match="half_life_steps"):
        HayashiYoshidaCovariance(2, 0.0, 3, "none")
