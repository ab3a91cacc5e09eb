"""The figures for `betapack bench`, on small files of the same form as the real ones."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from stream.bench.studies.validate import as_currencies, validation_figures
from stream.studies.read.prices import read_prices

PAIRS = {
    "AUDJPY": ("AUD", "JPY"),
    "AUDUSD": ("AUD", "USD"),
    "EURGBP": ("EUR", "GBP"),
    "EURJPY": ("EUR", "JPY"),
    "GBPJPY": ("GBP", "JPY"),
    "GBPUSD": ("GBP", "USD"),
    "USDCAD": ("USD", "CAD"),
    "USDCHF": ("USD", "CHF"),
    "USDJPY": ("USD", "JPY"),
    "XAUUSD": ("XAU", "USD"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """560 hours of ten pairs whose closes are a little apart, and 560 days of three funds."""
    chance = np.random.default_rng(1)
    names = sorted({name for pair in PAIRS.values() for name in pair} - {"USD"})
    logs = dict(zip(names, np.cumsum(chance.normal(0.0, 1e-3, (560, len(names))), axis=0).T, strict=True))
    logs["USD"] = np.zeros(560)
    hours = np.datetime64("2015-01-01T00:00:00") + np.arange(560) * np.timedelta64(1, "h")
    (tmp_path / "fx_h1").mkdir()
    for pair, (base, quote) in PAIRS.items():
        closes = np.exp(logs[base] - logs[quote] + chance.normal(0.0, 1e-5, 560))
        lines = [f"{str(hour).replace('T', ' ')},{close:.8f}" for hour, close in zip(hours, closes, strict=True)]
        text = "time,close\n" + "\n".join(lines) + "\n"
        (tmp_path / "fx_h1" / f"{pair}.csv.gz").write_bytes(gzip.compress(text.encode()))
    funds = np.exp(np.cumsum(chance.normal(0.0, 0.01, (560, 3)), axis=0))
    days = np.datetime64("2010-01-01") + np.arange(560)
    rows = [f"{day},{','.join(f'{price:.6f}' for price in row)}" for day, row in zip(days, funds, strict=True)]
    (tmp_path / "etf23_daily.csv.gz").write_bytes(gzip.compress(("Date,A,B,C\n" + "\n".join(rows) + "\n").encode()))
    return tmp_path


@pytest.mark.slow
def test_every_figure_of_every_file(folder: Path) -> None:
    """Bias, losses beside skfolio's and other half-lives on each half, of the pairs, the currencies and the funds."""
    pytest.importorskip("skfolio", reason="skfolio is not installed (pip install '.[bench]')")
    figures = validation_figures(folder, lambda said: None)
    names = [figure.what for figure in figures]
    for name in ("fx_h1", "fx_h1 as currencies", "etf23"):
        for what in (
            f"bias statistic, {name}",
            f"QLIKE of covariance, {name}",
            f"QLIKE of variances, {name}",
            f"QLIKE lost to the best half-life, {name}, first half",
            f"QLIKE lost to the best half-life, {name}, second half",
        ):
            assert names.count(what) == 1, what
    lost = [figure.ours for figure in figures if "lost to the best" in figure.what]
    assert min(lost) >= 0.0
    assert all(0.7 < figure.ours < 1.4 for figure in figures if figure.what.startswith("bias"))


def test_currencies_are_free_of_the_pairs_relations(folder: Path) -> None:
    """Seven currencies in USD give back the pairs that they came from, and no combination of them stands still."""
    pairs = read_prices(folder / "fx_h1")
    currencies = as_currencies(pairs)
    assert currencies.names == ("EUR", "GBP", "AUD", "CAD", "CHF", "JPY", "XAU")
    price = dict(zip(currencies.names, currencies.prices.T, strict=True))
    usdjpy = pairs.prices[:, pairs.names.index("USDJPY")]
    np.testing.assert_allclose(1.0 / price["JPY"], usdjpy)
    smallest = [
        np.linalg.eigvalsh(np.corrcoef(np.diff(np.log(prices.prices), axis=0).T))[0] for prices in (pairs, currencies)
    ]
    assert smallest[0] < 1e-3
    assert smallest[1] > 0.1


@pytest.mark.slow
def test_without_data_and_without_skfolio(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder there are no figures, and it is said; without skfolio its rows say how to install it."""
    said: list[str] = []
    assert validation_figures(None, said.append) == []
    assert "--data" in said[0]
    monkeypatch.setitem(sys.modules, "skfolio.moments", None)
    notes = [figure.note for figure in validation_figures(folder, said.append) if figure.what.startswith("QLIKE, ")]
    assert len(notes) == 3
    assert all("pip install" in note for note in notes)
