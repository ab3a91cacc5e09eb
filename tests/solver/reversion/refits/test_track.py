"""Vectors keep their identity over refits whatever their sign, scale and order."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.reversion.refits.track import LARGEST_ANGLE, angles_between, match
from solver.reversion.vector import Candidate, Method


def candidates(B: np.ndarray, method: Method = "pca") -> list[Candidate]:
    return [Candidate(weights, method, -3.0, 0.01) for weights in B.T]


def test_angles_of_known_vectors() -> None:
    """Lines, not arrows: (1, -1) is at 0° to (-2, 2), at 45° to (1, 0), at 90° to (1, 1) and to a leg that is still."""
    angles = angles_between(
        np.array([[1.0], [-1.0], [0.0]]),
        np.array([[-2.0, 1.0, 1.0, 0.0], [2.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]),
        np.array([1.0, 1.0, 0.0]),
    )
    np.testing.assert_allclose(angles, [[0.0, np.pi / 4, np.pi / 2, np.pi / 2]], atol=1e-12)


def test_angles_do_not_depend_on_units() -> None:
    """Prices in other units scale weights one way and volatilities the other; the angles stay."""
    rng = np.random.default_rng(1)
    first, second, scale, units = rng.normal(size=(5, 3)), rng.normal(size=(5, 4)), rng.random(5), rng.random(5) + 0.5
    own = angles_between(first, second, scale)
    np.testing.assert_allclose(angles_between(first / units[:, None], second / units[:, None], scale * units), own)
    np.testing.assert_allclose(angles_between(-3.0 * first, second, scale), own)
    np.testing.assert_allclose(angles_between(second, first, scale), own.T)


@pytest.mark.parametrize("seed", range(20))
def test_least_total_angle_of_all_assignments(seed: int) -> None:
    """Against every assignment of four old to four new vectors, unmatched ones at the largest angle."""
    rng = np.random.default_rng(seed)
    old = rng.normal(size=(4, 4))
    new = old[:, rng.permutation(4)] + 0.4 * rng.normal(size=(4, 4))
    scale = rng.random(4) + 0.5
    found = match(candidates(old), candidates(new), scale)
    costs = np.minimum(angles_between(old, new, scale), LARGEST_ANGLE)
    least = min(sum(costs[i, j] for i, j in enumerate(order)) for order in permutations(range(4)))
    total = sum(costs[i, j] for j, i in found.items()) + LARGEST_ANGLE * (4 - len(found))
    assert total == pytest.approx(least)
    assert len(set(found.values())) == len(found)


def test_shuffled_flipped_and_scaled_vectors_are_found_again() -> None:
    """A refit that returns the same lines in another order, sign and scale loses nobody."""
    rng = np.random.default_rng(2)
    old = rng.normal(size=(8, 5))
    order = rng.permutation(5)
    new = old[:, order] * rng.choice([-3.0, 0.5, 2.0], size=5)
    assert match(candidates(old), candidates(new), np.ones(8)) == {j: int(i) for j, i in enumerate(order)}


def test_only_the_like_match() -> None:
    """Not across methods, not beyond the largest angle, and vectors of few legs only on their own."""
    pair, near, far = (
        np.array([[1.0], [-1.0], [0.0]]),
        np.array([[1.0], [-1.1], [0.1]]),
        np.array([[1.0], [1.0], [0.0]]),
    )
    scale = np.ones(3)
    assert match(candidates(pair), candidates(near), scale) == {0: 0}
    assert match(candidates(pair), candidates(near, "johansen"), scale) == {}
    assert match(candidates(pair), candidates(far), scale) == {}
    few: tuple[Method, ...] = ("sparse", "baskets")
    for method in few:
        assert match(candidates(pair, method), candidates(near, method), scale) == {}
        assert match(candidates(pair, method), candidates(pair * 2.0, method), scale) == {0: 0}
    assert match(candidates(pair, "sparse"), candidates(pair, "baskets"), scale) == {}
    assert match([], candidates(pair), scale) == {}
    assert match(candidates(pair), [], scale) == {}


def test_bad_input() -> None:
    """Vectors over other assets are a typed error."""
    with pytest.raises(IllPosed, match="vectors must be"):
        angles_between(np.ones((3, 1)), np.ones((2, 1)), np.ones(3))
