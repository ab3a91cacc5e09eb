"""Timesteps against a plain model of the same rules, and each rule by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import msgspec
import numpy as np
import pytest

from stream.config import Config, UniverseConfig
from stream.events.clocks import Clocks, ClocksState
from stream.events.timesteps import FEED_LETTERS, Timesteps, TimestepsState, new_timesteps_state
from stream.events.types import QuoteDepth, Quotes, Timestep
from stream.kafka.log import TopicPartition

SECOND = 1_000_000_000
A, B, C = (TopicPartition("ticks", partition) for partition in range(3))
INSTRUMENTS = 3

Arrival = tuple[TopicPartition, Quotes]
Closed = tuple[int, tuple[float, ...], tuple[float, ...], tuple[int, ...]]


def quote(at_s: float, bid: float = 1.0, instrument: int = 0) -> Quotes:
    return Quotes(round(at_s * SECOND), (instrument,), (bid,), (bid + 0.5,))


def plain(timestep: Timestep) -> Closed:
    """Comparable, with -1 for a side that was never quoted."""
    bids = tuple(np.nan_to_num(timestep.bids, nan=-1.0).tolist())
    asks = tuple(np.nan_to_num(timestep.asks, nan=-1.0).tolist())
    return timestep.index, bids, asks, tuple(timestep.quoted_at_ns.tolist())


def run(timesteps: Timesteps, arrivals: Iterable[Arrival]) -> tuple[list[Closed], TimestepsState]:
    state = new_timesteps_state(INSTRUMENTS)
    closed = [plain(step) for partition, quotes in arrivals for step in timesteps.add(state, quotes, partition)]
    return closed, state


class PlainModel:
    """The rules with dictionaries and no arrays: every quote of an open step is kept until its step closes.

    What time it is comes from the clocks of the service: test_clocks.py is about them.
    """

    def __init__(self, step_ns: int, lateness_ns: int, idle_after_ns: int) -> None:
        self.step_ns, self.lateness_ns, self.idle_after_ns = step_ns, lateness_ns, idle_after_ns
        self.clocks, self.heard = Clocks(step_ns, lateness_ns), ClocksState()
        self.open: dict[int, list[tuple[int, int, float, float]]] = {}
        self.known: dict[int, tuple[int, float, float]] = {}
        self.last_closed = 0
        self.late = 0

    def add(self, partition: TopicPartition, quotes: Quotes) -> list[Closed]:
        time_ns = quotes.event_time_ns
        source = str(partition)
        if len(quotes.instruments) == 1:
            source = f"instrument {quotes.instruments[0]} in {partition}"
        self.clocks.hear(self.heard, source, str(partition), time_ns, 0, self.last_closed == 0)
        step = (time_ns + self.step_ns - 1) // self.step_ns
        if step <= self.last_closed:
            self.late += len(quotes.instruments)
            return []
        kept = self.open.setdefault(step, [])
        kept += [(time_ns, *each) for each in zip(quotes.instruments, quotes.bids, quotes.asks, strict=True)]
        now = self.heard.now_ns
        active = [latest for latest in self.heard.partitions_ns.values() if now - latest <= self.idle_after_ns]
        watermark = min(active, default=now) - self.lateness_ns
        return self.close([step for step in self.open if step * self.step_ns < watermark])

    def close(self, steps: Iterable[int]) -> list[Closed]:
        closed = []
        for step in sorted(steps):
            kept = self.open.pop(step)
            # A stable sort: of two quotes at one instant the later arrival counts.
            for time_ns, instrument, bid, ask in sorted(kept, key=lambda entry: entry[0]):
                self.known[instrument] = (time_ns, bid, ask)
            self.last_closed = step
            if kept:
                rows = [self.known.get(instrument, (0, -1.0, -1.0)) for instrument in range(INSTRUMENTS)]
                times, bids, asks = zip(*rows, strict=True)
                closed.append((step, bids, asks, times))
        return closed


@pytest.fixture
def universe(desk: Config) -> UniverseConfig:
    return desk.universe


@pytest.fixture
def timesteps(universe: UniverseConfig) -> Timesteps:
    return Timesteps(universe, INSTRUMENTS)


def random_arrivals(chance: Random, count: int) -> list[Arrival]:
    """Three partitions that move at their own speed, with disorder, gaps, ties, grid points and heartbeats."""
    now = dict.fromkeys((A, B, C), 10 * SECOND)
    arrivals = []
    for _ in range(count):
        partition = chance.choice((A, A, B, B, C))
        jump = chance.choice((0, 0.1, 0.25, 0.5, 1.0, 1.0, 3.0, 9.0 if chance.random() < 0.1 else 0.5))
        now[partition] += round(jump * SECOND)
        time_ns = max(1, now[partition] - chance.choice((0, 0, 0, SECOND // 2, 2 * SECOND, 5 * SECOND)))
        if chance.random() < 0.3:
            time_ns = -(-time_ns // SECOND) * SECOND
        instruments = tuple(chance.sample(range(INSTRUMENTS), chance.randint(0, INSTRUMENTS)))
        bids = tuple(float(chance.randint(1, 99)) for _ in instruments)
        arrivals.append((partition, Quotes(time_ns, instruments, bids, tuple(bid + 1.0 for bid in bids))))
    return arrivals


@pytest.mark.parametrize("seed", range(60))
def test_timesteps_are_those_of_the_plain_model(universe: UniverseConfig, seed: int) -> None:
    """Random arrivals under random lateness and idleness: the same steps, quotes, times, order and late count."""
    chance = Random(seed)
    lateness_s = chance.choice((0.0, 0.0, 0.75, 2.0))
    idle_after_s = chance.choice((None, 0.5, 4.0, 1000.0))
    settings = msgspec.structs.replace(universe, allowed_lateness_s=lateness_s, idle_after_s=idle_after_s)
    timesteps = Timesteps(settings, INSTRUMENTS)
    # Two timesteps unless it is said.
    model = PlainModel(SECOND, round(lateness_s * SECOND), round((idle_after_s or 2.0) * SECOND))
    state = new_timesteps_state(INSTRUMENTS)
    for partition, quotes in random_arrivals(chance, 250):
        closed = [plain(step) for step in timesteps.add(state, quotes, partition)]
        assert closed == model.add(partition, quotes), f"seed {seed}"
        assert state.late_quotes == model.late, f"seed {seed}"
    assert [plain(step) for step in timesteps.flush(state)] == model.close(list(model.open)), f"seed {seed}"
    assert not state.open_steps


@pytest.mark.parametrize("seed", range(40))
def test_any_interleaving_of_two_partitions_gives_the_steps_of_a_batch(universe: UniverseConfig, seed: int) -> None:
    """While both are waited for and each is in order, nothing is late, and the steps are those of a sort."""
    chance = Random(seed)
    timesteps = Timesteps(msgspec.structs.replace(universe, idle_after_s=1000.0), INSTRUMENTS)
    streams: dict[TopicPartition, list[Quotes]] = {}
    # Times that differ between the partitions: at one instant the later arrival counts, which is no matter of a batch.
    for partition, odd in ((A, 0), (B, 1)):
        times = sorted(20 * SECOND + 2 * chance.randrange(10 * SECOND) + odd for _ in range(60))
        streams[partition] = [
            Quotes(time_ns, (chance.randrange(INSTRUMENTS),), (float(bid),), (float(bid),))
            for bid, time_ns in enumerate(times, start=1)
        ]
    # Both have been seen, so both are waited for.
    opening = [(A, Quotes(20 * SECOND, (), (), ())), (B, Quotes(20 * SECOND, (), (), ()))]
    batch = sorted(((p, q) for p, qs in streams.items() for q in qs), key=lambda entry: entry[1].event_time_ns)
    expected, state = run(timesteps, [*opening, *batch])
    expected += [plain(step) for step in timesteps.flush(state)]

    left = {partition: list(quotes) for partition, quotes in streams.items()}
    mixed = []
    while any(left.values()):
        partition = chance.choice([partition for partition, quotes in left.items() if quotes])
        mixed.append((partition, left[partition].pop(0)))
    closed, state = run(timesteps, [*opening, *mixed])
    closed += [plain(step) for step in timesteps.flush(state)]
    assert closed == expected, f"seed {seed}"
    assert state.late_quotes == 0


def test_a_quote_at_the_end_of_a_step_belongs_to_it(timesteps: Timesteps) -> None:
    """Steps are open on the left and closed on the right, and a quote at the very end does not close its step yet."""
    closed, state = run(timesteps, [(A, quote(9.5, 1.0)), (A, quote(10.0, 2.0)), (A, quote(10.0, 3.0))])
    assert closed == []
    (timestep,) = timesteps.add(state, quote(10.0 + 1e-9, 4.0), A)
    assert (timestep.index, timestep.end_ns) == (10, 10 * SECOND)
    assert timestep.bids[0] == 3.0
    assert timestep.quoted_at_ns[0] == 10 * SECOND


def test_steps_without_quotes_are_not_emitted(timesteps: Timesteps) -> None:
    """A gap gives no timesteps: no return was observed in it."""
    closed, _ = run(timesteps, [(A, quote(9.5)), (A, quote(14.5)), (A, quote(15.5))])
    assert [index for index, *_ in closed] == [10, 15]


def test_a_heartbeat_moves_the_watermark_and_makes_no_step(timesteps: Timesteps) -> None:
    """A step of heartbeats alone is not emitted."""
    heartbeats = [(A, Quotes(round(at_s * SECOND), (), (), ())) for at_s in (10.5, 11.5, 12.5)]
    closed, state = run(timesteps, [(A, quote(9.5)), *heartbeats])
    assert [index for index, *_ in closed] == [10]
    assert timesteps.watermark_ns(state) == round(12.5 * SECOND)


def test_a_quote_stays_known_until_it_is_replaced(timesteps: Timesteps) -> None:
    """An instrument that was not quoted in a step has its last quote, with the time of that quote."""
    arrivals = [(A, quote(9.5, 7.0, instrument=1)), (A, quote(10.5, 8.0)), (A, quote(11.5, 9.0))]
    closed, _ = run(timesteps, arrivals)
    assert closed == [
        (10, (-1.0, 7.0, -1.0), (-1.0, 7.5, -1.0), (0, round(9.5 * SECOND), 0)),
        (11, (8.0, 7.0, -1.0), (8.5, 7.5, -1.0), (round(10.5 * SECOND), round(9.5 * SECOND), 0)),
    ]


def test_the_later_quote_counts_not_the_later_arrival(timesteps: Timesteps) -> None:
    """Two venues quote one instrument; the one whose record arrives last may have quoted first."""
    closed, _ = run(timesteps, [(A, quote(9.6, 2.0)), (B, quote(9.2, 1.0)), (A, quote(10.5)), (B, quote(10.5))])
    assert closed == [(10, (2.0, -1.0, -1.0), (2.5, -1.0, -1.0), (round(9.6 * SECOND), 0, 0))]


def test_the_slowest_active_partition_holds_the_watermark(timesteps: Timesteps) -> None:
    """A step closes when each partition that is waited for has passed its end."""
    closed, state = run(timesteps, [(A, quote(9.5)), (B, quote(9.5)), (A, quote(11.0))])
    assert closed == []
    assert timesteps.watermark_ns(state) == round(9.5 * SECOND)
    assert timesteps.idle_partitions(state) == []
    (timestep,) = timesteps.add(state, quote(10.5), B)
    assert timestep.index == 10


def test_a_partition_that_lags_too_far_is_idle_and_not_waited_for(timesteps: Timesteps) -> None:
    """Without a setting two timesteps: at two it is waited for, beyond it is named."""
    closed, state = run(timesteps, [(A, quote(9.5)), (B, quote(9.5)), (A, quote(11.5))])
    assert closed == []
    (timestep,) = timesteps.add(state, quote(11.5 + 1e-9), A)
    assert timestep.index == 10
    assert timesteps.idle_partitions(state) == ["ticks[1]"]


def test_a_partition_that_comes_back_is_waited_for_again(timesteps: Timesteps) -> None:
    """What it brings of closed steps is late; from then on it holds the watermark like any other."""
    # One source alone jumps: time follows it after two seconds.
    alone = [(A, quote(at_s)) for at_s in (20.5, 21.5, 22.5)]
    _, state = run(timesteps, [(A, quote(9.5)), (B, quote(9.5)), *alone])
    assert timesteps.idle_partitions(state) == ["ticks[1]"]
    assert timesteps.add(state, quote(21.7, instrument=1), B) == []
    assert state.late_quotes == 1
    assert timesteps.idle_partitions(state) == []
    assert timesteps.watermark_ns(state) == round(21.7 * SECOND)
    assert timesteps.add(state, quote(23.5), A) == []


def test_late_quotes_are_counted_and_left_out(timesteps: Timesteps) -> None:
    """Each quote of a batch counts; none of them changes a step."""
    _, state = run(timesteps, [(A, quote(9.5, 5.0)), (A, quote(10.5, 6.0))])
    late = Quotes(round(9.9 * SECOND), (0, 1), (1.0, 1.0), (1.0, 1.0))
    assert timesteps.add(state, late, A) == []
    assert state.late_quotes == 2
    (timestep,) = timesteps.flush(state)
    assert plain(timestep)[1] == (6.0, -1.0, -1.0)


def test_the_lateness_allowance_keeps_steps_open(universe: UniverseConfig) -> None:
    """With 2 s allowed a quote 1.5 s behind still counts; the step closes when the watermark has passed it."""
    timesteps = Timesteps(msgspec.structs.replace(universe, allowed_lateness_s=2.0), INSTRUMENTS)
    closed, state = run(timesteps, [(A, quote(9.5, 1.0)), (A, quote(11.4, 2.0)), (A, quote(9.9, 3.0))])
    assert closed == []
    (timestep,) = timesteps.add(state, quote(12.1), A)
    assert (timestep.index, timestep.bids[0]) == (10, 3.0)
    assert state.late_quotes == 0


def test_nothing_is_known_before_the_first_quote(timesteps: Timesteps) -> None:
    """No watermark, no idle partition, nothing to flush."""
    state = new_timesteps_state(INSTRUMENTS)
    assert timesteps.watermark_ns(state) == 0
    assert timesteps.idle_partitions(state) == []
    assert timesteps.flush(state) == []


def test_a_closed_timestep_is_not_changed_by_what_comes_later(timesteps: Timesteps) -> None:
    """The engine may keep it: later quotes go into arrays of their own."""
    state = new_timesteps_state(INSTRUMENTS)
    timesteps.add(state, quote(9.5, 1.0), A)
    (first,) = timesteps.add(state, quote(10.5, 2.0), A)
    kept = plain(first)
    timesteps.add(state, quote(11.5, 3.0), A)
    timesteps.flush(state)
    assert plain(first) == kept


@pytest.mark.parametrize("seed", range(10))
def test_ticks_are_all_quotes_of_a_step_in_the_order_of_their_times(universe: UniverseConfig, seed: int) -> None:
    """Every quote that was not late is in the ticks of its step once; those of one instant in the order of arrival."""
    timesteps, chance = Timesteps(universe, INSTRUMENTS, with_ticks=True), Random(seed)
    state = new_timesteps_state(INSTRUMENTS)
    expected: dict[int, list[tuple[int, int, float]]] = {}
    closed: list[Timestep] = []
    for partition, quotes in random_arrivals(chance, 250):
        step = -(-quotes.event_time_ns // SECOND)
        if step > state.last_closed:
            expected.setdefault(step, []).extend(
                (quotes.event_time_ns, instrument, (bid + ask) / 2)
                for instrument, bid, ask in zip(quotes.instruments, quotes.bids, quotes.asks, strict=True)
            )
        closed += timesteps.add(state, quotes, partition)
    closed += timesteps.flush(state)
    found = {}
    for timestep in closed:
        assert timestep.ticks is not None
        ticks = timestep.ticks
        found[timestep.index] = list(
            zip(ticks.times_ns.tolist(), ticks.instruments.tolist(), ticks.mids.tolist(), strict=True)
        )
    assert found == {step: sorted(ticks, key=lambda tick: tick[0]) for step, ticks in expected.items() if ticks}


def test_ticks_of_a_step_are_bounded(universe: UniverseConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the first are kept; prices are those of all quotes all the same."""
    monkeypatch.setattr("stream.events.timesteps.STEP_TICKS_MAX", 3)
    timesteps, state = Timesteps(universe, INSTRUMENTS, with_ticks=True), new_timesteps_state(INSTRUMENTS)
    for number in range(5):
        timesteps.add(state, quote(9.1 + number / 10, number + 1.0), A)
    (timestep,) = timesteps.flush(state)
    assert timestep.bids[0] == 5.0
    assert timestep.ticks is not None
    assert timestep.ticks.mids.tolist() == [1.25, 2.25, 3.25]


