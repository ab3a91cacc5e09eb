"""A break is found soon, and a false alarm is as rare as stated."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from solver.errors import IllPosed
from solver.reversion.live.watch import (
    BASIS,
    Alternatives,
    Detector,
    basis_step,
    reversion_step,
    reverting_alternatives,
)

FALSE_ALARM_STEPS = 1e6
ALL = [BASIS, *(reverting_alternatives(half_life) for half_life in (1.0, 5.0, 20.0, 200.0))]


def first_alarm(alternatives: Alternatives, steps: np.ndarray) -> int | None:
    """Index of the step that raises the alarm."""
    detector = Detector.fresh(alternatives)
    for index, z in enumerate(steps):
        detector = detector.step(alternatives, float(z))
        if detector.log_evidence >= math.log(FALSE_ALARM_STEPS):
            return index
    return None


def reverting_basket_spread(
    rng: np.random.Generator, half_life: float, before: int, after: int, drift: float
) -> np.ndarray:
    """An AR(1) with innovations of variance 1 that becomes a walk with a drift in its deviations a half-life."""
    kept = 0.5 ** (1.0 / half_life)
    deviation = 1.0 / math.sqrt(1.0 - kept**2)
    basket_spread = [deviation * rng.normal()]
    for t in range(before + after):
        pull = kept * basket_spread[-1] if t < before else basket_spread[-1] + drift * deviation / half_life
        basket_spread.append(pull + rng.normal())
    return np.array(basket_spread)


def steps_of(basket_spread: np.ndarray, half_life: float) -> np.ndarray:
    return np.array(
        [reversion_step(before, after - before, 0.0, half_life, 1.0) for before, after in pairwise(basket_spread)]
    )


@pytest.mark.parametrize("index", range(len(ALL)))
@pytest.mark.parametrize("deviation", [1.0, 0.7])
@pytest.mark.parametrize("freedom", [6.0, 10.0, math.inf])
def test_no_likelihood_ratio_pays_under_the_null(index: int, deviation: float, freedom: float) -> None:
    """Each ratio has an expectation of at most 1 for normal and t steps of variance up to 1: so bets on it are fair."""
    basket_spread = deviation * (1.0 if math.isinf(freedom) else math.sqrt((freedom - 2.0) / freedom))
    density = norm(scale=basket_spread).pdf if math.isinf(freedom) else student(freedom, scale=basket_spread).pdf
    # z = sinh(u) is dense near 0 and reaches 1e6, where what is left of the heaviest tail is below 1e-6.
    u = np.linspace(-14.5, 14.5, 4001)
    ratios = np.exp([ALL[index].log_likelihood_ratios(float(z)) for z in np.sinh(u)])
    expected = np.trapezoid(ratios * (density(np.sinh(u)) * np.cosh(u))[:, None], u, axis=0)
    assert np.all(expected <= 1.0 + 1e-3)


def test_mean_grows_by_at_most_one_a_step() -> None:
    """The Shiryaev-Roberts mean of 1,000 runs of 50 null steps is at most 50, within four standard errors."""
    rng = np.random.default_rng(1)
    alternatives = reverting_alternatives(20.0)
    finals = []
    for _ in range(1000):
        detector = Detector.fresh(alternatives)
        for z in rng.normal(size=50):
            detector = detector.step(alternatives, float(z))
        finals.append(math.exp(detector.log_evidence))
    assert np.mean(finals) < 50.0 + 4.0 * np.std(finals) / math.sqrt(1000)


def test_recursion_equals_the_sum_over_every_start() -> None:
    """R_t is the sum over all starts of the product of likelihood ratios since: computed so, the same."""
    rng = np.random.default_rng(2)
    steps = rng.normal(size=30) + 0.5
    detector = Detector.fresh(BASIS)
    for z in steps:
        detector = detector.step(BASIS, float(z))
    ratios = np.array([BASIS.log_likelihood_ratios(float(z)) for z in steps])
    total = np.exp(np.cumsum(ratios[::-1], axis=0)).sum(axis=0)
    np.testing.assert_allclose(np.exp(detector.log_statistics), total, rtol=1e-9)
    assert detector.log_evidence == pytest.approx(math.log(total.mean()))


def test_a_lost_peg_is_found_in_its_own_step() -> None:
    """EUR/CHF on 2015-01-15 as `basis` allowed it, -44 deviations after calm days: the alarm comes with that step."""
    rng = np.random.default_rng(3)
    calm = 0.3 * rng.normal(size=300)
    assert first_alarm(BASIS, np.r_[calm, -44.4, calm]) == 300


def test_a_hedge_that_is_lost_gradually_is_found() -> None:
    """Steps as of independent legs, ratio 1 under a bound of .3, raise the alarm within 100 steps in the median."""
    rng = np.random.default_rng(4)
    steps = [first_alarm(BASIS, rng.normal(size=400) / math.sqrt(0.3)) for _ in range(100)]
    assert np.median([400 if index is None else index for index in steps]) < 100


@pytest.mark.parametrize("half_life", [10.0, 30.0])
def test_a_drift_is_found_within_three_half_lives(half_life: float) -> None:
    """A basket spread that stops reverting and drifts by two of its deviations a half-life: found within 3 in the
    median."""
    rng = np.random.default_rng(5)
    alternatives = reverting_alternatives(half_life)
    delays = []
    for _ in range(100):
        basket_spread = reverting_basket_spread(rng, half_life, 100, round(10 * half_life), 2.0)
        index = first_alarm(alternatives, steps_of(basket_spread, half_life))
        delays.append(len(basket_spread) if index is None else index + 1 - 100)
    assert min(delays) > 0
    assert np.median(delays) <= 3.0 * half_life


def test_a_wrong_mean_raises_nothing() -> None:
    """A fitted mean that is off by half a deviation, for 300 half-lives, in 20 runs: no alarm."""
    rng = np.random.default_rng(6)
    half_life = 10.0
    deviation = 1.0 / math.sqrt(1.0 - 0.5 ** (2.0 / half_life))
    for _ in range(20):
        basket_spread = reverting_basket_spread(rng, half_life, 3000, 0, 0.0) + 0.5 * deviation
        assert first_alarm(reverting_alternatives(half_life), steps_of(basket_spread, half_life)) is None


def test_steps_are_standardised() -> None:
    """z has variance 1 at the bound, over gaps too, and an innovation is what the AR(1) did not foresee."""
    assert basis_step(0.03, 0.002, 0.45) == pytest.approx(1.0)
    assert basis_step(0.0, 0.0, 0.3) == 0.0
    # Halfway back in a half-life of three steps, whether in one step of three or from 2 to 1 at once.
    assert reversion_step(2.0, -1.0, 0.0, 3.0, 1.0, steps=3) == pytest.approx(0.0)
    assert reversion_step(2.0, 0.0, 0.0, 3.0, 0.25, steps=3) == pytest.approx(2.0)
    assert reversion_step(2.0, -2.0, 0.0, 0.0, 1.0) == 0.0


def test_a_step_that_is_not_finite_is_refused() -> None:
    """A missing price must not pass as a quiet step."""
    for bad in (math.nan, math.inf):
        with pytest.raises(IllPosed, match="finite"):
            Detector.fresh(BASIS).step(BASIS, bad)
