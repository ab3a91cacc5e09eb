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

    A state that is too large for one record is in the `state` of several, `part` 0 to `parts` - 1, which name the same
    `whole`, a digest of it. Snapshots take turns in two `slot`s, so that the topic always holds all of one of them.
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
