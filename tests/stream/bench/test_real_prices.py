"""Prices of the exchange-traded funds from a folder."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from stream.bench.real_prices import ETF_FILE, etf_prices
from stream.errors import ConfigError


def test_etf_prices_of_a_folder(tmp_path: Path) -> None:
    """The first columns of the file; no file, too few columns and a gap are said with the path."""
    with pytest.raises(ConfigError, match=ETF_FILE):
        etf_prices(tmp_path, 2)
    path = tmp_path / ETF_FILE
    rows = b"2008-01-02,1.5,2.5,3.5\n2008-01-03,1.6,2.6,\n2008-01-04,1.7,2.7,3.7\n2008-01-05,1.8,2.8,3.8\n"
    path.write_bytes(gzip.compress(b"Date,A,B,C\n" + rows))
    assert etf_prices(tmp_path, 2).tolist() == [[1.5, 2.5], [1.6, 2.6], [1.7, 2.7], [1.8, 2.8]]
    for count in (3, 4):
        with pytest.raises(ConfigError, match=ETF_FILE):
            etf_prices(tmp_path, count)
