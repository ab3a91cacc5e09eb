"""The triangular factor that a basis is reduced from: of which matrix it is, and when there is none."""

from __future__ import annotations

import numpy as np

from solver.packing.lattice.reduction import factorise_least_first


def test_the_factor_is_that_of_the_matrix_in_the_order_it_says() -> None:
    """R'R is the matrix with rows and columns in `order`, and each pivot is the least that was left."""
    for seed in range(100):
        chance = np.random.default_rng(seed)
        K = int(chance.integers(1, 12))
        root = chance.normal(size=(K, K)) * 10.0 ** chance.uniform(-2.0, 2.0, K)
        H = root.T @ root + 1e-6 * np.eye(K)
        R, order = H.copy(), np.arange(K)
        assert factorise_least_first(R, order)
        assert sorted(order.tolist()) == list(range(K))
        np.testing.assert_array_equal(R, np.triu(R))
        in_order = H[np.ix_(order, order)]
        np.testing.assert_allclose(R.T @ R, in_order, rtol=1e-9, atol=1e-12 * float(np.max(H)))
        for k in range(K):
            # What is left of the diagonal once the pivots before are taken out.
            left = np.diag(in_order)[k:] - np.sum(R[:k, k:] ** 2, axis=0)
            assert R[k, k] ** 2 <= np.min(left) + 1e-9 * float(np.max(H)), f"seed {seed}"


def test_a_matrix_with_a_flat_direction_has_no_factor() -> None:
    """A pivot of zero, the first or a later one, is refused."""
    for H in (np.zeros((1, 1)), np.diag([1.0, 0.0, 2.0]), np.ones((2, 2))):
        assert not factorise_least_first(H.copy(), np.arange(len(H)))
