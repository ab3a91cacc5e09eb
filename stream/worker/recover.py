"""Where a worker starts: at the latest snapshot, or at the beginning of the log.

All records after that go through `engine.step`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from schemas.internal import Snapshot
from schemas.wire import decode, media_type
from stream.config import Config
from stream.engine.alerts import BOOK_ALERTS, alert_key
from stream.engine.step import Engine
from stream.errors import StateMismatch, TopicMismatch
from stream.events.encode import snapshot_key
from stream.events.timesteps import new_timesteps_state
from stream.events.types import BooksChanged, EngineEvent, LevelsMissing, PositionsCompacted
from stream.kafka.log import Reader, Record, TopicPartition
from stream.kafka.topic_facts import LogFacts, check_same_topics
from stream.worker.snapshot import SLOTS, WorkerState, earlier, joined, restore_snapshot

POLL_TIMEOUT_MS = 200

ANOTHER_TOPIC = "another topic"
REMADE_ADVICE = (
    "start with --rebuild to compute the state from what the new topic holds, and send every position again: "
    "until then the books are incomplete"
)


@dataclass
class Recovered:
    """Where a worker starts, the slot of its snapshot, and its first events: what it found that is in no record."""

    state: WorkerState
    slot: int
    events: list[EngineEvent]


def recover(
    config: Config,
    engine: Engine,
    inputs: Reader,
    states: Reader | None,
    facts: LogFacts | None,
    *,
    rebuild: bool,
    corrections: Sequence[str] = (),
) -> Recovered:
    """The state to start from. `inputs` is moved to the offsets of the state.

    Without a snapshot in `states`, or with `rebuild`, the state is empty and every input is read from its beginning.
    Such a state honours all `corrections`. `facts` are those of the log, None where it tells none.

    Raises
    ------
    StateMismatch : the latest snapshot belongs to another version or configuration.
    TopicMismatch : an input is another topic than the one that the snapshot stands on.
    OffsetOutOfRange : the records after the snapshot are no longer in the log.
    """
    snapshot = _latest(config, states, lenient=rebuild)
    low = inputs.low_watermarks()
    if snapshot is None or rebuild:
        timesteps = new_timesteps_state(len(config.instruments))
        state = WorkerState(timesteps, engine.new_state(), low, tuple(corrections))
        events = _found_in_log(config, inputs, low, facts, snapshot)
        stood = earlier(snapshot).stood if snapshot is not None else ()
        left = _left_alerts(config, stood)
        came: tuple[str, ...] = ()
        state.engine.alerts.update(left)
        state.engine.earlier_alerts = tuple(key for key in stood if key not in left)
    else:
        if facts is not None:
            check_same_topics(snapshot.topic_ids, snapshot.cluster_id, facts, REMADE_ADVICE)
        state = restore_snapshot(snapshot, config, engine)
        added = {partition: offset for partition, offset in low.items() if partition not in state.offsets}
        # A partition that was added since the snapshot is read from its beginning.
        state.offsets = {**low, **state.offsets}
        events = _found_in_log(config, inputs, added, facts, None)
        left = _left_alerts(config, state.engine.alerts)
        came = tuple(name for name, book in state.engine.books.items() if not book.has_positions and book.doubts)
        engine.resume(state.engine)
    inputs.seek(state.offsets)
    if facts is not None:
        state.topic_ids, state.cluster_id = facts.ids(config.topics.inputs()), facts.cluster_id
        events += _compaction(config, inputs, state, facts)
    if left or came:
        events.append(BooksChanged(left, came))
    return Recovered(state, 0 if snapshot is None else snapshot.slot, events)


def _latest(config: Config, states: Reader | None, *, lenient: bool) -> Snapshot | None:
    """The latest snapshot. With `lenient`, none where it cannot be read: a rebuild asks for one only to keep alerts."""
    if states is None:
        return None
    try:
        return latest_snapshot(states, config.universe.name)
    except StateMismatch:
        if lenient:
            return None
        raise


def _found_in_log(
    config: Config,
    inputs: Reader,
    starts: Mapping[TopicPartition, int],
    facts: LogFacts | None,
    replaced: Snapshot | None,
) -> list[EngineEvent]:
    """What is missing from `positions` where it is read from its beginning, at the offsets `starts`.

    What was found before already is found again with the same words. It then keeps the ends that the log had, so that
    a statement after them still counts. `replaced` is the snapshot that a rebuild replaces.
    """
    name = config.topics.names()["positions"]
    ends = {str(each): end for each, end in inputs.end_offsets().items() if each.topic == name}
    before = earlier(replaced).gaps.everyones if replaced is not None else {}
    found: list[LevelsMissing] = []
    if replaced is not None and facts is not None:
        old, new = replaced.topic_ids.get(name, ""), facts.ids([name]).get(name, "")
        if old and new and old != new:
            reason = f"{name} is another topic than before, with the id {new} in place of {old}: its levels are gone"
            found.append(LevelsMissing(ANOTHER_TOPIC, reason, "", ends))
        elif ANOTHER_TOPIC in before:
            found.append(LevelsMissing(ANOTHER_TOPIC, before[ANOTHER_TOPIC].reason, "", ends))
    for partition, offset in sorted(starts.items()):
        if partition.topic == name and offset:
            records = "first record" if offset == 1 else f"first {offset:,} records"
            reason = f"the {records} of {partition} {'is' if offset == 1 else 'are'} gone from the log"
            found.append(LevelsMissing(f"head of {partition}", reason, str(partition), ends))
    kept: list[EngineEvent] = []
    for each in found:
        known = before.get(each.key)
        same = known is not None and known.reason == each.reason and known.ends is not None
        kept.append(replace(each, ends=known.ends) if known is not None and known.ends is not None and same else each)
    return kept


def _compaction(config: Config, inputs: Reader, state: WorkerState, facts: LogFacts) -> list[EngineEvent]:
    """That `positions` is compacted, where it is and there are records to read; or no longer is."""
    name = config.topics.names()["positions"]
    ends = {}
    if name in facts.topics and facts.topics[name].compacted:
        ends = {str(each): end for each, end in inputs.end_offsets().items() if each.topic == name}
    return [PositionsCompacted(ends)] if ends != state.engine.gaps.compacted_ends else []


def _left_alerts(config: Config, alerts: Iterable[str]) -> tuple[str, ...]:
    """Those of the standing `alerts` that are of books which the configuration does not have."""
    possible = {alert_key(kind, book.name) for kind in BOOK_ALERTS for book in config.books}
    return tuple(sorted(key for key in alerts if key.partition(":")[0] in BOOK_ALERTS and key not in possible))


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
            f"the snapshot at {record.source} cannot be read: {exc}; "
            "start with --rebuild to compute the state again from the beginning of the log"
        ) from exc
