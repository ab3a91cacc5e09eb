"""What settles a doubt, on plain values."""

from __future__ import annotations

import pytest

from stream.engine.book.doubts import (
    Doubt,
    InputGaps,
    RefusedBook,
    left_book,
    place,
    reasons,
    settle_by_level,
    settle_by_statement,
)
from stream.events.types import Keyed, PositionLevel, PositionsConfirmed


def level(source: str, ns: int = 50, ms: int = 50, dated: bool = True, keyed: Keyed = "book") -> PositionLevel:
    return PositionLevel(ns, "spot", 0, 1.0, source, dated, ms, keyed)


def refused(*assets: str, event_time_ns: int | None = None) -> Doubt:
    return Doubt("refused", list(assets), len(assets), "positions[1]", 7, 50, event_time_ns)


@pytest.mark.parametrize(
    ("found", "settles"),
    [
        (level("positions[1]@8"), True),
        (level("positions[1]@6"), False),
        (level("positions[0]@1", ms=50), True),
        (level("positions[0]@99", ms=49), False),
    ],
)
def test_only_a_later_record_settles_a_refused_one(found: PositionLevel, settles: bool) -> None:
    """Within a partition by its offset, else by the time of the record."""
    assert settle_by_level({"asset EUR": refused("EUR")}, "EUR", found) is settles


@pytest.mark.parametrize(("ns", "dated", "settles"), [(40, True, True), (39, True, False), (39, False, True)])
def test_a_level_of_an_earlier_time_is_not_the_newest(ns: int, dated: bool, settles: bool) -> None:
    """Where both have a time of their own."""
    doubts = {"asset EUR": refused("EUR", event_time_ns=40)}
    assert settle_by_level(doubts, "EUR", level("positions[1]@8", ns, dated=dated)) is settles


def test_a_doubt_ends_with_the_last_of_its_assets() -> None:
    """And says meanwhile which are still to come."""
    doubts = {"all assets": refused("A", "B", "C", "D", "E", "F", "G")}
    assert reasons(doubts.values()) == ("refused",)
    assert not settle_by_level(doubts, "A", level("positions[1]@8"))
    assert reasons(doubts.values()) == ("refused; still no level of B, C, D, E, F and 1 more",)
    assert [settle_by_level(doubts, each, level("positions[1]@8")) for each in "BCDEFG"] == [False] * 5 + [True]
    assert not doubts


def gone(partition: str = "positions[1]") -> Doubt:
    return Doubt("gone", ["EUR"], 1, partition, -1, ends={"positions[0]": 5, "positions[1]": 9})


@pytest.mark.parametrize(
    ("found", "settles"),
    [
        (level("positions[1]@3", keyed="other"), True),
        (level("positions[0]@3", keyed="book"), True),
        (level("positions[0]@3", keyed="other"), False),
        (level("positions[0]@5", keyed="other"), True),
    ],
)
def test_what_is_left_in_the_log_settles_what_is_gone_before_it(found: PositionLevel, settles: bool) -> None:
    """A level in another partition may be older than those, unless keys keep an asset in one partition."""
    assert settle_by_level({"head": gone()}, "EUR", found) is settles


@pytest.mark.parametrize(
    ("source", "quantities", "settles"),
    [("positions[0]@4", None, False), ("positions[0]@5", None, True), ("positions[0]@4", (1.0, 0.0), True)],
)
def test_an_old_statement_was_about_levels_that_are_gone(
    source: str, quantities: tuple[float, ...] | None, settles: bool
) -> None:
    """Unless it says itself what is held."""
    statement = PositionsConfirmed(50, "spot", quantities, source)
    doubts = {"head": gone(), "asset EUR": refused("EUR")}
    assert settle_by_statement(doubts, statement)
    assert ("head" not in doubts) is settles
    assert "asset EUR" not in doubts


def test_a_book_that_comes_later_starts_with_what_was_missed() -> None:
    """What is missing of every book, and what was refused of its own name or of names that were not kept."""
    gaps = InputGaps(
        everyones={"head": gone()}, unknown={"new": RefusedBook(2, "positions[0]@1", "positions[1]@7", 50)}
    )
    doubts = gaps.of_new_book("new", ("EUR", "CHF"))
    assert doubts["head"].assets == doubts["configured later"].assets == ["EUR", "CHF"]
    assert "2 positions of it were refused before it was configured, the first at positions[0]@1" in str(
        doubts["configured later"]
    )
    doubts["head"].assets.clear()
    assert gaps.everyones["head"].assets == ["EUR"]
    assert set(gaps.of_new_book("other", ("EUR",))) == {"head"}
    gaps.unknown_more = RefusedBook(1, "positions[0]@1", "positions[0]@1", 50)
    assert "1 position of it was refused" in str(gaps.of_new_book("other", ("EUR",))["configured later"])
    gaps.unknown["back"] = left_book()
    came_back = gaps.of_new_book("back", ("EUR",))
    assert "positions were forgotten when it left" in str(came_back["configured later"])
    assert settle_by_level({"back": came_back["configured later"]}, "EUR", level("positions[0]@0", ms=0))


def test_a_record_is_named_by_partition_and_offset() -> None:
    assert place("my@prefix-positions[2]@17") == ("my@prefix-positions[2]", 17)
