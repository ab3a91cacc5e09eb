"""The cheapest whole-lot trades that bring a residual position back to its target risk."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled
from solver.errors import ConstraintViolated, IllPosed

# Two risks, or two costs, that differ by less than this share count as equal: far above the rounding of the kernels
# (1e-12 with a position of ten thousand times the target), far below anything a price is known to.
_TIE = 1e-9
# A lot count beyond this times an exposure has no digits left for a single lot.
_MOST_LOTS = 10**9
# Nodes between two looks at `should_stop`: about a millisecond with 18 instruments.
_BATCH = 256
# Rounds of coordinate descent. A bound is valid after any number of them, only weaker after few. Measured on 11
# currencies and 18 pairs: beyond 300 the published bound gains about 1 %; in a node, which starts from its parent's
# lots, 4 prove less in the same time and 16 no more; what the start uses only gets rounded.
_BOUND_ROUNDS = 300
_NODE_ROUNDS = 8
_START_ROUNDS = 40
# Moves of one local improvement, 10 µs each with 18 instruments. Lots of a twentieth of a position settle within 15, of
# a two-hundredth within 50; without a limit the smallest, which hardly gain by a move, would go on for seconds.
_MOST_MOVES = 50
# The start rounds the relaxed lots for these shares of the target risk; of the tighter ones some reach it once rounded.
_START_SHARES = (1.0, 0.9, 0.75, 0.5, 0.25)


@dataclass(frozen=True, eq=False)
class HedgeProblem:
    """What is held, what can be traded, and how much risk may stay.

    The risk of lots h is ``sqrt((q + A h)' Sigma (q + A h) + basis_variance)``, one standard deviation.

    Parameters
    ----------
    q : (n,) residual position to hedge, numeraire.
    A : (n, m) exposure per bought lot of each instrument, numeraire; m may be 0.
    cost_per_lot : (m,) >= 0, half spread and fees of one lot, numeraire; buying and selling cost the same.
    lower, upper : (m,) int64 lots, ``lower <= 0 <= upper``, at most 1e9 in size.
    Sigma : (n, n) covariance of log returns over the horizon that `target` is for, symmetric PSD.
    basis_variance : >= 0, numeraire², the variance that no trade changes (of what was packed).
    target : > 0, numeraire, one standard deviation.
    risk_resolution : 0 <= and < 1, only for a target out of reach: the share of the risk that is not worth paying for.
        The search for the least risk then ends where nothing is lower by more than this share, and the cheapest lots up
        to this share above are taken. With 0 the last fraction of a lot gets chased, at any cost.

    Raises
    ------
    IllPosed : a wrong shape, NaN or infinity, a negative cost, bounds that leave out zero, an instrument without
        exposure, a Sigma that is not symmetric PSD. The message names the argument, what was expected and what came.
    """

    q: FloatArray
    A: FloatArray
    cost_per_lot: FloatArray
    lower: IntArray
    upper: IntArray
    Sigma: FloatArray
    basis_variance: float
    target: float
    risk_resolution: float = 0.0

    def __post_init__(self) -> None:
        n, m = np.size(self.q), np.size(self.cost_per_lot)
        if n == 0:
            raise IllPosed("q must hold at least one asset, got none")
        for name, shape, dtype in (
            ("q", (n,), np.float64),
            ("A", (n, m), np.float64),
            ("cost_per_lot", (m,), np.float64),
            ("lower", (m,), np.int64),
            ("upper", (m,), np.int64),
            ("Sigma", (n, n), np.float64),
        ):
            values = getattr(self, name)
            if values.shape != shape or values.dtype != dtype:
                raise IllPosed(
                    f"{name} must have shape {shape} and type {dtype.__name__}, got {values.shape} and {values.dtype}"
                )
            if not np.isfinite(values).all():
                raise IllPosed(f"{name} must be finite, got {values[~np.isfinite(values)][0]}")
        if not 0 <= self.basis_variance < math.inf:
            raise IllPosed(f"basis_variance must be finite and >= 0, got {self.basis_variance}")
        if not 0 < self.target < math.inf:
            raise IllPosed(f"target must be finite and > 0, got {self.target}")
        if not 0 <= self.risk_resolution < 1:
            raise IllPosed(f"risk_resolution must be >= 0 and < 1, got {self.risk_resolution}")
        if (self.cost_per_lot < 0).any():
            raise IllPosed(f"cost_per_lot must be >= 0, got {self.cost_per_lot.min()}")
        if (self.lower > 0).any() or (self.lower < -_MOST_LOTS).any():
            raise IllPosed(f"lower must be within -{_MOST_LOTS} and 0, got {self.lower}")
        if (self.upper < 0).any() or (self.upper > _MOST_LOTS).any():
            raise IllPosed(f"upper must be within 0 and {_MOST_LOTS}, got {self.upper}")
        if not self.A.any(axis=0).all():
            idle = np.flatnonzero(~self.A.any(axis=0)).tolist()
            raise IllPosed(f"A must give every instrument an exposure, got only zeros for the instruments {idle}")
        scale = float(np.abs(self.Sigma).max())
        asymmetry = float(np.abs(self.Sigma - self.Sigma.T).max())
        if asymmetry > 1e-10 * scale:
            raise IllPosed(f"Sigma must be symmetric, got mirrored entries that differ by {asymmetry:.3g}")
        least = float(np.linalg.eigvalsh(self.Sigma)[0])
        if least < -1e-10 * scale:
            raise IllPosed(f"Sigma must be positive semidefinite, got the eigenvalue {least:.3g}")


@dataclass(frozen=True, eq=False)
class Hedge:
    """The answer to a `HedgeProblem`.

    Attributes
    ----------
    lots : (m,) int64, bought lots of each instrument; negative is sold.
    cost : ``cost_per_lot @ |lots|``, numeraire.
    risk_before, risk_after : numeraire, one standard deviation, basis variance included.
    status : `none-needed` when `risk_before` is within the target and nothing is traded; `reached` when `risk_after`
        is; `unreachable` when no lots within their bounds get there (with `proven` False: none were found): `lots` then
        lower the risk as far as they can, at the least cost at which it gets that low (see `risk_resolution`). Within:
        up to a relative 1e-9.
    cost_lower_bound : numeraire; no trade down to the target (`unreachable`: down to `risk_after`) costs less.
    proven : `lots` are the optimum, to a relative 1e-9 in risk and cost (to `risk_resolution` in the least risk);
        `cost_lower_bound` is then `cost`.
    effort_nodes : boxes of the search that were looked at.
    stopped_by_clock : `should_stop` ended the search.
    """

    lots: IntArray
    cost: float
    risk_before: float
    risk_after: float
    status: Literal["none-needed", "reached", "unreachable"]
    cost_lower_bound: float
    proven: bool
    effort_nodes: int
    stopped_by_clock: bool


def minimum_variance_hedge(q: FloatArray, A: FloatArray, Sigma: FloatArray) -> FloatArray:
    """Continuous lots that minimise the variance of ``q + A h``: ``-(A' Sigma A)^+ A' Sigma q``.

    Solved as least squares in a root of Sigma, so neither Sigma nor ``A' Sigma A`` need be invertible; of several
    answers it is the shortest.

    Parameters
    ----------
    q : (n,) position, numeraire.
    A : (n, m) exposure per lot, numeraire.
    Sigma : (n, n) covariance of log returns, symmetric PSD.

    Returns
    -------
    (m,) lots.

    References
    ----------
    Ederington (1979), The Hedging Performance of the New Futures Markets, Journal of Finance 34(1).
    """
    root = _root(Sigma)
    return np.asarray(np.linalg.lstsq(root @ A, -(root @ q), rcond=None)[0], dtype=np.float64)


def hedge(problem: HedgeProblem, max_nodes: int = 1000, should_stop: Callable[[], bool] | None = None) -> Hedge:
    """The whole lots of least cost that bring the risk to its target.

    ``min cost_per_lot @ |h|  subject to  (q + A h)' Sigma (q + A h) + basis_variance <= target²``, h whole lots within
    their bounds. Of equal costs the fewest lots win, then more lots in the instruments listed first, then bought before
    sold. A rounded and locally improved continuous solution is the start; a depth-first branch and bound over boxes of
    lots improves and proves it, with the dual of the continuous problem as the bound.

    Parameters
    ----------
    problem : see `HedgeProblem`.
    max_nodes : >= 0, boxes that may be looked at; the same number gives the same answer on any machine of one kind.
    should_stop : asked before every 256 boxes whether to end the search; it changes nothing else.

    Returns
    -------
    `Hedge`, never worse than the start. O(n m + m²) a box: about 4 µs with 11 currencies and 18 instruments.

    Raises
    ------
    IllPosed : `max_nodes` is negative.
    ConstraintViolated : the lots, checked from scratch, break their bounds or miss the target they claim to reach.

    References
    ----------
    Land and Doig (1960), An Automatic Method of Solving Discrete Programming Problems, Econometrica 28(3).
    Tseng (2001), Convergence of a Block Coordinate Descent Method for Nondifferentiable Minimization, JOTA 109(3).
    """
    if max_nodes < 0:
        raise IllPosed(f"max_nodes must be >= 0, got {max_nodes}")
    nothing = np.zeros(len(problem.cost_per_lot), dtype=np.int64)
    before = _risk(problem, nothing)
    if before <= problem.target * (1.0 + _TIE):
        return Hedge(nothing, 0.0, before, before, "none-needed", 0.0, True, 0, False)

    terms = _scaled(problem)
    effort = _Effort(max_nodes, should_stop)
    limit = (1.0 + _TIE) ** 2 - terms.basis
    lots = _start(terms, limit)
    lowest_known = True
    reached = _residual(terms, lots)[1] <= limit
    if not reached:
        lowest_known = _explore(terms, limit, True, lots, np.zeros(len(lots)), 1.0, effort)
        square = _residual(terms, lots)[1]
        reached = square <= limit
        if not reached:
            # From here on the lowest risk found stands in for the target.
            limit = (square + terms.basis) * (1.0 + terms.resolution) ** 2 - terms.basis
        _descend(terms, limit, lots)

    x = np.zeros(len(lots))
    radius = math.sqrt(limit)
    _, weight = _relax(terms, terms.lower, terms.upper, radius, x, 1.0, _BOUND_ROUNDS, math.inf)
    # The published bound is on the true cost, without what `_scaled` adds to order ties.
    true_cost = terms._replace(cost=problem.cost_per_lot / terms.money)
    bound, _ = _dual_bound(true_cost, terms.lower, terms.upper, radius, x, np.empty(len(lots)))
    cheapest_known = _explore(terms, limit, False, lots, x, weight, effort)

    cost = float(problem.cost_per_lot @ np.abs(lots))
    _check(problem, lots, reached)
    return Hedge(
        lots=lots,
        cost=cost,
        risk_before=before,
        risk_after=_risk(problem, lots),
        status="reached" if reached else "unreachable",
        cost_lower_bound=cost if cheapest_known else min(cost, bound * terms.money),
        proven=lowest_known and cheapest_known,
        effort_nodes=effort.nodes,
        stopped_by_clock=effort.stopped,
    )


def _check(problem: HedgeProblem, lots: IntArray, reached: bool) -> None:
    if (lots < problem.lower).any() or (lots > problem.upper).any():
        raise ConstraintViolated(f"lots {lots} break their bounds {problem.lower} to {problem.upper}")
    exposure = problem.q + problem.A @ lots
    # What the sum of n² terms may lose to rounding.
    rounding = 1e-13 * float(np.abs(exposure) @ np.abs(problem.Sigma) @ np.abs(exposure))
    risk = _risk(problem, lots)
    if reached and risk**2 > (problem.target * (1.0 + 2.0 * _TIE)) ** 2 + rounding:
        raise ConstraintViolated(f"lots {lots} leave a risk of {risk}, over the target {problem.target}")


def _risk(problem: HedgeProblem, lots: IntArray) -> float:
    exposure = problem.q + problem.A @ lots
    # Rounding can put a variance of zero slightly below it.
    return math.sqrt(max(float(exposure @ problem.Sigma @ exposure), 0.0) + problem.basis_variance)


def _root(Sigma: FloatArray) -> FloatArray:
    """(n, n) with ``root.T @ root = Sigma``, so that ``|root @ q|`` is the risk of q; Sigma may be singular."""
    values, vectors = np.linalg.eigh(Sigma)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T, dtype=np.float64)


class _Terms(NamedTuple):
    """A problem in the kernels' units: the target risk is 1, the cheapest lot that is not free costs 1.

    ``|y + h G|²`` is the variance of lots h without the basis variance. A tuple, since numba takes no dataclass.
    """

    y: FloatArray
    G: FloatArray
    gram: FloatArray
    cost: FloatArray
    next_twin: IntArray
    lower: IntArray
    upper: IntArray
    basis: float
    resolution: float
    money: float


def _scaled(problem: HedgeProblem) -> _Terms:
    root = _root(problem.Sigma) / problem.target
    G = np.ascontiguousarray((root @ problem.A).T)
    gram = G @ G.T
    # An instrument whose variance is only the rounding of a singular Sigma cannot help: bounds of zero keep it out, and
    # every kernel leaves alone what has equal bounds.
    idle = np.diag(gram) <= 1e-14 * (root**2).sum() * (problem.A**2).sum(axis=0)
    paid = problem.cost_per_lot[problem.cost_per_lot > 0]
    money = float(paid.min()) if len(paid) else 1.0
    return _Terms(
        y=root @ problem.q,
        G=G,
        gram=gram,
        # The surcharge makes fewer lots cheaper among equal costs, and gives lots that are free a price.
        cost=problem.cost_per_lot / money + (_TIE if len(paid) else 1.0),
        next_twin=_next_twins(problem.A, problem.cost_per_lot),
        lower=np.where(idle, 0, problem.lower),
        upper=np.where(idle, 0, problem.upper),
        basis=problem.basis_variance / problem.target**2,
        resolution=max(_TIE, problem.risk_resolution),
        money=money,
    )


def _next_twins(A: FloatArray, cost: FloatArray) -> IntArray:
    """For each instrument the next dearer one with the same legs (at the same cost the next one listed), or -1."""
    following = np.full(len(cost), -1, dtype=np.int64)
    last: dict[bytes, int] = {}
    for j in np.argsort(cost, kind="stable").tolist():
        legs = (A[:, j] + 0.0).tobytes()
        if legs in last:
            following[last[legs]] = j
        last[legs] = j
    return following


def _start(terms: _Terms, limit: float) -> IntArray:
    """Whole lots improved by moves of one or two instruments: in cost, or in risk where `limit` was not reached."""
    x = np.zeros(len(terms.cost))
    weight = 1.0
    best = np.zeros(len(x), dtype=np.int64)
    best_square = math.inf
    for share in _START_SHARES:
        radius = share * math.sqrt(max(limit, 0.0))
        _, weight = _relax(terms, terms.lower, terms.upper, radius, x, weight, _START_ROUNDS, math.inf)
        lots = np.rint(x).astype(np.int64)
        _descend(terms, limit, lots)
        square = _residual(terms, lots)[1]
        both_reach = max(square, best_square) <= limit
        if _is_better(terms.cost, lots, best) if both_reach else square < best_square:
            best, best_square = lots, square
    return best


@dataclass
class _Effort:
    nodes_left: int
    should_stop: Callable[[], bool] | None
    nodes: int = 0
    stopped: bool = False


def _explore(
    terms: _Terms, limit: float, lower_risk: bool, best: IntArray, x: FloatArray, weight: float, effort: _Effort
) -> bool:
    """Run `_search` from its root, in batches, improving `best` in place; whether it came to its end."""
    m = len(best)
    if lower_risk:
        terms = terms._replace(cost=np.zeros(m))
        lo, hi = terms.lower[None, :], terms.upper[None, :]
    else:
        affordable = np.floor(_price(terms.cost, best) / terms.cost * (1.0 + _TIE)).astype(np.int64)
        lo, hi = np.maximum(terms.lower, -affordable)[None, :], np.minimum(terms.upper, affordable)[None, :]
    relaxed, weights = x[None, :], np.array([weight])
    open_nodes = 1
    while open_nodes:
        if effort.nodes_left == 0:
            return False
        if effort.should_stop is not None and effort.should_stop():
            effort.stopped = True
            return False
        batch = min(_BATCH, effort.nodes_left)
        # A node makes room for itself and leaves two.
        room = open_nodes + batch
        lo, hi, relaxed, weights = (np.resize(a[:open_nodes], (room, *a.shape[1:])) for a in (lo, hi, relaxed, weights))
        open_nodes, looked = _search(terms, lo, hi, relaxed, weights, open_nodes, batch, limit, lower_risk, best)
        effort.nodes += looked
        effort.nodes_left -= looked
    return True


@compiled
def _price(cost: FloatArray, h: IntArray) -> float:
    total = 0.0
    for j in range(len(h)):
        total += cost[j] * abs(h[j])
    return total


@compiled
def _residual(terms: _Terms, h: IntArray) -> tuple[FloatArray, float]:
    """``y + h G`` and its square."""
    r = terms.y.copy()
    for j in range(len(h)):
        if h[j] != 0:
            for k in range(len(r)):
                r[k] += h[j] * terms.G[j, k]
    square = 0.0
    for k in range(len(r)):
        square += r[k] * r[k]
    return r, square


@compiled
def _is_better(cost: FloatArray, h: IntArray, than: IntArray) -> bool:
    """Lower cost, then fewer lots, then more lots in the instruments listed first, then bought before sold."""
    ours, theirs = _price(cost, h), _price(cost, than)
    if abs(ours - theirs) > 1e-12 * theirs:
        return bool(ours < theirs)
    fewer = 0
    for j in range(len(h)):
        fewer += abs(than[j]) - abs(h[j])
    if fewer != 0:
        return bool(fewer > 0)
    for j in range(len(h)):
        if h[j] != than[j]:
            return bool(abs(h[j]) > abs(than[j]) or (abs(h[j]) == abs(than[j]) and h[j] > than[j]))
    return False


@compiled
def _dual_bound(
    terms: _Terms, lo: IntArray, hi: IntArray, radius: float, x: FloatArray, gradient: FloatArray
) -> tuple[float, float]:
    """What no lots h within ``lo <= h <= hi`` and ``|y + h G| <= radius`` can cost less than, whatever x is.

    With ``r = y + x G`` every such h has ``r'(y + h G) <= radius |r|``, so for any ``t >= 0`` it costs at least
    ``t (r'r - radius |r|) + sum_j min over h_j of (cost_j |h_j| + t G_j'r (h_j - x_j))``. That is concave and piecewise
    linear in t; walking its breakpoints finds the best t, and a slope that stays positive means that there is no such
    h: the bound is infinite. Writes ``G r`` to `gradient`; returns the bound and ``|r|``.
    """
    m, n = terms.G.shape
    r = terms.y.copy()
    for j in range(m):
        if x[j] != 0.0:
            for k in range(n):
                r[k] += x[j] * terms.G[j, k]
    square = 0.0
    for k in range(n):
        square += r[k] * r[k]
    norm = math.sqrt(square)
    slope = square - radius * norm
    size = square
    bound = 0.0
    breakpoints = np.empty(m)
    drops = np.zeros(m)
    for j in range(m):
        g = 0.0
        for k in range(n):
            g += terms.G[j, k] * r[k]
        gradient[j] = g
        near = min(max(0, lo[j]), hi[j])
        far = hi[j] if g < 0.0 else lo[j]
        bound += terms.cost[j] * abs(near)
        slope += g * (near - x[j])
        size += abs(g) * (abs(x[j]) + abs(far))
        # From t = cost / |g| on, going to the far end pays, if it leads away from zero.
        if far != near and far * g < 0.0:
            breakpoints[j] = terms.cost[j] / abs(g)
            drops[j] = g * (near - far)
    t = 0.0
    # A slope that is only what cancellation left over is no evidence of an empty set.
    while slope > 1e-13 * size:
        following = -1
        for j in range(m):
            if drops[j] > 0.0 and (following < 0 or breakpoints[j] < breakpoints[following]):
                following = j
        if following < 0:
            return math.inf, norm
        bound += slope * (breakpoints[following] - t)
        t = breakpoints[following]
        slope -= drops[following]
        drops[following] = 0.0
    return bound, norm


@compiled
def _relax(
    terms: _Terms,
    lo: IntArray,
    hi: IntArray,
    radius: float,
    x: FloatArray,
    weight: float,
    rounds: int,
    enough: float,
) -> tuple[float, float]:
    """Move continuous lots x, in place, towards the least cost within `radius`: the best bound met and the last weight.

    Coordinate descent on ``cost @ |x| + weight / 2 |y + x G|²``, where the weight follows the risk that results. Ends
    early when the bound exceeds `enough`.
    """
    m = len(x)
    gradient = np.empty(m)
    best = 0.0
    for _ in range(rounds):
        bound, norm = _dual_bound(terms, lo, hi, radius, x, gradient)
        best = max(best, bound)
        if best > enough:
            break
        weight *= min(max(norm / max(radius, 1e-9), 0.5), 2.0)
        # Without a limit it would overflow where no weight is right: a radius of zero, or one that holds every x.
        weight = min(max(weight, 1e-12), 1e12)
        for _ in range(3):
            for j in range(m):
                if lo[j] == hi[j]:
                    continue
                free = x[j] - gradient[j] / terms.gram[j, j]
                shrink = terms.cost[j] / (weight * terms.gram[j, j])
                wanted = max(free - shrink, 0.0) + min(free + shrink, 0.0)
                step = min(max(wanted, float(lo[j])), float(hi[j])) - x[j]
                if step != 0.0:
                    x[j] += step
                    for i in range(m):
                        gradient[i] += step * terms.gram[j, i]
    return best, weight


@compiled
def _descend(terms: _Terms, limit: float, h: IntArray) -> None:
    """Take the best move of one or two instruments until none helps, or `_MOST_MOVES` are done, in place.

    While ``|y + h G|² > limit`` a move lowers the risk, then it lowers the cost and stays within. One instrument moves
    by a lot, to zero or not at all; the other to whatever number of lots is then best, which a quadratic tells.
    """
    m = len(h)
    lo, hi, gram, cost = terms.lower, terms.upper, terms.gram, terms.cost
    for _ in range(_MOST_MOVES):
        r, square = _residual(terms, h)
        gradient = np.empty(m)
        for j in range(m):
            gradient[j] = np.sum(terms.G[j] * r)
        within = square <= limit
        gain = _TIE * (_price(cost, h) if within else square)
        first = second = -1
        first_to = second_to = 0
        for i in range(m):
            for choice in range(4):
                to = h[i] + choice - 1 if choice < 3 else 0
                if to < lo[i] or to > hi[i]:
                    continue
                step = to - h[i]
                base = square + step * (2.0 * gradient[i] + step * gram[i, i])
                saved = cost[i] * (abs(h[i]) - abs(to))
                for j in range(m):
                    if lo[j] == hi[j] or (j == i and step != 0):
                        continue
                    slope = gradient[j] + step * gram[i, j]
                    centre = h[j] - slope / gram[j, j]
                    if within:
                        spread = (slope / gram[j, j]) ** 2 - (base - limit) / gram[j, j]
                        if spread < 0.0:
                            continue
                        least = max(math.ceil(centre - math.sqrt(spread)), lo[j])
                        most = min(math.floor(centre + math.sqrt(spread)), hi[j])
                        if least > most:
                            continue
                        other = min(max(0, least), most)
                        won = saved + cost[j] * (abs(h[j]) - abs(other))
                    else:
                        other = min(max(round(centre), lo[j]), hi[j])
                        by = other - h[j]
                        won = square - base - by * (2.0 * slope + by * gram[j, j])
                    if won > gain:
                        gain, first, first_to, second, second_to = won, i, to, j, other
        if first < 0:
            return
        was_first, was_second = h[first], h[second]
        h[first] = first_to
        h[second] = second_to
        after = _residual(terms, h)[1]
        if after > limit if within else after >= square:
            # On the very edge the quadratic and the sum disagree by rounding. The sum is what gets checked, and a risk
            # that only fell by rounding would go round in circles.
            h[first] = was_first
            h[second] = was_second
            return


@compiled
def _search(
    terms: _Terms,
    lo: IntArray,
    hi: IntArray,
    x: FloatArray,
    weight: FloatArray,
    open_nodes: int,
    nodes: int,
    limit: float,
    lower_risk: bool,
    best: IntArray,
) -> tuple[int, int]:
    """Look at up to `nodes` boxes, depth first, improving `best` in place: the boxes left open, and those looked at.

    Box k is ``lo[k] <= h <= hi[k]``, with relaxed lots ``x[k]`` and a weight to start from; the last one is next. The
    question is the least cost with ``|y + h G|² <= limit``. With `lower_risk` it is the least risk, down to `limit`:
    cost is then all zeros, so the bound of a box is infinite where no lots beat the best, else 0.
    """
    m = len(best)
    h = np.empty(m, np.int64)
    best_square = _residual(terms, best)[1]
    looked = 0
    while open_nodes > 0 and looked < nodes:
        within = limit
        if lower_risk:
            within = max((best_square + terms.basis) * (1.0 - terms.resolution) ** 2 - terms.basis, limit)
            if best_square <= limit or within < 0.0:
                return 0, looked
        looked += 1
        open_nodes -= 1
        k = open_nodes
        empty = False
        for j in range(m):
            empty |= lo[k, j] > hi[k, j]
            x[k, j] = min(max(x[k, j], float(lo[k, j])), float(hi[k, j]))
        if empty:
            continue
        # Boxes that can only equal the best stay, since ties are ordered too.
        enough = _price(terms.cost, best) * (1.0 + 1e-12)
        bound, weight[k] = _relax(terms, lo[k], hi[k], math.sqrt(within), x[k], weight[k], _NODE_ROUNDS, enough)
        if bound > enough:
            continue
        branch = -1
        furthest = -1.0
        for j in range(m):
            h[j] = round(x[k, j])
            away = abs(x[k, j] - h[j]) * math.sqrt(terms.gram[j, j])
            if lo[k, j] < hi[k, j] and away > furthest:
                branch, furthest = j, away
        square = _residual(terms, h)[1]
        if square <= within and (lower_risk or _is_better(terms.cost, h, best)):
            for j in range(m):
                best[j] = h[j]
            best_square = square
        if branch < 0:
            continue
        # The half nearer to the relaxed value goes last, so that it is next.
        split = min(math.floor(x[k, branch]), hi[k, branch] - 1)
        up, down = (k + 1, k) if x[k, branch] > split + 0.5 else (k, k + 1)
        # Entry by entry: numba would compile the error messages of a slice assignment for two seconds.
        for j in range(m):
            lo[k + 1, j] = lo[k, j]
            hi[k + 1, j] = hi[k, j]
            x[k + 1, j] = x[k, j]
        weight[k + 1] = weight[k]
        lo[up, branch] = split + 1
        hi[down, branch] = split
        # A dearer instrument with the same legs waits until the cheaper one is at its bound; without this each split of
        # the lots between the two would be searched.
        twin = terms.next_twin[branch]
        while twin >= 0:
            if hi[down, branch] < terms.upper[branch]:
                hi[down, twin] = min(hi[down, twin], 0)
            if lo[up, branch] > terms.lower[branch]:
                lo[up, twin] = max(lo[up, twin], 0)
            twin = terms.next_twin[twin]
        open_nodes = k + 2
    return open_nodes, looked
