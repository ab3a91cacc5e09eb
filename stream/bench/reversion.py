"""Speed of the model fits: Johansen from moments against statsmodels, and a refit by every method."""

from __future__ import annotations

import numpy as np
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from solver.arrays import FloatArray
from solver.moments import SlidingMoments
from solver.reversion.error_correction import johansen_row
from solver.reversion.johansen import johansen
from solver.reversion.rolling import ReversionSettings, RollingReversion
from solver.reversion.vector import METHODS, Method
from stream.bench.prices import currency_prices
from stream.bench.result import Comparison, compare, measure
from stream.bench.timing import timed

SEED = 20_141_001
ASSETS = 11
WINDOW_STEPS = 500


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


def refit_by_every_method(refits: int = 20) -> Comparison:
    """One refit as the service does it, by all methods at once; each alone stands in the note."""
    log_prices = np.log(currency_prices(ASSETS))[-(WINDOW_STEPS + 2 + refits) :]
    alone = {method: _refit_ms(log_prices, (method,)) for method in METHODS}
    each = ", ".join(f"`{method}` {ms:.1f}" for method, ms in alone.items())
    return measure(
        "refit by every method",
        "from moments, `ica` from rows",
        _refit_ms(log_prices, METHODS),
        "ms",
        "far below a timestep",
        f"{ASSETS} currencies, European Central Bank, window {WINDOW_STEPS}, up to three legs, medians of {refits}; "
        f"alone, with the evidence of what it proposes: {each} ms",
    )


def _refit_ms(log_prices: FloatArray, methods: tuple[Method, ...]) -> float:
    settings = ReversionSettings(
        methods=methods,
        window_steps=WINDOW_STEPS,
        holdout_steps=WINDOW_STEPS // 4,
        basis_horizon_steps=1,
        basis_ratio_max=0.3,
        basis_confidence=0.95,
        false_discovery_rate=0.05,
        half_life_min_steps=1.0,
        half_life_max_steps=60.0,
        switching_penalty=0.1,
        false_alarm_steps=1e6,
        max_legs=3,
        max_vectors=12,
        lags=1,
    )
    rolling, seconds = RollingReversion(log_prices.shape[1], settings), []
    for row in log_prices:
        rolling.push(row)
        if rolling.ready:
            seconds.append(timed(rolling.refit)[0])
    return float(np.median(seconds)) * 1e3
