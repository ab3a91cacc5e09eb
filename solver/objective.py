"""What a residual is worth: three objectives of unhedged positions under a covariance.

Every objective is a key of two numbers compared lexicographically, smaller is better: the value itself and what breaks
its ties. Only `determinant` needs the second (it is zero as soon as one leg is flat); for the others it is zero.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.kernels.compiled import compiled_borrowing

Objective: TypeAlias = Literal["variance", "volume", "determinant"]

VARIANCE, VOLUME, DETERMINANT = 0, 1, 2
OBJECTIVE_CODES: dict[Objective, int] = {"variance": VARIANCE, "volume": VOLUME, "determinant": DETERMINANT}

# Half of the distance from 1 to the next number.
UNIT_ROUNDOFF = 2.0**-53
# Where rounding is below this share of a volume, a coarse bound of it is enough.
NEGLIGIBLE = 1e-10


def materiality_floor(lot_notional: float, Sigma: FloatArray) -> float:
    """Risk of one lot of the average asset, ``lot_notional * sqrt(mean(diag(Sigma)))``: the ε of `volume`.

    Residuals well below one lot cannot be traded away, so they should not count much.

    Parameters
    ----------
    lot_notional : > 0, numeraire.
    Sigma : (n, n) covariance of log returns.

    Raises
    ------
    IllPosed : the lot or the mean variance is not a positive number.
    """
    if not (np.isfinite(lot_notional) and lot_notional > 0.0):
        raise IllPosed(f"lot_notional must be a finite number > 0, got {lot_notional}")
    if Sigma.ndim != 2 or Sigma.shape[0] != Sigma.shape[1]:
        raise IllPosed(f"Sigma must be square, got shape {Sigma.shape}")
    mean_variance = float(np.mean(np.diag(Sigma))) if Sigma.size else 0.0
    if not (np.isfinite(mean_variance) and mean_variance > 0.0):
        raise IllPosed(f"Sigma must have a finite mean variance > 0, got {mean_variance}")
    return float(lot_notional * np.sqrt(mean_variance))


@compiled_borrowing
def variance_kernel(q: FloatArray, Sigma: FloatArray) -> float:
    """`variance` without the checks. Rounding may leave a riskless q slightly below zero, hence the floor."""
    total = 0.0
    for i in range(q.shape[0]):
        if q[i] != 0.0:
            row = 0.0
            for j in range(q.shape[0]):
                row += Sigma[i, j] * q[j]
            total += q[i] * row
    return max(total, 0.0)


@compiled_borrowing
def volume_kernel(q: FloatArray, Sigma: FloatArray, epsilon: float, factor: FloatArray) -> float:
    """`volume` without the checks; `factor` (n, n) is overwritten.

    Cholesky of I + A with A = D_q Σ D_q / ε² PSD. Every pivot is 1 + t with t >= 0, and t is kept apart from the 1, so
    that log1p keeps its digits when all positions are far below the floor. For singular Σ rounding can take t below its
    least value 0, so it is clipped there.
    """
    n = q.shape[0]
    total = 0.0
    for j in range(n):
        if q[j] == 0.0:
            for i in range(j + 1, n):
                factor[i, j] = 0.0
            continue
        x = q[j] / epsilon
        line = factor[j]
        t = x * x * Sigma[j, j]
        for k in range(j):
            t -= line[k] * line[k]
        t = max(t, 0.0)
        total += np.log1p(t)
        pivot = np.sqrt(1.0 + t)
        # Column by column: its entries do not wait for each other.
        for i in range(j + 1, n):
            other = factor[i]
            entry = q[i] / epsilon * x * Sigma[i, j]
            for k in range(j):
                entry -= other[k] * line[k]
            other[j] = entry / pivot
    return total


@compiled_borrowing
def volume_rounding(
    q: FloatArray, Sigma: FloatArray, epsilon: float, value: float, x: FloatArray, inverse: FloatArray
) -> float:
    """How far rounding may take the volume of residuals that nowhere exceed `q` and have at most the volume `value`.

    Each entry of M = I + D_x R D_x is known up to some (n + 4) ulp of x_i x_j, with x_i = |q_i| σ_i / ε: rounding of
    products, and the backward error of Cholesky's method. log det M changes by tr(M⁻¹ dM), which is nothing unless x is
    large and the covariance singular. A volume is at least that of each asset alone, so x² <= exp(value) - 1. O(n), and
    O(n³) where the coarse bound exceeds NEGLIGIBLE.

    Parameters
    ----------
    q : (n,) numeraire.
    Sigma : (n, n) covariance of log returns.
    epsilon : > 0, numeraire.
    value : >= 0, a volume.
    x : (n,) scratch.
    inverse : (n, n) scratch.

    References
    ----------
    Higham (2002), Accuracy and Stability of Numerical Algorithms, theorem 10.3.
    """
    n = q.shape[0]
    largest = np.sqrt(np.expm1(value))
    total = 0.0
    for i in range(n):
        x[i] = min(abs(q[i]) * np.sqrt(max(Sigma[i, i], 0.0)) / epsilon, largest)
        total += x[i]
    unknown = (n + 4) * UNIT_ROUNDOFF
    # No entry of the inverse exceeds 1.
    if unknown * total * total > NEGLIGIBLE * value:
        for i in range(n):
            for j in range(n):
                scale = np.sqrt(Sigma[i, i] * Sigma[j, j])
                inverse[i, j] = (x[i] * x[j] * Sigma[i, j] / scale if scale > 0.0 else 0.0) + (1.0 if i == j else 0.0)
        invert(inverse, x, unknown)
        total = 0.0
        for i in range(n):
            for j in range(n):
                entry = abs(inverse[i, j])
                # An entry beyond 1, or NaN from an overflow, is rounding too.
                total += (entry if entry <= 1.0 else 1.0) * x[i] * x[j]
        return float(unknown * total)
    return float(unknown * total * total)


@compiled_borrowing
def invert(M: FloatArray, x: FloatArray, unknown: float) -> None:
    """Invert M = I + D_x R D_x (n, n) in place, by the elimination of Gauss and Jordan.

    Of each pivot, which is at least 1, the share `unknown` of its diagonal entry is rounding. The pivot is taken at its
    least, where the inverse is largest.
    """
    n = M.shape[0]
    for p in range(n):
        inverse = 1.0 / max(M[p, p] - unknown * (1.0 + x[p] * x[p]), 1.0)
        M[p, p] = 1.0
        for j in range(n):
            M[p, j] *= inverse
        for i in range(n):
            if i != p:
                share = M[i, p]
                M[i, p] = 0.0
                for j in range(n):
                    M[i, j] -= share * M[p, j]


@compiled_borrowing
def determinant_kernel(q: FloatArray, determinant_of_sigma: float) -> float:
    """`determinant` given det Σ. The product runs in index order, so equal q give equal bits."""
    total = determinant_of_sigma
    for i in range(q.shape[0]):
        total *= q[i] * q[i]
    return total


@compiled_borrowing
def key_kernel(
    code: int, q: FloatArray, Sigma: FloatArray, epsilon: float, determinant_of_sigma: float, factor: FloatArray
) -> tuple[float, float]:
    """`objective_key` without the checks.

    Parameters
    ----------
    code : of the objective, see `OBJECTIVE_CODES`.
    q : (n,) residual, numeraire.
    Sigma : (n, n) covariance of log returns.
    epsilon : > 0, numeraire; only `volume` reads it.
    determinant_of_sigma : `covariance_determinant`; only `determinant` reads it.
    factor : (n, n) scratch.
    """
    if code == VARIANCE:
        return variance_kernel(q, Sigma), 0.0
    if code == VOLUME:
        return volume_kernel(q, Sigma, epsilon, factor), 0.0
    return determinant_kernel(q, determinant_of_sigma), variance_kernel(q, Sigma)


def covariance_determinant(Sigma: FloatArray) -> float:
    """det Σ, exactly zero when Σ is singular to working precision.

    Taken on the correlation scale, so that assets of very different volatility do not look dependent: the product of
    the correlation matrix' eigenvalues and of the variances, or 0 once an eigenvalue is within n ulp of zero.

    Parameters
    ----------
    Sigma : (n, n) symmetric PSD.
    """
    variances = np.diag(Sigma)
    if np.any(variances <= 0.0):
        return 0.0
    volatility = np.sqrt(variances)
    eigenvalues = np.linalg.eigvalsh(Sigma / np.outer(volatility, volatility))
    if eigenvalues[0] <= len(variances) * np.finfo(np.float64).eps * eigenvalues[-1]:
        return 0.0
    return float(np.prod(eigenvalues) * np.prod(variances))


def variance(q: FloatArray, Sigma: FloatArray) -> float:
    """q'Σq, numeraire²: every offset that the covariance sees counts. Under a horizon covariance, the horizon risk².

    Parameters
    ----------
    q : (n,) residual, numeraire.
    Sigma : (n, n) symmetric PSD covariance of log returns.

    Raises
    ------
    IllPosed : shapes that do not fit, or anything not finite.
    """
    q, Sigma = _checked(q, Sigma)
    return variance_kernel(q, Sigma)


def volume(q: FloatArray, Sigma: FloatArray, epsilon: float) -> float:
    """log det(I + D_q Σ D_q / ε²), dimensionless: no credit for offsets that no β justifies.

    Monotone in every |q_i| and blind to signs (2n·log|q| for large q up to a constant, q'diag(Σ)q/ε² for small q), and
    well defined for singular Σ and flat legs. O(n³).

    Parameters
    ----------
    q : (n,) residual, numeraire.
    Sigma : (n, n) symmetric PSD covariance of log returns.
    epsilon : > 0, numeraire; see `materiality_floor`.

    Raises
    ------
    IllPosed : shapes that do not fit, anything not finite, epsilon <= 0.
    """
    q, Sigma = _checked(q, Sigma)
    if not (np.isfinite(epsilon) and epsilon > 0.0):
        raise IllPosed(f"epsilon must be a finite number > 0, got {epsilon}")
    return volume_kernel(q, Sigma, epsilon, np.empty_like(Sigma))


def determinant(q: FloatArray, Sigma: FloatArray) -> float:
    """det(diag(q) Σ diag(q)) = det Σ · Π q_i², numeraire^2n: the article's literal measure.

    Its argmin does not depend on Σ. It is blind to signs, and zero as soon as one leg is flat, whatever the rest holds.
    It is kept for comparison. Packing breaks its ties by `variance`, see `objective_key`.

    Parameters
    ----------
    q : (n,) residual, numeraire.
    Sigma : (n, n) symmetric PSD covariance of log returns.

    Raises
    ------
    IllPosed : shapes that do not fit, or anything not finite.
    """
    q, Sigma = _checked(q, Sigma)
    return determinant_kernel(q, covariance_determinant(Sigma))


def objective_key(objective: Objective, q: FloatArray, Sigma: FloatArray, epsilon: float) -> tuple[float, float]:
    """The pair that packings are compared by, lexicographically and without a tolerance: (value, tie-break).

    The tie-break is the variance for `determinant` and 0 for the others.

    Parameters
    ----------
    objective : "variance", "volume" or "determinant".
    q : (n,) residual, numeraire.
    Sigma : (n, n) symmetric PSD covariance of log returns.
    epsilon : > 0, numeraire; only `volume` reads it.

    Raises
    ------
    IllPosed : an unknown objective, or what the objective itself refuses.
    """
    if objective == "variance":
        return variance(q, Sigma), 0.0
    if objective == "volume":
        return volume(q, Sigma, epsilon), 0.0
    if objective == "determinant":
        return determinant(q, Sigma), variance(q, Sigma)
    raise IllPosed(f"objective must be one of {sorted(OBJECTIVE_CODES)}, got {objective!r}")


def _checked(q: FloatArray, Sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    # One dtype and layout, so that each kernel is compiled once.
    q = np.ascontiguousarray(q, dtype=np.float64)
    Sigma = np.ascontiguousarray(Sigma, dtype=np.float64)
    if q.ndim != 1:
        raise IllPosed(f"q must have shape (n,), got {q.shape}")
    if Sigma.shape != (len(q), len(q)):
        raise IllPosed(f"Sigma must have shape {(len(q), len(q))} for q of {len(q)} assets, got {Sigma.shape}")
    if not np.isfinite(q).all():
        raise IllPosed(f"q must be finite, got {q}")
    if not np.isfinite(Sigma).all():
        raise IllPosed("Sigma must be finite, got NaN or infinity in it")
    return q, Sigma
