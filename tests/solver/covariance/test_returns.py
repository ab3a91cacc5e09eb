"""Log returns of prices with gaps: nothing is filled."""

from __future__ import annotations

import numpy as np

from solver.covariance import LogReturns


def test_log_returns_fill_nothing() -> None:
    """NaN without a price or before two in a row; over a gap the whole change."""
    nan = np.nan
    rows = np.array([[1.0, nan], [2.0, 5.0], [nan, nan], [4.0, 6.0], [7.0, 8.0], [nan, nan], [9.0, 4.0]])
    returns = LogReturns(2)
    found = [returns.take(row) for row in rows]
    expected = [[nan, nan], [1.0, nan], [nan, nan], [2.0, nan], [3.0, 2.0], [nan, nan], [2.0, -4.0]]
    np.testing.assert_array_equal(found, expected)
