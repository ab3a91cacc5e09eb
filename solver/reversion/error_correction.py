"""The error-correction regression from which every moment-based model is fitted.

    Δx_t = Π x_{t-1} + Γ_1 Δx_{t-1} + ... + Γ_lags Δx_{t-lags} + Φ s_t + c + ε_t,

with s_t seasonal dummies, if any. Everything in it is a function of the moments of the rows
[x_{t-1}, Δx_{t-1}, ..., Δx_{t-lags}, s_t, 1, Δx_t]. A sliding window of those moments therefore refits in O(n³),
independent of its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import lapack, solve_triangular

from solver.arrays import FloatArray, IntArray
from solver.errors import ExactlyDependent, IllPosed, NotEnoughData

#: Where the constant of an error-correction model may act. "unrestricted" lets the series drift; "restricted" keeps it
#: inside the relations, so that the series have a level but no drift.
Constant: TypeAlias = Literal["unrestricted", "restricted"]

#: A series counts as an exact combination of others when they leave less than this share of its variance. The closest
#: relation among market prices (EUR and DKK, daily) leaves 1e-6; rounding of moments leaves about 1e-14.
DEPENDENCE_TOLERANCE = 1e-10

# A series did not move when its variance is no more than this share of its second moment: rounding of the sums.
_STILL = 1e-14

# Nor did it move at some lag when its changes have less than this share of its levels' variance. One jump in T rows has
# about 1 / T. The sums of changes that were all zero keep 1e-30 from rounding.
_STILL_CHANGE = 1e-20


@dataclass(frozen=True, eq=False)
class ErrorCorrection:
    """The regression, factorised. Given lagged differences and dummies, levels are L11 z and changes are L01 z + L00 e.

    z and e are uncorrelated and have unit second moments (as sums over the rows). So the three matrices hold all that
    the data say about reversion: S11 = L11 L11', S01 = L01 L11', and the noise has L00 L00'.

    Attributes
    ----------
    moments : (d, d) what it was fitted to.
    n, lags, names, constant, seasons : as given to `regress`.
    observations : rows that the moments hold.
    centre : (n,) mean of the levels x_{t-1}.
    centred : (d, d) moments of the rows about their mean.
    level_factor : (m, m) L11, lower triangular. m = n; or n + 1 with a restricted constant, which comes first, and then
        the levels are less `centre`.
    response : (n, m) L01.
    noise_factor : (n, n) L00, lower triangular.
    """

    moments: FloatArray
    n: int
    lags: int
    names: tuple[str, ...]
    constant: Constant
    seasons: int
    observations: int
    centre: FloatArray
    centred: FloatArray
    level_factor: FloatArray
    response: FloatArray
    noise_factor: FloatArray

    @property
    def small_sample_factor(self) -> float:
        """Factor for a likelihood-ratio statistic before it is compared with its asymptotic distribution.

        (T - n (lags + ½)) / T, for the coefficients that the likelihood spends. On 600 sets of walks without drift and
        with a restricted constant, the 5 % trace test then rejects 3.5 to 6 % and the maximum-eigenvalue test 3.3 to
        6.3 %, for 2 to 11 series, 0 to 2 lags and T from 190 to 1,000. Without the factor the trace test rejects up to
        30 %. With the n (lags + 1) of the reference it rejects 2 to 6 %, which costs power.

        References
        ----------
        Reinsel and Ahn (1992), Vector autoregressive models with unit roots and reduced rank structure: estimation,
        likelihood ratio test, and forecasting, Journal of Time Series Analysis 13(4).
        """
        return 1.0 - self.n * (self.lags + 0.5) / self.observations

    @property
    def levels(self) -> FloatArray:
        """(n, n) covariance of x_{t-1}."""
        covariance: FloatArray = self.centred[: self.n, : self.n] / self.observations
        return covariance

    @property
    def changes(self) -> FloatArray:
        """(n, n) covariance of Δx_t."""
        covariance: FloatArray = self.centred[-self.n :, -self.n :] / self.observations
        return covariance

    @property
    def levels_and_changes(self) -> FloatArray:
        """(n, n) covariance of x_{t-1} (rows) with Δx_t (columns)."""
        covariance: FloatArray = self.centred[: self.n, -self.n :] / self.observations
        return covariance


def regress_legs(regression: ErrorCorrection, legs: IntArray) -> ErrorCorrection:
    """The regression of the series `legs` on their own past alone, over the same rows."""
    n, lags, seasons = regression.n, regression.lags, regression.seasons
    one = n * (lags + 1) + seasons - 1
    blocks = [legs + n * block for block in range(lags + 1)]
    entries = np.concatenate([*blocks, np.arange(n * (lags + 1), one + 1), legs + one + 1])
    return regress(
        regression.moments.take(entries, 0).take(entries, 1),
        len(legs),
        lags,
        tuple(regression.names[leg] for leg in legs),
        constant=regression.constant,
        seasons=seasons,
    )


def seasonal_dummies(season: int, seasons: int) -> FloatArray:
    """Centred dummies (seasons - 1,) of the season 0 <= `season` < `seasons`: [season = k] - 1 / seasons.

    They sum to zero over a cycle, so that a constant inside the relations keeps its meaning.
    """
    return np.asarray(np.arange(seasons - 1) == season, dtype=np.float64) - 1.0 / seasons


def johansen_row(log_prices: FloatArray, dummies: FloatArray | None = None) -> FloatArray:
    """The row [x_{t-1}, Δx_{t-1}, ..., Δx_{t-lags}, s_t, 1, Δx_t] of the latest timestep.

    Parameters
    ----------
    log_prices : (lags + 2, n), oldest first; less a fixed anchor near them, where precision matters.
    dummies : s_t, as `seasonal_dummies` gives them; none by default.

    Returns
    -------
    (n * (lags + 2) + seasons,), where seasons is 1 without dummies.
    """
    changes = np.diff(log_prices, axis=0)
    tail = [1.0] if dummies is None else [*dummies, 1.0]
    return np.concatenate([log_prices[-2], changes[-2::-1].ravel(), tail, changes[-1]])


def johansen_moments(log_prices: FloatArray, lags: int, seasons: int = 1) -> FloatArray:
    """Sum of outer products of every `johansen_row` of a whole series (T, n), anchored at its mean.

    The first row of `log_prices` is of season 0.

    Raises
    ------
    NotEnoughData : T < lags + 2.
    """
    steps = log_prices.shape[0]
    if steps < lags + 2:
        raise NotEnoughData(f"{lags} lags need at least {lags + 2} rows, got {steps}")
    anchored = log_prices - log_prices.mean(axis=0)
    changes = np.diff(anchored, axis=0)
    # (rows, n, lags + 1), oldest first; the last is Δx_t.
    history = sliding_window_view(changes, lags + 1, axis=0)
    count = history.shape[0]
    dummies = np.array([seasonal_dummies(t % seasons, seasons) for t in range(lags + 1, steps)])
    rows = np.hstack(
        [
            anchored[lags:-1],
            history[:, :, -2::-1].transpose(0, 2, 1).reshape(count, -1),
            dummies,
            np.ones((count, 1)),
            history[:, :, -1],
        ]
    )
    moments: FloatArray = rows.T @ rows
    return moments


def centred_moments(moments: FloatArray, constant: int) -> FloatArray:
    """Sum of (z - z̄)(z - z̄)' from that of z z', where entry `constant` of each z is 1; its row and column get 0."""
    totals = moments[:, constant]
    centred: FloatArray = moments - totals[:, None] * (totals / moments[constant, constant])
    return centred


def half_life_of(reversion: float) -> float | None:
    """Timesteps in which half of a deviation goes, for Δs_t = reversion * s_{t-1} + c + ε_t.

    ln 2 / -ln|1 + reversion|: exact for the discrete process. (-ln 2 / reversion is that of the continuous process with
    the same drift.) None when it does not revert; 0 when a deviation is gone at once.
    """
    persistence = abs(1.0 + reversion)
    if persistence >= 1.0:
        return None
    return float(np.log(2.0) / -np.log(persistence)) if persistence > 0.0 else 0.0


def regress(
    moments: FloatArray,
    n: int,
    lags: int,
    names: tuple[str, ...] | None = None,
    *,
    constant: Constant = "unrestricted",
    seasons: int = 1,
) -> ErrorCorrection:
    """Factorise the regression; every model refits from the result.

    One Cholesky factorisation of the moments, in the order lagged differences and dummies, levels, changes: O(d³).

    Parameters
    ----------
    moments : (d, d) sum of z z' over rows z of `johansen_row`, d = n * (lags + 2) + seasons.
    n, lags : series, and lagged differences of each.
    names : of the series, for messages; indices by default.
    constant : "unrestricted" lets the series drift; "restricted" keeps the constant inside the relations. Tests on
        series without drift need the second: on two driftless walks of 500 steps the 5 % trace test rejects 5 % with
        it and 12 % without.
    seasons : of the seasonal dummies, which then take seasons - 1 entries of a row; 1 for none.

    Raises
    ------
    IllPosed : `moments` has another shape, or is not finite.
    NotEnoughData : fewer observations than the regression needs, d.
    ExactlyDependent : a series does not move, or is a linear combination of others (plus a constant or trend); the
        message names it.
    """
    dimension = n * (lags + 2) + seasons
    if moments.shape != (dimension, dimension):
        raise IllPosed(
            f"moments of {n} series, {lags} lags and {seasons} seasons must be ({dimension}, {dimension}), "
            f"got {moments.shape}"
        )
    one = n * (lags + 1) + seasons - 1
    if not np.isfinite(moments[one, one]):
        raise IllPosed(f"moments must be finite, got {moments[one, one]} observations")
    observations = round(float(moments[one, one]))
    if observations < dimension:
        raise NotEnoughData(f"{n} series with {lags} lags need at least {dimension} observations, got {observations}")
    names = names or tuple(str(i) for i in range(n))

    centred = centred_moments(moments, one)
    centre = moments[:n, one] / moments[one, one]
    order = _factor_order(n, lags, seasons, constant)
    if constant == "restricted":
        # The span of (x_{t-1}, 1) is the same about any centre; about the mean its two parts are least alike.
        sums = moments.copy()
        sums[:n] -= centre[:, None] * sums[one]
        sums[:, :n] -= sums[:, one, None] * centre
    else:
        sums = centred
    factor, failed = lapack.dpotrf(sums.take(order, 0).take(order, 1), lower=1)
    # A squared pivot is what everything before an entry leaves of it. If each pivot is a fair share, nothing is
    # dependent.
    floor = DEPENDENCE_TOLERANCE * centred.diagonal()
    still_change = _STILL_CHANGE * centred.diagonal()[:n]
    for first in (*range(n, n * (lags + 1), n), one + 1):
        np.maximum(floor[first : first + n], still_change, out=floor[first : first + n])
    np.maximum(floor[:n], _STILL * moments.diagonal()[:n], out=floor[:n])
    if failed or not (np.square(factor.diagonal()) >= floor[order]).all():
        _refuse_dependence(moments, centred, n, lags, seasons, names)
        if failed:
            raise ExactlyDependent(f"{_entry_names(names, lags, seasons)[order[failed - 1]]} is determined exactly")

    levels = n * lags + seasons - 1
    changes = len(order) - n
    return ErrorCorrection(
        moments=moments,
        n=n,
        lags=lags,
        names=names,
        constant=constant,
        seasons=seasons,
        observations=observations,
        centre=centre,
        centred=centred,
        level_factor=factor[levels:changes, levels:changes],
        response=factor[changes:, levels:changes],
        noise_factor=factor[changes:, changes:],
    )


@lru_cache(maxsize=64)
def _factor_order(n: int, lags: int, seasons: int, constant: Constant) -> IntArray:
    """Indices in a row of lagged differences, dummies, the constant (where it is restricted), levels, changes."""
    one = n * (lags + 1) + seasons - 1
    own = [one] if constant == "restricted" else []
    return np.array([*range(n, one), *own, *range(n), *range(one + 1, one + 1 + n)], dtype=np.int64)


def _entry_names(names: tuple[str, ...], lags: int, seasons: int) -> tuple[str, ...]:
    """What stands at each index of a row."""
    return (
        *names,
        *(f"Δ{name}[t-{lag}]" for lag in range(1, lags + 1) for name in names),
        *(f"season {season}" for season in range(seasons - 1)),
        "1",
        *(f"Δ{name}" for name in names),
    )


def _refuse_dependence(
    moments: FloatArray, centred: FloatArray, n: int, lags: int, seasons: int, names: tuple[str, ...]
) -> None:
    """Raise, naming the relation, if there is an exact one among levels, lagged differences, or what they leave."""
    if not np.isfinite(moments).all():
        raise IllPosed("moments must be finite")
    entries = _entry_names(names, lags, seasons)
    one = n * (lags + 1) + seasons - 1
    lagged, both = slice(n, one), np.r_[0:n, one + 1 : one + 1 + n]
    spans = centred.diagonal()
    changes = spans[np.r_[n : n * (lags + 1), one + 1 : one + 1 + n]].reshape(lags + 1, n)
    still = (spans[:n] <= _STILL * moments.diagonal()[:n]) | np.any(changes <= _STILL_CHANGE * spans[:n], axis=0)
    if still.any():
        raise ExactlyDependent(f"{names[int(np.argmax(still))]} does not move in the window; leave it out of the fit")
    for index in range(n * (lags + 1), one):
        if spans[index] <= _STILL * moments[one, one]:
            raise ExactlyDependent(f"{entries[index]} is always or never in the window; fit with fewer seasons")
    _refuse_relation(centred[:n, :n], names)
    _refuse_relation(centred[lagged, lagged], entries[lagged])
    left = _schur_complement(centred, both, lagged)
    determined = left.diagonal() <= DEPENDENCE_TOLERANCE * spans[both]
    if determined.any():
        series = entries[both[int(np.argmax(determined))]]
        raise ExactlyDependent(f"the lagged differences determine {series} exactly; leave it out of the fit")
    # The residuals on the lagged differences may be dependent where the series are not.
    _refuse_relation(left[:n, :n], names)
    _refuse_relation(left[n:, n:], entries[-n:])
    left = _schur_complement(centred, both[n:], slice(0, one))
    determined = left.diagonal() <= DEPENDENCE_TOLERANCE * spans[both[n:]]
    if determined.any():
        series = entries[both[n + int(np.argmax(determined))]]
        raise ExactlyDependent(f"the levels determine {series} exactly; leave it out of the fit")
    _refuse_relation(left, entries[-n:])


def _schur_complement(moments: FloatArray, kept: IntArray, removed: slice) -> FloatArray:
    """Moments of the residuals of the entries `kept` after regression on the entries `removed`."""
    own: FloatArray = moments[np.ix_(kept, kept)]
    if removed.start == removed.stop:
        return own
    factor = np.linalg.cholesky(moments[removed, removed])
    explained = solve_triangular(factor, moments[removed][:, kept], lower=True)
    complement: FloatArray = own - explained.T @ explained
    return complement


def _refuse_relation(moments: FloatArray, names: tuple[str, ...]) -> None:
    """Raise `ExactlyDependent`, naming the relation, if a series is a combination of those before it.

    A Cholesky factorisation of the correlations, row by row: its squared pivots are the shares of variance that the
    series before leave of each.
    """
    n = moments.shape[0]
    scale = np.sqrt(np.diag(moments))
    correlations = moments / np.outer(scale, scale)
    factor = np.zeros((n, n))
    for i in range(n):
        before = solve_triangular(factor[:i, :i], correlations[i, :i], lower=True) if i else np.zeros(0)
        left = 1.0 - float(before @ before)
        if left < DEPENDENCE_TOLERANCE:
            loadings = solve_triangular(factor[:i, :i].T, before) * scale[i] / scale[:i]
            material = np.abs(loadings) * scale[:i] > 1e-4 * scale[i]
            relation = " ".join(f"{loadings[j]:+.6g} {names[j]}" for j in np.flatnonzero(material))
            raise ExactlyDependent(
                f"{names[i]} = {relation} up to a constant ({left:.1g} of its variance is left); "
                f"leave one of them out, as with a full set of FX crosses"
            )
        factor[i, :i] = before
        factor[i, i] = np.sqrt(left)
