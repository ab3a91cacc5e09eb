"""Keys of positions: unambiguous whatever the names, and other forms told apart from those that lose levels."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.events.position_key import complete_key, keyed_as, keyed_by, level_key

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
    ("key", "book", "asset", "keyed"),
    [
        (b'["franc","EUR"]', "franc", "EUR", "level"),
        (b"franc/EUR", "franc", "EUR", "level"),
        (json.dumps(["zürich", "EUR"]).encode(), "zürich", "EUR", "level"),
        (b"franc", "franc", "EUR", "book"),
        (b"EURO", "EURO", "EUR", "book"),
        (b'["franc"]', "franc", "EUR", "book"),
        (b'["franc","CHF"]', "franc", "EUR", "book"),
        (b"franc/CHF", "franc", "EUR", "other"),
        (b"\xff", "franc", "EUR", "other"),
        (b"x" * 10_000, "franc", "EUR", "other"),
        (None, "franc", "EUR", "other"),
    ],
)
def test_compaction_keeps_a_level_whose_key_names_its_asset(
    key: bytes | None, book: str, asset: str, keyed: str
) -> None:
    """In any form. A book whose name holds that of the asset does not name it."""
    assert keyed_as(key, book, asset) == keyed
