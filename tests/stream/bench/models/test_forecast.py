"""Forecasts of basis ratios."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from solver.reversion.refits.rolling import RollingReversion
from stream.bench.models import pegs
from stream.bench.models.forecast import YEAR_DAYS, forecasts
from stream.bench.models.pegs import demo_config, rates
from stream.config.reversion import reversion_settings

FLOOR_BEGINS = date(2011, 9, 6)
AFTER_THE_FLOOR = date(2015, 3, 31)


def test_a_forecast_is_what_the_service_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every pair in use the ratio that its β carries; pairs with the franc around 2015 count as breaks."""
    monkeypatch.setattr(pegs, "LAST_DAY", AFTER_THE_FLOOR)
    found = forecasts(FLOOR_BEGINS)
    config = demo_config()
    days = rates(config, FLOOR_BEGINS)
    log_prices = np.log([[day.usd_prices[asset] for asset in config.universe.assets] for day in days])
    rolling = RollingReversion(11, reversion_settings(config.reversion))
    for row in log_prices[:-YEAR_DAYS]:
        rolling.push(row)
    published = sorted(beta.basis_ratio for beta in rolling.refit().betas)
    assert len(found.held_back) == 55
    np.testing.assert_allclose(np.sort(found.held_back[found.in_use]), published, rtol=1e-6)
    assert np.count_nonzero(found.outside) == 45
    following = np.diff(log_prices[-YEAR_DAYS - 1 :], axis=0)
    # EUR/DKK: whatever the weights near (1, -1) are.
    ratio = (following[:, 0] - following[:, 9]).var() / (following[:, 0].var() + following[:, 9].var())
    assert found.followed.min() == pytest.approx(ratio, rel=0.1)
