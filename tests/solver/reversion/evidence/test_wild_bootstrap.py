"""The Dickey-Fuller test keeps its size where volatility changes, and agrees with the tables where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import IllPosed, NotEnoughData
from solver.reversion.error_correction import johansen_moments
from solver.reversion.evidence.unit_root import dickey_fuller_p_values, dickey_fuller_statistics
from solver.reversion.evidence.wild_bootstrap import resampling_signs, wild_p_value


def statistic_of(basket_spread: np.ndarray) -> float:
    return float(dickey_fuller_statistics(johansen_moments(basket_spread[:, None], 0), 1, 0, np.eye(1))[0])


def test_size_where_volatility_breaks() -> None:
    """On walks whose volatility falls to a fifth halfway, tables reject 18 % at 5 %, the bootstrap less than half that.

    Over 2,000 walks it rejects 7 %.
    """
    rng = np.random.default_rng(1)
    signs = resampling_signs(300, rng)
    sizes = np.repeat([5.0, 1.0], 150)
    by_tables = by_bootstrap = 0
    for _ in range(400):
        basket_spread = np.concatenate([[0.0], np.cumsum(rng.normal(size=300) * sizes)])
        statistic = statistic_of(basket_spread)
        by_tables += dickey_fuller_p_values(np.array([statistic]))[0] < 0.05
        by_bootstrap += wild_p_value(statistic, np.diff(basket_spread), signs) < 0.05
    assert by_tables > 0.14 * 400
    assert 0.03 * 400 < by_bootstrap < 0.5 * by_tables


def test_agrees_with_the_tables_on_even_steps() -> None:
    """For normal steps and p-values from .001 to .5 the two differ by the noise of the resamples: a fifth."""
    rng = np.random.default_rng(2)
    changes, signs = rng.normal(size=500), resampling_signs(500, rng)
    for statistic in (-4.1, -3.4, -2.9, -2.0, -1.5):
        expected = dickey_fuller_p_values(np.array([statistic]))[0]
        assert np.log(wild_p_value(statistic, changes, signs)) == pytest.approx(np.log(expected), abs=0.6)


def test_reversion_in_the_data_does_not_reach_the_null() -> None:
    """Signs take reversion out of the steps: a basket spread that halves in three steps keeps a p-value below 1e-4."""
    rng = np.random.default_rng(3)
    basket_spread = np.zeros(401)
    for t in range(400):
        basket_spread[t + 1] = 0.8 * basket_spread[t] + rng.normal()
    assert wild_p_value(statistic_of(basket_spread), np.diff(basket_spread), resampling_signs(400, rng)) < 1e-4


def test_scale_is_free_and_signs_are_even() -> None:
    """A basket spread in other units has the same p-value; signs are ±1 and balanced."""
    rng = np.random.default_rng(4)
    changes, signs = rng.normal(size=100), resampling_signs(100, rng)
    assert wild_p_value(-2.5, 1e-6 * changes, signs) == pytest.approx(wild_p_value(-2.5, changes, signs), rel=1e-9)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4.0 / np.sqrt(signs.size)


def test_bad_input() -> None:
    """Other lengths, too few changes and a basket spread that stood still are typed errors."""
    signs = resampling_signs(5, np.random.default_rng(5))
    with pytest.raises(IllPosed, match="signs"):
        wild_p_value(-2.0, np.ones(4), signs)
    with pytest.raises(NotEnoughData, match="got 3"):
        wild_p_value(-2.0, np.arange(3.0), signs[:, :3])
    with pytest.raises(IllPosed, match="did not move"):
        wild_p_value(-2.0, np.ones(5), signs)
