"""The generated files are up to date."""

from __future__ import annotations

import pytest

from schemas.generate import DIRECTORY, documents


@pytest.mark.parametrize("path", documents())
def test_files_are_up_to_date(path: str) -> None:
    """What is on disk is what today's code generates."""
    file = DIRECTORY / path
    assert file.exists(), f"{file} is missing; run: python -m schemas.generate"
    assert file.read_text(encoding="utf-8") == documents()[path], f"{file} is stale; run: python -m schemas.generate"


def test_no_file_is_left_over() -> None:
    """A message that is gone leaves no schema behind."""
    on_disk = {f"json/{file.name}" for file in (DIRECTORY / "json").iterdir()}
    assert on_disk == {path for path in documents() if path.startswith("json/")}
