"""The ranges of items under the limits of an asset: nothing feasible is cut, however small a leg is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from solver.packing.boxes.tighten import tighten_items, tighten_rows


def test_what_is_cut_keeps_no_limit() -> None:
    """Every combination of lots that keeps all limits is still in the box, and an emptied box held none."""
    for seed in range(200):
        chance = np.random.default_rng(seed)
        K, n = int(chance.integers(1, 5)), int(chance.integers(1, 4))
        items = np.where(chance.random((K, n)) < 0.7, chance.normal(size=(K, n)), 0.0)
        low, high = -chance.integers(0, 4, K), chance.integers(0, 4, K)
        floor = chance.normal(size=n) - 1.0
        ceiling = floor + 2.0 * chance.random(n)
        kept = [
            lots
            for lots in itertools.product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))
            if ((lots @ items >= floor) & (lots @ items <= ceiling)).all()
        ]
        some = tighten_rows(items, floor, ceiling, low, high, 3)
        assert some or not kept, f"seed {seed}"
        for lots in kept:
            assert ((low <= lots) & (lots <= high)).all(), f"seed {seed}"


@pytest.mark.parametrize("leg", [1e-20, -1e-20, 1e-300, -1e-300])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_leg_of_rounding_noise_is_clamped(leg: float, side: float) -> None:
    """A limit that a tiny leg would need more lots for than an integer holds empties the box; its own keeps it."""
    items = np.array([[leg]])
    floor, ceiling = sorted((1.0 * side, 2.0 * side))
    low, high = np.array([-5]), np.array([5])
    some, _ = tighten_items(items, 0, floor, ceiling, -5.0 * abs(leg), 5.0 * abs(leg), low, high)
    assert not some
    some, changed = tighten_items(items, 0, -1.0, 1.0, -5.0 * abs(leg), 5.0 * abs(leg), low, high)
    assert (some, changed) == (True, False)
    assert (low.tolist(), high.tolist()) == ([-5], [5])
