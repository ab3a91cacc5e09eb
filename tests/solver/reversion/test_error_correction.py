"""One factorisation holds the regression, slides with its window, and names what is dependent."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import ExactlyDependent, IllPosed, NotEnoughData
from solver.moments import SlidingMoments
from solver.reversion.error_correction import (
    Constant,
    ErrorCorrection,
    johansen_moments,
    johansen_row,
    regress,
    regress_legs,
    seasonal_dummies,
)

LAGS, SEASONS = 2, 4


def walks(seed: int, steps: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 5.0 + np.cumsum(rng.normal(size=(steps, n)), axis=0) @ rng.normal(size=(n, n))


def design(log_prices: np.ndarray, constant: Constant) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regressors to be partialled out, levels and changes, built row by row."""
    n = log_prices.shape[1]
    nuisance, levels, changes = [], [], []
    for t in range(LAGS + 1, len(log_prices)):
        lagged = [log_prices[t - j] - log_prices[t - j - 1] for j in range(1, LAGS + 1)]
        dummies = [(t % SEASONS == k) - 1 / SEASONS for k in range(SEASONS - 1)]
        free = [1.0] if constant == "unrestricted" else []
        nuisance.append(np.concatenate([*lagged, dummies, free]))
        levels.append(np.concatenate([[1.0] * (constant == "restricted"), log_prices[t - 1]]))
        changes.append(log_prices[t] - log_prices[t - 1])
    assert np.array(levels).shape[1] == n + (constant == "restricted")
    return np.array(nuisance), np.array(levels), np.array(changes)


