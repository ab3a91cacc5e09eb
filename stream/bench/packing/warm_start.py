"""What the last packing is worth when one position changes: a warm start against a cold one."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.interrupt import NEVER
from solver.packing.bounds import checked_lot_bounds
from solver.packing.elapsed import timed
from solver.packing.evaluation import PROOF_TOLERANCE
from solver.packing.methods.many_books import BookPacker
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing
from solver.packing.volume.scaling import VolumeArrays, volume_arrays
from solver.packing.volume.solve import Books, nothing_found, packing_found, solve
from stream.bench.figures import Comparison, compare
from stream.bench.packing.instances import LOT, TRADE_LOTS, random_desk
from stream.bench.packing.live import MAX_NODES
from stream.bench.timing import timed_alone

SEED = 20_141_003
n, K = 30, 60
# Budgets of a cold start until it is as good as the warm one: each is a quarter more than the last.
LEAST_BUDGET, BUDGET_GROWTH, MOST_BUDGET = 750, 1.25, 200_000


class Step(NamedTuple):
    """A book after a trade, and what the service can start from."""

    problem: PackingProblem  # holds the items and the covariance
    volume: VolumeArrays
    Q: FloatArray  # (n,)
    last: IntArray  # (K,), result of the step before, after its whole budget


def warm_against_cold(desks: int, steps: int) -> list[Comparison]:
    """A start from the last packing against one from nothing, where one position changes in each step.

    They are compared to the first answer, and to an answer as good. A cold start has what is prepared from items and
    covariance, or nothing at all, as after a restart. Each way has a pass of its own over the `steps` of every desk;
    the figures are medians over all steps.
    """
    live = [step for number in range(desks) for step in live_steps(number, steps)]
    prepare_us = np.array([prepare(step) for step in live])
    nothing = np.zeros(K, dtype=np.int64)
    warm = [to_local_optimum(step, step.last) for step in live]
    cold = [to_local_optimum(step, nothing) for step in live]
    figures = _compared("to the local optimum", warm, cold, prepare_us)
    cold = [until_as_good(step, aim) for step, aim in zip(live, warm, strict=True)]
    figures += _compared("to the local optimum, cold to one no worse", warm, cold, prepare_us)
    warm = [to_local_optimum(step, step.last, prove=True) for step in live]
    cold = [to_local_optimum(step, nothing, prove=True) for step in live]
    return figures + _compared("to the local optimum and the root's bound", warm, cold, prepare_us)


def live_steps(number: int, steps: int) -> list[Step]:
    """`steps` steps of one random desk, each from what the whole budget of the step before found."""
    chance = np.random.default_rng([SEED, number])
    desk = random_desk(chance, n, K)
    problem, Q = desk.volume(), desk.Q.copy()
    volume = volume_arrays(problem.arrays)
    last = repack(problem, volume, Q, np.zeros(K, dtype=np.int64), prove=True).multiples
    made = []
    for _ in range(steps):
        Q[chance.integers(n)] += TRADE_LOTS * LOT * chance.normal()
        made.append(Step(problem, volume, Q.copy(), last))
        last = repack(problem, volume, Q, last, prove=True).multiples
    return made


def prepare(step: Step) -> float:
    """Microseconds that preparing items and covariance takes."""
    problem = step.problem
    seconds, _ = timed_alone(BookPacker, problem.B, problem.Sigma, problem.objective, problem.mode, problem.epsilon)
    return seconds * 1e6


def to_local_optimum(step: Step, start: IntArray, prove: bool = False) -> Packing:
    """The first local optimum; with `prove` the packing once the root has its bound."""
    # With an infinite `enough` nothing is left to branch on once the root has its bound.
    return timed(
        time.thread_time, repack, step.problem, step.volume, step.Q, start, MAX_NODES, prove, math.inf if prove else 0.0
    )


def until_as_good(step: Step, aim: Packing) -> Packing:
    """From nothing, with the least budget that gives a packing as good as `aim`.

    First the local optimum alone, then with the root, whose rounded point is a second start, then a search.
    """
    nothing = np.zeros_like(step.last)
    packing = to_local_optimum(step, nothing)
    if not is_as_good(packing, aim):
        packing = to_local_optimum(step, nothing, prove=True)
    budget = float(LEAST_BUDGET)
    while not is_as_good(packing, aim) and budget <= MOST_BUDGET:
        packing = timed(time.thread_time, repack, step.problem, step.volume, step.Q, nothing, int(budget), True)
        budget *= BUDGET_GROWTH
    return packing


def is_as_good(packing: Packing, aim: Packing) -> bool:
    """Whether `packing` is no worse than `aim`, up to the tolerance of a proof."""
    return packing.objective <= aim.objective * (1.0 + PROOF_TOLERANCE)


def repack(
    problem: PackingProblem,
    volume: VolumeArrays,
    Q: FloatArray,
    start: IntArray,
    max_nodes: int = MAX_NODES,
    prove: bool = False,
    enough: float = 0.0,
) -> Packing:
    """Pack one book as a `BookPacker` does; without `prove` only to the local optimum.

    Parameters
    ----------
    problem : holds the items and the covariance.
    volume : what is prepared from them.
    Q : (n,) held exposure, numeraire.
    start : (K,) multiples to start from.
    max_nodes : budget of the search.
    prove : whether to search for a proof after the local optimum.
    enough : gap at which the search may end.
    """
    lower, upper = checked_lot_bounds(problem.B, Q, problem.mode)
    books = Books(Q[None, :], lower[None, :], upper[None, :], start[None, :])
    found = nothing_found(1, len(start), len(Q))
    solve(volume, problem.arrays, books, 0, 1, enough, prove, max_nodes, NEVER, found)
    return packing_found(lambda: problem.at_position(Q, lower, upper), found, 0)


def _compared(goal: str, warm: list[Packing], cold: list[Packing], prepare_us: FloatArray) -> list[Comparison]:
    warm_us, cold_us = (1e6 * np.array([packing.elapsed_s for packing in packings]) for packings in (warm, cold))
    nodes, objectives = (
        [np.median([getattr(packing, name) for packing in packings]) for packings in (warm, cold)]
        for name in ("effort_nodes", "objective")
    )
    worse = sum(not is_as_good(packing, aim) for packing, aim in zip(cold, warm, strict=True))
    note = (
        f"volume, `inside`, random desks, {len(warm)} steps, medians; nodes {nodes[0]:,.0f} against {nodes[1]:,.0f}, "
        f"objective {objectives[0]:.4g} against {objectives[1]:.4g}, the cold one worse in {worse}; warm from what "
        f"the step before ended with after up to {MAX_NODES:,} nodes"
    )
    return [
        compare(
            f"packing, one position changed, {n}/{K}, {goal}: warm against cold, {kept}",
            "warm",
            float(np.median(warm_us)),
            "cold",
            float(np.median(us)),
            "µs",
            "below 1",
            note + remark,
        )
        for kept, us, remark in (
            ("items and covariance kept", cold_us, ""),
            ("nothing kept", cold_us + prepare_us, f"; preparing takes {np.median(prepare_us):,.0f} µs"),
        )
    ]
