"""All points of a lattice in a cube: depth first, in a basis that is reduced for the cube.

A point is ``centre + sum z_k b_k`` with whole z, and in the cube if no coordinate leaves ±1. With the basis orthogonal
as far as it can be, each whole number fixed leaves a ball, around what the others can reach, that holds few points or
none; and three tests look at the cube itself, which is a small part of the ball around it.

References
----------
Lenstra, Lenstra and Lovász (1982), Factoring polynomials with rational coefficients.
Fincke and Pohst (1985), Improved methods for calculating vectors of short length in a lattice.
Ritter (1996), Breaking knapsack cryptosystems by max-norm enumeration (the test of a projection against the cube).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray
from solver.kernels.compiled import compiled_borrowing
from solver.packing.lattice.reduction import reduce_basis

# Widens the cube, for the rounding of its coordinates, some 1e-9 at worst.
CUBE_SLACK = 1e-7


class Cube(NamedTuple):
    """A lattice of K dimensions among F coordinates. The last K of them are those of its vectors, one each."""

    basis: FloatArray  # (K, K), whole numbers, rows are the reduced basis in the given vectors
    image: FloatArray  # (K, F), the given vectors
    centre: FloatArray  # (F,), the point with all of them at zero
    frame: FloatArray  # (K, F), orthonormal, from the basis
    R: FloatArray  # (K, K), upper triangular, the basis in the frame
    shift: FloatArray  # (K,), the centre in the frame
    point: FloatArray  # (K + 1, F), the centre with the levels from this one on fixed, as far as they decide
    length: FloatArray  # (K + 1,), squared
    extent: FloatArray  # (K, F), squared, of the coordinates over a unit ball of the levels below
    z: FloatArray  # (K,), current coordinates
    last: FloatArray  # (K,), the last to be tried at each level


@compiled_borrowing
def orthogonalise(cube: Cube) -> None:
    """Frame, R and shift of the basis, and the part of the centre outside its span: Gram and Schmidt, modified."""
    items, F = cube.image.shape
    for a in range(items):
        row = cube.frame[a]
        for f in range(F):
            row[f] = 0.0
        for k in range(items):
            share = cube.basis[a, k]
            if share != 0.0:
                moved = cube.image[k]
                for f in range(F):
                    row[f] += share * moved[f]
    rest = cube.point[items]
    for f in range(F):
        rest[f] = cube.centre[f]
    for a in range(items):
        row = cube.frame[a]
        total = 0.0
        for f in range(F):
            total += row[f] * row[f]
        length = np.sqrt(total)
        cube.R[a, a] = length
        for f in range(F):
            row[f] /= length
        for b in range(a + 1, items):
            other = cube.frame[b]
            share = 0.0
            for f in range(F):
                share += row[f] * other[f]
            for f in range(F):
                other[f] -= share * row[f]
            cube.R[a, b] = share
            cube.R[b, a] = 0.0
        share = 0.0
        for f in range(F):
            share += row[f] * rest[f]
        for f in range(F):
            rest[f] -= share * row[f]
        cube.shift[a] = share
        if a > 0:
            for f in range(F):
                cube.extent[a, f] = cube.extent[a - 1, f] + cube.frame[a - 1, f] ** 2
    total = 0.0
    for f in range(F):
        total += rest[f] * rest[f]
    cube.length[items] = total


@compiled_borrowing
def log_points(cube: Cube) -> float:
    """About how many points the cube holds, its logarithm: the volume of a cube of K edges, over the lattice's."""
    items, F = cube.image.shape
    m = F - items
    factor = cube.R
    total = items * np.log(2.0)
    for a in range(items):
        for b in range(a + 1):
            entry = cube.image[a, m + a] ** 2 if a == b else 0.0
            for i in range(m):
                entry += cube.image[a, i] * cube.image[b, i]
            for k in range(b):
                entry -= factor[a, k] * factor[b, k]
            if a == b:
                # At least what the multiples alone contribute, whatever rounding says.
                factor[a, a] = np.sqrt(max(entry, cube.image[a, m + a] ** 2))
                total -= np.log(factor[a, a])
            else:
                factor[a, b] = entry / factor[b, b]
    return float(total)


