"""A simulated client flow: seeded trades that move each book's positions. There are no real clients in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from schemas.inbound import Position
from stream.demo.rates import Day

TRADES_A_DAY = 1.0
"""Client trades of each pair. At four days a second that makes some seventy position changes a second."""

REVERSION_A_DAY = 0.06
"""Share of its distance to the usual position by which a pair's inventory returns each day: clients trade both ways."""


@dataclass(frozen=True)
class PairFlow:
    """Clients of `book` trade `base` against `quote`. Usual position and size of one trade are in USD."""

    book: str
    base: str
    quote: str
    usual_usd: float
    trade_usd: float


FLOWS = (
    PairFlow("franc", "EUR", "CHF", 25e6, 2e6),
    PairFlow("franc", "EUR", "USD", 2e6, 1.5e6),
    PairFlow("franc", "GBP", "USD", -1e6, 1e6),
    PairFlow("scandi", "EUR", "DKK", 15e6, 3e6),
    PairFlow("scandi", "SEK", "NOK", 9e6, 3e6),
    PairFlow("scandi", "EUR", "SEK", 6e6, 3e6),
    PairFlow("pacific", "AUD", "NZD", 12e6, 3e6),
    PairFlow("pacific", "USD", "JPY", 5e6, 3e6),
    PairFlow("pacific", "USD", "SGD", 4e6, 2e6),
    PairFlow("pacific", "USD", "CAD", -4e6, 2e6),
)


class ClientFlow:
    """Trades of simulated clients, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        self._quantities: dict[tuple[str, str], float] = {}
        self._pair_usd = dict.fromkeys(FLOWS, 0.0)
        self._sent = 0

    def opening(self, day: Day) -> Iterator[Position]:
        """The positions that the books start from."""
        for flow in FLOWS:
            yield from self._trade(flow, flow.usual_usd, day, 0)

    def trades(self, day: Day) -> Iterator[Position]:
        """The positions after each of the day's trades, in the hours after the fixing."""
        order = 1
        for flow in FLOWS:
            pull = REVERSION_A_DAY * (flow.usual_usd - self._pair_usd[flow]) / TRADES_A_DAY
            for _ in range(self._chance.poisson(TRADES_A_DAY)):
                size = self._chance.normal(0.0, flow.trade_usd)
                # Clients deal in round amounts.
                yield from self._trade(flow, round((pull + size) / 1e5) * 1e5, day, order)
                order += 1

    def _trade(self, flow: PairFlow, usd: float, day: Day, order: int) -> Iterator[Position]:
        if usd == 0:
            return
        self._pair_usd[flow] += usd
        for currency, signed_usd in ((flow.base, usd), (flow.quote, -usd)):
            key = (flow.book, currency)
            self._quantities[key] = self._quantities.get(key, 0.0) + signed_usd / day.usd_prices[currency]
            if currency == "USD":
                continue  # the numeraire carries no risk
            self._sent += 1
            yield Position(
                book=flow.book,
                asset=currency,
                quantity=round(self._quantities[key], 2),
                # A nanosecond apart, so that every position can be told by its time.
                event_time_ns=day.event_time_ns + order * 60_000_000_000 + self._sent,
                source="simulated",
                seq=self._sent,
            )
