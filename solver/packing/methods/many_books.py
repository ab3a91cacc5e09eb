"""Packs many books against one market: what depends on the market alone is prepared once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed, SolverError
from solver.kernels.interrupt import Deadline, interrupt
from solver.objective import Objective
from solver.packing.bounds import Mode, checked_lot_bounds
from solver.packing.methods.incremental import pack_incrementally
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing
from solver.packing.volume.scaling import VolumeArrays, volume_arrays
from solver.packing.volume.solve import Books, Found, nothing_found, packing_found, solve

MapOver: TypeAlias = Callable[[Callable[[slice], None], list[slice]], Iterable[None]]
"""Runs a function on every share of the books: `map`, or that of a thread pool."""


class BookPacker:
    """Packs books, one or many at a time, over the same items and covariance.

    Checks of both, scaled items, who shares an asset with whom: all that is kept, and nothing that a solve found. So a
    packing is a function of the arguments alone, and `pack_incrementally` on each book gives the same, bit for bit.

    Parameters
    ----------
    B : (n, K) exposure per lot of each item, numeraire.
    Sigma : (n, n) covariance of log returns.
    objective, mode, epsilon : see `PackingProblem`.

    Raises
    ------
    IllPosed : what `PackingProblem` refuses.
    """

    def __init__(self, B: FloatArray, Sigma: FloatArray, objective: Objective, mode: Mode, epsilon: float) -> None:
        nothing = np.zeros(B.shape[1] if B.ndim == 2 else 0, dtype=np.int64)
        self._problem = PackingProblem(
            B=B,
            Q=np.zeros(B.shape[0]),
            lower=nothing,
            upper=nothing,
            Sigma=Sigma,
            objective=objective,
            mode=mode,
            epsilon=epsilon,
        )
        self._volume = volume_arrays(self._problem.arrays) if objective == "volume" else None

    def pack(
        self,
        Q: FloatArray,
        start: IntArray,
        max_nodes: int,
        deadline: Deadline | None = None,
        threads: int = 1,
        map_over: MapOver = map,
    ) -> list[Packing | SolverError]:
        """Pack every book within `lot_bounds`; one that cannot be packed has the error instead.

        `volume` solves all books in compiled code, every other objective one book after another in Python.

        Parameters
        ----------
        Q : (books, n) held exposures, numeraire.
        start : (books, K) multiples from which each search starts, feasible or not.
        max_nodes : >= 1, for each book.
        deadline : called when a book has spent its first tenths of a millisecond; what it returns says when to stop.
            None lets every solve end.
        threads : >= 1, shares that the books are cut into.
        map_over : runs the shares; the `map` of a thread pool does it at the same time, as the kernel releases the
            interpreter's lock. The result depends on neither.

        Raises
        ------
        IllPosed : Q or `start` of another shape, `start` not of integers, max_nodes or threads < 1.
        """
        n, items = self._problem.B.shape
        if Q.ndim != 2 or Q.shape[1] != n:
            raise IllPosed(f"Q must have shape (books, {n}), got {Q.shape}")
        if start.shape != (len(Q), items) or not np.issubdtype(start.dtype, np.integer):
            raise IllPosed(f"start must be integers of shape {(len(Q), items)}, got {start.dtype} of {start.shape}")
        for name, least in (("max_nodes", max_nodes), ("threads", threads)):
            if least < 1:
                raise IllPosed(f"{name} must be >= 1, got {least}")
        Q = np.ascontiguousarray(Q, dtype=np.float64)
        start = np.ascontiguousarray(start, dtype=np.int64)
        # A position that is no number is refused below, at its own book.
        finite = np.isfinite(Q)
        sound = finite.all()
        held = Q if sound else np.where(finite.all(axis=1, keepdims=True), Q, 0.0)
        lower, upper = checked_lot_bounds(self._problem.B, held, self._problem.mode)
        found = nothing_found(len(Q), items, n)
        if self._volume is not None:
            books = Books(held, lower, upper, start)
            solve_share = partial(self._solve, self._volume, books, max_nodes, deadline, found)
            # Read to the end, so that what a share raises is raised here.
            list(map_over(solve_share, shares(len(Q), threads)))
        packings: list[Packing | SolverError] = []
        for book in range(len(Q)):
            problem = partial(self._problem.at_position, Q[book], lower[book], upper[book])
            try:
                if self._volume is None or not (sound or finite[book].all()):
                    packing = pack_incrementally(problem(), start[book], max_nodes, deadline() if deadline else None)
                else:
                    packing = packing_found(problem, found, book)
            except SolverError as exc:
                packings.append(exc)
            else:
                packings.append(packing)
        return packings

    def _solve(
        self,
        volume: VolumeArrays,
        books: Books,
        max_nodes: int,
        deadline: Deadline | None,
        found: Found,
        share: slice,
    ) -> None:
        # In the thread of the share: its kernel may outlast a caller who was interrupted.
        with interrupt(clock_of_each(deadline) if deadline else None) as clock:
            solve(volume, self._problem.arrays, books, share.start, share.stop, 0.0, True, max_nodes, clock, found)


def clock_of_each(deadline: Deadline) -> Callable[[int], bool]:
    """A clock for many books: the time of each begins when its number is first asked for."""
    clocks: dict[int, Callable[[], bool]] = {}

    def should_stop(book: int) -> bool:
        if book not in clocks:
            clocks[book] = deadline()
        return clocks[book]()

    return should_stop


def shares(books: int, threads: int) -> list[slice]:
    """So many books in as many parts as there are threads, at most, of the same size but for one book."""
    edges = [books * t // threads for t in range(threads + 1)]
    return [slice(first, last) for first, last in pairwise(edges) if first < last]
