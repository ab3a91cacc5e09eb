"""docs/messages.md: up to date, and complete."""

from __future__ import annotations

from schemas.asyncapi import asyncapi_document
from schemas.generate import PAGE
from schemas.messages_page import ANSWERS, messages_page
from schemas.topics import TOPICS


def test_the_page_is_up_to_date() -> None:
    """What is on disk is what today's code generates."""
    assert PAGE.exists(), f"{PAGE} is missing; run: python -m schemas.generate"
    assert PAGE.read_text(encoding="utf-8") == messages_page(), f"{PAGE} is stale; run: python -m schemas.generate"


def test_everything_has_its_section() -> None:
    """Each topic, each message and each Struct inside one is described once, with all of its fields."""
    lines = messages_page().splitlines()
    sections = [line.removeprefix("### ") for line in lines if line.startswith("### ")]
    assert len(sections) == len(set(sections))
    schemas = asyncapi_document()["components"]["schemas"]
    assert set(schemas) | {answer.__name__ for answer in ANSWERS} <= set(sections)
    for topic in TOPICS:
        assert f"## Topic `{topic.name}`" in lines
    for name, schema in schemas.items():
        start = lines.index(f"### {name}")
        end = next((k for k in range(start + 1, len(lines)) if lines[k].startswith("#")), len(lines))
        fields = [line.split("`")[1] for line in lines[start:end] if line.startswith("| `")]
        assert fields == list(schema["properties"]), name
