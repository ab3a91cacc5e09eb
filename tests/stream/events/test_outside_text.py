"""Text from outside, as our own messages show it: short is shown whole, long is cut, and what was cut can be told."""

from __future__ import annotations

import hashlib

from stream.events.outside_text import CHARACTERS_MAX, bounded, quoted


def test_a_name_of_usual_length_is_shown_as_it_came() -> None:
    """Quoted, as Python writes it, so that blanks and control characters are seen."""
    assert quoted("EUR/USD") == "'EUR/USD'"
    assert quoted("a\x00b") == "'a\\x00b'"


def test_a_long_name_is_cut_and_its_length_and_hash_stand_beside_it() -> None:
    """Whoever has the record can tell that it is the one."""
    name = "\x01" * 3_000_000
    shown = quoted(name)
    assert len(shown) < 10 * CHARACTERS_MAX
    assert "3000000 characters" in shown
    assert hashlib.sha256(name.encode()).hexdigest() in shown


def test_a_text_is_bounded_whatever_it_holds() -> None:
    """Half of a surrogate pair, which has no bytes in UTF-8, is hashed, and shown as a question mark."""
    assert bounded("as it is", 10) == "as it is"
    assert bounded("Zürich\ud800") == "Zürich?"
    cut = bounded("\ud800" * 1000, 10)
    assert cut.startswith("?" * 10 + "… (")
    assert "1000 characters" in cut
