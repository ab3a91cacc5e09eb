"""Minor components move little and do not depend on units or order."""

from __future__ import annotations

import numpy as np

from solver.reversion.evidence.basis import basis_ratios
from solver.reversion.methods.pca import minor_components

LOADINGS = np.random.default_rng(1).normal(size=(6, 6))
COVARIANCE = LOADINGS @ LOADINGS.T + 0.01 * np.eye(6)


def test_first_component_has_the_least_basis_ratio() -> None:
    """No vector has a lower basis ratio than the first component; the ratios rise; all are below 1."""
    ratios = basis_ratios(np.array(minor_components(COVARIANCE)).T, COVARIANCE)
    assert np.all(np.diff(ratios) > 0)
    assert ratios[-1] < 1.0
    tried = np.random.default_rng(2).normal(size=(6, 10_000))
    assert basis_ratios(tried, COVARIANCE).min() > ratios[0]


def test_independent_assets_have_no_minor_component() -> None:
    """Without correlation nothing hedges anything."""
    assert minor_components(np.diag([1.0, 4.0, 9.0])) == []


def test_units_and_order() -> None:
    """A change of an asset's units divides its weight by it, a permutation permutes: the relation stays the same."""
    units, order = np.array([1.0, 10.0, 0.1, 3.0, 7.0, 0.5]), np.array([3, 1, 5, 0, 2, 4])
    scaled = minor_components(COVARIANCE * np.outer(units, units))
    permuted = minor_components(COVARIANCE[np.ix_(order, order)])
    for original, in_units, in_order in zip(minor_components(COVARIANCE), scaled, permuted, strict=True):
        for other in (in_units * units, in_order[np.argsort(order)]):
            cosine = original @ other / np.linalg.norm(original) / np.linalg.norm(other)
            assert abs(abs(cosine) - 1.0) < 1e-12


def test_leading_leg_is_one_and_no_weight_exceeds_two() -> None:
    """The canonical form of a dense vector bounds its weights."""
    for weights in minor_components(COVARIANCE):
        assert np.count_nonzero(weights == 1.0) >= 1
        assert np.max(np.abs(weights)) <= 2.0


def test_an_asset_that_stands_still_is_left_out() -> None:
    """Zero variance is no error, and no perfect hedge either."""
    covariance = COVARIANCE.copy()
    covariance[2], covariance[:, 2] = 0.0, 0.0
    components = minor_components(covariance)
    assert components
    assert all(weights[2] == 0.0 and np.count_nonzero(weights) > 1 for weights in components)
