"""The figures of the hedges: correctness, speed, and how often they are proven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from solver.hedging.problem import HedgeProblem
from solver.hedging.runner_up import runner_up
from solver.hedging.solve import hedge
from stream.bench.figures import Comparison, measure
from stream.bench.hedging.cases import currency_desk, enumerate_hedge, small_problem
from stream.bench.timing import timed_alone

SEED = 20_221_003
MAX_NODES = 2_000
"""The service's default effort, `solver.max_hedge_nodes`."""


def hedging_figures(say: Callable[[str], None], small_cases: int = 300, books: int = 1_000) -> list[Comparison]:
    """All figures of the hedges: against enumeration, and on desks of six currencies at two venues."""
    say(f"{small_cases} small hedges, and by enumeration")
    figures = [against_enumeration(small_cases)]
    for lot, ladders, max_trades in (
        (1e6, False, None),
        (1e6, True, None),
        (100_000.0, True, None),
        (1e6, True, 3),
        (1e6, True, 5),
        (100_000.0, True, 3),
        (100_000.0, True, 5),
    ):
        say(f"{books:,} books of six currencies, {_kind(lot, ladders, max_trades)}")
        figures += desks(books, lot, ladders, max_trades)
    return figures


def _kind(lot: float, ladders: bool, max_trades: int | None) -> str:
    trades = f", at most {max_trades} trades" if max_trades is not None else ""
    return f"lots of {lot:,.0f}{', ladders' if ladders else ''}{trades}"


def against_enumeration(cases: int) -> Comparison:
    """In how many random small problems, with all that a hedge may have, the cost is that of enumeration."""
    chance = np.random.default_rng(SEED)
    same = proven = reached = 0
    for _ in range(cases):
        problem = small_problem(chance)
        expected, answer = enumerate_hedge(problem), hedge(problem, 100_000)
        same += answer.status == expected.status and bool(np.isclose(answer.cost.total, expected.cost, 3e-9, 1e-12))
        proven += answer.proven
        reached += expected.status == "reached"
    return measure(
        "hedge: same cost as enumeration",
        f"of {cases} small cases",
        float(same),
        "",
        f"{cases}",
        f"{proven} proven; up to four assets and four instruments, ladders, impact, permissions, limits on trades and "
        f"twin venues; {reached} with a target within reach",
    )


def desks(books: int, lot: float, ladders: bool, max_trades: int | None) -> list[Comparison]:
    """Books over their limits: processor time of a suggestion (hedge and runner-up), and how many hedges are proven."""
    chance = np.random.default_rng(SEED)
    times_ms, hedge_ms, nodes, proven, second_proven, reached, bound, gaps = [], [], [], 0, 0, 0, 0, []
    hedge_and_runner_up(replace(currency_desk(chance, lot, ladders), max_trades=max_trades))
    for _ in range(books):
        free = currency_desk(chance, lot, ladders)
        problem = replace(free, max_trades=max_trades)
        seconds, answer = timed_alone(hedge, problem, MAX_NODES)
        more_seconds, second = timed_alone(runner_up, problem, answer, MAX_NODES)
        hedge_ms.append(seconds * 1e3)
        times_ms.append((seconds + more_seconds) * 1e3)
        nodes.append(answer.effort_nodes)
        proven += answer.proven
        reached += answer.status == "reached"
        if max_trades is not None:
            bound += int(np.count_nonzero(hedge(free, MAX_NODES).lots)) > max_trades
        second_proven += second is None or second.proven
        if not answer.proven:
            gaps.append(answer.gap / answer.cost.total)
    name = f"hedge, 6 currencies, 15 pairs, 2 venues, {_kind(lot, ladders, max_trades)}"
    limit = f"; the limit binds on {bound:,} books, {reached:,} reach the target" if max_trades is not None else ""
    rest = f"; relative gap of the rest at most {max(gaps):.2g}" if gaps else ""
    return [
        measure(
            f"{name}: time of a suggestion, p99",
            "hedge and runner-up",
            float(np.quantile(times_ms, 0.99)),
            "ms",
            "at most 5",
            f"{books:,} books, processor time; median {np.median(times_ms):.2g} ms; the hedge alone p99 "
            f"{np.quantile(hedge_ms, 0.99):.2g} ms, nodes median {np.median(nodes):.0f}, p99 "
            f"{np.quantile(nodes, 0.99):.0f}",
        ),
        measure(
            f"{name}: proven",
            "share",
            100.0 * proven / books,
            "%",
            "at least 99",
            f"to a cent, within {MAX_NODES:,} nodes; of the runners-up {100.0 * second_proven / books:.3g} %{rest}"
            f"{limit}",
        ),
    ]


def hedge_and_runner_up(problem: HedgeProblem) -> None:
    """Run both once, so that no kernel is compiled while they are timed."""
    runner_up(problem, hedge(problem))
