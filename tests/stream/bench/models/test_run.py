"""Every figure on the models, on very few cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from stream.bench.models import covariance, pegs
from stream.bench.models.run import QUICK_MODELS, models_figures

TINY = replace(
    QUICK_MODELS,
    walk_windows=2,
    walk_lengths=(120,),
    followed_walks=1,
    followed_steps=520,
    baskets=3,
    breaking_paths=10,
    fitted_paths=1,
    holding_paths=5,
    horizon_windows=8,
    horizon_walks=20,
    refits=2,
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_figure_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row a figure, each with a finite value, what is good, and a note of what it was measured on."""
    monkeypatch.setattr(pegs, "LAST_DAY", date(2016, 6, 30))
    monkeypatch.setattr(covariance, "ASKED_US", {3: 2.0})
    monkeypatch.setattr(covariance, "TICKED_S", 20_000)
    figures = models_figures(TINY, None, lambda text: None)
    names = [figure.what for figure in figures]
    assert len(set(names)) == len(names)
    for words, count in (
        (("independent walks",), 7),
        (("any β selected", "all seven methods"), 3),
        (("planted baskets",), 5),
        (("EUR/DKK",), 1),
        (("EUR/CHF",), 3),
        (("bias",), 2),
        (("rank correlation",), 1),
        (("retired after",), 4),
        (("basket spreads that hold",), 1),
        (("refit",), 5),
        (("covariance update", "3 assets"), 6),
        (("Poisson ticks",), 1),
        (("a tick for",), 2),
    ):
        assert sum(all(word in name for word in words) for name in names) == count, words
    for figure in figures:
        assert np.isfinite(figure.ours), figure.what
        assert figure.better
        assert figure.note
