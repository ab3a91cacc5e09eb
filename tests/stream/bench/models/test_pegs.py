"""What the table quotes of daily rates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from stream.bench.figures import Comparison
from stream.bench.models import pegs
from stream.bench.models.pegs import hedges_in_daily_rates

FLOOR_BEGINS = date(2011, 9, 6)
AFTER_THE_FLOOR = date(2015, 3, 31)


def named(figures: Sequence[Comparison], *words: str) -> Comparison:
    (figure,) = (figure for figure in figures if all(word in figure.what for word in words))
    return figure


@pytest.mark.slow
def test_the_floor_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the table quotes of the franc: in use in every window, then one alert and no packed lot on the day."""
    monkeypatch.setattr(pegs, "LAST_DAY", AFTER_THE_FLOOR)
    figures = hedges_in_daily_rates(FLOOR_BEGINS)
    assert named(figures, "EUR/DKK").ours == 100.0
    under_floor = named(figures, "under the floor")
    assert under_floor.ours == 100.0
    assert under_floor.note.startswith("349 of 349")
    assert named(figures, "alerts").ours == 1.0
    packed = named(figures, "packed lots")
    assert packed.ours == 0.0
    assert int(packed.note.split()[0]) > 50
