"""The generated schemas: valid, and of one mind with the decoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec import Struct

from schemas.asyncapi import json_schema
from schemas.topics import TOPIC_OF
from schemas.wire import JSON, decode, message_name

GOLDEN = Path(__file__).parent / "golden"

each_message = pytest.mark.parametrize("message_type", TOPIC_OF, ids=message_name)


def golden_messages(message_type: type[Struct]) -> list[dict[str, Any]]:
    """The message's golden JSON of every version; there is at least one."""
    paths = sorted(GOLDEN.glob(f"*/{message_name(message_type)}.json"))
    assert paths
    return [json.loads(path.read_bytes()) for path in paths]


@each_message
def test_is_a_json_schema(message_type: type[Struct]) -> None:
    """Every schema is valid JSON Schema 2020-12, and describes its message."""
    schema = json_schema(message_type)
    Draft202012Validator.check_schema(schema)
    assert schema["description"]
    assert set(schema["properties"]) == set(message_type.__struct_fields__)


@each_message
def test_accepts_golden_messages(message_type: type[Struct]) -> None:
    """The golden messages of every version validate, with unknown fields as well."""
    validator = Draft202012Validator(json_schema(message_type))
    for message in golden_messages(message_type):
        validator.validate(message)
        validator.validate({**message, "from_the_future": 1})


@each_message
def test_refuses_what_the_decoder_refuses(message_type: type[Struct]) -> None:
    """With a required field missing, a field of the wrong type or a null, schema and decoder give the same verdict."""
    validator = Draft202012Validator(json_schema(message_type))
    message = golden_messages(message_type)[-1]
    without = [{key: value for key, value in message.items() if key != name} for name in message]
    odd_values: tuple[Any, ...] = ({"wrong": []}, None, [None], 0.5, "text", True)
    wrong = [{**message, name: value} for name in message for value in odd_values]
    refused = 0
    for candidate in without + wrong:
        try:
            decode(message_type, json.dumps(candidate).encode(), JSON)
        except msgspec.ValidationError as error:
            # Base64 is an annotation in JSON Schema, which validators do not check.
            if "base64" not in str(error):
                assert not validator.is_valid(candidate), candidate
                refused += 1
        else:
            validator.validate(candidate)
    assert refused > len(message)
