"""The trades of a desk do not depend on the currency in which it is valued."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from schemas.outbound import HedgeSuggestion, ResidualExposure
from stream.config import Config, check_config
from stream.engine.book.state import BookState
from stream.engine.step import Engine
from stream.events.types import Timestep

STEPS = 60
CURRENCIES = ("USD", "EUR", "CHF", "JPY")


def desk_in(desk: Config, numeraire: str, limit: float) -> Config:
    """The desk counted in `numeraire`, with every other currency an asset; without β, whose series would be others."""
    universe = msgspec.structs.replace(
        desk.universe, numeraire=numeraire, assets=tuple(each for each in CURRENCIES if each != numeraire)
    )
    config = msgspec.structs.replace(
        desk,
        universe=universe,
        books=(msgspec.structs.replace(desk.books[0], limit=limit, max_lots=60),),
        covariance=msgspec.structs.replace(desk.covariance, shrinkage="none"),
        reversion=msgspec.structs.replace(desk.reversion, basis_ratio_max=1e-9, false_discovery_rate=1e-12),
        solver=msgspec.structs.replace(desk.solver, hedge_cost_resolution=0.0, max_hedge_nodes=50_000),
    )
    check_config(config)
    return config


@pytest.mark.parametrize("numeraire", ["EUR", "CHF", "JPY"])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_trades_in_any_numeraire(
    desk: Config,
    mid_prices: Callable[[int, int], np.ndarray],
    timestep_of: Callable[..., Timestep],
    numeraire: str,
    seed: int,
) -> None:
    """The same quotes and positions, funded in dollars, counted in dollars and in another currency, with the limit
    changed at the rate of the day: the same trades at the same limit prices; risks and costs differ by the rate alone.
    """
    mids = mid_prices(STEPS, seed)
    eurusd, usdchf, usdjpy = mids[-1]
    worth = {"USD": 1.0, "EUR": eurusd, "CHF": 1 / usdchf, "JPY": 1 / usdjpy}
    dollars = np.random.default_rng(seed).uniform(-2e7, 2e7, 3)
    held = {name: value / worth[name] for name, value in zip(("EUR", "CHF", "JPY"), dollars, strict=True)}
    held["USD"] = -float(dollars.sum())

    def answer(currency: str) -> tuple[ResidualExposure, HedgeSuggestion]:
        config = desk_in(desk, currency, 1200.0 / worth[currency])
        engine = Engine(config)
        state = engine.new_state()
        for step in range(1, STEPS):
            state, _ = engine.step(state, timestep_of(step, mids[step - 1]))
        quantities = np.array([held[asset] for asset in config.universe.assets])
        state.books["spot"] = BookState(quantities=quantities, has_positions=True)
        _, outputs = engine.step(state, timestep_of(STEPS, mids[-1]))
        (residual,) = [each for each in outputs if isinstance(each, ResidualExposure)]
        (suggestion,) = [each for each in outputs if isinstance(each, HedgeSuggestion)]
        return residual, suggestion

    (residual, here), (other_residual, there) = answer("USD"), answer(numeraire)
    assert not residual.packed
    assert not other_residual.packed
    assert here.proven
    assert there.proven
    assert here.status == there.status == "trade"
    assert here.trades
    assert [(each.instrument, each.side, each.lots, each.limit_price) for each in there.trades] == [
        (each.instrument, each.side, each.lots, each.limit_price) for each in here.trades
    ]
    for name in ("risk_before", "risk_after", "expected_cost", "runner_up_cost"):
        # Sums of the same terms in another order and another unit.
        assert getattr(there, name) * worth[numeraire] == pytest.approx(getattr(here, name), rel=1e-9), name
    removed = [each.share_removed for each in here.trades]
    assert [each.share_removed for each in there.trades] == pytest.approx(removed, rel=1e-6)
