"""The walks in which nothing must be found."""

from __future__ import annotations

import numpy as np
import pytest

from stream.bench.models.walks import garch_steps, heavy_steps, normal_steps


@pytest.mark.parametrize("steps", [normal_steps, heavy_steps, garch_steps])
def test_steps_have_variance_one_and_no_memory(steps: object) -> None:
    """Of every kind of walk; and those that are not normal have the tails that they are there for."""
    assert callable(steps)
    drawn = steps(np.random.default_rng(1), 40_000)
    # Three degrees of freedom have no fourth moment: the sample variance settles slowly.
    assert drawn.var() == pytest.approx(1.0, rel=0.1)
    assert abs(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1]) < 0.03
    assert np.abs(np.corrcoef(drawn.T) - np.eye(drawn.shape[1])).max() < 0.03
    kurtosis = (drawn**4).mean() / drawn.var() ** 2
    assert kurtosis > 3.5 if steps is not normal_steps else kurtosis == pytest.approx(3.0, abs=0.1)
