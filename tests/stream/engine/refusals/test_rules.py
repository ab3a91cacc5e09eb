"""Each refused record is in one letter or one sum, in whatever order partitions are read; alerts come when many are."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from random import Random

import msgspec
import pytest
from msgspec.structs import replace

from schemas.outbound import Alert, DeadLetter, RefusedSummary
from schemas.wire import JSON, encode
from stream.config import Config, DeadLettersConfig
from stream.engine.refusals import rules
from stream.engine.refusals.rules import SUM_RECORDS_MAX, RefusalOutput, Refusals
from stream.engine.refusals.state import RefusalsState
from stream.events.types import RefusalReason, Refused
from stream.kafka.log import Record

START_MS = 1_748_851_200_000
SECOND_NS = 1_000_000_000
KEPT = 3


@pytest.fixture
def settings(desk: Config) -> Config:
    return replace(desk, dead_letters=DeadLettersConfig(per_minute=KEPT))


def refused(
    partition: int,
    offset: int,
    at_s: float,
    reason: RefusalReason = "unknown-instrument",
    name: str = "EUR/USD",
    topic: str = "ticks",
    in_part: bool = False,
) -> Refused:
    record = Record(topic, partition, offset, START_MS + round(at_s * 1000), None, b"?")
    return Refused(
        record, reason, f"instrument '{name}' is not in the configuration", JSON, (f"'{name}'",), "", in_part
    )


class Play:
    """The rules with their state, and all that they have published."""

    def __init__(self, config: Config) -> None:
        self.rules = Refusals(config)
        self.state: RefusalsState = {}
        self.alerts: set[str] = set()
        self.outputs: list[RefusalOutput] = []
        self.market_ns = self.timestep = 0

    def take(self, *several: Refused) -> list[RefusalOutput]:
        before = len(self.outputs)
        for each in several:
            self.outputs += self.rules.take(self.state, self.alerts, each, self.market_ns, self.timestep)
        return self.outputs[before:]

    def timestep_at(self, at_s: float) -> list[RefusalOutput]:
        self.market_ns = START_MS * 1_000_000 + round(at_s * SECOND_NS)
        self.timestep = self.market_ns // SECOND_NS
        caused = self.rules.at_timestep(self.state, self.alerts, self.market_ns, self.timestep)
        self.outputs += caused
        return caused

    def end(self) -> None:
        self.outputs += self.rules.at_log_end(self.state)

    def restart(self) -> None:
        """Through the bytes of a snapshot."""
        kept = msgspec.msgpack.encode(self.state)
        self.state = msgspec.msgpack.decode(kept, type=RefusalsState)
        assert msgspec.msgpack.encode(self.state) == kept

    def of(self, kind: type[RefusalOutput]) -> list[RefusalOutput]:
        return [output for output in self.outputs if isinstance(output, kind)]


def accounted(outputs: Iterable[RefusalOutput], every: Iterable[Refused]) -> None:
    """Each refused record is in one letter or within one sum of its partition and reason, and the numbers add up."""
    letters, sums = set(), {}
    for output in outputs:
        if isinstance(output, DeadLetter):
            letter = (output.topic, output.partition, output.reason, output.offset)
            assert letter not in letters
            letters.add(letter)
        elif isinstance(output, RefusedSummary):
            sums.setdefault((output.topic, output.partition, output.reason), []).append(output)
    left: dict[tuple[str, int, str], list[int]] = {}
    for each in every:
        where = (each.record.topic, each.record.partition, each.reason)
        if (*where, each.record.offset) in letters:
            letters.remove((*where, each.record.offset))
        else:
            left.setdefault(where, []).append(each.record.offset)
    assert not letters
    assert set(left) == set(sums)
    for where, offsets in left.items():
        start = 0
        for each in sums[where]:
            inside = offsets[start : start + each.records]
            assert (inside[0], inside[-1]) == (each.first_offset, each.last_offset)
            assert sum(each.names.values()) + each.other_names == each.records
            start += each.records
        assert start == len(offsets)


def flood(chance: Random) -> list[Refused]:
    """Records of three partitions by offset, their times with some disorder, a jump into the future and one back."""
    several: list[Refused] = []
    for partition in range(3):
        at_s = 0.0
        for offset in range(chance.randint(0, 60)):
            at_s += chance.choice((0.0, 0.1, 1.0, 1.0, 30.0, 90.0)) if chance.random() < 0.9 else -40.0
            jump = chance.choice((0.0,) * 20 + (1e9, -1e9))
            reason = chance.choice(("unknown-instrument", "unknown-instrument", "crossed"))
            name = chance.choice(("EUR/USD", "GBP/USD", str(offset)))
            topic = chance.choice(("ticks", "ticks", "ticks", "positions"))
            several.append(refused(partition, offset, at_s + jump, reason, name, topic))
    return several


def interleaved(several: list[Refused], chance: Random) -> list[Refused]:
    """The same records, each partition in its own order."""
    queues: dict[tuple[str, int], list[Refused]] = {}
    for each in several:
        queues.setdefault((each.record.topic, each.record.partition), []).append(each)
    mixed = []
    while queues:
        where = chance.choice(sorted(queues))
        mixed.append(queues[where].pop(0))
        if not queues[where]:
            del queues[where]
    return mixed


def by_partition(outputs: Iterable[RefusalOutput]) -> dict[tuple[str, int], list[bytes]]:
    found: dict[tuple[str, int], list[bytes]] = {}
    for output in outputs:
        if not isinstance(output, Alert):
            found.setdefault((output.topic, output.partition), []).append(encode(output, JSON))
    return found


@pytest.mark.parametrize("seed", range(60))
def test_letters_and_sums_account_for_each_record_in_any_order_of_partitions(settings: Config, seed: int) -> None:
    """The bytes of each partition are the same however the partitions are interleaved, and where restarts fall."""
    chance = Random(seed)
    several = flood(chance)
    plays = []
    for restarts in (False, True, True):
        play = Play(settings)
        for each in interleaved(several, chance):
            play.take(each)
            if restarts and chance.random() < 0.2:
                play.restart()
        play.end()
        accounted(play.outputs, several)
        plays.append(by_partition(play.outputs))
    assert plays[0] == plays[1] == plays[2]


@pytest.mark.parametrize("seed", range(60))
def test_letters_and_sums_account_for_each_record_among_timesteps(settings: Config, seed: int) -> None:
    """Timesteps fall anywhere, also far from the records' times: nothing is lost, nothing is counted twice."""
    chance = Random(seed)
    several = interleaved(flood(chance), chance)
    play = Play(settings)
    at_s = 0.0
    for each in several:
        play.take(each)
        if chance.random() < 0.3:
            at_s += chance.choice((1.0, 1.0, 30.0, 200.0, 1e6))
            play.timestep_at(at_s)
    play.end()
    accounted(play.outputs, several)


