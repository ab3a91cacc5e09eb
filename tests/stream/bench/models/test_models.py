"""The figures of the models on very few cases: that every one comes out, and that its cases are what they say."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from solver.reversion.rolling import RollingReversion
from solver.reversion.watch import Detector, reverting_alternatives
from stream.bench.figures import Comparison
from stream.bench.models import covariance, pegs
from stream.bench.models import venues as venues_bench
from stream.bench.models.breaks import FALSE_ALARM_STEPS, _Watch, breaks_found
from stream.bench.models.forecast import YEAR_DAYS, forecasts
from stream.bench.models.pegs import demo_config, hedges_in_daily_rates, rates
from stream.bench.models.planted import ASSETS, HALF_LIVES, WINDOW_STEPS, planted_basket
from stream.bench.models.run import QUICK_MODELS, models_figures
from stream.bench.models.venues import pair_on_two_venues, venue_config
from stream.bench.models.walks import garch_steps, heavy_steps, normal_steps
from stream.bench.proportion import proportion
from stream.config import check_config
from stream.engine.market.model import reversion_settings
from stream.errors import ConfigError

FLOOR_BEGINS, AFTER_THE_FLOOR = date(2011, 9, 6), date(2015, 3, 31)
TINY = replace(
    QUICK_MODELS,
    walk_windows=2,
    walk_lengths=(120,),
    followed_walks=1,
    followed_steps=520,
    baskets=3,
    breaking_paths=10,
    fitted_paths=1,
    holding_paths=5,
    horizon_windows=8,
    horizon_walks=20,
    refits=2,
)


def named(figures: Sequence[Comparison], *words: str) -> Comparison:
    (figure,) = (figure for figure in figures if all(word in figure.what for word in words))
    return figure


@pytest.mark.timeout(600)
def test_every_figure_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row a figure, each with a finite value, what is good, and a note of what it was measured on."""
    monkeypatch.setattr(pegs, "LAST_DAY", date(2016, 6, 30))
    monkeypatch.setattr(covariance, "ASKED_US", {3: 2.0})
    monkeypatch.setattr(covariance, "TICKED_S", 20_000)
    figures = models_figures(TINY, None, lambda text: None)
    names = [figure.what for figure in figures]
    assert len(set(names)) == len(names)
    for words, count in (
        (("independent walks",), 7),
        (("any β selected", "all seven methods"), 3),
        (("planted baskets",), 5),
        (("EUR/DKK",), 1),
        (("EUR/CHF",), 3),
        (("bias",), 2),
        (("rank correlation",), 1),
        (("retired after",), 4),
        (("spreads that hold",), 1),
        (("refit",), 5),
        (("covariance update", "3 assets"), 6),
        (("Poisson ticks",), 1),
        (("a tick for",), 2),
    ):
        assert sum(all(word in name for word in words) for name in names) == count, words
    for figure in figures:
        assert np.isfinite(figure.ours), figure.what
        assert figure.better
        assert figure.note


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    """Its bounds leave 2.5 % on either side: none of 60 has (.025)^(1/60) for its complement's lower bound."""
    none, all_of_them = (proportion("", "", hits, 60, "", "n").note for hits in (0, 60))
    bound = 100.0 * 0.025 ** (1 / 60)
    assert none == f"0 of 60 (0 to {100.0 - bound:.3g} %); n"
    assert all_of_them == f"60 of 60 ({bound:.3g} to 100 %); n"
    assert proportion("", "", 3, 60, "", "").ours == pytest.approx(5.0)


@pytest.mark.parametrize("steps", [normal_steps, heavy_steps, garch_steps])
def test_steps_have_variance_one_and_no_memory(steps: object) -> None:
    """Of every kind of walk; and those that are not normal have the tails that they are there for."""
    assert callable(steps)
    drawn = steps(np.random.default_rng(1), 40_000)
    # Three degrees of freedom have no fourth moment: the sample variance settles slowly.
    assert drawn.var() == pytest.approx(1.0, rel=0.1)
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 0.03
    assert np.abs(np.corrcoef(drawn.T) - np.eye(drawn.shape[1])).max() < 0.03
    kurtosis = (drawn**4).mean() / drawn.var() ** 2
    assert kurtosis > 3.5 if steps is not normal_steps else kurtosis == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("legs", [2, 3, 4])
def test_a_planted_basket_is_what_it_says(legs: int) -> None:
    """Its legs, an innovation of the size asked for, a half-life in the range; all other assets are walks of step 1."""
    innovations, kept = [], []
    for seed in range(60):
        log_prices, weights = planted_basket(np.random.default_rng(seed), legs, 0.5)
        assert log_prices.shape == (WINDOW_STEPS, ASSETS)
        assert np.count_nonzero(weights) == legs
        spread = log_prices @ weights
        slope, _ = np.polyfit(spread[:-1], spread[1:], 1)
        kept.append(slope)
        innovations.append(np.std(spread[1:] - slope * spread[:-1]))
        assert np.diff(log_prices[:, weights == 0.0], axis=0).std() == pytest.approx(1.0, rel=0.1)
    assert np.mean(innovations) == pytest.approx(0.5, rel=0.02)
    # Least squares underrates persistence by some (1 + 3 φ) / T; drawn uniformly in the half-life.
    expected = np.mean(0.5 ** (1.0 / np.linspace(*HALF_LIVES, 100)))
    assert np.mean(kept) == pytest.approx(expected, abs=0.015)


