"""Conditions on prices: missing, stale, doubted; on plain values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_market import made_market
from stream.config import Config
from stream.engine.conditions.prices import doubt_conditions, price_condition
from stream.engine.market.model import Market
from stream.engine.market.plausibility.gate import Doubt


@pytest.mark.parametrize(
    ("holders", "missing", "went_stale", "holds", "severity"),
    [
        ([], False, True, False, "warning"),
        ([], True, True, True, "warning"),
        ([], True, False, None, "warning"),
        (["spot"], True, False, True, "critical"),
        (["spot"], False, True, False, "critical"),
    ],
)
def test_a_price_is_stale(
    holders: list[str], missing: bool, went_stale: bool, holds: bool | None, severity: str
) -> None:
    """An asset that was never quoted and that nobody holds raises nothing. With a holder it is critical."""
    condition = price_condition("EUR", holders, missing=missing, went_stale=went_stale, max_price_age_s=5.0)
    assert (condition.holds, condition.severity, condition.subject) == (holds, severity, "EUR")
    assert ("spot" in condition.message) == (missing and bool(holders))


def doubted(desk: Config, suspect: tuple[bool, ...], *doubts: Doubt) -> Market:
    return replace(made_market(desk, {}), suspect=np.array(suspect), doubts=doubts)


def test_an_asset_is_suspect_until_all_doubts_of_it_have_ended(desk: Config) -> None:
    """Two instruments of EUR are held; the alert is cleared with the last, and its message is of those that stand."""
    one, two = (Doubt("price-suspect", index, True, f"instrument {index}", (0,)) for index in (0, 3))
    over, soon = replace(one, holds=False, message="back"), replace(two, holds=None)
    names = desk.universe.assets
    for doubts, holds, message in (
        ((one, two), True, "EUR: instrument 0; instrument 3"),
        ((over, two), True, "EUR: instrument 3"),
        ((over, soon), None, "EUR: back; instrument 3"),
        ((over,), False, "EUR: back"),
    ):
        market = doubted(desk, (False, False, False), *doubts)
        (condition,) = doubt_conditions(market, names, set(), [[], [], []])
        assert (condition.subject, condition.holds, condition.message) == ("EUR", holds, message)
        assert condition.severity == "warning"


def test_a_held_asset_without_another_price_is_critical(desk: Config) -> None:
    """The message says what follows for the books."""
    doubt = Doubt("price-unchanged", 1, True, "USDCHF has not changed for 15 s", (1,))
    market = doubted(desk, (False, True, False), doubt)
    (condition,) = doubt_conditions(market, desk.universe.assets, set(), [[], ["spot", "options"], []])
    assert condition.severity == "critical"
    assert condition.message == (
        "CHF: USDCHF has not changed for 15 s; nothing is suggested in CHF, and its last believed price is used for "
        "these books: spot, options"
    )


def test_an_alert_that_nothing_speaks_of_any_more_is_cleared(desk: Config) -> None:
    """As when the gate was switched off over a restart."""
    market = doubted(desk, (False, False, False))
    assert doubt_conditions(market, desk.universe.assets, {"price-stale:EUR"}, [[], [], []]) == []
    (condition,) = doubt_conditions(market, desk.universe.assets, {"price-suspect:EUR"}, [[], [], []])
    assert (condition.kind, condition.subject, condition.holds) == ("price-suspect", "EUR", False)
