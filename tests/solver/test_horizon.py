"""The horizon covariance against its defining sum, simulation and the models in which it is known."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import IllPosed, UnstableModel
from solver.horizon import horizon_covariance


def random_model(seed: int, n: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A covariance and a stable error-correction model: each spread keeps 30 to 95 % of itself in a step."""
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
    """The spread of 40,000 simulated paths over 25 steps is the covariance, within four standard errors."""
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


def test_spreads_stay_bounded_and_the_rest_grows() -> None:
    """A spread that keeps φ of itself tends to σ² / (1 - φ²), a direction orthogonal to alpha grows with the horizon.

    Squaring A again and again loses some `steps` roundings, 1e-10 at a million.
    """
    beta, alpha = np.array([[1.0], [-1.0]]), np.array([[-0.05], [0.05]])
    Sigma = np.array([[2.0, 0.3], [0.3, 1.0]])
    spread = beta[:, 0]
    for steps in (10, 1000, 10**6):
        found = horizon_covariance(Sigma, alpha, beta, steps)
        phi = 0.9
        bounded = (spread @ Sigma @ spread) * (1.0 - phi ** (2 * steps)) / (1.0 - phi**2)
        assert spread @ found @ spread == pytest.approx(bounded, rel=1e-6)
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
