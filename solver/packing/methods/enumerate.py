"""Enumerates all combinations: the reference for small cases."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import TooLarge
from solver.packing.evaluation import evaluate, precedes
from solver.packing.problem import PackingProblem
from solver.packing.result import Packing, finish

# Combinations judged at once: a few megabytes of residuals and Gram matrices for a dozen assets.
CHUNK = 4_096
# Values this close (relative) to the best are compared again by the kernel that every method shares: the batched linear
# algebra here rounds differently, and a tie that rounding decides is no tie-break.
NEAR = 1e-9
# Rounding of a variance, as a share of the squared sum of the standalone risks: all that is left where they cancel.
ROUNDING = 4e-15


def pack_by_enumeration(problem: PackingProblem, max_combinations: int = 2_000_000) -> Packing:
    """The best of all combinations within the bounds; always proven, and `second_best` is the true runner-up.

    Vectorised in chunks, O(combinations · (n K + n³)); `effort_nodes` counts the combinations.

    Raises
    ------
    TooLarge : the bounds leave more than `max_combinations`.
    """
    lower = problem.lower.tolist()
    widths = [high - low + 1 for low, high in zip(lower, problem.upper.tolist(), strict=True)]
    combinations = 1
    for width in widths:
        combinations *= width
    if combinations > max_combinations:
        raise TooLarge(
            f"enumeration accepts at most {max_combinations} combinations, got {combinations} "
            f"from {len(widths)} items; tighten lower and upper or use another method"
        )

    best = np.zeros(len(widths), dtype=np.int64)
    _, best_value, best_tie = evaluate(problem.arrays, best)
    second = np.inf
    for first in range(0, combinations, CHUNK):
        number = np.arange(first, min(first + CHUNK, combinations))
        candidates = np.empty((len(number), len(widths)), dtype=np.int64)
        for k, width in enumerate(widths):
            number, digit = np.divmod(number, width)
            candidates[:, k] = lower[k] + digit
        candidates, residuals = _feasible(problem, candidates)
        if not len(candidates):
            continue
        values = _values(problem, residuals) + np.abs(candidates) @ problem.arrays.cost
        least = min(best_value, float(values.min()))
        noise = _noise(problem, residuals)
        near = values <= least + NEAR * least + (noise if problem.objective == "variance" else 0.0)
        if problem.objective == "determinant" and least == 0.0:
            # Zero is where whole crowds tie; the tie-break thins them out before the slow comparison.
            ties = np.where(near, _variances(problem, residuals), np.inf)
            near = ties <= ties.min() * (1.0 + NEAR) + noise
        for candidate in candidates[near]:
            fits, value, tie = evaluate(problem.arrays, candidate)
            if fits and precedes(value, tie, candidate, best_value, best_tie, best):
                second = best_value
                best, best_value, best_tie = candidate.copy(), value, tie
            elif fits and value < second and not np.array_equal(candidate, best):
                second = value
        # The best of the others may be the runner-up. A second one is tried only where the kernel refuses the first.
        others = np.where(near, np.inf, values)
        while others.min() < second:
            other = int(others.argmin())
            fits, value, _ = evaluate(problem.arrays, candidates[other])
            if fits:
                second = min(second, value)
                break
            others[other] = np.inf
    return finish(
        problem,
        best,
        lower_bound=best_value,
        proven=True,
        effort_nodes=combinations,
        second_best=second if np.isfinite(second) else None,
    )


def _feasible(problem: PackingProblem, candidates: IntArray) -> tuple[IntArray, FloatArray]:
    packed = candidates @ problem.B.T
    # Twice the tolerance: `evaluate` has the last word on a leg at the edge.
    slack = 2.0 * problem.leg_tolerance
    if problem.mode == "inside":
        kept = np.all(
            (packed >= np.minimum(problem.Q, 0.0) - slack) & (packed <= np.maximum(problem.Q, 0.0) + slack), axis=1
        )
        candidates, packed = candidates[kept], packed[kept]
    residuals = problem.Q - packed
    residuals[np.abs(residuals) <= problem.leg_tolerance] = 0.0
    return candidates, residuals


def _variances(problem: PackingProblem, residuals: FloatArray) -> FloatArray:
    variances: FloatArray = np.maximum(np.sum((residuals @ problem.Sigma) * residuals, axis=1), 0.0)
    return variances


def _noise(problem: PackingProblem, residuals: FloatArray) -> float:
    """How far rounding may take any of these variances."""
    risks = np.abs(residuals) @ np.sqrt(np.maximum(np.diag(problem.Sigma), 0.0))
    return float(ROUNDING * np.max(risks) ** 2)


def _values(problem: PackingProblem, residuals: FloatArray) -> FloatArray:
    """The objective's first value of each residual (N, n), by batched linear algebra instead of the shared kernel."""
    if problem.objective == "variance":
        return _variances(problem, residuals)
    if problem.objective == "determinant":
        return np.asarray(problem.arrays.determinant_of_sigma * np.prod(residuals**2, axis=1), dtype=np.float64)
    scaled = residuals / problem.epsilon
    gram = scaled[:, :, None] * problem.Sigma * scaled[:, None, :]
    # By its eigenvalues: a determinant loses volumes far below 1, and is below 0 where a large Gram matrix is singular.
    return np.asarray(np.sum(np.log1p(np.maximum(np.linalg.eigvalsh(gram), 0.0)), axis=1), dtype=np.float64)
