"""The multivariate Ornstein-Uhlenbeck process, by exact maximum likelihood of its discrete observations."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.special import ndtri

from solver.arrays import FloatArray
from solver.errors import IllPosed
from solver.reversion.error_correction import ErrorCorrection, half_life_of
from solver.reversion.evidence.measure import measured
from solver.reversion.vector import ReversionVector


@dataclass(frozen=True, eq=False)
class OrnsteinUhlenbeck:
    """dx = -Θ (x - μ) dt + dW, seen at every timestep: x_t = (I - A) μ + A x_{t-1} + ε_t with A = exp(-Θ).

    Modes are sorted by how fast they decay, fastest first. Of a complex pair both conjugates are listed.

    Attributes
    ----------
    transition : (n, n) A.
    noise : (n, n) covariance of ε_t.
    eigenvalues : (n,) complex, of A. Those of Θ are -log of them.
    modes : (n, n) complex, left eigenvectors of A as columns: w'x_t = eigenvalue * w'x_{t-1} + ... . The real and
        imaginary part of a complex pair span the plane in which the basket spreads turn. They are uncorrelated in the
        window, and the real part has the larger variance.
    half_life_interval_steps : (n, 2) confidence bounds of the half-life ln 2 / -ln |eigenvalue|, for a complex pair
        that of the envelope. Infinite where the mode does not decay.
    period_steps : (n,) timesteps of a full turn, 2π / |argument|; infinite for a positive eigenvalue, 2 for a negative
        one.
    """

    transition: FloatArray
    noise: FloatArray
    eigenvalues: NDArray[np.complex128]
    modes: NDArray[np.complex128]
    half_life_interval_steps: FloatArray
    period_steps: FloatArray


def ornstein_uhlenbeck(regression: ErrorCorrection, confidence: float = 0.95) -> OrnsteinUhlenbeck:
    """Fit by maximum likelihood, conditional on the first observation; O(n³).

    The discrete observations are a vector autoregression of order one with a free constant, exactly, so its least
    squares give the likelihood's maximum for A and, by invariance, for Θ = -log A. Lagged differences and dummies of
    the rows are left out: the process has none.

    The interval is that of -ln |eigenvalue| by the delta method, with Var(vec A) = noise ⊗ (X'X)⁻¹. It supposes a
    window of many half-lives, for the estimate is biased towards reversion: of single processes the 95 % interval
    covers 94 % with 40 half-lives in the window, 89 % with 15, 85 % with 7, and 70 % for a random walk
    (`ReversionVector.p_value` is a test that holds there).

    Parameters
    ----------
    confidence : of the interval, in (0, 1).

    Raises
    ------
    IllPosed : `confidence` out of range.

    References
    ----------
    Bergstrom (1984), Continuous time stochastic models and issues of aggregation over time, Handbook of Econometrics 2.
    Meucci (2009), Review of statistical arbitrage, cointegration, and multivariate Ornstein-Uhlenbeck. Stewart and Sun
    (1990), Matrix Perturbation Theory, section IV.2 (derivative of an eigenvalue).
    """
    if not 0.0 < confidence < 1.0:
        raise IllPosed(f"confidence must lie in (0, 1), got {confidence}")
    n, levels = regression.n, regression.levels
    factor, _ = lapack.dpotrf(levels, lower=1, clean=0)
    reversion = lapack.dpotrs(factor, regression.levels_and_changes, lower=1)[0].T
    transition = reversion + np.eye(n)
    noise = regression.changes - reversion @ regression.levels_and_changes

    real, imaginary, left, right, _ = lapack.dgeev(transition)
    order = np.lexsort((imaginary, np.hypot(real, imaginary)))
    eigenvalues = (real + 1j * imaginary)[order]
    # Left eigenvectors as LAPACK has them are conjugated: u^H A = λ u^H.
    modes = _complex_columns(left, imaginary)[:, order].conj()
    right_modes = _complex_columns(right, imaginary)[:, order]
    # w'Sw is real and positive where real and imaginary part are uncorrelated and the first is the larger.
    modes = modes * np.exp(-0.5j * np.angle((modes * (levels @ modes)).sum(axis=0)))

    decay = -np.log(np.abs(eigenvalues))
    error = ndtri(0.5 + confidence / 2.0) * _decay_error(eigenvalues, modes, right_modes, noise, factor, regression)
    with np.errstate(divide="ignore"):
        interval = math.log(2.0) / np.maximum(np.array([decay + error, decay - error]).T, 0.0)
        period = 2.0 * math.pi / np.abs(np.angle(eigenvalues))
    return OrnsteinUhlenbeck(
        transition=transition,
        noise=noise,
        eigenvalues=eigenvalues,
        modes=modes,
        half_life_interval_steps=interval,
        period_steps=period,
    )


def ou_vectors(regression: ErrorCorrection, confidence: float = 0.95) -> tuple[ReversionVector, ...]:
    """The n real vectors of the process, fastest first: one for each real mode, and two that span the plane of a pair.

    In such a plane no single combination is an AR(1) of its own. The two turn into each other with the period of the
    pair while both shrink with its half-life.

    Parameters
    ----------
    regression : of the rows.
    confidence : of the half-life intervals, in (0, 1).

    Raises
    ------
    IllPosed : `confidence` out of range.
    """
    process = ornstein_uhlenbeck(regression, confidence)
    # Each conjugate pair stands for its plane once: the real part from the one, the imaginary from the other.
    B = np.where(process.eigenvalues.imag > 0.0, process.modes.imag, process.modes.real)
    vectors = []
    for k, vector in enumerate(measured(regression, B, "ou")):
        turning = process.eigenvalues[k].imag != 0.0
        lower, upper = process.half_life_interval_steps[k].tolist()
        vectors.append(
            replace(
                vector,
                half_life_steps=half_life_of(abs(process.eigenvalues[k]) - 1.0),
                half_life_interval_steps=(lower, upper),
                period_steps=float(process.period_steps[k]) if turning else None,
            )
        )
    return tuple(vectors)


def _complex_columns(vectors: FloatArray, imaginary: FloatArray) -> NDArray[np.complex128]:
    """LAPACK's eigenvectors: of a pair, the real part stands first and the imaginary part in the next column."""
    columns = vectors.astype(np.complex128)
    first = np.flatnonzero(imaginary > 0.0)
    columns[:, first] += 1j * vectors[:, first + 1]
    columns[:, first + 1] = columns[:, first].conj()
    return columns


def _decay_error(
    eigenvalues: NDArray[np.complex128],
    modes: NDArray[np.complex128],
    right_modes: NDArray[np.complex128],
    noise: FloatArray,
    level_factor: FloatArray,
    regression: ErrorCorrection,
) -> FloatArray:
    """Standard error (n,) of -ln |eigenvalue|: dλ = w' dA v / w'v, and Var(Re z) = (Re E[z²] + E|z|²) / 2."""
    scaled = modes / (eigenvalues * (modes * right_modes).sum(axis=0))
    inverse = lapack.dpotrs(level_factor, np.eye(regression.n), lower=1)[0] / regression.observations
    by_noise, by_levels = noise @ scaled, inverse @ right_modes
    squares = (scaled * by_noise).sum(axis=0) * (right_modes * by_levels).sum(axis=0)
    moduli = (scaled.conj() * by_noise).sum(axis=0).real * (right_modes.conj() * by_levels).sum(axis=0).real
    error: FloatArray = np.sqrt(np.maximum((squares.real + moduli) / 2.0, 0.0))
    return error
