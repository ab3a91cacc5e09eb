"""The dealer's value of an inventory in one asset, numerically: the HJB equation on a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed, NotConverged
from solver.market_making.dealer import ClientStream, Dealer
from solver.market_making.quadratic import quadratic_value

# Some ten rounds suffice; exponential demand takes one more for every factor e by which its first guess is out.
_MOST_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class GridValue:
    """The value of a one-asset dealer, and what it does, at each inventory of a grid.

    Attributes
    ----------
    inventory : (n,) numeraire, from -limit to limit.
    value : (n,) numeraire, 0 at inventory 0.
    gain : numeraire per unit of time, what the dealer earns in the long run after the price of its risk.
    quotes : for each stream (n, k) markups by inventory and size; NaN where the trade would leave the grid.
    hedging_rate : (n,) numeraire per unit of time, all markets together; negative sells.
    """

    inventory: FloatArray
    value: FloatArray
    gain: float
    quotes: tuple[FloatArray, ...]
    hedging_rate: FloatArray


def grid_value(dealer: Dealer, limit: float, step: float) -> GridValue:
    """The long-run value of a dealer in one asset, up to the grid.

    Trades move the inventory by whole steps; hedging at the rate v is a move by one step at the rate |v| / step (an
    upwind difference). That makes a Markov chain in continuous time whose long-run value policy iteration finds.

    Parameters
    ----------
    dealer : one asset, directions +1 or -1.
    limit : > 0, numeraire, a multiple of `step`; trades beyond it are refused.
    step : > 0, numeraire; every size is a multiple of it.

    Returns
    -------
    `GridValue`. O(n³) a round, n = 2 limit / step + 1, some ten rounds.

    Raises
    ------
    IllPosed : more than one asset, a direction other than ±1, sizes that are no multiples of `step`, or sizes with a
        larger common divisor on a grid where nothing is ever hedged; as `quadratic_value` besides.
    NotConverged : the policy still changes after 100 rounds.

    References
    ----------
    Barzykin, Bergault and Guéant (2023), Algorithmic market making in dealer markets with hedging and market impact,
    Mathematical Finance 33(1).
    Howard (1960), Dynamic Programming and Markov Processes, ch. 8.
    """
    half = _steps(limit, step, "limit")
    if dealer.Sigma.shape != (1, 1):
        raise IllPosed(f"a grid needs one asset, got {len(dealer.impact)}")
    for direction in [part.direction for part in dealer.streams] + [part.direction for part in dealer.markets]:
        if abs(float(direction[0])) != 1.0:
            raise IllPosed(f"directions must be +1 or -1 on a grid, got {direction[0]}")
    moves = [_moves(stream, step) for stream in dealer.streams]
    q = step * np.arange(-half, half + 1, dtype=np.float64)
    # Only a start, but one that already hedges far out: without hedging, inventories that differ by less than the
    # common divisor of the sizes would never meet, and have no common value.
    theta: FloatArray = -quadratic_value(dealer).A[0, 0] * q**2
    divided = math.gcd(*(int(shift) for shifts in moves for shift in shifts)) > 1
    for _ in range(_MOST_ROUNDS):
        generator, reward, quotes, hedging_rate = _greedy(dealer, moves, q, theta, step)
        if divided and not hedging_rate.any():
            raise IllPosed(f"limit must reach beyond the zone without hedging for a step below all sizes, got {limit}")
        # Unknowns: theta with theta(0) = 0, whose column the gain takes.
        system = generator.copy()
        system[:, half] = -1.0
        solution: FloatArray = np.asarray(np.linalg.solve(system, -reward), dtype=np.float64)
        gain = float(solution[half])
        solution[half] = 0.0
        settled = float(np.abs(solution - theta).max()) <= 1e-10 * float(np.abs(solution).max())
        theta = solution
        if settled:
            return GridValue(q, theta, gain, quotes, hedging_rate)
    raise NotConverged(
        f"policy iteration did not settle within {_MOST_ROUNDS} rounds; a finer step or a wider limit helps"
    )


def _greedy(
    dealer: Dealer, moves: list[IntArray], q: FloatArray, theta: FloatArray, step: float
) -> tuple[FloatArray, FloatArray, tuple[FloatArray, ...], FloatArray]:
    """The best controls against `theta`: generator (n, n) and reward (n,) of their chain, quotes and hedging rates."""
    n = len(q)
    index = np.arange(n)
    generator = np.zeros((n, n))
    reward = -0.5 * dealer.risk_aversion * float(dealer.Sigma[0, 0]) * q**2
    quotes = []
    for stream, shifts in zip(dealer.streams, moves, strict=True):
        markups = np.full((n, len(shifts)), np.nan)
        for column, (shift, size, rate) in enumerate(zip(shifts, stream.sizes, stream.rates, strict=True)):
            inside = (index + shift >= 0) & (index + shift < n)
            at, to = index[inside], index[inside] + shift
            delta = stream.demand.quote((theta[at] - theta[to]) / size)
            markups[inside, column] = delta
            dealt = rate * stream.demand.share(delta)
            generator[at, to] += dealt
            reward[at] += dealt * size * delta
        quotes.append(markups)
    hedging_rate = np.zeros(n)
    for market in dealer.markets:
        for side in (1, -1):
            inside = (index + side >= 0) & (index + side < n)
            at, to = index[inside], index[inside] + side
            # Worth of one more unit of exposure to this side, the mark of what is held included.
            p = (theta[to] - theta[at]) / step + side * dealer.impact[0] * q[at]
            speed = np.maximum(market.rate(p), 0.0)
            generator[at, to] += speed / step
            reward[at] += speed * side * dealer.impact[0] * q[at] - market.psi * speed - market.eta * speed**2
            hedging_rate[at] += side * speed
    generator[index, index] -= generator.sum(axis=1)
    return generator, reward, tuple(quotes), hedging_rate


def _moves(stream: ClientStream, step: float) -> IntArray:
    whole = [_steps(float(size), step, "size") for size in stream.sizes]
    return np.array(whole, dtype=np.int64) * int(stream.direction[0])


def _steps(amount: float, step: float, name: str) -> int:
    count = round(amount / step) if step > 0 else 0
    if count < 1 or abs(count * step - amount) > 1e-9 * amount:
        raise IllPosed(f"{name} must be a multiple of step {step}, got {amount}")
    return count
