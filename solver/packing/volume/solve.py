"""The live solve for the objective `volume`: from the last packing to a local optimum, then proof or a gap."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.kernels.interrupt import NEVER, interrupt, is_struck
from solver.packing.boxes.repair import repair
from solver.packing.evaluation import PROOF_TOLERANCE, PackingArrays, repositioned
from solver.packing.incumbent import Incumbent, judge_valued, nothing_packed
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing, finish, judged_beside, packing_within
from solver.packing.volume.best_first import (
    ROUNDED_NODES,
    improve_from,
    least_open_bound,
    open_root,
    round_point,
    search_nodes,
)
from solver.packing.volume.descent import Search, descend_volume, is_local_optimum, new_search, stand_at
from solver.packing.volume.nodes import BOX_NODES, Nodes, new_nodes
from solver.packing.volume.presolve import Movable, movable_part
from solver.packing.volume.scaling import VolumeArrays

# Nodes before the first look at the clock, and between two: a few tenths of a millisecond. The same batches without a
# clock, so that one which never strikes changes nothing.
BATCH_NODES = 512
# A tree holds no more open boxes than this; the search ends with a gap when it is full. 100 MB at 30 assets, 60 items.
MOST_OPEN = 65_536
# What a search does next.
DESCEND, OPEN, BRANCH, DONE = 0, 1, 2, 3


class State(NamedTuple):
    """Where a solve stands, so that it can be interrupted."""

    part: Movable
    before: float  # the volume of the part with nothing packed
    best: Incumbent
    search: Search
    progress: IntArray  # (4,) of `descend_volume`
    nodes: Nodes
    tally: IntArray  # (2,) nodes spent, what is next


class Books(NamedTuple):
    """Positions over the same items, a row each."""

    Q: FloatArray  # (books, n)
    lower: IntArray  # (books, K)
    upper: IntArray  # (books, K)
    start: IntArray  # (books, K)


OUTCOME = np.dtype(
    [
        ("lower_bound", np.float64),
        ("second_best", np.float64),  # infinite without one
        ("proven", np.bool_),
        ("stopped_by_clock", np.bool_),
        ("effort_nodes", np.int64),
        # As in `solver.packing.result.judged`.
        ("objective", np.float64),
        ("before", np.float64),
        ("lots", np.int64),
        ("outside", np.int64),
        ("broken", np.int64),
        ("rounding", np.float64),
    ]
)
"""What is known of a book's packing. One record, as each array that a kernel is handed costs some 100 ns."""


class Found(NamedTuple):
    """What `solve` found, a row a book."""

    multiples: IntArray  # (books, K)
    residual: FloatArray  # (books, n)
    outcome: NDArray[np.void]  # (books,) of OUTCOME


