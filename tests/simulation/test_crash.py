"""A worker may die between any two steps: nothing is lost, and what comes twice comes with the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
import pytest

import stream.worker.snapshot
from schemas.inbound import HedgeStatus, PositionsComplete, Tick
from schemas.outbound import Model
from stream.clock import ManualClock
from stream.config import Config
from stream.engine.market.refits import Submit
from stream.errors import PublishFailed
from stream.kafka.log import Headers, Reader, Record, TopicPartition, Writer

Simulate = Callable[[Config], Any]
Day = Callable[[int, int], list[Any]]
RefitProcessOf = Callable[[Config], Submit]
STEPS = 70


class Crash(Exception):
    """The process is gone."""


@dataclass
class Faults:
    """Counts the steps at which a process can die, and kills it at those numbered in `at`."""

    at: set[int] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) in self.at:
            raise Crash(name)


class MortalWriter:
    """A writer that can die before or after each call; what the one behind it has not flushed is lost with it."""

    def __init__(self, writer: Writer, faults: Faults) -> None:
        self._writer = writer
        self._faults = faults
        self._snapshot = False

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, timestamp_ms: int) -> None:
        self._snapshot = topic == "state"
        try:
            self._faults.step("before the snapshot is sent" if self._snapshot else "before an output is sent")
        except Crash:
            if self._snapshot:
                # A producer sends in the background: the parts before this one may well have arrived.
                self._writer.flush()
            raise
        self._writer.send(topic, key, value, headers, timestamp_ms)

    def flush(self) -> None:
        what = "the snapshot" if self._snapshot else "the outputs"
        self._faults.step(f"before the flush of {what}")
        self._writer.flush()
        self._faults.step(f"after the flush of {what}")
        self._snapshot = False

    def close(self) -> None:
        self._writer.close()


class MortalCommits:
    """A reader that can die before or after it commits."""

    def __init__(self, reader: Reader, faults: Faults) -> None:
        self._reader = reader
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def poll(self, timeout_ms: int) -> list[Record]:
        records = self._reader.poll(timeout_ms)
        self._faults.step("after a poll")
        return records

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._faults.step("before the offsets are committed")
        self._reader.commit(offsets)
        self._faults.step("after the offsets are committed")


def run_through(
    simulation: Any,
    faults: Faults,
    chance: Random,
    arrivals: Iterable[list[Any]] = (),
    submit: Submit | None = None,
) -> int:
    """Workers one after another until every input is processed and every step closed; returns how many died.

    The clock moves with each turn, so that snapshots fall anywhere. `arrivals` are written one by one between turns.
    """
    deaths = 0
    arriving = iter(arrivals)
    while True:
        clock = ManualClock()
        writer = MortalWriter(simulation.log.writer(chance), faults)
        max_poll_records = chance.choice((3, 20, 100))
        try:
            worker = simulation.worker(clock=clock, writer=writer, max_poll_records=max_poll_records, submit=submit)
            worker._inputs = MortalCommits(worker._inputs, faults)
            more = True
            while more or not simulation.inputs_read(worker):
                batch = next(arriving, None)
                more = batch is not None
                if batch:
                    simulation.feed(batch)
                clock.sleep(chance.random() * 2)
                worker.turn(0)
            worker.finish()
        except Crash:
            deaths += 1
        else:
            return deaths


def by_id(outputs: dict[str, list[Record]]) -> dict[tuple[str, bytes], set[Record]]:
    """What was published under each id, wherever in its partition it stands."""
    found: dict[tuple[str, bytes], set[Record]] = {}
    for topic, records in outputs.items():
        for record in records:
            found.setdefault((topic, dict(record.headers)["ce_id"]), set()).add(record._replace(offset=0))
    return found


def seen_once(records: list[Record]) -> list[Record]:
    """What a reader sees that drops ids it has seen: in the order of the partitions."""
    seen: set[bytes] = set()
    first = []
    for record in records:
        record_id = dict(record.headers)["ce_id"]
        if record_id not in seen:
            seen.add(record_id)
            first.append(record._replace(offset=0))
    return first


def assert_same_as_unbroken(
    simulation: Any, unbroken: dict[str, list[Record]], where: str, unordered: tuple[str, ...] = ()
) -> None:
    """Nothing lost, nothing added, nothing different; and to a reader that drops duplicates, nothing out of order."""
    outputs = simulation.outputs()
    found, expected = by_id(outputs), by_id(unbroken)
    assert set(found) == set(expected), where
    assert found == expected, where
    assert all(len(records) == 1 for records in found.values()), where
    for topic in set(unbroken) - set(unordered):
        records = unbroken[topic]
        assert seen_once(outputs[topic]) == seen_once(records), f"{topic}, {where}"


@pytest.fixture
def patient(desk: Config) -> Config:
    """The desk with frequent snapshots, and without an alert on a silent feed, which the log does not decide."""
    universe = msgspec.structs.replace(desk.universe, feed_silent_after_s=1e9)
    return msgspec.structs.replace(
        desk, universe=universe, snapshot=msgspec.structs.replace(desk.snapshot, every_s=4.0)
    )


_unbroken: dict[tuple[bytes, bytes], dict[str, list[Record]]] = {}
_steps: dict[tuple[bytes, bytes, int, int], list[str]] = {}


def content(config: Config, day: list[Any]) -> tuple[bytes, bytes]:
    return msgspec.msgpack.encode(config), msgspec.msgpack.encode(day)


def unbroken_run(simulate: Simulate, config: Config, day: list[Any]) -> dict[str, list[Record]]:
    """What is published where nobody dies; of the same configuration and day it is run once for all tests."""
    key = content(config, day)
    if key not in _unbroken:
        simulation = simulate(config)
        simulation.feed(day)
        worker = simulation.worker()
        simulation.drain(worker)
        worker.finish()
        _unbroken[key] = simulation.outputs()
    return _unbroken[key]


def steps_of(simulate: Simulate, config: Config, day: list[Any], seed: int) -> list[str]:
    """The names of all steps of a run in which nobody dies; these too are run once."""
    key = (*content(config, day), seed, stream.worker.snapshot.PART_BYTES)
    if key not in _steps:
        simulation = simulate(config)
        simulation.feed(day)
        faults = Faults()
        assert run_through(simulation, faults, Random(seed)) == 0
        _steps[key] = faults.steps
    return _steps[key]


STEP_NAMES = [
    "after a poll",
    "before an output is sent",
    "before the flush of the outputs",
    "after the flush of the outputs",
    "before the snapshot is sent",
    "before the flush of the snapshot",
    "after the flush of the snapshot",
    "before the offsets are committed",
    "after the offsets are committed",
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_crashes_between_the_parts_of_a_snapshot_change_nothing(
    patient: Config, simulate: Simulate, trading_day: Day, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that needs several records, and workers killed between them: each next one goes on from the last whole
    snapshot.
    """
    monkeypatch.setattr("stream.worker.snapshot.PART_BYTES", 5000)
    day = trading_day(STEPS, 30)
    unbroken = unbroken_run(simulate, patient, day)
    steps = steps_of(simulate, patient, day, seed)
    parts = [index for index, each in enumerate(steps, start=1) if each == "before the snapshot is sent"]
    assert len(parts) > 2 * steps.count("before the flush of the snapshot")
    simulation = simulate(patient)
    simulation.feed(day)
    assert run_through(simulation, Faults(set(Random(seed).sample(parts, 6))), Random(seed)) > 1
    assert_same_as_unbroken(simulation, unbroken, f"seed {seed}")


