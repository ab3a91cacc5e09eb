"""How often an outcome left its forecast band, and whether the exceedances cluster in time.

References
----------
Kupiec (1995), Techniques for verifying the accuracy of risk measurement models, Journal of Derivatives 3(2).
Christoffersen (1998), Evaluating interval forecasts, International Economic Review 39(4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, ndtri, xlogy

from solver.arrays import BoolArray, FloatArray
from solver.errors import IllPosed, NotEnoughData


@dataclass(frozen=True)
class LikelihoodRatio:
    """A likelihood-ratio test: its statistic >= 0, and the chance of one as large where the forecast is right."""

    statistic: float
    p_value: float


@dataclass(frozen=True)
class Coverage:
    """What a series of exceedances says of the forecast band.

    Attributes
    ----------
    outcomes, exceedances : how many there were.
    rate : of exceedances, beside the `nominal` one.
    unconditional : Kupiec's test that the rate is the nominal one.
    independence : Christoffersen's test that one exceedance does not make the next likelier.
    conditional : both at once.
    """

    outcomes: int
    exceedances: int
    nominal: float
    unconditional: LikelihoodRatio
    independence: LikelihoodRatio
    conditional: LikelihoodRatio

    @property
    def rate(self) -> float:
        """Share of the outcomes that exceeded."""
        return self.exceedances / self.outcomes


def normal_exceedances(z: FloatArray, nominal: float) -> BoolArray:
    """Which standardised outcomes lie, on either side, beyond the band that holds all but `nominal` of a normal one.

    Two-sided, because a market maker's book may be long or short. NaN exceeds nothing: leave it out before.

    Raises
    ------
    IllPosed : `nominal` is not in (0, 1).
    """
    _checked_nominal(nominal)
    exceeds: BoolArray = np.abs(z) > -float(ndtri(nominal / 2.0))
    return exceeds


def coverage(hits: BoolArray, nominal: float) -> Coverage:
    """Kupiec's and Christoffersen's tests of a series of exceedances.

    Parameters
    ----------
    hits : (T,) in the order of time.
    nominal : rate that the band promises, in (0, 1).

    Raises
    ------
    IllPosed : not (T,) of booleans, or `nominal` out of range.
    NotEnoughData : fewer than two outcomes.
    """
    _checked_nominal(nominal)
    _checked_hits(hits)
    unconditional = kupiec(hits, nominal)
    independence = christoffersen(hits)
    # The first outcome has none before it: the sum is Christoffersen's test up to that one term.
    statistic = unconditional.statistic + independence.statistic
    return Coverage(
        outcomes=len(hits),
        exceedances=int(hits.sum()),
        nominal=nominal,
        unconditional=unconditional,
        independence=independence,
        conditional=_likelihood_ratio(statistic, 2),
    )


def kupiec(hits: BoolArray, nominal: float) -> LikelihoodRatio:
    """Likelihood ratio of the observed rate of exceedances against `nominal`, χ² with one degree of freedom.

    -2 log[p^x (1 - p)^(T-x) / π^x (1 - π)^(T-x)], π = x / T. Raises as `coverage`.
    """
    _checked_nominal(nominal)
    _checked_hits(hits)
    T, x = len(hits), int(hits.sum())
    return _likelihood_ratio(2.0 * (_log_likelihood(x, T, x / T) - _log_likelihood(x, T, nominal)), 1)


def christoffersen(hits: BoolArray) -> LikelihoodRatio:
    """Likelihood ratio of a first-order Markov chain of exceedances against independent ones, χ² with one degree.

    Without any exceedance both have the same likelihood, and the statistic is 0. Raises as `coverage`.
    """
    _checked_hits(hits)
    before, after = hits[:-1], hits[1:]
    quiet, n01 = int((~before).sum()), int((~before & after).sum())
    loud, n11 = int(before.sum()), int((before & after).sum())
    chain = _log_likelihood(n01, quiet, n01 / max(quiet, 1)) + _log_likelihood(n11, loud, n11 / max(loud, 1))
    alike = _log_likelihood(n01 + n11, quiet + loud, (n01 + n11) / (quiet + loud))
    return _likelihood_ratio(2.0 * (chain - alike), 1)


def _log_likelihood(x: int, T: int, rate: float) -> float:
    return float(xlogy(x, rate) + xlogy(T - x, 1.0 - rate))


def _likelihood_ratio(statistic: float, degrees: int) -> LikelihoodRatio:
    statistic = max(statistic, 0.0)  # rounding can leave an exact fit just below
    return LikelihoodRatio(statistic, float(chdtrc(degrees, statistic)))


def _checked_nominal(nominal: float) -> None:
    if not 0.0 < nominal < 1.0:
        raise IllPosed(f"nominal must be in (0, 1), got {nominal}")


def _checked_hits(hits: BoolArray) -> None:
    if hits.ndim != 1 or hits.dtype != np.bool_:
        raise IllPosed(f"hits must be (T,) of booleans, got {hits.shape} of {hits.dtype}")
    if len(hits) < 2:
        raise NotEnoughData(f"coverage needs at least 2 outcomes, got {len(hits)}")
