"""Several sources that quote as live feeds do, one of them with a wrong clock: who is named, and who is late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest

from stream.config import Config
from stream.events.array_codec import decode_array, encode_array
from stream.events.clocks import SOURCES_MAX, ClocksState
from stream.events.timesteps import OPEN_STEPS_MAX, Timesteps, TimestepsState, new_timesteps_state
from stream.events.types import Quotes, SourceAhead, Timestep
from stream.kafka.log import TopicPartition

SECOND = 1_000_000_000
START_NS = 1_748_851_200 * SECOND
YEARS_NS = 20 * 365 * 86_400 * SECOND

NAMES = ("A", "B", "C", "D", "E")

Skew = float | Callable[[float], float]
Arrival = tuple[float, int, float]
"""When a quote arrives, the index of its source, and how far its clock is ahead then, in seconds."""

#: By what the records' timestamps are: the time of arrival, the event's own, or that of a fast replay years later.
RECORDED: dict[str, Callable[[int, int], int]] = {
    "arrival": lambda arrived_ns, event_ns: arrived_ns // 1_000_000 * 1_000_000,
    "event": lambda arrived_ns, event_ns: event_ns // 1_000_000 * 1_000_000,
    "replay": lambda arrived_ns, event_ns: START_NS + YEARS_NS + (arrived_ns - START_NS) // 100,
}

#: Which partition a source writes to.
KEYED: dict[str, Callable[[int], int]] = {"one partition": lambda source: 0, "own partitions": lambda source: source}

each_log = [
    pytest.mark.parametrize("recorded", RECORDED),
    pytest.mark.parametrize("keyed", KEYED),
    pytest.mark.parametrize("rate", [1.0, 8.0]),
]


def each_kind_of_log(test: Callable[..., None]) -> Callable[..., None]:
    for mark in each_log:
        test = mark(test)
    return test


def arrivals(skews: Sequence[Skew], rate: float, seconds: float = 120, seed: int = 1) -> list[Arrival]:
    """Quotes of one source for each skew, `rate` a second at random times, each up to 20 ms under way."""
    chance = Random(seed)
    found = []
    for source, skew in enumerate(skews):
        at = chance.random() / rate
        while at < seconds:
            found.append((at + 0.02 * chance.random(), source, skew(at) if callable(skew) else skew))
            at += min(chance.expovariate(rate), 3.0)
    return sorted(found)


@dataclass
class Heard:
    """What came out: late quotes and quotes by source, alerts as (source, +1 or -1), and the timesteps."""

    state: TimestepsState
    late: Counter[str] = field(default_factory=Counter)
    quotes: Counter[str] = field(default_factory=Counter)
    changes: list[tuple[str, int]] = field(default_factory=list)
    ahead: dict[str, SourceAhead] = field(default_factory=dict)
    closed: list[Timestep] = field(default_factory=list)
    behind_s: float = 0.0

    def late_of_others(self, culprit: str) -> int:
        return sum(late for source, late in self.late.items() if source != culprit)


def hear(
    desk: Config,
    quotes: Sequence[Arrival],
    recorded: str = "arrival",
    keyed: str = "own partitions",
    restart: Callable[[TimestepsState], TimestepsState] = lambda state: state,
    **settings: float,
) -> Heard:
    universe = msgspec.structs.replace(desk.universe, **settings)
    timesteps = Timesteps(universe, len(NAMES), names=[f"{name}USD" for name in NAMES])
    heard = Heard(new_timesteps_state(len(NAMES)))
    for at, source, skew in quotes:
        arrived_ns, event_ns = START_NS + round(at * SECOND), START_NS + round((at + skew) * SECOND)
        quote = Quotes(
            event_ns,
            (source,),
            (1.0,),
            (1.1,),
            feed=NAMES[source],
            recorded_ns=RECORDED[recorded](arrived_ns, event_ns),
        )
        heard.state = restart(heard.state)
        before = heard.state.late_quotes
        partition = TopicPartition("ticks", KEYED[keyed](source))
        for timestep in timesteps.add(heard.state, quote, partition):
            heard.closed.append(timestep)
            heard.behind_s = max(heard.behind_s, (arrived_ns - timestep.end_ns) / SECOND)
            now = {each.source: each for each in timestep.ahead}
            heard.changes += [(name, 1) for name in now if name not in heard.ahead]
            heard.changes += [(name, -1) for name in heard.ahead if name not in now]
            heard.ahead = now
        heard.late[NAMES[source]] += heard.state.late_quotes - before
        heard.quotes[NAMES[source]] += 1
    return heard


@each_kind_of_log
@pytest.mark.parametrize("sources", [1, 2, 3, 5])
def test_healthy_sources_raise_nothing_and_none_of_their_quotes_is_late(
    desk: Config, recorded: str, keyed: str, rate: float, sources: int
) -> None:
    """Quotes that cross on the way, by up to 20 ms, are within the allowed lateness."""
    heard = hear(desk, arrivals([0.0] * sources, rate), recorded, keyed, allowed_lateness_s=0.05)
    assert heard.changes == []
    assert not heard.state.late_quotes
    assert len(heard.closed) > 70


@each_kind_of_log
@pytest.mark.parametrize("lead_s", [4.0, 64.0])
def test_a_fast_clock_is_named_and_makes_nobody_late(
    desk: Config, recorded: str, keyed: str, rate: float, lead_s: float
) -> None:
    """One of three, from the first quote on: at most a handful of the others' quotes is late."""
    heard = hear(desk, arrivals([0.0, 0.0, lead_s], rate), recorded, keyed, allowed_lateness_s=0.05)
    assert heard.changes == [("C", 1)]
    assert heard.ahead["C"].lead_ns / SECOND == pytest.approx(lead_s, abs=1.0)  # less the age of the others' quotes
    assert heard.ahead["C"].others == ("A", "B")
    assert heard.late_of_others("C") <= 3
    assert heard.behind_s < 6