def test_the_floor_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the table quotes of the franc: in use in every window, then one alert and no packed lot on the day."""
    monkeypatch.setattr(pegs, "LAST_DAY", AFTER_THE_FLOOR)
    figures = hedges_in_daily_rates(FLOOR_BEGINS)
    assert named(figures, "EUR/DKK").ours == 100.0
    under_floor = named(figures, "under the floor")
    assert under_floor.ours == 100.0
    assert under_floor.note.startswith("349 of 349")
    assert named(figures, "alerts").ours == 1.0
    packed = named(figures, "packed lots")
    assert packed.ours == 0.0
    assert int(packed.note.split()[0]) > 50


def test_a_forecast_is_what_the_service_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every pair in use the ratio that its β carries; pairs with the franc around 2015 count as breaks."""
    monkeypatch.setattr(pegs, "LAST_DAY", AFTER_THE_FLOOR)
    found = forecasts(FLOOR_BEGINS)
    config = demo_config()
    days = rates(config, FLOOR_BEGINS)
    log_prices = np.log([[day.usd_prices[asset] for asset in config.universe.assets] for day in days])
    rolling = RollingReversion(11, reversion_settings(config.reversion))
    for row in log_prices[:-YEAR_DAYS]:
        rolling.push(row)
    published = sorted(beta.basis_ratio for beta in rolling.refit().betas)
    assert len(found.held_back) == 55
    np.testing.assert_allclose(np.sort(found.held_back[found.in_use]), published, rtol=1e-6)
    assert np.count_nonzero(found.outside) == 45
    following = np.diff(log_prices[-YEAR_DAYS - 1 :], axis=0)
    # EUR/DKK: whatever the weights near (1, -1) are.
    ratio = (following[:, 0] - following[:, 9]).var() / (following[:, 0].var() + following[:, 9].var())
    assert found.followed.min() == pytest.approx(ratio, rel=0.1)


@pytest.fixture
def venues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an hour of one pair on two venues, a quote a second; a tenth of the second's are crossed."""
    monkeypatch.setattr(venues_bench, "WINDOW_STEPS", 400)
    monkeypatch.setattr(venues_bench, "HOLDOUT_STEPS", 100)
    monkeypatch.setattr(venues_bench, "REFIT_EVERY_STEPS", 20)
    chance = np.random.default_rng(8)
    seconds = 3_600
    mid = 1.4 * np.exp(np.cumsum(chance.normal(0.0, 2e-5, seconds)))
    (tmp_path / "fx_ticks").mkdir()
    for place, venue in enumerate(("oanda", "fxcm")):
        quoted = mid * (1.0 + 1e-6 * chance.normal(size=seconds))
        half_spread = np.where((place == 1) & (np.arange(seconds) % 10 == 0), -1e-5, 2e-5)
        lines = [
            f"{1_398_902_400_000 + 1_000 * t + place},{price - half},{price + half}"
            for t, (price, half) in enumerate(zip(quoted.tolist(), half_spread.tolist(), strict=True))
        ]
        text = "\n".join(["event_time_ms,bid,ask", *lines])
        (tmp_path / "fx_ticks" / f"{venue}_eurusd.csv.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path


def test_one_pair_on_two_venues_is_one_relationship(venues: Path) -> None:
    """Through decoder, timesteps and engine: crossed quotes are refused and counted, the pair is in use as (1, -1)."""
    check_config(venue_config("EURUSD"))
    figures = pair_on_two_venues(venues, "EURUSD")
    in_use = named(figures, "in use")
    assert in_use.ours == 100.0
    # 720 timesteps, of which the first has no return, and a window of 400 with 12 before it: every 20th of 309.
    assert in_use.note.startswith("16 of 16")
    assert "7,200 quotes, 360 crossed refused" in in_use.note
    assert named(figures, "(1, -1)").ours == 100.0
    assert named(figures, "half-life").ours == 100.0


def test_a_folder_without_ticks_is_named(tmp_path: Path) -> None:
    """The option, the file that it lacks and the folder."""
    with pytest.raises(ConfigError, match=r"--data must be a folder with fx_ticks/oanda_eurusd\.csv\.gz"):
        pair_on_two_venues(tmp_path, "EURUSD")


def test_many_spreads_are_watched_as_one_is() -> None:
    """Every path has the statistics and the alarm that a detector of its own has."""
    half_life, paths = 5.0, 4
    noise = np.random.default_rng(3).normal(size=(40, paths)) + np.array([0.0, 0.5, 1.0, 3.0])
    watch = _Watch(half_life, paths)
    alternatives = reverting_alternatives(half_life)
    detectors = [Detector.fresh(alternatives)] * paths
    alarmed = [False] * paths
    for row in noise:
        watch.step(row)
        detectors = [detector.step(alternatives, float(z)) for detector, z in zip(detectors, row, strict=True)]
        for place, detector in enumerate(detectors):
            alarmed[place] |= detector.log_evidence >= np.log(FALSE_ALARM_STEPS)
        assert watch.alarmed.tolist() == alarmed
    assert alarmed == [False, False, True, True]


def test_larger_drifts_are_found_sooner() -> None:
    """The slowest median falls with the drift, and none is before the break."""
    slowest = [figure.ours for figure in breaks_found(40)]
    assert slowest == sorted(slowest, reverse=True)
    assert slowest[-1] > 0.0
