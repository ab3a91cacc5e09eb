"""Planted baskets: how often they are found, by their number of legs and their noise."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.reversion.error_correction import johansen_moments, regress
from solver.reversion.methods.proposals import level_vectors
from solver.reversion.refits.track import angles_between
from stream.bench.figures import Comparison
from stream.bench.proportion import counted, proportion

SEED = 20_141_011
ASSETS = 8
WINDOW_STEPS = 500
LEGS = (2, 3, 4)
INNOVATIONS = (0.1, 0.3, 0.5, 0.7, 1.0)
# The slowest is a twentieth of the window, for which the share is asked.
HALF_LIVES = (WINDOW_STEPS / 100.0, WINDOW_STEPS / 20.0)
CORRELATION = 0.3
LARGEST_ANGLE_DEGREES = 5.0


def planted_basket(chance: np.random.Generator, legs: int, innovation: float) -> tuple[FloatArray, FloatArray]:
    """Random walks, one changed so that a basket reverts; (WINDOW_STEPS, ASSETS) log prices and (ASSETS,) weights.

    Steps have a standard deviation of 1 and a common factor. The basket has weights of .5 to 2 either way, 1 on the
    leg that is chosen; its level is an AR(1), stationary from the start, whose innovations have `innovation` of a
    walk's standard deviation a step, and whose half-life is drawn from HALF_LIVES.
    """
    common, own = chance.normal(size=(WINDOW_STEPS, 1)), chance.normal(size=(WINDOW_STEPS, ASSETS))
    log_prices = np.cumsum(np.sqrt(CORRELATION) * common + np.sqrt(1.0 - CORRELATION) * own, axis=0)
    chosen = chance.permutation(ASSETS)[:legs]
    weights = np.zeros(ASSETS)
    weights[chosen] = chance.uniform(0.5, 2.0, legs) * chance.choice([-1.0, 1.0], legs)
    weights[chosen[0]] = 1.0
    kept = 0.5 ** (1.0 / chance.uniform(*HALF_LIVES))
    noise = innovation * chance.normal(size=WINDOW_STEPS)
    level = noise[0] / np.sqrt(1.0 - kept**2)
    levels = [level]
    for shock in noise[1:]:
        level = kept * level + shock
        levels.append(level)
    log_prices[:, chosen[0]] = np.array(levels) - log_prices[:, chosen[1:]] @ weights[chosen[1:]]
    return log_prices, weights


def baskets_found(cases: int) -> list[Comparison]:
    """For each size of innovation the share of `cases` in which the first basket proposed is the planted one."""
    return [_found(innovation, cases, number) for number, innovation in enumerate(INNOVATIONS)]


def _found(innovation: float, cases: int, number: int) -> Comparison:
    hits = dict.fromkeys(LEGS, 0)
    tries = dict.fromkeys(LEGS, 0)
    for case in range(cases):
        legs = LEGS[case % len(LEGS)]
        log_prices, weights = planted_basket(np.random.default_rng([SEED, number, case]), legs, innovation)
        regression = regress(johansen_moments(log_prices, 1), ASSETS, 1, constant="restricted")
        first = level_vectors("baskets", regression, max_legs=max(LEGS))[0]
        angle = angles_between(weights[:, None], first.weights[:, None], np.sqrt(regression.changes.diagonal()))
        tries[legs] += 1
        hits[legs] += bool(np.degrees(angle[0, 0]) <= LARGEST_ANGLE_DEGREES)
    by_legs = "; ".join(f"{legs} legs {counted(hits[legs], tries[legs])}" for legs in LEGS if tries[legs])
    return proportion(
        f"planted baskets, n = {ASSETS}, window {WINDOW_STEPS}, innovations of {innovation:g} of a leg's: found",
        f"first of `baskets` within {LARGEST_ANGLE_DEGREES:g}°",
        sum(hits.values()),
        sum(tries.values()),
        "at least 90",
        f"{by_legs}. Half-lives of a hundredth to a twentieth of the window; the innovation is that of the basket's "
        "own AR(1), in standard deviations of a walk's step, its leading weight 1. Found is proposed first, not "
        "accepted: reversion as slow as this is rarely significant in one window",
    )
