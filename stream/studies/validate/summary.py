"""From scores and outcomes to the figures of the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from scipy.stats import chi2, spearmanr

from solver.arrays import FloatArray, IntArray
from solver.scoring.calibration import bias_statistics
from solver.scoring.exceedances import coverage, normal_exceedances
from solver.scoring.intervals import Interval, bootstrap_interval, clustered_share
from stream.config import ReversionConfig
from stream.studies.validate.covariances import FAMILIES, Scores
from stream.studies.validate.findings import (
    BasisForecast,
    Bias,
    Distance,
    Estimate,
    Exceedance,
    Loss,
    Share,
    Vectors,
)
from stream.studies.validate.vectors import Outcome

Dates: TypeAlias = Sequence[Sequence[Outcome]]
"""The β of each date."""

CONFIDENCE = 0.95
NOMINAL_RATES = (0.05, 0.01)

#: A basket spread counts as reverting on the stretch after the date when a random walk is rejected at this level.
WALK_LEVEL = 0.05


def biases(scores: Scores, times: Sequence[str], chance: np.random.Generator) -> tuple[Bias, ...]:
    """The bias of each family that has at least two outcomes. `times` are those of every row of the file."""
    found = []
    for family in FAMILIES:
        rows, z = _complete(scores, scores.z[family])
        if len(z) < 2:
            continue
        each, squares = bias_statistics(z), (z**2).mean(axis=1)
        worst = int(np.argmax(squares))
        others = np.delete(z, worst, axis=0) if len(z) > 2 else z
        found.append(
            Bias(
                family=family,
                portfolios=z.shape[1],
                median=_estimate(np.hstack([z, z**2]), _median_bias, chance),
                lowest=float(each.min()),
                highest=float(each.max()),
                pooled=_estimate(squares[:, None], lambda means: np.sqrt(means[..., 0]), chance),
                pooled_without_worst=float(np.sqrt(np.delete(squares, worst).mean())),
                # A generator of its own, so that this figure moves no other.
                median_without_worst=_estimate(np.hstack([others, others**2]), _median_bias, chance.spawn(1)[0]),
                worst_time=times[rows[worst]],
            )
        )
    return tuple(found)


def exceedances(scores: Scores) -> tuple[Exceedance, ...]:
    """The exceedances of each family that has at least two outcomes, at each of `NOMINAL_RATES`."""
    found = []
    for family in FAMILIES:
        _, z = _complete(scores, scores.z[family])
        if len(z) < 2:
            continue
        for nominal in NOMINAL_RATES:
            tests = [coverage(hits, nominal) for hits in normal_exceedances(z, nominal).T]
            found.append(
                Exceedance(
                    family=family,
                    portfolios=len(tests),
                    nominal=nominal,
                    rate=float(np.mean([test.rate for test in tests])),
                    kupiec_rejects=sum(test.unconditional.p_value < 0.05 for test in tests),
                    christoffersen_rejects=sum(test.independence.p_value < 0.05 for test in tests),
                    conditional_rejects=sum(test.conditional.p_value < 0.05 for test in tests),
                )
            )
    return tuple(found)


def losses(
    ours: Scores, reference: Scores, label: str, times: Sequence[str], chance: np.random.Generator
) -> tuple[Loss, ...]:
    """The losses of the covariance and of the single variances, on the outcomes that both estimates forecast.

    Parameters
    ----------
    ours : scores of the configured covariance.
    reference : scores of the one it is compared with.
    label : what the reference is.
    times : of every row of the file.
    chance : for the bootstrap.
    """
    ends, own, other = np.intersect1d(ours.ends, reference.ends, return_indices=True)
    found = []
    for what, mine, theirs in (
        ("covariance", ours.multivariate_qlike[own], reference.multivariate_qlike[other]),
        ("variances", ours.qlike[own].mean(axis=1), reference.qlike[other].mean(axis=1)),
    ):
        both = np.isfinite(mine) & np.isfinite(theirs)
        if both.sum() < 3:
            continue
        difference = (mine - theirs)[both]
        worst = int(np.argmax(np.abs(difference)))
        found.append(
            Loss(
                what=what,
                outcomes=int(both.sum()),
                ours=float(mine[both].mean()),
                reference_label=label,
                reference=float(theirs[both].mean()),
                difference=_estimate(difference[:, None], _mean, chance),
                difference_without_worst=float(np.delete(difference, worst).mean()),
                worst_time=times[ends[both][worst]],
            )
        )
    return tuple(found)


def distance(scores: Scores, chance: np.random.Generator) -> Distance | None:
    """The Mahalanobis score; None where no covariance was regular."""
    ratios = scores.mahalanobis[np.isfinite(scores.mahalanobis)]
    if len(ratios) < 2:
        return None
    n = scores.qlike.shape[1]
    return Distance(
        outcomes=len(ratios),
        mean=_estimate(ratios[:, None], _mean, chance),
        median=float(np.median(ratios)),
        normal_median=float(chi2.median(n) / n),
    )


def vectors(
    settings: ReversionConfig,
    real: Dates,
    by_chance: Dates,
    shuffled: Dates,
    chance: np.random.Generator,
) -> Vectors:
    """Shares of β that held: real, by chance, and of a service that runs on shuffled prices.

    Parameters
    ----------
    real : by date, what the β in use then did afterwards.
    by_chance : what the same weights did on shuffled prices, one entry for each date and shuffle.
    shuffled : by date, what the β did that the service had in use on shuffled prices.
    chance : for the bootstrap.
    """
    shares = []
    for what, held, counted in _questions(settings):
        own, refitted = _count(real, counted), _count(shuffled, counted)
        if not own and not refitted:
            continue
        shares.append(
            Share(
                what=what,
                vectors=own,
                share=_share(real, held, counted),
                chance=_share(by_chance, held, counted),
                shuffled_vectors=refitted,
                shuffled=_share(shuffled, held, counted),
            )
        )
    return Vectors(
        stretch_steps=settings.holdout_steps,
        dates=len(real),
        in_use=_count(real, _any),
        dates_with_any=sum(map(bool, real)),
        shuffled_in_use=_count(shuffled, _any),
        shuffled_dates_with_any=sum(map(bool, shuffled)),
        retired_within_stretch=_count(real, lambda outcome: outcome.retired),
        shares=tuple(shares),
        basis_forecast=_basis_forecast(real, chance),
    )


def _questions(
    settings: ReversionConfig,
) -> tuple[tuple[str, Callable[[Outcome], bool], Callable[[Outcome], bool]], ...]:
    """For each property of a β: its name, whether it held, and which β it is asked of."""
    bound, least, most = settings.basis_ratio_max, settings.half_life_min_steps, settings.half_life_max_steps

    def by_reverting(outcome: Outcome) -> bool:
        return "reverting" in outcome.evidence

    def small_ratio(outcome: Outcome) -> bool:
        return outcome.ratio <= bound

    def no_walk(outcome: Outcome) -> bool:
        return outcome.walk_p_value <= WALK_LEVEL

    def in_time(outcome: Outcome) -> bool:
        return least <= outcome.half_life_steps <= most

    return (
        (f"basis ratio at most {bound:g}, of those by basis", small_ratio, _by_basis),
        (f"walk rejected at {100 * WALK_LEVEL:g} %, of those by reverting", no_walk, by_reverting),
        (f"half-life {least:g} to {most:g} steps, of those by reverting", in_time, by_reverting),
        (f"walk rejected at {100 * WALK_LEVEL:g} %, of all", no_walk, _any),
        (f"half-life {least:g} to {most:g} steps, of all", in_time, _any),
    )


def _basis_forecast(real: Dates, chance: np.random.Generator) -> BasisForecast | None:
    """Bias and rank correlation of the forecasts. The bootstrap draws whole dates: β of one date share a market."""

    def usable(outcome: Outcome) -> bool:
        return _by_basis(outcome) and bool(np.isfinite(outcome.ratio)) and outcome.forecast_ratio > 0.0

    found = [(date, outcome) for date, outcomes in enumerate(real) for outcome in outcomes if usable(outcome)]
    if len(found) < 3:
        return None
    forecast = np.array([outcome.forecast_ratio for _, outcome in found])
    ratio = np.array([outcome.ratio for _, outcome in found])
    date_of = np.array([date for date, _ in found])
    dates = [np.flatnonzero(date_of == date) for date in np.unique(date_of)]

    def of_dates(statistic: Callable[[IntArray], float]) -> Estimate:
        resampled = [
            statistic(np.concatenate([dates[k] for k in chance.integers(len(dates), size=len(dates))]))
            for _ in range(999)
        ]
        lower, upper = np.nanquantile(resampled, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
        return Estimate(statistic(np.arange(len(found))), float(lower), float(upper))

    def rank_correlation(drawn: IntArray) -> float:
        if np.ptp(forecast[drawn]) == 0.0 or np.ptp(ratio[drawn]) == 0.0:
            return np.nan
        return float(spearmanr(forecast[drawn], ratio[drawn]).statistic)

    return BasisForecast(
        vectors=len(found),
        mean_forecast=float(forecast.mean()),
        mean_followed=float(ratio.mean()),
        median_quotient=of_dates(lambda drawn: float(np.median(ratio[drawn] / forecast[drawn]))),
        rank_correlation=of_dates(rank_correlation),
        within_upper_bound=_share(real, lambda outcome: outcome.ratio <= outcome.ratio_upper, usable),
    )


def _any(outcome: Outcome) -> bool:
    return True


def _by_basis(outcome: Outcome) -> bool:
    return "basis" in outcome.evidence


def _count(dates: Dates, counted: Callable[[Outcome], bool]) -> int:
    return sum(counted(outcome) for outcomes in dates for outcome in outcomes)


def _share(dates: Dates, held: Callable[[Outcome], bool], counted: Callable[[Outcome], bool]) -> Estimate:
    """The share that held. Its interval takes dates as groups, for the β of a date share its market."""
    trials = [_count([outcomes], counted) for outcomes in dates]
    successes = [_count([outcomes], lambda outcome: counted(outcome) and held(outcome)) for outcomes in dates]
    counts = np.array([successes, trials], dtype=np.int64).reshape(2, -1)
    return _as_estimate(clustered_share(counts[0], counts[1], CONFIDENCE))


def _estimate(
    series: FloatArray, statistic: Callable[[FloatArray], FloatArray], chance: np.random.Generator
) -> Estimate:
    # √T rows a block: volatility lasts for weeks, and the longest file still has a hundred such blocks.
    block = round(len(series) ** 0.5)
    return _as_estimate(bootstrap_interval(series, statistic, block, CONFIDENCE, chance))


def _as_estimate(interval: Interval) -> Estimate:
    return Estimate(interval.estimate, interval.lower, interval.upper)


def _mean(means: FloatArray) -> FloatArray:
    return means[..., 0]


def _median_bias(means: FloatArray) -> FloatArray:
    """Median over portfolios of the standard deviation, from the means of z and of z² side by side."""
    K = means.shape[-1] // 2
    variances = means[..., K:] - means[..., :K] ** 2
    return np.asarray(np.median(np.sqrt(variances.clip(min=0.0)), axis=-1))


def _complete(scores: Scores, z: FloatArray) -> tuple[IntArray, FloatArray]:
    """Outcomes that every portfolio has, and the rows at which they were known."""
    complete = np.asarray(np.isfinite(z).all(axis=1))
    return scores.ends[complete], z[complete]
