"""Objectives of a residual against numpy, published figures and their limits."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.objective import (
    covariance_determinant,
    determinant,
    materiality_floor,
    objective_key,
    variance,
    volume,
    volume_kernel,
    volume_rounding,
)

# Volatilities (per square-root day) and correlations of EUR, GBP, CHF, JPY: Barzykin, Bergault and Guéant,
# arXiv 2207.04100, table 1.
VOLATILITY = np.array([80e-4, 70e-4, 60e-4, 60e-4])
CORRELATION = np.array([[1.0, 0.6, 0.5, 0.3], [0.6, 1.0, 0.3, 0.2], [0.5, 0.3, 1.0, 0.4], [0.3, 0.2, 0.4, 1.0]])
SIGMA = np.outer(VOLATILITY, VOLATILITY) * CORRELATION
EPSILON = materiality_floor(1e6, SIGMA)

residuals = st.lists(st.floats(-1e8, 1e8), min_size=4, max_size=4).map(np.array)
ranks = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)


def covariance_of_rank(rank: int, seed: int) -> FloatArray:
    """A random covariance of 4 assets, singular below rank 4, at about 1 % volatility."""
    factors = 0.01 * np.random.default_rng(seed).normal(size=(4, rank))
    Sigma: FloatArray = factors @ factors.T
    return Sigma


def test_variance_gives_the_risks_of_the_determinants_trap() -> None:
    """50 M in each of three currencies carry 692 k per square-root day, 0.1 M in each of four carry 2 k."""
    assert np.sqrt(variance(np.array([0.0, 50e6, 50e6, 50e6]), SIGMA)) == pytest.approx(692e3, abs=500)
    assert np.sqrt(variance(np.array([0.1e6] * 4), SIGMA)) == pytest.approx(2e3, abs=500)


def test_variance_gives_the_published_cross_hedges() -> None:
    """10 M EUR risk 80 k; the best hedges of arXiv 2207.04100's table leave 64.00 k (GBP) and 57.8598 k (all three)."""
    assert np.sqrt(variance(np.array([10e6, 0.0, 0.0, 0.0]), SIGMA)) == pytest.approx(80e3)
    assert np.sqrt(variance(np.array([10e6, -6.857e6, 0.0, 0.0]), SIGMA)) == pytest.approx(64.00e3, rel=1e-4)
    hedged = np.array([10e6, -5.5786e6, -4.3272e6, -0.9675e6])
    assert np.sqrt(variance(hedged, SIGMA)) == pytest.approx(57.8598e3, rel=1e-6)


def test_determinant_falls_into_its_trap_and_volume_does_not() -> None:
    """One flat leg makes the determinant prefer 692 k of risk to 2 k; the volume sees which is smaller."""
    risky, safe = np.array([0.0, 50e6, 50e6, 50e6]), np.array([0.1e6] * 4)
    assert determinant(risky, SIGMA) == 0.0
    assert determinant(safe, SIGMA) > 0.0
    assert volume(risky, SIGMA, EPSILON) > volume(safe, SIGMA, EPSILON)


@given(residuals)
def test_determinant_is_that_of_the_scaled_covariance(q: FloatArray) -> None:
    """det(diag(q) Σ diag(q)) by its definition, over permutations: LU loses its digits where legs differ widely."""
    scaled = np.diag(q) @ SIGMA @ np.diag(q)
    # The parity of a permutation is that of its inversions.
    terms = [
        (-1) ** sum(a > b for a, b in itertools.combinations(columns, 2)) * np.prod(scaled[range(4), list(columns)])
        for columns in itertools.permutations(range(4))
    ]
    assert determinant(q, SIGMA) == pytest.approx(sum(terms), rel=1e-9, abs=1e-200)


@given(residuals, ranks, seeds)
def test_volume_is_the_log_determinant(q: FloatArray, rank: int, seed: int) -> None:
    """log det(I + D Σ D / ε²) from its eigenvalues, singular Σ and flat legs included."""
    Sigma = covariance_of_rank(rank, seed)
    scaled = np.diag(q / 1e4) @ Sigma @ np.diag(q / 1e4)
    expected = np.sum(np.log1p(np.maximum(np.linalg.eigvalsh(scaled), 0.0)))
    # The entries reach (1e8 / 1e4)² · 1e-3 = 1e5 and their rounding, 1e-11, counts in full where an eigenvalue is zero.
    assert volume(q, Sigma, 1e4) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def exact_volume(q: FloatArray, Sigma: FloatArray) -> float:
    """The definition in fractions, floor 1: nothing is rounded before the logarithm."""
    held, covariance = [Fraction(x) for x in q.tolist()], [[Fraction(x) for x in row] for row in Sigma.tolist()]
    n = len(held)
    rows = [[held[i] * covariance[i][j] * held[j] + (i == j) for j in range(n)] for i in range(n)]
    determinant = Fraction(1)
    for i in range(n):
        determinant *= rows[i][i]
        for j in range(i + 1, n):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [entry - factor * above for entry, above in zip(rows[j], rows[i], strict=True)]
    return math.log1p(determinant - 1)


