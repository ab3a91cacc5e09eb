"""Solver speed: a warm packing against a cold one, Johansen from moments against statsmodels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from solver.moments import SlidingMoments
from solver.objective import materiality_floor
from solver.packing.incremental import pack_incrementally
from solver.packing.problem import PackingProblem, lot_bounds
from solver.reversion.johansen import johansen, johansen_row
from stream.bench.result import Comparison, compare

SEED = 20_141_001
LOT = 100_000.0
MAX_NODES = 20_000

Result = TypeVar("Result")


def warm_against_cold(steps: int = 300) -> Comparison:
    """Packing a book after one of its positions changed: from its last multiples, and from nothing."""
    chance = np.random.default_rng(SEED)
    n, K = 11, 5
    factors = chance.normal(size=(n, 4))
    Sigma = 2e-5 * (factors @ factors.T / 4 + 0.3 * np.eye(n))
    B = np.zeros((n, K))
    for column in range(K):
        first, second = chance.choice(n, 2, replace=False)
        B[first, column], B[second, column] = LOT, -chance.uniform(0.8, 1.2) * LOT
    Q = chance.normal(0.0, 5e6, n)
    warm_s, cold_s, worse, proven, last = [], [], 0, 0, np.zeros(K, dtype=np.int64)
    for _ in range(steps):
        Q = Q.copy()
        Q[chance.integers(n)] += chance.normal(0.0, 5e5)
        lower, upper = lot_bounds(B, Q, "inside")
        problem = PackingProblem(
            B=B,
            Q=Q,
            lower=lower,
            upper=upper,
            Sigma=Sigma,
            objective="volume",
            mode="inside",
            epsilon=materiality_floor(LOT, Sigma),
        )
        seconds, warm = _timed(pack_incrementally, problem, last, MAX_NODES)
        warm_s.append(seconds)
        seconds, cold = _timed(pack_incrementally, problem, None, MAX_NODES)
        cold_s.append(seconds)
        worse += warm.objective > cold.objective + 1e-9
        proven += warm.proven
        last = warm.multiples
    return compare(
        "packing, one position changed: warm start against cold",
        "warm",
        float(np.median(warm_s)) * 1e6,
        "cold",
        float(np.median(cold_s)) * 1e6,
        "µs",
        "below 1",
        f"n = {n}, K = {K}, volume, `inside`, {steps} steps, to the proof or {MAX_NODES:,} nodes, medians; "
        f"{proven} warm solves were proven, {worse} ended above the cold one",
    )


def johansen_against_statsmodels(refits: int = 20) -> Comparison:
    """One refit of a sliding window: from its moments, and by statsmodels from its rows."""
    chance = np.random.default_rng(SEED)
    n, T, lags = 10, 2000, 1
    prices = np.cumsum(chance.normal(0.0, 0.005, (T + refits, n)), axis=0)
    moments = SlidingMoments(T - lags - 1, johansen_row(prices[: lags + 2]).size)
    ours_s, reference_s, gap = [], [], 0.0
    for end in range(lags + 2, T + refits + 1):
        row_s, row = _timed(johansen_row, prices[end - lags - 2 : end])
        push_s, _ = _timed(moments.push, row)
        if end <= T:
            continue
        fit_s, ours = _timed(lambda: johansen(moments.sums(), n, lags))
        ours_s.append(row_s + push_s + fit_s)
        seconds, reference = _timed(coint_johansen, prices[end - T : end], 0, lags)
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


def _timed(work: Callable[..., Result], *arguments: Any) -> tuple[float, Result]:
    begun = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - begun, result
