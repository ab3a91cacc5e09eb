"""The rows on covariances: what is asked of the estimators holds, and what they stand beside is there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from river.covariance import EmpiricalCovariance

from solver.covariance import ExponentialCovariance
from stream.bench.models import covariance
from stream.bench.models.covariance import HALF_LIFE_STEPS, covariance_figures


@pytest.mark.slow
def test_asynchronous_ticks_are_within_what_is_asked() -> None:
    """Every simulation is within .02 of the correlation, where previous-tick returns miss most of it."""
    row, remembered, *costs = covariance._tick_figures()
    assert row.ours < 0.02
    assert row.reference is not None
    assert row.reference > 0.4
    assert remembered.ours < 0.1
    assert len(costs) == 3


def test_every_reference_computes_a_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    """On returns with a mean of zero: numpy's recursion is ours, pandas' and river's differ by the mean that they take.

    The table has a row beside each of them.
    """
    returns = np.random.default_rng(1).normal(size=(400, 3))
    returns = np.concatenate([returns, -returns])
    ours = ExponentialCovariance(3, HALF_LIFE_STEPS, "none")
    recursion = covariance._NumpySums(3, 0.5 ** (1.0 / HALF_LIFE_STEPS))
    endless, counted = ExponentialCovariance(3, 1e9, "none"), EmpiricalCovariance(ddof=0)
    for row in returns:
        ours.update(row)
        recursion.update(row)
        endless.update(row)
        counted.update(dict(enumerate(row.tolist())))
    weight = (1.0 - 0.5 ** (len(returns) / HALF_LIFE_STEPS)) / (1.0 - 0.5 ** (1.0 / HALF_LIFE_STEPS))
    np.testing.assert_allclose(recursion._sums / weight, ours.estimate(), rtol=1e-9)
    mean = pd.DataFrame(returns).ewm(halflife=HALF_LIFE_STEPS).mean().iloc[-1].to_numpy()
    theirs = pd.DataFrame(returns).ewm(halflife=HALF_LIFE_STEPS).cov(bias=True).iloc[-3:].to_numpy()
    np.testing.assert_allclose(theirs + np.outer(mean, mean), ours.estimate(), rtol=1e-6)
    assert counted[0, 1].get() == pytest.approx(endless.estimate()[0, 1], rel=1e-5)

    monkeypatch.setattr(covariance, "ASKED_US", {3: 2.0})
    monkeypatch.setattr(covariance, "_tick_figures", list)
    labels = [row.reference_label.partition(",")[0] for row in covariance_figures(None, lambda line: None)]
    assert labels == ["", "", "", "numpy", "pandas", "river"]
