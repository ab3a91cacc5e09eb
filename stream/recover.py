"""Where a worker goes on: the latest snapshot, or the beginning of the log. What follows goes through `engine.step`."""

from __future__ import annotations

import msgspec

from schemas.internal import Snapshot
from schemas.wire import JSON, decode
from stream.config import Config
from stream.engine import Engine
from stream.errors import StateMismatch
from stream.log import Reader
from stream.snapshot import WorkerState, restore_snapshot
from stream.timesteps import new_timesteps_state

POLL_TIMEOUT_MS = 200


def recover(config: Config, engine: Engine, inputs: Reader, states: Reader | None) -> WorkerState:
    """The state to go on from, with `inputs` at its offsets.

    Without `states`, or without a snapshot in it, nothing is known and every input is read from its beginning.

    Raises
    ------
    StateMismatch : the latest snapshot belongs to another version or configuration.
    OffsetOutOfRange : the records after the snapshot are not in the log any more.
    """
    snapshot = latest_snapshot(states, config.universe.name) if states else None
    offsets = inputs.low_watermarks()
    if snapshot is None:
        state = WorkerState(new_timesteps_state(len(config.instruments)), engine.new_state(), offsets)
    else:
        state = restore_snapshot(snapshot, config, engine)
        # A partition that was added since the snapshot is read from its beginning.
        state.offsets = {**offsets, **state.offsets}
        engine.resume(state.engine)
    inputs.seek(state.offsets)
    return state


def latest_snapshot(states: Reader, universe: str) -> Snapshot | None:
    """The last snapshot of `universe` in the log. Raises StateMismatch when it cannot be read."""
    states.seek(states.low_watermarks())
    latest = None
    while True:
        for record in states.poll(POLL_TIMEOUT_MS):
            if record.key == universe.encode():
                latest = record
        if all(states.exhausted(partition) for partition in states.partitions()):
            break
    if latest is None or latest.value is None:
        return None
    content_type = dict(latest.headers).get("content-type", JSON.encode()).decode()
    try:
        return decode(Snapshot, latest.value, content_type)
    except (msgspec.DecodeError, ValueError) as exc:
        raise StateMismatch(
            f"the snapshot at {latest.topic}[{latest.partition}]@{latest.offset} cannot be read: {exc}; "
            "start with --rebuild to compute the state again from the beginning of the log"
        ) from exc