def test_the_first_of_a_minute_are_kept_and_the_others_summed_up(settings: Config) -> None:
    """By the records' own times. The sum comes with the first record of the next minute, which is kept again."""
    play = Play(settings)
    play.take(*(refused(0, offset, offset) for offset in range(60)))
    assert [output.offset for output in play.of(DeadLetter)] == [0, 1, 2]
    assert not play.of(RefusedSummary)
    play.take(refused(0, 60, 60.0))
    (summary,) = play.of(RefusedSummary)
    assert (summary.records, summary.first_offset, summary.last_offset) == (57, 3, 59)
    assert (summary.from_ns, summary.event_time_ns) == ((START_MS + 3000) * 10**6, (START_MS + 59_000) * 10**6)
    assert summary.names == {"'EUR/USD'": 57}
    assert "EUR/USD" in summary.detail
    assert [output.offset for output in play.of(DeadLetter)] == [0, 1, 2, 60]


def test_a_sum_to_which_nothing_is_added_is_published_a_minute_later(settings: Config) -> None:
    """The market goes on and the flood does not. Nothing but timesteps comes."""
    play = Play(settings)
    play.take(*(refused(0, offset, 1.0) for offset in range(10)))
    assert not [output for at_s in range(2, 61) for output in play.timestep_at(at_s)]
    (summary,) = play.timestep_at(61.0)
    assert isinstance(summary, RefusedSummary)
    assert summary.records == 10 - KEPT
    assert play.timestep_at(200.0) == []


