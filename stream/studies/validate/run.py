"""One validation: the walk over the file, the same over shuffled prices, and the figures of both."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version as distribution_version

import msgspec
import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.covariance import ExponentialCovariance, WindowCovariance
from solver.reversion.refits.adjustment import horizon_covariance_under
from solver.scoring.relationships import block_shuffled
from stream.config import HORIZON_STEPS_MAX, NANOSECONDS
from stream.engine.market.model import Market
from stream.errors import ConfigError, DataUnavailable
from stream.studies.read.prices import Prices
from stream.studies.validate import summary
from stream.studies.validate.cells import percent_with_interval, with_interval
from stream.studies.validate.covariances import FAMILIES, Scorer, Scores
from stream.studies.validate.findings import Bias, Check, Input, Validation, Vectors
from stream.studies.validate.second_opinion.opinion import LastRefit, opinion_of_walk
from stream.studies.validate.second_opinion.shown import opinion_checks
from stream.studies.validate.vectors import Assessor, Outcome
from stream.studies.validate.walk import Models, walk_forward

#: A bias statistic within these bounds passes: the risk is off by at most a twentieth.
BIAS_BOUNDS = (0.95, 1.05)

#: So many returns stay together in a shuffle: about a month of days or a day of hours.
SHUFFLE_BLOCK_STEPS = 20

#: The same weights are tried on so many shuffles, so that the share by chance is known better than that of the file.
CHANCE_SHUFFLES = 10

_SAY_EVERY_S = 5.0


@dataclass(frozen=True)
class ValidateSettings:
    """What is validated: the models, over `horizon_steps` rows, with this seed. See the command line's help."""

    models: Models
    horizon_steps: int
    seed: int


@dataclass(frozen=True, eq=False)
class Run:
    """The findings of a validation, and the series that its plots show."""

    validation: Validation
    times_ns: IntArray
    scores: Scores
    reference: Scores
    outcomes: list[list[Outcome]]


def validate(
    prices: Prices, name: str, settings: ValidateSettings, say: Callable[[str], None], stop: Callable[[], bool]
) -> Run:
    """Walk the models over the prices and over shuffled ones, and score what they forecast.

    Parameters
    ----------
    prices : at least one forecast and two outcomes of them.
    name : of the input, for messages and the report.
    settings : what is validated, over which horizon, with which seed.
    say : takes each line of progress.
    stop : asked at every row; once it is true, what was walked until then is reported as partial.

    Raises
    ------
    DataUnavailable : too few prices for a forecast and its outcome.
    ConfigError : settings that do not fit the data.
    """
    _check(prices, name, settings)
    say(f"{len(prices.prices):,} rows of {len(prices.names)} assets from {name}")
    # One generator for each purpose: what one of them draws does not move the others.
    portfolios, shuffling, intervals = np.random.SeedSequence(settings.seed).spawn(3)
    progress = _Progress(say, len(prices.prices))
    refit = LastRefit()
    scores, reference, assessor, walked = _walk(prices, settings, portfolios, refit, progress, stop)
    partial = walked < len(prices.prices)
    shuffles = np.random.default_rng(shuffling)
    log_prices = np.log(prices.prices)
    shuffled_logs = block_shuffled(log_prices, SHUFFLE_BLOCK_STEPS, shuffles)
    shuffled_assessor = _walk_shuffled(prices, shuffled_logs, settings.models, walked, progress, stop)
    partial = partial or stop()
    real, by_chance = assessor.outcomes(log_prices[:walked]), assessor.outcomes(shuffled_logs[:walked])
    for _ in range(1, CHANCE_SHUFFLES):
        by_chance += assessor.outcomes(block_shuffled(log_prices, SHUFFLE_BLOCK_STEPS, shuffles)[:walked])
    shuffled = shuffled_assessor.outcomes(shuffled_logs[:walked])
    chance = np.random.default_rng(intervals)
    times = shown_times(prices)
    # In this order: all draw from the same generator.
    biases = summary.biases(scores, times, chance)
    vectors = summary.vectors(settings.models.reversion, real, by_chance, shuffled, chance)
    losses = summary.losses(scores, reference, _reference_label(settings.models), times, chance)
    distance = summary.distance(scores, chance)
    models = settings.models
    say("asking statsmodels about the last refit")
    opinion = opinion_of_walk(prices, refit, models.reversion, times)
    validation = Validation(
        version=distribution_version("betapack"),
        input=_input(prices, name, times),
        covariance=models.covariance,
        reversion=models.reversion,
        config_hash=hashlib.sha256(msgspec.json.encode((models.covariance, models.reversion))).hexdigest()[:16],
        horizon_steps=settings.horizon_steps,
        seed=settings.seed,
        partial=partial,
        checks=(*_bias_checks(biases), *_vector_checks(vectors), *opinion_checks(opinion)),
        outcomes=len(scores.rows),
        unforecast=scores.unforecast,
        singular=scores.singular,
        biases=biases,
        exceedances=summary.exceedances(scores),
        losses=losses,
        distance=distance,
        vectors=vectors,
        second_opinion=opinion,
    )
    return Run(validation, prices.times_ns, scores, reference, real)


