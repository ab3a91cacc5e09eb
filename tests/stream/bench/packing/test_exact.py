"""Exact methods against SCIP and enumeration: what counts as equal, and the row without SCIP."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solver.packing.methods.enumerate import pack_by_enumeration
from stream.bench.figures import markdown, report
from stream.bench.packing import exact as exact_bench
from stream.bench.packing.exact import are_equal, boxed_variance
from stream.bench.packing.instances import small_case
from stream.bench.packing.scip import INSTALL_SCIP


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


def test_without_scip_the_row_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optional package is missing: our time stands alone, and beside it what to install."""
    monkeypatch.setattr(exact_bench, "scip_is_installed", lambda: False)
    first = boxed_variance("random desks", None, 4, "free", 1, 1, 1.0)[0]
    assert (first.reference_label, first.reference, first.ratio) == (INSTALL_SCIP, None, None)
    assert f"| {INSTALL_SCIP} |  |" in markdown(report("", [first]))
