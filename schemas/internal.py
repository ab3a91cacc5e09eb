"""Messages that only betapack itself reads."""

from __future__ import annotations

from msgspec import Struct


class PartitionOffset(Struct, frozen=True, kw_only=True):
    """The next offset to read of one input partition.

    Attributes
    ----------
    topic : Name of the topic.
    partition : Number of the partition.
    offset : The next offset to read.
    """

    topic: str
    partition: int
    offset: int


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything a restarted worker needs: its state, and the input offsets from which to go on.

    A state that is too large for one record is split over several, which name the same `whole`. Snapshots take turns in
    two slots, so that the topic always holds all of one of them.

    Attributes
    ----------
    id : Universe, timestep and the sum of the offsets.
    universe : Name of the universe.
    format_version : Version of the layout of `state`.
    config_hash : Hash of the configuration that the state belongs to. A state is never read into a service that means
        something else by it.
    event_time_ns : Event time of the state, since the Unix epoch, UTC. [ns]
    timestep : Number of the last timestep that was closed.
    offsets : The next offset of every input partition.
    state : The engine's state in MessagePack, or a part of it.
    slot : Which of the two slots the snapshot is in.
    part : Number of this part, from 0 to `parts` - 1.
    parts : How many parts the state has.
    whole : Digest of the whole state.
    cluster_id : Kafka's id of the cluster that was read; empty where it is unknown.
    topic_ids : Kafka's ids of the topics that were read, by name. A topic that is created again has another one.
    """

    id: str
    universe: str
    format_version: int
    config_hash: str
    event_time_ns: int
    timestep: int
    offsets: tuple[PartitionOffset, ...]
    state: bytes
    slot: int = 0
    part: int = 0
    parts: int = 1
    whole: str = ""
    cluster_id: str = ""
    topic_ids: dict[str, str] = {}