@pytest.mark.parametrize("seed", range(200))
def test_volume_is_known_up_to_its_rounding(seed: int) -> None:
    """Up to ten million floors, covariances of any rank: what fractions say is within `volume_rounding` and an ulp."""
    chance = np.random.default_rng(seed)
    n = int(chance.integers(2, 7))
    factors = 1e-3 * chance.normal(size=(n, int(chance.integers(1, 2 * n)))) * 10.0 ** chance.uniform(-1, 1, (n, 1))
    Sigma = 0.5 * (factors @ factors.T + (factors @ factors.T).T)
    q = 10.0 ** chance.uniform(3, 10) * chance.normal(size=n)
    value = volume_kernel(q, Sigma, 1.0, np.empty((n, n)))
    rounding = volume_rounding(q, Sigma, 1.0, value, np.empty(n), np.empty((n, n)))
    assert abs(value - exact_volume(q, Sigma)) <= rounding + 1e-15 * value


@pytest.mark.parametrize("seed", range(200))
def test_rounding_of_a_volume_beyond_all_floors(seed: int) -> None:
    """At 1e8 to 1e22 floors, where the 1 of a pivot is lost; factors of small integers, so that any rank is exact."""
    chance = np.random.default_rng(seed)
    n = int(chance.integers(2, 7))
    factors = chance.integers(-3, 4, size=(n, int(chance.integers(1, n + 1)))).astype(np.float64)
    factors[(factors == 0.0).all(axis=1)] = 1.0
    Sigma = factors @ factors.T
    q = 10.0 ** chance.uniform(8, 22) * chance.normal(size=n)
    value = volume_kernel(q, Sigma, 1.0, np.empty((n, n)))
    rounding = volume_rounding(q, Sigma, 1.0, value, np.empty(n), np.empty((n, n)))
    assert abs(value - exact_volume(q, Sigma)) <= rounding + 1e-15 * value


def test_large_positions_alone_are_no_doubt() -> None:
    """Of a regular covariance a million floors are known to twelve digits; of a singular one not to nine."""
    q = 1e8 * np.array([1.0, -2.0, 3.0, 1.5])
    for rank, share in ((8, (0.0, 1e-12)), (2, (1e-9, 1.0))):
        Sigma = covariance_of_rank(rank, 1)
        value = volume_kernel(q, Sigma, 1.0, np.empty((4, 4)))
        rounding = volume_rounding(q, Sigma, 1.0, value, np.empty(4), np.empty((4, 4)))
        assert share[0] <= rounding / value <= share[1]


@given(residuals, ranks, seeds, st.integers(0, 3), st.floats(1.0, 100.0))
def test_volume_is_monotone_in_every_leg(q: FloatArray, rank: int, seed: int, leg: int, growth: float) -> None:
    """A leg that grows never lowers the volume, whatever its sign and the others."""
    Sigma = covariance_of_rank(rank, seed)
    larger = q.copy()
    larger[leg] *= growth
    before = volume(q, Sigma, 1e4)
    # 1e-9: rounding where the covariance is singular, as above.
    assert volume(larger, Sigma, 1e4) >= before - 1e-9 * (1.0 + before)


@given(residuals)
def test_volume_of_small_positions_is_their_standalone_variance(q: FloatArray) -> None:
    """For |q| far below the floor the volume tends to q'diag(Σ)q / ε²: offsets count for nothing."""
    epsilon = 1e15
    expected = np.sum(np.diag(SIGMA) * q**2) / epsilon**2
    assert volume(q, SIGMA, epsilon) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.lists(st.floats(1e6, 1e8), min_size=4, max_size=4).map(np.array))
