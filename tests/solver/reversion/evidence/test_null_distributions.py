"""The null distributions are the published ones, and go on where the tables end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2
from statsmodels.tsa.coint_tables import c_sja, c_sjt

from solver.reversion.error_correction import Constant
from solver.reversion.evidence.null_distributions import first_relation_p_values, trace_p_values

LEVELS = (0.10, 0.05, 0.01)


def null_statistics(rng: np.random.Generator, n: int, steps: int, constant: Constant) -> np.ndarray:
    """Both statistics for r = 0 of `n` walks, from the canonical correlations of plain QR bases."""
    walks = np.cumsum(rng.normal(size=(steps, n)), axis=0)
    changes, levels = np.diff(walks, axis=0), walks[:-1] - walks[:-1].mean(axis=0)
    if constant == "restricted":
        levels = np.column_stack([np.ones(len(levels)), levels])
    else:
        # The last walk drifts, which the tables for an unrestricted constant suppose.
        levels[:, -1] = np.arange(len(levels)) - len(levels) / 2
        changes = changes - changes.mean(axis=0)
    correlations = np.linalg.svd(np.linalg.qr(levels)[0].T @ np.linalg.qr(changes)[0], compute_uv=False)
    logs = -np.log1p(-(correlations**2)) * len(changes)
    return np.array([logs.sum(), logs[0]])


def test_the_gamma_approximation_meets_the_tables() -> None:
    """At the tabled values for 1 to 12 series the p-values are the levels, within the accuracy stated for quantiles.

    Too thin a tail makes 10, 5 and 1 % into 9.8, 4.8 and .88 % for the trace, and 9.8, 4.5 and .66 % for the maximum
    eigenvalue. A wrong coefficient would show: one common trend has χ² with one degree of freedom.
    """
    for column, level in enumerate(LEVELS):
        # MacKinnon, Haug and Michelis (1999), for 12 to 1 common trends.
        trace, largest = (np.array([table(n, 0)[column] for n in range(12, 0, -1)]) for table in (c_sjt, c_sja))
        np.testing.assert_allclose(trace_p_values(trace, "unrestricted"), level, rtol=(0.025, 0.04, 0.12)[column])
        p_values = [first_relation_p_values(largest[12 - n :][:1], n, "unrestricted")[0] for n in range(12, 0, -1)]
        np.testing.assert_allclose(p_values, level, rtol=(0.02, 0.1, 0.34)[column])
    np.testing.assert_allclose(trace_p_values(np.array([3.0]), "unrestricted"), chi2.sf(3.0, 1), rtol=1e-9)


def test_restricted_constant_is_near_the_published_tables() -> None:
    """At the 5 % trace values for four series of Osterwald-Lenum (1992), simulated with 400 steps, p is 4 to 6 %."""
    p_values = trace_p_values(np.array([53.12, 34.91, 19.96, 9.24]), "restricted")
    np.testing.assert_allclose(p_values, 0.05, atol=0.01)


@pytest.mark.parametrize("constant", ["restricted", "unrestricted"])
@pytest.mark.parametrize("n", [3, 20])
def test_mean_and_spread_are_those_of_simulated_walks(n: int, constant: Constant) -> None:
    """The distribution is that of walks also beyond the tables: its median splits 300 simulated statistics in halves.

    Four standard errors of a share of one half among 300 are .115; what 1,000 steps differ from infinitely many makes
    half of a standard deviation at n = 20, which is why the trace is divided by 1 + n / 2T first (the first-order term
    of its mean in Doornik's table 9).
    """
    rng = np.random.default_rng(n)
    steps = 1_000
    simulated = np.array([null_statistics(rng, n, steps, constant) for _ in range(300)]) / (1.0 + 0.5 * n / steps)
    for k, p_value in enumerate(
        (
            np.array([trace_p_values(np.full(n, s), constant)[0] for s in simulated[:, 0]]),
            first_relation_p_values(simulated[:, 1], n, constant),
        )
    ):
        assert abs(np.mean(p_value < 0.5) - 0.5) < 0.115, k
        assert np.mean(p_value < 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("constant", ["restricted", "unrestricted"])
def test_p_values_fall_with_the_statistic_and_rise_with_the_series(constant: Constant) -> None:
    """Up to fifty series: finite, falling in the statistic, and larger where more trends could have made it."""
    for n in range(1, 51):
        statistics = np.linspace(0.5, 3.0 * n * n + 30.0, 50)
        p_values = first_relation_p_values(statistics, n, constant)
        assert np.all(np.isfinite(p_values))
        assert np.all(np.diff(p_values) <= 0.0)
        assert np.all(p_values <= first_relation_p_values(statistics, n + 1, constant))
    # Of one statistic for every r: the fewer trends are left, the less likely it is.
    assert np.all(np.diff(trace_p_values(np.full(50, 40.0), constant)) <= 0.0)
