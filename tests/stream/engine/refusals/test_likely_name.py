"""What an unknown name probably means: a spelling of a pair that feeds use, and nothing where it would be a guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.engine.refusals.likely_name import LikelyNames, likely_names

PAIRS = ("EURUSD", "GBPUSD", "USDCHF", "USDJPY", "AUDUSD", "EURCHF", "USDCAD", "NZDUSD", "EURGBP")


@pytest.mark.parametrize(
    "name",
    [
        *("EUR/USD", "EUR-USD", "EUR_USD", "EUR USD", "EUR.USD", "eurusd", "EurUsd", " EURUSD ", "EURUSD=X"),
        *("EURUSD.LD4", "EURUSD.m", "EURUSD#", "FX:EURUSD", "C:EURUSD", "OANDA:EUR_USD", "EUR/USD.LD4"),
        *("EURUSD Curncy", "EURUSD@ebs", "FX:EUR/USD-SPOT", "EURUSDT", "EURUDS", "UERUSD", "ＥＵＲＵＳＤ"),
    ],
)
def test_spellings_of_one_pair_mean_it(name: str) -> None:
    """Case, separators, prefixes, suffixes and two letters that changed places make no other instrument."""
    assert likely_names(repr(name), PAIRS) == LikelyNames(("EURUSD",))


@pytest.mark.parametrize("name", ["USDEUR", "USD/EUR", "usd_eur", "FX:USD-EUR", "USDEUR=X", "USDEUR.LD4"])
def test_a_pair_the_other_way_round_is_called_so(name: str) -> None:
    """It is another instrument: its price is the reciprocal."""
    assert likely_names(name, PAIRS) == LikelyNames(("EURUSD",), inverted=True)


@pytest.mark.parametrize(
    "name",
    ["XAUUSD", "CHFJPY", "EURNOK", "USDSEK", "SPY", "BTC-USD", "EUR", "USD", "", "???", "\x01" * 300, "EURUSD" * 100],
)
def test_another_instrument_is_not_taken_for_a_known_one(name: str) -> None:
    """Pairs that share a currency with a known one, other markets, single currencies, and names that are none."""
    assert likely_names(name, PAIRS) == LikelyNames()


def test_the_same_pair_at_two_venues_is_named_twice() -> None:
    """The configuration has the venue in the name, the feed has not."""
    known = ("EURUSD@EBS", "EURUSD@LMAX", "USDCHF@EBS")
    assert likely_names("EUR/USD", known).names == ("EURUSD@EBS", "EURUSD@LMAX")
    assert likely_names("USD.EUR", known) == LikelyNames(("EURUSD@EBS", "EURUSD@LMAX"), inverted=True)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("eur", "EUR"), ("Desk Zurich", "desk-zurich"), ("desk-zurihc", "desk-zurich"), ("GBP", None), ("options", None)],
)
def test_assets_and_books_have_likely_names_too(name: str, meant: str | None) -> None:
    """By the same rules: letters and digits, and slips of the finger."""
    assert likely_names(name, ("EUR", "CHF", "USD", "desk-zurich")).names == ((meant,) if meant else ())


@given(st.text(max_size=400), st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True))
def test_any_text_has_an_answer(unknown: str, known: list[str]) -> None:
    """Names come from outside: whatever they hold, the answer is a few of the known ones, and always the same."""
    found = likely_names(unknown, known)
    assert set(found.names) <= set(known)
    assert len(found.names) <= 3
    assert likely_names(unknown, known) == found
