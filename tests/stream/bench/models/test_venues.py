"""One pair on two venues."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stream.bench.figures import Comparison
from stream.bench.models import venues as venues_bench
from stream.bench.models.venues import pair_on_two_venues, venue_config
from stream.config import check_config
from stream.errors import ConfigError


def named(figures: Sequence[Comparison], *words: str) -> Comparison:
    (figure,) = (figure for figure in figures if all(word in figure.what for word in words))
    return figure


@pytest.fixture
def venues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an hour of one pair on two venues, a quote a second; a tenth of the second's are crossed."""
    monkeypatch.setattr(venues_bench, "WINDOW_STEPS", 400)
    monkeypatch.setattr(venues_bench, "HOLDOUT_STEPS", 100)
    monkeypatch.setattr(venues_bench, "REFIT_EVERY_STEPS", 20)
    chance = np.random.default_rng(8)
    seconds = 3_600
    mid = 1.4 * np.exp(np.cumsum(chance.normal(0.0, 2e-5, seconds)))
    (tmp_path / "fx_ticks").mkdir()
    for index, venue in enumerate(("oanda", "fxcm")):
        quoted = mid * (1.0 + 1e-6 * chance.normal(size=seconds))
        half_spread = np.where((index == 1) & (np.arange(seconds) % 10 == 0), -1e-5, 2e-5)
        lines = [
            f"{1_398_902_400_000 + 1_000 * t + index},{price - half},{price + half}"
            for t, (price, half) in enumerate(zip(quoted.tolist(), half_spread.tolist(), strict=True))
        ]
        text = "\n".join(["event_time_ms,bid,ask", *lines])
        (tmp_path / "fx_ticks" / f"{venue}_eurusd.csv.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path


def test_one_pair_on_two_venues_is_one_relationship(venues: Path) -> None:
    """Through decoder, timesteps and engine: crossed quotes are refused and counted, the pair is in use as (1, -1)."""
    check_config(venue_config("EURUSD"))
    figures = pair_on_two_venues(venues, "EURUSD")
    in_use = named(figures, "in use")
    assert in_use.ours == 100.0
    # 720 timesteps, of which the first has no return, and a window of 400 with 12 before it: every 20th of 309.
    assert in_use.note.startswith("16 of 16")
    assert "7,200 quotes, 360 crossed refused" in in_use.note
    assert named(figures, "(1, -1)").ours == 100.0
    assert named(figures, "half-life").ours == 100.0


def test_a_folder_without_ticks_is_named(tmp_path: Path) -> None:
    """The option, the file that it lacks and the folder."""
    with pytest.raises(ConfigError, match=r"--data must be a folder with fx_ticks/oanda_eurusd\.csv\.gz"):
        pair_on_two_venues(tmp_path, "EURUSD")
