"""The packing problem: what is packed, and what a packing must satisfy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.errors import IllPosed
from solver.objective import (
    OBJECTIVE_CODES,
    Objective,
    covariance_determinant,
)
from solver.packing.bounds import LARGEST_MULTIPLE, Mode, first_without_zero
from solver.packing.evaluation import LEG_TOLERANCE, PackingArrays, fits, key_with_cost
from solver.psd import check_covariance


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
    Sigma : (n, n) covariance of log returns; symmetric PSD as `solver.psd.check_covariance` asks for proofs.
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
        check_covariance(self.Sigma, for_proofs=True)
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
