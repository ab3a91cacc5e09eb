"""A whole validation on simulated prices of which the truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from solver.reversion.refits.adjustment import horizon_covariance_under
from stream.errors import ConfigError, DataUnavailable
from stream.studies.read.prices import Prices
from stream.studies.validate import run as run_module
from stream.studies.validate.cells import figure, percent, with_interval
from stream.studies.validate.findings import Estimate, Validation
from stream.studies.validate.run import Run, ValidateSettings, validate
from stream.studies.validate.tables import text
from stream.studies.validate.walk import Models


def run_of(prices: Prices, models: Models, horizon: int = 1, seed: int = 7) -> Run:
    return validate(prices, "simulated", ValidateSettings(models, horizon, seed), lambda said: None, lambda: False)


@pytest.fixture(scope="module")
def related_run(related: Prices, models: Models) -> Run:
    """A validation of four walks of which two go together."""
    return run_of(related, models)


@pytest.mark.slow
def test_a_planted_pair_holds_and_not_by_chance(related_run: Run) -> None:
    """It is in use at every date, its ratio stays within the bound; on shuffled prices none is in use by its ratio."""
    vectors = related_run.validation.vectors
    assert vectors.dates == vectors.dates_with_any == vectors.in_use == 10
    basis = vectors.shares[0]
    assert basis.what.startswith("basis ratio")
    assert basis.share.estimate == 1.0
    assert basis.chance.estimate < 0.05
    assert basis.shuffled_vectors == 0
    assert vectors.basis_forecast is not None
    assert 0.8 < vectors.basis_forecast.median_quotient.estimate < 1.25
    assert [check.passed for check in related_run.validation.checks if "β" in check.text] == [True]


@pytest.mark.slow
def test_a_right_covariance_passes(related_run: Run) -> None:
    """Constant normal covariances: biases within the bounds, exceedances at their rate, QLIKE near the window's."""
    found = related_run.validation
    assert [check.passed for check in found.checks if "Risk of" in check.text] == [True] * 3
    assert not found.found
    for bias in found.biases[:3]:
        assert bias.lowest <= bias.median.estimate <= bias.highest
        assert bias.median.lower < bias.median.estimate < bias.median.upper
    for row in found.exceedances[:6]:
        assert row.rate == pytest.approx(row.nominal, abs=0.02)
    assert [loss.what for loss in found.losses] == ["covariance", "variances"]
    assert all(abs(loss.difference.estimate) < 0.1 for loss in found.losses)


def test_independent_walks_have_no_vectors(independent: Prices, models: Models) -> None:
    """None in use is a normal answer: said, not judged, and no finding."""
    found = run_of(independent, models).validation
    assert found.vectors.in_use == 0
    assert not found.found
    assert any(check.passed is None and "nothing would be packed" in check.text for check in found.checks)


def test_risk_that_doubled_is_found(independent: Prices, models: Models) -> None:
    """Volatility that doubles every few rows against a slow covariance: bias beyond the bounds is a finding."""
    returns = np.diff(np.log(independent.prices), axis=0)
    growing = np.exp(np.cumsum(returns * 1.005 ** np.arange(len(returns))[:, None], axis=0))
    prices = replace(independent, prices=np.vstack([np.ones((1, 4)), growing]))
    found = run_of(prices, models).validation
    assert found.found
    assert all(bias.median.estimate > 1.05 for bias in found.biases[:3])
    assert any("more than forecast" in check.text for check in found.checks)


@pytest.mark.slow
def test_repeatable_and_complete_as_json(related: Prices, related_run: Run, models: Models) -> None:
    """The same seed gives the same figures to the byte, which decode again; another seed draws other portfolios."""
    encoded = msgspec.json.encode(related_run.validation)
    assert encoded == msgspec.json.encode(run_of(related, models).validation)
    assert msgspec.json.decode(encoded, type=dict)["input"]["assets"] == ["A", "B", "C", "D"]
    other = run_of(related, models, seed=8).validation
    assert other.biases[0].lowest == related_run.validation.biases[0].lowest
    assert other.biases[1].lowest != related_run.validation.biases[1].lowest


