"""After warming, a live solve compiles nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from solver.objective import Objective

KINDS = ("window", "hayashi-yoshida")

# In a process of its own: here another test may have compiled what warming forgot. Every specialisation that a kernel
# has, compiled or read from the cache, is in `overloads`.
PROGRAM = """
import gc
import sys

import numpy as np
from numba.core.dispatcher import Dispatcher

from solver.covariance import ExponentialCovariance, HayashiYoshidaCovariance, WindowCovariance
from solver.hedging.cost import flat_ladders
from solver.hedging.problem import HedgeProblem
from solver.hedging.runner_up import runner_up
from solver.hedging.solve import hedge
from solver.objective import materiality_floor
from solver.packing.methods.many_books import BookPacker
from solver.warm import warm_kernels

def specialisations():
    kernels = [thing for thing in gc.get_objects() if isinstance(thing, Dispatcher)]
    return {(kernel.py_func.__qualname__, signature) for kernel in kernels for signature in kernel.overloads}

objective, kind = sys.argv[1:]
warm_kernels(objective, covariance=kind)
before = specialisations()
chance = np.random.default_rng(1)
n, K, lot = 8, 8, 1e5
covariance = {
    "exponential": lambda: ExponentialCovariance(n, 20.0, "ledoit-wolf"),
    "window": lambda: WindowCovariance(n, 30, "ledoit-wolf"),
    "hayashi-yoshida": lambda: HayashiYoshidaCovariance(n, 20.0, 5, "oas"),
}[kind]()
for _ in range(50):
    if kind == "hayashi-yoshida":
        covariance.update(chance.integers(0, n, 9), np.sort(chance.random(9)), chance.normal(size=9))
    else:
        covariance.update(np.where(chance.random(n) < 0.1, np.nan, chance.normal(size=n)))
covariance.estimate()
Sigma = np.diag(chance.uniform(1e-5, 1e-4, n)) + 2e-5
for mode in ("inside", "free"):
    for _ in range(5):
        B = np.zeros((n, K))
        for k in range(K):
            B[chance.choice(n, 3, replace=False), k] = lot * np.array([1.0, -0.7, 0.4])
        Q = 30.0 * lot * chance.normal(size=(4, n))
        packer = BookPacker(B, Sigma, objective, mode, materiality_floor(lot, Sigma))
        packings = packer.pack(Q, np.zeros((4, K), dtype=np.int64), 20_000)
        start = np.array([packing.multiples for packing in packings])
        packer.pack(Q, start + 3, 5_000, lambda: lambda: False)
bound = np.full(n, 20)
ladders = flat_ladders(np.ones(n))
for max_trades in (None, 3):
    problem = HedgeProblem(
        q=Q[0], A=1e6 * np.eye(n), buy=ladders, sell=ladders, lower=-bound, upper=bound, Sigma=Sigma,
        basis_variance=1.0, target=0.3 * float(np.sqrt(Q[0] @ Sigma @ Q[0])), max_trades=max_trades,
    )
    runner_up(problem, hedge(problem))
print(*sorted(name for name, _ in specialisations() - before))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "kind"),
    [*((objective, "exponential") for objective in get_args(Objective)), *(("volume", kind) for kind in KINDS)],
)
def test_nothing_is_left_to_compile(objective: Objective, kind: str) -> None:
    """Both modes, with and without a start and a clock, with branching, a hedge, and covariances with gaps."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, objective, kind], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []
