"""Adjustment speeds against a plain regression, and what they make of walks, repeats and broken evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.reversion.horizon import stationary_horizon_covariance
from solver.reversion.refits.adjustment import adjustment_speeds, horizon_covariance_under
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.refits.settings import ReversionSettings
from solver.reversion.vector import BetaVector, Evidence

SETTINGS = ReversionSettings(
    methods=("baskets",),
    window_steps=500,
    holdout_steps=125,
    basis_horizon_steps=1,
    basis_ratio_max=0.3,
    basis_confidence=0.95,
    false_discovery_rate=0.05,
    half_life_min_steps=1.0,
    half_life_max_steps=60.0,
    switching_penalty=0.1,
    false_alarm_steps=1e6,
    max_legs=2,
    max_vectors=12,
    lags=1,
)
PAIRS = np.array([[1.0, 0.0], [-0.8, 0.0], [0.0, 1.0], [0.0, -1.3], [0.0, 0.0]])


def two_basket_spreads(seed: int, steps: int = 500) -> np.ndarray:
    """(steps + 1, 5) log prices: two pairs whose basket spreads keep .9 and .85 of themselves, and a walk."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(0.0, 0.01, (steps + 101, 5))
    alpha = np.zeros((5, 2))
    alpha[:4] = np.array([[-0.06, 0.0], [0.05, 0.0], [0.0, -0.15], [0.0, 0.0]])
    x = np.zeros(5)
    path = []
    for shock in shocks:
        x = x + alpha @ (PAIRS.T @ x) + shock
        path.append(x)
    return np.array(path[100:])


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Covariances of levels, of levels with changes and of changes, and the number of changes."""
    n, changes = x.shape[1], np.diff(x, axis=0)
    joint = np.cov(np.hstack([x[:-1], changes]).T, bias=True)
    return joint[:n, :n], joint[:n, n:], joint[n:, n:], len(changes)


def pull_of(x: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """Pull of one basket spread by a regression with a constant, its standard error, and what is left of it when
    slowed."""
    basket_spread = x @ weights
    X = np.column_stack([basket_spread[:-1], np.ones(len(x) - 1)])
    (coefficient, _), squares, *_ = np.linalg.lstsq(X, np.diff(basket_spread))
    pull, T = -coefficient, len(X)
    error = np.sqrt(squares[0] / T * np.linalg.inv(X.T @ X)[0, 0])
    return float(pull), float(error), float(pull - (4.0 - 3.0 * pull) / T - error)


def test_speeds_are_those_of_a_regression_slowed() -> None:
    """Least squares of every asset's changes on both basket spreads and a constant, each column times what is left of
    it."""
    x = two_basket_spreads(1)
    X = np.column_stack([x[:-1] @ PAIRS, np.ones(len(x) - 1)])
    plain = np.linalg.lstsq(X, np.diff(x, axis=0))[0][:2].T
    shares = np.array([left / pull for pull, _, left in (pull_of(x, weights) for weights in PAIRS.T)])
    assert np.all((shares > 0.5) & (shares < 0.95))
    np.testing.assert_allclose(adjustment_speeds(*moments(x), PAIRS), plain * shares, rtol=1e-8, atol=1e-12)


@pytest.mark.slow
def test_slowing_takes_away_the_bias_and_one_standard_error() -> None:
    """In 1,000 windows of 500 steps the mean pull is one standard error below the true one, within four standard errors
    of that mean; that of least squares alone is above the true one by more than as much."""
    found, plain, errors = [], [], []
    for seed in range(1000):
        x = two_basket_spreads(seed)
        weights = PAIRS[:, 0]
        found.append(-float(weights @ adjustment_speeds(*moments(x), weights[:, None])[:, 0]))
        pull, error, _ = pull_of(x, weights)
        plain.append(pull)
        errors.append(error)
    truth, tolerance = 0.1, 4.0 * np.std(plain) / np.sqrt(len(plain))
    assert abs(np.mean(found) + np.mean(errors) - truth) < tolerance
    assert np.mean(plain) - truth > tolerance


def test_order_scale_and_reference_do_not_matter() -> None:
    """The same β in another order or scale, and assets permuted or seen from another one, give the same Π = αβ'."""
    x = two_basket_spreads(2)
    pi = adjustment_speeds(*moments(x), PAIRS) @ PAIRS.T
    other = (
        adjustment_speeds(*moments(x), PAIRS[:, ::-1] * np.array([-3.0, 0.1]))
        @ (PAIRS[:, ::-1] * np.array([-3.0, 0.1])).T
    )
    np.testing.assert_allclose(other, pi, rtol=1e-8, atol=1e-12)
    T = np.eye(5) - np.outer(np.ones(5), np.eye(5)[1])
    T[1] = -np.eye(5)[1]  # the former reference, in the new one
    T = T[[4, 2, 0, 1, 3]]
    B = np.linalg.solve(T.T, PAIRS)
    np.testing.assert_allclose(
        adjustment_speeds(*moments(x @ T.T), B) @ B.T, T @ pi @ np.linalg.inv(T), rtol=1e-6, atol=1e-9
    )


