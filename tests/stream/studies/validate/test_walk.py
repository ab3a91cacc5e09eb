"""The walk is the service's own, and sees nothing of what is still to come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from solver.covariance import ExponentialCovariance
from stream.engine.market.model import Market
from stream.errors import ConfigError
from stream.studies.read.prices import Prices
from stream.studies.validate.walk import Models, walk_forward


def seen(market: Market) -> tuple[Any, ...]:
    """Everything of a `Market` that says something of prices, as bytes."""
    betas = [
        (beta.beta_id, beta.version, beta.vector.weights.tobytes(), beta.vector.basis_ratio_upper, beta.vector.evidence)
        for beta in market.betas
    ]
    Sigma = None if market.Sigma is None else market.Sigma.tobytes()
    retired = [(old.beta_id, old.step, old.reason, old.deviations) for old in market.retirements]
    return market.timestep, Sigma, market.observations, betas, retired, market.candidates_tried


def test_the_future_changes_nothing_of_the_past(related: Prices, models: Models) -> None:
    """Other prices from row 400 on leave every market up to row 399 as it was, bit for bit, and change row 400."""
    other = related.prices.copy()
    other[400:] = other[400:][::-1] * 1.5
    first = [seen(market) for _, market in walk_forward(related, models)]
    second = [seen(market) for _, market in walk_forward(replace(related, prices=other), models)]
    assert first[:400] == second[:400]
    assert first[400] != second[400]
    assert any(betas for *_, betas, _, _ in first[:400])


def test_the_covariance_is_that_of_the_returns_so_far(independent: Prices, models: Models) -> None:
    """At each row it is what the estimator gives on the log returns up to it, and nothing before enough were seen."""
    covariance = ExponentialCovariance(4, models.covariance.half_life_steps, models.covariance.shrinkage)
    log_prices = np.log(independent.prices)
    for row, market in walk_forward(independent, models):
        if row:
            covariance.update(log_prices[row] - log_prices[row - 1])
        if row < models.covariance.min_observations:
            assert market.Sigma is None
        else:
            assert market.Sigma is not None
            np.testing.assert_allclose(market.Sigma, covariance.estimate(), rtol=1e-12)


def test_the_planted_pair_is_in_use(related: Prices, models: Models) -> None:
    """A against B is in use from soon after the first fit to the end."""
    ids = [{beta.beta_id for beta in market.betas} for _, market in walk_forward(related, models)]
    assert all("sparse:A/B" in used for used in ids[200:])


def test_settings_that_do_not_fit_the_file(independent: Prices, models: Models) -> None:
    """A window too short for four assets is refused with its key, before the walk."""
    short = replace(models, reversion=type(models.reversion)(window_steps=60, holdout_steps=50))
    with pytest.raises(ConfigError, match=r"reversion\.window_steps"):
        next(walk_forward(independent, short))
