"""A problem in the form that kernels take: the residual of multiples, their key, and which of two packings precedes."""

from __future__ import annotations

import math
from typing import NamedTuple

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.objective import key_kernel

# A leg may miss its limit by this share of the asset's largest leg in one lot: sums of products of β weights and lots
# are exact to some 1e-16 of the position, so positions of up to a million lots stay clear of it.
LEG_TOLERANCE = 1e-9
# A proven packing is optimal up to this share of its objective: bounds and values round differently.
PROOF_TOLERANCE = 1e-9
# Keys are compared at this many bits, 1e-12 of the value. Below that is rounding, and packings that tie in exact
# arithmetic (β vectors that add up to zero) would be told apart by it instead of by the number of lots.
KEY_BITS = 40


class PackingArrays(NamedTuple):
    """A problem in the form that kernels take, with room to work in."""

    items: FloatArray  # (K, n), one item per row
    position: FloatArray  # (n,)
    lower: IntArray  # (K,)
    upper: IntArray  # (K,)
    cost: FloatArray  # (K,), per lot either way
    covariance: FloatArray  # (n, n)
    leg_tolerance: FloatArray  # (n,)
    inside: bool
    objective_code: int
    epsilon: float
    determinant_of_sigma: float
    residual: FloatArray  # (n,), overwritten by `fits`
    factor: FloatArray  # (n, n), overwritten by `evaluate`


@compiled_borrowing
def fits(arrays: PackingArrays, multiples: IntArray) -> bool:
    """Put the residual of `multiples` into `arrays.residual` and say whether it keeps the mode; bounds are not read.

    Always from scratch and in the same order, so that the residual, and with it the objective's bits, depends on the
    multiples alone and not on the moves that led there: otherwise a search could cycle on rounding.
    """
    q = arrays.residual
    for i in range(q.shape[0]):
        q[i] = 0.0
    for k in range(multiples.shape[0]):
        if multiples[k] != 0:
            for i in range(q.shape[0]):
                q[i] += multiples[k] * arrays.items[k, i]
    kept = True
    for i in range(q.shape[0]):
        packed = q[i]
        held = arrays.position[i]
        tolerance = arrays.leg_tolerance[i]
        if packed < min(held, 0.0) - tolerance or packed > max(held, 0.0) + tolerance:
            kept = False
        q[i] = held - packed
        if abs(q[i]) <= tolerance:
            q[i] = 0.0
    return kept or not arrays.inside


@compiled_borrowing
def without_rounding_noise(value: float) -> float:
    """`value` at KEY_BITS bits of mantissa."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.floor(math.ldexp(mantissa, KEY_BITS) + 0.5), exponent - KEY_BITS)


@compiled_borrowing
def lot_cost(cost: FloatArray, multiples: IntArray) -> float:
    """``cost @ |multiples|``, summed in the order of the items."""
    total = 0.0
    for k in range(multiples.shape[0]):
        total += cost[k] * abs(multiples[k])
    return total


@compiled_borrowing
def key_with_cost(arrays: PackingArrays, multiples: IntArray) -> tuple[float, float]:
    """The key, not rounded, of `multiples` whose residual `fits` has left in `arrays.residual`."""
    value, tie = key_kernel(
        arrays.objective_code,
        arrays.residual,
        arrays.covariance,
        arrays.epsilon,
        arrays.determinant_of_sigma,
        arrays.factor,
    )
    return value + lot_cost(arrays.cost, multiples), tie


@compiled_borrowing
def evaluate(arrays: PackingArrays, multiples: IntArray) -> tuple[bool, float, float]:
    """Whether `multiples` keep the mode, and if so their key with costs, at KEY_BITS (otherwise two zeros)."""
    if not fits(arrays, multiples):
        return False, 0.0, 0.0
    value, tie = key_with_cost(arrays, multiples)
    return True, without_rounding_noise(value), without_rounding_noise(tie)


@compiled
def repositioned(
    arrays: PackingArrays,
    position: FloatArray,
    lower: IntArray,
    upper: IntArray,
    residual: FloatArray,
    factor: FloatArray,
) -> PackingArrays:
    """The same items and covariance for another position (n,) and other bounds (K,), with `residual` and `factor` as

    Parameters
    ----------
    arrays : the problem.
    position : (n,) numeraire.
    lower, upper : (K,) bounds of the multiples.
    residual : (n,) room to work in.
    factor : (n, n) room to work in.
    the room to work in."""
    return PackingArrays(
        items=arrays.items,
        position=position,
        lower=lower,
        upper=upper,
        cost=arrays.cost,
        covariance=arrays.covariance,
        leg_tolerance=arrays.leg_tolerance,
        inside=arrays.inside,
        objective_code=arrays.objective_code,
        epsilon=arrays.epsilon,
        determinant_of_sigma=arrays.determinant_of_sigma,
        residual=residual,
        factor=factor,
    )


@compiled_borrowing
def copy_multiples(source: IntArray, target: IntArray) -> None:
    """Copy (K,) multiples. Slice assignment would cost a second of compilation for its error messages."""
    for k in range(source.shape[0]):
        target[k] = source[k]


@compiled_borrowing
def precedes(
    value: float, tie: float, multiples: IntArray, other_value: float, other_tie: float, other: IntArray
) -> bool:
    """The order by which every method prefers packings: objective key, then fewest lots, then lexicographic multiples.

    Parameters
    ----------
    value, tie : the key of the first packing, as `evaluate` gives it.
    multiples : (K,) its multiples.
    other_value, other_tie, other : the same of the second one.
    """
    if value != other_value:
        return value < other_value
    if tie != other_tie:
        return tie < other_tie
    lots = 0
    for k in range(multiples.shape[0]):
        lots += abs(multiples[k]) - abs(other[k])
    if lots != 0:
        return lots < 0
    for k in range(multiples.shape[0]):
        if multiples[k] != other[k]:
            return bool(multiples[k] < other[k])
    return False
