"""The policies that the service is compared with, against published hedges and enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stream.studies.desk.policies import flatten, netted_risk, single_best, single_cheapest

VOLATILITY = 1e-4 * np.array([80.0, 70.0, 60.0, 60.0])
CORRELATION = np.array([[1, 0.6, 0.5, 0.3], [0.6, 1, 0.3, 0.2], [0.5, 0.3, 1, 0.4], [0.3, 0.2, 0.4, 1]])
SIGMA = CORRELATION * np.outer(VOLATILITY, VOLATILITY)
LONG_EURO = np.array([10e6, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("asset", "millions", "risk"), [(1, -6.857, 64.00e3), (2, -6.667, 69.28e3), (3, -4.000, 76.32e3)]
)
def test_single_best_is_the_minimum_variance_hedge(asset: int, millions: float, risk: float) -> None:
    """Long 10 M EUR, one instrument, lots of 1,000: amounts and risks by the formula, to the digits of the lot."""
    exposures = 1e3 * np.eye(4)[:, [asset]]
    lots = single_best(LONG_EURO, exposures, SIGMA)
    assert lots[0] / 1e3 == pytest.approx(millions, abs=6e-4)
    assert netted_risk(LONG_EURO + exposures @ lots, SIGMA) == pytest.approx(risk, rel=1e-4)


def test_single_best_takes_the_one_that_leaves_least() -> None:
    """Of GBP, CHF and JPY it is GBP; with EUR itself at hand nothing is left."""
    lots = single_best(LONG_EURO, 1e6 * np.eye(4)[:, 1:], SIGMA)
    assert lots.tolist() == [-7, 0, 0]
    assert single_best(LONG_EURO, 1e6 * np.eye(4), SIGMA).tolist() == [-10, 0, 0, 0]


def test_single_cheapest_against_enumeration() -> None:
    """200 random books: no single instrument's whole lots reach the target at a lower cost, and these do reach it."""
    rng = np.random.default_rng(4)
    reached = 0
    for _ in range(200):
        Q = rng.normal(size=4) * 5e6
        exposures = 1e6 * np.column_stack([np.eye(4), np.eye(4)[:, [0]] - np.eye(4)[:, [1]]])
        cost = rng.uniform(5.0, 50.0, 5)
        target = rng.uniform(0.5, 0.95) * netted_risk(Q, SIGMA)
        lots = single_cheapest(Q, exposures, SIGMA, cost, target)
        costs = [
            abs(count) * cost[place]
            for place, count in itertools.product(range(5), range(-30, 31))
            if netted_risk(Q + count * exposures[:, place], SIGMA) <= target
        ]
        if costs:
            reached += 1
            assert netted_risk(Q + exposures @ lots, SIGMA) <= target * (1 + 1e-9)
            assert float(cost @ np.abs(lots)) == pytest.approx(min(costs), rel=1e-12)
        else:
            assert lots.tolist() == single_best(Q, exposures, SIGMA).tolist()
    assert 20 < reached < 200


def test_flatten_leaves_half_a_lot() -> None:
    """Through the pairs with the numeraire alone, crosses untouched, whichever way a pair is quoted."""
    exposures = np.column_stack([1e6 * np.eye(4)[0], -1e6 * np.eye(4)[1], [1e6, -1e6, 0, 0], 1e6 * np.eye(4)[2]])
    Q = np.array([3.4e6, -2.6e6, 0.4e6, 0.0])
    lots = flatten(Q, exposures)
    assert lots.tolist() == [-3, -3, 0, 0]
    assert np.abs((Q + exposures @ lots)[:3]).max() <= 0.5e6
