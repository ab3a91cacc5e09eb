"""Nonlinear shrinkage is the authors' program, and beats the sample and the linear target."""

from __future__ import annotations

import math

import numpy as np
import pytest

from solver.covariance import nonlinear_shrinkage, oas
from solver.errors import NotEnoughData


def published_nonlinear(X: np.ndarray) -> np.ndarray:
    """The authors' program of 2020 (appendix C), line by line in numpy, for returns with a mean of zero."""
    n, p = X.shape
    sample = X.T @ X / n
    root = math.sqrt(5)
    lam, u = np.linalg.eigh(sample)
    lam = lam[max(0, p - n) : p]
    L = np.tile(lam[:, None], (1, min(p, n)))
    h = n ** (-1 / 3)
    H = h * L.T
    x = (L - L.T) / H
    ftilde = (3 / 4 / root) * np.mean(np.maximum(1 - x**2 / 5, 0) / H, axis=1)
    Hftemp = (-3 / 10 / math.pi) * x + (3 / 4 / root / math.pi) * (1 - x**2 / 5) * np.log(
        np.abs((root - x) / (root + x))
    )
    Hftilde = np.mean(Hftemp / H, axis=1)
    if p <= n:
        dtilde = lam / ((math.pi * (p / n) * lam * ftilde) ** 2 + (1 - p / n - math.pi * (p / n) * lam * Hftilde) ** 2)
    else:
        Hftilde0 = (
            (1 / math.pi)
            * (3 / 10 / h**2 + 3 / 4 / root / h * (1 - 1 / 5 / h**2) * math.log((1 + root * h) / (1 - root * h)))
            * np.mean(1 / lam)
        )
        dtilde0 = 1 / (math.pi * (p - n) / n * Hftilde0)
        dtilde1 = lam / (math.pi**2 * lam**2 * (ftilde**2 + Hftilde**2))
        dtilde = np.concatenate([dtilde0 * np.ones(p - n), dtilde1])
    transcribed: np.ndarray = u @ np.diag(dtilde) @ u.T
    return transcribed


@pytest.mark.parametrize(("steps", "n"), [(12, 3), (60, 10), (120, 100), (120, 60), (40, 70)])
def test_nonlinear_is_the_authors_program(steps: int, n: int) -> None:
    """More assets than returns, as many, and fewer: a transcription of what they published."""
    returns = np.random.default_rng(3).normal(size=(steps, n)) * np.linspace(1.0, 2.0, n)
    S = returns.T @ returns / steps
    expected = published_nonlinear(returns)
    np.testing.assert_allclose(nonlinear_shrinkage(S, steps), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(("steps", "n"), [(120, 60), (60, 120), (60, 12)])
def test_nonlinear_beats_the_sample_and_the_linear_target(steps: int, n: int) -> None:
    """Over 40 draws of a wide spectrum: less squared error than the sample, and than OAS where assets are many."""
    rng = np.random.default_rng(4)
    spectrum = np.repeat([1.0, 3.0, 10.0], [n // 5, n // 5 * 2, n - n // 5 * 3])
    losses = np.zeros(3)
    for _ in range(40):
        q, _ = np.linalg.qr(rng.normal(size=(n, n)))
        Sigma = q * spectrum @ q.T
        X = rng.normal(size=(steps, n)) @ np.linalg.cholesky(Sigma).T
        S = X.T @ X / steps
        losses += [float(np.sum((E - Sigma) ** 2)) for E in (nonlinear_shrinkage(S, steps), S, oas(S, steps))]
    assert losses[0] < 0.6 * losses[1]
    assert losses[0] < (1.05 if n > 20 else 1.1) * losses[2]


@pytest.mark.parametrize(("steps", "n"), [(60, 10), (40, 70)])
def test_nonlinear_turns_with_the_axes(steps: int, n: int) -> None:
    """Rotation equivariant, of full rank, and of the sample's eigenvectors."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(steps, n)) * np.linspace(1.0, 3.0, n)
    S = X.T @ X / steps
    q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    shrunk = nonlinear_shrinkage(S, steps)
    np.testing.assert_allclose(nonlinear_shrinkage(q @ S @ q.T, steps), q @ shrunk @ q.T, atol=1e-9 * S.max())
    np.testing.assert_allclose(shrunk @ S, S @ shrunk, atol=1e-9 * S.max() ** 2)
    assert np.linalg.eigvalsh(shrunk)[0] > 0.0


def test_nonlinear_at_its_edges() -> None:
    """Too few observations is an error; zeros stay zeros; exactly dependent assets stay as dependent."""
    with pytest.raises(NotEnoughData, match=r"12 observations, got 11\.9"):
        nonlinear_shrinkage(np.eye(2), 11.9)
    np.testing.assert_array_equal(nonlinear_shrinkage(np.zeros((3, 3)), 50), np.zeros((3, 3)))
    X = np.random.default_rng(6).normal(size=(60, 3))
    X = np.column_stack([X, X[:, 0] - X[:, 1]])
    basket = np.array([1.0, -1.0, 0.0, -1.0])
    assert basket @ nonlinear_shrinkage(X.T @ X / 60, 60) @ basket < 1e-10