def test_what_others_explain_has_no_speed_of_its_own() -> None:
    """A third β that the first two span, or one of them again but for crumbs: two columns, as for the two strongest."""
    x = two_basket_spreads(3)
    for third in (PAIRS @ np.array([1.0, 0.2]), PAIRS @ np.array([1.0, 1e-4])):
        B = np.column_stack([third, PAIRS])
        found = adjustment_speeds(*moments(x), B)
        taken = np.flatnonzero(found.any(axis=0))
        assert len(taken) == 2
        pull, error, _ = np.array([pull_of(x, weights) for weights in B.T]).T
        assert int(np.argmax(pull / error)) in taken
        np.testing.assert_array_equal(found[:, taken], adjustment_speeds(*moments(x), B[:, taken]))


def test_a_walk_has_no_speed() -> None:
    """Of 300 basket spreads of independent walks those have one whose pull is more than its bias and a standard
    error."""
    rng = np.random.default_rng(5)
    pulled = 0
    for _ in range(300):
        x = np.cumsum(rng.normal(0.0, 0.01, (500, 2)), axis=0)
        weights = np.array([1.0, -1.0])
        alpha = adjustment_speeds(*moments(x), weights[:, None])
        assert alpha.any() == (pull_of(x, weights)[2] > 0.0)
        pulled += alpha.any()
    assert 0 < pulled < 150


def test_basket_spreads_that_explode_or_stand_still_have_none() -> None:
    """Growth by 1 % a step, and prices that never moved: zeros."""
    rng = np.random.default_rng(6)
    growing = np.zeros((400, 2))
    for t in range(1, 400):
        growing[t] = growing[t - 1] * np.array([1.01, 1.0]) + rng.normal(0.0, 0.01, 2)
    assert not adjustment_speeds(*moments(growing), np.array([[1.0], [0.0]])).any()
    assert not adjustment_speeds(*moments(np.zeros((50, 2))), np.array([[1.0], [-1.0]])).any()
    assert adjustment_speeds(*moments(growing), np.zeros((2, 0))).shape == (2, 0)


def test_bad_input() -> None:
    """Shapes that do not fit, values that are not finite and no observations are typed errors."""
    levels, cross, changes, observations = moments(two_basket_spreads(7))
    with pytest.raises(IllPosed, match=r"\(n, n\)"):
        adjustment_speeds(levels, cross[:4], changes, observations, PAIRS)
    with pytest.raises(IllPosed, match=r"\(n, K\)"):
        adjustment_speeds(levels, cross, changes, observations, PAIRS[:4])
    with pytest.raises(IllPosed, match="finite"):
        adjustment_speeds(levels, cross * np.nan, changes, observations, PAIRS)
    with pytest.raises(IllPosed, match="observations"):
        adjustment_speeds(levels, cross, changes, 0, PAIRS)


def beta(weights: np.ndarray, adjustment: np.ndarray, evidence: tuple[Evidence, ...]) -> BetaVector:
    return BetaVector(
        weights=weights,
        method="baskets",
        basis_ratio=0.1,
        basis_ratio_upper=0.13,
        basis_horizon_steps=1,
        step_ratio=0.1,
        half_life_steps=10.0,
        spread_volatility=0.01,
        deviation=0.0,
        spread_mean=0.0,
        innovation_ratio=0.1,
        statistic=20.0,
        p_value=1e-4,
        evidence=evidence,
        adjustment=adjustment,
    )


