"""Batches that are too large, damaged, or in a codec that is not installed, for kafka-python.

The client inflates a batch whole, however large it becomes: 16 kB of zstd can be 500 MB of zeros. A poll returns 5,000
records whatever their size. And where the client cannot read a batch it raises, at every start, so that no later record
of the partition is ever read. Any producer can write such a batch.

Here one record stands for what cannot be read of a batch. It has the last offset of the batch, so reading goes on
behind it, and says what is wrong, so that it becomes a dead letter.
"""

from __future__ import annotations

import io
import itertools
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import lz4.frame
import zstandard
from kafka import codec
from kafka.consumer.fetcher import Fetcher
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from stream.config.kafka import MAX_RECORD_BYTES

BATCH_BYTES_MAX = 2 * MAX_RECORD_BYTES
"""Of an inflated batch. Producers fill a batch to a megabyte; a larger one holds a single record."""

POLL_BYTES_MAX = MAX_RECORD_BYTES
"""Of the records of one poll. The record that passes it is the last one."""

RECORD_OVERHEAD_BYTES = 500
HEADERS_MAX = 1000
HEADERS_COUNTED_FROM_BYTES = 1024 * 1024
"""Of an inflated batch. A header without name and value takes two bytes there, and 64 or more once it is read. So
the headers of a smaller batch take 32 MB at most; and finding their number costs half as much as reading a record."""

KEPT_BYTES_MAX = 1024 * 1024
"""Of a batch that cannot be read, this much goes into the dead letter."""

READ_AGAIN = 2
"""How often a batch with a wrong checksum is fetched again: the network may have damaged it, and not the disk."""

DAMAGE = "betapack-damage"
"""The name of the header that says what is wrong. Only this very object counts, which no record can hold."""


class PollFull(Exception):
    """The poll holds as many bytes as it may. The records that were not taken stay with the client."""


class _Budget(threading.local):
    left: float = float("inf")


_budget = _Budget()
_wrong_checksums: dict[tuple[int, int], int] = {}


def read_any_batch() -> None:
    """Let kafka-python read every batch, within `BATCH_BYTES_MAX`, and polls within `poll_budget`."""
    memory_records.DefaultRecordBatch = AnyBatch
    Fetcher.PartitionRecords = BoundedPartition


@contextmanager
def poll_budget() -> Iterator[None]:
    """Bound the bytes that polls of this thread return, for ``with``."""
    _budget.left = POLL_BYTES_MAX
    try:
        yield
    finally:
        _budget.left = float("inf")


