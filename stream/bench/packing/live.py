"""The live packing: within a deadline on real prices, and many books at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from solver.arrays import FloatArray
from solver.errors import SolverError
from solver.packing.methods.many_books import BookPacker
from solver.packing.result import Packing
from stream.bench.figures import Comparison, compare, measure
from stream.bench.packing.instances import LOT, live_sequence, random_desk
from stream.bench.timing import timed

SEED = 20_141_003
DEADLINE_MS = 5.0
# The service's default budgets.
MAX_NODES = 20_000
MAX_TIMESTEP_NODES = 250_000
BOOK_ASSETS, BOOK_ITEMS = 20, 20
THREADS = 2
# A typical move of an asset between two timesteps, and so of every book's position in it.
TIMESTEP_MOVE = 1e-3


def live_within_deadline(source: str, prices: FloatArray, K: int, lot: float, steps: int) -> list[Comparison]:
    """Share of a live sequence's steps proven within DEADLINE_MS, the gaps of the others, and the times.

    A step starts from the last multiples, or from nothing where the β are new. Its time includes the renewal of the
    packer when β or covariance changed.

    Parameters
    ----------
    source : names the prices in the table.
    prices : (days, n), numeraire per unit.
    K : number of β.
    lot : numeraire on the leading leg of one β lot.
    steps : length of the sequence.
    """
    chance = np.random.default_rng(SEED)
    packer: BookPacker | None = None
    start = np.zeros((1, K), dtype=np.int64)
    times_ms, gaps, squares = [], [], []
    within = 0
    for step in live_sequence(chance, prices, K, lot, steps):
        squares.append(float(np.mean((step.Q / lot) ** 2)))
        begun = time.thread_time()
        if packer is None or step.new_covariance:
            packer = BookPacker(step.B, step.Sigma, "volume", "inside", step.epsilon)
        if step.new_items:
            start = np.zeros((1, K), dtype=np.int64)
        (packing,) = _all_packed(packer.pack(step.Q[None, :], start, MAX_NODES, partial(_deadline, begun)))
        elapsed_ms = (time.thread_time() - begun) * 1e3
        start = packing.multiples[None, :]
        times_ms.append(elapsed_ms)
        if packing.proven and elapsed_ms <= DEADLINE_MS:
            within += 1
        else:
            gaps.append(packing.gap / packing.objective if packing.objective > 0.0 else 0.0)
    name = f"live, {source}, {prices.shape[1]}/{K}, positions of {np.sqrt(np.mean(squares)):.2g} lots"
    of_the_rest = "none is left"
    if gaps:
        p50, p90, p99 = np.quantile(gaps, [0.5, 0.9, 0.99])
        of_the_rest = f"relative gap of the rest p50 {p50:.2g}, p90 {p90:.2g}, p99 {p99:.2g}"
    return [
        measure(
            f"{name}: proven within {DEADLINE_MS:g} ms",
            "share",
            100.0 * within / steps,
            "%",
            "near 100",
            f"{steps:,} steps, volume, `inside`, up to {DEADLINE_MS:g} ms or {MAX_NODES:,} nodes; {of_the_rest}",
        ),
        measure(
            f"{name}: time, p99",
            "incremental",
            float(np.quantile(times_ms, 0.99)),
            "ms",
            "low",
            f"median {np.median(times_ms):.3g} ms; the packer's renewal is in it",
        ),
    ]


def _deadline(begun: float) -> Callable[[], bool]:
    return lambda: (time.thread_time() - begun) * 1e3 > DEADLINE_MS


def books_at_once(books: int, rounds: int) -> list[Comparison]:
    """One timestep of many books on two threads: warm against cold, and two threads against one."""
    chance = np.random.default_rng(SEED)
    desk = random_desk(chance, BOOK_ASSETS, BOOK_ITEMS)
    packer = BookPacker(desk.B, desk.Sigma, "volume", "inside", desk.volume().epsilon)
    max_nodes = max(1, MAX_TIMESTEP_NODES // books)
    Q = 30.0 * LOT * chance.normal(size=(books, BOOK_ASSETS))
    nothing = np.zeros((books, BOOK_ITEMS), dtype=np.int64)
    last = nothing
    warm_ms, alone_ms, cold_ms, warm_gap, proven = [], [], [], 0.0, 0.0
    with ThreadPoolExecutor(THREADS) as pool:
        for timestep in range(rounds + 1):
            Q = Q * np.exp(TIMESTEP_MOVE * chance.normal(size=BOOK_ASSETS))
            cold_s, cold = timed(packer.pack, Q, nothing, max_nodes, None, THREADS, pool.map)
            if timestep:
                alone_s, _ = timed(packer.pack, Q, last, max_nodes)
                warm_s, warm = timed(packer.pack, Q, last, max_nodes, None, THREADS, pool.map)
                warm_ms.append(warm_s * 1e3)
                alone_ms.append(alone_s * 1e3)
                cold_ms.append(cold_s * 1e3)
                packings = _all_packed(warm)
                warm_gap = float(np.median([packing.gap / packing.objective for packing in packings]))
                proven = float(np.mean([packing.proven for packing in packings]))
            else:
                # The first timestep also pays for the threads and for kernels that are compiled at first use.
                packings = _all_packed(cold)
            last = np.array([packing.multiples for packing in packings])
    name = f"{books:,} books of {BOOK_ASSETS} assets, {BOOK_ITEMS} items, one timestep"
    warm_median, cold_median, alone_median = (float(np.median(times)) for times in (warm_ms, cold_ms, alone_ms))
    return [
        compare(
            f"{name}: warm against cold",
            "warm",
            warm_median,
            "cold",
            cold_median,
            "ms",
            "below 1",
            f"{max_nodes} nodes a book, {THREADS} threads, medians of {rounds} timesteps; median relative gap of "
            f"the warm ones {warm_gap:.2g}, {100 * proven:.3g} % of them proven",
        ),
        compare(
            f"{name}: {THREADS} threads against one",
            f"{THREADS} threads",
            warm_median,
            "one",
            alone_median,
            "ms",
            "below 1",
            "warm",
        ),
    ]


def _all_packed(packings: list[Packing | SolverError]) -> list[Packing]:
    for packing in packings:
        if isinstance(packing, SolverError):
            raise packing
    return [packing for packing in packings if isinstance(packing, Packing)]
