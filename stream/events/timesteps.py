"""Quotes to timesteps: an event-time grid that a watermark closes.

Step k covers the times in ((k - 1) ΔT, k ΔT]. It closes when the watermark has passed its end: then no active partition
can still bring a quote of it. The watermark is the least of the active partitions' latest event times, less the allowed
lateness. A partition that lies further behind now than `idle_after` is idle: nothing waits for it, and it is counted.
What is now, and which times count, is judged over all sources (`stream.events.clocks`). A quote of a source that is
ahead waits in its step until the others have reached it. A quote of a step that has closed is late: it is counted by
its source and left out. A step without any quote is not emitted.

Where every tick is wanted, a step keeps its first STEP_TICKS_MAX quotes. Later quotes of the step still set its prices.
The covariance misses them; the first tick of the next step carries the whole move since the last one that was kept.

No wall clock in here: the same sequence of quotes gives the same timesteps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from solver.arrays import FloatArray, IntArray
from stream.config import NANOSECONDS, UniverseConfig
from stream.events.clocks import NAMES_KEPT, Clocks, ClocksState
from stream.events.outside_text import CHARACTERS_MAX, bounded
from stream.events.types import LateQuotes, QuoteDepth, Quotes, Ticks, Timestep
from stream.kafka.log import TopicPartition

NEVER = 0

STEP_TICKS_MAX = 50_000
"""Bounds what an open step holds, and with it a snapshot: some two megabytes."""

OPEN_STEPS_MAX = 1000
"""Bounds how many steps wait open for a source that is ahead. Its quotes of further steps count as late."""

LATE_STEPS = 20
"""Over how many timesteps late quotes are counted for their alert."""


@dataclass
class UnsettledQuotes:
    """Late quotes of one source in one partition that has not moved on since.

    `instruments` are theirs, and `behind_ns` is how far the latest was behind its partition.
    """

    quotes: int = 0
    instruments: list[int] = field(default_factory=list)
    behind_ns: int = 0


@dataclass
class SourceCounts:
    """Quotes of one source: since the last close, and at the closes before as (step, late, quotes).

    `instruments` are the first few whose quotes were late, and `behind_ns` is how far the latest of these was behind
    its partition.
    """

    late: int = 0
    quotes: int = 0
    behind_ns: int = 0
    instruments: list[int] = field(default_factory=list)
    closes: list[tuple[int, int, int]] = field(default_factory=list)


FEED_LETTERS = 80
"""What is kept of the name of a feed, for messages."""


@dataclass
class OpenStep:
    """Quotes of a step that has not closed yet, (m,) each; NaN and 0 where there is none.

    `ticks` are the time, instrument and mid of each quote in order of arrival. `depths` is what the latest quote of
    each instrument shows.
    """

    bids: FloatArray
    asks: FloatArray
    quoted_at_ns: IntArray
    ticks: list[tuple[int, int, float]] = field(default_factory=list)
    depths: dict[int, QuoteDepth] = field(default_factory=dict)


@dataclass
class TimestepsState:
    """Everything that decides which timesteps come next. A snapshot keeps it."""

    bids: FloatArray
    asks: FloatArray
    quoted_at_ns: IntArray
    last_closed: int = 0
    clocks: ClocksState = field(default_factory=ClocksState)
    counts: dict[str, SourceCounts] = field(default_factory=dict)
    unsettled: dict[str, dict[str, UnsettledQuotes]] = field(default_factory=dict)
    open_steps: dict[int, OpenStep] = field(default_factory=dict)
    late_quotes: int = 0
    depths: dict[int, QuoteDepth] = field(default_factory=dict)
    feeds: dict[int, str] = field(default_factory=dict)


def new_timesteps_state(instruments: int) -> TimestepsState:
    """No quote seen yet."""
    nothing = _no_quotes(instruments)
    return TimestepsState(bids=nothing.bids, asks=nothing.asks, quoted_at_ns=nothing.quoted_at_ns)


def _no_quotes(instruments: int) -> OpenStep:
    return OpenStep(
        bids=np.full(instruments, np.nan),
        asks=np.full(instruments, np.nan),
        quoted_at_ns=np.full(instruments, NEVER, dtype=np.int64),
    )


class Timesteps:
    """Closes the timesteps of one universe, with their ticks where `with_ticks`. Its state is passed in."""

    def __init__(
        self, universe: UniverseConfig, instruments: int, with_ticks: bool = False, names: Sequence[str] = ()
    ) -> None:
        self._with_ticks = with_ticks
        self._step_ns = universe.timestep_ns
        self._lateness_ns = round(universe.allowed_lateness_s * NANOSECONDS)
        self._idle_after_ns = universe.idle_after_ns
        self._instruments = instruments
        self._names = tuple(names) or tuple(f"instrument {index}" for index in range(instruments))
        self._clocks = Clocks(self._step_ns, self._lateness_ns)

    def add(self, state: TimestepsState, quotes: Quotes, partition: TopicPartition) -> list[Timestep]:
        """Take quotes from `partition` into `state`, and return the steps that they close, in order."""
        time_ns = quotes.event_time_ns
        name = str(partition)
        source = self.source_of(state, quotes, name)
        reached_ns = state.clocks.partitions_ns.get(name, NEVER)
        self._clocks.hear(state.clocks, source, name, time_ns, quotes.recorded_ns, state.last_closed == 0)
        if name in state.unsettled and time_ns > reached_ns:
            self._settle(state, name)
        step = -(-time_ns // self._step_ns)
        too_many = step not in state.open_steps and len(state.open_steps) >= OPEN_STEPS_MAX
        if step <= state.last_closed or (too_many and time_ns > state.clocks.now_ns):
            state.late_quotes += len(quotes.instruments)
            late = state.unsettled.setdefault(name, {}).setdefault(source, UnsettledQuotes())
            late.quotes += len(quotes.instruments)
            late.instruments += [index for index in quotes.instruments[:NAMES_KEPT] if index not in late.instruments]
            late.behind_ns = max(0, reached_ns - time_ns)
            return []
        counts = state.counts.get(source)
        if counts is None:
            counts = state.counts[source] = SourceCounts()
        counts.quotes += len(quotes.instruments)
        open_step = state.open_steps.get(step)
        if open_step is None:
            open_step = state.open_steps[step] = _no_quotes(self._instruments)
        depths = quotes.depths or (None,) * len(quotes.instruments)
        for index, bid, ask, depth in zip(quotes.instruments, quotes.bids, quotes.asks, depths, strict=True):
            # Two partitions may bring the same instrument: the later quote counts, not the later arrival.
            if time_ns >= open_step.quoted_at_ns[index]:
                open_step.bids[index] = bid
                open_step.asks[index] = ask
                open_step.quoted_at_ns[index] = time_ns
                if quotes.feed:
                    state.feeds[index] = quotes.feed[:FEED_LETTERS]
                # A depth belongs to its own quote: a later quote without a depth removes it.
                open_step.depths.pop(index, None)
                if depth is not None:
                    open_step.depths[index] = depth
            if self._with_ticks and len(open_step.ticks) < STEP_TICKS_MAX:
                open_step.ticks.append((time_ns, index, 0.5 * (bid + ask)))
        watermark_ns = self.watermark_ns(state)
        if min(state.open_steps) * self._step_ns >= watermark_ns:
            return []
        return self._close(state, [s for s in state.open_steps if s * self._step_ns < watermark_ns])

    def flush(self, state: TimestepsState) -> list[Timestep]:
        """Close every open step: for the end of a log to which nothing will be added."""
        return self._close(state, list(state.open_steps))

    def source_of(self, state: TimestepsState, quotes: Quotes, partition: str) -> str:
        """The name of who dated `quotes`: the feed, or else the instrument in its partition, or the partition."""
        if quotes.feed in state.clocks.sources:
            return quotes.feed
        if quotes.feed:
            source = bounded(quotes.feed, CHARACTERS_MAX)
        elif len(quotes.instruments) == 1:
            source = f"{self._names[quotes.instruments[0]]} in {partition}"
        else:
            source = partition
        return source if source in state.clocks.sources else self._clocks.known_as(state.clocks, source, partition)

    def watermark_ns(self, state: TimestepsState) -> int:
        """The time up to which no active partition can bring another quote; 0 before the first quote."""
        clocks = state.clocks
        if not clocks.now_ns:
            return NEVER
        oldest_active_ns = clocks.now_ns - self._idle_after_ns
        active_ns = (time_ns for time_ns in clocks.partitions_ns.values() if time_ns >= oldest_active_ns)
        return min(active_ns, default=clocks.now_ns) - self._lateness_ns

    def idle_partitions(self, state: TimestepsState) -> list[str]:
        """Partitions so far behind that nothing waits for them."""
        oldest_active_ns = state.clocks.now_ns - self._idle_after_ns
        return sorted(name for name, time_ns in state.clocks.partitions_ns.items() if time_ns < oldest_active_ns)

    def _close(self, state: TimestepsState, steps: list[int]) -> list[Timestep]:
        closed: list[Timestep] = []
        if not steps:
            return closed
        late, ahead = self._late(state, max(steps)), self._clocks.ahead(state.clocks)
        for step in sorted(steps):
            quoted = state.open_steps.pop(step)
            fresh = quoted.quoted_at_ns != NEVER
            state.bids = np.where(fresh, quoted.bids, state.bids)
            state.asks = np.where(fresh, quoted.asks, state.asks)
            state.quoted_at_ns = np.where(fresh, quoted.quoted_at_ns, state.quoted_at_ns)
            kept = {index: depth for index, depth in state.depths.items() if not fresh[index]}
            state.depths = kept | quoted.depths
            state.last_closed = step
            if fresh.any():
                ticks = _in_order(quoted.ticks) if self._with_ticks else None
                closed.append(
                    Timestep(
                        index=step,
                        end_ns=step * self._step_ns,
                        bids=state.bids,
                        asks=state.asks,
                        quoted_at_ns=state.quoted_at_ns,
                        ticks=ticks,
                        depths=state.depths,
                        late=late,
                        ahead=ahead,
                        feeds=state.feeds,
                    )
                )
        return closed

    def _settle(self, state: TimestepsState, partition: str) -> None:
        """Count the late quotes of `partition`, which has moved on since.

        Where late quotes stand among those of other partitions depends on when they arrived, and a replay of the log
        does not know that. Within their partition it is fixed, so a replay counts them for the same timestep.
        """
        for source, late in state.unsettled.pop(partition).items():
            counts = state.counts.setdefault(source, SourceCounts())
            counts.late += late.quotes
            counts.quotes += late.quotes
            counts.behind_ns = late.behind_ns
            counts.instruments += [index for index in late.instruments if index not in counts.instruments]
            del counts.instruments[NAMES_KEPT:]

    def _late(self, state: TimestepsState, step: int) -> tuple[LateQuotes, ...]:
        """The sources with late quotes in the timesteps up to `step`. Counts of older ones are dropped."""
        found = []
        for source, counts in list(state.counts.items()):
            if counts.quotes:
                counts.closes.append((step, counts.late, counts.quotes))
                counts.late = counts.quotes = 0
            counts.closes = [close for close in counts.closes if close[0] > step - LATE_STEPS]
            late, quotes = (sum(close[index] for close in counts.closes) for index in (1, 2))
            if not late:
                counts.instruments.clear()
            if not counts.closes:
                del state.counts[source]
            elif late:
                names = tuple(self._names[index] for index in counts.instruments)
                # Where its partition holds nothing else, it is behind the other partitions.
                behind_ns = counts.behind_ns or max(0, -self._clocks.offset_ns(state.clocks, source))
                found.append(LateQuotes(source, late, quotes, LATE_STEPS, names, behind_ns))
        return tuple(found)


def _in_order(ticks: list[tuple[int, int, float]]) -> Ticks:
    """The ticks by time; ticks of one instant stay in their order of arrival."""
    ordered = sorted(ticks, key=lambda tick: tick[0])
    times_ns, instruments, mids = zip(*ordered, strict=True) if ordered else ((), (), ())
    return Ticks(
        np.array(times_ns, dtype=np.int64), np.array(instruments, dtype=np.int64), np.array(mids, dtype=np.float64)
    )
