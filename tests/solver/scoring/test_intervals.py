"""Intervals: that they cover what they should, and equal known ones where those exist."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from solver.errors import IllPosed, NotEnoughData
from solver.scoring.intervals import bootstrap_interval, clustered_share


def mean_of(means: np.ndarray) -> np.ndarray:
    first: np.ndarray = means[..., 0]
    return first


@pytest.mark.slow
def test_bootstrap_covers_the_mean_of_a_series_that_hangs_together() -> None:
    """Of 300 AR(1) series with coefficient .5, blocks of 20 cover the mean in 90 to 98 %, single rows in far fewer."""
    chance = np.random.default_rng(1)
    covered = {1: 0, 20: 0}
    for _ in range(300):
        noise = chance.normal(size=500)
        walk = np.empty(500)
        walk[0] = noise[0] / np.sqrt(0.75)
        for t in range(1, 500):
            walk[t] = 0.5 * walk[t - 1] + noise[t]
        for block in covered:
            found = bootstrap_interval(walk[:, None], mean_of, block, 0.95, chance)
            covered[block] += found.lower <= 0.0 <= found.upper
    assert 0.90 < covered[20] / 300 < 0.98
    assert covered[1] / 300 < 0.85


def test_bootstrap_is_exact_on_a_constant_and_seeded() -> None:
    """A constant's interval has no width; one generator gives one interval; a block longer than the series is cut."""
    found = bootstrap_interval(np.full((30, 1), 2.5), mean_of, 100, 0.9, np.random.default_rng(2))
    assert (found.estimate, found.lower, found.upper) == (2.5, 2.5, 2.5)
    series = np.random.default_rng(3).normal(size=(50, 1))
    again = [bootstrap_interval(series, mean_of, 5, 0.9, np.random.default_rng(4)) for _ in range(2)]
    assert again[0] == again[1]


def test_single_members_give_clopper_pearson() -> None:
    """Groups of one are independent trials: at most the statsmodels interval's width, and it with the same count."""
    chance = np.random.default_rng(5)
    successes = (chance.random(200) < 0.3).astype(np.int64)
    found = clustered_share(successes, np.ones(200, dtype=np.int64), 0.95)
    # The variance over the groups has one degree of freedom less than the trials.
    lower, upper = proportion_confint(found.estimate * 199, 199, 0.05, method="beta")
    assert (found.lower, found.upper) == (pytest.approx(lower), pytest.approx(upper))


def test_groups_that_share_their_fate_count_once() -> None:
    """Ten members that all do the same say no more than one of them does."""
    fates = (np.random.default_rng(6).random(100) < 0.4).astype(np.int64)
    single = clustered_share(fates, np.ones(100, dtype=np.int64), 0.95)
    tenfold = clustered_share(10 * fates, np.full(100, 10), 0.95)
    assert (tenfold.lower, tenfold.upper) == (pytest.approx(single.lower), pytest.approx(single.upper))


def test_all_none_and_nothing() -> None:
    """All or none count as many trials as there are groups; nothing at all says nothing."""
    trials = np.full(12, 10)
    every, none = clustered_share(trials, trials, 0.95), clustered_share(0 * trials, trials, 0.95)
    lower, _ = proportion_confint(12, 12, 0.05, method="beta")
    assert (every.estimate, every.lower, every.upper) == (1.0, pytest.approx(lower), 1.0)
    assert (none.estimate, none.lower, none.upper) == (0.0, 0.0, pytest.approx(1.0 - lower))
    nothing = clustered_share(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0.95)
    assert np.isnan(nothing.estimate)
    assert (nothing.lower, nothing.upper) == (0.0, 1.0)


def test_bad_input() -> None:
    """Arguments out of range and counts that cannot be are refused."""
    series, chance = np.zeros((5, 1)), np.random.default_rng(1)
    for arguments in ((np.zeros(5), 1, 0.9), (series * np.nan, 1, 0.9), (series, 0, 0.9), (series, 1, 1.0)):
        with pytest.raises(IllPosed):
            bootstrap_interval(arguments[0], mean_of, arguments[1], arguments[2], chance)
    with pytest.raises(NotEnoughData):
        bootstrap_interval(series[:1], mean_of, 1, 0.9, chance)
    for successes, trials, confidence in (([2], [1], 0.9), ([-1], [1], 0.9), ([1], [1], 1.0), ([1, 1], [1], 0.9)):
        with pytest.raises(IllPosed):
            clustered_share(np.array(successes), np.array(trials), confidence)