def test_only_reverting_betas_pull() -> None:
    """A β by `basis` alone is a walk, and so is one whose evidence of reversion the watch has refuted."""
    x = two_basket_spreads(8)
    Sigma = moments(x)[2]
    alpha = adjustment_speeds(*moments(x), PAIRS)
    first = beta(PAIRS[:, 0], alpha[:, 0], ("reverting", "basis"))
    second = beta(PAIRS[:, 1], alpha[:, 1], ("reverting",))
    refuted = replace(second, evidence=("basis",))
    both = horizon_covariance_under([first, second], Sigma, 20)
    np.testing.assert_array_equal(both, stationary_horizon_covariance(Sigma, alpha, PAIRS, 20))
    one = horizon_covariance_under([first, refuted], Sigma, 20)
    np.testing.assert_array_equal(one, stationary_horizon_covariance(Sigma, alpha[:, :1], PAIRS[:, :1], 20))
    np.testing.assert_array_equal(horizon_covariance_under([refuted], Sigma, 20), 20 * Sigma)
    np.testing.assert_array_equal(horizon_covariance_under([], Sigma, 20), 20 * Sigma)


def test_pulls_that_no_longer_revert_together_leave_a_walk() -> None:
    """Two pulls that only hold together: with one of them refuted the other would drift away, so nothing is pulled."""
    B = np.array([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]])
    K = np.array([[-0.1, -0.5], [0.5, 0.3]])  # trace and determinant positive, the first alone drifts away
    alpha = -B @ np.linalg.solve(B.T @ B, K)
    Sigma = np.diag([1.0, 2.0, 3.0]) * 1e-4
    first = beta(B[:, 0], alpha[:, 0], ("reverting",))
    second = beta(B[:, 1], alpha[:, 1], ("reverting",))
    assert horizon_covariance_under([first, second], Sigma, 10)[0, 1] != 0.0
    np.testing.assert_array_equal(horizon_covariance_under([first], Sigma, 10), 10 * Sigma)


def test_a_refit_hands_on_the_speeds_of_its_whole_window() -> None:
    """Those of every row in both stretches, for all reverting β together; none for the others."""
    x = two_basket_spreads(9, 560)
    rolling = RollingReversion(5, SETTINGS)
    for row in x:
        rolling.push(row + 3.0)
    betas = rolling.refit().betas
    reverting = [each for each in betas if "reverting" in each.evidence]
    assert len(reverting) == 2
    B = np.array([each.weights for each in reverting]).T
    expected = adjustment_speeds(*moments(x[-501:]), B)
    np.testing.assert_allclose(np.array([each.adjustment for each in reverting]).T, expected, rtol=1e-8, atol=1e-11)
    assert all(each.adjustment.any() for each in reverting)


def test_a_hedge_that_is_no_reversion_is_not_pulled() -> None:
    """EUR/CHF-like pairs by `basis` alone: every adjustment is zero."""
    rng = np.random.default_rng(10)
    common, own = rng.normal(0.0, 0.01, (600, 1)), rng.normal(0.0, 0.002, (600, 3))
    rolling = RollingReversion(3, replace(SETTINGS, methods=("sparse",)))
    for row in np.cumsum(common + own, axis=0):
        rolling.push(row)
    betas = rolling.refit().betas
    assert len(betas) == 3
    assert all(each.evidence == ("basis",) and not each.adjustment.any() for each in betas)


@pytest.mark.parametrize("steps", [1, 10, 250])
def test_nothing_packed_is_riskless_over_the_horizon(steps: int) -> None:
    """Every basket spread that moves keeps risk: at least that of one step, whatever the horizon and the pull."""
    x = two_basket_spreads(11)
    Sigma = moments(x)[2]
    alpha = adjustment_speeds(*moments(x), PAIRS)
    betas = [beta(PAIRS[:, j], alpha[:, j], ("reverting",)) for j in range(2)]
    Sigma_H = horizon_covariance_under(betas, Sigma, steps)
    now = np.einsum("ik,ij,jk->k", PAIRS, Sigma, PAIRS)
    ahead = np.einsum("ik,ij,jk->k", PAIRS, Sigma_H, PAIRS)
    assert np.all(ahead >= now * (1.0 - 1e-9))
    assert np.all(ahead <= steps * now * (1.0 + 1e-9))
