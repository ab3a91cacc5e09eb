"""Instruments: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.config import load_config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "USDJPY"', 'name = "EURUSD"', "instruments.name must be distinct names, got 'EURUSD'"),
        (
            'quote = "USD"\nlot = 1_000_000.0',
            'quote = "USD"\nlot = 0.0',
            "instruments[0].lot must be > 0, got 0.0",
        ),
        ("fee_bps = 0.1", "fee_bps = -0.1", "instruments[1].fee_bps must be >= 0, got -0.1"),
        ("legs = { EUR = 1.0 }", "legs = {}", "instruments[0].legs must be at least one leg, got {}"),
        (
            "legs = { EUR = 1.0 }",
            "legs = { GBP = 1.0 }",
            "instruments[0].legs must be assets of the universe or USD, got 'GBP'",
        ),
        (
            "legs = { EUR = 1.0 }",
            "legs = { EUR = 0.0 }",
            "instruments[0].legs.EUR must be a finite number other than 0, got 0.0",
        ),
        (
            "legs = { EUR = 1.0 }",
            "legs = { EUR = nan }",
            "instruments[0].legs.EUR must be a finite number other than 0, got nan",
        ),
        (
            "legs = { EUR = 1.0 }",
            "legs = { EUR = -1.0 }",
            "instruments[0].legs must be a long leg, since it prices EUR, got {'EUR': -1.0}",
        ),
        (
            'quote = "USD"',
            'quote = "GBP"',
            "instruments[0].quote must be an asset of the universe or USD, got 'GBP'",
        ),
        ('quote = "USD"', 'quote = "EUR"', "instruments[0].quote must be another asset than the only leg, got 'EUR'"),
        (
            'legs = { USD = 1.0 }\nquote = "JPY"',
            'legs = { USD = 1.0, EUR = 1.0 }\nquote = "JPY"',
            "instruments must be one of a single leg that prices JPY against USD, or a chain of such ones, "
            "got 'none among them'",
        ),
        (
            "fee_bps = 0.1",
            "impact_sqrt_bps = -0.1",
            "instruments[1].impact_sqrt_bps must be >= 0, got -0.1",
        ),
        (
            "fee_bps = 0.1",
            "impact_linear_bps = 0.1",
            "instruments[1].available_lots must be > 0 where there is an impact, got None",
        ),
        ("fee_bps = 0.1", "available_lots = 0.0", "instruments[1].available_lots must be > 0, got 0.0"),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message


def test_an_asset_may_be_priced_by_a_chain(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """The franc may be priced over EURCHF and EURUSD alone, and the yen against the franc on top."""
    basket = 'legs = { USD = 1.0, EUR = 1.0 }\nquote = "CHF"'
    text = desk_toml.replace('legs = { USD = 1.0 }\nquote = "CHF"', basket, 1)
    load_config(config_path(text.replace('legs = { USD = 1.0 }\nquote = "JPY"', 'legs = { CHF = 1.0 }\nquote = "JPY"')))
