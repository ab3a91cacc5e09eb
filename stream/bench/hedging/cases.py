"""Hedging problems to measure on, small ones with their answer by enumeration, and currency desks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.hedging.cost import CostLadders, flat_ladders, impact_levels
from solver.hedging.problem import TIE, HedgeProblem

# Dollars per unit, volatility in bps a day, bid-ask spread in bps against the dollar. In the order in which the market
# names pairs, base currency first.
CURRENCIES = {
    "EUR": (1.08, 50.0, 0.3),
    "GBP": (1.27, 55.0, 0.4),
    "AUD": (0.66, 70.0, 0.5),
    "USD": (1.0, 0.0, 0.0),
    "CHF": (1.12, 50.0, 0.5),
    "JPY": (1 / 150, 65.0, 0.4),
}
CORRELATION = 0.45
CLOSE_PAIRS = {("EUR", "CHF"): 0.7, ("EUR", "GBP"): 0.6, ("EUR", "AUD"): 0.5}
VENUES = 2
FEE = 2e-6
# A level shows this many million units and asks this many half bid-ask spreads of the best one.
LADDER_MILLIONS = (3, 5, 10, 20)
LADDER_WIDTHS = (1.0, 1.4, 2.0, 3.0)
POSITION = 20e6


@dataclass(frozen=True, eq=False)
class Enumerated:
    """What enumeration finds: the least cost, and of its hedges all `lots` (k, m) with fewest lots."""

    status: str
    lots: IntArray
    cost: float
    risk: float


def small_problem(chance: np.random.Generator) -> HedgeProblem:
    """Up to four assets and four instruments of a few lots, of any kind.

    Singular covariances, free, equal and useless instruments, other costs to buy and to sell, ladders and impact,
    permissions on one side, limits on trades, and grids on which many hedges tie.
    """
    n, m = int(chance.integers(1, 5)), int(chance.choice([0, 1, 2, 3, 3, 4, 4, 4]))
    gridded = chance.random() < 0.3
    factor = chance.standard_normal((n, int(chance.integers(1, n + 1))))
    Sigma = np.eye(n) if gridded else factor @ factor.T
    A = chance.standard_normal((n, m)) * chance.choice([0.3, 1.0, 3.0])
    q = chance.standard_normal(n) * chance.choice([1.0, 3.0])
    if gridded:
        A, q = np.sign(A), np.round(q)
    if m >= 2 and chance.random() < 0.4:
        A[:, m - 1] = A[:, 0]
    most = 4 if m < 4 else 2
    before = float(np.sqrt(max(q @ Sigma @ q, 0.0)))
    return HedgeProblem(
        q=q,
        A=A,
        buy=_small_ladders(chance, m, gridded),
        sell=_small_ladders(chance, m, gridded),
        lower=-chance.integers(0, most + 1, m),
        upper=chance.integers(0, most + 1, m),
        Sigma=Sigma,
        basis_variance=float(chance.choice([0.0, 0.0, 0.02, 0.3]) * before**2),
        target=max(before, 0.1) * float(chance.choice([0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.2])),
        max_trades=None if chance.random() < 0.5 else int(chance.integers(0, 4)),
    )


def _small_ladders(chance: np.random.Generator, m: int, gridded: bool) -> CostLadders:
    kind = chance.choice(["flat", "ladder", "impact"])
    first = chance.random(m) * chance.choice([0.0, 1.0, 1.0], size=m)
    if gridded:
        first = np.ceil(first * 2.0)
    if kind == "flat":
        return flat_ladders(first)
    if kind == "impact":
        counts, extra = impact_levels(5, 2.0, 0.0 if gridded else float(chance.random()), float(gridded))
        return CostLadders(
            np.tile(np.array(counts, dtype=np.int64), (m, 1)), first[:, None] + np.array(extra), first, np.zeros(m)
        )
    lots = chance.integers(0, 3, (m, 3))
    steps = chance.integers(0, 2, (m, 3)).astype(np.float64) if gridded else chance.random((m, 3))
    return CostLadders(lots, first[:, None] + np.cumsum(steps, axis=1), first, np.zeros(m))


def enumerate_hedge(problem: HedgeProblem) -> Enumerated:
    """The answer to a small problem from the cost and risk of every combination of lots, in plain numpy."""
    low = np.maximum(problem.lower, -problem.sell.lots.sum(axis=1))
    high = np.minimum(problem.upper, problem.buy.lots.sum(axis=1))
    grid = [range(a, b + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    combinations = list(itertools.product(*grid))
    lots = np.array(combinations, dtype=np.int64).reshape(len(combinations), len(grid))
    if problem.max_trades is not None:
        lots = lots[np.count_nonzero(lots, axis=1) <= problem.max_trades]
    exposures = problem.q + lots @ problem.A.T
    variances = np.einsum("ki,ij,kj->k", exposures, problem.Sigma, exposures)
    risks = np.sqrt(np.maximum(variances, 0.0) + problem.basis_variance)
    costs = sum(
        (
            _cost_by_lot(ladders, j)[np.maximum(sign * lots[:, j], 0)]
            for sign, ladders in ((1, problem.buy), (-1, problem.sell))
            for j in range(len(grid))
        ),
        np.zeros(len(lots)),
    )
    nothing = int(np.flatnonzero(~lots.any(axis=1))[0])
    if risks[nothing] <= problem.target * (1 + TIE):
        return Enumerated("none-needed", lots[[nothing]], 0.0, float(risks[nothing]))
    status, allowed = "reached", problem.target
    if not (risks <= problem.target * (1 + TIE)).any():
        status, allowed = "unreachable", float(risks.min())
    candidates = np.flatnonzero(risks <= allowed * (1 + TIE))
    cost = float(costs[candidates].min())
    candidates = candidates[costs[candidates] <= cost * (1 + TIE)]
    total = np.abs(lots[candidates]).sum(axis=1)
    candidates = candidates[total == total.min()]
    return Enumerated(status, lots[candidates], cost, float(risks[candidates].max()))


def _cost_by_lot(ladders: CostLadders, j: int) -> FloatArray:
    """Cost of 0, 1, 2, ... lots of instrument j, one lot after the other."""
    single = np.repeat(ladders.cost_per_lot[j], np.minimum(ladders.lots[j], 10))
    return np.concatenate([[0.0], np.cumsum(single)])


def currency_desk(chance: np.random.Generator, lot: float, ladders: bool) -> HedgeProblem:
    """A dollar book of six currencies over its limit: fifteen pairs, each at two venues.

    Positions are normal with a standard deviation of 20 M dollars, the target is a fifth to all but a twentieth of
    their risk. Lots are `lot` units of each pair's base currency. A cross is quoted three quarters as wide as its two
    dollar pairs together, each venue up to 30 % tighter or wider. With `ladders` up to 38 M units are shown at four
    prices, else as much as anyone wants at the best one.
    """
    assets = [name for name in CURRENCIES if name != "USD"]
    n = len(assets)
    correlation = np.full((n, n), CORRELATION) + (1.0 - CORRELATION) * np.eye(n)
    for (one, other), value in CLOSE_PAIRS.items():
        i, j = assets.index(one), assets.index(other)
        correlation[i, j] = correlation[j, i] = value
    volatility = np.array([CURRENCIES[name][1] for name in assets]) * 1e-4
    Sigma = correlation * np.outer(volatility, volatility)
    columns, half_spreads, fees = [], [], []
    for base, quote in itertools.combinations(CURRENCIES, 2):
        notional = lot * CURRENCIES[base][0]
        legs = {base: notional, quote: -notional}
        width = sum(CURRENCIES[name][2] for name in (base, quote)) * (1.0 if "USD" in (base, quote) else 0.75)
        for _ in range(VENUES):
            columns.append([legs.get(name, 0.0) for name in assets])
            half_spreads.append(notional * 0.5e-4 * width * chance.uniform(0.7, 1.3))
            fees.append(notional * FEE)
    half_spread, fee = np.array(half_spreads), np.array(fees)
    m = len(half_spread)
    if ladders:
        sizes = np.rint(np.array(LADDER_MILLIONS) * 1e6 / lot).astype(np.int64)
        costs = half_spread[:, None] * np.array(LADDER_WIDTHS) + fee[:, None]
        side = CostLadders(np.tile(sizes, (m, 1)), costs, half_spread, fee)
    else:
        side = flat_ladders(half_spread + fee)
    q = POSITION * chance.standard_normal(n)
    most = np.full(m, round(100e6 / lot))
    return HedgeProblem(
        q=q,
        A=np.array(columns).T.copy(),
        buy=side,
        sell=side,
        lower=-most,
        upper=most,
        Sigma=Sigma,
        basis_variance=0.0,
        target=float(chance.uniform(0.2, 0.95) * np.sqrt(q @ Sigma @ q)),
        risk_resolution=0.01,
        cost_resolution=0.01,
    )
