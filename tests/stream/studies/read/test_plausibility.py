"""What is hardly right is found, and what markets do is not: factors, single outliers, exchanged assets, odd times."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from solver.arrays import FloatArray
from stream.studies.read.plausibility import RATIOS, exchanged_prices, odd_prices, odd_times
from stream.studies.read.prices import read_prices
from stream.studies.read.times import shown

DATA = os.environ.get("BETAPACK_TEST_DATA")
DAY_NS = 86_400 * 10**9
T = 500
TIMES_NS = (16_436 + np.arange(T)) * DAY_NS


def walk(seed: int = 3, scale: float = 0.01) -> FloatArray:
    """Returns with the tails of Student's t with four degrees of freedom, as those of markets."""
    return 1.3 * np.exp(np.cumsum(np.random.default_rng(seed).standard_t(4, T) * scale / np.sqrt(2)))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("scale", [1e-4, 0.005, 0.02])
def test_nothing_is_found_in_a_market(seed: int, scale: float) -> None:
    """Heavy tails at every scale, a jump of a fifth as of the franc in 2015, and a price that stood still before."""
    prices = walk(seed, scale)
    prices[250:] *= 0.81
    prices[100:140] = prices[100]
    prices[140:] *= prices[140] / prices[141]
    assert odd_prices("EUR", TIMES_NS, prices) == []


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("up", [True, False])
def test_every_factor_is_found_and_named(ratio: int, up: bool) -> None:
    """From row 200 on the price is `ratio` times itself, or a part of it: one finding, with the date and the factor."""
    prices = walk()
    prices[200:] *= ratio if up else 1.0 / ratio
    (finding,) = odd_prices("EUR", TIMES_NS, prices)
    assert (finding.kind, finding.asset, finding.time) == ("jump", "EUR", shown(TIMES_NS[200]))
    assert finding.factor == pytest.approx(float(ratio) if up else 1.0 / ratio, rel=0.05)
    assert f"{ratio:,}" in finding.text


@pytest.mark.parametrize("factor", [0.01, 0.1, 0.7, 1.4, 3.7, 100.0])
def test_a_single_outlier_is_one_finding(factor: float) -> None:
    """The way there and back is not counted twice."""
    prices = walk(scale=0.005)
    prices[77] *= factor
    (finding,) = odd_prices("EUR", TIMES_NS, prices)
    assert (finding.kind, finding.time) == ("outlier", shown(TIMES_NS[77]))
    assert finding.factor == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize(("row", "where"), [(0, "first"), (T - 1, "last")])
@pytest.mark.parametrize("factor", [0.01, 1.3, 10.0])
def test_the_ends_of_a_file(row: int, where: str, factor: float) -> None:
    """Nothing before the first price and nothing after the last one can confirm it."""
    prices = walk(scale=0.005)
    prices[row] *= factor
    (finding,) = odd_prices("EUR", TIMES_NS, prices)
    assert f"the {where} price of EUR" in finding.text
    assert finding.factor == pytest.approx(factor, rel=0.05)


def test_many_findings_of_an_asset_are_summed_up() -> None:
    """Five are told, and how many more there are."""
    prices = walk()
    for row in range(20, 200, 20):
        prices[row:] *= 3.0
    found = odd_prices("EUR", TIMES_NS, prices)
    assert len(found) == 5
    assert found[-1].text.endswith("4 more of EUR come after it")


def test_exchanged_assets() -> None:
    """Two columns that trade places; two that jump together do not."""
    prices = np.column_stack([walk(1, 0.005), 2 * walk(2, 0.005), walk(3, 0.005) / 3])
    assert exchanged_prices(("A", "B", "C"), TIMES_NS, prices) == []
    crash = prices.copy()
    crash[300:, :2] *= 0.7
    assert exchanged_prices(("A", "B", "C"), TIMES_NS, crash) == []
    prices[300:, [0, 2]] = prices[300:, [2, 0]]
    (finding,) = exchanged_prices(("A", "B", "C"), TIMES_NS, prices)
    assert (finding.asset, finding.time) == ("A and C", shown(TIMES_NS[300]))


NOW_NS = int(TIMES_NS[-1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda times: times, ""),
        (lambda times: times[::-1].copy(), ""),
        (lambda times: times + DAY_NS, ""),
        (lambda times: times + 2 * DAY_NS, "1 times lie after tomorrow, the first of them in line 501"),
        (lambda times: times - 16_437 * DAY_NS, "1 times lie before 1970, the first of them in line 2: 1969-12-31"),
        (
            lambda times: np.r_[times[:9], times[10], times[9], times[11:]],
            "1 lines are out of order in time",
        ),
        (lambda times: np.r_[times[::-1][:9], times[0], times[::-1][9:]], "line 12"),
    ],
)
def test_times_between_1970_and_tomorrow_and_in_order(change: Callable[[np.ndarray], np.ndarray], said: str) -> None:
    """Oldest first or newest first is right; everything else names the first line that is not."""
    found = odd_times("prices.csv", change(TIMES_NS), range(2, T + 3), NOW_NS)
    assert "".join(finding.text for finding in found).count(said) >= 1 if said else not found


@pytest.mark.slow
@pytest.mark.skipif(DATA is None, reason="BETAPACK_TEST_DATA names no folder with fx_h1 and files of ETFs and indices")
@pytest.mark.parametrize("name", ["fx_h1", "etf23_daily.csv.gz", "index4_daily.csv.gz"])
def test_nothing_is_found_in_real_prices(name: str) -> None:
    """Hours with the franc's break of 2015, funds in 2008, indices with holes: no finding."""
    assert DATA is not None
    assert read_prices(Path(DATA) / name).findings == ()