@compiled
def begin(volume: VolumeArrays, arrays: PackingArrays, start: IntArray, max_nodes: int) -> State:
    """Presolve, and stand `best` at nothing packed and `search` at `start`, clipped and repaired."""
    part = movable_part(volume, arrays)
    items, assets = part.volume.items.shape
    search = new_search(items, assets)
    for k in range(items):
        search.multiples[k] = min(max(start[part.items[k]], part.volume.lower[k]), part.volume.upper[k])
    tally = np.zeros(2, dtype=np.int64)
    tally[0] = repair(part.arrays, search.multiples)
    tally[1] = DESCEND if items else DONE
    stand_at(part.volume, part.arrays, search)
    # Each box bounded takes a slot at most, and branching returns its parent's.
    nodes = new_nodes(items, assets, min(4 + max_nodes // BOX_NODES, MOST_OPEN))
    best = nothing_packed(part.arrays)
    return State(
        part=part,
        before=float(best.key[0]),
        best=best,
        search=search,
        progress=np.zeros(4, dtype=np.int64),
        nodes=nodes,
        tally=tally,
    )


@compiled_borrowing
def advance(state: State, enough: float, prove: bool, until: int, max_nodes: int) -> None:
    """Find a local optimum, bound the root, then branch and bound, as far as `until` nodes allow; to be called again.

    What it does depends on `max_nodes` and not on where `until` interrupts it.

    Parameters
    ----------
    state : where the solve stands, advanced.
    enough : >= 0, a gap that is good enough, volume.
    prove : whether to bound and branch after the local optimum.
    until : nodes after which to stop and be called again.
    max_nodes : that may be spent in all.
    """
    volume, arrays = state.part.volume, state.part.arrays
    best, search, nodes, tally = state.best, state.search, state.nodes, state.tally
    if tally[1] == DESCEND and tally[0] < until:
        tally[0] += descend_volume(volume, arrays, search, state.progress, until - tally[0])
        if is_local_optimum(volume, state.progress):
            judge_valued(best, search.multiples, search.state[0], search.state[1])
            tally[1] = OPEN if prove and best.key[0] > 0.0 else DONE
    if tally[1] == OPEN and tally[0] < until:
        tally[0] += BOX_NODES
        tally[1] = DONE
        if open_root(volume, arrays, nodes, best):
            tally[1] = BRANCH
            round_point(volume, nodes, nodes.heap[0], search.multiples)
            tally[0] += improve_from(volume, arrays, search, best, min(ROUNDED_NODES, max_nodes - tally[0]))
    if tally[1] == BRANCH and tally[0] < until:
        spent = search_nodes(volume, arrays, nodes, search, best, enough, until - tally[0], max_nodes - tally[0])
        tally[0] += spent
        if spent == 0:
            tally[1] = DONE


@compiled
def conclude(state: State, arrays: PackingArrays, prove: bool, found: Found, book: int) -> None:
    """Fill in row `book` of what is found, all but whether a clock stopped it.

    Parameters
    ----------
    state : where the solve ended.
    arrays : the book's whole problem.
    prove : whether bounds were asked for.
    found : its row `book` is filled in.
    book : the index of the book.
    """
    best = state.best
    if state.tally[1] == DESCEND:
        judge_valued(best, state.search.multiples, state.search.state[0], state.search.state[1])
    bound = 0.0
    if state.part.items.shape[0] == 0 or best.key[0] == 0.0:
        bound = float(best.key[0])
    elif prove and state.tally[1] >= BRANCH:
        bound = least_open_bound(state.nodes, best)
    multiples = found.multiples[book]
    for k in range(multiples.shape[0]):
        multiples[k] = 0
    for k in range(state.part.items.shape[0]):
        multiples[state.part.items[k]] = best.multiples[k]
    outcome = found.outcome[book]
    outcome.lower_bound = state.part.constant + bound
    outcome.second_best = state.part.constant + best.key[2]
    outcome.proven = bound >= best.key[0] * (1.0 - PROOF_TOLERANCE)
    outcome.effort_nodes = max(state.tally[0], 1)
    before = state.part.constant + state.before
    objective, before, lots, outside, broken, rounding, residual = judged_beside(arrays, multiples, before)
    outcome.objective = objective
    outcome.before = before
    outcome.lots = lots
    outcome.outside = outside
    outcome.broken = broken
    outcome.rounding = rounding
    for i in range(residual.shape[0]):
        found.residual[book, i] = residual[i]


@compiled
def solve(
    volume: VolumeArrays,
    arrays: PackingArrays,
    books: Books,
    first: int,
    last: int,
    enough: float,
    prove: bool,
    max_nodes: int,
    clock: int,
    found: Found,
) -> None:
    """Solve the books from `first` to before `last`; their rows of `found` are filled in.

    Position and bounds of `arrays` are not read. `clock` is an address of `solver.kernels.interrupt`, asked with the
    book's number before all batches of nodes but the first: up to there the book was in time. Threads may share all
    arguments where their books differ.

    Parameters
    ----------
    volume : the items and the covariance, scaled.
    arrays : the same as they are; position and bounds are not read.
    books : positions, bounds and starts.
    first, last : the books to solve, the last one excluded.
    enough : >= 0, a gap that is good enough, volume.
    prove : whether to bound and branch after the local optimum.
    max_nodes : >= 1, for each book.
    clock : an address of `solver.kernels.interrupt`, or NEVER.
    found : rows to fill in.
    """
    residual, factor = np.empty_like(arrays.residual), np.empty_like(arrays.factor)
    for book in range(first, last):
        at_book = repositioned(arrays, books.Q[book], books.lower[book], books.upper[book], residual, factor)
        state = begin(volume, at_book, books.start[book], max_nodes if prove else 0)
        nodes = 0
        stopped = False
        while state.tally[1] != DONE and nodes < max_nodes and not stopped:
            stopped = nodes >= BATCH_NODES and clock != NEVER and is_struck(clock, book)
            if not stopped:
                advance(state, enough, prove, min(nodes + BATCH_NODES, max_nodes), max_nodes)
                nodes = int(state.tally[0])
        conclude(state, at_book, prove, found, book)
        found.outcome[book].stopped_by_clock = stopped


def nothing_found(books: int, items: int, assets: int) -> Found:
    """Rows for `solve` to fill in."""
    return Found(
        multiples=np.zeros((books, items), dtype=np.int64),
        residual=np.zeros((books, assets)),
        outcome=np.zeros(books, dtype=OUTCOME),
    )


def packing_found(problem: Callable[[], PackingProblem], found: Found, book: int) -> Packing:
    """The checked result in row `book`; its problem is asked for only to say what is wrong."""
    bound, second_best, proven, stopped, nodes, *judged_numbers = found.outcome[book].item()
    outside, broken = judged_numbers[3:5]
    of = packing_within if outside < 0 and broken < 0 else partial(finish, problem())
    return of(
        found.multiples[book],
        judgement=(*judged_numbers, found.residual[book]),
        lower_bound=bound,
        proven=proven,
        effort_nodes=nodes,
        stopped_by_clock=stopped,
        second_best=second_best if second_best < math.inf else None,
    )


def pack_volume(
    problem: PackingProblem,
    volume: VolumeArrays,
    start: IntArray,
    max_nodes: int,
    should_stop: Callable[[], bool] | None,
    enough: float,
) -> Packing:
    """`solver.packing.methods.incremental.pack_incrementally` for the objective `volume` without costs.

    Local optimum, root bound, and branch and bound with what is left of `max_nodes`. `volume` holds the items and the
    covariance in units of the floor; its position and bounds are not read. P is built from scratch for every start, so
    the result is a function of the arguments alone: the same bytes after a restart, whatever was solved before.

    The arguments are checked there. With costs a result would still be feasible and its bound hold, but be poor.

    Parameters
    ----------
    problem : checked, of the objective `volume` without costs.
    volume : its items and covariance, scaled.
    start : (K,) where to begin.
    max_nodes : >= 1.
    should_stop : asked between batches of nodes; True ends the search.
    enough : >= 0, a gap that is good enough, volume.
    """
    found = nothing_found(1, len(start), len(problem.Q))
    books = Books(problem.Q[None, :], problem.lower[None, :], problem.upper[None, :], start[None, :])
    with interrupt(None if should_stop is None else lambda _: should_stop()) as clock:
        solve(volume, problem.arrays, books, 0, 1, enough, True, max_nodes, clock, found)
    return packing_found(lambda: problem, found, 0)
