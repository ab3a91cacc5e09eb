"""Where a worker starts: at the latest snapshot, or at the beginning of the log.

All records after that go through `engine.step`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.internal import Snapshot
from schemas.wire import decode, media_type
from stream.config import Config
from stream.engine.step import Engine
from stream.errors import StateMismatch, TopicMismatch
from stream.events.encode import snapshot_key
from stream.events.timesteps import new_timesteps_state
from stream.kafka.log import Reader, Record
from stream.worker.snapshot import SLOTS, WorkerState, joined, restore_snapshot

POLL_TIMEOUT_MS = 200


def recover(
    config: Config, engine: Engine, inputs: Reader, states: Reader | None, corrections: Sequence[str] = ()
) -> tuple[WorkerState, int]:
    """The state to start from, and the slot of its snapshot. `inputs` is moved to the offsets of the state.

    Without `states`, or without a snapshot in it, the state is empty and every input is read from its beginning. Such a
    state honours all `corrections`.

    Raises
    ------
    StateMismatch : the latest snapshot belongs to another version or configuration.
    OffsetOutOfRange : the records after the snapshot are no longer in the log.
    """
    snapshot = latest_snapshot(states, config.universe.name) if states else None
    offsets = inputs.low_watermarks()
    if snapshot is None:
        timesteps = new_timesteps_state(len(config.instruments))
        state = WorkerState(timesteps, engine.new_state(), offsets, tuple(corrections))
    else:
        state = restore_snapshot(snapshot, config, engine)
        # A partition that was added since the snapshot is read from its beginning.
        state.offsets = {**offsets, **state.offsets}
        engine.resume(state.engine)
    inputs.seek(state.offsets)
    return state, 0 if snapshot is None else snapshot.slot


def latest_snapshot(states: Reader, universe: str) -> Snapshot | None:
    """The last whole snapshot of `universe` in the log.

    Raises
    ------
    StateMismatch : a snapshot cannot be read.
    TopicMismatch : the topic has several partitions, so that the order of the snapshots is unknown.
    """
    if len(states.partitions()) != 1:
        names = ", ".join(map(str, states.partitions()))
        raise TopicMismatch(f"the topic of snapshots must have one partition, got {names}; create it anew")
    states.seek(states.low_watermarks())
    first, others = universe.encode(), f"{universe}#".encode()
    latest: dict[bytes, Record] = {}
    while True:
        for record in states.poll(POLL_TIMEOUT_MS):
            if record.key is not None and (record.key == first or record.key.startswith(others)):
                latest[record.key] = record
        if all(states.exhausted(partition) for partition in states.partitions()):
            break
    newest, found = -1, None
    for slot in range(SLOTS):
        records: list[Record] = []
        while (key := snapshot_key(universe, slot, len(records)).encode()) in latest and latest[key].value is not None:
            records.append(latest[key])
        snapshot = joined([_decoded(record) for record in records])
        if snapshot is not None and records[snapshot.parts - 1].offset > newest:
            newest, found = records[snapshot.parts - 1].offset, snapshot
    return found


def _decoded(record: Record) -> Snapshot:
    assert record.value is not None
    try:
        return decode(Snapshot, record.value, media_type(dict(record.headers).get("content-type")))
    except (msgspec.DecodeError, ValueError) as exc:
        raise StateMismatch(
            f"the snapshot at {record.topic}[{record.partition}]@{record.offset} cannot be read: {exc}; "
            "start with --rebuild to compute the state again from the beginning of the log"
        ) from exc
