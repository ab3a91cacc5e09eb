"""The benchmarks that need no Kafka, on very few cases: that every figure comes out, and means what it says."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solver.packing.enumerate import pack_by_enumeration
from stream.bench import run
from stream.bench.hedging.cases import enumerate_hedge, small_problem
from stream.bench.hedging.run import hedging_figures
from stream.bench.models import horizon
from stream.bench.packing import exact as exact_bench
from stream.bench.packing import scip
from stream.bench.packing.exact import are_equal, boxed_variance
from stream.bench.packing.growth import _growth
from stream.bench.packing.instances import FIT_DAYS, LOT, REFIT_EVERY_DAYS, Desk, live_sequence, random_desk, small_case
from stream.bench.packing.run import PackingEffort
from stream.bench.packing.scip import INSTALL_SCIP, pack_by_scip
from stream.bench.prices import ETF_FILE, etf_prices
from stream.bench.result import compare, markdown, measure, report
from stream.errors import ConfigError

TINY = PackingEffort(
    small_cases=60,
    free_cases=2,
    free_scip_cases=1,
    inside_cases=1,
    inside_scip_cases=1,
    large_cases=1,
    anneal_cases=2,
    live_steps=30,
    warm_desks=1,
    warm_steps=2,
    books=8,
    book_rounds=1,
    growth_assets=(5, 10),
    growth_items=(5, 10),
    growth_repeats=1,
)


@pytest.fixture(scope="module")
def packing_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str]:
    """The figures in the file and the table of `betapack bench packing`."""
    output = tmp_path_factory.mktemp("bench") / "bench.json"
    settings = run.BenchSettings("packing", output, None, 1, 1, None, 5.0, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "QUICK", TINY)
        table = run.run_bench(settings, lambda text: None)
    return json.loads(output.read_text())["comparisons"], table


# The first use of these kernels compiles them.
@pytest.mark.timeout(600)
def test_every_packing_figure_is_there(packing_run: tuple[list[dict[str, Any]], str]) -> None:
    """One row a figure in file and table: right, fast against SCIP and enumeration, live, warm, many books, growth."""
    figures, table = packing_run
    names = [figure["what"] for figure in figures]
    assert len(set(names)) == len(names)
    for size, mode, source in (
        ("20/20", "free", "random desks"),
        ("20/20", "free", "ECB rates"),
        ("20/20", "inside", "random desks"),
        ("20/20", "inside", "ECB rates"),
    ):
        name = f"exact variance with box and costs, {mode}, {size}, {source}"
        assert {f"{name}: time, median", f"{name}: time, p99"} <= set(names)
    for begin, count in (
        ("small cases: exact = enumerate", 1),
        ("small cases: exact proven", 1),
        ("small cases, up to", 1),
        ("exact variance with box and costs, free, 30/30, random desks: time, p99", 1),
        ("anneal, ", 6),
        ("live, ECB rates, 12/20, positions of ", 6),
        ("packing, one position changed, 30/60", 6),
        ("8 books of 20 assets", 2),
        ("growth with n, K = 2 n", 5),
        ("growth with K, n = 30", 2),
    ):
        assert sum(name.startswith(begin) for name in names) == count, begin
    for figure in figures:
        assert np.isfinite(figure["ours"])
        assert figure["better"]
        assert f"| {figure['what']} | {figure['ours_label']}: " in table


def test_annealing_is_never_below_the_optimum(packing_run: tuple[list[dict[str, Any]], str]) -> None:
    """`exact` proves the variance, so the gap to it is a number, and none is below zero."""
    (gap,) = (figure["ours"] for figure in packing_run[0] if figure["what"].startswith("anneal, variance"))
    assert gap >= 0.0


def test_small_cases_agree(packing_run: tuple[list[dict[str, Any]], str]) -> None:
    """`exact` finds what enumeration finds, and proves it, in every small case."""
    figures = {figure["what"]: figure for figure in packing_run[0]}
    assert figures["small cases: exact = enumerate"]["ours"] == TINY.small_cases
    assert figures["small cases: exact proven"]["ours"] == TINY.small_cases


def test_small_cases_cover_everything() -> None:
    """All objectives, both modes, with and without costs; and a packing that is worse is not called equal."""
    chance = np.random.default_rng(5)
    kinds, worse = set(), 0
    for _ in range(200):
        problem = small_case(chance)
        kinds.add((problem.objective, problem.mode, bool(problem.arrays.cost.any())))
        packing = pack_by_enumeration(problem)
        assert are_equal(problem, packing, packing)
        if packing.objective_before > 1.01 * packing.objective:
            worse += 1
            assert not are_equal(problem, replace(packing, multiples=np.zeros_like(packing.multiples)), packing)
    assert len(kinds) == 12
    assert worse > 20


def test_hedging_figures() -> None:
    """Every small hedge, of every kind, costs what enumeration finds, and desks of six currencies are proven."""
    figures = hedging_figures(lambda text: None, small_cases=60, books=2)
    assert (figures[0].ours, figures[0].better) == (60.0, "60")
    assert figures[0].note.startswith("60 proven")
    assert len(figures) == 15
    assert [figure.ours for figure in figures if figure.what.endswith("proven")] == [100.0] * 7
    chance = np.random.default_rng(7)
    found = {
        (enumerate_hedge(problem).status, problem.max_trades is None)
        for problem in (small_problem(chance) for _ in range(200))
    }
    assert len(found) == 6


def test_without_scip_the_row_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optional package is missing: our time stands alone, and beside it what to install."""
    monkeypatch.setattr(exact_bench, "scip_is_installed", lambda: False)
    first = boxed_variance("random desks", None, 4, "free", 1, 1, 1.0)[0]
    assert (first.reference_label, first.reference, first.ratio) == (INSTALL_SCIP, None, None)
    assert f"| {INSTALL_SCIP} |  |" in markdown(report("", [first]))