@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
def test_factors_are_those_of_least_squares(constant: Constant) -> None:
    """Residuals of levels and changes by plain least squares have the moments that the factors multiply out to."""
    log_prices = walks(1, 200, 3)
    model = regress(johansen_moments(log_prices, LAGS, SEASONS), 3, LAGS, constant=constant, seasons=SEASONS)
    nuisance, levels, changes = design(log_prices - log_prices.mean(axis=0) - model.centre, constant)
    both = np.hstack([levels, changes])
    left = both - nuisance @ np.linalg.lstsq(nuisance, both, rcond=None)[0]
    m = levels.shape[1]
    L11, L01, L00 = model.level_factor, model.response, model.noise_factor
    scale = np.abs(left.T @ left).max()
    np.testing.assert_allclose(L11 @ L11.T, (left.T @ left)[:m, :m], rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(L01 @ L11.T, (left.T @ left)[m:, :m], rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(L01 @ L01.T + L00 @ L00.T, (left.T @ left)[m:, m:], rtol=0, atol=1e-10 * scale)
    assert model.observations == 200 - LAGS - 1


def test_covariances_are_about_the_mean() -> None:
    """Levels, changes and their cross covariance are numpy's over the rows."""
    log_prices = walks(2, 300, 3)
    model = regress(johansen_moments(log_prices, LAGS), 3, LAGS)
    levels, changes = log_prices[LAGS:-1], np.diff(log_prices, axis=0)[LAGS:]
    expected = np.cov(np.hstack([levels, changes]).T, bias=True)
    np.testing.assert_allclose(model.levels, expected[:3, :3], rtol=1e-10)
    np.testing.assert_allclose(model.levels_and_changes, expected[:3, 3:], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.changes, expected[3:, 3:], rtol=1e-10)


@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
def test_sliding_equals_batch(constant: Constant) -> None:
    """After thousands of rows with dummies, the sliding window has the batch's factors to 1e-9 of their size."""
    log_prices, window = walks(3, 2_501, 3), 150
    sliding = SlidingMoments(window, 3 * (LAGS + 2) + SEASONS)
    for end in range(LAGS + 2, len(log_prices) + 1):
        dummies = seasonal_dummies((end - 1) % SEASONS, SEASONS)
        sliding.push(johansen_row(log_prices[end - LAGS - 2 : end] - log_prices[0], dummies))
    start = len(log_prices) - window - LAGS - 1
    assert start % SEASONS == 0  # the batch calls its first row season 0
    moments = johansen_moments(log_prices[start:], LAGS, SEASONS)
    batch = regress(moments, 3, LAGS, constant=constant, seasons=SEASONS)
    slid = regress(sliding.sums(), 3, LAGS, constant=constant, seasons=SEASONS)
    for name in ("level_factor", "response", "noise_factor"):
        expected = getattr(batch, name)
        np.testing.assert_allclose(getattr(slid, name), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_legs_alone() -> None:
    """The regression of some legs is the one fitted to their series alone."""
    log_prices, legs = walks(4, 200, 5), np.array([1, 4])
    for constant in ("unrestricted", "restricted"):
        whole = regress(johansen_moments(log_prices, LAGS, SEASONS), 5, LAGS, constant=constant, seasons=SEASONS)
        alone = regress(
            johansen_moments(log_prices[:, legs], LAGS, SEASONS), 2, LAGS, constant=constant, seasons=SEASONS
        )
        part = regress_legs(whole, legs)
        assert part.names == ("1", "4")
        for name in ("level_factor", "response", "noise_factor"):
            np.testing.assert_allclose(getattr(part, name), getattr(alone, name), rtol=1e-7, atol=1e-9)


def test_dummies_sum_to_zero_over_a_cycle() -> None:
    """Centred dummies average to nothing, and the last season is minus 1 / seasons in all of them."""
    cycle = np.array([seasonal_dummies(season, 4) for season in range(4)])
    np.testing.assert_allclose(cycle.sum(axis=0), 0.0, atol=1e-15)
    np.testing.assert_array_equal(cycle[3], [-0.25, -0.25, -0.25])
    assert seasonal_dummies(0, 1).shape == (0,)


def fitted(log_prices: np.ndarray, constant: Constant, lags: int = 1) -> ErrorCorrection:
    return regress(johansen_moments(log_prices, lags), log_prices.shape[1], lags, constant=constant)


@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
def test_a_full_set_of_crosses_is_named(constant: Constant) -> None:
    """All six pairs of four currencies have rank three: the first cross that others make up is named, with its legs."""
    rng = np.random.default_rng(5)
    eur, gbp, jpy = np.cumsum(rng.normal(size=(3, 400)), axis=1) * 0.005
    pairs = {"EURUSD": eur, "GBPUSD": gbp, "JPYUSD": jpy, "EURGBP": eur - gbp, "EURJPY": eur - jpy, "GBPJPY": gbp - jpy}
    moments = johansen_moments(np.column_stack(list(pairs.values())), 1)
    with pytest.raises(ExactlyDependent, match=r"EURGBP = \+1 EURUSD -1 GBPUSD up to a constant"):
        regress(moments, 6, 1, tuple(pairs), constant=constant)


@pytest.mark.parametrize("constant", ["unrestricted", "restricted"])
def test_every_kind_of_exact_relation_is_refused(constant: Constant) -> None:
    """Relations among lagged differences, through them, between levels and changes, or with a trend have no fit."""
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(300, 2))
    walk = np.cumsum(noise, axis=0)
    # The second follows the first a step later: its change is the first's lagged difference.
    follower = np.column_stack([walk[1:, 0], walk[:-1, 0]])
    with pytest.raises(ExactlyDependent, match="lagged differences determine Δ1"):
        fitted(follower, constant)
    # A level that decays by a fixed share determines its change.
    decaying = np.column_stack([0.97 ** np.arange(100), walk[:100, 1]])
    with pytest.raises(ExactlyDependent):
        fitted(decaying, constant, lags=0)
    trending = np.column_stack([walk[:, 0], walk[:, 0] + 0.5 * np.arange(300)])
    with pytest.raises(ExactlyDependent):
        fitted(trending, constant)
    still = np.column_stack([walk[:, 0], np.full(300, 0.1)])
    with pytest.raises(ExactlyDependent, match="1 does not move"):
        fitted(still, constant)


def test_the_rounding_of_a_sliding_sum_is_no_change() -> None:
    """A lagged difference that was zero throughout, but whose sum kept 1e-30 from rows that left, is named."""
    moments = johansen_moments(walks(6, 100, 2), 1)
    moments[3], moments[:, 3] = 0.0, 0.0
    moments[3, 3] = 1e-30
    with pytest.raises(ExactlyDependent, match="1 does not move"):
        regress(moments, 2, 1)


def test_a_season_that_never_comes_is_named() -> None:
    """Four seasons of which the window saw only two cannot be told from each other."""
    log_prices = walks(7, 60, 2)
    rows = np.array([johansen_row(log_prices[end - 3 : end], seasonal_dummies(end % 2, 4)) for end in range(3, 61)])
    moments = rows.T @ rows
    with pytest.raises(ExactlyDependent, match="season"):
        regress(moments, 2, 1, seasons=4)


def test_bad_input() -> None:
    """Wrong shapes, values that are not finite, and too few rows say what was expected."""
    moments = johansen_moments(walks(8, 100, 2), 1)
    with pytest.raises(IllPosed, match=r"1 seasons must be \(7, 7\)"):
        regress(moments[:6, :6], 2, 1)
    for entry in ((0, 1), (1, 0), (4, 4), (5, 6)):
        broken = moments.copy()
        broken[entry] = broken[entry[::-1]] = np.nan
        with pytest.raises(IllPosed, match="finite"):
            regress(broken, 2, 1)
    with pytest.raises(NotEnoughData, match="at least 7 observations, got 4"):
        regress(johansen_moments(walks(9, 6, 2), 1), 2, 1)
    with pytest.raises(NotEnoughData, match="3 rows"):
        johansen_moments(np.zeros((2, 2)), 1)
