"""The worker's whole state as bytes and back, exact to the bit.

A restored worker publishes the same bytes as one that never stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.internal import PartitionOffset, Snapshot
from solver.reversion.live.betas import LiveBetas
from stream.config import Config
from stream.config.kafka import MAX_RECORD_BYTES
from stream.engine.book.doubts import InputGaps, left_book
from stream.engine.book.state import BookState
from stream.engine.market.model import LegPrices, Market
from stream.engine.market.plausibility.state import GateState
from stream.engine.market.refits import PendingRefit, RefitState
from stream.engine.refusals.state import RefusalsState
from stream.engine.step import Engine, EngineState
from stream.errors import StateMismatch
from stream.events.array_codec import decode_array, encode_array
from stream.events.timesteps import TimestepsState
from stream.kafka.log import TopicPartition

PART_BYTES = MAX_RECORD_BYTES // 2
"""Bytes of the state in one record. A long window of many assets, or a thousand books with trades, needs several."""

SLOTS = 2
"""Snapshots are written to them in turn: while one is being written, the last whole one is in the other slot."""

FORMAT_VERSION = 5
"""Goes up with every change of `Stored` that an older worker cannot read."""


@dataclass
class WorkerState:
    """What a worker continues from: open timesteps, engine, and the next offset to read of each input partition.

    `corrections` names those that the state honours: their quotes were never in it.
    `topic_ids` and `cluster_id` say which topics these offsets are of; empty where the log does not tell.
    """

    timesteps: TimestepsState
    engine: EngineState
    offsets: dict[TopicPartition, int]
    corrections: tuple[str, ...] = ()
    topic_ids: dict[str, str] = field(default_factory=dict)
    cluster_id: str = ""


@dataclass
class Stored:
    """`WorkerState` as a snapshot stores it: without the offsets, and with the arrays of the estimators."""

    timesteps: TimestepsState
    covariance: dict[str, NDArray[Any]]
    longer: tuple[dict[str, NDArray[Any]], ...]
    gate: GateState
    reversion: dict[str, NDArray[Any]]
    version: int
    log_prices: NDArray[np.float64]
    priced: NDArray[np.bool_]
    leg_variances: NDArray[np.float64]
    closed_at_ns: int
    interrupted: dict[str, LegPrices]
    live: LiveBetas
    pushed_since_refit: int
    pending_refit: PendingRefit | None
    refitted_at: int
    refit_failure: str
    candidates_tried: int
    refusals: tuple[str, ...]
    books: dict[str, BookState]
    latest: Market | None
    alerts: tuple[str, ...]
    silences: int
    gaps: InputGaps
    earlier_alerts: tuple[str, ...]
    refused: RefusalsState
    corrections: tuple[str, ...] = ()


@dataclass
class Earlier:
    """What a rebuild has to know of the state that it replaces. It is read from a snapshot of any version."""

    gaps: InputGaps = field(default_factory=InputGaps)
    alerts: tuple[str, ...] = ()
    earlier_alerts: tuple[str, ...] = ()

    @property
    def stood(self) -> tuple[str, ...]:
        """The alerts that stood. Where it was in a rebuild itself, those that stood before that one too."""
        return tuple(sorted({*self.alerts, *self.earlier_alerts}))


def take_snapshot(state: WorkerState, config: Config) -> Snapshot:
    """The message that stores `state`. Its id counts timesteps and input records, so equal states have equal ids."""
    engine, market = state.engine, state.engine.market
    stored = Stored(
        timesteps=state.timesteps,
        covariance=market.covariance.arrays(),
        longer=tuple(longer.arrays() for longer in market.longer),
        gate=market.gate,
        reversion=market.reversion.arrays(),
        version=market.version,
        log_prices=market.log_prices,
        priced=market.priced,
        leg_variances=market.leg_variances,
        closed_at_ns=market.closed_at_ns,
        interrupted=market.interrupted,
        live=market.live,
        pushed_since_refit=market.refits.pushed,
        pending_refit=market.refits.pending,
        refitted_at=market.refits.fitted_at,
        refit_failure=market.refits.failure,
        candidates_tried=market.refits.candidates_tried,
        refusals=market.refits.refusals,
        books=engine.books,
        latest=engine.latest,
        # Sorted: a set's order differs from process to process, and equal states must give equal bytes.
        alerts=tuple(sorted(engine.alerts)),
        silences=engine.silences,
        gaps=engine.gaps,
        earlier_alerts=engine.earlier_alerts,
        refused=engine.refused,
        corrections=state.corrections,
    )
    timestep = state.timesteps.last_closed
    return Snapshot(
        id=f"snapshot/{config.universe.name}/{timestep}/{sum(state.offsets.values())}",
        universe=config.universe.name,
        format_version=FORMAT_VERSION,
        config_hash=config.state_hash(),
        event_time_ns=timestep * config.universe.timestep_ns,
        timestep=timestep,
        offsets=tuple(
            PartitionOffset(topic=partition.topic, partition=partition.partition, offset=offset)
            for partition, offset in sorted(state.offsets.items())
        ),
        state=_encoder.encode(stored),
        cluster_id=state.cluster_id,
        topic_ids=state.topic_ids,
    )


def restore_snapshot(snapshot: Snapshot, config: Config, engine: Engine) -> WorkerState:
    """The state that `snapshot` stores, for an engine of `config`.

    Books that are new in the configuration start empty, and incomplete where positions of them may have been passed
    over. Books that left it are dropped, but not their alerts. Raises StateMismatch when the snapshot is of another
    format, or of a configuration in which the same numbers mean something else.
    """
    if snapshot.format_version != FORMAT_VERSION:
        raise StateMismatch(
            f"snapshot {snapshot.id} has format {snapshot.format_version}, this version reads {FORMAT_VERSION}; "
            "start with --rebuild to compute the state again from the beginning of the log"
        )
    if snapshot.config_hash != config.state_hash():
        raise StateMismatch(
            f"snapshot {snapshot.id} belongs to a configuration with hash {snapshot.config_hash}, "
            f"this one has {config.state_hash()}: universe, instruments, plausibility, covariance or reversion "
            "were changed; start with --rebuild to compute the state again from the beginning of the log"
        )
    try:
        stored = _decoder.decode(snapshot.state)
    except msgspec.DecodeError as exc:
        raise StateMismatch(
            f"the state in snapshot {snapshot.id} cannot be read: {exc}; "
            "start with --rebuild to compute it again from the beginning of the log"
        ) from exc
    state = engine.new_state()
    market = state.market
    market.covariance.restore(stored.covariance)
    for longer, arrays in zip(market.longer, stored.longer, strict=True):
        longer.restore(arrays)
    market.gate = stored.gate
    market.reversion.restore(stored.reversion)
    market.version = stored.version
    market.log_prices = stored.log_prices
    market.priced = stored.priced
    market.leg_variances = stored.leg_variances
    market.closed_at_ns = stored.closed_at_ns
    market.interrupted = stored.interrupted
    market.live = stored.live
    market.refits = RefitState(
        pushed=stored.pushed_since_refit,
        pending=stored.pending_refit,
        fitted_at=stored.refitted_at,
        failure=stored.refit_failure,
        candidates_tried=stored.candidates_tried,
        refusals=stored.refusals,
    )
    _take_books(state, stored, config)
    state.latest = stored.latest
    state.alerts = set(stored.alerts)
    state.silences = stored.silences
    state.earlier_alerts = stored.earlier_alerts
    state.refused = stored.refused
    offsets = {TopicPartition(each.topic, each.partition): each.offset for each in snapshot.offsets}
    return WorkerState(stored.timesteps, state, offsets, stored.corrections, snapshot.topic_ids, snapshot.cluster_id)


def earlier(snapshot: Snapshot) -> Earlier:
    """What a rebuild keeps of `snapshot`; nothing where it cannot be read."""
    try:
        return _earlier_decoder.decode(snapshot.state)
    except msgspec.DecodeError:
        return Earlier()


def _take_books(state: EngineState, stored: Stored, config: Config) -> None:
    """The stored books that are still configured, and what is known of those that come and go."""
    gaps = state.gaps = stored.gaps
    for name in stored.books.keys() - state.books.keys():
        if stored.books[name].has_positions:
            gaps.unknown[name] = left_book()
    for name, book in state.books.items():
        if name in stored.books:
            state.books[name] = stored.books[name]
        else:
            book.doubts = gaps.of_new_book(name, config.universe.assets)
            gaps.unknown.pop(name, None)


def parts_of(snapshot: Snapshot, slot: int) -> list[Snapshot]:
    """The records that store `snapshot` in `slot`, in the order in which they are written."""
    state = snapshot.state
    pieces = [state[start : start + PART_BYTES] for start in range(0, max(len(state), 1), PART_BYTES)]
    whole = hashlib.blake2b(state, digest_size=16).hexdigest() if len(pieces) > 1 else ""
    return [
        msgspec.structs.replace(snapshot, state=piece, slot=slot, part=part, parts=len(pieces), whole=whole)
        for part, piece in enumerate(pieces)
    ]


def joined(parts: Sequence[Snapshot]) -> Snapshot | None:
    """The snapshot of `parts`, all of one slot with part 0 first. None if a part is missing or of another snapshot."""
    labels = [(each.id, each.whole, each.part) for each in parts[: parts[0].parts]] if parts else []
    if not labels or labels != [(parts[0].id, parts[0].whole, part) for part in range(parts[0].parts)]:
        return None
    whole = b"".join(each.state for each in parts[: parts[0].parts])
    return msgspec.structs.replace(parts[0], state=whole)


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_array)
_decoder = msgspec.msgpack.Decoder(Stored, dec_hook=decode_array)
_earlier_decoder = msgspec.msgpack.Decoder(Earlier)
