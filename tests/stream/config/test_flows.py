"""Client flow: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "franchise"', 'name = ""', r"flows\[0\]\.name must be a name, got ''"),
        (
            '{ instrument = "EURUSD", eta',
            '{ instrument = "GBPUSD", eta',
            r"flows\[0\]\.markets\[0\]\.instrument must be the name of an instrument, got 'GBPUSD'",
        ),
        (
            '{ instrument = "USDJPY", eta',
            '{ instrument = "EURUSD", eta',
            r"flows\[0\]\.markets\.instrument must be distinct names, got 'EURUSD'",
        ),
        (
            '[[instruments]]\nname = "EURCHF"\nlegs = { EUR = 1.0 }',
            '[[instruments]]\nname = "EURCHF"\nlegs = { EUR = 1.0, JPY = 1.0 }',
            r"flows\[0\]\.clients\[3\]\.instrument must be one of a single leg, got 'EURCHF'",
        ),
        (
            "sizes = [1e6, 5e6]",
            "sizes = []",
            r"flows\[0\]\.clients\[0\]\.sizes must be at least one size, got \[\]",
        ),
        (
            "sizes = [1e6, 5e6]",
            "sizes = [1e6, 0]",
            r"flows\[0\]\.clients\[0\]\.sizes must be from 1e-06 to 1e\+15, got 0",
        ),
        (
            "requests_per_day = [9000, 5400]",
            "requests_per_day = [9000]",
            r"flows\[0\]\.clients\[0\]\.requests_per_day must be 2 numbers, as sizes, got \(9000\.0,\)",
        ),
        (
            "requests_per_day = [9000, 5400]",
            "requests_per_day = [9000, -1]",
            r"flows\[0\]\.clients\[0\]\.requests_per_day must be from 0 to 1e\+09, got -1",
        ),
        ("alpha = -1.9", "alpha = nan", r"flows\[0\]\.clients\[0\]\.alpha must be from -100 to 100, got nan"),
        (
            "beta_per_bp = 11.0",
            "beta_per_bp = 0",
            r"flows\[0\]\.clients\[0\]\.beta_per_bp must be from 1e-06 to 1e\+06, got 0",
        ),
        (
            'requests_per_day = [8200], alpha = -1.6, beta_per_bp = 9.0 },\n    { instrument = "EURCHF"',
            'requests_per_day = [0], alpha = -1.6, beta_per_bp = 9.0 },\n    { instrument = "EURCHF"',
            r"flows\[0\]\.clients must be such that someone deals in every asset, got \"nobody in \['JPY'\]\"",
        ),
        (
            "eta_bps_per_million_a_day = 1e-5",
            "eta_bps_per_million_a_day = 0",
            r"flows\[0\]\.markets\[0\]\.eta_bps_per_million_a_day must be from 1e-12 to 1e\+06, got 0",
        ),
        (
            "half_spread_bps = 0.5",
            "half_spread_bps = -0.5",
            r"flows\[0\]\.markets\[2\]\.half_spread_bps must be from 1e-06 to 10000, got -0\.5",
        ),
        (
            'name = "franchise"',
            'name = "franchise"\nrisk_aversion = 0.0',
            r"flows\[0\]\.risk_aversion must be from 1e-30 to 1e\+06, got 0",
        ),
        (
            'name = "franchise"',
            'name = "franchise"\nmaterial_share = 0.0',
            r"flows\[0\]\.material_share must be > 0, got 0",
        ),
        (
            'name = "franchise"',
            'name = "franchise"\nimpact_bps_per_million = { GBP = 1.0 }',
            r"flows\[0\]\.impact_bps_per_million must be assets of the universe, got 'GBP'",
        ),
        (
            'name = "franchise"',
            'name = "franchise"\nimpact_bps_per_million = { EUR = -1.0 }',
            r"flows\[0\]\.impact_bps_per_million\.EUR must be from 0 to 10000, got -1",
        ),
        (
            "alpha = -1.9",
            'side = "sell", alpha = -1.9',
            r"flows\[0\]\.risk_aversion must be given where clients\[0\] deal on one side alone, got None",
        ),
        (
            "alpha = -1.9",
            'side = "sells", alpha = -1.9',
            r"flows\[0\]\.clients\[0\]\.side: Invalid enum value 'sells', expected one of both, buy, sell",
        ),
        ("alpha = -1.9", "alpha = 1e3", r"flows\[0\]\.clients\[0\]\.alpha must be from -100 to 100, got 1000"),
        ("sizes = [1e6, 5e6]", "sizes = [1e6, 1e300]", r"flows\[0\]\.clients\[0\]\.sizes must be from .*, got 1e\+300"),
        ("alpha = -1.9", 'alpha = "low"', r"flows\[0\]\.clients\[0\]\.alpha: Expected `float`, got `str`"),
        ("beta_per_bp = 11.0", "beta_per_bp = 11.0, gamma = 1", r"flows\[0\]\.clients\[0\]: .*unknown field `gamma`"),
    ],
)
def test_a_flow_that_cannot_be_is_refused(
    flow_refusal: Callable[[str, str], str], old: str, new: str, message: str
) -> None:
    """Clients and markets: each at start, by its key."""
    assert re.search(message, flow_refusal(old, new))
