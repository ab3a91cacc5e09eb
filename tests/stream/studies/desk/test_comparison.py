"""Costs at equal risk from made-up outcomes, and the study as JSON and as a table."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from stream.studies.desk.comparison import Study, compare_at_equal_risk, table
from stream.studies.desk.policies import Policy
from stream.studies.desk.simulate import Outcome

LIMITS = (10.0, 20.0, 40.0)


def outcome(policy: Policy, limit: float, risk: float, cost: float, income: float = 500.0) -> Outcome:
    return Outcome(policy, limit, risk, 1.1 * risk, cost, income, volume=1000.0, turnover=cost, hedges=1)


def made_up(seeds: int, noise: float) -> list[list[Outcome]]:
    """`flatten` costs 300, 200, 100 at risks 5, 10, 20; `ours` half of that; `ours and skew` loses 10 of income."""
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(seeds):
        luck = 1.0 + noise * rng.normal()
        run = [outcome("no hedge", 1e12, 100.0, 0.0)]
        for step, limit in enumerate(LIMITS):
            risk, cost = 5.0 * 2**step, luck * (300.0 - 100.0 * step)
            run.append(outcome("flatten", limit, risk, cost))
            run.append(outcome("ours", limit, risk, cost / 2))
            run.append(outcome("ours and skew", limit, risk, cost / 2, income=490.0))
        runs.append(run)
    return runs


def test_costs_are_read_off_the_curves() -> None:
    """At a limit's own risk its cost; half way in the logarithm the mean of its neighbours; ratios accordingly."""
    rows = {(row.policy, row.risk): row for row in compare_at_equal_risk(made_up(3, 0.0), [10.0, 50**0.5], rng())}
    assert rows["flatten", 10.0].cost == pytest.approx(200.0)
    assert rows["flatten", 50**0.5].cost == pytest.approx(250.0)
    assert rows["flatten", 50**0.5].limit == pytest.approx(15.0)
    ours = rows["ours", 10.0]
    assert ours.relative["flatten"].estimate == pytest.approx(0.5)
    assert ours.removed_per_cost == pytest.approx(90.0 / 100.0)
    assert ours.realised_risk == pytest.approx(11.0)
    assert ours.internalised == pytest.approx(0.9)


def test_income_lost_by_skewed_quotes_is_a_cost() -> None:
    """Ten USD less from the clients than without skew are ten USD more of cost."""
    rows = {row.policy: row for row in compare_at_equal_risk(made_up(3, 0.0), [10.0], rng())}
    assert rows["ours and skew"].cost == pytest.approx(rows["ours"].cost + 10.0)


def test_risks_that_no_limit_reached_are_left_out() -> None:
    """No extrapolation: below the least and above the largest average risk there is no row."""
    assert compare_at_equal_risk(made_up(3, 0.0), [4.9, 20.1], rng()) == ()


def test_intervals_are_over_seeds() -> None:
    """Luck that both policies share leaves their ratio alone; luck of its own widens it around the estimate."""
    shared = next(row for row in compare_at_equal_risk(made_up(20, 0.2), [10.0], rng()) if row.policy == "ours")
    interval = shared.relative["flatten"]
    assert (interval.low, interval.high) == pytest.approx((0.5, 0.5))
    runs = made_up(20, 0.2)
    mixed = [
        [each for each in run if each.policy != "ours"] + [each for each in other if each.policy == "ours"]
        for run, other in zip(runs, runs[1:] + runs[:1], strict=True)
    ]
    interval = next(row for row in compare_at_equal_risk(mixed, [10.0], rng()) if row.policy == "ours").relative[
        "flatten"
    ]
    assert interval.low < 0.5 < interval.high
    # Two independent means of 20 with 20 % noise: their ratio's deviation is .5 · .2 · sqrt(2 / 20) = .032.
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.032, rel=0.5)


def test_a_study_is_json_and_a_table() -> None:
    """It survives the way through JSON, and the table has a line for each policy and risk."""
    runs = made_up(3, 0.1)
    rows = compare_at_equal_risk(runs, [10.0], rng())
    study = Study(
        universe="made-up",
        seeds=3,
        days=5.0,
        timestep_s=600.0,
        unhedged_risk=100.0,
        income=500.0,
        at_risk=rows,
        outcomes=tuple(tuple(run) for run in runs),
    )
    assert msgspec.json.decode(msgspec.json.encode(study), type=Study) == study
    lines = [line for line in table(study).splitlines() if line.startswith("| 10 |")]
    assert [line.split(" | ")[1] for line in lines] == ["flatten", "ours", "ours and skew"]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)
