"""Johansen's cointegration analysis from second moments alone.

The model is the vector error-correction model with an unrestricted constant,

    Δx_t = α β' x_{t-1} + Γ_1 Δx_{t-1} + ... + Γ_lags Δx_{t-lags} + c + ε_t,

and everything in it is a function of the moments of the rows [x_{t-1}, Δx_{t-1}, ..., Δx_{t-lags}, 1, Δx_t]. A sliding
window of those moments therefore refits in O(n³), independent of its length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from solver.arrays import FloatArray, IntArray
from solver.errors import ExactlyDependent, IllPosed, NotEnoughData

#: Significance levels of the critical values, in the order of their columns.
SIGNIFICANCE_LEVELS = (0.10, 0.05, 0.01)

# Asymptotic critical values for an unrestricted constant at 10, 5 and 1 %; row k is for k + 1 common trends. They
# suppose that the series drift: on two driftless walks of 500 steps the 5 % trace test rejects 11 %, on two with drift
# 5 %. From the response surfaces of MacKinnon, Haug and Michelis (1996), as statsmodels.tsa.coint_tables holds them
# (copied, because that import takes a second). They end at 12.
_TRACE_CRITICAL = np.array(
    [
        [2.7055, 3.8415, 6.6349],
        [13.4294, 15.4943, 19.9349],
        [27.0669, 29.7961, 35.4628],
        [44.4929, 47.8545, 54.6815],
        [65.8202, 69.8189, 77.8202],
        [91.1090, 95.7542, 104.9637],
        [120.3673, 125.6185, 135.9825],
        [153.6341, 159.5290, 171.0905],
        [190.8714, 197.3772, 210.0366],
        [232.1030, 239.2468, 253.2526],
        [277.3740, 285.1402, 300.2821],
        [326.5354, 334.9795, 351.2150],
    ]
)
_MAX_EIGENVALUE_CRITICAL = np.array(
    [
        [2.7055, 3.8415, 6.6349],
        [12.2971, 14.2639, 18.5200],
        [18.8928, 21.1314, 25.8650],
        [25.1236, 27.5858, 32.7172],
        [31.2379, 33.8777, 39.3693],
        [37.2786, 40.0763, 45.8662],
        [43.2947, 46.2299, 52.3069],
        [49.2855, 52.3622, 58.6634],
        [55.2412, 58.4332, 64.9960],
        [61.2041, 64.5040, 71.2525],
        [67.1307, 70.5392, 77.4877],
        [73.0563, 76.5734, 83.7105],
    ]
)

#: Series up to which there are critical values.
TABULATED_SERIES = len(_TRACE_CRITICAL)

#: A series counts as an exact combination of others when they leave less than this share of its variance. The closest
#: relation among market prices (EUR and DKK, daily) leaves 1e-6; rounding of moments leaves about 1e-14.
DEPENDENCE_TOLERANCE = 1e-10

# A series did not move when centring leaves no more of its second moment than the rounding of its sums.
_STILL = 1e-14

# Nor did it at some lag when its changes have less than this share of its levels' variance. One jump in T rows has
# about 1 / T; the sums of changes that were all zero keep 1e-30 from rounding.
_STILL_CHANGE = 1e-20


@dataclass(frozen=True, eq=False)
class Johansen:
    """The fitted model; vectors are columns, the one that reverts most first.

    Attributes
    ----------
    eigenvalues : (n,) squared canonical correlations, falling, in [0, 1).
    beta : (n, n) cointegrating vectors, scaled so that the spread that is left of lagged differences and constant has
        variance 1, the largest weight positive.
    alpha : (n, n) adjustment speeds per timestep that belong to `beta`; `alpha[:, :r] @ beta[:, :r].T` is the
        error-correction matrix of rank r.
    trace, max_eigenvalue : (n,) statistics of the hypotheses "at most r relations", r = 0..n-1.
    trace_critical, max_eigenvalue_critical : (n, 3) asymptotic, at `SIGNIFICANCE_LEVELS`; None for more than 12 series,
        which the tables do not reach.
    observations : rows that the moments hold.
    """

    eigenvalues: FloatArray
    beta: FloatArray
    alpha: FloatArray
    trace: FloatArray
    max_eigenvalue: FloatArray
    trace_critical: FloatArray | None
    max_eigenvalue_critical: FloatArray | None
    observations: int


def johansen_row(log_prices: FloatArray) -> FloatArray:
    """The row [x_{t-1}, Δx_{t-1}, ..., Δx_{t-lags}, 1, Δx_t] of the latest timestep.

    Parameters
    ----------
    log_prices : (lags + 2, n), oldest first; less a fixed anchor near them, where precision matters.

    Returns
    -------
    (n * (lags + 2) + 1,).
    """
    changes = np.diff(log_prices, axis=0)
    return np.concatenate([log_prices[-2], changes[-2::-1].ravel(), [1.0], changes[-1]])


def johansen_moments(log_prices: FloatArray, lags: int) -> FloatArray:
    """Sum of outer products of every `johansen_row` of a whole series (T, n), anchored at its mean.

    Raises
    ------
    NotEnoughData : T < lags + 2.
    """
    if log_prices.shape[0] < lags + 2:
        raise NotEnoughData(f"{lags} lags need at least {lags + 2} rows, got {log_prices.shape[0]}")
    anchored = log_prices - log_prices.mean(axis=0)
    rows = np.array([johansen_row(anchored[end - lags - 2 : end]) for end in range(lags + 2, len(anchored) + 1)])
    moments: FloatArray = rows.T @ rows
    return moments


def johansen(moments: FloatArray, n: int, lags: int, names: tuple[str, ...] | None = None) -> Johansen:
    """Fit the error-correction model with an unrestricted constant by reduced-rank regression.

    Equal to `statsmodels.tsa.vector_ar.vecm.coint_johansen(x, det_order=0, k_ar_diff=lags)` for lags >= 1, which takes
    x_{t-lags} where this takes x_{t-1}: the same space once the lagged differences are partialled out. With lags = 0
    that function takes x_t itself, which is not an error-correction model; this one still takes x_{t-1}.

    Parameters
    ----------
    moments : (d, d) sum of z z' over rows z of `johansen_row`, d = n * (lags + 2) + 1.
    n, lags : series, and lagged differences of each.
    names : of the series, for messages; indices by default.

    Raises
    ------
    IllPosed : `moments` has another shape.
    NotEnoughData : fewer observations than canonical correlations below 1 need, n * (lags + 2) + 1.
    ExactlyDependent : a series does not move, or is a linear combination of others (plus a constant or trend).

    References
    ----------
    Johansen (1991), Estimation and hypothesis testing of cointegration vectors in Gaussian vector autoregressive
    models, Econometrica 59(6). Lütkepohl (2005), New Introduction to Multiple Time Series Analysis, section 7.2.3.
    """
    dimension = n * (lags + 2) + 1
    if moments.shape != (dimension, dimension):
        raise IllPosed(f"moments of {n} series, {lags} lags must be ({dimension}, {dimension}), got {moments.shape}")
    constant = n * (lags + 1)
    observations = round(float(moments[constant, constant]))
    if observations < dimension:
        raise NotEnoughData(f"{n} series with {lags} lags need at least {dimension} observations, got {observations}")
    names = names or tuple(str(i) for i in range(n))

    centred = centred_moments(moments, constant)
    spans = np.diag(centred)
    changes = spans[np.r_[n:constant, constant + 1 : dimension]].reshape(lags + 1, n)
    still = (spans[:n] <= _STILL * np.diag(moments)[:n]) | np.any(changes <= _STILL_CHANGE * spans[:n], axis=0)
    if still.any():
        raise ExactlyDependent(f"{names[int(np.argmax(still))]} does not move in the window; leave it out of the fit")
    lagged = slice(n, constant)
    _refuse_dependence(centred[:n, :n], names)
    _refuse_dependence(
        centred[lagged, lagged], tuple(f"Δ{name}[t-{lag}]" for lag in range(1, lags + 1) for name in names)
    )
    both = np.r_[0:n, constant + 1 : dimension]
    residual = _schur_complement(centred, both, lagged) / observations
    determined = np.diag(residual) * observations <= DEPENDENCE_TOLERANCE * np.diag(centred)[both]
    if determined.any():
        series = (*names, *(f"Δ{name}" for name in names))[int(np.argmax(determined))]
        raise ExactlyDependent(f"the lagged differences determine {series} exactly; leave it out of the fit")
    S11, S10, S00 = residual[:n, :n], residual[:n, n:], residual[n:, n:]
    # What the lagged differences leave may be dependent where the series are not.
    _refuse_dependence(S11, names)
    _refuse_dependence(S00, tuple(f"Δ{name}" for name in names))

    # λ S11 - S10 S00⁻¹ S01, with both ends whitened, has the singular values √λ of one matrix: no product is formed
    # whose condition is the square of the data's.
    scale1, scale0 = np.sqrt(np.diag(S11)), np.sqrt(np.diag(S00))
    L1 = np.linalg.cholesky(S11 / np.outer(scale1, scale1))
    L0 = np.linalg.cholesky(S00 / np.outer(scale0, scale0))
    half = solve_triangular(L1, S10 / np.outer(scale1, scale0), lower=True)
    whitened = solve_triangular(L0, half.T, lower=True).T
    left, correlations, _ = np.linalg.svd(whitened)
    beta = solve_triangular(L1.T, left) / scale1[:, None]
    beta *= np.sign(beta[np.argmax(np.abs(beta), axis=0), np.arange(n)])
    eigenvalues = correlations**2
    if eigenvalues[0] > 1.0 - DEPENDENCE_TOLERANCE:
        spread = " ".join(f"{weight:+.6g} {name}" for weight, name in zip(beta[:, 0], names, strict=True))
        raise ExactlyDependent(f"the levels determine a change exactly, through {spread}")

    max_eigenvalue = -observations * np.log1p(-eigenvalues)
    tabulated = n <= TABULATED_SERIES
    return Johansen(
        eigenvalues=eigenvalues,
        beta=beta,
        alpha=S10.T @ beta,
        trace=np.cumsum(max_eigenvalue[::-1])[::-1],
        max_eigenvalue=max_eigenvalue,
        trace_critical=_TRACE_CRITICAL[:n][::-1].copy() if tabulated else None,
        max_eigenvalue_critical=_MAX_EIGENVALUE_CRITICAL[:n][::-1].copy() if tabulated else None,
        observations=observations,
    )


def centred_moments(moments: FloatArray, constant: int) -> FloatArray:
    """Sum of (z - z̄)(z - z̄)' from that of z z', where entry `constant` of each z is 1; its row and column get 0."""
    totals = moments[:, constant]
    centred: FloatArray = moments - np.outer(totals, totals) / moments[constant, constant]
    return centred


def half_life_of(reversion: float) -> float | None:
    """Timesteps in which half of a deviation goes, for Δs_t = reversion * s_{t-1} + c + ε_t.

    ln 2 / -ln|1 + reversion|: the exact one of the discrete process, where -ln 2 / reversion is that of the continuous
    process with the same drift. None when it does not revert; 0 when a deviation is gone at once.
    """
    persistence = abs(1.0 + reversion)
    if persistence >= 1.0:
        return None
    return float(np.log(2.0) / -np.log(persistence)) if persistence > 0.0 else 0.0


def _schur_complement(moments: FloatArray, kept: IntArray, removed: slice) -> FloatArray:
    """Moments of the residuals of the entries `kept` after regression on the entries `removed`."""
    own: FloatArray = moments[np.ix_(kept, kept)]
    if removed.start == removed.stop:
        return own
    scale = np.sqrt(np.diag(moments)[removed])
    factor = np.linalg.cholesky(moments[removed, removed] / np.outer(scale, scale))
    explained = solve_triangular(factor, moments[removed][:, kept] / scale[:, None], lower=True)
    complement: FloatArray = own - explained.T @ explained
    return complement


def _refuse_dependence(moments: FloatArray, names: tuple[str, ...]) -> None:
    """Raise `ExactlyDependent`, naming the relation, if a series is a combination of those before it.

    A Cholesky factorisation of the correlations, row by row: its squared pivots are the shares of variance that the
    series before leave of each.
    """
    n = moments.shape[0]
    scale = np.sqrt(np.diag(moments))
    correlations = moments / np.outer(scale, scale)
    try:
        if np.square(np.diag(np.linalg.cholesky(correlations))).min(initial=1.0) >= DEPENDENCE_TOLERANCE:
            return
    except np.linalg.LinAlgError:
        pass  # a pivot below zero: the relation is looked for below
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
