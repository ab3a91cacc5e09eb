"""The best packing found so far, and the rule by which a finished candidate replaces it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled, compiled_borrowing
from solver.packing.evaluation import (
    PROOF_TOLERANCE,
    PackingArrays,
    copy_multiples,
    evaluate,
    fits,
    key_with_cost,
    precedes,
    without_rounding_noise,
)


class Incumbent(NamedTuple):
    """What a search has found."""

    multiples: IntArray  # (K,), the best
    key: FloatArray  # (3,), its value and tie-break, and the value of the best other packing that was judged


@compiled
def nothing_packed(arrays: PackingArrays) -> Incumbent:
    """The incumbent that is always feasible."""
    incumbent, _ = nothing_packed_with_value(arrays)
    return incumbent


@compiled
def nothing_packed_with_value(arrays: PackingArrays) -> tuple[Incumbent, float]:
    """`nothing_packed`, and its value before that is rounded to KEY_BITS."""
    multiples = np.zeros_like(arrays.lower)
    fits(arrays, multiples)
    value, tie = key_with_cost(arrays, multiples)
    key = np.empty(3)
    key[0], key[1], key[2] = without_rounding_noise(value), without_rounding_noise(tie), np.inf
    return Incumbent(multiples=multiples, key=key), value


@compiled_borrowing
def judge(arrays: PackingArrays, incumbent: Incumbent, candidate: IntArray) -> bool:
    """Take `candidate` (K,) over if it keeps the mode and precedes the incumbent; True if it was taken."""
    kept, value, tie = evaluate(arrays, candidate)
    return kept and judge_valued(incumbent, candidate, value, tie)


@compiled_borrowing
def judge_valued(incumbent: Incumbent, candidate: IntArray, value: float, tie: float) -> bool:
    """`judge` of a candidate that keeps the mode, with the key that `evaluate` gives it."""
    key = incumbent.key
    if precedes(value, tie, candidate, key[0], key[1], incumbent.multiples):
        copy_multiples(candidate, incumbent.multiples)
        key[2] = key[0]
        key[0] = value
        key[1] = tie
        return True
    if value < key[2] and precedes(key[0], key[1], incumbent.multiples, value, tie, candidate):
        key[2] = value
    return False


@compiled_borrowing
def to_beat(incumbent: Incumbent, rounding: float) -> float:
    """A part of the search whose bound is not below this cannot hold anything better."""
    return float(incumbent.key[0] * (1.0 - PROOF_TOLERANCE) + rounding)


@compiled_borrowing
def is_hopeless(bound: float, tie_bound: float, value: float, tie: float) -> bool:
    """Whether nothing under these bounds precedes the key (value, tie) by more than PROOF_TOLERANCE."""
    share = 1.0 - PROOF_TOLERANCE
    return bound > value or (bound >= value * share and tie_bound >= tie * share)
