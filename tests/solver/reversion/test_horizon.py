"""Both horizon covariances against their defining sums, simulation and the models in which they are known."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import IllPosed, UnstableModel
from solver.reversion.horizon import horizon_covariance, stationary_horizon_covariance


def random_model(seed: int, n: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A covariance and a stable error-correction model: each basket spread keeps 30 to 95 % of itself in a step."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(n, n))
    beta = rng.normal(size=(n, r))
    kept = np.diag(rng.uniform(0.3, 0.95, r))
    loading = rng.normal(size=(n, r))
    alpha = loading @ np.linalg.solve(beta.T @ loading, kept - np.eye(r))
    return factor @ factor.T, alpha, beta


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 100, 1023])
def test_doubling_equals_the_sum(steps: int) -> None:
    """The doubled sum is the one it is defined by, whatever the binary digits of the horizon."""
    Sigma, alpha, beta = random_model(steps, 5, 2)
    A = np.eye(5) + alpha @ beta.T
    expected, power = np.zeros((5, 5)), np.eye(5)
    for _ in range(steps):
        expected += power @ Sigma @ power.T
        power = power @ A
    found = horizon_covariance(Sigma, alpha, beta, steps)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_array_equal(found, found.T)
    assert np.linalg.eigvalsh(found)[0] > -1e-12 * np.abs(expected).max()


def test_simulated_paths() -> None:
    """The basket spread of 40,000 simulated paths over 25 steps is the covariance, within four standard errors."""
    Sigma, alpha, beta = random_model(1, 3, 1)
    rng = np.random.default_rng(2)
    paths, steps = 40_000, 25
    change = np.zeros((paths, 3))
    factor = np.linalg.cholesky(Sigma)
    for _ in range(steps):
        change = change + change @ beta @ alpha.T + rng.normal(size=(paths, 3)) @ factor.T
    expected = horizon_covariance(Sigma, alpha, beta, steps)
    # Var of a sample covariance of normals: (c_ii c_jj + c_ij²) / paths.
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / paths)
    assert np.all(np.abs(np.cov(change.T) - expected) < 4.0 * error)


def test_basket_spreads_stay_bounded_and_the_rest_grows() -> None:
    """A basket spread that keeps φ of itself tends to σ² / (1 - φ²), a direction orthogonal to alpha grows with the
    horizon.

    Squaring A again and again loses some `steps` roundings, 1e-10 at a million.
    """
    beta, alpha = np.array([[1.0], [-1.0]]), np.array([[-0.05], [0.05]])
    Sigma = np.array([[2.0, 0.3], [0.3, 1.0]])
    basket_spread = beta[:, 0]
    for steps in (10, 1000, 10**6):
        found = horizon_covariance(Sigma, alpha, beta, steps)
        phi = 0.9
        bounded = (basket_spread @ Sigma @ basket_spread) * (1.0 - phi ** (2 * steps)) / (1.0 - phi**2)
        assert basket_spread @ found @ basket_spread == pytest.approx(bounded, rel=1e-6)
        common = np.array([1.0, 1.0])  # orthogonal to alpha: a random walk
        assert common @ found @ common == pytest.approx(steps * (common @ Sigma @ common), rel=1e-9)


def test_without_reversion_variance_is_proportional_to_time() -> None:
    """No vectors, or vectors without adjustment: steps times the covariance of one step."""
    Sigma, _, beta = random_model(3, 4, 2)
    for alpha, vectors in ((np.zeros((4, 0)), np.zeros((4, 0))), (np.zeros((4, 2)), beta)):
        np.testing.assert_allclose(horizon_covariance(Sigma, alpha, vectors, 250), 250 * Sigma, rtol=1e-12)


def test_horizons_add_up_and_scale_of_a_vector_is_free() -> None:
    """S_{a+b} = S_b + A^b S_a A^b', and beta scaled by c with alpha by 1/c is the same model."""
    Sigma, alpha, beta = random_model(4, 6, 3)
    power = np.linalg.matrix_power(np.eye(6) + alpha @ beta.T, 19)
    joined = horizon_covariance(Sigma, alpha, beta, 19) + power @ horizon_covariance(Sigma, alpha, beta, 12) @ power.T
    whole = horizon_covariance(Sigma, alpha, beta, 31)
    np.testing.assert_allclose(whole, joined, rtol=1e-9, atol=1e-12 * np.abs(whole).max())
    np.testing.assert_allclose(horizon_covariance(Sigma, alpha / 7.0, beta * 7.0, 31), whole, rtol=1e-9, atol=1e-9)


