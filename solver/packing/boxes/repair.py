"""Repairs multiples that break the mode: takes lots out until they keep it."""

from __future__ import annotations

import numpy as np

from solver.arrays import IntArray
from solver.kernels.compiled import compiled_borrowing
from solver.packing.evaluation import PackingArrays, fits


@compiled_borrowing
def overhang(held: float, residual: float) -> float:
    """By how much what is packed of one asset exceeds the held position or flips its sign; negative inside."""
    packed = held - residual
    return max(packed - max(held, 0.0), min(held, 0.0) - packed)


@compiled_borrowing
def repair(arrays: PackingArrays, multiples: IntArray) -> int:
    """Take lots out of `multiples` until they keep the mode; returns how many candidates were judged.

    Each round takes from one item one lot, all lots, or as many as bring one leg back inside, whichever leaves the
    least excess (how far the packed legs stand outside, in units of each asset's leg tolerance). A candidate costs
    O(n): only the legs of its item change. Packing nothing is feasible, and is what remains if that gets nowhere.
    """
    if fits(arrays, multiples):
        return 1
    n = arrays.position.shape[0]
    residual, items, position, tolerance = arrays.residual, arrays.items, arrays.position, arrays.leg_tolerance
    nodes = 1
    for _ in range(4 * multiples.shape[0]):
        best = 0.0
        best_item = -1
        best_lots = 0
        for k in range(multiples.shape[0]):
            if multiples[k] == 0:
                continue
            sign = 1.0 if multiples[k] > 0 else -1.0
            most = float(abs(multiples[k]))
            tried = 0.0
            for i in range(-2, n):
                lots = 1.0 if i == -2 else most
                if i >= 0:
                    if items[k, i] == 0.0:
                        continue
                    beyond = overhang(position[i], residual[i])
                    if beyond <= tolerance[i]:
                        continue
                    lots = min(np.ceil(beyond / abs(items[k, i])), most)
                if lots == tried or lots < 1.0:
                    continue
                tried = lots
                nodes += 1
                gain = 0.0
                for j in range(n):
                    leg = items[k, j]
                    if leg != 0.0:
                        before = overhang(position[j], residual[j])
                        after = overhang(position[j], residual[j] + sign * lots * leg)
                        gain += (max(before, 0.0) - max(after, 0.0)) / tolerance[j]
                if gain > best:
                    best = gain
                    best_item = k
                    best_lots = int(sign * lots)
        if best_item < 0:
            break
        multiples[best_item] -= best_lots
        nodes += 1
        # From scratch: what counts as inside is decided without the rounding of the steps.
        if fits(arrays, multiples):
            return nodes
    for k in range(multiples.shape[0]):
        multiples[k] = 0
    fits(arrays, multiples)
    return nodes
