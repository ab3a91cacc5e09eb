"""Hostile batches: one record stands for what cannot be read, memory stays bounded, and what follows is read."""

from __future__ import annotations

import gzip
import resource
import struct

import lz4.frame
import pytest
import zstandard
from kafka import TopicPartition
from kafka import codec as client_codec
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import calc_crc32c

from stream.kafka.batches import (
    BATCH_BYTES_MAX,
    DAMAGE,
    HEADERS_MAX,
    KEPT_BYTES_MAX,
    POLL_BYTES_MAX,
    READ_AGAIN,
    AnyBatch,
    PollFull,
    poll_budget,
    read_any_batch,
)

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
MEGABYTE = 1 << 20
ZEROS = b"\0" * (1 << 20)
CRC, ATTRIBUTES = 17, 21


@pytest.fixture(autouse=True)
def installed() -> None:
    read_any_batch()


def built(values: list[bytes], compression: int = NONE, first: int = 0, headers: int = 0) -> bytearray:
    """A batch as a producer sends it."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 30)
    for offset, value in enumerate(values):
        builder.append(offset, 1000 + offset, b"key", value, [("", None)] * headers)
    batch = bytearray(builder.build())
    struct.pack_into(">q", batch, 0, first)
    return batch


def compressed(body: bytes, compression: int, records: int = 1) -> bytearray:
    """A batch of `records` whose records are `body`, which is compressed already, with a checksum that is right."""
    batch = built([b""] * records)[:61] + body
    struct.pack_into(">i", batch, 8, len(batch) - 12)
    struct.pack_into(">h", batch, ATTRIBUTES, compression)
    return signed(batch)


def signed(batch: bytearray) -> bytearray:
    struct.pack_into(">I", batch, CRC, calc_crc32c(bytes(batch[ATTRIBUTES:])))
    return batch


def bomb(compression: int, size: int) -> bytes:
    """`size` zeros, compressed without holding them."""
    if compression == ZSTD:
        compressor = zstandard.ZstdCompressor(19).compressobj()
        return b"".join(compressor.compress(ZEROS) for _ in range(size // MEGABYTE)) + compressor.flush()
    if compression == LZ4:
        frame = lz4.frame.LZ4FrameCompressor(block_size=lz4.frame.BLOCKSIZE_MAX4MB)
        return frame.begin() + b"".join(frame.compress(ZEROS) for _ in range(size // MEGABYTE)) + frame.flush()
    return gzip.compress(ZEROS) * (size // MEGABYTE)  # members follow each other


def read(*batches: bytearray) -> Fetcher.PartitionRecords:
    """The records of a fetch as the client takes them."""
    return Fetcher.PartitionRecords(0, TopicPartition("ticks", 0), MemoryRecords(b"".join(batches)))


def damage(record: object) -> str:
    ((name, value),) = record.headers  # type: ignore[attr-defined]
    assert name is DAMAGE
    return value.decode()  # type: ignore[no-any-return]


@pytest.mark.parametrize("compression", [NONE, GZIP, LZ4, ZSTD])
def test_a_good_batch_is_read_as_it_was(compression: int) -> None:
    """Also one as large as a record may be."""
    for values in ([b"one", b"two"], [b"x" * (16 * MEGABYTE)]):
        records = read(built(values, compression)).take()
        assert [(record.offset, record.key, record.value) for record in records] == [
            (offset, b"key", value) for offset, value in enumerate(values)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("compression", [GZIP, LZ4, ZSTD])
def test_a_bomb_is_one_damaged_record(compression: int) -> None:
    """A gigabyte of zeros is inflated up to the bound. The record names offsets and reason; what follows is read."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    hostile = compressed(bomb(compression, 1 << 30), compression, records=40)
    assert len(hostile) < 5 * MEGABYTE
    after = built([b"good"], first=40)
    stood_for, good = read(hostile, after).take()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 6 * BATCH_BYTES_MAX
    assert (stood_for.offset, good.offset, good.value) == (39, 40, b"good")
    assert damage(stood_for).startswith("the batch of 40 records at offsets 0 to 39 cannot be read any further: ")
    assert f"more than {BATCH_BYTES_MAX} bytes" in damage(stood_for)
    assert stood_for.value == bytes(hostile[61 : 61 + KEPT_BYTES_MAX])


