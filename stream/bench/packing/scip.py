"""The same packing as a mixed-integer programme for SCIP, where PySCIPOpt is installed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from solver.packing.evaluation import fits
from solver.packing.problem import PackingProblem
from stream.bench.timing import timed_alone

INSTALL_SCIP = "SCIP not installed: pip install 'betapack[bench]'"
# Optimal up to this share of the objective, as betapack's own proof.
GAP = 1e-9


@dataclass(frozen=True)
class ScipAnswer:
    """What SCIP found: its objective (infinite without a packing), whether it has a proof, and how long it took."""

    objective: float
    proven: bool
    seconds: float


def scip_is_installed() -> bool:
    """Whether the optional package is there."""
    return find_spec("pyscipopt") is not None


def pack_by_scip(problem: PackingProblem, limit_s: float, tuned: bool = True) -> ScipAnswer:
    """Solve a `variance` problem: min t + c'a with ``|R x - d|² <= t``, ``-a <= x <= a``, x whole.

    With L'L = Sigma, R is the triangular factor of L B, and the part of L Q outside its span is a constant. Of all
    formulations tried, SCIP is fastest on this one; the others had L for R, B'ΣB itself, a variable for each square, or
    buying and selling apart. Everything is in lots and in units of the mean variance, so that SCIP's tolerances fit.
    The objective is recomputed from the whole multiples. Only the solution is timed, not the building of the model.
    SCIP has one thread, as betapack has.

    Parameters
    ----------
    limit_s : > 0, seconds of wall clock after which SCIP stops with what it has.
    tuned : with the settings that are fastest on `free`: no heuristics of SCIP's own, and few cuts. False leaves all
        settings but the gap at their defaults.
    """
    from pyscipopt import Model, quicksum
    from pyscipopt.scip import PY_SCIP_PARAMSETTING

    n, items = problem.B.shape
    lot = float(np.max(np.abs(problem.B)))
    B, Q = problem.B / lot, problem.Q / lot
    unit = float(np.trace(problem.Sigma)) / n
    values, vectors = np.linalg.eigh(problem.Sigma / unit)
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    basis, image = np.linalg.qr(root @ B)
    held = root @ Q
    target = basis.T @ held
    beyond = float(held @ held - target @ target)
    cost = problem.arrays.cost / (lot**2 * unit)

    model = Model()
    model.hideOutput()
    model.setParam("limits/time", limit_s)
    model.setParam("limits/gap", GAP)
    if tuned:
        model.setHeuristics(PY_SCIP_PARAMSETTING.OFF)
        model.setSeparating(PY_SCIP_PARAMSETTING.FAST)
    multiples = [model.addVar(vtype="I", lb=int(problem.lower[k]), ub=int(problem.upper[k])) for k in range(items)]
    lots = [model.addVar(lb=0.0) for _ in range(items)]
    for k in range(items):
        model.addCons(lots[k] >= multiples[k])
        model.addCons(lots[k] >= -multiples[k])
    rows = len(image)
    left = [model.addVar(lb=None) for _ in range(rows)]
    for i in range(rows):
        model.addCons(left[i] == float(target[i]) - quicksum(float(image[i, k]) * multiples[k] for k in range(items)))
    variance = model.addVar(lb=0.0)
    model.addCons(quicksum(row * row for row in left) <= variance)
    if problem.mode == "inside":
        for i in np.flatnonzero(B.any(axis=1)).tolist():
            packed = quicksum(float(B[i, k]) * multiples[k] for k in np.flatnonzero(B[i]).tolist())
            model.addCons(packed >= min(float(Q[i]), 0.0))
            model.addCons(packed <= max(float(Q[i]), 0.0))
    model.setObjective(beyond + variance + quicksum(float(cost[k]) * lots[k] for k in range(items)))
    seconds, _ = timed_alone(model.optimize)

    objective = np.inf
    if model.getNSols():
        found = np.array([round(model.getVal(one)) for one in multiples], dtype=np.int64)
        # SCIP lets a leg miss its limit by a millionth of a lot. A packing that misses ours does not count.
        if fits(problem.arrays, found):
            objective = problem.key(found)[0]
    return ScipAnswer(float(objective), model.getStatus() in ("optimal", "gaplimit"), seconds)
