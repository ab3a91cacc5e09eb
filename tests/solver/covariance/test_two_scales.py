"""Two-scales variances, tick by tick, are those of the definition on the whole course."""

from __future__ import annotations

import numpy as np
import pytest

from solver.covariance.two_scales import add_tick, two_scales_variance


def fed(courses: list[np.ndarray], slow_ticks: int, weights: np.ndarray) -> np.ndarray:
    """(4, n) the sums after all ticks of all assets, which tick in turn."""
    n = len(courses)
    recent, scales, counts = np.zeros((n, slow_ticks)), np.zeros((4, n)), np.zeros((3, n), dtype=np.int64)
    for t in range(len(courses[0])):
        for asset, course in enumerate(courses):
            change = course[t] - course[t - 1] if t else 0.0
            add_tick(recent, scales, counts, asset, course[t], change, weights[t])
    return scales


@pytest.mark.parametrize("slow_ticks", [2, 5])
def test_sums_are_those_of_the_definition(slow_ticks: int) -> None:
    """Weighted squares over one tick and over K ticks, all overlapping intervals, by numpy."""
    rng = np.random.default_rng(1)
    courses = [np.cumsum(rng.normal(size=60)) + 0.5 * rng.normal(size=60) for _ in range(2)]
    weights = rng.uniform(0.5, 2.0, 60)
    scales = fed(courses, slow_ticks, weights)
    for asset, course in enumerate(courses):
        slow = course[slow_ticks:] - course[:-slow_ticks]
        expected = [
            weights[1:] @ np.diff(course) ** 2,
            weights[1:].sum(),
            weights[slow_ticks:] @ slow**2,
            weights[slow_ticks:].sum(),
        ]
        np.testing.assert_allclose(scales[:, asset], expected, rtol=1e-12)


def test_noise_is_taken_out() -> None:
    """Ten ticks a timestep with noise as large as ten of their moves: the variance is that of the price alone.

    The sampling error of 200,000 ticks is some 1.5 %; squares over one tick alone would give 21 times as much.
    """
    rng = np.random.default_rng(2)
    steps, ticks_per_step = 20_000, 10
    price = np.cumsum(rng.normal(size=steps * ticks_per_step)) / np.sqrt(ticks_per_step)
    seen = price + rng.normal(size=len(price))
    scales = fed([seen], 40, np.ones(len(seen)))
    variance = two_scales_variance(scales, 40, np.array([(len(seen) - 1) / ticks_per_step]))
    assert variance[0] == pytest.approx(1.0, rel=0.1)
    assert scales[0, 0] / steps > 15.0


def test_without_a_slow_return_there_is_no_variance() -> None:
    """NaN until K returns were seen; a course that only bounces keeps the slow scale, noise included."""
    few = fed([np.arange(3.0)], 5, np.ones(3))
    assert np.isnan(two_scales_variance(few, 5, np.ones(1))).all()
    bouncing = np.tile([0.0, 1.0], 50)[:99]
    scales = fed([bouncing], 3, np.ones(99))
    # Every return over three ticks is one of size 1, divided over three.
    np.testing.assert_allclose(two_scales_variance(scales, 3, np.array([98.0])), [1.0 / 3.0])
