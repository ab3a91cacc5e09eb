"""What `betapack validate` finds on real prices with the shipped defaults, beside skfolio's covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from solver.arrays import FloatArray
from solver.covariance import ExponentialCovariance
from stream.bench.figures import Comparison, measure
from stream.config import CovarianceConfig, ReversionConfig
from stream.studies.read.currencies import currency_prices
from stream.studies.read.prices import Prices, read_prices
from stream.studies.validate import summary
from stream.studies.validate.cells import figure, percent_with_interval, shown_time, with_interval
from stream.studies.validate.covariances import Scorer, Scores
from stream.studies.validate.findings import Loss
from stream.studies.validate.run import BIAS_BOUNDS, Run, ValidateSettings, shown_times, validate
from stream.studies.validate.walk import Models

SEED = 7
INSTALL_SKFOLIO = "pip install 'betapack[bench]'"

# One refit a day. A refit at every hourly bar would take a quarter of an hour, and β rarely change within a day.
HOURLY_REFIT_STEPS = 24

#: The assets of the hourly pairs, gold among them.
CURRENCIES = ("EUR", "GBP", "AUD", "CAD", "CHF", "JPY", "XAU")

#: Half-lives that the shipped one is compared with.
HALF_LIVES = (20.0, 40.0, 60.0, 90.0, 120.0, 180.0)


def validation_figures(data: Path | None, say: Callable[[str], None]) -> list[Comparison]:
    """Bias, QLIKE and β out of sample, on hourly FX bars and daily ETFs in the folder `data`; none without it."""
    if data is None:
        say("validation: skipped, it needs --data with fx_h1 and etf23_daily.csv.gz")
        return []
    hourly, daily = read_prices(data / "fx_h1"), read_prices(data / "etf23_daily.csv.gz")
    figures: list[Comparison] = []
    for name, prices, refit_every in (
        ("fx_h1", hourly, HOURLY_REFIT_STEPS),
        ("fx_h1 as currencies", as_currencies(hourly), HOURLY_REFIT_STEPS),
        ("etf23", daily, 1),
    ):
        models = Models(CovarianceConfig(), ReversionConfig(refit_every_steps=refit_every))
        run = validate(prices, name, ValidateSettings(models, 1, SEED), say, lambda: False)
        figures.append(_bias(name, run))
        say(f"{name}: skfolio's covariance on the same walk")
        figures += _against_skfolio(name, prices, run)
        say(f"{name}: other half-lives")
        figures += _other_half_lives(name, prices, models.covariance)
        figures += _vectors(name, run)
    return figures


def as_currencies(pairs: Prices) -> Prices:
    """The hourly pairs as seven assets in USD. Except for noise the ten pairs hold three exact relations."""
    return replace(pairs, names=CURRENCIES, prices=currency_prices(pairs, CURRENCIES))


def _bias(name: str, run: Run) -> Comparison:
    biases = run.validation.biases
    farthest = max(biases[:3], key=lambda bias: abs(np.log(bias.median.estimate)))
    others = "; ".join(
        f"{bias.family} {with_interval(bias.median)}, pooled {figure(bias.pooled.estimate)}, "
        f"{figure(bias.pooled_without_worst)} without {shown_time(bias.worst_time)}"
        for bias in biases
    )
    return measure(
        f"bias statistic, {name}",
        f"{farthest.family}, the farthest from 1 of single assets and random portfolios",
        farthest.median.estimate,
        "",
        f"{BIAS_BOUNDS[0]:g} to {BIAS_BOUNDS[1]:g}",
        f"{run.validation.outcomes:,} outcomes, medians over the portfolios of a family: {others}",
    )


def _against_skfolio(name: str, prices: Prices, run: Run) -> list[Comparison]:
    scores = _skfolio_scores(prices)
    if scores is None:
        return [
            measure(f"QLIKE, {name}", "not compared", np.nan, "", "at most 0", f"skfolio is missing: {INSTALL_SKFOLIO}")
        ]
    losses = summary.losses(run.scores, scores, "skfolio", shown_times(prices), np.random.default_rng(SEED))
    return [_loss(name, loss) for loss in losses]


def _loss(name: str, loss: Loss) -> Comparison:
    return measure(
        f"QLIKE of {loss.what}, {name}",
        "ours less skfolio's EWCovariance()",
        loss.difference.estimate,
        "nats per asset",
        "at most 0",
        f"{loss.outcomes:,} outcomes; ours {figure(loss.ours)}, skfolio's with its default half-life of 40 "
        f"{figure(loss.reference)}; difference {with_interval(loss.difference)}, "
        f"{figure(loss.difference_without_worst)} without {shown_time(loss.worst_time)}",
    )


def _skfolio_scores(prices: Prices) -> Scores | None:
    try:
        from skfolio.moments import EWCovariance
    except ImportError:
        return None
    log_prices = np.log(prices.prices)
    scorer, model = Scorer(log_prices, 1, np.random.default_rng(SEED)), EWCovariance()
    for row, returns in enumerate(np.diff(log_prices, axis=0), start=1):
        Sigma = np.asarray(model.partial_fit(returns[None, :]).covariance_)
        scorer.add(row, Sigma if np.isfinite(Sigma).all() else None)
    return scorer.scores()


def _other_half_lives(name: str, prices: Prices, shipped: CovarianceConfig) -> list[Comparison]:
    """How much worse the shipped half-life is than the best of HALF_LIVES, on each half of the file."""
    log_prices = np.log(prices.prices)
    losses = {half_life: _losses(log_prices, half_life, shipped.min_observations) for half_life in HALF_LIVES}
    found = []
    middle = len(log_prices) // 2
    for half, chosen in (("first half", slice(None, middle)), ("second half", slice(middle, None))):
        means = {half_life: float(np.nanmean(loss[chosen])) for half_life, loss in losses.items()}
        best = min(means, key=lambda half_life: means[half_life])
        every = ", ".join(f"{half_life:g}: {figure(mean)}" for half_life, mean in means.items())
        found.append(
            measure(
                f"QLIKE lost to the best half-life, {name}, {half}",
                f"half-life {shipped.half_life_steps:g}, as shipped",
                means[shipped.half_life_steps] - means[best],
                "nats per asset",
                "near 0",
                f"best is {best:g}; of the covariance by half-life, {every}",
            )
        )
    return found


def _losses(log_prices: FloatArray, half_life_steps: float, min_observations: int) -> FloatArray:
    """QLIKE of the covariance by row, NaN where there is none."""
    scorer = Scorer(log_prices, 1, np.random.default_rng(SEED))
    covariance = ExponentialCovariance(log_prices.shape[1], half_life_steps, "none")
    for row, returns in enumerate(np.diff(log_prices, axis=0), start=1):
        covariance.update(returns)
        scorer.add(row, covariance.estimate() if row >= min_observations else None)
    scores, losses = scorer.scores(), np.full(len(log_prices), np.nan)
    losses[scores.rows] = scores.multivariate_qlike
    return losses


def _vectors(name: str, run: Run) -> list[Comparison]:
    vectors = run.validation.vectors
    found = [
        measure(
            f"β that held, {name}: {share.what}",
            f"of {share.vectors} in use",
            100 * share.share.estimate,
            "%",
            "above chance",
            f"{percent_with_interval(share.share)}; the same weights on shuffled prices "
            f"{percent_with_interval(share.chance)}; the service run on shuffled prices had {share.shuffled_vectors} "
            f"such in use; {vectors.dates} dates, {vectors.stretch_steps} rows apart, {vectors.dates_with_any} with β",
        )
        for share in vectors.shares
        if share.vectors
    ]
    forecast = vectors.basis_forecast
    if forecast is not None:
        found.append(
            measure(
                f"basis ratio that followed over its forecast, {name}",
                f"median of {forecast.vectors} β in use",
                forecast.median_quotient.estimate,
                "",
                "near 1",
                f"{with_interval(forecast.median_quotient)}; mean forecast {figure(forecast.mean_forecast)}, followed "
                f"{figure(forecast.mean_followed)}; rank correlation {with_interval(forecast.rank_correlation)}; "
                f"within its upper bound {percent_with_interval(forecast.within_upper_bound)}",
            )
        )
    return found
