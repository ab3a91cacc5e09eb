"""Books: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.config import load_config
from stream.errors import ConfigError


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "spot"', 'name = ""', "books[0].name must be a name, got ''"),
        ('name = "options"', 'name = "spot"', "books.name must be distinct names, got 'spot'"),
        ("limit = 900.0", "limit = 0.0", "books[0].limit must be > 0, got 0.0"),
        (
            "limit = 900.0",
            "limit = 900.0\ntarget_share = 0.0",
            "books[0].target_share must be a number above 0 and at most 1, got 0.0",
        ),
        (
            "limit = 900.0",
            "limit = 900.0\ntarget_share = 1.1",
            "books[0].target_share must be a number above 0 and at most 1, got 1.1",
        ),
        (
            "limit = 900.0",
            "limit = 900.0\nclear_share = 0.7",
            "books[0].clear_share must be a number from target_share 0.8 to 1, got 0.7",
        ),
        (
            "limit = 900.0",
            "limit = 900.0\nclear_share = 1.5",
            "books[0].clear_share must be a number from target_share 0.8 to 1, got 1.5",
        ),
        ("max_lots = 2", "max_lots = 0", "books[1].max_lots must be >= 1, got 0"),
        (
            '["EURUSD", "USDJPY"]',
            '["EURUSD", "EURUSD"]',
            "books[1].instruments must be distinct names, got 'EURUSD'",
        ),
        ('["EURUSD", "USDJPY"]', '["GBPUSD"]', "books[1].instruments must be names of instruments, got 'GBPUSD'"),
        ("max_lots = 4", "max_lots = 4\nmax_trades = 0", "books[0].max_trades must be >= 1, got 0"),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'flows = "franchise"',
            'flows = "other"',
            r"books\[0\]\.flows must be the name of a flow, got 'other'",
        ),
        (
            'flows = "franchise"',
            'band = "internalise"',
            r"books\[0\]\.flows must be the name of a flow where band is internalise, got None",
        ),
        (
            'flows = "franchise"',
            'flows = "franchise"\nband = "internalise"\nlimit_on = "horizon"',
            r"books\[0\]\.limit_on must be timestep where band is internalise, got 'horizon'",
        ),
        (
            'flows = "franchise"',
            'flows = "franchise"\nlimit_on = "horizon"',
            r"books\[0\]\.limit_on must be timestep where the limit is the risk aversion of franchise, got 'horizon'",
        ),
        (
            'flows = "franchise"',
            'flows = "franchise"\ninstruments = ["EURUSD"]',
            r"books\[0\]\.instruments must be among them every market of franchise, got \['EURUSD'\]",
        ),
    ],
)
def test_a_flow_that_a_book_cannot_use_is_refused(
    flow_refusal: Callable[[str, str], str], old: str, new: str, message: str
) -> None:
    """The keys that depend on the flow of a book are checked at start."""
    assert re.search(message, flow_refusal(old, new))


def test_no_book_is_refused(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """A service without a book would publish nothing that anyone needs."""
    head, _, rest = desk_toml.partition("[[books]]")
    text = "books = []\n" + head + "[covariance]" + rest.partition("[covariance]")[2]
    with pytest.raises(ConfigError, match=r"books must be at least one book, got \[\]"):
        load_config(config_path(text))
