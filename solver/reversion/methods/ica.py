"""Independent components of returns: combinations that share no driver with the others."""

from __future__ import annotations

import warnings

import numpy as np

from solver.arrays import FloatArray
from solver.errors import ExactlyDependent, IllPosed, NotConverged, NotEnoughData
from solver.reversion.vector import LEADING_SHARE, canonical_weights

# FastICA stops when the unmixing matrix turns by less than the tolerance in an iteration. At 1e-6, five hundred steps
# of eight heavy-tailed series take some twenty; Gaussian ones, whose components are not determined, need not settle.
_TOLERANCE = 1e-6
_MOST_ITERATIONS = 500


def independent_components(
    returns: FloatArray, rng: np.random.Generator, names: tuple[str, ...] | None = None
) -> list[FloatArray]:
    """Candidate β vectors whose changes are as independent of each other as can be, least basis ratio first.

    Each row of the unmixing matrix is a combination of all assets that one independent source drives. Those with a
    basis ratio below 1 are returned; the others move more than independent legs would.

    This method needs the returns themselves, not their moments: O(T n²) an iteration. The sources are determined only
    if at most one of them is Gaussian.

    Parameters
    ----------
    returns : (T, n) log returns of the fit.
    rng : draws the start of the iteration; a generator in the same state gives the same vectors.
    names : of the assets, for messages; indices by default.

    Returns
    -------
    Canonical vectors (n,), at most n.

    Raises
    ------
    NotEnoughData : T <= n.
    IllPosed : returns that are not finite.
    ExactlyDependent : an asset does not move, or is a combination of others.
    NotConverged : after 500 iterations the components still turn.

    References
    ----------
    Hyvärinen and Oja (2000), Independent component analysis: algorithms and applications, Neural Networks 13(4-5).
    """
    # Here, because it takes a second that only those who use this method should wait for.
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    if returns.ndim != 2 or returns.shape[0] <= returns.shape[1]:
        raise NotEnoughData(f"independent components of (T, n) returns need T > n, got {returns.shape}")
    if not np.isfinite(returns).all():
        raise IllPosed("returns must be finite")
    T, n = returns.shape
    scale = returns.std(axis=0)
    if not np.all(scale > 0.0):
        still = int(np.argmin(scale))
        name = names[still] if names else f"asset {still}"
        raise ExactlyDependent(f"{name} does not move in the window; leave it out of the fit")
    standardised = (returns - returns.mean(axis=0)) / scale
    if np.linalg.eigvalsh(standardised.T @ standardised / T)[0] < 1e-10:
        raise ExactlyDependent("returns are linearly dependent; leave one asset out, as with a full set of FX crosses")
    estimator = FastICA(
        whiten="unit-variance",
        tol=_TOLERANCE,
        max_iter=_MOST_ITERATIONS,
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            estimator.fit(standardised)
        except ConvergenceWarning as exc:
            raise NotConverged(f"no independent components of {n} assets after {_MOST_ITERATIONS} iterations") from exc
    # Each component has variance 1, so its basis ratio is one over the sum of its squared weights.
    unmixing = estimator.components_
    ratios = 1.0 / (unmixing**2).sum(axis=1)
    order = np.argsort(ratios)
    return [canonical_weights(unmixing[k] / scale, LEADING_SHARE) for k in order if ratios[k] < 1.0 - 1e-12]