def test_scip_solves_the_same_problem() -> None:
    """SCIP's model against enumeration: both modes, with and without costs, with either settings."""
    if not scip.scip_is_installed():
        pytest.skip(INSTALL_SCIP)
    chance = np.random.default_rng(11)
    solved = set()
    while len(solved) < 4:
        problem = small_case(chance)
        if problem.objective != "variance" or problem.B.shape[1] == 0:
            continue
        least = pack_by_enumeration(problem).objective
        for tuned in (True, False):
            answer = pack_by_scip(problem, 10.0, tuned)
            assert answer.proven
            # Its constraint on the variance may be off by its tolerance, a millionth.
            slack = 1e-5 * LOT**2 * float(np.trace(problem.Sigma))
            assert answer.objective == pytest.approx(least, rel=1e-5, abs=slack)
        solved.add((problem.mode, bool(problem.arrays.cost.any())))


def walk(days: int, n: int) -> np.ndarray:
    """(days, n) prices around 50."""
    return 50.0 * np.exp(np.cumsum(np.random.default_rng(2).normal(0.0, 0.01, (days, n)), axis=0))


def test_a_live_sequence_is_what_it_says() -> None:
    """The same seed gives the same steps; trades are whole lots of one asset, valued at the day's price; β and Σ change
    when their day comes and not before."""
    prices = walk(FIT_DAYS + 1 + 2 * REFIT_EVERY_DAYS, 5)
    steps = 4 * REFIT_EVERY_DAYS

    def sequence() -> list[Any]:
        return list(live_sequence(np.random.default_rng(3), prices, 6, 2 * LOT, steps))

    first, second = sequence(), sequence()
    assert len(first) == steps
    quantities = []
    for index, (step, same) in enumerate(zip(first, second, strict=True)):
        assert np.array_equal(step.Q, same.Q)
        assert np.array_equal(step.Sigma, same.Sigma)
        day = index // 2
        assert step.new_covariance == (index % 2 == 0)
        assert step.new_items == (index % (2 * REFIT_EVERY_DAYS) == 0)
        if index:
            assert np.array_equal(step.B, first[index - 1].B) != step.new_items
            assert np.array_equal(step.Sigma, first[index - 1].Sigma) != step.new_covariance
        quantities.append(step.Q / (LOT / prices[FIT_DAYS] * prices[FIT_DAYS + day]))
        assert step.B.shape == (5, 6)
        assert np.allclose(np.max(np.abs(step.B) == 2 * LOT, axis=0), 1)
    assert np.allclose(quantities, np.rint(quantities), atol=1e-9)
    assert max(np.count_nonzero(np.rint(change)) for change in np.diff(quantities, axis=0)) == 1