@each_kind_of_log
def test_a_clock_that_is_set_wrong_and_right_again_is_named_for_as_long(
    desk: Config, recorded: str, keyed: str, rate: float
) -> None:
    """From 40 s to 80 s one of three is 4 s ahead: one alert, raised and cleared within some timesteps, nobody late."""
    quotes = arrivals([0.0, 0.0, lambda at: 4.0 if 40 < at < 80 else 0.0], rate)
    heard = hear(desk, quotes, recorded, keyed, allowed_lateness_s=0.05)
    assert heard.changes == [("C", 1), ("C", -1)]
    assert heard.late_of_others("C") <= 3
    raised = [(step.end_ns - START_NS) / SECOND for step in heard.closed if step.ahead]
    assert 40 <= raised[0] <= 46
    assert 80 <= raised[-1] <= 90


@each_kind_of_log
@pytest.mark.parametrize("sources", [1, 2, 3])
def test_one_quote_a_minute_ahead_waits_alone_and_is_named(
    desk: Config, recorded: str, keyed: str, rate: float, sources: int
) -> None:
    """The alert of its source stands until its time comes; no other quote is late, of its own source neither."""
    culprit = NAMES[sources - 1]
    quotes = sorted([*arrivals([0.0] * sources, rate), (30.5, sources - 1, 64.0)])
    heard = hear(desk, quotes, recorded, keyed, allowed_lateness_s=0.05)
    assert heard.changes == [(culprit, 1), (culprit, -1)]
    assert heard.state.late_quotes == 0
    (alerted,) = {each.source for step in heard.closed for each in step.ahead}
    assert alerted == culprit
    assert {each.witness for step in heard.closed for each in step.ahead} == {"one-quote"}
    assert len(heard.closed) > 70


@each_kind_of_log
def test_a_slow_clock_of_three_is_late_alone(desk: Config, recorded: str, keyed: str, rate: float) -> None:
    """3 s behind the two others: its own quotes are late and counted, nobody is said to be ahead."""
    heard = hear(desk, arrivals([0.0, 0.0, -3.0], rate), recorded, keyed, allowed_lateness_s=0.05)
    assert heard.changes == []
    assert heard.late_of_others("C") == 0
    assert heard.late["C"] > heard.quotes["C"] / 2
    (late,) = heard.closed[-1].late
    assert (late.source, late.instruments) == ("C", ("CUSD",))
    assert late.behind_ns / SECOND == pytest.approx(3.0, abs=1.0)


