"""SCIP as a reference: it must solve the very problem that is ours."""

from __future__ import annotations

import numpy as np
import pytest

from solver.packing.methods.enumerate import pack_by_enumeration
from stream.bench.packing import scip
from stream.bench.packing.instances import LOT, small_case
from stream.bench.packing.scip import INSTALL_SCIP, pack_by_scip


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
