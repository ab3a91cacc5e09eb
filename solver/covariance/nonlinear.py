"""Nonlinear shrinkage: each eigenvalue of a sample covariance is corrected for the bias that its neighbours show."""

from __future__ import annotations

import math

import numpy as np

from solver.arrays import FloatArray
from solver.errors import NotEnoughData

#: Below this the density of eigenvalues cannot be estimated, by the authors of the method.
LEAST_OBSERVATIONS = 12

# An eigenvalue of zero has no bandwidth; one of rounding keeps its place below all others.
_LEAST_EIGENVALUE = 1e-14

# Edge of the kernel's support, and from where its Hilbert transform is a series with an error below 1e-13.
_SUPPORT = math.sqrt(5.0)
_FAR = 100.0


def nonlinear_shrinkage(Sigma: FloatArray, observations: float) -> FloatArray:
    """Analytical nonlinear shrinkage of a zero-mean sample covariance.

    The eigenvectors stay. Let f be the density of the sample eigenvalues and Hf its Hilbert transform, both by a kernel
    of Epanechnikov with a bandwidth of T^(-1/3) of each eigenvalue, and c = n/T. An eigenvalue λ becomes

        λ / ((π c λ f(λ))² + (1 - c - π c λ Hf(λ))²),

    and for n > T the null eigenvalues share one value of their own. For returns of equal weight this is, in the limit
    of many assets, the best choice that keeps the eigenvectors. Where returns are weighted, `observations` is Kish's
    effective number. The spectrum of a weighted sample is a little wider than that of as many equal returns, so part of
    its width stays. The theory is for many assets; on simulated spectra of ten it still beats the sample.

    Parameters
    ----------
    Sigma : (n, n) sample covariance about zero, symmetric PSD.
    observations : T, >= 12; the effective number where returns are weighted.

    Returns
    -------
    (n, n) symmetric PSD. O(n³).

    Raises
    ------
    NotEnoughData : `observations` below 12.

    References
    ----------
    Ledoit and Wolf (2020), Analytical nonlinear shrinkage of large-dimensional covariance matrices, Annals of
    Statistics 48(5), section 4.7 and appendix C; without its correction for an estimated mean.
    """
    if not observations >= LEAST_OBSERVATIONS:
        raise NotEnoughData(f"nonlinear shrinkage needs {LEAST_OBSERVATIONS} observations, got {observations:g}")
    n = len(Sigma)
    eigenvalues, vectors = np.linalg.eigh(Sigma)
    largest = float(eigenvalues[-1])
    if not largest > 0.0:
        return Sigma.copy()
    if n > observations:
        observations = math.floor(observations)
    null = max(n - int(observations), 0)
    kept = np.maximum(eigenvalues[null:], _LEAST_EIGENVALUE * largest)
    bandwidth = observations ** (-1.0 / 3.0)
    density, hilbert = _density_and_hilbert(kept, bandwidth)
    if null == 0:
        c = n / observations
        moved = kept / ((math.pi * c * kept * density) ** 2 + (1.0 - c - math.pi * c * kept * hilbert) ** 2)
    else:
        moved = np.concatenate(
            [
                np.full(null, _null_eigenvalue(kept, n, observations, bandwidth)),
                kept / (math.pi**2 * kept**2 * (density**2 + hilbert**2)),
            ]
        )
    shrunk = (vectors * moved) @ vectors.T
    # The product's two triangles differ by rounding.
    symmetric: FloatArray = (shrunk + shrunk.T) / 2.0
    return symmetric


def _density_and_hilbert(eigenvalues: FloatArray, bandwidth: float) -> tuple[FloatArray, FloatArray]:
    """Kernel density of the eigenvalues at each of them, and its Hilbert transform."""
    width = bandwidth * eigenvalues
    x = (eigenvalues[:, None] - eigenvalues[None, :]) / width
    density = 3.0 / (4.0 * _SUPPORT) * np.mean(np.maximum(1.0 - x**2 / 5.0, 0.0) / width, axis=1)
    return density, np.mean(_kernel_hilbert(x) / width, axis=1)


def _kernel_hilbert(x: FloatArray) -> FloatArray:
    """Hilbert transform of Epanechnikov's kernel of variance 1, (1/π) PV ∫ k(t) / (t - x) dt."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = (1.0 - x**2 / 5.0) * np.log(np.abs((_SUPPORT - x) / (_SUPPORT + x)))
        # Far out the closed form is a difference of large numbers: there by its moments, -Σ E[t²ᵏ] / (π x²ᵏ⁺¹).
        far = -(1.0 + (1.0 + (15.0 / 7.0 + 125.0 / 21.0 / x**2) / x**2) / x**2) / (math.pi * x)
    # At the edge of the support 0 times infinity stands for its limit, zero.
    logarithm = np.where(np.abs(x) == _SUPPORT, 0.0, logarithm)
    near = -3.0 / (10.0 * math.pi) * x + 3.0 / (4.0 * _SUPPORT * math.pi) * logarithm
    transform: FloatArray = np.where(np.abs(x) > _FAR, far, near)
    return transform


def _null_eigenvalue(kept: FloatArray, n: int, observations: float, h: float) -> float:
    """What takes the place of the eigenvalues that are zero because n > T; `h` is the bandwidth."""
    logarithm = math.log((1.0 + _SUPPORT * h) / (1.0 - _SUPPORT * h))
    at_zero = 3.0 / (10.0 * h**2) + 3.0 / (4.0 * _SUPPORT * h) * (1.0 - 1.0 / (5.0 * h**2)) * logarithm
    hilbert_at_zero = at_zero * float(np.mean(1.0 / kept)) / math.pi
    return observations / (math.pi * (n - observations) * hilbert_at_zero)
