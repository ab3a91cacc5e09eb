"""How the parts of a packing grow with assets and items, against theory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from solver.arrays import IntArray
from solver.kernels.compiled import compiled
from solver.packing.evaluation import PackingArrays, copy_multiples
from solver.packing.methods.exact import QuadraticFactors
from solver.packing.problem import PackingProblem
from solver.packing.volume.descent import Search, accept, new_search, scan_pairs, stand_at
from solver.packing.volume.precision import refresh_precision
from solver.packing.volume.scaling import VolumeArrays, volume_arrays
from stream.bench.figures import Comparison, measure
from stream.bench.packing.instances import LOT, Desk, random_desk
from stream.bench.packing.warm_start import repack
from stream.bench.timing import timed, timed_alone

SEED = 20_141_004
ITEMS_PER_ASSET = 2
FIXED_ASSETS = 30
# Enough for a local optimum from nothing at the largest size.
MAX_NODES = 10_000_000
ACCEPTED_AT_ONCE = 20


def growth_with_assets(assets: Sequence[int], repeats: int) -> list[Comparison]:
    """Fitted exponents in n, with twice as many items as assets."""
    sizes = [(n, ITEMS_PER_ASSET * n) for n in assets]
    parts: tuple[tuple[str, Callable[[Desk, int], float], str], ...] = (
        ("one candidate", candidate_s, "0: O(s³) whatever n"),
        ("one accepted move", accepted_s, "2: O(s n²)"),
        ("P from scratch", refresh_s, "3: O(n³)"),
        ("exact's preparation", preparation_s, "3: O(K³ + n³)"),
        ("a warm solve to local optimality", warm_s, "at most 3"),
    )
    return [
        _growth(f"growth with n, K = 2 n: {name}", part, sizes, assets, repeats, asked) for name, part, asked in parts
    ]


def growth_with_items(items: Sequence[int], repeats: int) -> list[Comparison]:
    """Fitted exponents in K, at FIXED_ASSETS assets."""
    sizes = [(FIXED_ASSETS, K) for K in items]
    parts: tuple[tuple[str, Callable[[Desk, int], float], str], ...] = (
        ("one candidate", candidate_s, "0: O(s³) whatever K"),
        ("a warm solve to local optimality", warm_s, "at most 2: pairs that share an asset"),
    )
    name = f"growth with K, n = {FIXED_ASSETS}"
    return [_growth(f"{name}: {one}", part, sizes, items, repeats, asked) for one, part, asked in parts]


def _growth(
    what: str,
    part: Callable[[Desk, int], float],
    sizes: Sequence[tuple[int, int]],
    along: Sequence[int],
    repeats: int,
    asked: str,
) -> Comparison:
    """The slope of log time over log size by least squares. The note has the slope between the two largest sizes.

    Fixed costs flatten the slope at small sizes, so the second slope is nearer to theory.
    """
    chance = np.random.default_rng(SEED)
    seconds = [part(random_desk(chance, n, K), repeats) for n, K in sizes]
    size_logs, time_logs = np.log(along), np.log(seconds)
    exponent = float(np.polyfit(size_logs, time_logs, 1)[0])
    last = float((time_logs[-1] - time_logs[-2]) / (size_logs[-1] - size_logs[-2]))
    medians = ", ".join(f"{size}: {1e6 * one:,.3g} µs" for size, one in zip(along, seconds, strict=True))
    note = f"from {along[-2]} to {along[-1]} {last:.2g}; medians at {medians}"
    return measure(what, "exponent", exponent, "", asked, note)


def candidate_s(desk: Desk, repeats: int) -> float:
    """Median seconds to judge one candidate: a pass over the pairs at a local optimum."""
    problem = desk.volume()
    volume, search = _stand(problem, _local_optimum(problem))
    pairs = len(volume.near)
    times = []
    for _ in range(repeats):
        seconds, (_, nodes) = timed_alone(scan_pairs, volume, search, 0, pairs)
        times.append(seconds / max(nodes, 1))
    return float(np.median(times))


def accepted_s(desk: Desk, repeats: int) -> float:
    """Median seconds of an accepted move: it is judged from scratch, and P is updated for its legs."""
    # Free, so that a lot of any item can be added and removed.
    problem = desk.volume("free")
    volume, search = _stand(problem, np.zeros(desk.B.shape[1], dtype=np.int64))
    accept_in_turn(volume, problem.arrays, search, 0, 1)
    times = [
        timed_alone(accept_in_turn, volume, problem.arrays, search, k, ACCEPTED_AT_ONCE)[0] / ACCEPTED_AT_ONCE
        for k in range(min(repeats, desk.B.shape[1]))
    ]
    return float(np.median(times))


def refresh_s(desk: Desk, repeats: int) -> float:
    """Median seconds to compute P from scratch, with no position flat."""
    volume, search = _stand(desk.volume(), np.zeros(desk.B.shape[1], dtype=np.int64))
    times = [
        timed_alone(refresh_precision, volume.correlation, search.x, search.P, search.row)[0] for _ in range(repeats)
    ]
    return float(np.median(times))


def preparation_s(desk: Desk, repeats: int) -> float:
    """Median seconds of what `exact` prepares once for items and covariance."""
    return float(np.median([timed(QuadraticFactors, desk.B, desk.Sigma)[0] for _ in range(repeats)]))


def warm_s(desk: Desk, repeats: int) -> float:
    """Median seconds from the last multiples to the next local optimum after one position changed."""
    chance = np.random.default_rng(SEED)
    problem = desk.volume()
    volume = volume_arrays(problem.arrays)
    last, Q, times = _local_optimum(problem), desk.Q.copy(), []
    for _ in range(repeats):
        Q[chance.integers(len(Q))] += 3.0 * LOT * chance.normal()
        seconds, packing = timed_alone(repack, problem, volume, Q, last)
        times.append(seconds)
        last = packing.multiples
    return float(np.median(times))


def _local_optimum(problem: PackingProblem) -> IntArray:
    nothing = np.zeros(problem.B.shape[1], dtype=np.int64)
    return repack(problem, volume_arrays(problem.arrays), problem.Q, nothing).multiples


def _stand(problem: PackingProblem, multiples: IntArray) -> tuple[VolumeArrays, Search]:
    volume = volume_arrays(problem.arrays)
    search = new_search(problem.B.shape[1], len(problem.Q))
    search.multiples[:] = multiples
    stand_at(volume, problem.arrays, search)
    return volume, search


@compiled
def accept_in_turn(volume: VolumeArrays, arrays: PackingArrays, search: Search, item: int, times: int) -> None:
    """Accept one lot of `item` more, then one less, and so on, whatever that does to the objective.

    Parameters
    ----------
    volume, arrays : of the problem.
    search : where the search stands; is changed.
    item : index of the item.
    times : how many moves.
    """
    for _ in range(times):
        copy_multiples(search.multiples, search.trial)
        search.trial[item] = 1 - search.trial[item]
        # Every move counts as an improvement, and P is not rebuilt in between, which is measured by itself.
        search.state[0] = np.inf
        search.state[2] = 0.0
        accept(volume, arrays, search)
