"""Johansen's cointegration analysis from second moments alone: the error-correction model of reduced rank.

    Δx_t = α (β' x_{t-1} + κ) + Γ_1 Δx_{t-1} + ... + Γ_lags Δx_{t-lags} + Φ s_t + c + ε_t,

with c = 0 when the constant is restricted to the relations, and κ = 0 when it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.linalg import lapack

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.reversion.error_correction import Constant, ErrorCorrection, regress
from solver.reversion.evidence.null_distributions import trace_p_values

Criterion: TypeAlias = Literal["aic", "hqic", "bic"]


@dataclass(frozen=True, eq=False)
class Johansen:
    """The fitted model; vectors are columns, the one that reverts most first.

    Attributes
    ----------
    eigenvalues : (n,) squared canonical correlations, falling, in [0, 1).
    beta : (n, n) cointegrating vectors, the largest weight positive. They are scaled so that the basket spread has
        variance 1 after regression on lagged differences and constant.
    constant : (n,) κ of each relation, for levels as they stand in the rows (less their anchor); zeros when the
        constant is unrestricted.
    alpha : (n, n) adjustment speeds per timestep that belong to `beta`; `alpha[:, :r] @ beta[:, :r].T` is the
        error-correction matrix of rank r.
    trace : (n,) trace statistics of the hypotheses "at most r relations", r = 0..n-1.
    trace_p : (n,) their p-values, with the statistics corrected for the size of the sample
        (`ErrorCorrection.small_sample_factor`). `trace` itself is not corrected.
    """

    eigenvalues: FloatArray
    beta: FloatArray
    constant: FloatArray
    alpha: FloatArray
    trace: FloatArray
    trace_p: FloatArray


def johansen(
    moments: FloatArray,
    n: int,
    lags: int,
    names: tuple[str, ...] | None = None,
    *,
    constant: Constant = "unrestricted",
    seasons: int = 1,
) -> Johansen:
    """`reduced_rank` of `regress`, for a caller that fits this model alone.

    Parameters
    ----------
    moments : (d, d) sum of z z' over rows z of `johansen_row`, d = n * (lags + 2) + seasons.
    n, lags : series, and lagged differences of each.
    names : of the series, for messages; indices by default.
    constant : "unrestricted" lets the series drift; "restricted" keeps the constant inside the relations.
    seasons : of the seasonal dummies; 1 for none.

    Raises
    ------
    IllPosed, NotEnoughData, ExactlyDependent : as `regress`.
    """
    return reduced_rank(regress(moments, n, lags, names, constant=constant, seasons=seasons))


def reduced_rank(regression: ErrorCorrection) -> Johansen:
    """Fit every rank of the error-correction model by maximum likelihood; O(n³).

    With an unrestricted constant equal to `statsmodels.tsa.vector_ar.vecm.coint_johansen(x, det_order=0,
    k_ar_diff=lags)` for lags >= 1, which takes x_{t-lags} where this takes x_{t-1}: the same space once the lagged
    differences are partialled out. With lags = 0 that function takes x_t itself, which is not an error-correction
    model; this one still takes x_{t-1}.

    References
    ----------
    Johansen (1991), Estimation and hypothesis testing of cointegration vectors in Gaussian vector autoregressive
    models, Econometrica 59(6). Lütkepohl (2005), New Introduction to Multiple Time Series Analysis, section 7.2.3.
    """
    n, observations = regression.n, regression.observations
    # λ / (1 - λ) are the squared singular values of L00⁻¹ L01. No product is formed, whose condition would be the
    # square of the data's.
    signal = lapack.dtrtrs(regression.noise_factor, regression.response, lower=1)[0]
    _, ratios, right, _ = lapack.dgesdd(signal, full_matrices=0)
    odds = ratios**2
    vectors = lapack.dtrtrs(regression.level_factor, right.T, lower=1, trans=1)[0] * np.sqrt(observations)
    beta = vectors[-n:]
    sign = np.sign(beta[np.abs(beta).argmax(axis=0), np.arange(n)])
    beta = beta * sign

    trace = (observations * np.log1p(odds))[::-1].cumsum()[::-1]
    model = regression.constant
    return Johansen(
        eigenvalues=odds / (1.0 + odds),
        beta=beta,
        constant=vectors[0] * sign - regression.centre @ beta if model == "restricted" else np.zeros(n),
        alpha=regression.response @ right.T * (sign / np.sqrt(observations)),
        trace=trace,
        trace_p=trace_p_values(trace * regression.small_sample_factor, model),
    )


def choose_lags(
    moments: FloatArray,
    n: int,
    most_lags: int,
    criterion: Criterion,
    names: tuple[str, ...] | None = None,
    *,
    seasons: int = 1,
) -> int:
    """Lagged differences, 0 to `most_lags`, by an information criterion on one and the same sample.

    ln det Σ_p + penalty * k_p / T, where k_p is the number of coefficients in the regression of full rank with p lagged
    differences. The penalty is 2 (Akaike), 2 ln ln T (Hannan and Quinn) or ln T (Schwarz). One factorisation holds the
    residuals of every p: those of fewer lags are the sums over the columns of more. O((n * most_lags)³).

    Parameters
    ----------
    moments : of `johansen_row` with `most_lags` lags.
    n : series.
    most_lags : >= 0.
    criterion : "aic", "hqic" or "bic".
    names : of the series, for messages; indices by default.
    seasons : of the seasonal dummies; 1 for none.

    Raises
    ------
    IllPosed, NotEnoughData, ExactlyDependent : as `regress`.

    References
    ----------
    Lütkepohl (2005), New Introduction to Multiple Time Series Analysis, sections 4.3 and 8.1.
    """
    regression = regress(moments, n, most_lags, names, seasons=seasons)
    observations = regression.observations
    one = n * (most_lags + 1) + seasons - 1
    dummies = range(n * (most_lags + 1), one)
    order = [*range(n), *dummies, *range(n, n * (most_lags + 1)), *range(one + 1, one + 1 + n)]
    factor = np.linalg.cholesky(regression.centred[np.ix_(order, order)])[-n:]
    penalty = {
        "aic": 2.0,
        "hqic": 2.0 * np.log(np.log(observations)),
        "bic": np.log(observations),
    }[criterion]
    criteria = []
    for lags in range(most_lags + 1):
        left = factor[:, n * (lags + 1) + seasons - 1 :]
        log_determinant = np.linalg.slogdet(left @ left.T / observations)[1]
        criteria.append(log_determinant + penalty * n * (n * (lags + 1) + seasons) / observations)
    return int(np.argmin(criteria))


def drop_lags(moments: FloatArray, n: int, lags: int, kept: int) -> FloatArray:
    """The moments of `johansen_row` with `kept` <= `lags` lagged differences, over the same rows.

    Raises
    ------
    IllPosed : `kept` is not in 0..lags.
    """
    if not 0 <= kept <= lags:
        raise IllPosed(f"kept must be in 0..{lags}, got {kept}")
    kept_entries = np.r_[0 : n * (kept + 1), n * (lags + 1) : moments.shape[0]]
    remaining: FloatArray = moments[np.ix_(kept_entries, kept_entries)]
    return remaining
