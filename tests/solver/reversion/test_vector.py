"""The leading leg of a vector is +1, whatever sign and scale it came with."""

from __future__ import annotations

import numpy as np
import pytest

from solver.errors import IllPosed
from solver.reversion.vector import LEADING_SHARE, canonical_weights


def test_canonical_weights() -> None:
    """The leading leg is the first one touched, or with a share the first of the large ones; it is +1."""
    weights = np.array([0.0, -0.01, 2.0, -4.0])
    np.testing.assert_allclose(canonical_weights(weights), [0.0, 1.0, -200.0, 400.0])
    np.testing.assert_allclose(canonical_weights(weights, LEADING_SHARE), [0.0, -0.005, 1.0, -2.0])
    np.testing.assert_allclose(canonical_weights(-3.0 * weights), canonical_weights(weights))
    with pytest.raises(ValueError, match="read-only"):
        canonical_weights(weights)[0] = 1.0


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, np.nan], [np.inf, 1.0]])
def test_canonical_weights_of_nothing(weights: list[float]) -> None:
    """A vector of zeros or with a weight that is not finite has no canonical form."""
    with pytest.raises(IllPosed, match="finite"):
        canonical_weights(np.array(weights))
