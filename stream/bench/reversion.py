"""Speed of the model fits: Johansen from moments against statsmodels."""

from __future__ import annotations

import numpy as np
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from solver.moments import SlidingMoments
from solver.reversion.johansen import johansen, johansen_row
from stream.bench.result import Comparison, compare
from stream.bench.timing import timed

SEED = 20_141_001


def johansen_against_statsmodels(refits: int = 20) -> Comparison:
    """One refit of a sliding window: from its moments, and by statsmodels from its rows."""
    chance = np.random.default_rng(SEED)
    n, T, lags = 10, 2000, 1
    prices = np.cumsum(chance.normal(0.0, 0.005, (T + refits, n)), axis=0)
    moments = SlidingMoments(T - lags - 1, johansen_row(prices[: lags + 2]).size)
    ours_s, reference_s, gap = [], [], 0.0
    for end in range(lags + 2, T + refits + 1):
        row_s, row = timed(johansen_row, prices[end - lags - 2 : end])
        push_s, _ = timed(moments.push, row)
        if end <= T:
            continue
        fit_s, ours = timed(lambda: johansen(moments.sums(), n, lags))
        ours_s.append(row_s + push_s + fit_s)
        seconds, reference = timed(coint_johansen, prices[end - T : end], 0, lags)
        reference_s.append(seconds)
        gap = max(gap, float(np.abs(ours.eigenvalues - reference.eig).max()))
    return compare(
        "Johansen refit",
        "from moments",
        float(np.median(ours_s)) * 1e6,
        "statsmodels",
        float(np.median(reference_s)) * 1e6,
        "µs",
        "below 1",
        f"n = {n}, window {T}, one lag, medians of {refits}; eigenvalues differ by at most {gap:.1e}",
    )
