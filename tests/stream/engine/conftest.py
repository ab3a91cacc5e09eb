"""An engine that has its covariance and β."""

from __future__ import annotations

import numpy as np
import pytest

from engine_play import WARM_UP, MidPrices, TimestepOf, warmed_up
from stream.config import Config
from stream.engine.step import Engine, EngineState


@pytest.fixture
def ready(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> tuple[Engine, EngineState, np.ndarray]:
    """An engine that has its covariance and β, and the mids to go on from."""
    engine = Engine(desk)
    return engine, warmed_up(engine, mid_prices, timestep_of), mid_prices(WARM_UP, 5)[-1]
