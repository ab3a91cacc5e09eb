"""Write what is generated from the messages: ``python -m schemas.generate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from schemas.asyncapi import asyncapi_document, json_schema
from schemas.messages_page import messages_page
from schemas.topics import TOPIC_OF
from schemas.wire import message_name

DIRECTORY = Path(__file__).parent
PAGE = DIRECTORY.parent / "docs" / "messages.md"


def documents() -> dict[str, str]:
    """Text of every schema file, by its path below this package. The same code gives the same text."""
    contents = {f"json/{message_name(message)}.json": json_schema(message) for message in TOPIC_OF}
    contents["asyncapi.json"] = asyncapi_document()
    return {
        path: json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for path, content in contents.items()
    }


def main() -> None:
    """Write the schema files that ship with the package, and the page of all messages beside the other documents."""
    texts = {DIRECTORY / path: text for path, text in documents().items()} | {PAGE: messages_page()}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
        sys.stderr.write(f"wrote {path.relative_to(DIRECTORY.parent)}\n")


if __name__ == "__main__":
    main()