@compiled_borrowing
def open_coordinate(cube: Cube, k: int) -> None:
    """The range of the coordinate at level `k`, given those above it."""
    items, F = cube.image.shape
    middle = cube.shift[k]
    for j in range(k + 1, items):
        middle += cube.R[k, j] * cube.z[j]
    above, row = cube.point[k + 1], cube.frame[k]
    down = -np.inf
    up = np.inf
    if k > 0:
        # Within the ball around the cube, and no further along this direction than a corner of the cube.
        corner = 0.0
        for f in range(F):
            corner += abs(row[f])
        up = min(np.sqrt(max(F * (1.0 + CUBE_SLACK) - cube.length[k + 1], 0.0)), corner * (1.0 + CUBE_SLACK))
        down = -up
    else:
        edge = 1.0 + CUBE_SLACK
        for f in range(F):
            if abs(row[f]) > CUBE_SLACK**2:
                one = (-edge - above[f]) / row[f]
                other = (edge - above[f]) / row[f]
                down = max(down, min(one, other))
                up = min(up, max(one, other))
            elif abs(above[f]) > edge:
                up = -np.inf
    length = cube.R[k, k]
    cube.z[k] = np.ceil((down - middle) / length - CUBE_SLACK) - 1.0
    cube.last[k] = np.floor((up - middle) / length + CUBE_SLACK)


@compiled_borrowing
def step_to(cube: Cube, k: int) -> bool:
    """Fix the coordinate at level `k` > 0; False if no point of the cube has it."""
    items, F = cube.image.shape
    along = cube.shift[k]
    for j in range(k, items):
        along += cube.R[k, j] * cube.z[j]
    length = cube.length[k + 1] + along * along
    above, row, here, extent = cube.point[k + 1], cube.frame[k], cube.point[k], cube.extent[k]
    room = F * (1.0 + CUBE_SLACK) - length
    most = 0.0
    outside = 0
    for f in range(F):
        here[f] = above[f] + along * row[f]
        size = abs(here[f])
        most += size
        # What the levels below can add to a coordinate within the ball that is left.
        beyond = size - (1.0 + CUBE_SLACK)
        outside += 1 if (beyond if beyond > 0.0 else 0.0) * beyond > room * extent[f] else 0
    cube.length[k] = length
    # For v in the cube, of which `here` is the projection: |here|² = here'v <= |here|_1.
    return outside == 0 and bool(length <= most * (1.0 + CUBE_SLACK))


@compiled_borrowing
def enter(cube: Cube) -> int:
    """Reduce the basis for the cube and open the highest level; returns that, or K where the cube is out of reach."""
    items: int = cube.image.shape[0]
    orthogonalise(cube)
    # Nobody reads what becomes of the coordinates.
    reduce_basis(cube.R, cube.basis, cube.last)
    orthogonalise(cube)
    if cube.length[items] > cube.image.shape[1] * (1.0 + CUBE_SLACK):
        return items
    open_coordinate(cube, items - 1)
    return items - 1


def cube_of(low: FloatArray, high: FloatArray, others: int) -> Cube:
    """The lattice of K whole numbers between `low` and `high` (K,), after so many `others` that are filled in later.

    Low is below high for all of them.
    """
    items, F = len(low), others + len(low)
    middle, half = 0.5 * (low + high), 0.5 * (high - low) + CUBE_SLACK
    image = np.zeros((items, F))
    image[:, others:] = np.diag(1.0 / half)
    return Cube(
        basis=np.eye(items),
        image=image,
        centre=np.concatenate([np.zeros(others), -middle / half]),
        frame=np.zeros((items, F)),
        R=np.zeros((items, items)),
        shift=np.zeros(items),
        point=np.zeros((items + 1, F)),
        length=np.zeros(items + 1),
        extent=np.zeros((items, F)),
        z=np.zeros(items),
        last=np.zeros(items),
    )
