"""One interface to every method of mean reversion: moments in, tested vectors out.

Each vector gets the test that suits how it was chosen:

- `LEVEL_METHODS` look at how levels and changes go together, as a test does. Their test is the likelihood ratio against
  the best vector that as many random walks have (`measure.reversion_tests`), and for "johansen" the sequence of trace
  tests.
- `CHANGE_METHODS` look at changes alone. Their choice says nothing of the levels, so Dickey and Fuller's test of a
  given basket spread holds for them, which sees slower reversion. They need no regression, and so have an answer also
  where assets are exactly dependent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.reversion.error_correction import ErrorCorrection
from solver.reversion.evidence.measure import measured
from solver.reversion.evidence.unit_root import dickey_fuller_p_values, dickey_fuller_statistics
from solver.reversion.methods.baskets import baskets
from solver.reversion.methods.box_tiao import box_tiao
from solver.reversion.methods.ica import independent_components
from solver.reversion.methods.johansen import reduced_rank
from solver.reversion.methods.ou import ou_vectors
from solver.reversion.methods.pca import minor_components
from solver.reversion.methods.sparse import sparse_vectors
from solver.reversion.vector import Candidate, ChangeMethod, LevelMethod, ReversionVector


def level_vectors(method: LevelMethod, regression: ErrorCorrection, *, max_legs: int) -> tuple[ReversionVector, ...]:
    """The vectors that `method` proposes, in its own order, with half-life, volatility and evidence.

    O(n³) whatever the window; for "baskets" in the number of leg sets too. The k-th vector of "johansen" has the k-th
    trace statistic and the largest p-value up to it: a relation counts only after those before it.

    Parameters
    ----------
    method : which.
    regression : `error_correction.regress` of the fit window's moments.
    max_legs : of a vector of "baskets", 2 to n; the others use all assets.

    Raises
    ------
    IllPosed : `max_legs` out of range.
    """
    match method:
        case "johansen":
            fit = reduced_rank(regression)
            p_values = np.maximum.accumulate(fit.trace_p).tolist()
            return tuple(
                replace(vector, statistic=statistic, p_value=p_value)
                for vector, statistic, p_value in zip(
                    measured(regression, fit.beta, method), fit.trace.tolist(), p_values, strict=True
                )
            )
        case "ou":
            return ou_vectors(regression)
        case "box_tiao":
            return measured(regression, box_tiao(regression).beta, method)
        case "baskets":
            return baskets(regression, max_legs)


def change_vectors(
    method: ChangeMethod,
    moments: FloatArray,
    n: int,
    lags: int,
    change_covariance: FloatArray,
    *,
    max_legs: int,
    returns: FloatArray | None = None,
    rng: np.random.Generator | None = None,
    names: tuple[str, ...] | None = None,
) -> tuple[list[Candidate], int]:
    """The vectors that `method` proposes, in its own order, with evidence.

    Parameters
    ----------
    method : which.
    moments : sum of z z' over the fit's rows z of `johansen_row`; rows may go on behind.
    n, lags : series, and lagged differences of each.
    change_covariance : (n, n) of Δx_t in those rows; 0 for an asset that does not move, which is left out.
    max_legs : 2 or 3, of a vector of "sparse"; the others use all assets.
    returns, rng : the fit's Δx (T, n) and a seeded generator; only "ica" takes them, and needs them.
    names : of the assets, for messages; indices by default.

    Returns
    -------
    The vectors, and how many were tried to find them: the leg sets of "sparse".

    Raises
    ------
    IllPosed : a parameter out of range or missing.
    ExactlyDependent : for "ica", an asset does not move or is a combination of others.
    NotConverged : "ica" did not settle.
    """
    match method:
        case "sparse":
            vectors, tried = sparse_vectors(change_covariance, max_legs)
        case "pca":
            vectors = minor_components(change_covariance)
            tried = len(vectors)
        case "ica":
            if returns is None or rng is None:
                raise IllPosed("ica needs the returns of the fit and a seeded generator")
            vectors = independent_components(returns, rng, names)
            tried = len(vectors)
    if not vectors:
        return [], tried
    statistics = dickey_fuller_statistics(moments, n, lags, np.array(vectors).T)
    p_values = dickey_fuller_p_values(statistics)
    return [
        Candidate(weights, method, float(statistic), float(p_value))
        for weights, statistic, p_value in zip(vectors, statistics, p_values, strict=True)
    ], tried
