"""The lattice points of a cube: the walk through it meets all of them, and the basis is of the same lattice."""

from __future__ import annotations

import itertools

import numpy as np

from solver.packing.lattice.cube import Cube, cube_of, enter, log_points, open_coordinate, step_to


def random_cube(seed: int) -> Cube:
    """One to four whole numbers between -4 and 4, and up to four other coordinates, some of them steep."""
    chance = np.random.default_rng(seed)
    items, others = int(chance.integers(1, 5)), int(chance.integers(0, 5))
    cube = cube_of(-chance.integers(0, 5, size=items) - 0.0, chance.integers(1, 5, size=items) + 0.0, others)
    cube.image[:, :others] = chance.normal(size=(items, others)) * 10.0 ** chance.uniform(-1.0, 2.0, size=others)
    cube.centre[:others] = chance.normal(size=others)
    return cube


def points_met(cube: Cube) -> list[tuple[int, ...]]:
    """The whole numbers of every point that the walk ends at."""
    items = len(cube.z)
    met = []
    k = enter(cube)
    while k < items:
        cube.z[k] += 1.0
        if cube.z[k] > cube.last[k]:
            k += 1
        elif k == 0:
            met.append(tuple(np.rint(cube.z @ cube.basis).astype(int).tolist()))
        elif step_to(cube, k):
            k -= 1
            open_coordinate(cube, k)
    return met


def test_every_point_is_met_once() -> None:
    """In bases reduced for one cube after the other, the points are those of brute force, give or take the slack."""
    count = 0
    for seed in range(150):
        cube = random_cube(seed)
        met = points_met(cube)
        assert len(set(met)) == len(met)
        every = np.array(list(itertools.product(range(-5, 6), repeat=len(cube.z))))
        reach = np.abs(every @ cube.image + cube.centre).max(axis=1)
        assert {tuple(z) for z in every[reach <= 1.0].tolist()} <= set(met), f"seed {seed}"
        assert set(met) <= {tuple(z) for z in every[reach <= 1.0 + 1e-5].tolist()}, f"seed {seed}"
        count += len(met)
    assert count > 1_000


def test_the_basis_is_one_of_the_same_lattice() -> None:
    """Whole numbers of determinant ±1; frame and R are its orthogonal factors, and what is left is orthogonal to it."""
    for seed in range(50):
        cube = random_cube(seed)
        enter(cube)
        items = len(cube.z)
        np.testing.assert_array_equal(cube.basis, np.rint(cube.basis))
        assert np.isclose(abs(np.linalg.det(cube.basis)), 1.0)
        # Rounding of sums of steep coordinates, of some hundred.
        np.testing.assert_allclose(cube.R.T @ cube.frame, cube.basis @ cube.image, atol=1e-9)
        np.testing.assert_allclose(cube.frame @ cube.frame.T, np.eye(items), atol=1e-9)
        np.testing.assert_allclose(cube.frame @ cube.point[items], 0.0, atol=1e-9)


def test_points_are_counted_by_volume() -> None:
    """Without other coordinates the cube holds about as many points as it is wide, whatever the basis."""
    cube = cube_of(np.array([-10.0, -20.0]), np.array([10.0, 30.0]), 0)
    assert np.isclose(log_points(cube), np.log(20.0 * 50.0), atol=1e-6)
