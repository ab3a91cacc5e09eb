"""The sliding sums equal a batch recomputation, for good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solver.errors import IllPosed
from solver.moments import SlidingMoments


@pytest.mark.slow
def test_no_drift_over_a_million_updates() -> None:
    """After 10⁶ rows of sizes over eight decades each entry is that of a batch, to 1e-12 of its own absolute terms.

    The batch itself rounds by about 1e-16 times the root of 200 terms, far below the tolerance. Plain double sums fail:
    the large rows that left would have taken 1e-16 * 10⁸ with them.
    """
    rng = np.random.default_rng(20150115)
    moments = SlidingMoments(window=200, dimension=3)
    large = rng.normal(size=(500_000, 3)) * 1e4
    small = rng.normal(size=(500_000, 3)) * 1e-4 + 1e-4
    for row in large:
        moments.push(row)
    for row in small:
        moments.push(row)
    held = small[-200:]
    expected = np.einsum("ti,tj->ij", held, held)
    absolute = np.einsum("ti,tj->ij", np.abs(held), np.abs(held))
    assert np.all(np.abs(moments.sums() - expected) <= 1e-12 * absolute)


def test_plain_double_sums_would_drift() -> None:
    """The test above has teeth: the same million rows in plain doubles are wrong in the sixth digit or worse."""
    rng = np.random.default_rng(20150115)
    large = rng.normal(size=2_000) * 1e4
    small = rng.normal(size=200) * 1e-4
    total = 0.0
    for value in large:
        total += value * value
    for value in small:
        total += value * value
    for value in large:
        total -= value * value
    assert abs(total - small @ small) > 1e-6 * (small @ small)


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2), min_size=1, max_size=30),
    st.integers(min_value=1, max_value=8),
)
def test_add_then_remove_is_the_identity(rows: list[list[float]], window: int) -> None:
    """Whatever passed through, a window full of zeros sums to zero within the documented bound."""
    moments = SlidingMoments(window, 2)
    largest = 0.0
    for row in rows:
        moments.push(np.array(row))
        largest = max(largest, float(np.max(np.abs(moments.sums()))))
    for _ in range(window):
        moments.push(np.zeros(2))
    # An off-diagonal sum can pass a larger value within a step than `sums` shows after it: twice covers it.
    bound = 2.0 * (len(rows) + window) * 2.0**-104 * largest
    assert np.all(np.abs(moments.sums()) <= bound)


def test_push_hands_on_the_row_that_fell_out() -> None:
    """Chained windows hold consecutive stretches, and their sums add up to those of one long window."""
    rng = np.random.default_rng(1)
    recent, older, whole = SlidingMoments(3, 2), SlidingMoments(4, 2), SlidingMoments(7, 2)
    rows = rng.normal(size=(20, 2))
    for step, row in enumerate(rows):
        whole.push(row)
        fallen_out = recent.push(row)
        assert (fallen_out is None) == (step < 3)
        if fallen_out is not None:
            np.testing.assert_array_equal(fallen_out, rows[step - 3])
            older.push(fallen_out)
    assert recent.full
    assert older.full
    assert older.count == 4
    np.testing.assert_allclose(recent.sums() + older.sums(), whole.sums(), rtol=1e-14)


def test_restored_state_goes_on_bit_for_bit() -> None:
    """Export, restore into a fresh object, continue: the same bits as without the interruption."""
    rng = np.random.default_rng(2)
    uninterrupted, before, after = SlidingMoments(50, 4), SlidingMoments(50, 4), SlidingMoments(50, 4)
    rows = rng.normal(size=(180, 4))
    for row in rows[:73]:
        uninterrupted.push(row)
        before.push(row)
    after.restore(before.arrays())
    for row in rows[73:]:
        uninterrupted.push(row)
        after.push(row)
    for name, array in uninterrupted.arrays().items():
        np.testing.assert_array_equal(after.arrays()[name], array)


def test_exported_arrays_are_copies() -> None:
    """A snapshot does not change under the pushes that follow it."""
    moments = SlidingMoments(5, 1)
    moments.push(np.array([2.0]))
    snapshot = moments.arrays()
    moments.push(np.array([3.0]))
    assert snapshot["high"][0, 0] == 4.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_a_row_that_cannot_be_summed_is_refused_and_changes_nothing(bad: float) -> None:
    """NaN, infinity and overflow raise, and the sums stay usable."""
    moments = SlidingMoments(5, 2)
    moments.push(np.array([1.0, 2.0]))
    with pytest.raises(IllPosed, match="finite"):
        moments.push(np.array([1.0, bad]))
    assert moments.count == 1
    np.testing.assert_array_equal(moments.sums(), [[1.0, 2.0], [2.0, 4.0]])


def test_wrong_shapes_are_refused() -> None:
    """A row, a window or a state of another size names what was expected."""
    moments = SlidingMoments(5, 2)
    with pytest.raises(IllPosed, match=r"shape \(2,\)"):
        moments.push(np.zeros(3))
    with pytest.raises(IllPosed, match=">= 1"):
        SlidingMoments(0, 2)
    with pytest.raises(IllPosed, match="'ring'"):
        moments.restore(SlidingMoments(6, 2).arrays())
    with pytest.raises(IllPosed, match="lacks"):
        moments.restore({})


def test_rows_come_in_the_order_of_time() -> None:
    """While filling and after any number of turns of the ring, the rows held are the last ones, oldest first."""
    data = np.random.default_rng(12).normal(size=(23, 2))
    moments = SlidingMoments(5, 2)
    for seen, row in enumerate(data, start=1):
        moments.push(row)
        np.testing.assert_array_equal(moments.rows(), data[max(seen - 5, 0) : seen])
    moments.rows()[:] = 0.0
    np.testing.assert_array_equal(moments.rows(), data[-5:])
