"""Kupiec's and Christoffersen's tests against the published table, the binomial law, and simulated sizes and power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, chi2

from solver.errors import IllPosed, NotEnoughData
from solver.scoring.exceedances import christoffersen, coverage, kupiec, normal_exceedances


def series(T: int, exceedances: int) -> np.ndarray:
    """(T,) with the exceedances first; Kupiec's test does not look at their order."""
    return np.arange(T) < exceedances


@pytest.mark.parametrize(
    ("nominal", "T", "fewest", "most"),
    [
        (0.01, 255, None, 6),
        (0.01, 510, 2, 10),
        (0.01, 1000, 5, 16),
        (0.025, 255, 3, 11),
        (0.025, 510, 7, 20),
        (0.025, 1000, 16, 35),
        (0.05, 255, 7, 20),
        (0.05, 510, 17, 35),
        (0.05, 1000, 38, 64),
        (0.075, 255, 12, 27),
        (0.075, 510, 28, 50),
        (0.075, 1000, 60, 91),
        (0.10, 255, 17, 35),
        (0.10, 510, 39, 64),
        (0.10, 1000, 82, 119),
    ],
)
def test_kupiec_1995_table(nominal: float, T: int, fewest: int | None, most: int) -> None:
    """The numbers of exceedances that the test does not reject at 5 %: Kupiec (1995), as in Jorion, Value at Risk."""
    kept = [x for x in range(T // 4) if kupiec(series(T, x), nominal).p_value > 0.05]
    assert max(kept) == most
    if fewest is not None:
        assert min(kept) == fewest


def test_kupiec_is_the_binomial_likelihood_ratio() -> None:
    """The statistic is twice the difference of scipy's binomial log-likelihoods, at no exceedances and at many too."""
    for T, x, p in ((250, 0, 0.01), (250, 7, 0.01), (1000, 61, 0.05), (20, 20, 0.5)):
        expected = 2.0 * (binom.logpmf(x, T, x / T) - binom.logpmf(x, T, p))
        found = kupiec(series(T, x), p)
        assert found.statistic == pytest.approx(expected, abs=1e-9)
        assert found.p_value == pytest.approx(chi2.sf(max(expected, 0.0), 1), abs=1e-9)


def test_christoffersen_by_hand() -> None:
    """0 0 1 1 0 0 0 1 0 0: transitions 00 four, 01 two, 10 two, 11 one, written out."""
    hits = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0, 0], dtype=bool)
    chain = 4 * np.log(4 / 6) + 2 * np.log(2 / 6) + 2 * np.log(2 / 3) + np.log(1 / 3)
    alike = 6 * np.log(6 / 9) + 3 * np.log(3 / 9)
    assert christoffersen(hits).statistic == pytest.approx(2.0 * (chain - alike))


@pytest.mark.parametrize(("nominal", "T"), [(0.05, 2000), (0.1, 1000)])
def test_sizes(nominal: float, T: int) -> None:
    """Independent exceedances at the nominal rate are rejected at 5 % in 3 to 7.5 % of 2,000 series, by each test.

    The counts are whole numbers, so the size is near 5 %, not at it.
    """
    chance = np.random.default_rng(7)
    tests = [coverage(hits, nominal) for hits in chance.random((2000, T)) < nominal]
    for p_values in (
        [test.unconditional.p_value for test in tests],
        [test.independence.p_value for test in tests],
        [test.conditional.p_value for test in tests],
    ):
        assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.075


def test_power() -> None:
    """Twice the rate is rejected by Kupiec, the right rate in pairs by Christoffersen and not by Kupiec."""
    chance = np.random.default_rng(8)
    twice = coverage(chance.random(2000) < 0.1, 0.05)
    assert twice.unconditional.p_value < 1e-6
    assert twice.conditional.p_value < 1e-6
    in_pairs = np.repeat(chance.random(2000) < 0.05, 2)
    paired = coverage(in_pairs, 0.05)
    assert paired.independence.p_value < 1e-6
    assert paired.unconditional.p_value > 0.01
    assert paired.rate == pytest.approx(in_pairs.mean())


def test_the_normal_band() -> None:
    """Of normal outcomes the nominal share exceeds; ±1.96 is the edge at 5 %."""
    assert normal_exceedances(np.array([-1.97, -1.95, 1.95, 1.97]), 0.05).tolist() == [True, False, False, True]
    z = np.random.default_rng(9).normal(size=100_000)
    assert normal_exceedances(z, 0.01).mean() == pytest.approx(0.01, abs=4 * np.sqrt(0.01 / 100_000))


def test_no_exceedance_at_all() -> None:
    """Neither a division by zero nor evidence of clusters."""
    found = coverage(np.zeros(500, dtype=bool), 0.05)
    assert found.independence.statistic == 0.0
    assert found.independence.p_value == 1.0
    assert found.unconditional.p_value < 1e-6


def test_bad_input() -> None:
    """Rates beyond (0, 1), numbers in place of booleans and a single outcome are refused."""
    for nominal in (0.0, 1.0, np.nan):
        with pytest.raises(IllPosed, match="nominal"):
            kupiec(series(10, 1), nominal)
        with pytest.raises(IllPosed, match="nominal"):
            normal_exceedances(np.ones(3), nominal)
    with pytest.raises(IllPosed, match="booleans"):
        christoffersen(np.ones(10))
    with pytest.raises(NotEnoughData, match="got 1"):
        coverage(series(1, 1), 0.05)
