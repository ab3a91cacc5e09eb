"""Packing problems to measure on: random desks, books of real prices, live sequences. All chance is passed in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np

from solver.arrays import FloatArray
from solver.covariance import ExponentialCovariance
from solver.objective import Objective, materiality_floor
from solver.packing.bounds import Mode, lot_bounds
from solver.packing.problem import PackingProblem
from solver.reversion.methods.sparse import sparse_vectors

LOT = 100_000.0
# Positions of a desk: a few million, one standard deviation.
POSITION_LOTS = 30.0
# Cost of one lot as a share of that lot's own variance: from hardly any to half.
COST_SHARE = (0.02, 0.5)
# Range of the random bounds on either side: from a few lots to more than any position needs.
BOX_LOTS = (5, 40)
# The largest bound where every combination is enumerated: at most (2 · 2 + 1)^6.
MOST_OF_FEW = 2
FIT_DAYS = 500
HALF_LIFE_DAYS = 60.0
REFIT_EVERY_DAYS = 50
# A client trades half a million at a time, in whole lots of 100,000, and the desk trades back a fiftieth of what it
# holds: that keeps positions at some two and a half million, one standard deviation.
TRADE_LOTS = 5.0
TRADED_BACK = 0.02


@dataclass(frozen=True, eq=False)
class Desk:
    """Items and covariance that several packings share, and one position.

    Attributes
    ----------
    B : (n, K) exposure per lot, numeraire.
    Q : (n,) held exposure, numeraire.
    Sigma : (n, n) covariance of log returns.
    """

    B: FloatArray
    Q: FloatArray
    Sigma: FloatArray

    def volume(self, mode: Mode = "inside") -> PackingProblem:
        """The live problem: `volume`, the bounds of `lot_bounds`, ε one lot's risk."""
        lower, upper = lot_bounds(self.B, self.Q, mode)
        return PackingProblem(
            B=self.B,
            Q=self.Q,
            lower=lower,
            upper=upper,
            Sigma=self.Sigma,
            objective="volume",
            mode=mode,
            epsilon=materiality_floor(LOT, self.Sigma),
        )

    def boxed_variance(self, chance: np.random.Generator, mode: Mode) -> PackingProblem:
        """Variance with random bounds and costs per lot."""
        items = self.B.shape[1]
        room = chance.integers(*BOX_LOTS, size=(2, items), endpoint=True)
        own_variance = np.einsum("ik,ij,jk->k", self.B, self.Sigma, self.B)
        return PackingProblem(
            B=self.B,
            Q=self.Q,
            lower=-room[0],
            upper=room[1],
            Sigma=self.Sigma,
            objective="variance",
            mode=mode,
            epsilon=materiality_floor(LOT, self.Sigma),
            cost_per_lot=own_variance * chance.uniform(*COST_SHARE, items),
        )


def random_desk(chance: np.random.Generator, n: int, K: int) -> Desk:
    """Assets of .3 to .8 % a day with one common factor and two weaker ones, and random pairs and triples as items."""
    volatility = chance.uniform(0.003, 0.008, n)
    loadings = chance.normal(size=(n, 3)) * np.array([0.7, 0.4, 0.4])
    loadings[:, 0] = np.abs(loadings[:, 0])
    covariance = loadings @ loadings.T + np.diag(chance.uniform(0.1, 0.6, n))
    scale = volatility / np.sqrt(np.diag(covariance))
    B = np.zeros((n, K))
    for k in range(K):
        legs = chance.choice(n, size=min(n, int(chance.choice([2, 2, 3]))), replace=False)
        B[legs, k] = -LOT * chance.uniform(0.3, 1.2, len(legs))
        B[legs[0], k] = LOT
    return Desk(B, chance.normal(0.0, POSITION_LOTS * LOT, n), covariance * np.outer(scale, scale))


def desk_of_prices(chance: np.random.Generator, prices: FloatArray, K: int) -> Desk:
    """A random position on a random day of `prices` (days, n), with β and covariance of the FIT_DAYS before it."""
    day = int(chance.integers(FIT_DAYS, len(prices)))
    returns = np.diff(np.log(prices[day - FIT_DAYS : day + 1]), axis=0)
    Sigma = np.cov(returns.T)
    return Desk(best_vectors(Sigma, K, LOT), chance.normal(0.0, POSITION_LOTS * LOT, len(Sigma)), Sigma)


