"""Many books against one market: each packing is that of its book alone, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import numpy as np
import pytest

from solver.arrays import FloatArray, IntArray
from solver.errors import ConstraintViolated, IllPosed, SolverError
from solver.objective import Objective, materiality_floor
from solver.packing.bounds import Mode, lot_bounds
from solver.packing.methods.incremental import pack_incrementally
from solver.packing.methods.many_books import BookPacker
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing
from solver.packing.volume.solve import BATCH_NODES

LOT = 1e5
BOOKS = 7
ARRAYS = ("multiples", "residual")
FIGURES = (
    "objective",
    "objective_before",
    "lower_bound",
    "gap",
    "proven",
    "second_best",
    "effort_nodes",
    "stopped_by_clock",
)


def market(seed: int, n: int, K: int) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Items of two or three legs, a covariance, books of some thirty lots an asset, and starts."""
    chance = np.random.default_rng(seed)
    loadings = chance.normal(size=(n, 3))
    Sigma = 1e-6 * (loadings @ loadings.T + np.diag(chance.uniform(0.2, 1.0, n)))
    B = np.zeros((n, K))
    for k in range(K):
        legs = chance.choice(n, chance.integers(2, 4), replace=False)
        B[legs, k] = LOT * np.append(1.0, -chance.uniform(0.5, 1.5, len(legs) - 1))
    Q = 30.0 * LOT * chance.normal(size=(BOOKS, n))
    Q[chance.random(Q.shape) < 0.1] = 0.0
    start = chance.integers(-3, 4, size=(BOOKS, K))
    start[::2] = 0
    return B, Sigma, Q, start


def alone(
    B: FloatArray,
    Sigma: FloatArray,
    Q: FloatArray,
    start: IntArray,
    objective: Objective,
    mode: Mode,
    max_nodes: int,
    should_stop: Callable[[], bool] | None = None,
) -> Packing:
    lower, upper = lot_bounds(B, Q, mode)
    problem = PackingProblem(
        B=B,
        Q=Q,
        lower=lower,
        upper=upper,
        Sigma=Sigma,
        objective=objective,
        mode=mode,
        epsilon=materiality_floor(LOT, Sigma),
    )
    return pack_incrementally(problem, start, max_nodes, should_stop)


def assert_same(one: Packing | SolverError, other: Packing) -> None:
    assert isinstance(one, Packing)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert [getattr(one, name) for name in FIGURES] == [getattr(other, name) for name in FIGURES]


@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.parametrize("objective", get_args(Objective))
def test_together_is_as_alone(objective: Objective, mode: Mode) -> None:
    """What is kept, company, threads and a clock that never strikes change no bit of a packing."""
    B, Sigma, Q, start = market(8, 10, 12)
    packer = BookPacker(B, Sigma, objective, mode, materiality_floor(LOT, Sigma))
    max_nodes = 3 * BATCH_NODES
    plain = packer.pack(Q, start, max_nodes)
    with ThreadPoolExecutor(2) as executor:
        shared = packer.pack(Q, start, max_nodes, None, 3, executor.map)
    timed = packer.pack(Q, start, max_nodes, lambda: lambda: False)
    for book in range(BOOKS):
        expected = alone(B, Sigma, Q[book], start[book], objective, mode, max_nodes)
        for packings in (plain, shared, timed):
            assert_same(packings[book], expected)


def test_a_clock_stops_what_takes_long_and_nothing_else() -> None:
    """With a deadline that is over at once: books done in few nodes are whole, the others say that they were stopped.

    Each book's time begins at its own turn.
    """
    B, Sigma, Q, start = market(3, 12, 20)
    Q[0] = 0.0
    packer = BookPacker(B, Sigma, "volume", "free", materiality_floor(LOT, Sigma))
    begun = []

    def deadline() -> Callable[[], bool]:
        begun.append(True)
        return lambda: True

    packings = packer.pack(Q, start, 20_000, deadline)
    stopped = 0
    for book, packing in enumerate(packings):
        assert isinstance(packing, Packing)
        whole = alone(B, Sigma, Q[book], start[book], "volume", "free", 20_000)
        if packing.stopped_by_clock:
            stopped += 1
            assert whole.effort_nodes > BATCH_NODES
            assert packing.lower_bound <= whole.objective <= packing.objective
        else:
            assert_same(packing, whole)
    assert 0 < stopped == len(begun) < BOOKS


def test_one_book_that_is_refused_leaves_the_others_whole() -> None:
    """A position that is no number, and one whose volume is none, have an error instead."""
    B, Sigma, Q, start = market(4, 6, 5)
    Q[1, 0] = np.nan
    Q[3, 2] = 1e200
    packer = BookPacker(B, Sigma, "volume", "inside", materiality_floor(LOT, Sigma))
    packings = packer.pack(Q, start, 500)
    assert isinstance(packings[1], IllPosed)
    assert isinstance(packings[3], ConstraintViolated)
    for book in (0, 2, 4, 5, 6):
        assert_same(packings[book], alone(B, Sigma, Q[book], start[book], "volume", "inside", 500))


def test_without_items_every_book_stays_as_it_is() -> None:
    """K = 0: nothing packed, and that is proven. No book: no packing."""
    packer = BookPacker(np.empty((2, 0)), 1e-4 * np.eye(2), "volume", "inside", 1e3)
    (packing,) = packer.pack(np.array([[3 * LOT, 0.0]]), np.empty((1, 0), dtype=np.int64), 10)
    assert isinstance(packing, Packing)
    assert packing.proven
    assert packing.objective == packing.objective_before > 0.0
    assert packer.pack(np.empty((0, 2)), np.empty((0, 0), dtype=np.int64), 10) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"Q": np.zeros((1, 3))}, "Q must have shape"),
        ({"Q": np.zeros(2)}, "Q must have shape"),
        ({"start": np.array([[1.0]])}, "start must be integers"),
        ({"start": np.array([[1], [2]])}, "start must be integers of shape"),
        ({"max_nodes": 0}, "max_nodes must be >= 1"),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any], named: str) -> None:
    """What holds for all books is refused for all."""
    packer = BookPacker(LOT * np.array([[1.0], [-1.0]]), 1e-4 * np.eye(2), "volume", "inside", 1e3)
    arguments: dict[str, Any] = {"Q": LOT * np.array([[3.0, -2.0]]), "start": np.array([[0]]), "max_nodes": 100}
    with pytest.raises(IllPosed, match=named):
        packer.pack(**(arguments | changes))


def test_bounds_of_many_books_are_those_of_each() -> None:
    """`lot_bounds` takes the books' rows as it takes each alone."""
    B, _, Q, _ = market(5, 8, 9)
    for mode in get_args(Mode):
        for chains in (False, True):
            lower, upper = lot_bounds(B, Q, mode, chains)
            for book in range(BOOKS):
                one_lower, one_upper = lot_bounds(B, Q[book], mode, chains)
                np.testing.assert_array_equal(lower[book], one_lower)
                np.testing.assert_array_equal(upper[book], one_upper)
