"""Golden bytes: what a released version wrote is what today's code writes, or at least still reads.

Files are named ``golden/<version>/<message>.json`` and ``.msgpack``. When a message gains a field, raise
``schemas.asyncapi.VERSION``, give the field a value in ``tests/shared/message_samples.py``, and run
``PYTHONPATH=tests/shared python tests/schemas/test_golden.py``: it adds the files of the new version and never touches
an existing one.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from message_samples import SAMPLES
from schemas.asyncapi import VERSION
from schemas.outbound import DeadLetter
from schemas.topics import TOPIC_OF
from schemas.wire import JSON, MESSAGE_PACK, decode, encode, message_name

GOLDEN = Path(__file__).parent / "golden"
WRITE = "PYTHONPATH=tests/shared python tests/schemas/test_golden.py"
SUFFIXES = {JSON: ".json", MESSAGE_PACK: ".msgpack"}


def golden_files() -> list[Path]:
    return sorted(path for path in GOLDEN.glob("*/*") if path.suffix in SUFFIXES.values())


def decoded(path: Path) -> Struct:
    message_type = {message_name(message): message for message in TOPIC_OF}[path.stem]
    content_type = {suffix: content_type for content_type, suffix in SUFFIXES.items()}[path.suffix]
    return decode(message_type, path.read_bytes(), content_type)


def assert_contains(today: Any, golden: Any, where: str) -> None:
    """Every value of `golden` stands in `today` at the same place; `today` may have more fields."""
    if isinstance(golden, dict):
        for key, value in golden.items():
            assert key in today, f"{where}.{key} is read no more"
            assert_contains(today[key], value, f"{where}.{key}")
    elif isinstance(golden, list):
        assert len(today) == len(golden), where
        for index, (today_item, golden_item) in enumerate(zip(today, golden, strict=True)):
            assert_contains(today_item, golden_item, f"{where}[{index}]")
    else:
        assert today == golden, where


def test_samples_cover_every_message() -> None:
    """There is a sample of each message."""
    assert {type(sample) for sample in SAMPLES} == set(TOPIC_OF)


@pytest.mark.parametrize("content_type", SUFFIXES)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: message_name(type(sample)))
def test_todays_bytes(sample: Struct, content_type: str) -> None:
    """Today's code writes the golden bytes of the current version, to the byte."""
    path = GOLDEN / VERSION / (message_name(type(sample)) + SUFFIXES[content_type])
    assert path.exists(), f"{path} is missing; run: {WRITE}"
    assert encode(sample, content_type) == path.read_bytes(), "a message changed: raise schemas.asyncapi.VERSION"


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_version_decodes(path: Path) -> None:
    """Bytes of every released version decode, and no value in them is lost on the way."""
    message = decoded(path)
    assert message == decoded(path.with_suffix(".json")), "JSON and MessagePack of one message differ"
    today = json.loads(encode(message, JSON))
    assert_contains(today, json.loads(path.with_suffix(".json").read_bytes()), path.stem)


def test_no_golden_file_is_left_over() -> None:
    """Every version directory holds JSON and MessagePack files in pairs, of messages that exist; none is skipped."""
    for version in GOLDEN.iterdir():
        for path in version.iterdir():
            assert path in golden_files(), path
            assert all(path.with_suffix(suffix).exists() for suffix in SUFFIXES.values()), path


def test_bytes_are_base64_in_json() -> None:
    """Fields of raw bytes are base64 in JSON and bare in MessagePack."""
    sample = next(sample for sample in SAMPLES if isinstance(sample, DeadLetter))
    assert sample.value is not None
    assert json.loads(encode(sample, JSON))["value"] == base64.b64encode(sample.value).decode()
    assert sample.value in encode(sample, MESSAGE_PACK)


def write_current_version() -> None:
    """Add the golden files of the current version that do not exist yet."""
    directory = GOLDEN / VERSION
    directory.mkdir(parents=True, exist_ok=True)
    for sample in SAMPLES:
        for content_type, suffix in SUFFIXES.items():
            path = directory / (message_name(type(sample)) + suffix)
            if not path.exists():
                path.write_bytes(encode(sample, content_type))


if __name__ == "__main__":
    write_current_version()