@pytest.mark.slow
def test_the_past_of_the_figures_does_not_change(related: Prices, related_run: Run, models: Models) -> None:
    """With other prices from row 400 on, every score of an outcome known before stays as it was."""
    other = related.prices.copy()
    other[400:] = other[400:][::-1] * 1.5
    first, second = related_run.scores, run_of(replace(related, prices=other), models).scores
    past = first.ends < 400
    assert past.sum() == 339
    np.testing.assert_array_equal(first.multivariate_qlike[past], second.multivariate_qlike[past])
    for family, z in first.z.items():
        np.testing.assert_array_equal(z[past], second.z[family][past])
    assert not np.array_equal(first.multivariate_qlike[~past], second.multivariate_qlike[~past])


@pytest.mark.slow
def test_a_longer_horizon(related: Prices, models: Models) -> None:
    """Outcomes over five steps: a fifth as many, and still as forecast where returns are independent."""
    found = run_of(related, models, horizon=5).validation
    assert found.outcomes == 127
    assert found.biases[1].median.lower < 1.0 < found.biases[1].median.upper


@pytest.mark.slow
def test_the_horizon_is_the_service_s_own(related: Prices, models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecasts over a horizon come from the function that the books' risk at the horizon comes from."""
    asked: list[int] = []

    def noted(vectors: Any, Sigma: np.ndarray, horizon_steps: int) -> np.ndarray:
        asked.append(len(vectors))
        return horizon_covariance_under(vectors, Sigma, horizon_steps)

    monkeypatch.setattr(run_module, "horizon_covariance_under", noted)
    found = run_of(related, models, horizon=5).validation
    assert len(asked) == found.outcomes
    assert max(asked) >= 1


def test_interrupted_says_partial(related: Prices, models: Models) -> None:
    """What was walked until then is reported, and says that it is partial."""
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 300

    found = validate(related, "simulated", ValidateSettings(models, 1, 7), lambda said: None, stop).validation
    assert found.partial
    assert 0 < found.outcomes < 300
    assert text(found).startswith("PARTIAL, interrupted")


def test_bad_settings(related: Prices, models: Models) -> None:
    """A horizon below one, a negative seed, a covariance from ticks, and a file too short for two outcomes."""
    from_ticks = replace(models, covariance=msgspec.structs.replace(models.covariance, kind="hayashi-yoshida"))
    with pytest.raises(ConfigError, match=r"covariance\.kind"):
        run_of(related, from_ticks)
    with pytest.raises(ConfigError, match="--horizon"):
        run_of(related, models, horizon=0)
    with pytest.raises(ConfigError, match="--seed"):
        run_of(related, models, seed=-1)
    short = replace(
        related, prices=related.prices[:62], timesteps=related.timesteps[:62], times_ns=related.times_ns[:62]
    )
    with pytest.raises(DataUnavailable, match="at least 63 rows"):
        run_of(short, models)


def test_too_short_for_vectors_still_scores_covariances(related: Prices, models: Models) -> None:
    """A hundred rows: no β can be judged, which is said, and the risk is."""
    short = replace(
        related, prices=related.prices[:100], timesteps=related.timesteps[:100], times_ns=related.times_ns[:100]
    )
    found = run_of(short, models).validation
    assert found.outcomes == 39
    assert any("too few rows" in check.text for check in found.checks)
    assert isinstance(found, Validation)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (1.0, "1.00"), (-0.012345, "−0.0123"), (123456.0, "123,456"), (99.96, "100.0"), (np.nan, "–")],
)
def test_three_digits(value: float, shown: str) -> None:
    """Figures have three significant digits, a real minus and no exponent."""
    assert figure(value) == shown


def test_intervals_as_text() -> None:
    """An interval stands in brackets, a share in per cent to a hundredth, and no figure is a dash."""
    assert with_interval(Estimate(1.0, 0.5, 2.0)) == "1.00 (0.500 to 2.00)"
    assert percent(0.00001) == "0 %"
    assert with_interval(Estimate(np.nan, 0.0, 1.0)) == "–"
