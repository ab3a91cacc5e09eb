"""The questions to statsmodels. Each has an answer or a reason why there is none, and never ends a validation.

statsmodels is imported when the first question is asked: its import takes two seconds, and nothing of it belongs to
the service.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeVar

import numpy as np

from solver.arrays import FloatArray

T = TypeVar("T")

#: coint_johansen's tables of critical values end here.
MOST_TABLED = 12

#: MacKinnon's p-values for `coint` end at so many series.
MOST_ENGLE_GRANGER = 6

#: adfuller's choice of its lag count fits a regression for each, 46 of them on 20,000 rows. That takes ten seconds, and
#: there may be a dozen β; on so many rows it takes one.
MOST_LAG_SEARCH = 5_000

# Of the critical values at 10, 5 and 1 % those at 5 %.
_FIVE_PERCENT = 1


@dataclass(frozen=True, eq=False)
class JohansenAnswer:
    """Statistics (n,) for "at most r relations"; critical values at 5 %, NaN beyond the tables; (n, n) vectors.

    `condition` is the condition number of the matrix of level moments that was inverted to find them.
    """

    trace: FloatArray
    max_eigenvalue: FloatArray
    trace_critical: FloatArray
    max_eigenvalue_critical: FloatArray
    condition: float


@dataclass(frozen=True, eq=False)
class VecmAnswer:
    """A VECM of rank 1 among k series: weights (k,) with +1 for the `leading` series, and adjustment speeds (k,)."""

    weights: FloatArray
    adjustment: FloatArray


@dataclass(frozen=True)
class AdfAnswer:
    """A Dickey-Fuller test: its statistic, p-value and the lagged differences that it used."""

    statistic: float
    p_value: float
    lags: int


@dataclass
class Asked:
    """Asks, and collects reasons for missing answers and statsmodels' warnings, each once."""

    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __call__(self, what: str, question: Callable[[], T]) -> T | None:
        """The answer to `question`; None if it raises, and then the reason is noted under the name `what`."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                answer = question()
            except Exception as exc:  # whatever it is that statsmodels cannot do, the validation goes on
                _once(self.reasons, f"{what}: {_sentence(exc)}")
                answer = None
        for warning in caught:
            # Deprecations speak to programmers, of calls and not of data.
            if not issubclass(warning.category, FutureWarning | DeprecationWarning):
                _once(self.warnings, f"{what}: {' '.join(str(warning.message).split())}")
        return answer


def library() -> str:
    """``statsmodels 0.15.0``"""
    return f"statsmodels {version('statsmodels')}"


def johansen_with_drift(levels: FloatArray, lags: int) -> JohansenAnswer:
    """coint_johansen, whose constant is always outside the relations.

    Raises
    ------
    ValueError : without lagged differences, which coint_johansen takes to a model that corrects no error.
    """
    from statsmodels.tools.sm_exceptions import HypothesisTestWarning
    from statsmodels.tsa.vector_ar.vecm import coint_johansen

    if lags < 1:
        raise ValueError("without lagged differences coint_johansen regresses on the level of the same timestep")
    n = levels.shape[1]
    with warnings.catch_warnings():
        # That its tables end is in the answer.
        warnings.simplefilter("ignore", HypothesisTestWarning)
        fitted = coint_johansen(scaled(levels), 0, lags)
    # statsmodels fills what is beyond its tables with zeros.
    tabled = np.arange(n, 0, -1) <= MOST_TABLED
    answer = JohansenAnswer(
        trace=_finite(fitted.trace_stat),
        max_eigenvalue=_finite(fitted.max_eig_stat),
        trace_critical=np.where(tabled, fitted.trace_stat_crit_vals[:, _FIVE_PERCENT], np.nan),
        max_eigenvalue_critical=np.where(tabled, fitted.max_eig_stat_crit_vals[:, _FIVE_PERCENT], np.nan),
        condition=float(np.linalg.cond(fitted.rkt)) ** 2,
    )
    if not (answer.trace >= -1e-9).all():
        raise ValueError("a trace statistic is negative: the series are exactly dependent")
    return answer


def johansen_without_drift(levels: FloatArray, lags: int) -> JohansenAnswer:
    """Both statistics with the constant inside the relations, from the likelihoods of VECM at each rank.

    The maximum-eigenvalue statistic of "at most r" is 2 (L(r+1) - L(r)), the trace statistic 2 (L(n) - L(r)).
    statsmodels has no critical values for them.
    """
    from statsmodels.tsa.vector_ar.vecm import VECM

    series = scaled(levels)
    n = series.shape[1]
    likelihoods = _finite(
        [VECM(series, k_ar_diff=lags, coint_rank=rank, deterministic="ci").fit().llf for rank in range(n + 1)]
    )
    unknown = np.full(n, np.nan)
    return JohansenAnswer(
        trace=2.0 * (likelihoods[-1] - likelihoods[:-1]),
        max_eigenvalue=2.0 * np.diff(likelihoods),
        trace_critical=unknown,
        max_eigenvalue_critical=unknown,
        condition=float(np.linalg.cond(np.column_stack([series, np.ones(len(series))]))) ** 2,
    )


def vecm(levels: FloatArray, lags: int, leading: int) -> VecmAnswer:
    """VECM of rank 1 with the constant inside the relation; normalised to +1 for the series `leading`."""
    from statsmodels.tsa.vector_ar.vecm import VECM

    fitted = VECM(scaled(levels), k_ar_diff=lags, coint_rank=1, deterministic="ci").fit()
    weights, adjustment = fitted.beta[:, 0], fitted.alpha[:, 0]
    scale = float(weights[leading])
    if scale == 0.0:
        raise ValueError("the VECM gives the leading leg no weight")
    return VecmAnswer(_finite(weights / scale), _finite(adjustment * scale))


def adf(series: FloatArray, lags: int | None) -> AdfAnswer:
    """adfuller with a constant and `lags` lagged differences; None leaves their number to adfuller (AIC).

    Raises
    ------
    ValueError : the choice of the number would take too long.
    """
    from statsmodels.tsa.stattools import adfuller

    if lags is None and len(series) > MOST_LAG_SEARCH:
        raise ValueError(
            f"not asked, for its search is slow on more than {MOST_LAG_SEARCH:,} rows, got {len(series):,}"
        )
    choice = "AIC" if lags is None else None
    found = adfuller(scaled(series), maxlag=lags, regression="c", autolag=choice)
    # A tuple, and from 0.16 on an object that unpacks as its first two entries.
    statistic, p_value, *_ = found
    used = found[2] if isinstance(found, tuple) else found.lags
    statistic, p_value = _finite([statistic, p_value]).tolist()
    return AdfAnswer(statistic, p_value, int(used))


def engle_granger(levels: FloatArray, lags: int, leading: int) -> AdfAnswer:
    """coint of the series `leading` on the others, with MacKinnon's p-value for weights fitted to the same rows.

    For at most `MOST_ENGLE_GRANGER` series.

    Raises
    ------
    ValueError : the series are collinear.
    """
    from statsmodels.tsa.stattools import coint

    series = scaled(levels)
    others = np.delete(series, leading, axis=1)
    statistic, p_value, *_ = coint(series[:, leading], others, trend="c", maxlag=lags, autolag=None)
    statistic, p_value = _finite([statistic, p_value]).tolist()
    return AdfAnswer(statistic, p_value, lags)


def persistence(series: FloatArray) -> float:
    """|φ| of an AR(1) with a constant, fitted by AutoReg."""
    from statsmodels.tsa.ar_model import AutoReg

    return float(_finite([abs(AutoReg(scaled(series), 1, trend="c").fit().params[1])])[0])


def scaled(levels: FloatArray) -> FloatArray:
    """`levels` less their mean and in units of their mean step: no answer depends on either, and rounding does."""
    steps = np.diff(levels, axis=0)
    step = math.sqrt(float(np.mean(steps**2)))
    if not (np.isfinite(levels).all() and step > 0.0):
        raise ValueError("no price moves" if np.isfinite(levels).all() else "a price is missing")
    shares: FloatArray = (levels - levels.mean(axis=0)) / step
    return shares


def unanswered(n: int) -> JohansenAnswer:
    """The answer of no figures."""
    unknown = np.full(n, np.nan)
    return JohansenAnswer(unknown, unknown, unknown, unknown, math.nan)


def known(value: float) -> float | None:
    """None for a figure that nobody knows, such as a critical value beyond the tables."""
    return None if math.isnan(value) else float(value)


def _finite(values: object) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("its answer is not finite")
    return array


def _once(lines: list[str], line: str) -> None:
    if line not in lines:
        lines.append(line)


def _sentence(exc: Exception) -> str:
    said = " ".join(str(exc).split())
    return said or type(exc).__name__