def test_volume_of_large_positions_is_the_log_determinant_measure(q: FloatArray) -> None:
    """For |q| far above the floor the volume tends to log(det(diag(q) Σ diag(q)) / ε^2n)."""
    epsilon = 1e-3
    expected = np.log(determinant(q, SIGMA)) - 8.0 * np.log(epsilon)
    assert volume(q, SIGMA, epsilon) == pytest.approx(expected, rel=1e-9)


@given(residuals, st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4), st.permutations(range(4)))
def test_signs_and_the_order_of_assets_do_not_matter(q: FloatArray, signs: list[float], order: list[int]) -> None:
    """Volume and determinant are blind to signs; no objective depends on the order of the assets."""
    flipped = q * np.array(signs)
    permuted = SIGMA[np.ix_(order, order)]
    assert volume(flipped, SIGMA, EPSILON) == pytest.approx(volume(q, SIGMA, EPSILON), rel=1e-12)
    assert determinant(flipped, SIGMA) == determinant(q, SIGMA)
    assert volume(q[order], permuted, EPSILON) == pytest.approx(volume(q, SIGMA, EPSILON), rel=1e-9)
    assert determinant(q[order], permuted) == pytest.approx(determinant(q, SIGMA), rel=1e-9, abs=1e-200)
    # Offsetting legs cancel, so the rounding of a sum in another order is a share of the gross variance.
    gross = np.abs(q) @ SIGMA @ np.abs(q)
    assert variance(q[order], permuted) == pytest.approx(variance(q, SIGMA), abs=1e-14 * gross)


def test_key_breaks_the_ties_of_the_determinant_by_variance() -> None:
    """Two residuals of determinant 0 compare by variance; the other objectives have nothing to break ties with."""
    small, large = np.array([0.0, 1e6, 0.0, 0.0]), np.array([0.0, 2e6, 0.0, 0.0])
    assert objective_key("determinant", small, SIGMA, EPSILON) == (0.0, variance(small, SIGMA))
    assert objective_key("determinant", small, SIGMA, EPSILON) < objective_key("determinant", large, SIGMA, EPSILON)
    assert objective_key("variance", small, SIGMA, EPSILON) == (variance(small, SIGMA), 0.0)
    assert objective_key("volume", small, SIGMA, EPSILON) == (volume(small, SIGMA, EPSILON), 0.0)


@settings(max_examples=30)
@given(st.integers(1, 3), seeds)
def test_determinant_of_a_singular_covariance_is_exactly_zero(rank: int, seed: int) -> None:
    """Rounding leaves no tiny positive determinant where assets are dependent, whatever their volatilities."""
    scale = np.array([1e-6, 1.0, 1e3, 1.0])
    assert covariance_determinant(covariance_of_rank(rank, seed) * np.outer(scale, scale)) == 0.0
    assert covariance_determinant(SIGMA * np.outer(scale, scale)) == pytest.approx(
        np.linalg.det(SIGMA) * 1e-6, rel=1e-9
    )


def test_materiality_floor_is_one_lot_of_the_average_asset() -> None:
    """ε = lot · sqrt(mean variance): 1 M at volatilities 80, 70, 60, 60 bps is 6,801 per square-root day."""
    assert materiality_floor(1e6, SIGMA) == pytest.approx(1e6 * np.sqrt((64 + 49 + 36 + 36) / 4) * 1e-3)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: variance(np.array([1.0, np.nan]), np.eye(2)), "q must be finite"),
        (lambda: variance(np.ones(2), np.eye(3)), "Sigma must have shape"),
        (lambda: variance(np.ones((2, 1)), np.eye(2)), "q must have shape"),
        (lambda: determinant(np.ones(2), np.full((2, 2), np.inf)), "Sigma must be finite"),
        (lambda: volume(np.ones(2), np.eye(2), 0.0), "epsilon must be"),
        (lambda: volume(np.ones(2), np.eye(2), np.nan), "epsilon must be"),
        (lambda: objective_key("risk", np.ones(2), np.eye(2), 1.0), "objective must be one of"),
        (lambda: materiality_floor(0.0, np.eye(2)), "lot_notional must be"),
        (lambda: materiality_floor(1.0, np.zeros((2, 2))), "mean variance"),
        (lambda: materiality_floor(1.0, np.ones((2, 3))), "Sigma must be square"),
    ],
)
def test_bad_input_is_named(call: object, named: str) -> None:
    """What no objective can be computed from is refused, and the message names the argument."""
    assert callable(call)
    with pytest.raises(IllPosed, match=named):
        call()
