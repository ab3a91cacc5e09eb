"""What a hedge is asked for, and the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.hedging.cost import MOST_LOTS, CostLadders, CostParts
from solver.hedging.merged import Merged, merged
from solver.psd import check_covariance

#: Two risks, or two costs, that differ by less than this share count as equal: far above the rounding of the kernels
#: (1e-12 with a position of ten thousand times the target), far below anything a price is known to.
TIE = 1e-9


@dataclass(frozen=True, eq=False)
class HedgeProblem:
    """What is held, what can be traded at what cost, and how much risk may stay.

    The risk of lots h is ``sqrt((q + A h)' Sigma (q + A h) + basis_variance)``, one standard deviation.

    Parameters
    ----------
    q : (n,) position to hedge, numeraire.
    A : (n, m) exposure per bought lot of each instrument, numeraire; m may be 0. An instrument at two venues is two
        instruments with equal columns.
    buy, sell : what lots cost, see `CostLadders`; no more lots can be traded than they have.
    lower, upper : (m,) int64 lots, ``lower <= 0 <= upper``: size limits and permissions (0 forbids a side). At most 1e9
        in size.
    Sigma : (n, n) covariance of log returns over the horizon that `target` is for, symmetric PSD.
    basis_variance : >= 0, numeraire², variance of the packed positions, which no trade changes.
    target : > 0, numeraire, one standard deviation.
    max_trades : >= 0, how many instruments may be traded at once; None for any number.
    risk_resolution : 0 <= and < 1, only for a target out of reach: the share of the risk that is not worth paying for.
        The search for the least risk then ends where nothing is lower by more than this share, and the cheapest lots up
        to this share above are taken. With 0 the last fraction of a lot is hedged, at any cost.
    cost_resolution : >= 0, numeraire. Smaller differences of cost are worth no search, and `proven` holds up to it.

    Raises
    ------
    IllPosed : a wrong shape, NaN or infinity, bounds that leave out zero, an instrument without exposure, a Sigma that
        is not symmetric PSD. The message names the argument, what was expected and what came.
    """

    q: FloatArray
    A: FloatArray
    buy: CostLadders
    sell: CostLadders
    lower: IntArray
    upper: IntArray
    Sigma: FloatArray
    basis_variance: float
    target: float
    max_trades: int | None = None
    risk_resolution: float = 0.0
    cost_resolution: float = 0.0

    def __post_init__(self) -> None:
        n, m = np.size(self.q), np.size(self.lower)
        if n == 0:
            raise IllPosed("q must hold at least one asset, got none")
        self._check_position(n)
        for name, shape, dtype in (
            ("A", (n, m), np.float64),
            ("lower", (m,), np.int64),
            ("upper", (m,), np.int64),
            ("Sigma", (n, n), np.float64),
        ):
            _check_array(name, getattr(self, name), shape, dtype)
        for name, ladders in (("buy", self.buy), ("sell", self.sell)):
            if len(ladders.lots) != m:
                raise IllPosed(f"{name} must have one ladder an instrument, expected {m}, got {len(ladders.lots)}")
        if not 0 <= self.cost_resolution < math.inf:
            raise IllPosed(f"cost_resolution must be finite and >= 0, got {self.cost_resolution}")
        if not 0 <= self.risk_resolution < 1:
            raise IllPosed(f"risk_resolution must be >= 0 and < 1, got {self.risk_resolution}")
        if self.max_trades is not None and self.max_trades < 0:
            raise IllPosed(f"max_trades must be >= 0, got {self.max_trades}")
        if (self.lower > 0).any() or (self.lower < -MOST_LOTS).any():
            raise IllPosed(f"lower must be within -{MOST_LOTS} and 0, got {self.lower}")
        if (self.upper < 0).any() or (self.upper > MOST_LOTS).any():
            raise IllPosed(f"upper must be within 0 and {MOST_LOTS}, got {self.upper}")
        if not self.A.any(axis=0).all():
            idle = np.flatnonzero(~self.A.any(axis=0)).tolist()
            raise IllPosed(f"A must give every instrument an exposure, got only zeros for the instruments {idle}")
        check_covariance(self.Sigma)

    def _check_position(self, n: int) -> None:
        _check_array("q", self.q, (n,), np.float64)
        if not 0 <= self.basis_variance < math.inf:
            raise IllPosed(f"basis_variance must be finite and >= 0, got {self.basis_variance}")
        if not 0 < self.target < math.inf:
            raise IllPosed(f"target must be finite and > 0, got {self.target}")

    def at_position(self, q: FloatArray, basis_variance: float, target: float) -> HedgeProblem:
        """The same instruments, costs and covariance for another position and target; only these are checked.

        What is prepared of the instruments and the covariance is shared.

        Raises
        ------
        IllPosed : q of another shape or not finite, or a variance or target out of range.
        """
        moved = object.__new__(HedgeProblem)
        # Prepared here, because otherwise each position would prepare them again.
        moved.__dict__.update(self.__dict__, root=self.root, merged=self.merged)
        moved.__dict__.update(q=q, basis_variance=basis_variance, target=target)
        moved._check_position(len(self.q))
        return moved

    @cached_property
    def root(self) -> FloatArray:
        """(n, n) of `covariance_root`."""
        return covariance_root(self.Sigma)

    @cached_property
    def merged(self) -> Merged:
        """The instruments by legs, or each alone."""
        return merged(self.A, self.buy, self.sell, self.lower, self.upper, self.root, TIE, self.max_trades)


def _check_array(name: str, values: FloatArray | IntArray, shape: tuple[int, ...], dtype: type) -> None:
    if values.shape != shape or values.dtype != dtype:
        raise IllPosed(
            f"{name} must have shape {shape} and type {dtype.__name__}, got {values.shape} and {values.dtype}"
        )
    if not np.isfinite(values).all():
        raise IllPosed(f"{name} must be finite, got {values[~np.isfinite(values)][0]}")


@dataclass(frozen=True, eq=False)
class Hedge:
    """The answer to a `HedgeProblem`.

    Attributes
    ----------
    lots : (m,) int64, bought lots of each instrument; negative is sold.
    cost : numeraire, by component.
    risk_after : numeraire, one standard deviation, basis variance included.
    status : `none-needed` when the risk is within the target without a trade, and nothing is traded. `reached` when
        `risk_after` is within the target. `unreachable` when no lots within their bounds get there, or, with `proven`
        False, none were found: `lots` then lower the risk as far as they can, at the least cost at which it gets that
        low (see `risk_resolution`). Within means up to a relative 1e-9.
    cost_lower_bound : numeraire; no trade down to the target costs less, and where it is out of reach, no trade down to
        `risk_after`.
    proven : `lots` are the optimum, to a relative 1e-9 in risk and cost and to the resolutions of the problem;
        `cost_lower_bound` is then `cost` less the cost resolution.
    share_removed : (m,) share of each trade in the variance that all trades remove, see `shares_removed`. They sum to
        1; 0 for what is not traded, and negative for a trade that alone would add risk.
    effort_nodes : boxes of the search that were looked at.
    stopped_by_clock : whether `should_stop` ended the search.
    """

    lots: IntArray
    cost: CostParts
    risk_after: float
    status: Literal["none-needed", "reached", "unreachable"]
    cost_lower_bound: float
    proven: bool
    share_removed: FloatArray
    effort_nodes: int
    stopped_by_clock: bool

    @property
    def gap(self) -> float:
        """What a better hedge could save at most, numeraire."""
        return self.cost.total - self.cost_lower_bound


def risk_of(problem: HedgeProblem, lots: IntArray) -> float:
    """The risk with `lots` (m,), from scratch."""
    exposure = problem.q + problem.A @ lots
    # Rounding can put a variance of zero slightly below it.
    return math.sqrt(max(float(exposure @ problem.Sigma @ exposure), 0.0) + problem.basis_variance)


def shares_removed(problem: HedgeProblem, lots: IntArray) -> FloatArray:
    """(m,) share of each trade in the variance that `lots` remove together.

    The fall of the variance from q to ``p = q + A h`` is ``-sum_j h_j A_j' Sigma (q + p)``, exactly, and each trade has
    its term. Since the variance is quadratic, the term is what the trade removes on average over all orders in which
    the trades can be done. All zeros where nothing is traded or the variance stays.

    References
    ----------
    Shapley (1953), A Value for n-Person Games, Contributions to the Theory of Games II.
    """
    after = problem.q + problem.A @ lots
    terms = -lots * (problem.A.T @ (problem.Sigma @ (problem.q + after)))
    removed = float(terms.sum())
    if abs(removed) <= 1e-12 * float(np.abs(terms).sum()):
        return np.zeros(len(lots))
    return np.asarray(terms / removed, dtype=np.float64)


def covariance_root(Sigma: FloatArray) -> FloatArray:
    """(n, n) with ``root.T @ root = Sigma``, so that ``|root @ q|`` is the risk of q; Sigma may be singular."""
    values, vectors = np.linalg.eigh(Sigma)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T, dtype=np.float64)
