"""Sliding covariances do not drift."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from solver.covariance import WindowCovariance
from solver.covariance.window import slide_pairs

UPDATES = 10_000_000
WINDOW = 250


@njit  # type: ignore[untyped-decorator]
def _push_all(ring, counters, high, low, missed, pending, ends, rows, gaps, updates):  # type: ignore[no-untyped-def]
    """`updates` rows, `rows` again and again at sizes from 1e4 to 1e-4 that change every 997; one entry in 61 missing.

    The last of them are of the smallest size.
    """
    row = np.empty(rows.shape[1])
    for step in range(updates):
        decade = (step // 997) % 9 if step < updates - 997 else 8
        scale = 10.0 ** (4 - decade)
        for i in range(row.size):
            row[i] = scale * rows[step % rows.shape[0], i]
            if gaps and (step + 7 * i) % 61 == 0:
                row[i] = np.nan
        slide_pairs(ring, counters, high, low, missed, pending, ends, row)


def batch(rows: np.ndarray, gaps: bool, updates: int) -> np.ndarray:
    """(WINDOW, n) the rows that the window must hold at the end, scaled as above; an asset's gap is one row."""
    steps = np.arange(updates - WINDOW, updates)
    held = rows[steps % len(rows)] * 1e-4
    if gaps:
        for i in range(rows.shape[1]):
            held[(steps + 7 * i) % 61 == 0, i] = np.nan
    return held


@pytest.mark.slow
@pytest.mark.parametrize("gaps", [False, True])
def test_ten_million_updates_stay_within_1e_9_of_a_batch(gaps: bool) -> None:
    """Ten million rows over eight decades of size, with and without gaps: 1e-9 of what the window's rows say.

    A gap is one row, so the return after it is over two rows, of an asset and of its pairs; none is cut by the window's
    beginning.
    """
    mixing = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]])
    rows = np.random.default_rng(1).normal(size=(4093, 3)) @ mixing
    estimator = WindowCovariance(3, WINDOW, "none")
    state = estimator.arrays()
    names = ("ring", "counters", "high", "low", "missed", "pending", "ends")
    _push_all(*(state[name] for name in names), rows, gaps, UPDATES)
    estimator.restore(state)
    Sigma = estimator.estimate()
    held = batch(rows, gaps, UPDATES)
    volatility = np.sqrt(np.diag(Sigma))
    for i in range(3):
        for j in range(3):
            a, b = _common(held[:, i], held[:, j])
            correlation = a @ b / np.sqrt((a @ a) * (b @ b))
            assert Sigma[i, j] / (volatility[i] * volatility[j]) == pytest.approx(correlation, abs=1e-9)
        own, _ = _common(held[:, i], held[:, i])
        assert Sigma[i, i] == pytest.approx(own @ own / len(own), rel=1e-9)


def _common(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns of both over the rows up to each in which both are there, scaled by the root of how many rows these are.

    A row that is missing has no return of its own: what the next one brings spans both.
    """
    a, b, waited = [], [], 0
    pending = np.zeros(2)
    for change in np.column_stack([x, y]):
        pending += np.nan_to_num(change)
        waited += 1
        if np.isfinite(change).all():
            a.append(pending[0] / np.sqrt(waited))
            b.append(pending[1] / np.sqrt(waited))
            pending, waited = np.zeros(2), 0
    return np.array(a), np.array(b)


def test_plain_sums_would_drift() -> None:
    """The test above has teeth: a thousandth of its updates in plain doubles are wrong in the fifth digit."""
    rng = np.random.default_rng(1)
    total, ring = 0.0, np.zeros(WINDOW)
    for step in range(10_000):
        value = rng.normal() * (1e4 if step < 9_000 else 1e-4)
        total += value**2 - ring[step % WINDOW] ** 2
        ring[step % WINDOW] = value
    assert abs(total / (ring @ ring) - 1.0) > 1e-5
