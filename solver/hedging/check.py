"""Checks an answer from scratch, with nothing that the search used."""

from __future__ import annotations

import numpy as np

from solver.arrays import IntArray
from solver.errors import ConstraintViolated
from solver.hedging.problem import TIE, HedgeProblem, risk_of


def check_lots(problem: HedgeProblem, lots: IntArray, reached: bool) -> None:
    """Raise ConstraintViolated where `lots` break a bound, a ladder, the number of trades, or the target they claim."""
    if (lots < problem.lower).any() or (lots > problem.upper).any():
        raise ConstraintViolated(f"lots {lots} break their bounds {problem.lower} to {problem.upper}")
    if (lots > problem.buy.reach).any() or (-lots > problem.sell.reach).any():
        raise ConstraintViolated(
            f"lots {lots} are more than the ladders have, {problem.buy.reach} to buy and {problem.sell.reach} to sell"
        )
    trades = int(np.count_nonzero(lots))
    if problem.max_trades is not None and trades > problem.max_trades:
        raise ConstraintViolated(f"lots {lots} are {trades} trades, more than the {problem.max_trades} allowed")
    exposure = problem.q + problem.A @ lots
    # What the sum of n² terms may lose to rounding.
    rounding = 1e-13 * float(np.abs(exposure) @ np.abs(problem.Sigma) @ np.abs(exposure))
    risk = risk_of(problem, lots)
    if reached and risk**2 > (problem.target * (1.0 + 2.0 * TIE)) ** 2 + rounding:
        raise ConstraintViolated(f"lots {lots} leave a risk of {risk}, over the target {problem.target}")
