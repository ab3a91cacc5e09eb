"""The live solve for the objective `volume`: from the last packing to a local optimum, then proof or a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.errors import IllPosed
from solver.packing.problem import (
    PROOF_TOLERANCE,
    Mode,
    Packing,
    PackingArrays,
    PackingProblem,
    copy_multiples,
    finish,
)
from solver.packing.repair import repair
from solver.packing.tighten import tighten
from solver.packing.volume import (
    BOX_NODES,
    Search,
    VolumeArrays,
    descend_volume,
    is_local_optimum,
    new_search,
    stand_at,
    volume_arrays,
)
from solver.packing.volume_proof import (
    Nodes,
    improve_from,
    keep_better,
    least_open_bound,
    new_nodes,
    open_root,
    round_point,
    search_nodes,
)

# Nodes between two looks at the clock: some tenths of a millisecond. The same batches without a clock, so that one
# which never strikes changes nothing.
BATCH_NODES = 256
# A tree holds no more open boxes than this; the search ends with a gap when it is full. 100 MB at 30 assets, 60 items.
MOST_OPEN = 65_536


class Scratch(NamedTuple):
    """Room for one solve at a time over so many assets and items; nothing in it outlives the solve."""

    best: Search
    search: Search
    progress: IntArray  # (4,)


def new_scratch(items: int, assets: int) -> Scratch:
    """Room for solves of this size."""
    return Scratch(new_search(items, assets), new_search(items, assets), np.zeros(4, dtype=np.int64))


@compiled
def begin(
    volume: VolumeArrays, arrays: PackingArrays, best: Search, search: Search, start: IntArray, progress: IntArray
) -> tuple[bool, int]:
    """Presolve, and stand `best` at nothing packed and `search` at `start`, clipped and repaired.

    The bounds in `volume` are overwritten by what the mode leaves of those in `arrays`. Returns whether anything can
    move, and the candidates judged.
    """
    copy_multiples(arrays.lower, volume.lower)
    copy_multiples(arrays.upper, volume.upper)
    if arrays.inside:
        # Zero is feasible, so the box keeps it. As many passes as items: a chain of them is undone link by link.
        tighten(arrays, volume.lower, volume.upper, start.shape[0])
    movable = False
    for k in range(start.shape[0]):
        movable = movable or volume.lower[k] < volume.upper[k]
        best.multiples[k] = 0
        search.multiples[k] = min(max(start[k], volume.lower[k]), volume.upper[k])
    for a in range(4):
        progress[a] = 0
    spent = repair(arrays, search.multiples)
    stand_at(volume, arrays, best)
    stand_at(volume, arrays, search)
    return movable, spent


def pack_volume(
    problem: PackingProblem,
    start: IntArray,
    max_nodes: int,
    should_stop: Callable[[], bool] | None = None,
    enough: float = 0.0,
) -> Packing:
    """`solver.packing.incremental.pack_incrementally` for the objective `volume` without costs.

    The arguments are checked there. With costs a result would still be feasible and its bound hold, but be poor.
    """
    volume = volume_arrays(problem.arrays)
    scratch = new_scratch(problem.B.shape[1], len(problem.Q))
    return solve(problem, volume, scratch, start, max_nodes, should_stop, enough)


def solve(
    problem: PackingProblem,
    volume: VolumeArrays,
    scratch: Scratch,
    start: IntArray,
    max_nodes: int,
    should_stop: Callable[[], bool] | None,
    enough: float,
    prove: bool = True,
) -> Packing:
    """Local optimum, root bound, and branch and bound with what is left of `max_nodes`.

    P is built from scratch for every start (4 µs at 30 assets), so the result is a function of the arguments alone:
    the same bytes after a restart, whatever was solved before with the same `volume` and `scratch`.
    """
    arrays = problem.arrays
    best, search, progress = scratch
    movable, nodes = begin(volume, arrays, best, search, start, progress)
    if not movable:
        return finish(problem, best.multiples, lower_bound=0.0, proven=True, effort_nodes=1)
    stopped = False
    while not stopped and nodes < max_nodes and not is_local_optimum(volume, progress):
        stopped = should_stop is not None and should_stop()
        if not stopped:
            nodes += descend_volume(volume, arrays, search, progress, min(BATCH_NODES, max_nodes - nodes))
    keep_better(volume, arrays, search, best)
    bound = 0.0
    proven = best.state[0] == 0.0
    if prove and not (proven or stopped) and nodes < max_nodes:
        # Each box bounded takes a slot at most, and branching returns its parent's.
        tree = new_nodes(volume, min(4 + (max_nodes - nodes) // BOX_NODES, MOST_OPEN))
        nodes += BOX_NODES
        if open_root(volume, tree, best):
            round_point(volume, tree, tree.heap[0], search.multiples)
            nodes += improve_from(volume, arrays, search, best, max_nodes - nodes)
        before = -1
        while not stopped and before < nodes < max_nodes:
            before = nodes
            stopped = should_stop is not None and should_stop()
            if not stopped:
                nodes += search_nodes(volume, arrays, tree, search, best, enough, min(BATCH_NODES, max_nodes - nodes))
        bound = least_open_bound(tree, best)
        proven = bound >= best.state[0] * (1.0 - PROOF_TOLERANCE)
    return finish(
        problem,
        best.multiples,
        lower_bound=float(bound),
        proven=bool(proven),
        effort_nodes=int(nodes),
        stopped_by_clock=stopped,
    )


class LivePacker:
    """`volume` packings of books over the same items and covariance, for one book after another or step after step.

    What depends on items and covariance alone is kept: the checks of both, scaled items, who shares an asset with whom.
    Nothing that a solve found is kept. P is rebuilt for each (see `solve`), so a packing depends on the arguments and
    on `start` alone, and `pack_incrementally` gives the same one, bit for bit.

    Parameters
    ----------
    B : (n, K) exposure per lot of each item, numeraire.
    Sigma : (n, n) covariance of log returns.
    epsilon : > 0, numeraire; see `solver.objective.materiality_floor`.
    mode : "inside" or "free".

    Raises
    ------
    IllPosed : what `PackingProblem` refuses.
    """

    def __init__(self, B: FloatArray, Sigma: FloatArray, epsilon: float, mode: Mode) -> None:
        nothing = np.zeros(B.shape[1] if B.ndim == 2 else 0, dtype=np.int64)
        self._problem = PackingProblem(
            B=B,
            Q=np.zeros(B.shape[0]),
            lower=nothing,
            upper=nothing,
            Sigma=Sigma,
            objective="volume",
            mode=mode,
            epsilon=epsilon,
        )
        self._volume = volume_arrays(self._problem.arrays)
        self._scratch = new_scratch(len(nothing), B.shape[0])

    def with_covariance(self, Sigma: FloatArray, epsilon: float) -> LivePacker:
        """The same items under another covariance; a new object, because everything scaled changes with it."""
        return LivePacker(self._problem.B, Sigma, epsilon, self._problem.mode)

    def pack(
        self,
        Q: FloatArray,
        lower: IntArray,
        upper: IntArray,
        start: IntArray,
        max_nodes: int,
        should_stop: Callable[[], bool] | None = None,
        enough: float = 0.0,
        prove: bool = True,
    ) -> Packing:
        """Pack the position Q (n,) from `start` (K,), within `lower` and `upper` (K,).

        Without `prove` it ends at the local optimum, with the bound 0. See `pack_incrementally` for the rest.

        Raises
        ------
        IllPosed : Q not finite or of another shape, bounds or start of another shape or not integers.
        """
        problem = self._problem.at_position(Q, lower, upper)
        if start.shape != problem.lower.shape or not np.issubdtype(start.dtype, np.integer):
            raise IllPosed(f"start must be integers of shape {problem.lower.shape}, got {start.dtype} {start.shape}")
        volume = move_position(self._volume, problem.arrays)
        return solve(problem, volume, self._scratch, start, max_nodes, should_stop, enough, prove)

    def pack_books(
        self,
        Q: FloatArray,
        lower: IntArray,
        upper: IntArray,
        start: IntArray,
        max_nodes: int,
        threads: int = 1,
        spread: Callable[[Callable[[slice], None], list[slice]], Iterable[None]] = map,
    ) -> BookPackings:
        """Pack many books at once to local optimality, each with the bound of its root box; no branching.

        Parameters
        ----------
        Q : (books, n) held exposures, numeraire.
        lower, upper, start : (books, K) integers.
        max_nodes : >= 1, candidates for each book.
        threads : >= 1, shares that the books are cut into.
        spread : runs the shares; the `map` of a thread pool does it at the same time, as the kernel releases the
            interpreter's lock. The result depends on neither.

        Raises
        ------
        IllPosed : shapes that do not fit, bounds without zero between them, anything not finite.
        """
        Q = np.ascontiguousarray(Q, dtype=np.float64)
        bounds = [np.ascontiguousarray(one, dtype=np.int64) for one in (lower, upper, start)]
        books, items = Q.shape[0], self._problem.B.shape[1]
        if Q.ndim != 2 or Q.shape[1] != len(self._problem.Q) or not np.isfinite(Q).all():
            raise IllPosed(f"Q must be finite of shape (books, {len(self._problem.Q)}), got {Q.shape}")
        for name, one in zip(("lower", "upper", "start"), bounds, strict=True):
            if one.shape != (books, items):
                raise IllPosed(f"{name} must have shape {(books, items)}, got {one.shape}")
        if (bounds[0] > 0).any() or (bounds[1] < 0).any():
            raise IllPosed("lower <= 0 <= upper must hold for every book and item")
        result = BookPackings(
            multiples=np.zeros((books, items), dtype=np.int64),
            residual=Q.copy(),
            objective=np.zeros(books),
            lower_bound=np.zeros(books),
            effort_nodes=np.zeros(books, dtype=np.int64),
        )
        if not items:
            for book in range(books):
                objective = self._problem.at_position(Q[book], bounds[0][book], bounds[1][book]).key(bounds[2][book])[0]
                result.objective[book] = result.lower_bound[book] = objective
            return result
        edges = [books * t // threads for t in range(threads + 1)]
        shares = [slice(first, last) for first, last in pairwise(edges) if first < last]

        def pack(share: slice) -> None:
            self._pack_share(Q[share], bounds[0][share], bounds[1][share], bounds[2][share], max_nodes, result, share)

        # Read to the end, so that what a share raises is raised here.
        list(spread(pack, shares))
        return result

    def _pack_share(
        self,
        Q: FloatArray,
        lower: IntArray,
        upper: IntArray,
        start: IntArray,
        max_nodes: int,
        result: BookPackings,
        share: slice,
    ) -> None:
        # Every thread needs its own room to work in.
        n, items = len(self._problem.Q), self._problem.B.shape[1]
        arrays = self._problem.arrays._replace(
            position=np.empty(n),
            lower=np.empty(items, dtype=np.int64),
            upper=np.empty(items, dtype=np.int64),
            residual=np.empty(n),
            factor=np.empty((n, n)),
        )
        volume = move_position(self._volume, arrays)
        best, search, progress = new_scratch(items, n)
        pack_share(
            volume,
            arrays,
            new_nodes(volume, 2),
            best,
            search,
            progress,
            Q,
            lower,
            upper,
            start,
            max_nodes,
            result.multiples[share],
            result.residual[share],
            result.objective[share],
            result.lower_bound[share],
            result.effort_nodes[share],
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class BookPackings:
    """Packings of many books, one row each; see `Packing`.

    Attributes
    ----------
    multiples : (books, K) whole lots, feasible.
    residual : (books, n) numeraire.
    objective, lower_bound : (books,) the volume reached and one that no packing beats.
    effort_nodes : (books,).
    """

    multiples: IntArray
    residual: FloatArray
    objective: FloatArray
    lower_bound: FloatArray
    effort_nodes: IntArray


def move_position(volume: VolumeArrays, arrays: PackingArrays) -> VolumeArrays:
    """`volume` for the position in `arrays`, with bounds of its own to overwrite; the rest is shared."""
    unlimited = np.full_like(arrays.position, np.inf)
    moved = volume._replace(
        position=np.empty_like(arrays.position),
        least=-unlimited,
        most=unlimited,
        lower=np.empty_like(arrays.lower),
        upper=np.empty_like(arrays.upper),
    )
    scale_position(moved, arrays)
    return moved


@compiled
def scale_position(volume: VolumeArrays, arrays: PackingArrays) -> None:
    """Put the position of `arrays` and what the mode leaves of it into `volume`, in x."""
    for i in range(arrays.position.shape[0]):
        held, slack, scale = arrays.position[i], arrays.leg_tolerance[i], volume.scale[i]
        volume.position[i] = held * scale
        if arrays.inside:
            volume.least[i] = (min(held, 0.0) - slack) * scale
            volume.most[i] = (max(held, 0.0) + slack) * scale


@compiled
def pack_share(
    volume: VolumeArrays,
    arrays: PackingArrays,
    nodes: Nodes,
    best: Search,
    search: Search,
    progress: IntArray,
    Q: FloatArray,
    lower: IntArray,
    upper: IntArray,
    start: IntArray,
    max_nodes: int,
    multiples: IntArray,
    residual: FloatArray,
    objective: FloatArray,
    lower_bound: FloatArray,
    effort_nodes: IntArray,
) -> None:
    """Pack one book after another, each as `solve` does with no budget for branching; rows of the results are filled.

    A book without a start gets the rounded point of its root box as one.
    """
    for book in range(Q.shape[0]):
        for i in range(Q.shape[1]):
            arrays.position[i] = Q[book, i]
        copy_multiples(lower[book], arrays.lower)
        copy_multiples(upper[book], arrays.upper)
        scale_position(volume, arrays)
        movable, spent = begin(volume, arrays, best, search, start[book], progress)
        bound = best.state[0]
        if movable:
            spent += descend_volume(volume, arrays, search, progress, max_nodes)
            keep_better(volume, arrays, search, best)
            spent += BOX_NODES
            started = False
            for k in range(start.shape[1]):
                started = started or start[book, k] != 0
            if open_root(volume, nodes, best):
                if not started and spent < max_nodes:
                    round_point(volume, nodes, nodes.heap[0], search.multiples)
                    spent += improve_from(volume, arrays, search, best, max_nodes - spent)
                bound = least_open_bound(nodes, best)
            else:
                bound = best.state[0]
        copy_multiples(best.multiples, multiples[book])
        stand_at(volume, arrays, best)
        for i in range(Q.shape[1]):
            residual[book, i] = arrays.residual[i]
        objective[book] = best.state[0]
        lower_bound[book] = bound
        effort_nodes[book] = spent
