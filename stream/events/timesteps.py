"""Quotes to timesteps: an event-time grid that a watermark closes.

Step k covers the times in ((k - 1) ΔT, k ΔT]. It closes when the watermark has passed its end: then no active partition
can still bring a quote of it. The watermark is the least of the active partitions' latest event times, less the allowed
lateness. A partition that lies further behind the newest than `idle_after` is idle: nothing waits for it, and it is
counted. A quote of a step that has closed is late: it is counted and left out. A step without any quote is not emitted.

Where every tick is wanted, a step keeps its first STEP_TICKS_MAX quotes. Later quotes of the step still set its prices.
The covariance misses them; the first tick of the next step carries the whole move since the last one that was kept.

No wall clock in here: the same sequence of quotes gives the same timesteps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solver.arrays import FloatArray, IntArray
from stream.config import NANOSECONDS, UniverseConfig
from stream.events.types import QuoteDepth, Quotes, Ticks, Timestep
from stream.kafka.log import TopicPartition

NEVER = 0

STEP_TICKS_MAX = 50_000
"""Bounds what an open step holds, and with it a snapshot: some two megabytes."""


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
    latest_ns: dict[str, int] = field(default_factory=dict)
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

    def __init__(self, universe: UniverseConfig, instruments: int, with_ticks: bool = False) -> None:
        self._with_ticks = with_ticks
        self._step_ns = universe.timestep_ns
        self._lateness_ns = round(universe.allowed_lateness_s * NANOSECONDS)
        self._idle_after_ns = universe.idle_after_ns
        self._instruments = instruments

    def add(self, state: TimestepsState, quotes: Quotes, partition: TopicPartition) -> list[Timestep]:
        """Take quotes from `partition` into `state`, and return the steps that they close, in order."""
        time_ns = quotes.event_time_ns
        name = str(partition)
        if time_ns > state.latest_ns.get(name, NEVER):
            state.latest_ns[name] = time_ns
        step = -(-time_ns // self._step_ns)
        if step <= state.last_closed:
            state.late_quotes += len(quotes.instruments)
            return []
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

    def watermark_ns(self, state: TimestepsState) -> int:
        """The time up to which no active partition can bring another quote; 0 before the first quote."""
        if not state.latest_ns:
            return NEVER
        oldest_active_ns = max(state.latest_ns.values()) - self._idle_after_ns
        return min(time_ns for time_ns in state.latest_ns.values() if time_ns >= oldest_active_ns) - self._lateness_ns

    def idle_partitions(self, state: TimestepsState) -> list[str]:
        """Partitions so far behind that nothing waits for them."""
        if not state.latest_ns:
            return []
        oldest_active_ns = max(state.latest_ns.values()) - self._idle_after_ns
        return sorted(name for name, time_ns in state.latest_ns.items() if time_ns < oldest_active_ns)

    def _close(self, state: TimestepsState, steps: list[int]) -> list[Timestep]:
        closed = []
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
                end_ns = step * self._step_ns
                closed.append(
                    Timestep(step, end_ns, state.bids, state.asks, state.quoted_at_ns, ticks, state.depths, state.feeds)
                )
        return closed


def _in_order(ticks: list[tuple[int, int, float]]) -> Ticks:
    """The ticks by time; ticks of one instant stay in their order of arrival."""
    ordered = sorted(ticks, key=lambda tick: tick[0])
    times_ns, instruments, mids = zip(*ordered, strict=True) if ordered else ((), (), ())
    return Ticks(
        np.array(times_ns, dtype=np.int64), np.array(instruments, dtype=np.int64), np.array(mids, dtype=np.float64)
    )
