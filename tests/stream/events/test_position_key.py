"""Keys of positions: unambiguous whatever the names, and other forms told apart from those that lose levels."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events.position_key import complete_key, keyed_by, level_key, names_level

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(NAMES, NAMES, NAMES, NAMES)
def test_a_key_names_one_book_and_one_asset(book: str, asset: str, other_book: str, other_asset: str) -> None:
    """Whatever characters they hold: two levels share a key only if both names are the same."""
    key = level_key(book, asset)
    assert keyed_by(key.encode()) == (book, asset)
    assert (key == level_key(other_book, other_asset)) == ((book, asset) == (other_book, other_asset))
    assert complete_key(book) not in (key, book)
    assert keyed_by(complete_key(book).encode()) == (book, None)


@pytest.mark.parametrize(
    ("key", "book", "asset"),
    [
        (b"franc", "franc", None),
        (json.dumps(["zürich", "EUR"]).encode(), "zürich", "EUR"),
        (b'["a","b","c"]', '["a","b","c"]', None),
        (b"[1, 2]", "[1, 2]", None),
        (b"\xff", None, None),
        (b"", None, None),
        (None, None, None),
        (b"x" * 10_000, None, None),
    ],
)
def test_what_is_no_array_of_names_is_the_name_of_a_book(
    key: bytes | None, book: str | None, asset: str | None
) -> None:
    """And what is no text names nothing."""
    assert keyed_by(key) == (book, asset)


@pytest.mark.parametrize(
    ("key", "book", "asset", "safe"),
    [
        (b'["franc","EUR"]', "franc", "EUR", True),
        (b"franc/EUR", "franc", "EUR", True),
        (json.dumps(["zürich", "EUR"]).encode(), "zürich", "EUR", True),
        (b"franc", "franc", "EUR", False),
        (b"EURO", "EURO", "EUR", False),
        (b'["franc"]', "franc", "EUR", False),
        (b"franc/CHF", "franc", "EUR", False),
        (None, "franc", "EUR", False),
    ],
)
def test_compaction_keeps_a_level_whose_key_names_its_asset(
    key: bytes | None, book: str, asset: str, safe: bool
) -> None:
    """In any form. A book whose name holds that of the asset does not name it."""
    assert names_level(key, book, asset) == safe
