"""What messages compute from their own fields."""

from __future__ import annotations

import msgspec

from message_samples import SAMPLES
from schemas.outbound import ResidualExposure


def test_the_risk_that_the_limit_is_held_against() -> None:
    """Over one timestep or over the horizon, as `limit_on` says; None where the risk is not known."""
    (residual,) = (sample for sample in SAMPLES if isinstance(sample, ResidualExposure))
    assert residual.limit_on == "timestep"
    assert residual.limit_risk == residual.unhedged_risk
    over_the_horizon = msgspec.structs.replace(residual, limit_on="horizon")
    assert over_the_horizon.limit_risk == residual.horizon_unhedged_risk != residual.unhedged_risk
    unknown = msgspec.structs.replace(over_the_horizon, horizon_unhedged_risk=None)
    assert unknown.limit_risk is None