@pytest.mark.slow
@pytest.mark.parametrize("name", STEP_NAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_crash_between_any_two_steps_of_a_commit_changes_nothing(
    patient: Config, simulate: Simulate, trading_day: Day, name: str, seed: int
) -> None:
    """Killed at each kind of step, at a random one of them, a second worker completes the very same outputs."""
    day = trading_day(STEPS, 30)
    unbroken = unbroken_run(simulate, patient, day)
    steps = steps_of(simulate, patient, day, seed)
    assert set(steps) == set(STEP_NAMES)
    chance = Random(f"{seed} {name}")
    at = chance.choice([index for index, each in enumerate(steps, start=1) if each == name])
    simulation = simulate(patient)
    simulation.feed(day)
    faults = Faults({at})
    where = f"killed {name}, step {at} of {len(steps)}, seed {seed}"
    assert run_through(simulation, faults, Random(seed)) == 1, where
    assert faults.steps[at - 1] == name, where
    assert_same_as_unbroken(simulation, unbroken, where)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_crashes_one_after_another_change_nothing(
    patient: Config, simulate: Simulate, trading_day: Day, seed: int
) -> None:
    """Up to a dozen deaths at random steps, some of them while the one before is being made good."""
    day = trading_day(STEPS, 40 + seed)
    unbroken = unbroken_run(simulate, patient, day)
    chance = Random(seed)
    faults = Faults({chance.randint(1, 1500) for _ in range(12)})
    simulation = simulate(patient)
    simulation.feed(day)
    deaths = run_through(simulation, faults, chance)
    assert deaths > 0, f"seed {seed}"
    assert_same_as_unbroken(simulation, unbroken, f"seed {seed}, killed at {sorted(faults.at)}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_crashes_while_refits_run_beside_the_stream_change_nothing(
    patient: Config, simulate: Simulate, trading_day: Day, refit_process: RefitProcessOf, seed: int
) -> None:
    """Three in four timesteps lie between the request for a refit and its effect, and workers die in most of them."""
    reversion = msgspec.structs.replace(patient.reversion, window_steps=40, refit_every_steps=4, refit_lag_steps=3)
    config = msgspec.structs.replace(patient, reversion=reversion)
    day = trading_day(STEPS, 60 + seed)
    unbroken = unbroken_run(simulate, config, day)
    models = [msgspec.json.decode(record.value, type=Model) for record in unbroken["models"]]
    assert len({model.refitted_at_timestep for model in models}) > 6
    assert any(model.betas for model in models)
    chance = Random(seed)
    last = len(steps_of(simulate, config, day, seed))
    faults = Faults({chance.randint(last // 2, 3 * last) for _ in range(25)})
    simulation = simulate(config)
    simulation.feed(day)
    deaths = run_through(simulation, faults, Random(seed), submit=refit_process(config))
    assert deaths > 5, f"seed {seed}"
    assert_same_as_unbroken(simulation, unbroken, f"seed {seed}, killed at {sorted(faults.at)}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_crashes_while_the_log_is_being_written_change_nothing(
    patient: Config, simulate: Simulate, trading_day: Day, seed: int
) -> None:
    """Records arrive in the order of their events while workers die and come back to a backlog.

    A refused record has no event time, so of letters for two partitions either may come first.
    """
    day = trading_day(STEPS, 50 + seed)
    unbroken = unbroken_run(simulate, patient, day)
    chance = Random(seed)
    arrivals = []
    written = 0
    while written < len(day):
        size = chance.randint(1, 12)
        arrivals.append(day[written : written + size])
        written += size
    faults = Faults({chance.randint(1, 1500) for _ in range(8)})
    simulation = simulate(patient)
    deaths = run_through(simulation, faults, chance, arrivals)
    assert deaths > 0, f"seed {seed}"
    where = f"seed {seed}, killed at {sorted(faults.at)}"
    assert_same_as_unbroken(simulation, unbroken, where, unordered=("dead-letters",))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_worker_that_is_dropped_is_replaced_without_a_trace(
    patient: Config, simulate: Simulate, trading_day: Day, seed: int
) -> None:
    """Between two turns, with records read and waiting in the merge, without a word."""
    day = trading_day(STEPS, 60)
    unbroken = unbroken_run(simulate, patient, day)
    chance = Random(seed)
    simulation = simulate(patient)
    simulation.feed(day)
    for _ in range(4):
        clock = ManualClock()
        dropped = simulation.worker(chance=chance, clock=clock, max_poll_records=30)
        for _ in range(chance.randint(0, 12)):
            clock.sleep(1.0)
            dropped.turn(0)
    last = simulation.worker(chance=chance)
    simulation.drain(last)
    last.finish()
    assert_same_as_unbroken(simulation, unbroken, f"seed {seed}")


@pytest.mark.slow
def test_outputs_that_half_arrived_are_completed(patient: Config, simulate: Simulate, trading_day: Day) -> None:
    """A flush that fails after a part of its records reached the log: the next worker adds the rest."""
    day = trading_day(STEPS, 70)
    unbroken = unbroken_run(simulate, patient, day)
    for delivered in (1, 3, 50):
        simulation = simulate(patient)
        simulation.feed(day)
        writer = simulation.log.writer()
        worker = simulation.worker(writer=writer, max_poll_records=150)
        worker.turn(0)
        writer.fail_next_flush(delivered)
        with pytest.raises(PublishFailed, match="made to fail"):
            simulation.drain(worker)
        second = simulation.worker()
        simulation.drain(second)
        second.finish()
        assert_same_as_unbroken(simulation, unbroken, f"{delivered} delivered")


def test_an_old_worker_that_comes_back_says_nothing_new(patient: Config, simulate: Simulate, trading_day: Day) -> None:
    """Two workers on one log, as when one was thought dead: every id has one content still."""
    day = trading_day(STEPS, 80)
    unbroken = unbroken_run(simulate, patient, day)
    simulation = simulate(patient)
    simulation.feed(day)
    old, new = simulation.worker(max_poll_records=40), simulation.worker(max_poll_records=60)
    while not (simulation.inputs_read(old) and simulation.inputs_read(new)):
        old.turn(0)
        new.turn(0)
    new.finish()
    old.finish()
    found = by_id(simulation.outputs())
    assert set(found) == set(by_id(unbroken))
    assert all(len(records) == 1 for records in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_broken_record_is_a_dead_letter_once_by_id(
    patient: Config, simulate: Simulate, trading_day: Day, seed: int
) -> None:
    """Through crashes too: each refused record has one letter with its offset and bytes; no other record has one."""
    day = trading_day(STEPS, 90 + seed)
    simulation = simulate(patient)
    simulation.feed(day)
    chance = Random(seed)
    run_through(simulation, Faults({chance.randint(1, 1000) for _ in range(5)}), chance)
    broken = {
        (record.topic, record.partition, record.offset, record.value)
        for topic in ("ticks", "positions")
        for record in simulation.log.records(topic)
        if record.key == b"broken"
    }
    assert broken
    letters = [msgspec.json.decode(record.value) for record in simulation.outputs()["dead-letters"]]
    found = {
        (each["topic"], each["partition"], each["offset"], msgspec.convert(each["value"], bytes)) for each in letters
    }
    assert found == broken, f"seed {seed}"
    assert len({each["id"] for each in letters}) == len(broken)
    assert {each["reason"] for each in letters} <= {"undecodable", "unknown-instrument", "unknown-book"}


def answers_to(outputs: dict[str, list[Record]], chance: Random) -> list[HedgeStatus]:
    """Two reports on most of the suggested trades, at times of their own, some of them twice."""
    answers: list[HedgeStatus] = []
    suggestions = [msgspec.json.decode(record.value) for record in outputs["hedge-suggestions"]]
    for number, suggestion in enumerate(suggestions):
        for index, trade in enumerate(suggestion["trades"]):
            if suggestion["status"] == "unchanged" or chance.random() < 0.2:
                continue
            # Quotes and positions have whole milliseconds.
            at_ns = suggestion["event_time_ns"] + 1000 * (10 * number + index) + 1
            for status in ("acknowledged", chance.choice(("part-filled", "filled", "rejected"))):
                answers.append(
                    HedgeStatus(
                        book=suggestion["book"],
                        suggestion_id=suggestion["suggestion_id"],
                        instrument=trade["instrument"],
                        status=status,
                        filled_lots=1 if status == "part-filled" else None,
                        event_time_ns=at_ns,
                    )
                )
                at_ns += chance.choice((0, 100, 3_000_000_100))
    return answers + chance.sample(answers, len(answers) // 4)


def time_of(message: Any) -> int:
    return message[2] * 1_000_000 if isinstance(message, tuple) else message.event_time_ns


def answered(simulate: Simulate, config: Config, day: list[Any], seed: int) -> list[Any]:
    """`day` with what an execution system says to what is suggested in it, and in the day that comes of its answers."""

    messages = list(day)
    for _ in range(3):
        answers = answers_to(unbroken_run(simulate, config, messages), Random(seed))
        messages = sorted([*day, *answers], key=time_of)
    return messages


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_reports_of_trades_survive_crashes(patient: Config, simulate: Simulate, trading_day: Day, seed: int) -> None:
    """What is in flight, what stands and what was forgotten is kept: the very same outputs through several crashes."""
    day = answered(simulate, patient, trading_day(STEPS, 50 + seed), seed)
    unbroken = unbroken_run(simulate, patient, day)
    residuals = [msgspec.json.decode(record.value) for record in unbroken["residual-exposure"]]
    assert any(residual["trigger"] == "hedge-status" for residual in residuals)
    assert any(position.get("in_flight") for residual in residuals for position in residual["positions"])
    simulation = simulate(patient)
    simulation.feed(day)
    chance = Random(seed)
    deaths = run_through(simulation, Faults({chance.randint(1, 1000) for _ in range(6)}), chance)
    assert deaths
    assert_same_as_unbroken(simulation, unbroken, f"seed {seed}")


def flooded(day: list[Any]) -> list[Any]:
    """`day` with a flood of ticks under other names in its first 40 seconds, and a few after the minute."""
    ticks = [each for each in day if isinstance(each, Tick)]
    start_ns = min(each.event_time_ns for each in ticks)
    unknown = [
        msgspec.structs.replace(each, instrument=name)
        for each in ticks
        for name in ("EUR/USD", "GBP/USD")
        if not 40e9 < each.event_time_ns - start_ns < 65e9
    ]
    return sorted([*day, *unknown], key=time_of)


def refused_records(simulation: Any) -> int:
    return sum(b"/USD" in (record.value or b"") for record in simulation.log.records("ticks"))


def accounted_for(outputs: dict[str, list[Record]]) -> tuple[int, int]:
    """How many ticks of unknown instruments have a letter, and how many are summed up, each id taken once."""
    bodies = [msgspec.json.decode(record.value) for record in seen_once(outputs["dead-letters"])]
    of_names = [each for each in bodies if each["reason"] == "unknown-instrument" and "/USD" in each["detail"]]
    letters = [each for each in of_names if "offset" in each]
    return len(letters), sum(each["records"] for each in of_names if "records" in each)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_crashes_in_a_flood_of_refused_records_change_nothing(
    patient: Config, simulate: Simulate, trading_day: Day, seed: int
) -> None:
    """Letters, sums and alerts have the same bytes, and letters and sums account for each refused record."""
    day = flooded(trading_day(STEPS, 30 + seed))
    unbroken = unbroken_run(simulate, patient, day)
    alerts = [msgspec.json.decode(record.value) for record in unbroken["alerts"]]
    assert [alert["state"] for alert in alerts if alert["kind"] == "records-refused"] == ["raised"]
    simulation = simulate(patient)
    simulation.feed(day)
    letters, summed = accounted_for(unbroken)
    assert letters <= 2 * 4 * patient.dead_letters.per_minute
    assert letters + summed == refused_records(simulation) > 200
    chance = Random(seed)
    faults = Faults({chance.randint(1, 1500) for _ in range(12)})
    assert run_through(simulation, faults, chance) > 0, f"seed {seed}"
    assert_same_as_unbroken(simulation, unbroken, f"seed {seed}, killed at {sorted(faults.at)}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_crashes_in_a_flood_that_is_being_written_keep_the_sums(
    patient: Config, simulate: Simulate, trading_day: Day, seed: int
) -> None:
    """Letters and sums do not depend on the order in which partitions are read, so they are the same by id."""
    day = flooded(trading_day(STEPS, 50 + seed))
    unbroken = unbroken_run(simulate, patient, day)
    chance = Random(seed)
    arrivals = [day[start : start + 9] for start in range(0, len(day), 9)]
    simulation = simulate(patient)
    faults = Faults({chance.randint(1, 1500) for _ in range(8)})
    assert run_through(simulation, faults, chance, arrivals) > 0, f"seed {seed}"
    outputs = simulation.outputs()
    found, expected = ({"dead-letters": each["dead-letters"]} for each in (outputs, unbroken))
    assert by_id(found) == by_id(expected), f"seed {seed}, killed at {sorted(faults.at)}"
    assert sum(accounted_for(outputs)) == refused_records(simulation)


def with_doubts(day: list[Any], chance: Random) -> list[Any]:
    """`day` with refused levels of known books among its records, and statements that settle some of them."""
    messages = list(day)
    for index in sorted(chance.sample(range(len(day)), 25), reverse=True):
        before = day[index]
        at_ms = before[2] if isinstance(before, tuple) else before.event_time_ns // 1_000_000
        book, asset = chance.choice(("spot", "options")), chance.choice(("EUR", "CHF", "JPY", "XAU"))
        refused = f'{{"book": "{book}", "asset": "{asset}", "quantity": NaN}}'
        doubt = ("positions", refused.encode(), at_ms)
        # A nanosecond after its neighbour: quotes and positions have whole milliseconds.
        settled = PositionsComplete(book=book, reason="test", event_time_ns=at_ms * 1_000_000 + 1)
        messages.insert(index + 1, settled if chance.random() < 0.3 else doubt)
    return messages


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_doubts_survive_crashes(patient: Config, simulate: Simulate, trading_day: Day, seed: int) -> None:
    """What is refused, what is gone from the log and what settles it: the same alerts and the same marked figures."""
    day = with_doubts(trading_day(STEPS, 70 + seed), Random(seed))

    def filled() -> Any:
        simulation = simulate(patient)
        simulation.feed(day)
        for partition in simulation.log.partitions("positions"):
            simulation.log.delete_before(partition, min(1, simulation.log.end(partition)))
        return simulation

    whole = filled()
    worker = whole.worker()
    whole.drain(worker)
    worker.finish()
    unbroken = whole.outputs()
    assert any(b"gone from the log" in record.value for record in unbroken["alerts"])
    assert any(b"was refused as undecodable" in record.value for record in unbroken["residual-exposure"])
    simulation = filled()
    chance = Random(seed)
    # The first steps too: what was found at the start is in no snapshot yet.
    faults = Faults({chance.randint(1, 12), *(chance.randint(1, 1200) for _ in range(8))})
    deaths = run_through(simulation, faults, chance)
    assert deaths > 1, f"seed {seed}"
    where = f"seed {seed}, killed at {sorted(faults.at)}"
    assert_same_as_unbroken(simulation, unbroken, where, unordered=("dead-letters",))