@pytest.mark.parametrize("keyed", KEYED)
@pytest.mark.parametrize("rate", [1.0, 8.0])
def test_of_two_the_records_tell_who_is_right(desk: Config, keyed: str, rate: float) -> None:
    """Dated after its records a source is ahead; the other way round the slower one is late. Else time waits."""
    fast, slow = arrivals([0.0, 4.0], rate), arrivals([0.0, -4.0], rate)
    heard = hear(desk, fast, "arrival", keyed)
    assert heard.ahead["B"].witness == "records"
    assert heard.late_of_others("B") <= 3
    heard = hear(desk, slow, "arrival", keyed)
    assert not heard.ahead
    assert heard.late["A"] == 0
    assert heard.late["B"] > heard.quotes["B"] / 2
    heard = hear(desk, slow, "event", keyed)
    assert heard.ahead["A"].witness == "undecided"
    assert heard.state.late_quotes <= 3


@each_kind_of_log
def test_silent_sources_do_not_stop_time(desk: Config, recorded: str, keyed: str, rate: float) -> None:
    """Two of three fall silent for a minute: steps go on closing. They come back, and nothing is late or named."""
    quotes = [(at, source, skew) for at, source, skew in arrivals([0.0] * 3, rate) if source == 2 or not 30 < at < 90]
    heard = hear(desk, quotes, recorded, keyed, allowed_lateness_s=0.05)
    assert heard.changes == []
    assert heard.state.late_quotes <= 1
    assert heard.behind_s < 7


@each_kind_of_log
def test_time_goes_on_with_a_source_that_is_ahead_alone(desk: Config, recorded: str, keyed: str, rate: float) -> None:
    """The others fall silent for 30 s: time follows the one that is ahead, without its lead, so none is late after."""
    quotes = [
        (at, source, skew) for at, source, skew in arrivals([0.0, 0.0, 4.0], rate) if source == 2 or not 30 < at < 60
    ]
    heard = hear(desk, quotes, recorded, keyed, allowed_lateness_s=0.05)
    assert heard.changes == [("C", 1)]
    assert heard.late_of_others("C") <= 3
    assert heard.behind_s < 12


def test_when_the_others_are_gone_nobody_is_ahead(desk: Config) -> None:
    """A minute after the others have gone there is nobody to be ahead of."""
    quotes = [(at, source, skew) for at, source, skew in arrivals([0.0, 0.0, 4.0], 2.0, 200) if source == 2 or at < 30]
    heard = hear(desk, quotes)
    assert heard.changes == [("C", 1), ("C", -1)]
    last_s = (heard.closed[-1].end_ns - START_NS) / SECOND
    assert last_s > 198


@pytest.mark.parametrize("keyed", KEYED)
def test_a_week_end_closes_with_the_first_sources_back(desk: Config, keyed: str) -> None:
    """All stop for two days: time follows as soon as two of three are back, and nothing is late."""
    day = arrivals([0.0] * 3, 2.0, 60)
    monday = [(at + 2 * 86_400, source, skew) for at, source, skew in day]
    heard = hear(desk, [*day, *monday], keyed=keyed, allowed_lateness_s=0.05)
    assert heard.changes == []
    assert heard.state.late_quotes == 0
    assert len(heard.closed) > 100


def test_a_backlog_tells_a_fast_clock_by_its_records(desk: Config) -> None:
    """The merge orders a backlog by event time: no lead shows, but events that are later than their records."""
    quotes = sorted(arrivals([0.0, 0.0, 4.0], 4.0), key=lambda each: each[0] + each[2])
    heard = hear(desk, quotes, "arrival")
    assert heard.changes == [("C", 1)]
    assert heard.ahead["C"].witness == "records"
    assert heard.late_of_others("C") == 0


@pytest.mark.parametrize("lead_s", [4.0, 64.0])
def test_any_state_can_be_kept_and_gone_on_from(desk: Config, lead_s: float) -> None:
    """Through MessagePack before every quote: the same steps and alerts, so all that decides is in the state."""

    def kept(state: TimestepsState) -> TimestepsState:
        encoded = msgspec.msgpack.encode(state, enc_hook=encode_array)
        return msgspec.msgpack.decode(encoded, type=TimestepsState, dec_hook=decode_array)

    quotes = arrivals([0.0, 0.0, lambda at: lead_s if 10 < at < 20 else 0.0], 4.0, 40)
    once, other = hear(desk, quotes), hear(desk, quotes, restart=kept)
    assert [(each.index, each.late, each.ahead) for each in other.closed] == [
        (each.index, each.late, each.ahead) for each in once.closed
    ]
    assert any(each.ahead for each in once.closed)
    assert msgspec.msgpack.encode(other.state, enc_hook=encode_array) == msgspec.msgpack.encode(
        once.state, enc_hook=encode_array
    )


