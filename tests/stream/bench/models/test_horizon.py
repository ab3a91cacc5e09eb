"""Risk over the horizon against what follows."""

from __future__ import annotations

import numpy as np

from stream.bench.models import horizon


def test_risk_over_the_horizon_is_held_against_what_follows() -> None:
    """On few windows: forecasts with the pull are nearer to what follows than those of a walk, which are far above."""
    over_10, over_50 = horizon._planted(5.0, 500, 12)
    for figure in (over_10, over_50):
        assert figure.reference is not None
        assert figure.reference < figure.ours
        assert abs(np.log(figure.ours)) < abs(np.log(figure.reference))
    assert over_50.reference < over_10.reference < 0.9
