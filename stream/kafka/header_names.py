"""Records whose header names are not UTF-8, for kafka-python.

The client takes such a record for a corrupt batch and never gets past it. Any producer can write one, for Kafka itself
does not look at the names.
"""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

_strict = DefaultRecordBatch._read_msg


def read_any_header_name() -> None:
    """Let kafka-python read every header name, with `?` for each byte that is not ASCII where it is not UTF-8."""
    DefaultRecordBatch._read_msg = _read_msg


def _read_msg(batch: Any) -> Any:
    try:
        return _strict(batch)
    except UnicodeDecodeError:
        # The batch still stands at the beginning of this record.
        _make_names_readable(batch._buffer, batch._pos)
        return _strict(batch)


def _make_names_readable(buffer: bytearray, pos: int) -> None:
    """Overwrite what is not readable in the header names of the record at `pos`; lengths stay as they are."""
    for _ in ("length", "attributes", "timestamp", "offset"):
        _, pos = decode_varint(buffer, pos)
    for _ in ("key", "value"):
        size, pos = decode_varint(buffer, pos)
        pos += max(size, 0)
    count, pos = decode_varint(buffer, pos)
    for _ in range(count):
        size, pos = decode_varint(buffer, pos)
        name = buffer[pos : pos + size]
        try:
            name.decode()
        except UnicodeDecodeError:
            buffer[pos : pos + size] = bytes(byte if byte < 0x80 else ord("?") for byte in name)
        pos += size
        size, pos = decode_varint(buffer, pos)
        pos += max(size, 0)
