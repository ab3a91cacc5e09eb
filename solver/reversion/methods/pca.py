"""Minor principal components: the combinations of all assets that move least."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.reversion.vector import LEADING_SHARE, canonical_weights


def minor_components(covariance: FloatArray) -> list[FloatArray]:
    """Candidate β vectors from the correlations of changes, least variance first.

    With βᵢ = uᵢ / σᵢ the basis ratio of β is the Rayleigh quotient u'Ru / u'u of the correlation matrix R. So R's
    eigenvectors are its stationary points and R's eigenvalues its values there. Vectors with a ratio below 1 are
    returned; the others move more than independent legs would. Correlations are taken, not covariances: otherwise the
    quietest asset alone would be the minor component, which hedges nothing.

    Parameters
    ----------
    covariance : (n, n) of the log-price changes in the fit; an asset that does not move gets weight 0.

    Returns
    -------
    Canonical vectors (n,), at most n - 1. O(n³).

    References
    ----------
    Jolliffe (2002), Principal Component Analysis, section 3.4 (components with small variance).
    """
    n = covariance.shape[0]
    moving = np.flatnonzero(np.diag(covariance) > 0.0)
    scale = np.sqrt(np.diag(covariance)[moving])
    eigenvalues, eigenvectors = np.linalg.eigh(covariance[np.ix_(moving, moving)] / np.outer(scale, scale))
    components = []
    # An eigenvalue of 1 within rounding belongs to an asset that is uncorrelated with the rest.
    for k in np.flatnonzero(eigenvalues < 1.0 - 1e-12):
        weights = np.zeros(n)
        weights[moving] = eigenvectors[:, k] / scale
        components.append(canonical_weights(weights, LEADING_SHARE))
    return components
