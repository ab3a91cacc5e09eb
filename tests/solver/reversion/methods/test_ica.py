"""Independent components recover planted sources, and the same generator gives the same vectors."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import ExactlyDependent, IllPosed, NotConverged, NotEnoughData
from solver.reversion.evidence.basis import basis_ratios
from solver.reversion.methods.ica import independent_components

MIXING = np.random.default_rng(1).normal(size=(5, 5))
SCALES = np.array([3.0, 2.0, 1.0, 0.1, 0.05])


def returns_of(seed: int, steps: int = 4_000) -> np.ndarray:
    """Mixtures of five independent heavy-tailed sources, two of them small."""
    sources = np.random.default_rng(seed).standard_t(4, size=(steps, 5)) * SCALES
    return sources @ MIXING.T


def test_planted_sources_are_recovered() -> None:
    """Each vector's changes are one planted source, another each time, least basis ratio first, all below 1."""
    returns = returns_of(2)
    vectors = independent_components(returns, np.random.default_rng(3))
    sources = np.linalg.inv(MIXING)
    owners = []
    for weights in vectors:
        correlations = [abs(np.corrcoef(returns @ weights, returns @ source)[0, 1]) for source in sources]
        owners.append(int(np.argmax(correlations)))
        assert max(correlations) > 0.99
    assert len(set(owners)) == len(owners)
    assert set(owners[:2]) == {3, 4}
    ratios = basis_ratios(np.array(vectors).T, np.cov(returns.T))
    assert np.all(np.diff(ratios) >= 0.0)
    assert ratios[-1] < 1.0


def test_seeded() -> None:
    """Generators in the same state give the same bits; others the same combinations within the tolerance."""
    returns = returns_of(4)
    first, same, other = (independent_components(returns, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, same)
    for weights, expected in zip(other, first, strict=True):
        assert abs(np.corrcoef(returns @ weights, returns @ expected)[0, 1]) > 1.0 - 1e-5


def test_units() -> None:
    """In other units the same combinations come out."""
    returns, units = returns_of(7), np.array([1e-4, 1.0, 30.0, 0.1, 5.0])
    reference = independent_components(returns, np.random.default_rng(8))
    for expected, weights in zip(
        reference, independent_components(returns * units, np.random.default_rng(8)), strict=True
    ):
        assert abs(np.corrcoef(returns @ expected, (returns * units) @ weights)[0, 1]) > 1.0 - 1e-6


def test_bad_input() -> None:
    """Too few rows, values that are not finite, an asset that stands still, and a dependent set are refused."""
    rng, returns = np.random.default_rng(9), returns_of(9, 100)
    with pytest.raises(NotEnoughData, match="T > n"):
        independent_components(returns[:5], rng)
    with pytest.raises(IllPosed, match="finite"):
        independent_components(np.where(returns == returns[3, 2], np.nan, returns), rng)
    still = returns * [1.0, 1.0, 0.0, 1.0, 1.0]
    with pytest.raises(ExactlyDependent, match="asset 2 does not move"):
        independent_components(still, rng)
    with pytest.raises(ExactlyDependent, match="CHF does not move"):
        independent_components(still, rng, ("EUR", "GBP", "CHF", "JPY", "AUD"))
    with pytest.raises(ExactlyDependent, match="linearly dependent"):
        independent_components(np.column_stack([returns, returns[:, 0] - returns[:, 1]]), rng)


def test_what_does_not_settle_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too few iterations there is an error, not a vector that still turns."""
    monkeypatch.setattr("solver.reversion.methods.ica._MOST_ITERATIONS", 1)
    with pytest.raises(NotConverged, match="5 assets after 1 iterations"):
        independent_components(returns_of(10), np.random.default_rng(11))
