"""Whole runs of `betapack desk`, as short as they get, and what it refuses."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from stream.bench.studies import desk
from stream.bench.studies.desk import ASKED, OURS
from stream.errors import ConfigError
from stream.studies.desk.comparison import Study
from stream.studies.desk.policies import POLICIES
from stream.studies.desk.run import HOURLY_LIMITS, LIMITS, DeskSettings, run_desk
from stream.studies.read.options import ReadOptions

DATA = os.environ.get("BETAPACK_TEST_DATA")


@pytest.fixture(scope="module")
def one_day() -> tuple[Study, list[str]]:
    """One seed, one day; and what was told on the way."""
    told: list[str] = []
    return run_desk(DeskSettings(1, 1.0), told.append), told


@pytest.mark.slow
def test_a_run_has_every_policy_along_its_limits(one_day: tuple[Study, list[str]]) -> None:
    """The unhedged book and every other policy at every limit, and progress told by seed."""
    study, told = one_day
    assert [message.split(",")[0] for message in told] == ["desk: seed 1 of 1"]
    (outcomes,) = study.outcomes
    limited = [policy for policy in POLICIES if policy != "no hedge"]
    assert [(each.policy, each.limit) for each in outcomes[1:]] == [(p, limit) for p in limited for limit in LIMITS]
    assert study.unhedged_risk == outcomes[0].risk
    assert {*ASKED, *OURS} == set(limited)


@pytest.mark.slow
def test_figures_hold_ours_against_the_simpler(
    one_day: tuple[Study, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row for each risk, each of ours and each simpler policy that the study has there, with what is asked of it."""
    monkeypatch.setattr(desk, "DAYS", 1.0)
    rows = desk.desk_figures(None, lambda text: None, seeds=1)
    study, _ = one_day
    costs = {(each.risk, each.policy): each.cost for each in study.at_risk}
    expected = [
        (costs[risk, ours], costs[risk, other], ASKED[other])
        for risk, ours in costs
        if ours in OURS
        for other in ASKED
        if (risk, other) in costs
    ]
    assert expected
    assert [(row.ours, row.reference, row.better) for row in rows] == expected


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="BETAPACK_TEST_DATA names no folder with fx_h1")
def test_real_hours_are_replayed_in_stretches_of_their_own() -> None:
    """Two seeds on hourly prices: other stretches, so other risks, at the hourly limits."""
    assert DATA is not None
    study = run_desk(DeskSettings(2, 1.0, Path(DATA)), lambda text: None)
    assert (study.universe, study.timestep_s) == ("hourly-desk", 3600.0)
    one, two = study.outcomes
    assert {each.limit for each in one[1:]} == set(HOURLY_LIMITS)
    assert one[0].risk != two[0].risk


def test_what_cannot_run_is_refused(tmp_path: Path) -> None:
    """No seed, half a day, a folder without prices, more days than there are: named, with what came."""
    for settings, message in (
        (DeskSettings(0, 5.0), "at least one seed and one day, got 0 and 5"),
        (DeskSettings(1, 0.5), "at least one seed and one day, got 1 and 0.5"),
        (DeskSettings(1, 1.0, tmp_path), "--data must be a folder with fx_h1"),
        (DeskSettings(1, 1.0, options=ReadOptions(zone="UTC")), "options of price files are for --data FOLDER"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_desk(settings, lambda text: None)
    (tmp_path / "fx_h1").mkdir()
    for name in ("EURGBP", "GBPUSD", "USDJPY", "USDCHF", "USDCAD", "AUDUSD"):
        with gzip.open(tmp_path / "fx_h1" / f"{name}.csv.gz", "wt") as file:
            file.write("time,close\n" + "".join(f"2014-05-01 1{hour}:00:00,1.{hour}\n" for hour in range(3)))
    with pytest.raises(ConfigError, match="1 days and their warm-up take 525 hours, the prices have 3"):
        run_desk(DeskSettings(1, 1.0, tmp_path), lambda text: None)
