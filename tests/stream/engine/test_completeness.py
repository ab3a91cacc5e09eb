"""The rules for many books at once. Whole courses stand in tests/simulation/test_completeness.py."""

from __future__ import annotations

import numpy as np
import pytest

from stream.config import Config
from stream.engine.book.doubts import InputGaps
from stream.engine.book.state import BookState
from stream.engine.completeness import DOUBTS_MAX, UNKNOWN_BOOKS_MAX, Completeness
from stream.events.types import LevelsMissing, PositionLevel, Refused, RefusedPosition
from stream.kafka.log import Record


def refused(
    book: str | None, asset: str | None, offset: int = 0, flat: bool = False, event_time_ns: int | None = None
) -> Refused:
    about = RefusedPosition(book, asset, False, flat, event_time_ns, 0)
    return Refused(Record("positions", 0, offset, 5, None, b"?"), "undecodable", "d" * 5000, "", position=about)


@pytest.fixture
def rules(desk: Config) -> Completeness:
    return Completeness(desk)


@pytest.fixture
def books() -> dict[str, BookState]:
    return {name: BookState(np.zeros(3)) for name in ("spot", "options")}


def test_names_of_unknown_books_are_kept_up_to_a_bound(rules: Completeness, books: dict[str, BookState]) -> None:
    """Beyond it they are counted together, and any book that comes later may be one of them."""
    gaps = InputGaps()
    for number in range(UNKNOWN_BOOKS_MAX + 5):
        assert rules.refused(books, gaps, refused(f"b{number}", "EUR", number)) == []
    rules.refused(books, gaps, refused("b0", "EUR", 9999))
    assert len(gaps.unknown) == UNKNOWN_BOOKS_MAX
    assert (gaps.unknown["b0"].count, gaps.unknown["b0"].first, gaps.unknown["b0"].last) == (
        2,
        "positions[0]@0",
        "positions[0]@9999",
    )
    assert gaps.unknown_more is not None
    assert gaps.unknown_more.count == 5
    assert not any(book.doubts for book in books.values())


def test_made_up_assets_fill_no_memory(rules: Completeness, books: dict[str, BookState]) -> None:
    """Beyond the bound each of them is one doubt about the whole book; and every reason is short."""
    for number in range(1000):
        rules.refused(books, InputGaps(), refused("spot", f"X{number}", number))
    assert len(books["spot"].doubts) == DOUBTS_MAX + 1
    assert max(len(reason) for reason in books["spot"].incomplete) < 500


def test_a_level_that_is_older_than_the_one_held_is_no_loss(rules: Completeness, books: dict[str, BookState]) -> None:
    """It would have been ignored."""
    books["spot"].as_of_ns[0] = 100
    assert rules.refused(books, InputGaps(), refused("spot", "EUR", event_time_ns=99)) == []
    assert rules.refused(books, InputGaps(), refused("spot", "EUR", event_time_ns=100)) == ["spot"]
    assert rules.refused(books, InputGaps(), refused("spot", "EUR", event_time_ns=101)) == []  # it is marked already


def test_a_refused_record_of_another_topic_marks_nothing(rules: Completeness, books: dict[str, BookState]) -> None:
    record = Record("ticks", 0, 0, 5, b"spot", b"?")
    assert rules.refused(books, InputGaps(), Refused(record, "undecodable", "", "")) == []


def test_what_is_missing_from_the_log_is_missing_of_every_book(
    rules: Completeness, books: dict[str, BookState]
) -> None:
    """Each settles it for itself; a book to come has it too."""
    gaps = InputGaps()
    missing = LevelsMissing("head of positions[0]", "the first 3 records are gone", "positions[0]", {"positions[0]": 9})
    assert rules.missing(books, gaps, missing) == ["spot", "options"]
    for asset in range(3):
        rules.level(books["spot"], gaps, PositionLevel(50, "spot", asset, 0.0, "positions[0]@4"))
    assert not books["spot"].doubts
    assert books["options"].incomplete == ("the first 3 records are gone",)
    assert gaps.everyones["head of positions[0]"].assets == ["EUR", "CHF", "JPY"]


def test_a_refused_level_of_an_earlier_time_does_not_hide_the_latest_that_is_missing(
    rules: Completeness, books: dict[str, BookState]
) -> None:
    """A level between the two times leaves the latest one missing."""
    gaps = InputGaps()
    rules.refused(books, gaps, refused("spot", "EUR", 0, event_time_ns=10))
    rules.refused(books, gaps, refused("spot", "EUR", 1, event_time_ns=5))
    assert not rules.level(books["spot"], gaps, PositionLevel(7, "spot", 0, 1.0, "positions[0]@2"))
    assert books["spot"].doubts
    assert rules.level(books["spot"], gaps, PositionLevel(10, "spot", 0, 1.0, "positions[0]@3"))
    assert not books["spot"].doubts