def best_vectors(covariance: FloatArray, K: int, lot: float) -> FloatArray:
    """(n, K) one lot each of the K sparse β with the least basis ratios on `covariance` (n, n)."""
    found, _ = sparse_vectors(covariance, max_legs=3)
    vectors = np.array(found)
    ratio = np.einsum("ki,ij,kj->k", vectors, covariance, vectors) / (vectors**2 @ np.diag(covariance))
    return np.ascontiguousarray(lot * vectors[np.argsort(ratio, kind="stable")[:K]].T)


def small_case(chance: np.random.Generator) -> PackingProblem:
    """Up to 6 assets and 6 items with few multiples each: any objective and mode, with and without costs and flat legs.

    Half of the cases have whole weights and positions, so that packings tie.
    """
    n, K = int(chance.integers(1, 7)), int(chance.integers(0, 7))
    desk = random_desk(chance, n, K)
    B, Q = desk.B / LOT, desk.Q / POSITION_LOTS / LOT * 3.0
    if chance.random() < 0.5:
        B, Q = np.sign(B), np.round(Q)
    Q[chance.random(n) < 0.2] = 0.0
    room = chance.integers(0, MOST_OF_FEW, size=(2, K), endpoint=True)
    objective: Objective = get_args(Objective)[int(chance.integers(3))]
    mode: Mode = get_args(Mode)[int(chance.integers(2))]
    problem = PackingProblem(
        B=LOT * B,
        Q=LOT * Q,
        lower=-room[0],
        upper=room[1],
        Sigma=desk.Sigma,
        objective=objective,
        mode=mode,
        epsilon=materiality_floor(LOT, desk.Sigma),
    )
    if chance.random() < 0.5:
        return problem
    # A lot's cost as a share of the objective with nothing packed, so that it means the same for all three.
    unpacked = problem.key(np.zeros(K, dtype=np.int64))[0]
    return PackingProblem(
        B=problem.B,
        Q=problem.Q,
        lower=problem.lower,
        upper=problem.upper,
        Sigma=problem.Sigma,
        objective=objective,
        mode=mode,
        epsilon=problem.epsilon,
        cost_per_lot=unpacked * chance.uniform(0.0, 0.1, K),
    )


@dataclass(frozen=True, eq=False)
class LiveStep:
    """The input of a live solver when a book changes; `new_items` and `new_covariance` say what else changed."""

    B: FloatArray
    Sigma: FloatArray
    epsilon: float
    Q: FloatArray
    new_items: bool
    new_covariance: bool


def live_sequence(
    chance: np.random.Generator, prices: FloatArray, K: int, lot: float, steps: int
) -> Iterator[LiveStep]:
    """One book through the history of `prices`, packed `inside` the position.

    Steps are evenly distributed over the days. Prices move when the day does, and with them every exposure and the
    exponentially weighted covariance; the β are fitted again every REFIT_EVERY_DAYS on the FIT_DAYS before. At every
    step one position changes by a client's trade, and by what the desk trades back, both in whole lots of quantity.

    Parameters
    ----------
    chance : draws positions and trades.
    prices : (days, n), numeraire per unit; more than FIT_DAYS days.
    K : number of β.
    lot : numeraire on the leading leg of one β lot.
    steps : how many to yield.
    """
    n = prices.shape[1]
    returns = np.diff(np.log(prices), axis=0)
    per_day = -(-steps // (len(returns) - FIT_DAYS))
    covariance = ExponentialCovariance(n, HALF_LIFE_DAYS, "none")
    for row in returns[:FIT_DAYS]:
        covariance.update(row)
    quantity_lot = LOT / prices[FIT_DAYS]
    held = np.rint(POSITION_LOTS * chance.normal(size=n))
    B, Sigma = np.empty((n, K)), covariance.estimate()
    for step in range(steps):
        passed, at = divmod(step, per_day)
        day = FIT_DAYS + passed
        new_covariance = at == 0
        new_items = at == 0 and passed % REFIT_EVERY_DAYS == 0
        if new_covariance and passed:
            covariance.update(returns[day - 1])
            Sigma = covariance.estimate()
        if new_items:
            B = best_vectors(np.cov(returns[day - FIT_DAYS : day].T), K, lot)
        asset = int(chance.integers(n))
        traded = np.rint(chance.normal(0.0, TRADE_LOTS))
        # Rounded at random, so that small positions are traded back too.
        traded_back = np.floor(TRADED_BACK * abs(held[asset]) + chance.random()) * np.sign(held[asset])
        held[asset] += traded - traded_back
        Q = held * quantity_lot * prices[day]
        yield LiveStep(B, Sigma, materiality_floor(lot, Sigma), Q, new_items, new_covariance)
