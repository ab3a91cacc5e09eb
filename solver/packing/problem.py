"""What is packed and what a packing must satisfy: the problem, the result, the check between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.compiled import compiled, compiled_borrowing
from solver.errors import ConstraintViolated, IllPosed
from solver.objective import (
    OBJECTIVE_CODES,
    VOLUME,
    Objective,
    covariance_determinant,
    key_kernel,
    volume_rounding,
)

Mode: TypeAlias = Literal["inside", "free"]

# A leg may miss its limit by this share of the asset's largest leg in one lot: sums of products of β weights and lots
# are exact to some 1e-16 of the position, so positions of up to a million lots stay clear of it.
LEG_TOLERANCE = 1e-9
# Asymmetry allowed in Sigma, as a share of its largest entry: what a few floating-point operations leave.
SYMMETRY_TOLERANCE = 1e-12
# Negative eigenvalue allowed in the correlations, as a share of their trace: rounding in an estimate that is PSD by
# construction.
PSD_TOLERANCE = 1e-10
# A proven packing is optimal up to this share of its objective: bounds and values round differently.
PROOF_TOLERANCE = 1e-9
# Bounds beyond it are refused, so that multiples stay exact as float64 with room to spare.
LARGEST_MULTIPLE = 10**9
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
def placed(
    arrays: PackingArrays,
    position: FloatArray,
    lower: IntArray,
    upper: IntArray,
    residual: FloatArray,
    factor: FloatArray,
) -> PackingArrays:
    """The same items and covariance for another position (n,) and other bounds (K,), with `residual` and `factor` as
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
def first_without_zero(lower: IntArray, upper: IntArray) -> int:
    """The first item whose bounds do not have zero between them, or go beyond LARGEST_MULTIPLE; -1 without one."""
    for k in range(lower.shape[0]):
        if not -LARGEST_MULTIPLE <= lower[k] <= 0 <= upper[k] <= LARGEST_MULTIPLE:
            return k
    return -1


@compiled_borrowing
def copy_multiples(source: IntArray, target: IntArray) -> None:
    """Copy (K,) multiples. Slice assignment would cost a second of compilation for its error messages."""
    for k in range(source.shape[0]):
        target[k] = source[k]


@compiled_borrowing
def precedes(
    value: float, tie: float, multiples: IntArray, other_value: float, other_tie: float, other: IntArray
) -> bool:
    """The order every method prefers packings by: objective key, then fewest lots, then lexicographic multiples."""
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


def _finite(name: str, values: FloatArray) -> FloatArray:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise IllPosed(f"{name} must be finite, got NaN or infinity in it")
    return array


