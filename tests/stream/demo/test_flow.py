"""The simulated client flow."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from stream.demo.flow import FLOWS, ClientFlow, PairFlow
from stream.demo.rates import Day

CURRENCIES = sorted({currency for flow in FLOWS for currency in (flow.base, flow.quote)})
PRICES = {currency: 0.2 + 0.1 * number for number, currency in enumerate(CURRENCIES)} | {"USD": 1.0}
START_NS = 1_734_966_000_000_000_000
DAY_NS = 86_400 * 1_000_000_000


def day(number: int) -> Day:
    return Day(date.fromordinal(739_000 + number), START_NS + number * DAY_NS, PRICES)


def in_usd(quantities: dict[tuple[str, str], float]) -> dict[str, float]:
    """What each book holds, without the numeraire, in USD by currency."""
    return {f"{book}/{asset}": quantity * PRICES[asset] for (book, asset), quantity in quantities.items()}


def test_a_book_opens_with_its_usual_positions() -> None:
    """Both legs of each pair at the day's prices; the numeraire carries no risk and is not sent."""
    opened = {(each.book, each.asset): each.quantity for each in ClientFlow(1).opening(day(0))}
    expected: dict[tuple[str, str], float] = {}
    for flow in FLOWS:
        for currency, usd in ((flow.base, flow.usual_usd), (flow.quote, -flow.usual_usd)):
            if currency != "USD":
                expected[flow.book, currency] = expected.get((flow.book, currency), 0.0) + usd
    assert in_usd(opened) == pytest.approx({f"{book}/{asset}": usd for (book, asset), usd in expected.items()}, abs=0.1)


def test_the_same_seed_gives_the_same_flow() -> None:
    """To the message, and another seed another one; no two positions have the same time or number."""

    def week(seed: int) -> list[object]:
        flow = ClientFlow(seed)
        return [*flow.opening(day(0)), *(each for number in range(5) for each in flow.trades(day(number)))]

    assert week(3) == week(3) != week(4)
    sent = week(3)
    assert len({each.event_time_ns for each in sent}) == len(sent)
    assert [each.seq for each in sent] == list(range(1, len(sent) + 1))


def test_inventories_come_back_to_what_is_usual() -> None:
    """Clients trade both ways: over 2,000 days no pair drifts off, and its mean is within 4 standard errors.

    The pull is 6 % of the distance a day, so that days are correlated over 1 / 0.06 of them, and the standard error is
    that of 2,000 · 0.03 independent ones.
    """
    flow = ClientFlow(5)
    list(flow.opening(day(0)))
    course: dict[PairFlow, list[float]] = {pair: [] for pair in FLOWS}
    for number in range(2_000):
        list(flow.trades(day(number)))
        for pair, usd in flow._pair_usd.items():
            course[pair].append(usd)
    for pair, inventory in course.items():
        deviation = pair.trade_usd / np.sqrt(2 * 0.06)
        assert np.mean(inventory) == pytest.approx(pair.usual_usd, abs=4 * deviation / np.sqrt(2_000 * 0.03))
        assert np.std(inventory) == pytest.approx(deviation, rel=0.4)
