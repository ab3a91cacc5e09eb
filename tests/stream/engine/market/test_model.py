"""The market as it is known after a close; test_step_models.py, one folder up, shows how a model comes about."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream.config import Config, ReversionConfig
from stream.config.reversion import reversion_settings
from stream.engine.market.model import Market, MarketModel
from stream.events.types import LATEST_NS, Timestep

SECOND = 1_000_000_000
JPY, USDJPY = 2, 2


@pytest.fixture
def model(desk: Config) -> MarketModel:
    return MarketModel(desk)


@pytest.fixture
def market(model: MarketModel, timestep_of: Callable[..., Timestep]) -> Market:
    """The close at second 10 of a desk with a largest age of 5 s; USDJPY was quoted at second 7."""
    return model.advance(model.new_state(), timestep_of(10, (1.08, 0.9, 150.0), {USDJPY: 7.0}))


def test_until_one_timestep_has_passed_it_is_what_it_was(model: MarketModel, market: Market) -> None:
    """The very object: newer quotes may wait in the step that is still open."""
    for at_s in (0.0, 10.0, 10.5, 11.0):
        assert model.at(market, round(at_s * SECOND)) is market


def test_quotes_grow_stale_after_a_close(model: MarketModel, market: Market) -> None:
    """With one timestep granted, USDJPY is 5 s old at second 13, and older than that a nanosecond later."""
    assert np.isfinite(market.valuation.prices).all()
    assert np.isfinite(model.at(market, 13 * SECOND).valuation.prices).all()
    later = model.at(market, 13 * SECOND + 1)
    assert np.isnan(later.valuation.prices).tolist() == [False, False, True]
    assert np.isnan(model.at(market, LATEST_NS).valuation.prices).all()
    assert np.isfinite(market.valuation.prices).all()


def test_only_prices_change_after_a_close(model: MarketModel, market: Market) -> None:
    """Covariance and β stay the same objects, so that what is prepared of them can be kept."""
    later = model.at(market, LATEST_NS)
    assert later.Sigma is market.Sigma
    assert later.betas is market.betas
    assert (later.timestep, later.version, later.end_ns) == (market.timestep, market.version, market.end_ns)


def test_observations_are_those_of_the_asset_with_the_most(
    model: MarketModel, timestep_of: Callable[..., Timestep]
) -> None:
    """And an asset is known once it has a variance and a price."""
    state = model.new_state()
    for step in range(1, 40):
        mids = (1.08 * (1 + 1e-4 * (step % 3)), 0.9 * (1 + 1e-4 * (step % 5)), 150.0 * (1 + 1e-4 * (step % 7)))
        market = model.advance(state, timestep_of(step, mids, {USDJPY: 0} if step < 10 else None))
    assert market.asset_observations.tolist() == [38, 38, 29]
    assert market.observations == 38


def test_the_solver_gets_the_settings_of_the_configuration() -> None:
    """Every key of [reversion] that both have, under its name; no criterion for the lags is None there."""
    config = ReversionConfig(window_steps=77, holdout_steps=33, max_legs=2, methods=("sparse",))
    settings = reversion_settings(config)
    shared = set(config.__struct_fields__) & set(settings.__dataclass_fields__)
    assert {"window_steps", "holdout_steps", "max_legs", "methods"} <= shared
    for name in shared - {"lags_criterion"}:
        assert getattr(settings, name) == getattr(config, name), name
    # TOML has no None.
    assert (config.lags_criterion, settings.lags_criterion) == ("none", None)
