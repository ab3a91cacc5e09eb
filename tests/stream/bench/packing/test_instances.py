"""The instances that are measured are what they say."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.bench.packing.instances import FIT_DAYS, LOT, REFIT_EVERY_DAYS, live_sequence, random_desk


def walk(days: int, n: int) -> np.ndarray:
    """(days, n) prices around 50."""
    return 50.0 * np.exp(np.cumsum(np.random.default_rng(2).normal(0.0, 0.01, (days, n)), axis=0))


def test_a_live_sequence_is_what_it_says() -> None:
    """The same seed gives the same steps; trades are whole lots of one asset, valued at the day's price; β and Σ change
    when their day comes and not before."""
    prices = walk(FIT_DAYS + 1 + 2 * REFIT_EVERY_DAYS, 5)
    steps = 4 * REFIT_EVERY_DAYS

    def sequence() -> list[Any]:
        return list(live_sequence(np.random.default_rng(3), prices, 6, 2 * LOT, steps))

    first, second = sequence(), sequence()
    assert len(first) == steps
    quantities = []
    for index, (step, same) in enumerate(zip(first, second, strict=True)):
        assert np.array_equal(step.Q, same.Q)
        assert np.array_equal(step.Sigma, same.Sigma)
        day = index // 2
        assert step.new_covariance == (index % 2 == 0)
        assert step.new_items == (index % (2 * REFIT_EVERY_DAYS) == 0)
        if index:
            assert np.array_equal(step.B, first[index - 1].B) != step.new_items
            assert np.array_equal(step.Sigma, first[index - 1].Sigma) != step.new_covariance
        quantities.append(step.Q / (LOT / prices[FIT_DAYS] * prices[FIT_DAYS + day]))
        assert step.B.shape == (5, 6)
        assert np.allclose(np.max(np.abs(step.B) == 2 * LOT, axis=0), 1)
    assert np.allclose(quantities, np.rint(quantities), atol=1e-9)
    assert max(np.count_nonzero(np.rint(change)) for change in np.diff(quantities, axis=0)) == 1


def test_a_random_desk_is_a_problem() -> None:
    """Pairs and triples with a leading leg of one lot, a covariance of full rank, and bounds and costs that fit."""
    desk = random_desk(np.random.default_rng(4), 7, 9)
    assert set(np.count_nonzero(desk.B, axis=0)) == {2, 3}
    assert (desk.B.max(axis=0) == LOT).all()
    assert np.linalg.eigvalsh(desk.Sigma)[0] > 0.0
    problem = desk.boxed_variance(np.random.default_rng(4), "inside")
    assert (problem.lower < 0).all()
    assert (problem.upper > 0).all()
    assert (problem.arrays.cost > 0.0).all()