def _check(prices: Prices, name: str, settings: ValidateSettings) -> None:
    if not 1 <= settings.horizon_steps <= HORIZON_STEPS_MAX:
        raise ConfigError(f"--horizon must be from 1 to {HORIZON_STEPS_MAX:,}, got {settings.horizon_steps}")
    if settings.models.covariance.takes_ticks:
        raise ConfigError(
            "covariance.kind must be exponential or window, for a price file has no ticks, "
            f"got {settings.models.covariance.kind!r}"
        )
    if settings.seed < 0:
        raise ConfigError(f"--seed must be >= 0, got {settings.seed}")
    needed = settings.models.covariance.min_observations + 2 * settings.horizon_steps + 1
    if len(prices.prices) < needed:
        raise DataUnavailable(
            f"{name} must have at least {needed} rows for one forecast and two outcomes "
            f"(covariance.min_observations {settings.models.covariance.min_observations}, "
            f"--horizon {settings.horizon_steps}), got {len(prices.prices)}"
        )


def _input(prices: Prices, name: str, times: list[str]) -> Input:
    return Input(
        name=name,
        sha256=prices.sha256,
        assets=prices.names,
        rows=len(prices.prices),
        first=times[0],
        last=times[-1],
        timestep_s=prices.timestep_ns / NANOSECONDS,
        gaps=prices.gaps,
        left_out=tuple((entry.what, entry.count) for entry in prices.left_out),
    )


def _walk_shuffled(
    prices: Prices,
    shuffled_logs: FloatArray,
    models: Models,
    walked: int,
    progress: _Progress,
    stop: Callable[[], bool],
) -> Assessor:
    """The β that the service has in use when it runs on the first `walked` rows of shuffled log prices (T, n)."""
    assessor = Assessor(models.reversion)
    for row, market in walk_forward(replace(prices, prices=np.exp(shuffled_logs)), models):
        if stop() or row >= walked:
            break
        assessor.add(row, market)
        progress.at("shuffled prices", row)
    return assessor


def shown_times(prices: Prices) -> list[str]:
    """Every row's time, UTC, as ISO 8601 to the second."""
    return [str(time) for time in prices.times_ns.astype("datetime64[ns]").astype("datetime64[s]")]


