"""Compiled code asks a Python function whether to stop: with its number, on any thread, and no error is lost."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled
from solver.kernels.interrupt import NEVER, interrupt, is_struck
from solver.packing.methods.many_books import BookPacker

LOT = 1e5


@compiled
def asked_until(clock: int, number: int, most: int) -> int:
    """How often the function is asked before it says stop, `most` at most."""
    for times in range(most):
        if clock != NEVER and is_struck(clock, number):
            return times
    return most


@compiled
def asked_after_interrupt(set_interrupt: int, clock: int) -> tuple[bool, bool]:
    """Two answers after Ctrl-C has come in the middle of compiled code."""
    is_struck(set_interrupt, 0)
    return is_struck(clock, 1), is_struck(clock, 2)


def market(books: int) -> tuple[BookPacker, FloatArray, IntArray]:
    """Books that take more than the nodes before the first look at the clock."""
    chance = np.random.default_rng(1)
    B = np.zeros((12, 24))
    for k in range(24):
        legs = chance.choice(12, 3, replace=False)
        B[legs, k] = LOT * np.array([1.0, *-chance.uniform(0.5, 1.5, 2)])
    packer = BookPacker(B, 1e-6 * (np.eye(12) + 0.3), "volume", "free", 100.0)
    return packer, 30.0 * LOT * chance.normal(size=(books, 12)), np.zeros((books, 24), dtype=np.int64)


def test_it_is_asked_with_the_number_until_it_says_stop() -> None:
    """Every question carries the kernel's number, and the first yes ends the work."""
    heard: list[int] = []

    def should_stop(number: int) -> bool:
        heard.append(number)
        return len(heard) == 5

    with interrupt(should_stop) as clock:
        assert asked_until(clock, 2**40, 100) == 4
    assert heard == [2**40] * 5


def test_nobody_is_asked_without_a_function() -> None:
    """None is the address that is never asked."""
    with interrupt(None) as clock:
        assert clock == NEVER
        assert asked_until(clock, 1, 100) == 100


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_it_raises_ends_the_work_and_is_raised_after_it(error: type[BaseException]) -> None:
    """Nothing can be raised through compiled code, and nothing is swallowed."""

    def should_stop(number: int) -> bool:
        raise error("the clock has stopped")

    reached = []
    with pytest.raises(error, match="the clock has stopped"), interrupt(should_stop) as clock:
        reached.append(asked_until(clock, 1, 100))
    assert reached == [0]


@pytest.fixture
def ctrl_c_is_handled() -> Iterator[None]:
    """Python raises KeyboardInterrupt, also in tests that a shell has started in the background, deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_handled")
def test_ctrl_c_in_the_middle_of_compiled_code_is_not_lost() -> None:
    """Python raises it as soon as it is asked anything: the work is stopped for good, and it is raised after it."""
    set_interrupt = ctypes.cast(ctypes.pythonapi.PyErr_SetInterrupt, ctypes.c_void_p).value or NEVER
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupt(lambda _: False) as clock:
        reached.append(asked_after_interrupt(set_interrupt, clock))
    assert reached == [(True, True)]


def test_threads_ask_their_own() -> None:
    """Two threads in compiled code at once, each with its own function: neither hears the other's answer."""

    def ask(limit: int) -> int:
        left = iter(range(limit))
        with interrupt(lambda _: next(left, None) is None) as clock:
            return asked_until(clock, 1, 10**6)

    with ThreadPoolExecutor(2) as executor:
        assert list(executor.map(ask, [10_000, 20_000] * 4)) == [10_000, 20_000] * 4


@pytest.mark.parametrize("threads", [1, 2])
def test_a_broken_deadline_is_not_a_packing(threads: int) -> None:
    """A clock that fails in the middle of a packing: its error comes out of `pack`, from whichever thread."""
    packer, Q, start = market(4)

    def deadline() -> bool:
        raise OSError("no clock")

    with ThreadPoolExecutor(threads) as executor, pytest.raises(OSError, match="no clock"):
        packer.pack(Q, start, 5_000, lambda: deadline, threads, executor.map)


def test_a_long_solve_is_done_once() -> None:
    """The clock is looked at between batches of one search: as often as its nodes have batches, but for the first."""
    packer, Q, start = market(1)
    looks = []

    def should_stop() -> bool:
        looks.append(True)
        return False

    (packing,) = packer.pack(Q, start, 5_000, lambda: should_stop)
    (plain,) = packer.pack(Q, start, 5_000)
    assert not isinstance(packing, Exception)
    assert not isinstance(plain, Exception)
    assert packing.effort_nodes == plain.effort_nodes
    assert 0 < len(looks) <= packing.effort_nodes // 512
