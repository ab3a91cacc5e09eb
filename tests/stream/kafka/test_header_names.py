"""A header name that is no UTF-8 costs its own name, and neither its record nor the others of the batch."""

from __future__ import annotations

import pytest
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from stream.kafka.header_names import read_any_header_name

NONE, GZIP, LZ4 = 0, 1, 3


@pytest.mark.parametrize("compression", [NONE, GZIP, LZ4])
def test_a_record_is_read_whatever_its_headers_are_called(compression: int) -> None:
    """kcat and librdkafka write any bytes as a name. Values that look like the name stay as they are."""
    read_any_header_name()
    broken = b"\xff\xfename"
    headers = [("content-type", b"a"), ("__name", broken), ("é", None)]
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 100_000)
    for offset in range(3):
        builder.append(offset, 1000 + offset, broken if offset else None, broken, headers)
    # The builder writes text only, so the name is broken in what it would compress.
    size = builder.HEADER_STRUCT.size
    builder._buffer[size:] = builder._buffer[size:].replace(b"__name", broken)
    batch = DefaultRecordBatch(bytes(builder.build()))
    found = list(batch)
    assert [(record.offset, record.value) for record in found] == [(offset, broken) for offset in range(3)]
    assert [record.key for record in found] == [None, broken, broken]
    for record in found:
        assert record.headers == [("content-type", b"a"), ("??name", broken), ("é", None)]


def test_reading_any_name_twice_wraps_once() -> None:
    """Every reader asks for it."""
    read_any_header_name()
    once = DefaultRecordBatch._read_msg
    read_any_header_name()
    assert DefaultRecordBatch._read_msg is once
