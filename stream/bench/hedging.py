"""The figures of the hedges: how right, how fast, how often proven."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solver.hedging.problem import HedgeProblem
from solver.hedging.runner_up import runner_up
from solver.hedging.solve import hedge
from stream.bench.hedging_cases import currency_desk, enumerate_hedge, small_problem
from stream.bench.result import Comparison, measure
from stream.bench.timing import timed_alone

SEED = 20_221_003
MAX_NODES = 2_000
"""The service's default effort, `solver.max_hedge_nodes`."""


def hedging_figures(say: Callable[[str], None], small_cases: int = 300, books: int = 1_000) -> list[Comparison]:
    """All of them: against enumeration, and on desks of six currencies, fifteen pairs and two venues each."""
    say(f"{small_cases} small hedges, and by enumeration")
    figures = [against_enumeration(small_cases)]
    for lot, ladders in ((1e6, False), (1e6, True), (100_000.0, True)):
        say(f"{books:,} books of six currencies, lots of {lot:,.0f}{', ladders' if ladders else ''}")
        figures += desks(books, lot, ladders)
    return figures


def against_enumeration(cases: int) -> Comparison:
    """Random small problems with ladders, impact, permissions and limits: in how many the cost is enumeration's."""
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


def desks(books: int, lot: float, ladders: bool) -> list[Comparison]:
    """Books over their limits: processor time of a suggestion, hedge and runner-up, and how many hedges are proven."""
    chance = np.random.default_rng(SEED)
    times_ms, hedge_ms, nodes, proven, second_proven, gaps = [], [], [], 0, 0, []
    hedge_and_runner_up(currency_desk(chance, lot, ladders))
    for _ in range(books):
        problem = currency_desk(chance, lot, ladders)
        seconds, answer = timed_alone(hedge, problem, MAX_NODES)
        more_seconds, second = timed_alone(runner_up, problem, answer, MAX_NODES)
        hedge_ms.append(seconds * 1e3)
        times_ms.append((seconds + more_seconds) * 1e3)
        nodes.append(answer.effort_nodes)
        proven += answer.proven
        second_proven += second is None or second.proven
        if not answer.proven:
            gaps.append(answer.gap / answer.cost.total)
    name = f"hedge, 6 currencies, 15 pairs, 2 venues, lots of {lot:,.0f}{', ladders' if ladders else ''}"
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
            f"to a cent, within {MAX_NODES:,} nodes; of the runners-up {100.0 * second_proven / books:.3g} %{rest}",
        ),
    ]


def hedge_and_runner_up(problem: HedgeProblem) -> None:
    """Once through both, so that no kernel is compiled while they are timed."""
    runner_up(problem, hedge(problem))
