"""The null distributions are the published ones, and go on where the tables end."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2
from statsmodels.tsa.coint_tables import c_sja, c_sjt

from solver.reversion.error_correction import Constant
from solver.reversion.evidence.critical_values import (
    SIGNIFICANCE_LEVELS,
    first_relation_p_values,
    max_eigenvalue_critical_values,
    max_eigenvalue_p_values,
    trace_critical_values,
    trace_p_values,
)


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


def test_unrestricted_constant_has_statsmodels_tables() -> None:
    """Up to twelve series the critical values are those of statsmodels, to the last digit."""
    for n in range(1, 13):
        np.testing.assert_array_equal(trace_critical_values(n, "unrestricted")[0], c_sjt(n, 0))
        np.testing.assert_array_equal(max_eigenvalue_critical_values(n, "unrestricted")[0], c_sja(n, 0))


def test_the_gamma_approximation_meets_the_tables() -> None:
    """At the tabled values for 1 to 12 series the p-values are the levels, within the accuracy stated for quantiles.

    Too thin a tail makes 10, 5 and 1 % into 9.8, 4.8 and .88 % for the trace, and 9.8, 4.5 and .66 % for the maximum
    eigenvalue. A wrong coefficient would show: one common trend has χ² with one degree of freedom.
    """
    for column, level in enumerate(SIGNIFICANCE_LEVELS):
        trace = trace_critical_values(12, "unrestricted")[:, column]
        largest = max_eigenvalue_critical_values(12, "unrestricted")[:, column]
        np.testing.assert_allclose(trace_p_values(trace, "unrestricted"), level, rtol=(0.025, 0.04, 0.12)[column])
        np.testing.assert_allclose(
            max_eigenvalue_p_values(largest, "unrestricted"), level, rtol=(0.02, 0.1, 0.34)[column]
        )
    np.testing.assert_allclose(trace_p_values(np.array([3.0]), "unrestricted"), chi2.sf(3.0, 1), rtol=1e-9)


def test_restricted_constant_is_near_the_published_tables() -> None:
    """5 % trace values for four series of Osterwald-Lenum (1992), simulated with 400 steps, are met within 2 %."""
    published = [53.12, 34.91, 19.96, 9.24]
    np.testing.assert_allclose(trace_critical_values(4, "restricted")[:, 1], published, rtol=0.02)


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


def test_values_are_finite_and_ordered_for_any_number_of_series() -> None:
    """Critical values rise with significance and with the number of trends, and none is NaN, up to fifty series."""
    for constant in ("restricted", "unrestricted"):
        for values in (trace_critical_values(50, constant), max_eigenvalue_critical_values(50, constant)):
            assert values.shape == (50, 3)
            assert np.all(np.isfinite(values))
            assert np.all(np.diff(values, axis=1) > 0.0)
            assert np.all(np.diff(values, axis=0) < 0.0)
            with pytest.raises(ValueError, match="read-only"):
                values[0, 0] = 0.0


def test_p_values_and_critical_values_agree() -> None:
    """Where both come from the gamma distribution, the p-value of a critical value is its level."""
    for column, level in enumerate(SIGNIFICANCE_LEVELS):
        trace = trace_critical_values(9, "restricted")[:, column]
        largest = max_eigenvalue_critical_values(9, "restricted")[:, column]
        np.testing.assert_allclose(trace_p_values(trace, "restricted"), level, rtol=1e-9)
        np.testing.assert_allclose(max_eigenvalue_p_values(largest, "restricted"), level, rtol=1e-9)
        np.testing.assert_allclose(first_relation_p_values(largest[:1], 9, "restricted"), level, rtol=1e-9)
