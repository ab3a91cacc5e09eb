"""Every figure on hedges, on very few cases."""

from __future__ import annotations

from stream.bench.hedging.run import hedging_figures


def test_hedging_figures() -> None:
    """Every small hedge, of every kind, costs what enumeration finds, and desks of six currencies are proven."""
    figures = hedging_figures(lambda text: None, small_cases=60, books=2)
    assert (figures[0].ours, figures[0].better) == (60.0, "60")
    assert figures[0].note.startswith("60 proven")
    assert len(figures) == 15
    assert [figure.ours for figure in figures if figure.what.endswith("proven")] == [100.0] * 7
