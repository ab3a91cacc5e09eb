"""The table of comparisons."""

from __future__ import annotations

from stream.bench.figures import compare, markdown, measure, report


def test_the_table_says_who_loses() -> None:
    """Where the reference is better the ratio says so; where there is none the cells are empty."""
    rows = [
        compare("lost time", "ours", 3.0, "theirs", 2.0, "ms", "below 1"),
        compare("won time", "ours", 1.0, "theirs", 2.0, "ms", "below 1"),
        compare("lost rate", "ours", 1.0, "theirs", 2.0, "ticks/s", "at least 1"),
        compare("no reference", "ours", 1.0, "theirs", 0.0, "cases", "at least 1"),
        measure("alone", "ours", 7.0, "cases", "7"),
    ]
    lines = markdown(report("", rows)).splitlines()[4:9]
    assert lines == [
        "| lost time | ours: 3 ms | theirs: 2 ms | 1.5, the reference is better | below 1 |",
        "| won time | ours: 1 ms | theirs: 2 ms | 0.5 | below 1 |",
        "| lost rate | ours: 1 ticks/s | theirs: 2 ticks/s | 0.5, the reference is better | at least 1 |",
        "| no reference | ours: 1 cases | theirs: 0 cases |  | at least 1 |",
        "| alone | ours: 7 cases |  |  | 7 |",
    ]
