"""How many relations there are among all assets: Johansen's analysis by both."""

from __future__ import annotations

import numpy as np

from solver.arrays import BoolArray, FloatArray
from solver.reversion.methods.johansen import Johansen
from stream.studies.validate.second_opinion import reference as statsmodels
from stream.studies.validate.second_opinion.answers import Agreement, Difference, Rank, RankTest
from stream.studies.validate.second_opinion.differences import of_ranks
from stream.studies.validate.second_opinion.equality import Equality, rounding_of
from stream.studies.validate.second_opinion.reference import JohansenAnswer, known, unanswered
from stream.studies.validate.second_opinion.window import Window


def rank_by_both(window: Window) -> tuple[Rank, tuple[Agreement, ...], tuple[Difference, ...]]:
    """Johansen's analysis of all assets by both, the comparison of the same model by both, and what differs."""
    asked = statsmodels.Asked()
    levels, lags, n = window.fit_levels, window.lags, len(window.names)
    inside, drift = window.johansen(), window.johansen_with_drift()
    reference = asked("VECM of all assets", lambda: statsmodels.johansen_without_drift(levels, lags))
    tables = asked("coint_johansen of all assets", lambda: statsmodels.johansen_with_drift(levels, lags))
    reasons = [*asked.reasons, *asked.warnings]
    if window.dependence:
        reasons.append(f"betapack: {window.dependence}")
    why = "; ".join(reasons)
    agreements = (
        _agreement("constant inside the relations: betapack and VECM", inside, reference, why),
        _agreement("constant outside the relations: betapack and coint_johansen", drift, tables, why),
    )
    if n > statsmodels.MOST_TABLED:
        untabled = n - statsmodels.MOST_TABLED
        reasons.append(
            f"coint_johansen's critical values end at {statsmodels.MOST_TABLED} series, so it cannot test the first "
            f"{untabled} hypotheses among {n} and finds no rank; betapack's p-values hold for any number"
        )
    p_values = np.full(n, np.nan) if inside is None else np.maximum.accumulate(inside.trace_p)
    trace = np.full(n, np.nan) if inside is None else inside.trace
    drifting, driftless = tables or unanswered(n), reference or unanswered(n)
    rank = Rank(
        configured="johansen" in window.settings.methods,
        ours=None if inside is None else _first(p_values > window.settings.false_discovery_rate, n),
        reference_by_trace=_by_tables(drifting.trace, drifting.trace_critical),
        reference_by_max_eigenvalue=_by_tables(drifting.max_eigenvalue, drifting.max_eigenvalue_critical),
        tests=tuple(
            RankTest(
                at_most=r,
                trace=known(trace[r]),
                p_value=known(p_values[r]),
                reference_trace=known(driftless.trace[r]),
                reference_max_eigenvalue=known(driftless.max_eigenvalue[r]),
                drift_trace=known(drifting.trace[r]),
                drift_trace_critical=known(drifting.trace_critical[r]),
                drift_max_eigenvalue=known(drifting.max_eigenvalue[r]),
                drift_max_eigenvalue_critical=known(drifting.max_eigenvalue_critical[r]),
            )
            for r in range(n)
        ),
        reasons=tuple(reasons),
    )
    factor = None if window.regression is None else window.regression.small_sample_factor
    return rank, agreements, tuple(of_ranks(rank, factor))


def _agreement(model: str, ours: Johansen | None, theirs: JohansenAnswer | None, why: str) -> Agreement:
    """Both statistics of every rank; `why` says what is missing where one side has no answer."""
    equal = Equality(f"Johansen's statistics, {model}", why)
    if ours is not None and theirs is not None:
        tolerance = rounding_of(theirs.condition)
        largest = -np.diff(np.append(ours.trace, 0.0))
        for a, b in ((ours.trace, theirs.trace), (largest, theirs.max_eigenvalue)):
            for x, y in zip(a.tolist(), b.tolist(), strict=True):
                equal.take(x, y, tolerance)
    return equal.agreement()


def _first(holds: BoolArray, otherwise: int) -> int:
    """The first hypothesis that is not rejected."""
    return int(np.argmax(holds)) if holds.any() else otherwise


def _by_tables(statistics: FloatArray, critical: FloatArray) -> int | None:
    """Rank by the sequence of tests; None where a critical value that it needs is in no table."""
    for r, (statistic, bound) in enumerate(zip(statistics.tolist(), critical.tolist(), strict=True)):
        if np.isnan(bound):
            return None
        if statistic <= bound:
            return r
    return len(statistics)
