"""`exact`: whether it agrees with enumeration, and its time against enumeration and SCIP."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.packing.bounds import Mode
from solver.packing.evaluation import PROOF_TOLERANCE
from solver.packing.methods.enumerate import pack_by_enumeration
from solver.packing.methods.exact import DEFAULT_MAX_NODES, QuadraticFactors, pack_exactly
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing
from stream.bench.figures import Comparison, compare, measure
from stream.bench.packing.instances import desk_of_prices, random_desk, small_case
from stream.bench.packing.scip import INSTALL_SCIP, ScipAnswer, pack_by_scip, scip_is_installed
from stream.bench.timing import timed_alone

SEED = 20_141_002
# Where enumeration is expected to win, and where it is not.
TINY_COMBINATIONS, MANY_COMBINATIONS = 27, 1_000
# Solves shorter than this are repeated in further rounds over all cases.
REPEATED_S = 1e-3
ROUNDS = 5
# Two ways to add up one variance may differ by this share of the whole position's variance.
ROUNDING = 1e-13


def exact_against_enumeration(cases: int) -> list[Comparison]:
    """Random small cases of every objective and mode: how many are equal and proven, and the time of both methods."""
    chance = np.random.default_rng(SEED)
    equal = proven = with_cost = 0
    ours_s, reference_s, combinations = [], [], []
    for _ in range(cases):
        problem = small_case(chance)
        seconds, ours = timed_alone(pack_exactly, problem)
        ours_s.append(seconds)
        seconds, reference = timed_alone(pack_by_enumeration, problem)
        reference_s.append(seconds)
        combinations.append(reference.effort_nodes)
        equal += are_equal(problem, ours, reference)
        proven += ours.proven
        with_cost += bool(problem.arrays.cost.any())
    note = f"n and K up to 6, all objectives, both modes, {with_cost:,} with costs"
    asked = f"{cases:,}"
    figures = [
        measure("small cases: exact = enumerate", "equal", equal, "cases", asked, note),
        measure("small cases: exact proven", "proven", proven, "cases", asked),
    ]
    ours_us, reference_us, count = np.array(ours_s) * 1e6, np.array(reference_s) * 1e6, np.array(combinations)
    for name, chosen in (
        (f"up to {TINY_COMBINATIONS} combinations", count <= TINY_COMBINATIONS),
        (f"over {MANY_COMBINATIONS:,} combinations", count > MANY_COMBINATIONS),
    ):
        if chosen.any():
            figures.append(
                compare(
                    f"small cases, {name}: exact against enumerate",
                    "exact",
                    float(np.median(ours_us[chosen])),
                    "enumerate",
                    float(np.median(reference_us[chosen])),
                    "µs",
                    "below 1",
                    f"medians of {np.count_nonzero(chosen):,} of the cases above",
                )
            )
    return figures


def are_equal(problem: PackingProblem, ours: Packing, reference: Packing) -> bool:
    """Whether both keys are the same up to the tolerance of a proof and to rounding."""
    unpacked = problem.key(np.zeros_like(problem.lower))
    return all(
        abs(one - other) <= PROOF_TOLERANCE * abs(other) + ROUNDING * abs(whole)
        for one, other, whole in zip(
            problem.key(ours.multiples), problem.key(reference.multiples), unpacked, strict=True
        )
    )


def boxed_variance(
    source: str, prices: FloatArray | None, size: int, mode: Mode, cases: int, scip_cases: int, scip_limit_s: float
) -> list[Comparison]:
    """`exact` on the variance with bounds and costs, and SCIP on the first of the cases.

    Parameters
    ----------
    source : names the cases in the table.
    prices : (days, size) from which β and covariance are made; None draws both.
    size : number of assets, and of items.
    mode : of the packing.
    cases, scip_cases : how many `exact` solves, and how many of them SCIP solves too.
    scip_limit_s : seconds after which SCIP gives up a case.
    """
    chance = np.random.default_rng(SEED)
    name = f"exact variance with box and costs, {mode}, {size}/{size}, {source}"
    problems, prepared, preparing_ms = [], [], []
    for _ in range(cases):
        desk = random_desk(chance, size, size) if prices is None else desk_of_prices(chance, prices, size)
        problem = desk.boxed_variance(chance, mode)
        # It is kept as long as items and covariance stay, so it is not part of a solve.
        seconds, factors = timed_alone(QuadraticFactors, problem.B, problem.Sigma)
        preparing_ms.append(seconds * 1e3)
        problems.append(problem)
        prepared.append(factors)
    # All problems in each round, one after the other, as a caller has them. The same problem twice in a row would find
    # its data in the caches and its branches predicted.
    rounds = np.full((ROUNDS, cases), np.nan)
    ours = []
    for index, (problem, factors) in enumerate(zip(problems, prepared, strict=True)):
        rounds[0, index], packing = timed_alone(pack_exactly, problem, factors=factors)
        ours.append(packing)
    for again in range(1, ROUNDS):
        for index in np.flatnonzero(rounds[0] < REPEATED_S).tolist():
            rounds[again, index], _ = timed_alone(pack_exactly, problems[index], factors=prepared[index])
    ours_ms = (np.nanmedian(rounds, axis=0) * 1e3).tolist()
    gaps = [packing.gap / packing.objective for packing in ours if not packing.proven]
    note = (
        f"median {np.median(ours_ms):.3g} ms, of short solves each the median of {ROUNDS} rounds over all cases, and "
        f"{np.median(preparing_ms):.3g} ms once for items and covariance; "
        f"{cases - len(gaps):,} of {cases:,} cases proven"
    )
    if gaps:
        note += f", relative gap of the others p50 {np.median(gaps):.2g}, at most {max(gaps):.2g}"
    return [
        *_beside_scip(name, problems[:scip_cases], ours_ms, ours, scip_limit_s),
        measure(f"{name}: time, p99", "exact", float(np.quantile(ours_ms, 0.99)), "ms", "low", note),
    ]


def _beside_scip(
    name: str, problems: list[PackingProblem], ours_ms: list[float], ours: list[Packing], limit_s: float
) -> list[Comparison]:
    """The same cases by SCIP: both times where both have a proof, and in how many cases SCIP's packing is better."""
    if not problems:
        return []
    cases = len(problems)
    if not scip_is_installed():
        median_ms = float(np.median(ours_ms[:cases]))
        return [measure(f"{name}: time, median", "exact", median_ms, "ms", "below 1", "", INSTALL_SCIP)]
    answers = [pack_by_scip(problem, limit_s) for problem in problems]
    pairs = list(zip(ours[:cases], answers, strict=True))
    as_it_comes = [pack_by_scip(problem, limit_s, tuned=False) for problem in problems]
    theirs = [min(one.objective, other.objective) for one, other in zip(answers, as_it_comes, strict=True)]
    share = 1.0 - PROOF_TOLERANCE
    better = sum(their < own.objective * share for own, their in zip(ours[:cases], theirs, strict=True))
    worse = sum(own.objective < their * share for own, their in zip(ours[:cases], theirs, strict=True))
    return [
        _time_beside_scip(f"{name}: time, median", ours_ms, pairs),
        _time_beside_scip(
            f"{name}: time, median, SCIP's settings as they come",
            ours_ms,
            list(zip(ours[:cases], as_it_comes, strict=True)),
        ),
        compare(
            f"{name}: proven",
            "exact",
            sum(packing.proven for packing, _ in pairs),
            "SCIP",
            sum(answer.proven for _, answer in pairs),
            f"of {cases} cases",
            "at least 1",
            f"exact within {DEFAULT_MAX_NODES:,} nodes, SCIP within {limit_s:g} s",
        ),
        measure(
            f"{name}: SCIP's packing is better",
            "in",
            better,
            f"of {cases} cases",
            "0",
            f"and worse in {worse}; by more than {PROOF_TOLERANCE:g} of the objective, of both settings the better",
        ),
    ]


def _time_beside_scip(what: str, ours_ms: list[float], pairs: list[tuple[Packing, ScipAnswer]]) -> Comparison:
    """The median times over the cases that both proved. `ours_ms` begins with the times of these cases."""
    both = [index for index, (packing, answer) in enumerate(pairs) if packing.proven and answer.proven]
    scip_ms = [answer.seconds * 1e3 for _, answer in pairs]
    ours_median = float(np.median(ours_ms[: len(pairs)]))
    note = f"{len(both)} of {len(pairs)} cases that both proved; medians of all {ours_median:.3g} ms and "
    note += f"{np.median(scip_ms):.3g} ms"
    if not both:
        return measure(what, "exact", ours_median, "ms", "below 1", note, "SCIP: no case that both proved")
    ours_median, scip_median = (float(np.median(np.array(times)[both])) for times in (ours_ms, scip_ms))
    return compare(what, "exact", ours_median, "SCIP", scip_median, "ms", "below 1", note)