def _whole(name: str, values: IntArray) -> IntArray:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise IllPosed(f"{name} must hold integers, got dtype {array.dtype}")
    return np.ascontiguousarray(array, dtype=np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class PackingProblem:
    """Which whole multiples of the items B leave the smallest residual ``q = Q - B @ omega``?

    Minimised is ``objective(q) + cost_per_lot @ |omega|``; the objective of a result has the cost in it.

    Mode `inside`: no leg of the packed sum ``p = B @ omega`` exceeds the held position or flips its sign, so p_i lies
    between 0 and Q_i (up to LEG_TOLERANCE of the asset's largest leg in one lot). Mode `free`: only the bounds hold.
    Packing nothing is always feasible.

    Parameters
    ----------
    B : (n, K) exposure per lot of each item, numeraire; K may be 0.
    Q : (n,) held exposure, numeraire; n >= 1.
    lower, upper : (K,) bounds of the multiples, lower <= 0 <= upper; see `lot_bounds`.
    Sigma : (n, n) covariance of log returns; symmetric up to SYMMETRY_TOLERANCE of its largest entry, the eigenvalues
        of its correlations not below -PSD_TOLERANCE of their trace.
    objective : "variance", "volume" or "determinant", see `solver.objective`.
    mode : "inside" or "free".
    epsilon : > 0, numeraire; the materiality floor, see `solver.objective.materiality_floor`.
    cost_per_lot : (K,) >= 0, what one lot of each item costs in either direction, in the objective's own unit
        (numeraire² for variance, none for volume); None is free of cost.

    Raises
    ------
    IllPosed : naming the argument, what was expected and what came.
    """

    B: FloatArray
    Q: FloatArray
    lower: IntArray
    upper: IntArray
    Sigma: FloatArray
    objective: Objective
    mode: Mode
    epsilon: float
    cost_per_lot: FloatArray | None = None

    def __post_init__(self) -> None:
        # One dtype and layout, so that each kernel is compiled once.
        for name in ("B", "Q", "Sigma", "cost_per_lot"):
            if getattr(self, name) is None:
                continue
            object.__setattr__(self, name, _finite(name, getattr(self, name)))
        for name in ("lower", "upper"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        self._check_shapes()
        self._check_bounds()
        self._check_covariance()
        if self.objective not in OBJECTIVE_CODES:
            raise IllPosed(f"objective must be one of {sorted(OBJECTIVE_CODES)}, got {self.objective!r}")
        if self.mode not in get_args(Mode):
            raise IllPosed(f"mode must be one of {get_args(Mode)}, got {self.mode!r}")
        if not (np.isfinite(self.epsilon) and self.epsilon > 0.0):
            raise IllPosed(f"epsilon must be a finite number > 0, got {self.epsilon}")
        for k in range(self.B.shape[1]):
            if not self.B[:, k].any():
                raise IllPosed(f"B must have a non-zero leg in every item, got only zeros in column {k}")
        unpacked = self.key(np.zeros_like(self.lower))
        if not np.isfinite(unpacked).all():
            raise IllPosed(f"the {self.objective} of Q must be finite, got {unpacked}; scale Q down")

    def _check_shapes(self) -> None:
        if self.Q.ndim != 1 or len(self.Q) == 0:
            raise IllPosed(f"Q must have shape (n,) with n >= 1, got {self.Q.shape}")
        n = len(self.Q)
        if self.B.ndim != 2 or self.B.shape[0] != n:
            raise IllPosed(f"B must have shape ({n}, K) for Q of {n} assets, got {self.B.shape}")
        if self.Sigma.shape != (n, n):
            raise IllPosed(f"Sigma must have shape {(n, n)} for Q of {n} assets, got {self.Sigma.shape}")
        for name, bound in (("lower", self.lower), ("upper", self.upper)):
            if bound.shape != (self.B.shape[1],):
                raise IllPosed(f"{name} must have shape {(self.B.shape[1],)}, one per column of B, got {bound.shape}")
        if self.cost_per_lot is not None and self.cost_per_lot.shape != (self.B.shape[1],):
            raise IllPosed(
                f"cost_per_lot must have shape {(self.B.shape[1],)}, one per column of B, got {self.cost_per_lot.shape}"
            )

    def _check_bounds(self) -> None:
        if self.cost_per_lot is not None and (self.cost_per_lot < 0.0).any():
            k = int(self.cost_per_lot.argmin())
            raise IllPosed(f"cost_per_lot must be >= 0, got {self.cost_per_lot[k]} for item {k}")
        k = first_without_zero(self.lower, self.upper)
        if k >= 0:
            raise IllPosed(
                f"lower <= 0 <= upper must hold within ±{LARGEST_MULTIPLE}, "
                f"got lower {self.lower[k]} and upper {self.upper[k]} for item {k}"
            )

    def _check_covariance(self) -> None:
        asymmetry = float(np.max(np.abs(self.Sigma - self.Sigma.T)))
        if asymmetry > SYMMETRY_TOLERANCE * float(np.max(np.abs(self.Sigma))):
            raise IllPosed(f"Sigma must be symmetric, got entries that differ by {asymmetry} from their mirror image")
        # Asset by asset in its own volatility: next to a volatile one, a quiet one's correlation could be anything.
        variances = np.diag(self.Sigma)
        volatility = np.sqrt(np.maximum(variances, 0.0))
        still = volatility == 0.0
        rounding = PSD_TOLERANCE * float(np.max(np.abs(self.Sigma)))
        if (variances < -rounding).any() or (np.abs(self.Sigma[still]) > rounding).any():
            raise IllPosed(
                "Sigma must be positive semi-definite, got a negative variance, or covariances with an asset of none"
            )
        scale = np.where(still, 1.0, volatility)
        smallest = float(np.linalg.eigvalsh(self.Sigma / scale[:, None] / scale)[0])
        if smallest < -PSD_TOLERANCE * len(scale):
            raise IllPosed(f"Sigma must be positive semi-definite, got the eigenvalue {smallest} of its correlations")

    def at_position(self, Q: FloatArray, lower: IntArray, upper: IntArray) -> PackingProblem:
        """The same problem for another position and other bounds; items and covariance are not checked again.

        Raises
        ------
        IllPosed : Q or a bound of another shape, not finite, not integers, or without zero between the bounds.
        """
        moved = object.__new__(PackingProblem)
        # The cached properties too: `leg_tolerance` and the determinant in `arrays` depend on neither.
        moved.__dict__.update(self.__dict__)
        Q = _finite("Q", Q)
        if Q.shape != self.Q.shape:
            raise IllPosed(f"Q must have shape {self.Q.shape}, got {Q.shape}")
        moved.__dict__["Q"] = Q
        moved.__dict__["lower"], moved.__dict__["upper"] = _whole("lower", lower), _whole("upper", upper)
        moved._check_shapes()
        moved._check_bounds()
        moved.__dict__["arrays"] = self.arrays._replace(position=moved.Q, lower=moved.lower, upper=moved.upper)
        return moved

    @cached_property
    def leg_tolerance(self) -> FloatArray:
        """(n,) numeraire: LEG_TOLERANCE of the largest leg that one lot of any item has in each asset."""
        return np.asarray(LEG_TOLERANCE * np.max(np.abs(self.B), axis=1, initial=0.0), dtype=np.float64)

    @cached_property
    def arrays(self) -> PackingArrays:
        """The problem for kernels. It holds scratch space: one problem must not be solved by two threads at once."""
        return PackingArrays(
            items=np.ascontiguousarray(self.B.T),
            position=self.Q,
            lower=self.lower,
            upper=self.upper,
            cost=np.zeros(len(self.lower)) if self.cost_per_lot is None else self.cost_per_lot,
            covariance=self.Sigma,
            leg_tolerance=self.leg_tolerance,
            inside=self.mode == "inside",
            objective_code=OBJECTIVE_CODES[self.objective],
            epsilon=float(self.epsilon),
            determinant_of_sigma=covariance_determinant(self.Sigma),
            residual=np.empty_like(self.Q),
            factor=np.empty_like(self.Sigma),
        )

    def checked_start(self, start: IntArray | None, max_nodes: int) -> IntArray:
        """The multiples (K,) that a method is to start from, zeros for None, as its kernels take them.

        Raises
        ------
        IllPosed : `start` of another shape or not of integers, max_nodes < 1.
        """
        if max_nodes < 1:
            raise IllPosed(f"max_nodes must be >= 1, got {max_nodes}")
        if start is None:
            return np.zeros(len(self.lower), dtype=np.int64)
        if start.shape != self.lower.shape or start.dtype.kind not in "iu":
            raise IllPosed(
                f"start must be integers of shape {self.lower.shape}, got {start.dtype} of shape {start.shape}"
            )
        return np.ascontiguousarray(start, dtype=np.int64)

    def residual(self, multiples: IntArray) -> FloatArray:
        """``Q - B @ multiples``, (n,) numeraire, with legs within `leg_tolerance` of zero set to exactly zero.

        Without that, whether a leg is flat (and a determinant zero) would depend on rounding.
        """
        fits(self.arrays, multiples)
        return self.arrays.residual.copy()

    def key(self, multiples: IntArray) -> tuple[float, float]:
        """The key of `multiples`, feasible or not: `solver.objective.objective_key` of the residual, plus the cost."""
        fits(self.arrays, multiples)
        return key_with_cost(self.arrays, multiples)


@dataclass(frozen=True, eq=False, kw_only=True)
class Packing:
    """A feasible packing and what is known about how good it is.

    A function of its input alone, but for what a clock says: `stopped_by_clock` and `elapsed_s`.

    Attributes
    ----------
    multiples : (K,) whole lots of each item.
    residual : (n,) what stays unhedged, numeraire.
    objective, objective_before : the objective's value, costs included, of the residual and with nothing packed.
    lower_bound : a value that no feasible packing beats (by more than PROOF_TOLERANCE of the objective if `proven`).
    gap : ``objective - lower_bound``, >= 0.
    proven : no feasible packing is better, and rounding leaves no doubt of it. For `determinant` this covers its
        tie-break too, so a packing of determinant 0 has gap 0 but is proven only when no other has less variance at
        determinant 0.
    effort_nodes : candidates and boxes evaluated; the same on every machine.
    stopped_by_clock : `should_stop` ended the search, so a second run may differ.
    second_best : the objective of the best other packing known, None without one. The true runner-up from
        `enumerate`; from the others that of the best one they came across, which may be no more than packing nothing.
    elapsed_s : seconds by the caller's clock (`solver.packing.elapsed.timed`), NaN without one.
    """

    multiples: IntArray
    residual: FloatArray
    objective: float
    objective_before: float
    lower_bound: float
    gap: float
    proven: bool
    effort_nodes: int
    stopped_by_clock: bool
    second_best: float | None
    elapsed_s: float = math.nan


def lot_bounds(B: FloatArray, Q: FloatArray, mode: Mode, chains: bool = False) -> tuple[IntArray, IntArray]:
    """Bounds (lower, upper), each (K,), for the multiples of items B in a book Q; never above LARGEST_MULTIPLE.

    `inside`: an item is packed only as far as the book itself holds each of its legs, in their direction. With a leg
    flat or on the wrong side, its bounds are zero.

    With `chains`, ``± ceil(sum|Q| / largest leg)``: an item may also take what another one brings (EUR to CHF to JPY),
    and the whole book is more than any chain moves. That is all that the mode asks for, but a hedge that the data
    support is an item of its own: a chain rests on two relationships where the pair of its ends was not good enough.
    And K >= n items that may circulate pack any book whatever, to within fractions of a lot.

    `free`: twice that, as items of unequal volatility may hedge by more than the notional held.

    Parameters
    ----------
    B : (n, K) exposure per lot of each item, numeraire.
    Q : (n,) held exposure, numeraire; or (books, n), and the bounds are (books, K).
    mode : "inside" or "free".
    chains : for `inside`, whether items may pass on to one another.

    Raises
    ------
    IllPosed : an item of zeros, or anything not finite.
    """
    if not (np.isfinite(Q).all() and np.isfinite(B).all()):
        raise IllPosed("B and Q must be finite, got NaN or infinity in them")
    some = B.any(axis=0)
    if not some.all():
        column = some.argmin()
        raise IllPosed(f"B must have a non-zero leg in every item, got only zeros in column {column}")
    return checked_lot_bounds(B, Q, mode, chains)


def checked_lot_bounds(B: FloatArray, Q: FloatArray, mode: Mode, chains: bool = False) -> tuple[IntArray, IntArray]:
    """`lot_bounds` of what is known to be finite and without an item of zeros."""
    if mode == "free" or chains:
        largest_leg = np.max(np.abs(B), axis=0, initial=0.0)
        held = np.sum(np.abs(Q), axis=-1)[..., None]
        lots = np.ceil(held / largest_leg) * (1 if mode == "inside" else 2)
        upper = np.minimum(lots, LARGEST_MULTIPLE).astype(np.int64)
        return -upper, upper
    books = np.ascontiguousarray(np.atleast_2d(Q), dtype=np.float64)
    lower, upper = held_lots(np.ascontiguousarray(B, dtype=np.float64), books)
    return (lower, upper) if Q.ndim == 2 else (lower[0], upper[0])


@compiled
def held_lots(B: FloatArray, Q: FloatArray) -> tuple[IntArray, IntArray]:
    """`lot_bounds` of books Q (books, n) for `inside` without chains, and without the checks."""
    n, items = B.shape
    slack = np.zeros(n)
    for i in range(n):
        for k in range(items):
            slack[i] = max(slack[i], abs(B[i, k]))
        slack[i] *= LEG_TOLERANCE
    lower = np.empty((Q.shape[0], items), dtype=np.int64)
    upper = np.empty((Q.shape[0], items), dtype=np.int64)
    for k in range(items):
        for book in range(Q.shape[0]):
            # How many lots every asset holds, negative where the book holds the other side; as far as `fits` goes.
            least = float(LARGEST_MULTIPLE)
            most = -float(LARGEST_MULTIPLE)
            for i in range(n):
                leg = B[i, k]
                if leg != 0.0:
                    held = Q[book, i] / leg
                    room = slack[i] / abs(leg)
                    least = min(least, held + room)
                    most = max(most, held - room)
            lower[book, k] = int(np.ceil(min(most, 0.0)))
            upper[book, k] = int(np.floor(max(least, 0.0)))
    return lower, upper


Judgement: TypeAlias = tuple[float, float, int, int, int, float, FloatArray]
"""Of multiples: see `judged`."""


def finish(
    problem: PackingProblem,
    multiples: IntArray,
    *,
    lower_bound: float,
    proven: bool,
    effort_nodes: int,
    stopped_by_clock: bool = False,
    second_best: float | None = None,
    judgement: Judgement | None = None,
) -> Packing:
    """Recompute everything from the multiples, check it against the problem, and make the result.

    Every method returns through here, so nothing that breaks its own constraints gets out.

    Parameters
    ----------
    multiples : (K,) whole lots.
    lower_bound : a value of the objective that no feasible packing beats; ignored if `proven`.
    proven : no feasible packing precedes this one by more than PROOF_TOLERANCE.
    second_best : the objective of another feasible packing, None if the method knows none but packing nothing.
    judgement : what `judged` says of these multiples, where a kernel has asked it already.

    Raises
    ------
    ConstraintViolated : a multiple outside its bounds, a leg outside the position (`inside`), a bound above the value
        it bounds, a second best below it, or a value that is not finite.
    """
    if judgement is None:
        multiples = np.array(multiples, dtype=np.int64)
        judgement = judged(problem.arrays, multiples)
    _, _, _, outside, broken, _, _ = judgement
    if outside >= 0:
        raise ConstraintViolated(
            f"multiple of item {outside} must lie within [{problem.lower[outside]}, {problem.upper[outside]}], "
            f"got {multiples[outside]}"
        )
    if broken >= 0:
        raise ConstraintViolated(
            f"packed exposure of asset {broken} must lie between 0 and the held {problem.Q[broken]}, "
            f"got {float(problem.B[broken] @ multiples)}"
        )
    return packing_within(
        multiples,
        judgement,
        lower_bound=lower_bound,
        proven=proven,
        effort_nodes=effort_nodes,
        stopped_by_clock=stopped_by_clock,
        second_best=second_best,
    )


def packing_within(
    multiples: IntArray,
    judgement: Judgement,
    *,
    lower_bound: float,
    proven: bool,
    effort_nodes: int,
    stopped_by_clock: bool,
    second_best: float | None,
) -> Packing:
    """The second half of `finish`, for multiples that are judged to be within their bounds and the position."""
    objective, before, lots, _, _, rounding, residual = judgement
    if not (math.isfinite(objective) and math.isfinite(before)):
        raise ConstraintViolated(f"objective must be finite, got {objective} ({before} with nothing packed)")
    tolerance = PROOF_TOLERANCE * objective
    if proven:
        lower_bound = objective
    elif lower_bound > objective + max(tolerance, rounding):
        raise ConstraintViolated(f"lower bound {lower_bound} must not exceed the objective {objective} it bounds")
    lower_bound = min(lower_bound, objective)
    if rounding > tolerance:
        # Which of two packings is better cannot be told so exactly.
        proven = False
        lower_bound = max(lower_bound - rounding, 0.0)
    if second_best is not None and second_best < objective - max(tolerance, rounding):
        raise ConstraintViolated(f"second best {second_best} must not be below the objective {objective}")
    if lots and (second_best is None or before < second_best):
        second_best = before
    if second_best is not None and second_best < objective:
        # By what the keys of a search are rounded to.
        second_best = objective
    return Packing(
        multiples=multiples,
        residual=residual,
        objective=objective,
        objective_before=before,
        lower_bound=lower_bound,
        gap=objective - lower_bound,
        proven=proven,
        effort_nodes=effort_nodes,
        stopped_by_clock=stopped_by_clock,
        second_best=second_best,
    )


@compiled
def judged(arrays: PackingArrays, multiples: IntArray) -> Judgement:
    """What `finish` checks and puts into the result, in one call.

    Returns the objective's value with costs, the same with nothing packed, how many lots are packed, an item beyond its
    bounds and an asset whose leg is (-1 for none), the rounding of values like these, and the residual (n,).
    """
    nothing = np.zeros_like(multiples)
    fits(arrays, nothing)
    before, _ = key_with_cost(arrays, nothing)
    return judged_beside(arrays, multiples, before)


@compiled
def judged_beside(arrays: PackingArrays, multiples: IntArray, before: float) -> Judgement:
    """`judged` where the value with nothing packed is known."""
    outside = -1
    lots = 0
    choice = False
    for k in range(multiples.shape[0]):
        lots += abs(multiples[k])
        choice = choice or arrays.lower[k] < arrays.upper[k]
        if outside < 0 and (multiples[k] < arrays.lower[k] or multiples[k] > arrays.upper[k]):
            outside = k
    broken = -1
    if arrays.inside:
        for i in range(arrays.position.shape[0]):
            # Not the sum of `fits`: summed asset by asset, so that one mistake cannot hide another.
            packed = 0.0
            for k in range(multiples.shape[0]):
                if multiples[k] != 0:
                    packed += arrays.items[k, i] * multiples[k]
            held = arrays.position[i]
            # Twice the tolerance of the search: this product may round otherwise.
            slack = 2.0 * arrays.leg_tolerance[i]
            if broken < 0 and (packed < min(held, 0.0) - slack or packed > max(held, 0.0) + slack):
                broken = i
    fits(arrays, multiples)
    objective, _ = key_with_cost(arrays, multiples)
    residual = arrays.residual.copy()
    rounding = 0.0
    if choice and arrays.objective_code == VOLUME:
        reach = np.abs(arrays.position)
        # `inside` leaves no more than is held.
        for k in range(0 if arrays.inside else multiples.shape[0]):
            most = max(arrays.upper[k], -arrays.lower[k])
            for i in range(reach.shape[0]):
                reach[i] += most * abs(arrays.items[k, i])
        rounding = volume_rounding(reach, arrays.covariance, arrays.epsilon, objective, arrays.residual, arrays.factor)
    return objective, objective if lots == 0 else before, lots, outside, broken, rounding, residual
