"""Standardised outcomes, bias statistics and Mahalanobis ratios, against closed forms and simulated truths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from solver.errors import IllPosed, NotEnoughData
from solver.scoring.calibration import bias_statistics, mahalanobis_ratios, standardised_outcomes


def random_covariances(chance: np.random.Generator, T: int, n: int) -> np.ndarray:
    factors = chance.normal(size=(T, n, 2 * n))
    return factors @ factors.transpose(0, 2, 1) / (2 * n)


def outcomes_of(chance: np.random.Generator, Sigmas: np.ndarray) -> np.ndarray:
    """One normal outcome of each covariance."""
    drawn: np.ndarray = (np.linalg.cholesky(Sigmas) @ chance.normal(size=(*Sigmas.shape[:2], 1)))[:, :, 0]
    return drawn


def test_two_assets_by_hand() -> None:
    """Σ = [[4, 1], [1, 9]], r = (2, 3): single assets are 1, and (1, 1) is 5 / √15."""
    Sigmas, r = np.array([[[4.0, 1.0], [1.0, 9.0]]]), np.array([[2.0, 3.0]])
    z = standardised_outcomes(Sigmas, r, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(z, [[1.0, 1.0, 5.0 / np.sqrt(15.0)]])


def test_weights_that_change() -> None:
    """(T, K, n) weights that happen to be constant give what (K, n) weights give."""
    chance = np.random.default_rng(1)
    Sigmas, weights = random_covariances(chance, 7, 3), chance.normal(size=(4, 3))
    r = outcomes_of(chance, Sigmas)
    fixed = standardised_outcomes(Sigmas, r, weights)
    np.testing.assert_allclose(standardised_outcomes(Sigmas, r, np.tile(weights, (7, 1, 1))), fixed)


def test_true_forecasts_have_bias_one() -> None:
    """Bias of normal outcomes under their own covariances is 1 within four standard errors of 1 / √(2T); of half, 2."""
    chance = np.random.default_rng(2)
    Sigmas = random_covariances(chance, 20_000, 4)
    r, weights = outcomes_of(chance, Sigmas), chance.normal(size=(6, 4))
    bias = bias_statistics(standardised_outcomes(Sigmas, r, weights))
    np.testing.assert_allclose(bias, 1.0, atol=4 / np.sqrt(2 * 20_000))
    np.testing.assert_allclose(bias_statistics(standardised_outcomes(Sigmas / 4.0, r, weights)), 2.0 * bias)


def test_no_risk_is_no_forecast() -> None:
    """A portfolio without forecast risk has no standardised outcome, whatever it earned."""
    Sigmas = np.array([[[1.0, 1.0], [1.0, 1.0]]])
    z = standardised_outcomes(Sigmas, np.array([[1.0, 2.0]]), np.array([[1.0, -1.0], [1.0, 0.0]]))
    assert np.isnan(z[0, 0])
    assert z[0, 1] == 1.0


def test_gaps_are_left_out_of_the_bias() -> None:
    """NaN counts for nothing: the bias is that of the outcomes that are there."""
    z = np.array([[1.0], [np.nan], [-1.0], [3.0]])
    assert bias_statistics(z)[0] == pytest.approx(np.std([1.0, -1.0, 3.0], ddof=1))


def test_mahalanobis_against_scipy() -> None:
    """r'Σ⁻¹r / n is scipy's distance squared over n, on random covariances."""
    chance = np.random.default_rng(3)
    Sigmas = random_covariances(chance, 20, 5)
    r = outcomes_of(chance, Sigmas)
    expected = [mahalanobis(x, np.zeros(5), np.linalg.inv(S)) ** 2 / 5 for S, x in zip(Sigmas, r, strict=True)]
    np.testing.assert_allclose(mahalanobis_ratios(Sigmas, r), expected)


def test_mahalanobis_of_an_estimate() -> None:
    """With Σ from T normal returns about zero the mean is T / (T - n - 1), the mean of the inverse Wishart."""
    chance = np.random.default_rng(4)
    T, n, repeats = 40, 8, 8_000
    returns = chance.normal(size=(repeats, T, n))
    ratios = mahalanobis_ratios(returns.transpose(0, 2, 1) @ returns / T, chance.normal(size=(repeats, n)))
    error = ratios.std() / np.sqrt(repeats)
    assert ratios.mean() == pytest.approx(T / (T - n - 1), abs=4 * error)


def test_neither_depends_on_units() -> None:
    """Scaling assets scales neither Mahalanobis ratios nor the standardised outcomes of the same portfolios."""
    chance = np.random.default_rng(5)
    Sigmas = random_covariances(chance, 5, 3)
    r, scale, weights = outcomes_of(chance, Sigmas), np.array([1e-4, 1.0, 100.0]), chance.normal(size=(2, 3))
    scaled = Sigmas * np.outer(scale, scale)
    np.testing.assert_allclose(mahalanobis_ratios(scaled, r * scale), mahalanobis_ratios(Sigmas, r))
    np.testing.assert_allclose(
        standardised_outcomes(scaled, r * scale, weights / scale), standardised_outcomes(Sigmas, r, weights)
    )


def test_bad_input() -> None:
    """Wrong shapes, NaN, singular covariances and too few outcomes are refused, saying what came."""
    Sigmas, r = np.eye(2)[None], np.ones((1, 2))
    for arguments in (
        (np.eye(2), r, np.eye(2)),
        (Sigmas, np.ones((2, 2)), np.eye(2)),
        (Sigmas, r, np.eye(3)),
        (Sigmas, r, np.ones((3, 2, 2))),
        (Sigmas * np.nan, r, np.eye(2)),
        (Sigmas, r * np.inf, np.eye(2)),
    ):
        with pytest.raises(IllPosed):
            standardised_outcomes(*arguments)
    with pytest.raises(IllPosed, match="positive definite"):
        mahalanobis_ratios(np.ones((1, 2, 2)), r)
    with pytest.raises(IllPosed):
        bias_statistics(np.ones(3))
    with pytest.raises(NotEnoughData, match="got 1"):
        bias_statistics(np.array([[1.0, 2.0], [np.nan, 1.0]]))
