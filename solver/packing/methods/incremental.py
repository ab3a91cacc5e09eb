"""The live method: start from the last packing, repair, improve, then prove as far as the budget goes.

A node is one candidate packing judged or one box of packings bounded. Effort is limited in nodes, never in seconds, so
the same input gives the same packing on every machine; a clock can only end the search early, and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solver.arrays import IntArray
from solver.errors import IllPosed
from solver.packing.boxes.depth_first import ANY, root_box, search
from solver.packing.boxes.repair import repair
from solver.packing.boxes.tighten import movable_items
from solver.packing.evaluation import evaluate, precedes
from solver.packing.incumbent import is_hopeless
from solver.packing.methods.local_search import descend
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing, finish
from solver.packing.volume.scaling import volume_arrays
from solver.packing.volume.solve import pack_volume

# A few milliseconds for a dozen assets and twenty items.
DEFAULT_MAX_NODES = 5_000
# Nodes between two looks at the clock: some tenths of a millisecond.
BATCH_NODES = 256


def pack_incrementally(
    problem: PackingProblem,
    start: IntArray | None = None,
    max_nodes: int = DEFAULT_MAX_NODES,
    should_stop: Callable[[], bool] | None = None,
    enough: float = 0.0,
) -> Packing:
    """Improve the last multiples to a local optimum, then prove it or say how far from proven it is.

    1. Presolve: bounds are tightened to what the mode leaves, items that cannot move are dropped.
    2. `start` is clipped to them, repaired to feasibility, and improved until no move of one or two items helps. Unless
       that is proven by then, the same from the fractional packing of least variance, rounded: a search that starts
       from nothing packed ends in worse optima whatever the objective.
    3. What is left of `max_nodes` goes to a depth-first branch and bound.

    For `volume` without a cost per lot see `solver.packing.volume.solve.solve`: other moves, other bounds, best first,
    and the second start is the rounded point of the root's linear programme. Its bounds and moves know no costs, so
    `volume` with costs goes the general way, where the bound is weaker.

    Never worse than packing nothing or, where `start` is feasible, than `start`. Deterministic unless `should_stop`
    ends it. Between methods the tie-break can differ: what is within PROOF_TOLERANCE of the best is not searched for
    fewer lots.

    Parameters
    ----------
    start : (K,) integer multiples, feasible or not; None, or nothing packed, is no start of its own.
    max_nodes : >= 1; checked between neighbourhoods, so some dozens more may go. Repairing is not held back by it.
    should_stop : asked before every BATCH_NODES nodes; True ends the search with the best so far.
    enough : >= 0, in the objective's units; `volume` without costs stops at a gap of it, the others do not read it.
        What is `proven` is not loosened by that.

    Raises
    ------
    IllPosed : `start` of another shape or not of integers, max_nodes < 1.
    """
    items = problem.B.shape[1]
    start = problem.checked_start(start, max_nodes)
    if not enough >= 0.0:
        raise IllPosed(f"enough must be >= 0, got {enough}")

    if problem.objective == "volume" and not problem.arrays.cost.any():
        volume = volume_arrays(problem.arrays)
        return pack_volume(problem, volume, start, max_nodes, should_stop, enough)
    movable, arrays = movable_items(problem)
    if not movable.size:
        return finish(problem, np.zeros_like(problem.lower), lower_bound=0.0, proven=True, effort_nodes=1)

    boxes = root_box(arrays, ANY)
    best = np.zeros(len(movable), dtype=np.int64)
    nodes = 1
    stopped = False
    starts = [
        np.clip(start[movable], arrays.lower, arrays.upper).astype(np.int64),
        np.rint(boxes.relaxed[0]).astype(np.int64),
    ]
    if not starts[0].any():
        del starts[0]
    for multiples in starts:
        nodes += repair(arrays, multiples)
        progress = np.zeros(2, dtype=np.int64)
        while not stopped and nodes < max_nodes and progress[1] < len(movable) ** 2:
            stopped = should_stop is not None and should_stop()
            if not stopped:
                nodes += descend(arrays, multiples, progress, min(BATCH_NODES, max_nodes - nodes))
        _, value, tie = evaluate(arrays, best)
        _, new_value, new_tie = evaluate(arrays, multiples)
        if precedes(new_value, new_tie, multiples, value, tie, best):
            best = multiples
            value, tie = new_value, new_tie
        if is_hopeless(boxes.value[0], boxes.tie[0], value, tie):
            break
    depth = 0 if is_hopeless(boxes.value[0], boxes.tie[0], value, tie) else 1
    while not stopped and nodes < max_nodes and depth:
        stopped = should_stop is not None and should_stop()
        if not stopped:
            depth, spent = search(arrays, boxes, depth, best, min(BATCH_NODES, max_nodes - nodes))
            nodes += spent

    _, value, tie = evaluate(arrays, best)
    proven = all(is_hopeless(boxes.value[b], boxes.tie[b], value, tie) for b in range(depth))
    full = np.zeros(items, dtype=np.int64)
    full[movable] = best
    return finish(
        problem,
        full,
        lower_bound=float(np.min(boxes.value[:depth], initial=value)),
        proven=proven,
        effort_nodes=nodes,
        stopped_by_clock=stopped,
    )