def returns_covariance(innovations: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance of one step's returns and of the stationary basket spreads, summed over the past shock by shock."""
    A, power, basket_spreads = np.eye(len(alpha)) + alpha @ beta.T, np.eye(len(alpha)), np.zeros((beta.shape[1],) * 2)
    for _ in range(3000):
        basket_spreads += beta.T @ power @ innovations @ power.T @ beta
        power = power @ A
    return innovations + alpha @ basket_spreads @ alpha.T, basket_spreads


@pytest.mark.parametrize("steps", [1, 2, 7, 30, 1000])
def test_the_stationary_covariance_counts_what_is_due(steps: int) -> None:
    """From the returns alone: the covariance given today's basket spreads, plus that of the reversion due from them."""
    innovations, alpha, beta = random_model(steps, 5, 2)
    Sigma, basket_spreads = returns_covariance(innovations, alpha, beta)
    M = np.eye(2) + beta.T @ alpha
    due = alpha @ sum(np.linalg.matrix_power(M, k) for k in range(steps))
    expected = horizon_covariance(innovations, alpha, beta, steps) + due @ basket_spreads @ due.T
    found = stationary_horizon_covariance(Sigma, alpha, beta, steps)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max())
    np.testing.assert_array_equal(found, found.T)
    assert np.linalg.eigvalsh(found)[0] > 0.0


def test_changes_along_simulated_paths() -> None:
    """40,000 paths that start 200 steps before: their change over 25 steps has the covariance that the returns say,
    within four standard errors."""
    innovations, alpha, beta = random_model(1, 3, 1)
    rng = np.random.default_rng(3)
    factor = np.linalg.cholesky(innovations)
    x = np.zeros((40_000, 3))
    for step in range(225):
        if step == 200:
            start = x
        x = x + x @ beta @ alpha.T + rng.normal(size=x.shape) @ factor.T
    Sigma, _ = returns_covariance(innovations, alpha, beta)
    expected = stationary_horizon_covariance(Sigma, alpha, beta, 25)
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / len(x))
    assert np.all(np.abs(np.cov((x - start).T) - expected) < 4.0 * error)


