"""The result of every method, and the checks that it passes before it gets out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import ConstraintViolated
from solver.kernels.compiled import compiled
from solver.objective import VOLUME, volume_rounding
from solver.packing.evaluation import PROOF_TOLERANCE, PackingArrays, fits, key_with_cost
from solver.packing.problem import PackingProblem


@dataclass(frozen=True, eq=False, kw_only=True)
class Packing:
    """A feasible packing and what is known about how good it is.

    A function of its input alone, but for what a clock says: `stopped_by_clock` and `elapsed_s`.

    Attributes
    ----------
    multiples : (K,) whole lots of each item.
    residual : (n,) what stays unhedged, numeraire.
    objective, objective_before : the objective's value, costs included, of the residual and with nothing packed.
    lower_bound : a value that no feasible packing beats (by more than PROOF_TOLERANCE of the objective if `proven`).
    gap : ``objective - lower_bound``, >= 0.
    proven : no feasible packing is better, and rounding leaves no doubt of it. For `determinant` this covers its
        tie-break too, so a packing of determinant 0 has gap 0 but is proven only when no other has less variance at
        determinant 0.
    effort_nodes : candidates and boxes evaluated; the same on every machine.
    stopped_by_clock : `should_stop` ended the search, so a second run may differ.
    second_best : the objective of the best other packing known, None without one. The true runner-up from
        `enumerate`; from the others that of the best one they came across, which may be no more than packing nothing.
    elapsed_s : seconds by the caller's clock (`solver.packing.elapsed.timed`), NaN without one.
    """

    multiples: IntArray
    residual: FloatArray
    objective: float
    objective_before: float
    lower_bound: float
    gap: float
    proven: bool
    effort_nodes: int
    stopped_by_clock: bool
    second_best: float | None
    elapsed_s: float = math.nan


Judgement: TypeAlias = tuple[float, float, int, int, int, float, FloatArray]
"""Of multiples: see `judged`."""


def finish(
    problem: PackingProblem,
    multiples: IntArray,
    *,
    lower_bound: float,
    proven: bool,
    effort_nodes: int,
    stopped_by_clock: bool = False,
    second_best: float | None = None,
    judgement: Judgement | None = None,
) -> Packing:
    """Recompute everything from the multiples, check it against the problem, and make the result.

    Every method returns through here, so nothing that breaks its own constraints gets out.

    Parameters
    ----------
    multiples : (K,) whole lots.
    lower_bound : a value of the objective that no feasible packing beats; ignored if `proven`.
    proven : no feasible packing precedes this one by more than PROOF_TOLERANCE.
    second_best : the objective of another feasible packing, None if the method knows none but packing nothing.
    judgement : what `judged` says of these multiples, where a kernel has asked it already.

    Raises
    ------
    ConstraintViolated : a multiple outside its bounds, a leg outside the position (`inside`), a bound above the value
        it bounds, a second best below it, or a value that is not finite.
    """
    if judgement is None:
        multiples = np.array(multiples, dtype=np.int64)
        judgement = judged(problem.arrays, multiples)
    _, _, _, outside, broken, _, _ = judgement
    if outside >= 0:
        raise ConstraintViolated(
            f"multiple of item {outside} must lie within [{problem.lower[outside]}, {problem.upper[outside]}], "
            f"got {multiples[outside]}"
        )
    if broken >= 0:
        raise ConstraintViolated(
            f"packed exposure of asset {broken} must lie between 0 and the held {problem.Q[broken]}, "
            f"got {float(problem.B[broken] @ multiples)}"
        )
    return packing_within(
        multiples,
        judgement,
        lower_bound=lower_bound,
        proven=proven,
        effort_nodes=effort_nodes,
        stopped_by_clock=stopped_by_clock,
        second_best=second_best,
    )


def packing_within(
    multiples: IntArray,
    judgement: Judgement,
    *,
    lower_bound: float,
    proven: bool,
    effort_nodes: int,
    stopped_by_clock: bool,
    second_best: float | None,
) -> Packing:
    """The second half of `finish`, for multiples that are judged to be within their bounds and the position.

    Parameters
    ----------
    multiples : (K,) whole lots.
    judgement : what `judged` says of them.
    lower_bound, proven, effort_nodes, stopped_by_clock, second_best : see `finish`.
    """
    objective, before, lots, _, _, rounding, residual = judgement
    if not (math.isfinite(objective) and math.isfinite(before)):
        raise ConstraintViolated(f"objective must be finite, got {objective} ({before} with nothing packed)")
    tolerance = PROOF_TOLERANCE * objective
    if proven:
        lower_bound = objective
    elif lower_bound > objective + max(tolerance, rounding):
        raise ConstraintViolated(f"lower bound {lower_bound} must not exceed the objective {objective} it bounds")
    lower_bound = min(lower_bound, objective)
    if rounding > tolerance:
        # Which of two packings is better cannot be told so exactly.
        proven = False
        lower_bound = max(lower_bound - rounding, 0.0)
    if second_best is not None and second_best < objective - max(tolerance, rounding):
        raise ConstraintViolated(f"second best {second_best} must not be below the objective {objective}")
    if lots and (second_best is None or before < second_best):
        second_best = before
    if second_best is not None and second_best < objective:
        # By what the keys of a search are rounded to.
        second_best = objective
    return Packing(
        multiples=multiples,
        residual=residual,
        objective=objective,
        objective_before=before,
        lower_bound=lower_bound,
        gap=objective - lower_bound,
        proven=proven,
        effort_nodes=effort_nodes,
        stopped_by_clock=stopped_by_clock,
        second_best=second_best,
    )


@compiled
def judged(arrays: PackingArrays, multiples: IntArray) -> Judgement:
    """What `finish` checks and puts into the result, in one call.

    Returns the objective's value with costs, the same with nothing packed, how many lots are packed, an item beyond its
    bounds and an asset whose leg is (-1 for none), the rounding of values like these, and the residual (n,).
    """
    nothing = np.zeros_like(multiples)
    fits(arrays, nothing)
    before, _ = key_with_cost(arrays, nothing)
    return judged_beside(arrays, multiples, before)


@compiled
def judged_beside(arrays: PackingArrays, multiples: IntArray, before: float) -> Judgement:
    """`judged` where the value with nothing packed is known."""
    outside = -1
    lots = 0
    choice = False
    for k in range(multiples.shape[0]):
        lots += abs(multiples[k])
        choice = choice or arrays.lower[k] < arrays.upper[k]
        if outside < 0 and (multiples[k] < arrays.lower[k] or multiples[k] > arrays.upper[k]):
            outside = k
    broken = -1
    if arrays.inside:
        for i in range(arrays.position.shape[0]):
            # Not the sum of `fits`: summed asset by asset, so that one mistake cannot hide another.
            packed = 0.0
            for k in range(multiples.shape[0]):
                if multiples[k] != 0:
                    packed += arrays.items[k, i] * multiples[k]
            held = arrays.position[i]
            # Twice the tolerance of the search: this product may round otherwise.
            slack = 2.0 * arrays.leg_tolerance[i]
            if broken < 0 and (packed < min(held, 0.0) - slack or packed > max(held, 0.0) + slack):
                broken = i
    fits(arrays, multiples)
    objective, _ = key_with_cost(arrays, multiples)
    residual = arrays.residual.copy()
    rounding = 0.0
    if choice and arrays.objective_code == VOLUME:
        reach = np.abs(arrays.position)
        # `inside` leaves no more than is held.
        for k in range(0 if arrays.inside else multiples.shape[0]):
            most = max(arrays.upper[k], -arrays.lower[k])
            for i in range(reach.shape[0]):
                reach[i] += most * abs(arrays.items[k, i])
        rounding = volume_rounding(reach, arrays.covariance, arrays.epsilon, objective, arrays.residual, arrays.factor)
    return objective, objective if lots == 0 else before, lots, outside, broken, rounding, residual
