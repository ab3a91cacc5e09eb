"""Whether a matrix is a covariance: symmetric and positive semi-definite, up to rounding."""

from __future__ import annotations

import numpy as np

from solver.arrays import FloatArray
from solver.errors import IllPosed

# Asymmetry allowed in a covariance, as a share of its largest entry: what an estimate over many products leaves.
SYMMETRY_TOLERANCE = 1e-10
# The same where a proof rests on it: bounds read rows and values read columns, and a larger difference between the two
# would be seen beside a nearly hedged position. What a few floating-point operations leave.
PROOF_SYMMETRY_TOLERANCE = 1e-12
# Negative eigenvalue allowed, as a share of the trace: rounding in an estimate that is PSD by construction.
PSD_TOLERANCE = 1e-10


def check_covariance(Sigma: FloatArray, *, for_proofs: bool = False) -> None:
    """Refuse a matrix that is not symmetric positive semi-definite. O(n³).

    Parameters
    ----------
    Sigma : (n, n) finite.
    for_proofs : measures every asset in its own volatility, by the eigenvalues of the correlations, and asks for
        PROOF_SYMMETRY_TOLERANCE. Otherwise the scale is that of the whole matrix: next to a volatile asset, a quiet
        one's correlations could be anything.

    Raises
    ------
    IllPosed : an asymmetry, a negative eigenvalue, or (`for_proofs`) covariances with an asset of no variance.
    """
    scale = float(np.max(np.abs(Sigma)))
    asymmetry = float(np.max(np.abs(Sigma - Sigma.T)))
    if asymmetry > (PROOF_SYMMETRY_TOLERANCE if for_proofs else SYMMETRY_TOLERANCE) * scale:
        raise IllPosed(f"Sigma must be symmetric, got entries that differ by {asymmetry:.3g} from their mirror image")
    if not for_proofs:
        smallest = float(np.linalg.eigvalsh(Sigma)[0])
        # At least the scale: the largest entry of a PSD matrix is on its diagonal.
        if smallest < -PSD_TOLERANCE * max(float(np.trace(Sigma)), scale):
            raise IllPosed(f"Sigma must be positive semi-definite, got the eigenvalue {smallest:.3g}")
        return
    variances = np.diag(Sigma)
    volatility = np.sqrt(np.maximum(variances, 0.0))
    still = volatility == 0.0
    rounding = PSD_TOLERANCE * scale
    if (variances < -rounding).any() or (np.abs(Sigma[still]) > rounding).any():
        raise IllPosed(
            "Sigma must be positive semi-definite, got a negative variance, or covariances with an asset of none"
        )
    own = np.where(still, 1.0, volatility)
    smallest = float(np.linalg.eigvalsh(Sigma / own[:, None] / own)[0])
    if smallest < -PSD_TOLERANCE * len(own):
        raise IllPosed(f"Sigma must be positive semi-definite, got the eigenvalue {smallest} of its correlations")
