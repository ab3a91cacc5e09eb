"""Partitions, and which offsets can be sought."""

from __future__ import annotations

import pytest

from stream.errors import OffsetOutOfRange
from stream.kafka.log import TopicPartition, check_offset

PARTITION = TopicPartition("ticks", 2)


def test_a_partition_prints_as_operators_write_it() -> None:
    """And sorts by topic and number."""
    assert str(PARTITION) == "ticks[2]"
    assert sorted([TopicPartition("ticks", 10), PARTITION, TopicPartition("alerts", 3)]) == [
        TopicPartition("alerts", 3),
        PARTITION,
        TopicPartition("ticks", 10),
    ]


def test_an_offset_lies_between_the_low_watermark_and_the_end() -> None:
    """Both included: the end is the offset of the next record. Beyond them the message names both and the way out."""
    for offset in (90, 91, 100):
        check_offset(PARTITION, offset, 90, 100)
    with pytest.raises(OffsetOutOfRange, match=r"offset 89 is below the low watermark 90 on ticks\[2\]; .*--rebuild"):
        check_offset(PARTITION, 89, 90, 100)
    with pytest.raises(OffsetOutOfRange, match=r"offset 101 is beyond the end 100 of ticks\[2\].*--rebuild"):
        check_offset(PARTITION, 101, 90, 100)
