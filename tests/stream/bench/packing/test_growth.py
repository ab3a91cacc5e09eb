"""How effort grows."""

from __future__ import annotations

import pytest

from stream.bench.packing.growth import _growth
from stream.bench.packing.instances import Desk


def test_growth_is_the_slope_of_the_logarithms() -> None:
    """A part that takes n² seconds has the exponent 2, over all sizes and between the last two."""

    def square_s(desk: Desk, repeats: int) -> float:
        return float(len(desk.Q)) ** 2

    figure = _growth("square", square_s, [(3, 2), (5, 2), (9, 2)], (3, 5, 9), 1, "2")
    assert figure.ours == pytest.approx(2.0, abs=1e-12)
    assert figure.note.startswith("from 5 to 9 2; ")
