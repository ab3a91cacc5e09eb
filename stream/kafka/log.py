"""Kafka's log as betapack sees it: its partitions and records, and how they are read and written.

Nothing outside `stream.kafka` knows which client library (or whether a broker at all) is behind these two protocols.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from stream.errors import OffsetOutOfRange

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic; prints as ``ticks[2]``."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Record(NamedTuple):
    """One record of the log. `timestamp_ms` is the event time in ms since 1970, set by the writer.

    `damage` says what of the log could not be read and is not in this record, as of a batch that it stands for.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    damage: str = ""

    @property
    def source(self) -> str:
        """Where it stands, as ``ticks[2]@17``."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


def check_offset(partition: TopicPartition, offset: int, low: int, end: int) -> None:
    """Raise OffsetOutOfRange unless `offset` lies in ``low..end``, both included."""
    if offset < low:
        raise OffsetOutOfRange(
            f"offset {offset} is below the low watermark {low} on {partition}; "
            "start with --rebuild to go on from what is left"
        )
    if offset > end:
        raise OffsetOutOfRange(
            f"offset {offset} is beyond the end {end} of {partition}: it belongs to another log, or records got lost; "
            "check the bootstrap address and the topic prefix, or start with --rebuild"
        )


class Reader(Protocol):
    """Reads every partition of some topics, from explicit offsets.

    A reader starts without a position: `seek` every partition before the first `poll`. Offsets are always those of the
    *next* record to read. Not safe for use by several threads.
    """

    def partitions(self) -> list[TopicPartition]:
        """All partitions of the topics, sorted. Fixed while the reader lives."""
        ...

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Continue at these offsets. Partitions that are not named keep theirs. Records that were fetched before are
        dropped.

        Raises
        ------
        OffsetOutOfRange : an offset is below the low watermark or beyond the end; then no partition has moved.
        """
        ...

    def poll(self, timeout_ms: int) -> list[Record]:
        """The next records, in offset order within a partition; empty when none came within `timeout_ms`.

        Records of transactions that were aborted, or are still open, are not returned.

        Raises
        ------
        OffsetOutOfRange : records that were to be read next have been deleted meanwhile.
        ReadFailed : a partition has no position (`seek` first), or the broker refuses the fetch.
        """
        ...

    def exhausted(self, partition: TopicPartition) -> bool:
        """Whether `poll` has returned every readable record up to the known end of the partition.

        The end is looked up when the position is set, and every fetch may move it. The answer is False while the end is
        not known. Ask again after every `poll`: new records make it False.
        """
        ...

    def lag(self) -> dict[TopicPartition, int]:
        """Offsets between the position and the known end; partitions whose end is not known are left out."""
        ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Return nothing from these partitions until `resume`: how a full buffer downstream stays bounded."""
        ...

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Undo `pause`; the position is where it was."""
        ...

    def low_watermarks(self) -> dict[TopicPartition, int]:
        """The first offset each partition still holds. Asks the broker."""
        ...

    def end_offsets(self) -> dict[TopicPartition, int]:
        """The offset after the last readable record of each partition. Asks the broker."""
        ...

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store offsets with the reader's group soon, for operators to see the lag and for `committed`.

        Returns at once. A failure is not raised, since nothing depends on these offsets: see `commit_failure`.
        """
        ...

    def commit_failure(self) -> str:
        """Why offsets could not be stored with the group, as of the last attempt. Empty where they could."""
        ...

    def committed(self) -> dict[TopicPartition, int]:
        """The offsets last stored with the group. Partitions without one are left out."""
        ...

    def close(self) -> None:
        """Close the connection, after an attempt to store the last offsets of `commit`. May be called twice."""
        ...


class Writer(Protocol):
    """Writes records; a record's partition is Kafka's own hash of its key. Not safe for use by several threads."""

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int) -> None:
        """Queue one record. Returns at once, unless the bounded queue is full: then it waits until the queue is sent.

        A failure of the record is raised by the next `flush`, not here. After a failure, records sent before that flush
        may be dropped.

        Parameters
        ----------
        topic : name with the prefix.
        key : decides the partition; None takes any.
        value : None deletes the key in a compacted topic.
        headers : name and value of each.
        timestamp_ms : event time, ms since 1970.

        Raises
        ------
        ValueError : neither a key nor a value. A key without a value deletes the key in a compacted topic.
        PublishFailed : the writer is closed.
        """
        ...

    def flush(self) -> None:
        """Wait until the broker has acknowledged every record sent since the last flush.

        Raises
        ------
        PublishFailed : for at least one of them it did not; names the first one's topic and cause, and how many.
            The next flush reports on later records only.
        """
        ...

    def close(self) -> None:
        """Close the connection. Records that were not flushed may be lost. May be called twice."""
        ...
