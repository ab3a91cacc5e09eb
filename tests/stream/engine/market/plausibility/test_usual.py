"""Robust running means."""

from __future__ import annotations

import numpy as np

from stream.engine.market.plausibility.usual import ENOUGH, RUN, SPREAD, SQUARED_MOVE, nothing_usual

EVERY = np.ones((5, 1), dtype=np.bool_)


def test_the_first_samples_weigh_alike() -> None:
    """As long as 1 / count is more than the fixed share, the mean is the plain one of bounded samples."""
    samples = np.random.default_rng(1).uniform(1.0, 2.0, 90)
    usual = nothing_usual(1)
    for sample in samples:
        usual.take(np.full((5, 1), sample), EVERY)
    np.testing.assert_allclose(usual.means[:, 0], samples.mean(), rtol=1e-12)


def test_an_outlier_counts_for_a_few_means() -> None:
    """Five of them, or 25 of a squared move, however far it lies out."""
    usual = nothing_usual(1)
    for _ in range(1_000):
        usual.take(np.ones((5, 1)), EVERY)
    usual.take(np.full((5, 1), 1e12), EVERY)
    np.testing.assert_allclose(usual.means[SPREAD], 1.0 + 0.01 * 4.0)
    np.testing.assert_allclose(usual.means[SQUARED_MOVE], 1.0 + 0.002 * 24.0)


def test_what_is_not_taken_changes_nothing() -> None:
    usual = nothing_usual(2)
    taken = np.zeros((5, 2), dtype=np.bool_)
    taken[RUN, 1] = True
    usual.take(np.full((5, 2), 3.0), taken)
    assert usual.counts.sum() == 1
    assert usual.means[RUN].tolist() == [0.0, 3.0]
    assert usual.means.sum() == 3.0


def test_no_move_is_usual_before_enough_were_seen() -> None:
    usual = nothing_usual(1)
    for count in range(1, ENOUGH + 2):
        usual.take(np.full((5, 1), 4.0), EVERY)
        assert usual.moves.tolist() == [2.0 if count >= ENOUGH else 0.0]
