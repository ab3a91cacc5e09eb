"""The stream loop: read, decode, merge, step, publish, commit.

Nothing here computes a figure. The order within `Worker.commit` makes a crash harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from solver.packing.methods.many_books import MapOver
from stream.clock import Clock
from stream.config import Config
from stream.engine.alerts import alert_key
from stream.engine.market.refits import Submit
from stream.engine.runtime import Runtime
from stream.engine.step import Engine, EngineState, Output
from stream.errors import TopicMismatch
from stream.events.decode import Decoder
from stream.events.encode import Encoder
from stream.events.merge import Merge, Merged
from stream.events.timesteps import Timesteps
from stream.events.types import EngineEvent, FeedSilence, LogEnd, PositionLevel, Quotes, Rebuilt, Refused, Waiting
from stream.kafka.log import Reader, TopicPartition, Writer
from stream.kafka.topic_facts import LogFacts, check_same_partitions, check_same_topics
from stream.telemetry.metrics import Metrics
from stream.telemetry.notices import notice
from stream.worker.corrections import Corrections
from stream.worker.recover import REMADE_ADVICE, recover
from stream.worker.snapshot import SLOTS, parts_of, take_snapshot

POLL_TIMEOUT_MS = 100
"""How long an idle loop waits for records. It notices a stop or a silent feed this much later."""

OFFSETS_EVERY_NS = 1_000_000_000
"""Often enough for operators to see the lag; each commit is a request to the broker."""

CORRECTIONS_EVERY_NS = 1_000_000_000
CORRECTIONS_SHOWN = 5

BOOKS_EVERY_NS = 1_000_000_000
"""How often it is looked for books that wait for figures: a thousand of them take 0.1 ms."""

MERGE_CAPACITY = 20_000
"""Quotes of one partition that may wait in the merge before its reading is paused: some 10 MB as single ticks."""


class Views(Protocol):
    """Shows the state to whoever answers questions about it. Neither call may wait for them."""

    def note(self, event: EngineEvent) -> None:
        """Take note that `event` went through the engine."""

    def show(self, state: EngineState) -> None:
        """Show `state`, after all events of a turn. It changes later, so whatever is kept of it has to be copied."""


@dataclass(frozen=True)
class Connections:
    """The log, as a worker reads and writes it.

    `inputs` reads ticks, positions and reports of trades. `states` reads the snapshots. Without it, or with `rebuild`,
    a worker starts at the beginning of the log. `corrections` reads what shall be left out of the ticks. `facts` gives
    what was last seen of the topics, and never waits.
    """

    inputs: Reader
    writer: Writer
    states: Reader | None
    corrections: Reader | None = None
    facts: Callable[[], LogFacts] | None = None
    rebuild: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What a worker runs in.

    Parameters
    ----------
    clock : decides when a snapshot is due and when the feed is silent. With `deadlines` it also stops a solve.
    metrics : receives the measurements.
    deadlines : False for a replay, in which every solve runs to the end of its effort.
    map_over : runs shares of the books, see `BookPacker.pack`.
    submit : starts a refit somewhere else; without one it runs in the timestep that asks for it.
    views : is told every event and shown the state after each turn.
    """

    clock: Clock
    metrics: Metrics
    deadlines: bool = True
    map_over: MapOver = map
    submit: Submit | None = None
    views: Views | None = None