def test_without_a_taker_no_tick_is_kept(timesteps: Timesteps) -> None:
    """The default: nothing that grows with the number of quotes."""
    state = new_timesteps_state(INSTRUMENTS)
    timesteps.add(state, quote(9.5), A)
    assert state.open_steps[10].ticks == []
    (timestep,) = timesteps.flush(state)
    assert timestep.ticks is None


def test_a_depth_lives_and_dies_with_its_quote(universe: UniverseConfig) -> None:
    """It stays while no newer quote comes, goes with one that shows none, and an older one does not bring it back."""
    timesteps = Timesteps(universe, INSTRUMENTS)
    state = new_timesteps_state(INSTRUMENTS)
    shown, later = QuoteDepth(1.0, 2.0), QuoteDepth(3.0, 4.0, ((0.9, 5.0),))

    def closed_after(at_s: float, instrument: int, depth: QuoteDepth | None) -> list[dict[int, QuoteDepth]]:
        depths = () if depth is None else (depth,)
        quotes = Quotes(round(at_s * SECOND), (instrument,), (1.0,), (1.5,), depths)
        return [step.depths for step in timesteps.add(state, quotes, A)]

    assert closed_after(10.5, 0, shown) == []
    assert closed_after(10.6, 1, later) == []
    assert closed_after(11.5, 1, None) == [{0: shown, 1: later}]
    assert closed_after(11.4, 1, later) == []  # older than the one that shows none
    assert closed_after(12.5, 0, later) == [{0: shown}]
    assert closed_after(13.5, 0, None) == [{0: later}]


def test_a_timestep_names_the_feed_that_quoted_an_instrument_last(desk: Config) -> None:
    """Of an instrument whose feeds have names; a long name is cut, for it may be of any length."""
    timesteps, state = Timesteps(desk.universe, INSTRUMENTS), new_timesteps_state(INSTRUMENTS)
    for at_s, instrument, feed in ((0.1, 0, "one"), (0.2, 0, "two"), (0.3, 1, ""), (0.4, 2, "x" * 1_000_000)):
        timesteps.add(state, replace(quote(at_s, instrument=instrument), feed=feed), A)
    (closed,) = timesteps.flush(state)
    assert closed.feeds == {0: "two", 2: "x" * FEED_LETTERS}