def _walk(
    prices: Prices,
    settings: ValidateSettings,
    portfolios: np.random.SeedSequence,
    refit: LastRefit,
    progress: _Progress,
    stop: Callable[[], bool],
) -> tuple[Scores, Scores, Assessor, int]:
    """Scores of the service's covariance, scores of the reference's, the β in use, and how many rows were walked.

    `refit` takes the last refit in effect.
    """
    log_prices = np.log(prices.prices)
    models, horizon = settings.models, settings.horizon_steps
    scorer = Scorer(log_prices, horizon, np.random.default_rng(portfolios))
    reference_scorer = Scorer(log_prices, horizon, np.random.default_rng(portfolios))
    reference = _reference(len(prices.names), models)
    assessor = Assessor(models.reversion)
    walked = 0
    market: Market
    for row, market in walk_forward(prices, models):
        if stop():
            break
        if row:
            reference.update(log_prices[row] - log_prices[row - 1])
        if scorer.scores_at(row):
            # Only once every asset has a covariance, for every portfolio holds all assets.
            Sigma = market.Sigma if market.known.all() else None
            scorer.add(row, None if Sigma is None else _over(market, Sigma, horizon))
            reference_scorer.add(row, None if Sigma is None else horizon * reference.estimate())
        assessor.add(row, market)
        refit.add(market)
        walked = row + 1
        progress.at("prices", row)
    return scorer.scores(), reference_scorer.scores(), assessor, walked


def _over(market: Market, Sigma: FloatArray, horizon_steps: int) -> FloatArray:
    """The service's own forecast over the horizon, which is lower along the β that revert."""
    return horizon_covariance_under([beta.vector for beta in market.betas], Sigma, horizon_steps)


def _reference(n: int, models: Models) -> ExponentialCovariance | WindowCovariance:
    """The other kind of covariance, without shrinkage: a sensible estimate that the configured one should beat."""
    covariance = models.covariance
    if covariance.kind == "window":
        return ExponentialCovariance(n, covariance.half_life_steps, "none")
    return WindowCovariance(n, covariance.window_steps, "none")


def _reference_label(models: Models) -> str:
    covariance = models.covariance
    if covariance.kind == "window":
        return f"exponential, half-life {covariance.half_life_steps:g} steps"
    return f"window of {covariance.window_steps} steps"


def _bias_checks(biases: tuple[Bias, ...]) -> list[Check]:
    checks = []
    for bias in biases:
        if bias.family not in FAMILIES[:3]:
            text = f"{bias.family.capitalize()}, chosen by the forecast itself: bias {with_interval(bias.median)}"
            checks.append(Check(None, text))
            continue
        (lower, upper), median = BIAS_BOUNDS, bias.median
        passed: bool | None
        if lower <= median.estimate <= upper:
            passed, words = True, "was as forecast"
        elif median.lower > upper or median.upper < lower:
            passed, words = False, f"was {'more' if median.lower > upper else 'less'} than forecast"
        else:
            passed, words = None, "may have been as forecast, too few outcomes to tell"
        checks.append(
            Check(passed, f"Risk of {bias.family} {words}: bias {with_interval(median)}, asked {lower:g} to {upper:g}")
        )
    return checks


def _vector_checks(vectors: Vectors) -> list[Check]:
    if not vectors.dates:
        return [Check(None, "β vectors: too few rows for a fit and a stretch after it")]
    if not vectors.in_use:
        return [Check(None, f"β vectors: none was reliable at any of {vectors.dates} dates: nothing would be packed")]
    checks = []
    passed: bool | None
    for share in vectors.shares:
        if not share.vectors or "of those by" not in share.what or share.what.startswith("half-life"):
            continue
        if share.share.lower > share.chance.upper:
            passed, words = True, "β held more often than by chance"
        elif share.share.estimate <= share.chance.upper:
            passed, words = False, "β held no more often than by chance"
        else:
            passed, words = None, f"{share.vectors} β are too few to tell from chance"
        checks.append(
            Check(
                passed,
                f"{words}: {share.what}, {percent_with_interval(share.share)}, "
                f"by chance {percent_with_interval(share.chance)}",
            )
        )
    return checks


class _Progress:
    """Says how far the walk is, every few seconds."""

    def __init__(self, say: Callable[[str], None], rows: int) -> None:
        self._say = say
        self._rows = rows
        self._said_at = time.monotonic()

    def at(self, what: str, row: int) -> None:
        now = time.monotonic()
        if now - self._said_at >= _SAY_EVERY_S:
            self._said_at = now
            self._say(f"{what}: row {row:,} of {self._rows:,}")