class Worker:
    """One universe and all its books in one process.

    The close of a timestep waits for a refit that is due in two cases: in a replay, and while the records that were in
    the log at the start are processed. What a crashed worker published from these must be published again, unchanged.
    """

    def __init__(self, config: Config, log: Connections, around: Surroundings) -> None:
        inputs, clock, metrics = log.inputs, around.clock, around.metrics
        self._config = config
        self._views = around.views
        self._inputs = inputs
        self._writer = log.writer
        self._clock = clock
        self._metrics = metrics
        self._decoder = Decoder(config)
        self._encoder = Encoder(config.topics.prefix, f"/betapack/{config.universe.name}")
        self._timesteps = Timesteps(
            config.universe,
            len(config.instruments),
            config.covariance.takes_ticks,
            names=[instrument.name for instrument in config.instruments],
        )
        self._deadlines = around.deadlines
        self._behind = True
        self._engine = Engine(
            config,
            Runtime(
                clock=clock if around.deadlines else None,
                timed=metrics.time_solve,
                map_over=around.map_over,
                submit=around.submit,
                patient=lambda: self._behind,
            ),
        )
        self._merge = Merge(inputs.partitions(), MERGE_CAPACITY)
        self._paused: set[TopicPartition] = set()
        self._corrections = Corrections(config, log.corrections, metrics)
        self._corrections_due_ns = clock.monotonic_ns() + CORRECTIONS_EVERY_NS
        self._look = log.facts
        self._facts = log.facts() if log.facts else None
        recovered = recover(
            config,
            self._engine,
            inputs,
            log.states,
            self._facts,
            rebuild=log.rebuild,
            corrections=self._corrections.names(),
        )
        self.state, self._slot = recovered.state, recovered.slot
        self._read_to = dict(self.state.offsets)
        self._recovered_at = inputs.end_offsets()
        self._snapshot_due_ns = clock.monotonic_ns() + self._snapshot_every_ns
        self._silent = alert_key("feed-silent", config.universe.name) in self.state.engine.alerts
        # A silence that was published before the restart lasts until a quote comes.
        silent_for_ns = round(config.universe.feed_silent_after_s * 1e9) if self._silent else 0
        self._last_quote_ns = clock.monotonic_ns() - silent_for_ns
        self._unacknowledged: list[Output] = []
        self._uncommitted = False
        self._offsets_behind = False
        self._offsets_due_ns = 0
        self._offsets_failure = ""
        self._books_due_ns = 0
        self._waiting_since_ns: int | None = None
        self._waiting: set[str] = set()
        metrics.expose([book.name for book in config.books], self.state.engine.alerts)
        notice(
            "recovered",
            timestep=self.state.timesteps.last_closed,
            **{str(partition): offset for partition, offset in self.state.offsets.items()},
        )
        self._honour_corrections()
        for event in recovered.events:
            self._step_unlogged(event)

    @property
    def _snapshot_every_ns(self) -> int:
        return round(self._config.snapshot.every_s * 1e9)

    def run(self, stop: Callable[[], bool]) -> None:
        """Take turns until `stop`, then commit and write a snapshot."""
        while not stop():
            self.turn()
        self.commit(final=True)

    def turn(self, timeout_ms: int = POLL_TIMEOUT_MS) -> int:
        """Read once, process all that is ready, commit. Returns how many records were processed."""
        records = self._inputs.poll(timeout_ms)
        arrived_ns = self._clock.monotonic_ns()
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._merge.push(partition, record.offset, self._corrections.left(record, self._decoder(record)))
            self._read_to[partition] = record.offset + 1
        processed: dict[str, int] = {}
        for merged in self._merge.ready(self._inputs.exhausted):
            self._process(merged)
            topic = merged.partition.topic
            processed[topic] = processed.get(topic, 0) + 1
        self._behind = self._behind and self._recovering()
        if self.state.engine.earlier_alerts and not self._behind:
            self._step_unlogged(Rebuilt())
        self._bound_buffers()
        self._watch_feed()
        self._watch_books()
        self._watch_corrections()
        caused = bool(self._unacknowledged)
        self.commit()
        for topic, count in processed.items():
            self._metrics.observe_read(topic, count)
        # Also in a turn that processed nothing: a merge that waits must show.
        self._metrics.observe_progress(
            self._inputs.lag(),
            self._merge.depth,
            len(self._timesteps.idle_partitions(self.state.timesteps)),
            self._timesteps.watermark_ns(self.state.timesteps),
        )
        if caused:
            self._metrics.observe_turnaround((self._clock.monotonic_ns() - arrived_ns) / 1e9)
        if self._views is not None:
            self._views.show(self.state.engine)  # last: no output waits for it
        self._watch_topics()
        return sum(processed.values())

    def finish(self) -> None:
        """Close the open timesteps, at the end of a log to which nothing will be added."""
        self._behind = True
        for timestep in self._timesteps.flush(self.state.timesteps):
            self._step(timestep)
        self._step(LogEnd())
        self.commit(final=True)

    def _recovering(self) -> bool:
        """Whether event time alone decides: in a replay, or until the records in the log at the start are processed."""
        if not self._deadlines:
            return True
        # Offsets alone do not tell: the last ones before an end may be markers of transactions, which no poll returns.
        return any(
            self.state.offsets[partition] < end and not self._inputs.exhausted(partition)
            for partition, end in self._recovered_at.items()
        )

    def commit(self, final: bool = False) -> None:
        """Make the processed records count, in this order.

        1. Every output of the processed records is in the log: flush, and check each acknowledgement.
        2. When due, the state at exactly these records is in the log.
        3. Once a second, the offsets are handed over for the group. They show operators the lag; no restart reads them,
           so a failure is a notice and nothing else.

        After a crash before 2, the records since the last snapshot are processed again. The outputs are the same, with
        the same ids, and readers drop them by id. A crash between 2 and 3 loses nothing, because a restart takes the
        offsets from the snapshot. Exactly-once delivery would put the three into one transaction, only here.
        """
        now_ns = self._clock.monotonic_ns()
        if self._uncommitted or final:
            self._commit_outputs(final)
        if self._offsets_behind and (final or now_ns >= self._offsets_due_ns):
            # 3. offsets
            self._inputs.commit(self.state.offsets)
            self._offsets_behind = False
            self._offsets_due_ns = now_ns + OFFSETS_EVERY_NS
        self._watch_offsets()

    def _commit_outputs(self, final: bool) -> None:
        with self._metrics.time_commit():
            # 1. outputs
            self._writer.flush()
            for message in self._unacknowledged:
                self._metrics.observe_output(message)
            self._unacknowledged.clear()
            # 2. state
            if final or self._clock.monotonic_ns() >= self._snapshot_due_ns:
                snapshot = take_snapshot(self.state, self._config)
                # Not in the slot of the last one: a restart needs that until the whole of this one is in the log.
                self._slot = (self._slot + 1) % SLOTS
                for part in parts_of(snapshot, self._slot):
                    self._encoder.send(self._writer, part)
                self._writer.flush()
                self._metrics.observe_snapshot(len(snapshot.state))
                self._snapshot_due_ns = self._clock.monotonic_ns() + self._snapshot_every_ns
        self._uncommitted = False

    def _process(self, merged: Merged) -> None:
        for event in merged.events:
            if isinstance(event, Quotes):
                self._last_quote_ns = self._clock.monotonic_ns()
                if event.levels_cut:
                    # A batch has no ladders, so the quote is that of one instrument.
                    self._metrics.observe_levels_cut(
                        self._config.instruments[event.instruments[0]].name, event.levels_cut
                    )
                late_before = self.state.timesteps.late_quotes
                for timestep in self._timesteps.add(self.state.timesteps, event, merged.partition):
                    self._step(timestep)
                late = self.state.timesteps.late_quotes - late_before
                if late:
                    source = self._timesteps.source_of(self.state.timesteps, event, str(merged.partition))
                    self._metrics.observe_late(source, late)
            else:
                if isinstance(event, Refused):
                    self._metrics.observe_refused(event.record.topic, event.reason)
                caused = len(self._unacknowledged)
                self._step(event)
                priced = self.state.engine.latest is not None
                if isinstance(event, PositionLevel) and priced and len(self._unacknowledged) == caused:
                    self._metrics.observe_superseded(event.book)
        self.state.offsets[merged.partition] = merged.offset + 1
        self._uncommitted = self._offsets_behind = True

    def _step(self, event: EngineEvent) -> None:
        with self._metrics.time_step(type(event).__name__):
            self.state.engine, outputs = self._engine.step(self.state.engine, event)
        if self._views is not None:
            self._views.note(event)
        for message in outputs:
            # Sent before the commit: a reader sees it at once, and the commit waits for the acknowledgement.
            self._encoder.send(self._writer, message)
        self._unacknowledged += outputs
        self._uncommitted = True

    def _bound_buffers(self) -> None:
        full = set(self._merge.full()) - self._paused
        if full:
            self._inputs.pause(full)
            self._paused |= full
        drained = self._paused & set(self._merge.drained())
        if drained:
            self._inputs.resume(drained)
            self._paused -= drained

    def _watch_offsets(self) -> None:
        failure = self._inputs.commit_failure()
        if failure != self._offsets_failure:
            self._offsets_failure = failure
            self._metrics.observe_offsets_stored(not failure)
            if failure:
                notice("offsets-not-stored", logging.WARNING, because=failure)
            else:
                notice("offsets-stored")

    def _watch_corrections(self) -> None:
        if self._clock.monotonic_ns() >= self._corrections_due_ns:
            self._corrections_due_ns = self._clock.monotonic_ns() + CORRECTIONS_EVERY_NS
            if self._corrections.read():
                self._honour_corrections()

    def _honour_corrections(self) -> None:
        """Note which corrections hold from here on, and say which wait because their quotes are in the state."""
        names = self._corrections.names()
        honoured = {
            name for name in names if name in self.state.corrections or self._corrections.untouched(name, self._read_to)
        }
        waiting = [name for name in names if name not in honoured]
        self.state.corrections = tuple(sorted(honoured))
        self._metrics.observe_corrections(len(waiting))
        if names:
            notice("corrections", honoured=len(honoured), waiting=len(waiting))
        if waiting:
            notice(
                "corrections-wait",
                logging.WARNING,
                of=", ".join(waiting[:CORRECTIONS_SHOWN]),
                detail="the figures stand on these quotes until a start with --rebuild",
            )

    def _watch_feed(self) -> None:
        silent_for_s = (self._clock.monotonic_ns() - self._last_quote_ns) / 1e9
        silent = silent_for_s >= self._config.universe.feed_silent_after_s
        if silent != self._silent:
            self._silent = silent
            self._step_unlogged(FeedSilence(silent))
            notice("feed", silent=silent, for_s=silent_for_s)

    def _watch_books(self) -> None:
        """Notice books that have positions and no figures. The time counts from when the log at the start was read."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._books_due_ns:
            return
        self._books_due_ns = now_ns + BOOKS_EVERY_NS
        books = self.state.engine.books
        waiting = {name for name, book in books.items() if book.is_shown and not book.answered}
        if self._behind or not waiting:
            self._waiting_since_ns, self._waiting = None, set()
            return
        if self._waiting_since_ns is None:
            self._waiting_since_ns = now_ns
        universe = self._config.universe
        # A timestep has to end before there can be an answer.
        limit_ns = round(universe.feed_silent_after_s * 1e9) + universe.timestep_ns
        if now_ns - self._waiting_since_ns >= limit_ns and not waiting <= self._waiting:
            self._waiting = waiting
            self._step_unlogged(Waiting(tuple(sorted(waiting))))

    def _watch_topics(self) -> None:
        """Stop where the topics are not those any more that are being read: a restart finds out what that means.

        Raises
        ------
        TopicMismatch, TopicMissing : as they say.
        """
        facts = self._look() if self._look else None
        if facts is None or facts is self._facts:
            return
        check_same_topics(self.state.topic_ids, self.state.cluster_id, facts, REMADE_ADVICE)
        try:
            check_same_partitions(self._inputs.partitions(), facts)
        except TopicMismatch:
            # What was read so far counts, so that the restart is quick.
            self.commit(final=True)
            raise
        self._facts = facts

    def _step_unlogged(self, event: EngineEvent) -> None:
        """Take in an event that is not in the log. After a crash only a snapshot tells of it, so one is due."""
        self._step(event)
        self._snapshot_due_ns = self._clock.monotonic_ns()