def test_another_refusal_of_the_partition_ends_the_minute_too(settings: Config) -> None:
    """No timestep closes where the whole feed is refused. A sum does not wait for another record of its own reason."""
    play = Play(settings)
    play.take(*(refused(0, offset, 1.0) for offset in range(10)))
    play.take(refused(1, 0, 500.0, "crossed"))
    assert not play.of(RefusedSummary), "the clock of another partition says nothing of this one"
    play.take(refused(0, 10, 61.0, "crossed"))
    assert [summary.reason for summary in play.of(RefusedSummary)] == ["unknown-instrument"]


@pytest.mark.parametrize("topic", ["positions", "hedge-status"])
def test_refused_positions_and_reports_are_all_kept_whole(settings: Config, topic: str) -> None:
    """They are money: each has a letter of its own, whatever their number."""
    play = Play(settings)
    play.take(*(refused(0, offset, 1.0, "unknown-asset", topic=topic) for offset in range(500)))
    play.end()
    assert len(play.of(DeadLetter)) == 500
    assert not play.of(RefusedSummary)
    (alert,) = play.of(Alert)
    assert (alert.subject, alert.severity) == (f"{topic}/unknown-asset", "critical")


def test_a_record_from_the_future_does_not_keep_its_minute_open_for_ever(settings: Config) -> None:
    """Sums come at their largest count, and the next minute begins with the records that follow."""
    play = Play(settings)
    play.take(refused(0, 0, 1e9))
    play.take(*(refused(0, 1 + number, number / 1000) for number in range(SUM_RECORDS_MAX + 100)))
    assert [summary.records for summary in play.of(RefusedSummary)] == [SUM_RECORDS_MAX]
    letters = len(play.of(DeadLetter))
    assert letters == 2 * KEPT
    play.end()
    assert sum(summary.records for summary in play.of(RefusedSummary)) + letters == SUM_RECORDS_MAX + 101