@pytest.mark.parametrize("compression", [GZIP, LZ4, ZSTD])
def test_broken_compression_is_one_damaged_record(compression: int) -> None:
    """Whether the data are no data of the codec, end early, or hold no records once they are inflated."""
    whole = bytes(built([b"x" * 100] * 3, compression)[61:])
    for body in (b"", b"\xff" * 200, whole[:-9], whole[: len(whole) // 2], b"\0" * 50):
        stood_for, good = read(compressed(body, compression, records=3), built([b"good"], first=3)).take()
        assert (stood_for.offset, good.value) == (2, b"good")
        assert damage(stood_for)


@pytest.mark.parametrize("compression", [5, 6, 7])
def test_an_unknown_codec_is_named(compression: int) -> None:
    """Kafka has none with these numbers."""
    (stood_for,) = read(compressed(b"?", compression)).take()
    assert f"Unrecognized compression type: {compression}" in damage(stood_for)


def snappy(body: bytes, declared: int | None = None) -> bytes:
    """`body` (up to 60 bytes) as one literal in a block of the framing that Kafka's Java client writes."""
    size = len(body) if declared is None else declared
    varint = bytearray()
    while size >= 0x80:
        varint.append(0x80 | size & 0x7F)
        size >>= 7
    varint.append(size)
    block = bytes(varint) + bytes([(len(body) - 1) << 2]) + body
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + struct.pack(">i", len(block)) + block


def test_a_codec_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records are refused, and those of other batches are read."""
    monkeypatch.setattr(client_codec, "snappy", None)
    body = bytes(built([b"x"])[61:])
    stood_for, good = read(compressed(snappy(body), SNAPPY), built([b"good"], first=1)).take()
    assert "snappy compression codec not found" in damage(stood_for)
    assert good.value == b"good"


def test_snappy_is_read_up_to_what_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package installed; it allocates what a block declares, so that is looked at first."""

    class Snappy:
        @staticmethod
        def decompress(block: bytes) -> bytes:
            assert block[0] < 0x80, "the test's own blocks are short"
            return block[2:]

    monkeypatch.setattr(client_codec, "snappy", Snappy)
    body = bytes(built([b"x"])[61:])
    (record,) = read(compressed(snappy(body), SNAPPY)).take()
    assert record.value == b"x"
    for hostile in (snappy(body, declared=(1 << 35) - 1), snappy(body, declared=BATCH_BYTES_MAX + 1)):
        (stood_for,) = read(compressed(hostile, SNAPPY)).take()
        assert "more than" in damage(stood_for)
    (stood_for,) = read(compressed(b"\xff" * 10, SNAPPY)).take()
    assert "block without a size" in damage(stood_for)


def test_a_wrong_checksum_is_fetched_again_and_then_stood_for() -> None:
    """The network may have damaged it; where it comes again, the disk has."""
    batch = built([b"one", b"two"])
    batch[-1] ^= 1
    for _ in range(READ_AGAIN):
        fetched = read(built([b"before"]), batch)
        assert [record.value for record in fetched.take()] == [b"before"]
        with pytest.raises(kafka_errors.CorruptRecordError):
            fetched.take()
        assert not fetched, "the client would take from it for ever"
    stood_for, good = read(batch, built([b"good"], first=2)).take()
    assert (stood_for.offset, good.offset) == (1, 2)
    assert "checksum is wrong" in damage(stood_for)
    with pytest.raises(kafka_errors.CorruptRecordError):
        read(batch).take()  # counted anew


def test_a_damaged_record_spares_those_before_it() -> None:
    """And stands for those behind it, whose bounds nobody knows."""
    batch = built([b"one", b"two", b"three"])
    at = batch.index(b"two") - 1
    batch[at] = 0x7E  # a value of 63 bytes
    one, stood_for, good = read(signed(batch), built([b"good"], first=3)).take()
    assert (one.value, stood_for.offset, good.value) == (b"one", 2, b"good")


def test_headers_beyond_counting_are_left_out() -> None:
    """Two bytes in the log are 150 in memory; key, value and timestamp are kept, and the other records too."""
    batch = built([b"first"]) + built([b"value"], GZIP, first=1, headers=3_000_000) + built([b"last"], first=2)
    first, many, last = read(batch).take()
    assert (first.headers, last.headers) == ([], [])
    assert (many.offset, many.timestamp, many.key, many.value) == (1, 1000, b"key", b"value")
    assert damage(many) == f"expected at most {HEADERS_MAX} headers, got 3000000; they are left out"


def test_a_header_of_that_name_is_no_damage() -> None:
    """Nobody can have his record refused, or make another's look refused, by a name."""
    builder = DefaultRecordBatchBuilder(2, NONE, 0, -1, -1, -1, 100_000)
    builder.append(0, 1000, None, b"x", [("betapack-damage", b"no")])
    (record,) = read(bytearray(builder.build())).take()
    assert record.headers == [(DAMAGE, b"no")]
    assert record.headers[0][0] is not DAMAGE


def test_a_poll_takes_until_it_is_full() -> None:
    """However many records it may take; nothing is lost, and without a bound all come at once."""
    values = [b"x" * MEGABYTE] * 20
    fetched = read(built(values, ZSTD), built(values, ZSTD, first=20))
    found: list[int] = []
    while fetched:
        with poll_budget():
            taken = [record.offset for record in fetched.take(5000)]
            assert len(taken) * MEGABYTE <= POLL_BYTES_MAX
            if fetched:
                with pytest.raises(PollFull):
                    fetched.take(5000)
        found += taken
    assert found == list(range(40))
    assert len(read(built(values, ZSTD)).take(5000)) == 20


def test_installing_twice_wraps_once() -> None:
    """Every reader asks for it."""
    read_any_batch()
    assert memory_records.DefaultRecordBatch is AnyBatch
