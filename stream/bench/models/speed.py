"""Speed of the model fits: from moments, against statsmodels, and as the service refits."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from solver.arrays import FloatArray
from solver.moments import SlidingMoments
from solver.reversion.error_correction import ErrorCorrection, johansen_row, regress
from solver.reversion.methods.box_tiao import box_tiao
from solver.reversion.methods.johansen import johansen, reduced_rank
from solver.reversion.methods.ou import ornstein_uhlenbeck
from solver.reversion.methods.pca import minor_components
from solver.reversion.refits.rolling import RollingReversion
from solver.reversion.vector import METHODS, Method
from stream.bench.figures import Comparison, compare, measure
from stream.bench.real_prices import ecb_prices
from stream.bench.timing import timed_alone
from stream.config import ReversionConfig
from stream.config.reversion import reversion_settings

SEED = 20_141_001
ASSETS = 11
WINDOW_STEPS = 500
MAX_LEGS = 3


def refits_against_statsmodels(refits: int) -> list[Comparison]:
    """One refit of a sliding window from its moments, and Johansen's by statsmodels from its rows.

    Our time includes adding the row to the moments. It is measured for Johansen alone, and for all models that are
    functions of the moments.
    """
    chance = np.random.default_rng(SEED)
    n, T, lags = 10, 2000, 1
    prices = np.cumsum(chance.normal(0.0, 0.005, (T + refits, n)), axis=0)
    moments = SlidingMoments(T - lags - 1, johansen_row(prices[: lags + 2]).size)
    johansen_s, all_s, eigen_s, reference_s, gap = [], [], [], [], 0.0
    for end in range(lags + 2, T + refits + 1):
        push_s, _ = timed_alone(_push, moments, prices[end - lags - 2 : end])
        if end <= T:
            continue
        fit_s, ours = timed_alone(lambda: johansen(moments.sums(), n, lags))
        johansen_s.append(push_s + fit_s)
        models_s, regression = timed_alone(_fit_moment_models, moments, n, lags)
        all_s.append(push_s + models_s)
        eigen_s.append(timed_alone(_eigenproblems, regression)[0])
        seconds, reference = timed_alone(coint_johansen, prices[end - T : end], 0, lags)
        reference_s.append(seconds)
        gap = max(gap, float(np.abs(ours.eigenvalues - reference.eig).max()))
    reference_us = float(np.median(reference_s)) * 1e6
    bound_us = float(np.median(eigen_s)) * 1e6
    return [
        compare(
            "Johansen refit",
            "from moments",
            float(np.median(johansen_s)) * 1e6,
            "statsmodels",
            reference_us,
            "µs",
            "below 1",
            f"n = {n}, window {T}, one lag, medians of {refits}; eigenvalues differ by at most {gap:.1e}",
        ),
        compare(
            "refit of `johansen`, `ou`, `box_tiao` and `pca`",
            "from moments",
            float(np.median(all_s)) * 1e6,
            "statsmodels, Johansen alone",
            reference_us,
            "µs",
            "at most 0.02",
            f"the models alone, without p-values of each vector; one regression for all. Its four eigenproblems take "
            f"LAPACK {bound_us:.0f} µs by themselves, {bound_us / reference_us:.3f} of statsmodels' time: 0.02 is "
            "out of reach for whatever calls it",
        ),
    ]


def _push(moments: SlidingMoments, log_prices: FloatArray) -> None:
    moments.push(johansen_row(log_prices))


def _fit_moment_models(moments: SlidingMoments, n: int, lags: int) -> ErrorCorrection:
    regression = regress(moments.sums(), n, lags)
    reduced_rank(regression)
    ornstein_uhlenbeck(regression)
    box_tiao(regression)
    minor_components(regression.changes)
    return regression


def _eigenproblems(regression: ErrorCorrection) -> None:
    """The decompositions that the four models need, by LAPACK alone, on matrices of the same sizes."""
    lapack.dgesdd(regression.response, full_matrices=0)
    lapack.dgeev(regression.response)
    lapack.dsyevd(regression.levels, lower=1)
    lapack.dsyevd(regression.changes, lower=1)


def refit_by_every_method(refits: int) -> Comparison:
    """One refit as in the service, by all methods at once; the note has the time of each alone."""
    log_prices = np.log(ecb_prices(ASSETS))[-(WINDOW_STEPS + 2 + refits) :]
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
    config = ReversionConfig(
        methods=methods, window_steps=WINDOW_STEPS, holdout_steps=WINDOW_STEPS // 4, max_legs=MAX_LEGS
    )
    rolling, seconds = RollingReversion(log_prices.shape[1], reversion_settings(config)), []
    for row in log_prices:
        rolling.push(row)
        if rolling.ready:
            seconds.append(timed_alone(rolling.refit)[0])
    return float(np.median(seconds)) * 1e3
