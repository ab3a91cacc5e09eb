"""What is taken for a covariance, on the scale of the whole matrix and asset by asset."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.psd import check_covariance


@pytest.mark.parametrize("for_proofs", [False, True])
def test_a_covariance_of_any_rank_and_scale_passes(for_proofs: bool) -> None:
    """Sample covariances of any rank, assets far apart in volatility, and an asset that never moves."""
    for seed in range(100):
        chance = np.random.default_rng(seed)
        n = int(chance.integers(1, 8))
        factors = chance.normal(size=(n, int(chance.integers(1, 9)))) * 10.0 ** chance.uniform(-4.0, 0.0, (n, 1))
        factors[chance.random(n) < 0.2] = 0.0
        check_covariance(factors @ factors.T, for_proofs=for_proofs)


@pytest.mark.parametrize(
    ("Sigma", "named"),
    [
        (np.array([[1.0, 0.5], [0.4, 1.0]]), "symmetric, got entries that differ by 0.1"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "positive semi-definite, got the eigenvalue -1"),
        (np.diag([1.0, -1e-6]), "positive semi-definite"),
    ],
)
@pytest.mark.parametrize("for_proofs", [False, True])
def test_what_is_no_covariance_is_refused(Sigma: np.ndarray, named: str, for_proofs: bool) -> None:
    """The message says what was expected and what came."""
    with pytest.raises(IllPosed, match=named):
        check_covariance(Sigma, for_proofs=for_proofs)


@pytest.mark.parametrize(
    "Sigma",
    [
        np.array([[1.0, 0.0, 0.0], [0.0, 1e-13, 3e-13], [0.0, 3e-13, 1e-13]]),
        np.array([[1.0, 0.1 + 1e-11], [0.1, 1.0]]),
    ],
)
def test_a_proof_asks_for_more(Sigma: np.ndarray) -> None:
    """A quiet asset's correlation of three, and an asymmetry above a few operations' rounding, pass as an estimate."""
    check_covariance(Sigma)
    with pytest.raises(IllPosed):
        check_covariance(Sigma, for_proofs=True)
