"""Encoding and decoding of every message, in both encodings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, inspect

from schemas.asyncapi import VERSION
from schemas.inbound import Tick
from schemas.topics import TOPIC_OF
from schemas.wire import JSON, MESSAGE_PACK, decode, encode, media_type, message_name

GOLDEN = Path(__file__).parent / "golden" / VERSION
MESSAGES = tuple(TOPIC_OF)
ENCODERS = {JSON: msgspec.json.encode, MESSAGE_PACK: msgspec.msgpack.encode}

each_message = pytest.mark.parametrize("message_type", MESSAGES, ids=message_name)
each_encoding = pytest.mark.parametrize("content_type", ENCODERS)


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Every value that a field of this type may hold on the wire: no NaN, which JSON cannot say, and int64."""
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            return st.fixed_dictionaries({field.name: values(field.type) for field in fields}).map(lambda kw: cls(**kw))
        case inspect.VarTupleType(item_type=item):
            return st.lists(values(item), max_size=3).map(tuple)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=3)
        case inspect.UnionType(types=types):
            return st.one_of([values(each) for each in types])
        case inspect.LiteralType(values=allowed):
            return st.sampled_from(allowed)
        case inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case inspect.IntType():
            return st.integers(-(2**63), 2**63 - 1)
        case inspect.TupleType():
            return st.tuples(*(values(item) for item in kind.item_types))
        case inspect.StrType():
            return st.text()
        case inspect.BytesType():
            return st.binary()
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
    raise TypeError(f"no strategy for {kind}: add it here")


def golden_fields(message_type: type[Struct]) -> dict[str, Any]:
    """The golden message of today's version as plain values, raw bytes kept as they are."""
    payload = (GOLDEN / f"{message_name(message_type)}.json").read_bytes()
    fields: dict[str, Any] = msgspec.to_builtins(decode(message_type, payload, JSON), builtin_types=(bytes,))
    return fields


@given(st.sampled_from(MESSAGES).flatmap(lambda message_type: values(inspect.type_info(message_type))))
def test_round_trip(message: Struct) -> None:
    """JSON to message to MessagePack and back changes nothing, and the same message gives the same bytes."""
    message_type = type(message)
    from_json = decode(message_type, encode(message, JSON), JSON)
    from_message_pack = decode(message_type, encode(from_json, MESSAGE_PACK), MESSAGE_PACK)
    assert from_json == message
    assert from_message_pack == message
    assert encode(from_message_pack, JSON) == encode(message, JSON)


@each_encoding
@each_message
def test_unknown_fields_are_skipped(message_type: type[Struct], content_type: str) -> None:
    """A newer writer's extra field does not disturb today's reader."""
    fields = golden_fields(message_type)
    today = decode(message_type, ENCODERS[content_type](fields), content_type)
    newer = ENCODERS[content_type]({**fields, "from_the_future": [{"a": 1}]})
    assert decode(message_type, newer, content_type) == today


@each_encoding
@each_message
def test_missing_required_field(message_type: type[Struct], content_type: str) -> None:
    """Without any one of its required fields a message is refused, and the error names the field."""
    fields = golden_fields(message_type)
    for name in (field.name for field in msgspec.structs.fields(message_type) if field.required):
        payload = ENCODERS[content_type]({key: value for key, value in fields.items() if key != name})
        with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
            decode(message_type, payload, content_type)


@each_encoding
@each_message
def test_wrong_type(message_type: type[Struct], content_type: str) -> None:
    """A value of the wrong type in any field is refused, and the error says where."""
    fields = golden_fields(message_type)
    for name in message_type.__struct_fields__:
        payload = ENCODERS[content_type]({**fields, name: {"wrong": []}})
        with pytest.raises(msgspec.ValidationError, match=rf"at `\$\.{name}"):
            decode(message_type, payload, content_type)


@each_message
def test_broken_bytes(message_type: type[Struct]) -> None:
    """Bytes that are cut off raise DecodeError, so one except clause catches all that can be wrong with a payload."""
    for content_type, suffix in ((JSON, ".json"), (MESSAGE_PACK, ".msgpack")):
        payload = (GOLDEN / (message_name(message_type) + suffix)).read_bytes()
        with pytest.raises(msgspec.DecodeError):
            decode(message_type, payload[:-1], content_type)


def test_unknown_content_type() -> None:
    """Another content type raises ValueError, both ways."""
    tick = Tick(instrument="EURUSD", event_time_ns=0, bid=1.0, ask=1.1)
    with pytest.raises(ValueError, match=r"got 'text/plain'"):
        encode(tick, "text/plain")
    with pytest.raises(ValueError, match=r"got 'text/plain'"):
        decode(Tick, b"{}", "text/plain")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, JSON),
        (b"application/json", JSON),
        (b" Application/JSON ", JSON),
        (b"application/json;charset=utf-8", JSON),
        (b'application/json ; version=1; Charset = "UTF8"', JSON),
        (b"application/msgpack", MESSAGE_PACK),
        (b"application/x-msgpack", MESSAGE_PACK),
        (b"APPLICATION/VND.MSGPACK; charset=utf-8", MESSAGE_PACK),
    ],
)
def test_a_media_type_is_known_by_its_name_alone(header: bytes | None, expected: str) -> None:
    """Case, blanks, parameters and the older names of MessagePack make no difference."""
    assert media_type(header) == expected


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "got ''"),
        (b"json", "got 'json'"),
        (b"application/jsonl", "got 'application/jsonl'"),
        (b"application/json, application/json", "expected one of application/json, application/msgpack"),
        (b"\xe9", "expected one of application/json, application/msgpack"),
        (b"application/json; charset=iso-8859-1", "expected charset utf-8, got 'iso-8859-1'"),
        (b"application/msgpack; charset=", "expected charset utf-8, got ''"),
        (b"application/json;" + b" " * 2_000_000, "got a header of 2000017 bytes"),
    ],
)
def test_another_media_type_or_charset_raises_with_what_was_expected(header: bytes, said: str) -> None:
    """The reason is short, however long the header is."""
    with pytest.raises(ValueError, match="expected") as caught:
        media_type(header)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 6000