def test_a_single_basket_spread_is_known_in_closed_form() -> None:
    """2 Var(s) (1 - φ^H) for a basket spread, which tends to twice its variance; the common trend grows."""
    beta, alpha = np.array([[1.0], [-1.0]]), np.array([[-0.05], [0.05]])
    Sigma = np.array([[2.0, 0.3], [0.3, 1.0]])
    basket_spread, common, phi = beta[:, 0], np.array([1.0, 1.0]), 0.9
    variance = (
        basket_spread @ Sigma @ basket_spread / (2.0 * (1.0 - phi))
    )  # of the level: a step changes it by 2 Var(s) (1 - φ)
    for steps in (1, 10, 100, 10**6):
        found = stationary_horizon_covariance(Sigma, alpha, beta, steps)
        assert basket_spread @ found @ basket_spread == pytest.approx(2.0 * variance * (1.0 - phi**steps), rel=1e-6)
        assert common @ found @ common == pytest.approx(steps * (common @ Sigma @ common), rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_one_step_is_risk_now_and_more_steps_are_ordered(seed: int) -> None:
    """Σ_1 = Σ. More than given today's basket spreads; where the pull goes along the basket spread's own shocks, less
    than the walk and ever more with the horizon, in every direction."""
    Sigma, alpha, beta = random_model(seed, 4, 1)
    scale = np.abs(Sigma).max()
    np.testing.assert_allclose(stationary_horizon_covariance(Sigma, alpha, beta, 1), Sigma, atol=1e-12 * scale)
    along = Sigma @ beta / (beta.T @ Sigma @ beta) * (beta.T @ alpha)
    before = np.zeros((4, 4))
    for steps in (1, 2, 5, 25, 125):
        found = stationary_horizon_covariance(Sigma, along, beta, steps)
        given_today = horizon_covariance(found_innovations(Sigma, along, beta), along, beta, steps)
        slack = -1e-12 * steps * scale
        assert np.linalg.eigvalsh(steps * Sigma - found)[0] > slack
        assert np.linalg.eigvalsh(found - before)[0] > slack
        assert np.linalg.eigvalsh(found - given_today)[0] > slack
        before = found


def found_innovations(Sigma: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Σ less what the pull explains, for one basket spread that keeps φ of itself: Var(s) = β'Σβ / (2 (1 - φ))."""
    return Sigma - alpha @ alpha.T * (beta.T @ Sigma @ beta) / (-2.0 * beta.T @ alpha)


def test_permuted_scaled_and_revalued_assets() -> None:
    """x → Tx, with α → Tα and β → T'⁻¹β, is the same model in another order, unit or reference currency."""
    innovations, alpha, beta = random_model(6, 4, 2)
    Sigma, _ = returns_covariance(innovations, alpha, beta)
    own = stationary_horizon_covariance(Sigma, alpha, beta, 30)
    against_the_last = np.eye(4) - np.outer(np.ones(4), np.eye(4)[3])
    against_the_last[3] = -np.eye(4)[3]  # the former reference, in the new one
    for T in (np.eye(4)[[2, 0, 3, 1]], np.diag([1e-3, 1.0, 50.0, 2.0]), against_the_last):
        found = stationary_horizon_covariance(T @ Sigma @ T.T, T @ alpha, np.linalg.solve(T.T, beta), 30)
        np.testing.assert_allclose(found, T @ own @ T.T, rtol=1e-8, atol=1e-10 * np.abs(found).max())
    np.testing.assert_allclose(stationary_horizon_covariance(Sigma, alpha / 7.0, beta * 7.0, 30), own, rtol=1e-9)


def test_a_pull_that_the_covariance_cannot_hold_is_slowed() -> None:
    """Where α explains more than some direction moves, all of it is divided by the largest share that it explains."""
    Sigma, beta = np.diag([1.0, 1.0, 1e-4]), np.array([[1.0], [-1.0], [0.0]])
    alpha = np.array(
        [[-0.05], [0.05], [0.05]]
    )  # the third asset hardly moves, and cannot follow the basket spread like that
    variance = 2.0 / (2.0 * 0.1)
    share = float((alpha.T @ np.linalg.inv(Sigma) @ alpha)[0, 0] * variance)
    assert share > 100.0
    found = stationary_horizon_covariance(Sigma, alpha, beta, 40)
    np.testing.assert_allclose(found, stationary_horizon_covariance(Sigma, alpha / share, beta, 40), atol=1e-12)
    assert np.linalg.eigvalsh(found)[0] > -1e-9
    np.testing.assert_allclose(stationary_horizon_covariance(Sigma, alpha, beta, 1), Sigma, atol=1e-12)


def test_an_asset_that_does_not_move_is_not_pulled() -> None:
    """A covariance of less than full rank: the rest is as without the asset, and it has no risk over any horizon."""
    innovations, alpha, beta = random_model(8, 3, 1)
    Sigma, _ = returns_covariance(innovations, alpha, beta)
    wider = np.zeros((4, 4))
    wider[:3, :3] = Sigma
    own = stationary_horizon_covariance(Sigma, alpha, beta, 25)
    found = stationary_horizon_covariance(wider, np.vstack([alpha, [[0.3]]]), np.vstack([beta, [[0.0]]]), 25)
    np.testing.assert_allclose(found[:3, :3], own, rtol=1e-9)
    assert not found[3].any()


def test_without_pull_the_change_is_a_walk() -> None:
    """No vectors, or no speeds: exactly steps times the covariance of one step."""
    Sigma, _, beta = random_model(9, 4, 2)
    for alpha, vectors in ((np.zeros((4, 0)), np.zeros((4, 0))), (np.zeros((4, 2)), beta)):
        np.testing.assert_array_equal(stationary_horizon_covariance(Sigma, alpha, vectors, 250), 250 * Sigma)


def test_bad_input_of_the_stationary_covariance() -> None:
    """A basket spread that drifts away, and whatever the other covariance refuses, are typed errors."""
    Sigma, alpha, beta = random_model(5, 3, 1)
    with pytest.raises(UnstableModel, match=r"real part 0\.02"):
        stationary_horizon_covariance(np.eye(2), np.array([[0.01], [-0.01]]), np.array([[1.0], [-1.0]]), 5)
    with pytest.raises(UnstableModel, match="does not come back"):
        stationary_horizon_covariance(np.eye(2), np.array([[0.01], [0.01]]), np.array([[1.0], [-1.0]]), 5)
    with pytest.raises(IllPosed, match="steps"):
        stationary_horizon_covariance(Sigma, alpha, beta, 0)
    with pytest.raises(IllPosed, match=r"\(n, r\)"):
        stationary_horizon_covariance(Sigma, alpha, beta[:2], 3)
    with pytest.raises(IllPosed, match="finite"):
        stationary_horizon_covariance(Sigma, alpha * np.nan, beta, 3)


def test_bad_input() -> None:
    """An exploding model, no horizon, shapes that do not fit and values that are not finite are typed errors."""
    Sigma, alpha, beta = random_model(5, 3, 1)
    with pytest.raises(UnstableModel, match=r"modulus 1\.02"):
        horizon_covariance(np.eye(2), np.array([[0.01], [-0.01]]), np.array([[1.0], [-1.0]]), 5)
    with pytest.raises(UnstableModel, match=r"modulus 1\.5"):
        horizon_covariance(np.eye(1), np.array([[-2.5]]), np.array([[1.0]]), 5)
    with pytest.raises(IllPosed, match="steps"):
        horizon_covariance(Sigma, alpha, beta, 0)
    with pytest.raises(IllPosed, match=r"\(n, r\)"):
        horizon_covariance(Sigma, alpha, beta[:2], 3)
    with pytest.raises(IllPosed, match="finite"):
        horizon_covariance(Sigma * np.nan, alpha, beta, 3)