@pytest.mark.slow
def test_the_state_is_bounded_whatever_names_come(settings: Config) -> None:
    """A hundred thousand different long names, in four partitions: some dozens are remembered."""
    play = Play(settings)
    several = [refused(number % 4, number // 4, number / 2000, name=f"{number:0200d}") for number in range(100_000)]
    play.take(*several)
    assert len(msgspec.msgpack.encode(play.state)) < 50_000
    assert all(len(encode(summary, JSON)) < 10_000 for summary in play.of(RefusedSummary))
    play.end()
    accounted(play.outputs, several)


def test_an_alert_is_raised_once_by_number_and_share_and_cleared_once(settings: Config) -> None:
    """No timestep is needed to raise it. It names topic, reason, number and likely cause."""
    play = Play(settings)
    play.take(*(refused(offset % 4, offset // 4, offset / 100) for offset in range(1200)))
    (alert,) = play.of(Alert)
    assert (alert.kind, alert.state, alert.subject) == ("records-refused", "raised", "ticks/unknown-instrument")
    assert alert.alert_key == "records-refused:ticks/unknown-instrument"
    assert alert.message == (
        "20 of 20 records of ticks were refused as unknown-instrument within a minute: "
        "'EUR/USD' (20); did you mean EURUSD"
    )
    assert (alert.severity, alert.value, alert.limit) == ("critical", 1.0, 0.1)
    for at_s in range(13, 131):
        assert not [each for each in play.timestep_at(at_s) if isinstance(each, Alert)]
    (cleared,) = play.timestep_at(132.0)
    assert (cleared.state, cleared.alert_key) == ("cleared", alert.alert_key)
    assert play.alerts == set()


@pytest.mark.parametrize(("every", "count", "raised"), [(1, 19, False), (1, 20, True), (9, 40, True), (15, 400, False)])
def test_a_few_refusals_are_no_alert(settings: Config, every: int, count: int, raised: bool) -> None:
    """One record in `every` is refused, by the offsets: the engine does not see those that are fine."""
    play = Play(settings)
    play.take(*(refused(0, number * every, number / 10) for number in range(count)))
    assert bool(play.of(Alert)) == raised


def test_refusals_that_go_on_in_smaller_number_keep_the_alert_and_a_trickle_clears_it(settings: Config) -> None:
    """Half of what raises it keeps it. So a number about the limit does not raise and clear it again and again."""
    play = Play(settings)
    for minute in range(20):
        each_minute = 25 if minute % 2 else 12
        play.take(*(refused(0, minute * 100 + each, minute * 60 + each) for each in range(each_minute)))
    assert [alert.state for alert in play.of(Alert)] == ["raised"]
    play.take(*(refused(0, 2000 + minute * 100, (20 + minute) * 60) for minute in range(4)))
    assert [alert.state for alert in play.of(Alert)] == ["raised", "cleared"]


@pytest.mark.parametrize("away_s", [-1e9, -3600.0, 1e6, 2e9])
def test_single_records_with_a_stamp_from_elsewhere_do_not_make_an_alert_flap(settings: Config, away_s: float) -> None:
    """One record in fifty is dated far from the others, in every partition."""
    play = Play(settings)
    for number in range(4000):
        away = away_s if number % 50 == 49 else 0.0
        play.take(refused(number % 4, number // 4, number / 10 + away))
    assert [alert.state for alert in play.of(Alert)] == ["raised"]


def test_a_part_of_each_batch_is_said_to_be_a_part(settings: Config) -> None:
    """The other quotes of the batches are used, so it is a warning."""
    play = Play(settings)
    play.take(*(refused(0, offset, offset / 10, in_part=True) for offset in range(30)))
    (alert,) = play.of(Alert)
    assert "20 of 20 records of ticks were refused in part as unknown-instrument" in alert.message
    assert alert.severity == "warning"


def test_records_of_today_with_old_prices_end_their_alert_by_the_market_clock(settings: Config) -> None:
    """In a replay of old prices the records' times lie years after the timesteps."""
    play = Play(settings)
    play.timestep_at(-1e9)
    play.take(*(refused(0, offset, 1.0) for offset in range(100)))
    assert len(play.of(Alert)) == 1
    assert [type(each) for each in play.timestep_at(-1e9 + 59)] == []
    assert [type(each) for each in play.timestep_at(-1e9 + 61)] == [RefusedSummary]
    assert [type(each) for each in play.timestep_at(-1e9 + 121)] == [Alert]


def test_the_likely_cause_is_sought_only_for_an_alert_that_is_raised(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It compares with every configured name, which a flood must not pay for at each record."""
    sought = []
    monkeypatch.setattr(rules.Causes, "likely_cause", lambda self, kind, names: sought.append(kind) or "")
    Play(settings).take(*(refused(0, offset, offset / 100) for offset in range(1000)))
    assert len(sought) == 1


def test_what_came_instead_of_quotes_is_told_until_a_timestep_closes(settings: Config) -> None:
    """For the alert on a silent feed: how many records of ticks, and why most of them."""
    play = Play(settings)
    assert play.rules.instead_of_quotes(play.state) == (0, "")
    play.take(refused(0, 0, 0.0))
    assert play.rules.instead_of_quotes(play.state)[1].startswith("one record of ticks was refused as unknown-instr")
    play.timestep_at(1.0)
    play.take(*(refused(0, offset, 1.0) for offset in range(1, 6)), refused(0, 6, 1.0, "crossed"))
    play.take(refused(0, 0, 1.0, "unknown-book", topic="positions"))
    before = copy.deepcopy(play.state)
    count, said = play.rules.instead_of_quotes(play.state)
    assert count == 6
    assert said.startswith("6 records of ticks were refused, 5 of them as unknown-instrument: 'EUR/USD' (6); did you")
    assert play.state == before
    play.timestep_at(2.0)
    assert play.rules.instead_of_quotes(play.state) == (0, "")