@pytest.mark.parametrize("seed", range(40))
def test_any_clocks_whatever_time_goes_on_and_never_beyond_what_was_seen(desk: Config, seed: int) -> None:
    """Clocks that are set at random, sources that fall silent, glitches: steps close in order, and none is lost.

    After all clocks have been right for a minute nobody is named, and nothing is late any more.
    """
    chance = Random(seed)
    marks = [
        (chance.uniform(0, 120), chance.choice((0.0, 0.3, 2.0, 4.0, 70.0)) * chance.choice((-1, 1))) for _ in NAMES
    ]

    def skew_of(source: int) -> Callable[[float], float]:
        since, skew = marks[source]
        return lambda at: skew if since < at < 120 else 0.0

    quotes = [
        (at, source, skew + (chance.uniform(-90, 90) if at < 120 and chance.random() < 0.01 else 0.0))
        for at, source, skew in arrivals([skew_of(source) for source in range(5)], 3.0, 260, seed)
        if source < 1 + seed % 5 and not (chance.random() < 0.5 and 60 < at < 70)
    ]
    heard = hear(desk, quotes, chance.choice(list(RECORDED)), chance.choice(list(KEYED)))
    indices = [step.index for step in heard.closed]
    assert indices == sorted(set(indices))
    assert (heard.closed[-1].end_ns - START_NS) / SECOND > 255
    assert heard.closed[-1].ahead == ()
    seen_ns = max(START_NS + round((at + skew) * SECOND) for at, _, skew in quotes)
    assert heard.state.clocks.now_ns <= seen_ns
    assert not heard.closed[-1].late


def test_a_few_stale_quotes_now_and_then_hold_nobody_back(desk: Config) -> None:
    """A second source that sends an old quote every five seconds is late; it is no clock that time waits for."""
    stale = [(at + 0.3, 1, -8.0) for at in range(10, 110, 5)]
    heard = hear(desk, sorted([*arrivals([0.0], 4.0), *stale]), "event")
    assert heard.changes == []
    assert heard.late["A"] == 0
    assert heard.late["B"] == len(stale)


def test_names_without_end_fill_no_memory(desk: Config) -> None:
    """A feed that calls itself otherwise with every quote: it counts under its partition."""
    timesteps, state = Timesteps(desk.universe, 1), new_timesteps_state(1)
    for number in range(5000):
        quote = Quotes(START_NS + number * SECOND // 50, (0,), (1.0,), (1.1,), feed=f"feed {number}")
        timesteps.add(state, quote, TopicPartition("ticks", 0))
    assert len(state.clocks.sources) <= SOURCES_MAX + 1
    assert len(state.counts) <= SOURCES_MAX + 1
    assert state.last_closed > 0


def test_what_waits_for_its_time_is_bounded(desk: Config) -> None:
    """A source hours ahead opens so many steps and no more; the rest of its quotes is left out and counted."""
    quotes = [(at / 2, at % 2, 0.0 if at % 2 == 0 else 3 * 3600.0) for at in range(6000)]
    heard = hear(desk, quotes)
    assert len(heard.state.open_steps) <= OPEN_STEPS_MAX + 2
    assert heard.late["A"] == 0
    assert heard.late["B"] > 1000


def test_sources_without_a_name_are_told_apart_by_instrument_and_partition(desk: Config) -> None:
    """A batch has its partition; one instrument in two partitions is two sources."""
    timesteps, state = Timesteps(desk.universe, 2, names=["EURUSD", "USDCHF"]), new_timesteps_state(2)
    first, second = TopicPartition("ticks", 0), TopicPartition("ticks", 1)
    both = Quotes(START_NS, (0, 1), (1.0, 1.0), (1.1, 1.1))
    one = Quotes(START_NS, (1,), (1.0,), (1.1,))
    assert timesteps.source_of(state, both, str(first)) == "ticks[0]"
    assert timesteps.source_of(state, one, str(first)) == "USDCHF in ticks[0]"
    assert timesteps.source_of(state, one, str(second)) == "USDCHF in ticks[1]"


def test_nobody_is_ahead_before_the_first_quote(desk: Config) -> None:
    """No time, nothing to name."""
    state = ClocksState()
    assert state.now_ns == 0
    assert Timesteps(desk.universe, 1).watermark_ns(new_timesteps_state(1)) == 0
