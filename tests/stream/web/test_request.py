"""Queries: what they ask, and which are refused."""

from __future__ import annotations

import pytest

from stream.config import Config
from stream.web.request import Requests, UnknownBook, WrongRequest


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ([], "book"),
        ([("book", "spot"), ("book", "spot")], "book"),
        ([("book", "spot"), ("EUR", "nan")], "EUR"),
        ([("book", "spot"), ("EUR", "inf")], "EUR"),
        ([("book", "spot"), ("EUR", "1e16")], "EUR"),
        ([("book", "spot"), ("EUR", "")], "EUR"),
        ([("book", "spot"), ("EUR", "1"), ("EUR", "2")], "EUR"),
        ([("book", "spot"), ("GBP", "1")], "parameter"),
        ([("book", "spot"), ("lots", "1")], "instrument"),
        ([("book", "spot"), ("instrument", "EURUSD")], "lots"),
        ([("book", "spot"), ("instrument", "EURUSD"), ("instrument", "USDJPY")], "lots"),
        ([("book", "spot"), ("instrument", "GBPUSD"), ("lots", "1")], "instrument"),
        ([("book", "spot"), ("instrument", "EURUSD"), ("lots", "1.5")], "lots"),
        ([("book", "spot"), ("instrument", "EURUSD"), ("lots", "9999999999")], "lots"),
        ([("book", "spot")] + 2 * [("instrument", "EURUSD"), ("lots", "1")], "instrument"),
    ],
)
def test_a_query_that_says_nothing_sure_is_refused(desk: Config, query: list[tuple[str, str]], key: str) -> None:
    """Each names its key; no parameter is skipped, none has a silent default."""
    with pytest.raises(WrongRequest) as refused:
        Requests(desk).what_if(query)
    assert refused.value.key == key


def test_a_query_is_read(desk: Config) -> None:
    """Units by asset, lots by instrument, several of each; the same trade has the same name in any order."""
    parts = [
        ("EUR", "5e6"),
        ("USD", "-1"),
        ("instrument", "EURUSD"),
        ("lots", "-3"),
        ("instrument", "EURCHF"),
        ("lots", "2"),
    ]
    book, trade = Requests(desk).what_if([("book", "spot"), *parts])
    assert book == "spot"
    assert (trade.units, trade.lots) == ({"EUR": 5e6, "USD": -1.0}, {"EURUSD": -3, "EURCHF": 2})
    _, again = Requests(desk).what_if([*parts[4:], *parts[2:4], *parts[1::-1], ("book", "spot")])
    assert str(again) == str(trade)
    with pytest.raises(UnknownBook):
        Requests(desk).what_if([("book", "Spot")])
