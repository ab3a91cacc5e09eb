"""Every figure on the packing, on very few cases."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from stream.bench import run
from stream.bench.packing import anneal
from stream.bench.packing.run import PackingEffort

# Whichever test comes first waits for the figures.
pytestmark = pytest.mark.slow

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
    settings = run.BenchSettings("packing", output, None, 1, 1, None, 0.5, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "QUICK", TINY)
        # The proof for one determinant of eight items takes longer than all else here together.
        patch.setattr(anneal, "DETERMINANT_SIZES", (4, 5))
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
