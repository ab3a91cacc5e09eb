"""Messages to bytes and back, in JSON or MessagePack, told apart by the `content-type` header."""

from __future__ import annotations

import hashlib
import math
import re
from functools import cache, lru_cache
from typing import TypeVar

import msgspec
from msgspec import Struct

JSON = "application/json"
MESSAGE_PACK = "application/msgpack"
CONTENT_TYPES = (JSON, MESSAGE_PACK)

_ENCODINGS = {
    JSON: JSON,
    MESSAGE_PACK: MESSAGE_PACK,
    # What libraries wrote before MessagePack had a registered name, and what some still write.
    "application/x-msgpack": MESSAGE_PACK,
    "application/vnd.msgpack": MESSAGE_PACK,
}
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([^"';\s]*)""")
_HEADER_BYTES_MAX = 1000

Message = TypeVar("Message", bound=Struct)

_json_encoder = msgspec.json.Encoder()
_message_pack_encoder = msgspec.msgpack.Encoder()
_decoders: dict[tuple[type[Struct], str], msgspec.json.Decoder[Struct] | msgspec.msgpack.Decoder[Struct]] = {}


def encode(message: Struct, content_type: str) -> bytes:
    """Bytes of `message`. The same message gives the same bytes. Raises ValueError for another content type."""
    if content_type == JSON:
        return _json_encoder.encode(message)
    if content_type == MESSAGE_PACK:
        return _message_pack_encoder.encode(message)
    raise ValueError(f"content type must be one of {', '.join(CONTENT_TYPES)}, got {content_type!r}")


@lru_cache(maxsize=256)
def media_type(header: bytes | None) -> str:
    """Which of `CONTENT_TYPES` a `content-type` header names; JSON without a header.

    Case and parameters make no difference, except for a charset other than UTF-8. Raises ValueError with the reason,
    which is short, for every other header.
    """
    if header is None:
        return JSON
    if len(header) > _HEADER_BYTES_MAX:
        digest = hashlib.sha256(header).hexdigest()
        raise ValueError(
            f"expected one of {', '.join(CONTENT_TYPES)}, got a header of {len(header)} bytes with sha256 {digest}"
        )
    text = header.decode("ascii", "replace")
    encoding = _ENCODINGS.get(text.partition(";")[0].strip().lower())
    if encoding is None:
        raise ValueError(f"expected one of {', '.join(CONTENT_TYPES)}, got {text!r}")
    for charset in _CHARSET.findall(text.lower()):
        if charset not in ("utf-8", "utf8"):
            raise ValueError(f"expected charset utf-8, got {charset!r}")
    return encoding


def decode(message_type: type[Message], payload: bytes, content_type: str) -> Message:
    """The message in `payload`. Unknown fields are skipped, so an older reader takes newer messages.

    Raises msgspec.DecodeError (of which msgspec.ValidationError is one) when the bytes are not such a message, and
    ValueError for another content type.
    """
    decoder = _decoders.get((message_type, content_type))
    if decoder is None:
        if content_type == JSON:
            decoder = msgspec.json.Decoder(message_type)
        elif content_type == MESSAGE_PACK:
            decoder = msgspec.msgpack.Decoder(message_type)
        else:
            raise ValueError(f"content type must be one of {', '.join(CONTENT_TYPES)}, got {content_type!r}")
        _decoders[message_type, content_type] = decoder
    return decoder.decode(payload)  # type: ignore[return-value]  # the cache is keyed by the type it decodes to


@cache
def message_name(message: type[Struct]) -> str:
    """The message's name in files and documents: ``residual-exposure`` for ResidualExposure."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", message.__name__).lower()


@cache
def event_type(message: type[Struct]) -> str:
    """The value of a message's ``ce_type`` header."""
    return f"betapack.{message_name(message)}"


def finite_or_none(value: float) -> float | None:
    """`value`, and None where it is infinite or NaN: JSON has neither, and a bound that bounds nothing is none."""
    return value if math.isfinite(value) else None