def test_a_random_desk_is_a_problem() -> None:
    """Pairs and triples with a leading leg of one lot, a covariance of full rank, and bounds and costs that fit."""
    desk = random_desk(np.random.default_rng(4), 7, 9)
    assert set(np.count_nonzero(desk.B, axis=0)) == {2, 3}
    assert (desk.B.max(axis=0) == LOT).all()
    assert np.linalg.eigvalsh(desk.Sigma)[0] > 0.0
    problem = desk.boxed_variance(np.random.default_rng(4), "inside")
    assert (problem.lower < 0).all()
    assert (problem.upper > 0).all()
    assert (problem.arrays.cost > 0.0).all()


def test_growth_is_the_slope_of_the_logarithms() -> None:
    """A part that takes n² seconds has the exponent 2, over all sizes and between the last two."""

    def square_s(desk: Desk, repeats: int) -> float:
        return float(len(desk.Q)) ** 2

    figure = _growth("square", square_s, [(3, 2), (5, 2), (9, 2)], (3, 5, 9), 1, "2")
    assert figure.ours == pytest.approx(2.0, abs=1e-12)
    assert figure.note.startswith("from 5 to 9 2; ")


def test_etf_prices_of_a_folder(tmp_path: Path) -> None:
    """The first columns of the file; no file, too few columns and a gap are said with the path."""
    with pytest.raises(ConfigError, match=ETF_FILE):
        etf_prices(tmp_path, 2)
    path = tmp_path / ETF_FILE
    path.write_bytes(gzip.compress(b"Date,A,B,C\n2008-01-02,1.5,2.5,3.5\n2008-01-03,1.6,2.6,\n"))
    assert etf_prices(tmp_path, 2).tolist() == [[1.5, 2.5], [1.6, 2.6]]
    for count in (3, 4):
        with pytest.raises(ConfigError, match=ETF_FILE):
            etf_prices(tmp_path, count)


def test_the_table_says_who_loses() -> None:
    """Where the reference is better the ratio says so; where there is none the cells are empty."""
    rows = [
        compare("lost time", "ours", 3.0, "theirs", 2.0, "ms", "below 1"),
        compare("won time", "ours", 1.0, "theirs", 2.0, "ms", "below 1"),
        compare("lost rate", "ours", 1.0, "theirs", 2.0, "ticks/s", "at least 1"),
        compare("no reference", "ours", 1.0, "theirs", 0.0, "cases", "at least 1"),
        measure("alone", "ours", 7.0, "cases", "7"),
    ]
    lines = markdown(report("", rows)).splitlines()[4:9]
    assert lines == [
        "| lost time | ours: 3 ms | theirs: 2 ms | 1.5, the reference is better | below 1 |",
        "| won time | ours: 1 ms | theirs: 2 ms | 0.5 | below 1 |",
        "| lost rate | ours: 1 ticks/s | theirs: 2 ticks/s | 0.5, the reference is better | at least 1 |",
        "| no reference | ours: 1 cases | theirs: 0 cases |  | at least 1 |",
        "| alone | ours: 7 cases |  |  | 7 |",
    ]


def test_risk_over_the_horizon_is_held_against_what_follows() -> None:
    """On few windows: forecasts with the pull are nearer to what follows than those of a walk, which are far above."""
    over_10, over_50 = horizon._planted(5.0, 500, 12)
    for figure in (over_10, over_50):
        assert figure.reference is not None
        assert figure.reference < figure.ours
        assert abs(np.log(figure.ours)) < abs(np.log(figure.reference))
    assert over_50.reference < over_10.reference < 0.9