class BoundedPartition(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one fetched partition, taken until the poll is full."""

    _next_inline_exception: Exception | None

    def take(self, n: int | None = None) -> list[Any]:
        if _budget.left <= 0:
            raise PollFull
        if self._next_inline_exception is not None:
            self._end_with(self._next_inline_exception)
        records = []
        left = _budget.left
        try:
            for record in itertools.islice(self.record_iterator, 0, n):
                records.append(record)
                left -= RECORD_OVERHEAD_BYTES + record.serialized_key_size + record.serialized_value_size
                if record.headers:
                    left -= record.serialized_header_size
                if left <= 0:
                    break
        except Exception as exc:
            if not records:
                self._end_with(exc)
            self._next_inline_exception = exc
        _budget.left = left
        return records

    def _end_with(self, exc: Exception) -> NoReturn:
        # The client would take from the iterator for ever, which has ended with its exception.
        self.drain()
        raise exc


class AnyBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch that yields a record with `DAMAGE` for what cannot be read of it."""

    _buffer: bytearray
    _pos: int
    _decompressed: bool

    def __init__(self, buffer: Any) -> None:
        super().__init__(buffer)
        self._damage = ""

    def validate_crc(self) -> bool:
        if super().validate_crc():
            return True
        seen = (self.base_offset, self.crc)
        _wrong_checksums[seen] = _wrong_checksums.get(seen, 0) + 1
        if _wrong_checksums[seen] <= READ_AGAIN or not 0 <= self.last_offset_delta < len(self._buffer):
            return False
        del _wrong_checksums[seen]
        self._damage = "its checksum is wrong"
        return True

    def __iter__(self) -> Iterator[Any]:
        try:
            if not self._damage:
                self._maybe_uncompress()
        # Each codec has errors of its own, some of them without a base of their own.
        except Exception as exc:
            self._damage = str(exc) or type(exc).__name__
        read = super()._read_msg if len(self._buffer) < HEADERS_COUNTED_FROM_BYTES else self._read_counted
        try:
            while not self._damage and self._next_record_index < self._num_records:
                record = read()
                self._next_record_index += 1
                yield record
            if not self._damage and self._pos < len(self._buffer):
                self._damage = f"{len(self._buffer) - self._pos} bytes follow its last record"
        except Exception as exc:
            self._damage = str(exc) or type(exc).__name__
        if self._damage:
            yield self._damaged()

    def _maybe_uncompress(self) -> None:
        if not self._decompressed and self.compression_type != self.CODEC_NONE:
            # A codec that is missing is named by the client's own error.
            self._assert_has_codec(self.compression_type)
            inflate = _INFLATE[self.compression_type]
            self._buffer = bytearray(inflate(memoryview(self._buffer)[self._pos :]))
            self._pos = 0
        self._decompressed = True

    def _read_counted(self) -> Any:
        """The next record, without its headers where they are too many."""
        length, start = decode_varint(self._buffer, self._pos)
        headers = self._headers_from(start)
        return super()._read_msg() if headers <= HEADERS_MAX else self._without_headers(length, start, headers)

    def _headers_from(self, pos: int) -> int:
        for _ in ("attributes", "timestamp", "offset"):
            _, pos = decode_varint(self._buffer, pos)
        for _ in ("key", "value"):
            size, pos = decode_varint(self._buffer, pos)
            pos += max(size, 0)
        count: int = decode_varint(self._buffer, pos)[0]
        return count

    def _without_headers(self, length: int, start: int, headers: int) -> Any:
        """The record that begins at `start`, without its headers."""
        _, pos = decode_varint(self._buffer, start)
        timestamp_delta, pos = decode_varint(self._buffer, pos)
        offset_delta, pos = decode_varint(self._buffer, pos)
        key, pos = self._bytes_at(pos)
        value, _ = self._bytes_at(pos)
        self._pos = start + length
        damage = f"expected at most {HEADERS_MAX} headers, got {headers}; they are left out"
        timestamp = self.first_timestamp + timestamp_delta
        if self.timestamp_type == self.LOG_APPEND_TIME:
            timestamp = self.max_timestamp
        return self._record(length, self.base_offset + offset_delta, timestamp, key, value, damage)

    def _bytes_at(self, pos: int) -> tuple[bytes | None, int]:
        size, pos = decode_varint(self._buffer, pos)
        if size < 0:
            return None, pos
        return bytes(self._buffer[pos : pos + size]), pos + size

    def _damaged(self) -> Any:
        what = f"the batch of {self.records_count} records at offsets {self.base_offset} to {self.last_offset}"
        kept = bytes(self._buffer[self._pos : self._pos + KEPT_BYTES_MAX])
        size = len(self._buffer) - self._pos
        damage = (
            f"{what} cannot be read any further: {self._damage}; the value has the first {len(kept)} of {size} bytes"
        )
        return self._record(len(kept), self.last_offset, self.max_timestamp, None, kept, damage)

    def _record(
        self, size: int, offset: int, timestamp: int, key: bytes | None, value: bytes | None, damage: str
    ) -> Any:
        headers = [(DAMAGE, damage.encode())]
        return DefaultRecord(size, offset, timestamp, self.timestamp_type, key, value, headers)


class _TooLarge(Exception):
    def __init__(self) -> None:
        super().__init__(f"it inflates to more than {BATCH_BYTES_MAX} bytes")


def _gzip(data: memoryview) -> bytes:
    inflated, rest = [], bytes(data)
    left = BATCH_BYTES_MAX
    while rest:
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        inflated.append(member.decompress(rest, left + 1))
        left -= len(inflated[-1])
        if left < 0:
            raise _TooLarge
        if not member.eof:
            raise ValueError("its gzip data end too early")
        rest = member.unused_data
    return b"".join(inflated)


def _lz4(data: memoryview) -> bytes:
    inflated, rest = [], bytes(data)
    left = BATCH_BYTES_MAX
    while rest:
        frame = lz4.frame.LZ4FrameDecompressor()
        inflated.append(frame.decompress(rest, max_length=left + 1))
        left -= len(inflated[-1])
        if left < 0:
            raise _TooLarge
        if not frame.eof:
            raise ValueError("its lz4 data end too early")
        rest = frame.unused_data or b""
    return b"".join(inflated)


def _zstd(data: memoryview) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        inflated: bytes = reader.read(BATCH_BYTES_MAX + 1)
    if len(inflated) > BATCH_BYTES_MAX:
        raise _TooLarge
    return inflated


def _snappy(data: memoryview) -> bytes:
    """Snappy allocates what each block declares, so the declared sizes are added up first."""
    raw, blocks, pos = bytes(data), [], 16
    if codec._detect_xerial_stream(raw):
        while pos < len(raw):
            (size,) = struct.unpack_from("!i", raw, pos)
            blocks.append(pos + 4)
            if size <= 0:
                raise ValueError("its snappy data have a block without a size")
            pos += 4 + size
    else:
        blocks.append(0)
    if sum(_declared(raw, block) for block in blocks) > BATCH_BYTES_MAX:
        raise _TooLarge
    inflated: bytes = codec.snappy_decode(raw)
    return inflated


def _declared(raw: bytes, pos: int) -> int:
    """The size that the snappy block at `pos` declares: the low seven bits of up to five bytes, the lowest first."""
    declared = 0
    for index in range(5):
        declared |= (raw[pos + index] & 0x7F) << (7 * index)
        if raw[pos + index] < 0x80:
            return declared
    raise ValueError("its snappy data have a block without a size")


_INFLATE = {
    DefaultRecordBatch.CODEC_GZIP: _gzip,
    DefaultRecordBatch.CODEC_SNAPPY: _snappy,
    DefaultRecordBatch.CODEC_LZ4: _lz4,
    DefaultRecordBatch.CODEC_ZSTD: _zstd,
}
