"""Messages that only betapack itself reads."""

from __future__ import annotations

from msgspec import Struct


class PartitionOffset(Struct, frozen=True, kw_only=True):
    """The next `offset` to read of one input `partition` of a `topic`."""

    topic: str
    partition: int
    offset: int


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything a restarted worker needs: its state, and the input offsets from which to go on.

    `state` is the engine's state in MessagePack, `format_version` that of its layout and `config_hash` that of the
    configuration which it belongs to: a state is never read into a service that means something else by it.
    `event_time_ns` is nanoseconds since the Unix epoch, UTC. `offsets` are those of every input partition.
    """

    id: str
    universe: str
    format_version: int
    config_hash: str
    event_time_ns: int
    timestep: int
    offsets: tuple[PartitionOffset, ...]
    state: bytes
