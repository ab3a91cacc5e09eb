"""docs/configuration.md: up to date, and complete."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from stream.config.checks import annotated
from stream.config.document import FILE, MEANING_OF_SECRET, Section, document, meaning, sections

ROOT = Path(__file__).parents[3]


def test_the_file_is_up_to_date() -> None:
    """The file on disk is what the classes generate."""
    assert FILE == ROOT / "docs" / "configuration.md"
    assert FILE.read_text(encoding="utf-8") == document(), f"{FILE} is stale; run: python -m stream.config.document"


@pytest.mark.parametrize("section", list(sections()), ids=lambda section: section.heading)
def test_every_section_and_every_key_has_a_meaning(section: Section) -> None:
    """A section has an introduction, and each of its keys sentences of its own and a row in the table."""
    assert section.kind.__doc__
    text = document()
    for field in msgspec.structs.fields(section.kind):
        said = meaning(annotated(section.kind)[field.name])
        assert re.fullmatch(r"[`A-Z].*\.", said), f"{section.key}{field.name} has no meaning in stream/config: {said!r}"
        assert "|" not in said
        assert text.count(f"| `{section.key}{field.name}` | {said} |") == 1


def test_a_row_says_what_may_stand_there() -> None:
    """Type, range, choices and default, each in words that a reader of TOML knows."""
    rows = {row.split(" | ")[0]: row.split(" | ")[2:] for row in document().splitlines() if row.startswith("| `")}
    assert rows["| `universe.assets`"] == ["list of texts", "required |"]
    assert rows["| `universe.idle_after_s`"] == ["number, > 0 and at most 1e+09", "left out |"]
    assert rows["| `books[].target_share`"] == ["number, above 0 and at most 1", "`0.8` |"]
    assert rows["| `books[].limit_on`"] == ['`"timestep"`, `"horizon"`', '`"timestep"` |']
    assert rows["| `covariance.sampling_steps`"] == ["list of whole numbers", "`[1]` |"]
    assert rows["| `flows[].clients`"] == ["list of sections", "required |"]
    assert rows["| `flows[].impact_bps_per_million`"] == ["table of numbers, from 0 to 10000", "`{}` |"]
    assert rows["| `solver.max_timestep_nodes`"] == ["whole number, > 0", "`250_000` |"]
    assert rows["| `metrics.port`"] == ["whole number, a port from 0 to 65535", "`9464` |"]


def test_every_secret_of_the_environment_is_documented() -> None:
    """The variables that the code names are those of the page."""
    named = {
        name
        for path in (ROOT / "stream").rglob("*.py")
        for name in re.findall(r'"(BETAPACK_[A-Z_]+)"', path.read_text(encoding="utf-8"))
    }
    assert named == set(MEANING_OF_SECRET)
